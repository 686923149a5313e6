"""Cluster representatives: a cold start that covers the pool without any label."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.clusters import representatives
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView


class Clusters(Strategy):
    """Centroid initialisation: the candidate nearest to each centre of k-means with k = count.

    Needs no label and no model, so it can choose the first items to label (`seed_set: clusters`).
    Largest cluster first. More than 256 questions take several items of a cluster, in turns.

    Parameters
    ----------
    normalise : bool
        Scale features to length 1 first, as the paper does.

    Notes
    -----
    k-means seeded by exact D² sampling, O(n k d) an iteration; above 50,000 items the centres come
    from a sample. Scores are the sizes of the clusters.

    References
    ----------
    Gupte, Aklilu, Nirschl, Yeung-Levy: Revisiting active learning in the era of vision foundation
    models, TMLR 2024.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
    >>> labeltrain.select("clusters", embeddings=E, budget=2).positions.tolist()
    [1, 3]
    """

    name: ClassVar[str] = "clusters"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "the item nearest to each k-means centre; needs no label"

    def __init__(self, normalise: bool = True) -> None:
        self.normalise = normalise

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the representatives of `count` clusters, largest cluster first."""
        if self.normalise:
            points = unit_rows(view.embeddings, view.candidates)
        else:
            points = view.embeddings[view.candidates]
        rows, sizes = representatives(points, count, rng)
        why = tuple(f"centre of a group of {size} similar items" for size in sizes)
        return Picks(view.candidates[rows], sizes.astype(np.float64), why=why)
