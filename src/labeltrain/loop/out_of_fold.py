"""Probabilities of labelled items by models that did not see them."""

from __future__ import annotations

import dataclasses

import numpy as np

from labeltrain.data import take
from labeltrain.learners.base import Cost, Learner, Training

FOLDS = 5


def out_of_fold(
    learner: Learner,
    training: Training,
    rng: np.random.Generator,
    costs: list[Cost] | None = None,
) -> np.ndarray:
    """Return cross-validated probabilities of the labelled items, float64 (m, C).

    Folds are dealt within each class, so that every class stays in the training part of a fold
    as long as it has two labels. With fewer labels than folds each item is its own fold. What the
    fits cost is added to `costs`.
    """
    m = len(training.labelled)
    result = np.tile(training.prior(), (m, 1))
    if m < 2:
        return result
    folds = min(FOLDS, m)
    order = rng.permutation(m)
    if training.kind == "multiclass":
        order = order[np.argsort(training.labels[order], kind="stable")]
    fold = np.empty(m, dtype=np.int64)
    fold[order] = np.arange(m) % folds
    for held in range(folds):
        keep = fold != held
        part = dataclasses.replace(
            training,
            labelled=training.labelled[keep],
            labels=training.labels[keep],
            rounds=None if training.rounds is None else training.rounds[keep],
        )
        model = learner.fit(part, rng)
        if costs is not None:
            costs.append(model.cost)
        held_out = training.labelled[~keep]
        inputs = training.features if learner.reads == "features" else training.items
        result[~keep] = model.predict_proba(take(inputs, held_out))
        del model  # a network is large; the next fold fits another
    return result
