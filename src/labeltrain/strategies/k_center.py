"""k-center (core-set): the item farthest from everything labelled or picked so far."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.k_center import k_center
from labeltrain.kernels.rows import MEMORY
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView


class KCenter(Strategy):
    """Cover the pool: pick, again and again, the item farthest from all labelled items and picks.

    With the labelled and pending items as centres S, the next pick is
    argmax_i min_{s in S} ‖h_i - h_s‖, which keeps the largest distance within twice the best
    possible. Without any centre the first pick is the item nearest to the mean. It seeks outliers
    by design: good at large budgets and on clean pools, weak at small ones.

    Parameters
    ----------
    normalise : bool
        Bring the features to length 1 first, so that only their directions count.
    memory : int
        Bytes for a copy of the pool; the picks do not depend on it.

    Notes
    -----
    O(n (m + k) d) for m labelled items and k picks, in few passes over the pool; no n x n matrix.
    The scores are the distances. Exact: ties in float64 go to the lowest position.

    References
    ----------
    Sener, Savarese: Active learning for convolutional neural networks: a core-set approach, ICLR
    2018. Gonzalez: Clustering to minimize the maximum intercluster distance, 1985.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[0.0], [1.0], [4.0], [9.0]])
    >>> labeltrain.select("k-center", embeddings=E, labelled=[0], budget=2).positions.tolist()
    [3, 2]
    """

    name: ClassVar[str] = "k-center"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "the item farthest from all labelled items and picks (core-set)"

    def __init__(self, memory: int = MEMORY, *, normalise: bool = False) -> None:
        self.memory = memory
        self.normalise = normalise

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` farthest candidates, one after the other."""
        points = view.hidden
        if self.normalise:
            points = view.memo("unit hidden", lambda: unit_rows(view.hidden))
        positions, distances = k_center(
            points,
            count,
            candidates=view.candidates,
            centres=np.concatenate([view.labelled, view.pending]),
            memory=self.memory,
        )
        why = tuple(f"{distance:.3g} away from the nearest choice" for distance in distances)
        return Picks(positions, distances, why=why)
