"""What learners in closed form share: which labels are new, and a posterior that goes on."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from labeltrain.kernels import clock
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.learners.closed_form.model import PosteriorModel, prepared
from labeltrain.learners.mlp import pool_moments
from labeltrain.needs import Need

GROWN = 2.0  # times as many labels, and all is computed anew: rounding, and what was approximated


class ClosedForm(Learner):
    """Goes on from the model before by a formula; begins anew once labels have doubled."""

    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    continues: ClassVar[bool] = True
    remembers: ClassVar[bool] = True
    gives: ClassVar[frozenset[Need]] = frozenset(
        {
            Need.PROBABILITIES, Need.PREDICT, Need.HIDDEN, Need.HEAD, Need.OUT_OF_FOLD,
            Need.COMMITTEE, Need.POSTERIOR,
        }
    )  # fmt: skip
    model: ClassVar[type[Model]] = PosteriorModel

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of the labels so far, from `previous` where that fits."""
        started = clock.seconds()
        if len(np.unique(training.labels)) < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        before = self._before(training, previous)
        if before is None:
            mean, deviation = pool_moments(training)
            rows = prepared(training.features[training.labelled], mean, deviation)
            arrays, facts = self._anew(rows, training)
            arrays |= {"mean": mean, "deviation": deviation}
            facts |= {"begun": len(rows)}
            examples = len(rows)
        else:
            arrays, facts, examples = self._gone_on(before, training)
        order = np.argsort(training.labelled, kind="stable")
        arrays |= {
            "positions": training.labelled[order].astype(np.int64),
            "labels": training.labels[order].astype(np.int64),
            "seen": np.bincount(training.labels, minlength=training.classes) > 0,
        }
        model = PosteriorModel(arrays, {**facts, "labels": len(training.labels)})
        model.cost = Cost(examples, clock.seconds() - started)
        return model

    def _before(self, training: Training, previous: Model | None) -> PosteriorModel | None:
        """Return the model to go on from: of the same features, classes and learner."""
        if not isinstance(previous, PosteriorModel):
            return None
        arrays, facts = previous.arrays(), previous.facts()
        same = (
            len(arrays["mean"]) == training.features.shape[1]
            and len(arrays["seen"]) == training.classes
            and facts["learner"] == self.name
            and self._is_mine(facts)
        )
        few = len(training.labelled) < GROWN * facts["begun"]
        if not same or not few:
            return None
        labels = np.full(1 + max(training.labelled.max(), arrays["positions"].max()), -1)
        labels[training.labelled] = training.labels
        stays = np.array_equal(labels[arrays["positions"]], arrays["labels"])
        return previous if stays else None  # none changed or withdrawn

    @abstractmethod
    def _is_mine(self, facts: dict[str, Any]) -> bool:
        """Tell whether a model was made with the options of this learner."""

    @abstractmethod
    def _anew(
        self, rows: np.ndarray, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and facts from all labels; `rows` are those of the labelled items."""

    @abstractmethod
    def _taken_in(
        self, before: PosteriorModel, rows: np.ndarray, labels: np.ndarray, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and facts once new labels are taken in."""

    def _gone_on(
        self, before: PosteriorModel, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any], int]:
        held = before.arrays()
        new = ~np.isin(training.labelled, held["positions"])
        rows = before.rows(training.features[training.labelled[new]])
        arrays, facts = self._taken_in(before, rows, training.labels[new], training)
        return {**held, **arrays}, {**before.facts(), **facts}, int(new.sum())


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return targets less what no information gives, float64 (m, C)."""
    return np.eye(classes)[labels] - 1.0 / classes
