"""Dividing a data set into the pool that labels are bought from and the test items."""

from __future__ import annotations

from typing import Literal

import numpy as np

from labeltrain.data.checks import known_labels
from labeltrain.data.dataset import Dataset
from labeltrain.errors import BadInput
from labeltrain.rng import stream


def split(
    dataset: Dataset,
    *,
    mode: Literal["own", "redraw"] = "own",
    test_fraction: float = 0.3,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the pool and of the test items of a simulation.

    Parameters
    ----------
    dataset : Dataset
        Items without a label are in neither part.
    mode : {"own", "redraw"}
        "own": the data set's test split; if it has none, one fixed draw that does not depend on
        the seed. "redraw": a new draw for every seed, with as many test items as "own" has.
    test_fraction : float
        Share of labelled items in the test set, for data sets without an own split.
    seed : int

    Returns
    -------
    pool, test : ndarray of int64
        Sorted, disjoint. Draws are stratified by class: each class has its share of the test set
        to within one item, and every class keeps at least one item in the pool. Multilabel draws
        are plain random draws.

    Raises
    ------
    BadInput
        Fewer than two labelled items, an empty own test split or pool, a fraction outside (0, 1),
        or an unknown mode.

    Examples
    --------
    >>> from labeltrain.data import load, split
    >>> pool, test = split(load("digits"), mode="redraw", seed=3)
    >>> len(pool), len(test)
    (1258, 539)
    """
    if mode not in ("own", "redraw"):
        raise BadInput(f"unknown split mode {mode!r}", "use 'own' or 'redraw'")
    if not 0.0 < test_fraction < 1.0:
        raise BadInput(f"test_fraction is {test_fraction}", "use a number between 0 and 1")
    labelled = known_labels(dataset)
    if len(labelled) < 2:
        raise BadInput(
            f"{dataset.name}: {len(labelled)} labelled items cannot be split into pool and test",
            "name the label column (label_column), or use data with labels",
        )
    own = None if dataset.test is None else np.intersect1d(dataset.test, labelled)
    if own is not None and (len(own) == 0 or len(own) == len(labelled)):
        raise BadInput(
            f"{dataset.name}: {len(own)} of {len(labelled)} labelled items are in its test split",
            "check the split column: both parts need labelled items",
        )
    if mode == "own" and own is not None:
        return np.setdiff1d(labelled, own), own
    size = round(test_fraction * len(labelled)) if own is None else len(own)
    size = min(max(size, 1), len(labelled) - 1)
    names = ("split", "own") if mode == "own" else ("split",)
    rng = stream(0 if mode == "own" else seed, *names)
    if dataset.kind == "multiclass" and dataset.labels is not None:
        test = _stratified(dataset.labels[labelled], size, rng)
    else:
        test = rng.choice(len(labelled), size, replace=False)
    if not len(test):
        raise BadInput(
            f"{dataset.name}: every class has only one item, which stays in the pool",
            "check the label column: classes need several items",
        )
    inside = np.zeros(len(labelled), dtype=bool)
    inside[test] = True
    return labelled[~inside], labelled[inside]


def _stratified(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `size` indices into `labels` so that every class has its share, one always left."""
    classes, counts = np.unique(labels, return_counts=True)
    room = counts - 1
    share = size * counts / counts.sum()
    quota = np.minimum(np.floor(share).astype(np.int64), room)
    # Largest remainder first; among equal remainders the classes are in random order.
    order = rng.permutation(len(classes))
    order = order[np.argsort(-(share - np.floor(share))[order], kind="stable")]
    while quota.sum() < size and (quota < room).any():
        for index in order:
            if quota.sum() < size and quota[index] < room[index]:
                quota[index] += 1
    drawn = [
        rng.choice(np.flatnonzero(labels == label), count, replace=False)
        for label, count in zip(classes, quota, strict=True)
    ]
    return np.concatenate(drawn)
