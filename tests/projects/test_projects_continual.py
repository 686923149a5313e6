"""Projects whose learner goes on from the model of the round before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain import Dataset, Project
from labeltrain.learners.continual.model import ContinualModel
from labeltrain.testing.pools import blobs

OPTIONS: dict[str, Any] = {
    "first_epochs": 30, "network_options": {"width": 16, "batch": 16, "learning_rate": 1e-2},
}  # fmt: skip


def items(n: int = 300) -> tuple[Dataset, dict[str, str]]:
    x, y = blobs(n, d=8)
    ids = tuple(f"i{k}" for k in range(n))
    truth = {name: f"c{c}" for name, c in zip(ids, y.tolist(), strict=True)}
    return Dataset("blobs", "features", x, ids), truth


def begun(folder: Path, learner: str = "cal-der", strategy: str = "margin") -> Project:
    return Project.new(
        folder, items()[0], classes=["c0", "c1", "c2"], learner=learner, learner_options=OPTIONS,
        strategy=strategy,
    )  # fmt: skip


def a_round(project: Project, count: int = 20, **more: Any) -> list[str]:
    """Ask, answer, and return what was asked."""
    truth = items()[1]
    asked = [row["id"] for row in project.next(count, **more)]
    project.tell({name: truth[name] for name in asked})
    return asked


def test_a_project_goes_on_from_round_to_round(tmp_path: Path) -> None:
    with begun(tmp_path / "p") as project:
        rounds = [a_round(project) for _ in range(4)]
        model = project.fitted()
        assert isinstance(model, ContinualModel)
        # What it learned, round by round: the audit's labels are not for training.
        own = np.bincount(model.memory.rounds)
        assert len(own) == 4
        assert own.sum() == len(project.state.training()[0])
    files = list((tmp_path / "p" / "arrays").glob("*.npz"))
    kept = [f for f in files if "memory.positions" in np.load(f).files]
    assert len(kept) == 1  # that of the last round; the others are gone
    assert len({name for some in rounds for name in some}) == 80


def test_the_status_tells_of_the_memory(tmp_path: Path) -> None:
    with begun(tmp_path / "p") as project:
        a_round(project)
        assert project.status()["model"] is None  # the first questions are centres of clusters
        learned = len(project.state.training()[0])  # when the second round was opened
        a_round(project)
        assert project.status()["model"] == {
            "round": 2, "memory_items": learned, "memory_bytes": learned * (3 * 8 + 3 * 2),
        }  # fmt: skip
    with Project.new(
        tmp_path / "ridge", items()[0], classes=["c0", "c1", "c2"], learner="ridge",
        strategy="margin",
    ) as project:  # fmt: skip
        a_round(project)
        a_round(project)
        kept = project.status()["model"]
        assert kept == {"round": 2, "memory_items": None, "memory_bytes": None}


def test_closed_and_opened_it_asks_the_same(tmp_path: Path) -> None:
    with begun(tmp_path / "one") as project:
        whole = [a_round(project) for _ in range(4)]
        first = project.fitted().arrays()
    with begun(tmp_path / "two"):
        pass
    other = []
    for _ in range(4):
        with Project.open(tmp_path / "two") as project:
            other.append(a_round(project))
    assert whole == other
    with Project.open(tmp_path / "two") as project:
        for name, value in project.fitted().arrays().items():
            np.testing.assert_array_equal(value, first[name])


def test_looking_at_the_model_between_changes_nothing(tmp_path: Path) -> None:
    truth = items()[1]
    with begun(tmp_path / "one") as project:
        whole = [a_round(project) for _ in range(4)]
    with begun(tmp_path / "two") as project:
        looked = []
        for _ in range(4):
            asked = [row["id"] for row in project.next(20)]
            looked.append(asked)
            for some in (asked[:7], asked[7:]):
                project.tell({name: truth[name] for name in some})
                project.fitted()
                project.status()
    assert whole == looked


def test_groups_of_a_round_have_its_model(tmp_path: Path) -> None:
    with begun(tmp_path / "one", strategy="galaxy") as project:
        whole = [a_round(project, 5, of=20) for _ in range(8)]
    with begun(tmp_path / "two", strategy="galaxy"):
        pass
    other = []
    for _ in range(8):
        with Project.open(tmp_path / "two") as project:
            other.append(a_round(project, 5, of=20))
    assert whole == other


def test_a_changed_label_is_learned_anew(tmp_path: Path) -> None:
    with begun(tmp_path / "p") as project:
        asked = [a_round(project) for _ in range(3)]
        before = project.fitted()
        trained = set(project.state.training()[0].tolist())
        name = next(a for a in asked[0] if int(a[1:]) in trained)
        project.tell({name: "c0" if items()[1][name] != "c0" else "c1"})
        after = project.fitted()
        rounds = []
        for model in (before, after):
            assert isinstance(model, ContinualModel)
            rounds.append(dict(zip(model.memory.positions, model.memory.rounds, strict=True)))
        assert rounds[0].keys() == rounds[1].keys()
        assert [r[int(name[1:])] for r in rounds] == [0, 2]


def test_a_lost_model_is_trained_from_scratch(tmp_path: Path) -> None:
    with begun(tmp_path / "p") as project:
        for _ in range(3):
            a_round(project)
    for file in (tmp_path / "p" / "arrays").glob("*.npz"):
        if "memory.positions" in np.load(file).files:
            file.unlink()
    with Project.open(tmp_path / "p") as project:
        with pytest.warns(UserWarning, match="from scratch"):
            model = project.fitted()
        assert isinstance(model, ContinualModel)
        assert model.memory.rounds.max() == 0
        a_round(project)
        later = project.fitted()
        assert isinstance(later, ContinualModel)
        assert later.memory.rounds.max() == 1


def test_other_learners_keep_no_model(tmp_path: Path) -> None:
    with begun(tmp_path / "p", learner="retrain") as project:
        for _ in range(3):
            a_round(project)
        assert project.state.model is None


def test_a_strategy_that_looks_at_no_model_keeps_none(tmp_path: Path) -> None:
    with begun(tmp_path / "p", strategy="random") as project:
        for _ in range(3):
            a_round(project)
        assert project.state.model is None
        model = project.fitted()
        assert isinstance(model, ContinualModel)
        assert model.memory.rounds.max() == 0
