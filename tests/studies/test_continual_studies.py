"""Continual learners in studies: on any network, resumed to the same bits."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.learners.continual.learner import ContinualLearner

QUICK: dict[str, Any] = {
    "first_epochs": 8, "epochs": 4,
    "network_options": {"width": 16, "batch": 16, "learning_rate": 1e-2},
}  # fmt: skip


class Dies(BaseException):
    """As if the process was killed."""


def a_study(folder: Path, learner: str = "cal-der", **more: Any) -> Any:
    given = {
        "dataset": "digits", "learner_options": QUICK, "strategies": ["margin", "badge"],
        "batch": 20, "rounds": 4, "seeds": 1, **more,
    }  # fmt: skip
    return labeltrain.run(learner=learner, workspace=folder, workers=1, **given)


IMAGES: dict[str, Any] = {
    "dataset": "mnist-5k", "encoder": "raw", "encoder_options": {"size": 16}, "rounds": 3,
    "strategies": ["margin"],
    "learner_options": {
        "network": "cnn", "first_epochs": 3, "epochs": 2,
        "network_options": {"width": 8, "size": 16, "batch": 16, "dtype": "float32"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("learner", "calls", "more"),
    [("cal-der", 4, {}), ("cal-mir", 8, {}), ("cal-sds2", 3, {}), ("cal-sd", 3, IMAGES)],
)
def test_a_killed_study_goes_on_to_the_same_bits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    learner: str,
    calls: int,
    more: dict[str, Any],
) -> None:
    whole = a_study(tmp_path / "whole", learner, **more)
    fit = ContinualLearner.fit
    left = {"calls": calls}

    def deadly(self: Any, *given: Any, **more: Any) -> Any:
        left["calls"] -= 1
        if not left["calls"]:
            raise Dies
        return fit(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ContinualLearner, "fit", deadly)
        with pytest.raises(Dies):
            a_study(tmp_path / "killed", learner, **more)
    again = a_study(tmp_path / "killed", learner, **more)
    for one, other in zip(whole.curves, again.curves, strict=True):
        assert (one.strategy, one.seed) == (other.strategy, other.seed)
        assert one.labels.tolist() == other.labels.tolist()
        for name, scores in one.scores.items():
            np.testing.assert_array_equal(scores, other.scores[name])
        np.testing.assert_array_equal(one.examples, other.examples)


def test_a_network_on_images(tmp_path: Path) -> None:
    options = {
        "network": "cnn", "first_epochs": 30, "epochs": 15,
        "network_options": {"width": 8, "size": 16, "batch": 16, "learning_rate": 1e-2,
                            "dtype": "float32"},
    }  # fmt: skip
    results = labeltrain.run(
        dataset="mnist-5k", encoder="raw", encoder_options={"size": 16}, learner="cal-er",
        learner_options=options, strategies=["margin"], batch=40, rounds=2, seeds=1,
        workspace=tmp_path / "w", workers=1,
    )  # fmt: skip
    (curve,) = results.curves
    assert curve.scores["accuracy"][-1] > 0.3
    assert curve.examples is not None


def test_what_a_learner_reads_follows_from_its_network(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="reads text"):
        labeltrain.run(
            dataset="digits", learner="cal-er", learner_options={"network": "transformer"},
            workspace=tmp_path / "w",
        )  # fmt: skip
    with pytest.raises(BadInput, match="multilabel"):
        labeltrain.run(dataset="yeast", learner="cal-er", workspace=tmp_path / "v")
    with pytest.raises(MissingNeed, match="predict"):
        labeltrain.run(
            dataset="mnist-5k", learner="cal-er", learner_options={"network": "cnn"},
            strategies=["dropquery"], workspace=tmp_path / "u",
        )  # fmt: skip


def test_a_posterior_for_strategies(tmp_path: Path) -> None:
    results = labeltrain.run(
        dataset="digits", learner="ridge", strategies=["posterior-variance", "bald", "margin"],
        batch=20, rounds=4, seeds=1, workspace=tmp_path / "w", workers=1,
    )  # fmt: skip
    for curve in results.curves:
        assert curve.scores["accuracy"][-1] > 0.7


def test_the_memory_is_reported_with_each_round(tmp_path: Path) -> None:
    from labeltrain.store import Workspace

    a_study(tmp_path / "w", strategies=["margin"])
    with contextlib.closing(Workspace.open(tmp_path / "w", "study", read_only=True)) as workspace:
        facts = [event.body["facts"] for event in workspace.events(kind="scored")]
    items = [one["memory_items"] for one in facts]
    assert items == sorted(items)
    assert items[-1] - items[0] == 4 * 20
    assert all(one["memory_bytes"] == one["memory_items"] * (3 * 8 + 10 * 2) for one in facts)
