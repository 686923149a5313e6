"""Noisy student: the soft labels of a learner on frozen features teach the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import QUICK, coloured_texts, save_text_model, training_of

from labeltrain.errors import BadInput
from labeltrain.learners import Training, make
from labeltrain.learners.networks.noisy_student import NoisyStudent
from labeltrain.learners.semi import training as training_module
from labeltrain.learners.semi.weighting import Batch
from labeltrain.testing.pools import blobs


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_text_model(tmp_path_factory.mktemp("student") / "bert"))


def taught() -> Training:
    """Return texts of three colours with features that tell them apart, few of them labelled."""
    items, truth = coloured_texts()
    training = training_of(items, truth)
    features = np.eye(3, dtype=np.float32)[truth]
    features += np.random.default_rng(1).normal(0, 0.1, features.shape).astype(np.float32)
    return replace(training, features=features)


def options(bert: str, **more: Any) -> dict[str, Any]:
    return {**QUICK, "model": bert, "method": "noisy-student", **more}


LINEAR = {"method_options": {"teacher": "linear"}}


def test_its_targets_are_the_predictions_of_the_teacher() -> None:
    features, truth = blobs(60, d=5)
    rows = np.flatnonzero(truth != 1)[:20]  # a class without a label
    training = Training(features, rows, truth[rows], 3)
    others = training.unlabelled[::-1].copy()
    student = NoisyStudent("linear")
    student.taught(training, others, np.random.default_rng(0))
    student.begin(2, len(others), "cpu")
    asked = np.array([3, 0, 11])
    targets, weights = student.targets(Batch(None, torch.from_numpy(asked), 0.0))
    model = make("linear").fit(training, np.random.default_rng(0))
    wanted = model.predict_proba(features[others[asked]])[:, [0, 2]]
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(targets.numpy(), wanted, atol=1e-6)
    assert weights.tolist() == [1.0, 1.0, 1.0]


def test_its_loss_is_the_cross_entropy_with_the_teacher() -> None:
    student = NoisyStudent()
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    logs = logits.log_softmax(dim=1)
    wanted = [float(-(0.75 * logs[0, 0] + 0.25 * logs[0, 1])), float(-0.5 * logs[1].sum())]
    assert student.losses(logits, targets).tolist() == pytest.approx(wanted)


def test_alignment_moves_the_targets(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, list[Any]] = {}
    losses = NoisyStudent.losses
    for alignment in ("auto", "uniform"):
        mine = found[alignment] = []

        def kept(self: Any, logits: Any, targets: Any, mine: list[Any] = mine) -> Any:
            mine.append(targets.clone())
            return losses(self, logits, targets)

        monkeypatch.setattr(NoisyStudent, "losses", kept)
        learner = make("finetune", options(bert, **LINEAR, alignment=alignment))
        learner.fit(taught(), np.random.default_rng(0))
    plain, aligned = found["auto"][0], found["uniform"][0]
    mean = 0.97 / 3 + 0.03 * plain.mean(dim=0)
    wanted = plain / mean
    assert torch.allclose(aligned, wanted / wanted.sum(dim=1, keepdim=True), atol=1e-6)
    assert not torch.allclose(aligned, plain, atol=1e-6)


@pytest.mark.parametrize("idle", [{"alignment": "uniform"}, {"weight": 2.0}])
def test_what_needs_unlabelled_items_is_refused_without_a_method(idle: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(idle))}=.*no method"):
        make("finetune", idle)


def test_no_weak_view_is_run(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("the network was asked to judge")

    monkeypatch.setattr(training_module, "_judge", refused)
    training = taught()
    model = make("finetune", options(bert, **LINEAR)).fit(training, np.random.default_rng(0))
    batch, ratio, steps = QUICK["batch"], QUICK["ratio"], QUICK["steps"]
    teacher = make("linear").fit(training, np.random.default_rng(0)).cost.examples
    own = min(batch, len(training.labels))
    first = len(training.labels) + min(512, len(training.unlabelled))
    assert model.cost.examples == teacher + first + steps * (own + batch * ratio)


@pytest.mark.parametrize("adapt", ["full", "last"])
def test_the_network_learns_what_only_the_teacher_could_know(bert: str, adapt: str) -> None:
    """Three labels; the features of the teacher tell the classes apart, the texts alone hardly."""
    training = taught()
    truth = training.features.argmax(axis=1)
    rows = np.array([np.flatnonzero(truth == c)[0] for c in range(3)])
    few = replace(training, labelled=rows, labels=truth[rows], rounds=None)
    more: dict[str, Any] = {"steps": 60, "adapt": adapt, "layers": 2, "sample": 4096}
    found = {}
    for method in ("none", "noisy-student"):
        learner = make("finetune", options(bert, method=method, **more))
        model = learner.fit(few, np.random.default_rng(0))
        assert few.items is not None
        found[method] = float((model.predict_proba(few.items).argmax(axis=1) == truth).mean())
    assert found["noisy-student"] > max(0.8, found["none"])


def test_a_killed_training_goes_on_to_the_same_bits(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = taught()
    whole = make("finetune", options(bert, **LINEAR)).fit(training, np.random.default_rng(0))
    kept = replace(training, checkpoint=tmp_path / "state")
    step, steps = training_module._step, []

    def dying(*more: Any) -> float:
        steps.append(1)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return step(*more)

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "_step", dying)
        with pytest.raises(KeyboardInterrupt):
            make("finetune", options(bert, **LINEAR)).fit(kept, np.random.default_rng(0))
    assert (tmp_path / "state").exists()
    again = make("finetune", options(bert, **LINEAR)).fit(kept, np.random.default_rng(0))
    for name, value in whole.arrays().items():
        np.testing.assert_array_equal(value, again.arrays()[name])
    assert not (tmp_path / "state").exists()


def test_what_it_refuses() -> None:
    for learner, parameters, text in (
        ("cnn", {"method": "noisy-student"}, "unknown method 'noisy-student'"),
        ("transformer", {"method": "noisy-student"}, "unknown method 'noisy-student'"),
        (
            "finetune",
            {"method": "noisy-student", "method_options": {"teacher": "tfidf"}},
            "teacher='tfidf' reads items",
        ),
        (
            "finetune",
            {"method": "noisy-student", "method_options": {"teacher": "mean-teachr"}},
            "did you mean 'mean-teacher'",
        ),
    ):
        with pytest.raises(BadInput) as refused:
            make(learner, parameters)
        assert text in str(refused.value)
