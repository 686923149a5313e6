"""Posterior variance: items whose scores are known least, given those that are picked with them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.log_det import greedy_log_det
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class PosteriorVariance(Strategy):
    """Greedily pick the item whose score has the largest posterior variance.

    A label of an item takes variance off all items that are like it; labels need not be known for
    that, so each pick counts at once for the next (D-optimal design: the picks greedily maximise
    the information ``log det(s I + sum z z')`` about the weights). Ties go to the lowest position.

    Parameters
    ----------
    noise : float
        Of an answer: s, in mean variances of the pool. Small: what was picked once is known; large:
        items like it may be picked again.

    Notes
    -----
    O(n r) for the first gains and O(r^2) for each item that is measured again. For learners with a
    posterior, such as ridge and laplace. Uncertainty about the class of an item that is known to
    lie between two classes is no variance: margin looks for that.

    References
    ----------
    MacKay: Information-based objective functions for active data selection, Neural Computation
    1992. Fedorov: Theory of Optimal Experiments, 1972.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> Z = np.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]])
    >>> labeltrain.select("posterior-variance", posterior=Z, budget=2).positions.tolist()
    [0, 2]
    """

    name: ClassVar[str] = "posterior-variance"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.POSTERIOR})
    deterministic: ClassVar[bool] = True
    summary: ClassVar[str] = "largest posterior variance, each pick counted at once"

    def __init__(self, *, noise: float = 0.1) -> None:
        if not 1e-9 <= noise <= 1e9:
            raise ValueError(f"noise is {noise}, expected from 1e-9 to 1e9")
        self.noise = noise

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily have the largest variance."""
        positions, gains = greedy_log_det(
            view.posterior,
            count,
            candidates=view.candidates,
            given=view.pending,
            regularisation=self.noise,
            normalise=False,
        )
        return Picks(positions, gains, why="little is known of its like")
