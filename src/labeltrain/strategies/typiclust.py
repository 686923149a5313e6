"""TypiClust: the most typical item of each cluster without a label."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.clusters import k_means
from labeltrain.kernels.typicality import typicality
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView


class TypiClust(Strategy):
    """Cluster the pool and label the most typical item of clusters that have no label yet.

    k-means with K = min(labelled + count, `clusters`) on features of length 1. Clusters of
    `smallest` items or fewer are left out. The others are ordered by labelled items (few first),
    then size (large first), and take turns; in its turn a cluster gives its unlabelled item of
    largest typicality 1 / (mean distance to its min(`neighbours`, half the cluster) nearest
    neighbours among the cluster's unlabelled items), and loses it. Model-free: made for the first
    labels. Pending items count as labelled. When no cluster is left, the small ones follow, in
    the same order.

    Parameters
    ----------
    clusters : int
        At most so many clusters.
    smallest : int
        Clusters of this size or smaller come last.
    neighbours : int

    Notes
    -----
    O(n K d) an iteration of k-means and O(size² d) for each turn of a cluster, in blocks.

    References
    ----------
    Hacohen, Dekel, Weinshall: Active learning on a budget: opposite strategies suit high and low
    budgets, ICML 2022. Checked against the authors' code, which averages squared distances where
    the paper has distances.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> angle = np.repeat([0.0, 1.5], 10) + np.tile(np.linspace(-0.1, 0.1, 10), 2)
    >>> E = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> picks = labeltrain.select("typiclust", embeddings=E, budget=2).positions
    >>> sorted((picks // 10).tolist())  # one of each group
    [0, 1]
    """

    name: ClassVar[str] = "typiclust"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    summary: ClassVar[str] = "the most typical item of each unlabelled cluster; for first labels"

    def __init__(self, clusters: int = 500, smallest: int = 5, neighbours: int = 20) -> None:
        for option, value, least in (
            ("clusters", clusters, 1), ("smallest", smallest, 0), ("neighbours", neighbours, 1)
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"{option} must be at least {least}")
        self.clusters = clusters
        self.smallest = smallest
        self.neighbours = neighbours

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the most typical items of `count` clusters."""
        known = np.concatenate([view.labelled, view.pending])
        relevant = np.concatenate([known, view.candidates])
        points = unit_rows(view.embeddings, relevant)
        assigned, centres = k_means(points, min(len(known) + count, self.clusters), rng)
        sizes = np.bincount(assigned, minlength=len(centres))
        labels = np.bincount(assigned[: len(known)], minlength=len(centres))
        order = np.lexsort((np.arange(len(centres)), -sizes, labels))
        large = order[sizes[order] > self.smallest]
        small = order[sizes[order] <= self.smallest]
        free = assigned.copy()
        free[: len(known)] = -1
        rows, scores = _in_turns(points, free, large, count, self.neighbours)
        if len(rows) < count:
            more = _in_turns(points, free, small, count - len(rows), self.neighbours)
            rows, scores = rows + more[0], scores + more[1]
        picked = np.asarray(rows, dtype=np.int64)
        why = tuple(f"typical of {sizes[c]} similar items" for c in assigned[picked])
        return Picks(relevant[picked], np.asarray(scores), why=why)


def _in_turns(
    points: np.ndarray, free: np.ndarray, order: np.ndarray, count: int, neighbours: int
) -> tuple[list[int], list[float]]:
    """Let the clusters of `order` take turns in giving their most typical free row."""
    rows: list[int] = []
    scores: list[float] = []
    members = {cluster: np.flatnonzero(free == cluster) for cluster in order.tolist()}
    while len(rows) < count and members:
        for cluster, inside in list(members.items()):
            if len(inside) == 0:
                del members[cluster]
                continue
            values = typicality(points[inside], min(neighbours, len(inside) // 2))
            best = int(values.argmax())
            rows.append(int(inside[best]))
            scores.append(float(values[best]))
            members[cluster] = np.delete(inside, best)
            if len(rows) == count:
                break
    return rows, scores
