"""MaxHerding: generalised coverage of the pool, for small budgets."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import Similarity
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class MaxHerding(Strategy):
    """Greedily maximise ``mean_i max_{s in S} exp(-\\|z_i - z_s\\|^2 / bandwidth^2)``.

    The mean runs over the whole pool, z are embeddings of length 1, and S is what is labelled,
    pending and picked. Equal gains go to the lowest position.

    Parameters
    ----------
    bandwidth : float
        1.0 as in the authors' code, whose Gaussian has no 2 in the denominator.
    memory : int
        Bytes to use beside the embeddings; the picks do not depend on it.

    Notes
    -----
    Lazy and exact; O(n^2 d) for the first gains, then a few columns, O(n d), a pick. The authors
    draw at most 35,000 candidates; here all are compared.

    References
    ----------
    Bae, Noh, Sutherland: Generalized coverage for more robust low-budget active learning, ECCV
    2024.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0]])
    >>> labeltrain.select("max-herding", embeddings=E, budget=2).positions.tolist()
    [2, 3]
    """

    name: ClassVar[str] = "max-herding"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "items near which the pool is dense; needs no label"

    def __init__(self, *, bandwidth: float = 1.0, memory: int = MEMORY) -> None:
        if not 1e-6 <= bandwidth <= 1e6:
            raise ValueError(f"bandwidth is {bandwidth}, expected a number from 1e-6 to 1e6")
        self.bandwidth = bandwidth
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily raise the coverage most."""
        found = greedy_coverage(
            view.embeddings,
            Similarity("gaussian", self.bandwidth**2, normalise=True),
            count,
            candidates=view.candidates,
            given=np.concatenate([view.labelled, view.pending]),
            memory=self.memory,
        )
        why = tuple(f"stands for {n} similar items" for n in found.nearest)
        return Picks(found.positions, found.gains / view.n, why=why)
