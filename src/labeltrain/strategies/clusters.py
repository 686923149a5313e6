"""Cluster representatives: a cold start that covers the pool without any label."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.clusters import representatives
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Clusters(Strategy):
    """Pick the candidate nearest to each centre of k-means with k = count.

    References
    ----------
    Gupte et al.: Revisiting active learning in the era of vision foundation models, TMLR 2024.
    """

    name: ClassVar[str] = "clusters"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    summary: ClassVar[str] = "the item nearest to each k-means centre; needs no label"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the representatives of `count` clusters, largest cluster first."""
        points = view.embeddings[view.candidates]
        rows, sizes = representatives(points, count, int(rng.integers(2**31)))
        why = tuple(f"centre of a group of {size} similar items" for size in sizes)
        return Picks(view.candidates[rows], sizes.astype(np.float64), why=why)
