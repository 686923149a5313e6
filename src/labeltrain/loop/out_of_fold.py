"""Probabilities of labelled items by models that did not see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from labeltrain.data import take
from labeltrain.learners.base import Cost, Learner, Training
from labeltrain.strategies.base import Memo

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


def frozen_out_of_fold(
    learner: Learner,
    before: Training,
    rng: np.random.Generator,
    probabilities: Callable[[np.ndarray], np.ndarray],
    labelled: np.ndarray,
    memo: Memo,
    costs: list[Cost] | None = None,
) -> Callable[[], np.ndarray]:
    """Return what gives the out-of-fold probabilities of `labelled` items, float64 (m, C).

    Those labelled since the round was opened were not seen by the model in force: its own
    `probabilities` of them are out of fold. So the folds are fitted once a round, to the labels
    `before` it, however many groups of answers it takes.
    """

    def found() -> np.ndarray:
        if "out of fold" not in memo.held:
            rows = out_of_fold(learner, before, rng, costs)
            memo.held["out of fold"] = dict(zip(before.labelled.tolist(), rows, strict=True))
        known = memo.held["out of fold"]
        result = np.array(probabilities(labelled), dtype=np.float64)
        for row, position in enumerate(labelled.tolist()):
            if position in known:
                result[row] = known[position]
        return result

    return found
