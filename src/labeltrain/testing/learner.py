"""What every learner must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from labeltrain.learners.base import Learner, Model, Training
from labeltrain.learners.registry import rebuild
from labeltrain.store import arrays as array_files
from labeltrain.strategies.base import Need
from labeltrain.testing.pools import blobs


class LearnerContract:
    """Inherit, set `learner` (and `parameters`), and run pytest."""

    learner: ClassVar[type[Learner]]
    parameters: ClassVar[Mapping[str, Any]] = {}
    kinds: ClassVar[tuple[str, ...]] = ("multiclass", "multilabel")

    def training(
        self, labels: int = 60, kind: str = "multiclass", only: int | None = None
    ) -> Training:
        """Return blobs of 3 classes, the first `labels` of 200 items labelled."""
        features, truth = blobs(200, d=8)
        rows = np.flatnonzero(truth == only)[:labels] if only is not None else np.arange(labels)
        answers: np.ndarray = truth[rows]
        if kind == "multilabel":
            answers = np.stack([answers == 0, answers != 1, answers >= 0], axis=1).astype(np.int64)
        rounds = np.zeros(len(rows), dtype=np.int64)
        return Training(features, rows, answers, 3, kind, rounds, items=self.texts(truth))

    def texts(self, truth: np.ndarray) -> list[str]:
        """Return a text for each item, for learners that read them: words of its class, mostly."""
        rng = np.random.default_rng(7)
        words = [[f"{name}{k}" for k in range(12)] for name in ("red", "green", "blue")]
        every = [word for some in words for word in some]
        return [" ".join([*rng.choice(words[c], 6), *rng.choice(every, 3)]) for c in truth.tolist()]

    def inputs(self, training: Training, rows: slice = slice(None)) -> Any:
        """Return what the learner's models predict from."""
        whole = training.features if self.learner.reads == "features" else training.items
        return whole[rows]

    def fit(self, training: Training, seed: int = 0, previous: Model | None = None) -> Model:
        """Fit with a fresh generator."""
        learner = self.learner(**self.parameters)
        return learner.fit(training, np.random.default_rng(seed), previous)

    def check(self, model: Model, training: Training) -> np.ndarray:
        """Check the probabilities of the whole pool and return them."""
        p = model.predict_proba(self.inputs(training))
        assert p.shape == (200, 3)
        assert p.dtype == np.float64
        assert np.isfinite(p).all()
        assert (p >= 0).all()
        assert (p <= 1).all()
        if training.kind == "multiclass":
            np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-9)
        return p

    def test_it_learns(self) -> None:
        training = self.training()
        truth = blobs(200, d=8)[1]
        p = self.check(self.fit(training), training)
        assert (p.argmax(axis=1) == truth)[60:].mean() > 0.85

    def test_it_learns_several_labels(self) -> None:
        if "multilabel" not in self.kinds:
            return
        training = self.training(kind="multilabel")
        truth = blobs(200, d=8)[1]
        p = self.check(self.fit(training), training)
        assert ((p[:, 0] > 0.5) == (truth == 0))[60:].mean() > 0.8
        assert (p[:, 2] > 0.5).all()  # always on

    def test_without_labels_it_returns_the_prior(self) -> None:
        for kind in self.kinds:
            training = self.training(0, kind)
            p = self.check(self.fit(training), training)
            np.testing.assert_allclose(p, p[:1].repeat(200, axis=0))

    def test_with_one_class_it_returns_the_prior(self) -> None:
        training = self.training(5, only=1)
        p = self.check(self.fit(training), training)
        assert (p.argmax(axis=1) == 1).all()
        assert p.max() < 1.0

    def test_two_labels_are_enough_to_fit(self) -> None:
        training = self.training(2)
        self.check(self.fit(training), training)

    def test_a_class_may_appear_late(self) -> None:
        features, truth = blobs(200, d=8)
        rows = np.flatnonzero(truth < 2)[:20]
        texts = self.texts(truth)
        early = Training(
            features, rows, truth[rows], 3, rounds=np.zeros(20, dtype=np.int64), items=texts
        )
        before = self.fit(early)
        self.check(before, early)
        rows = np.concatenate([rows, np.flatnonzero(truth == 2)[:10]])
        late = Training(
            features, rows, truth[rows], 3, rounds=np.zeros(30, dtype=np.int64), items=texts
        )
        p = self.check(self.fit(late, previous=before), late)
        assert (p.argmax(axis=1) == 2).any()

    def test_same_labels_and_seed_give_the_same_model(self) -> None:
        for kind in self.kinds:
            training = self.training(kind=kind)
            a, b = (self.fit(training).predict_proba(self.inputs(training)) for _ in range(2))
            np.testing.assert_array_equal(a, b)

    def test_a_stored_model_predicts_the_same_to_the_last_bit(self) -> None:
        for kind in self.kinds:
            for labels in (0, 60):
                training = self.training(labels, kind)
                model = self.fit(training)
                data = array_files.to_bytes(model.arrays(), model.facts())
                again = rebuild(model.name, *array_files.from_bytes(data))
                inputs = self.inputs(training)
                np.testing.assert_array_equal(
                    model.predict_proba(inputs), again.predict_proba(inputs)
                )
                if Need.HIDDEN in self.learner.gives:
                    np.testing.assert_array_equal(model.hidden(inputs), again.hidden(inputs))

    def test_items_that_may_not_be_used_change_nothing(self) -> None:
        training = self.training()
        usable = np.ones(200, dtype=bool)
        usable[150:] = False  # an audit's: never part of training, not even by their features
        changed = training.features.copy()
        changed[150:] *= 100.0
        texts = [*training.items[:150], *["green0 other words"] * 50]
        one, other = (
            self.fit(replace(training, features=f, items=i, usable=usable)).predict_proba(
                self.inputs(training, slice(0, 150))
            )
            for f, i in ((training.features, training.items), (changed, texts))
        )
        np.testing.assert_array_equal(one, other)

    def test_the_head_acts_on_the_hidden_layer(self) -> None:
        if Need.HEAD not in self.learner.gives:
            return
        training = self.training()
        model = self.fit(training)
        weights, bias = model.head
        logits = model.hidden(self.inputs(training)) @ weights.T + bias
        assert (
            logits.argmax(axis=1) == model.predict_proba(training.features).argmax(axis=1)
        ).all()

    def test_it_says_what_it_cost(self) -> None:
        model = self.fit(self.training())
        assert model.cost.examples > 0
        assert model.cost.seconds > 0

    def test_it_leaves_its_input_alone(self) -> None:
        training = self.training()
        before = training.features.copy(), training.labels.copy()
        training.features.flags.writeable = False
        self.fit(training)
        np.testing.assert_array_equal(before[0], training.features)
        np.testing.assert_array_equal(before[1], training.labels)
