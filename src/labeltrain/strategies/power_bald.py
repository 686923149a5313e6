"""PowerBALD: BALD with a little chance, so that a batch is not many times the same item."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.disagreement import bald
from labeltrain.kernels.ranking import power_draw
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class PowerBald(Strategy):
    """Draw without replacement with probability proportional to (mutual information)^β.

    Done by adding Gumbel noise of scale 1/β to log I and taking the largest. Items about which the
    committee agrees wholly (I = 0) come last, in random order.

    Parameters
    ----------
    power : float
        β; 1 in the paper. Towards infinity it becomes BALD, towards 0 random.

    Notes
    -----
    O(S n C). Scores are the mutual information in bits.

    References
    ----------
    Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal: Stochastic batch acquisition: a
    simple baseline for deep active learning, TMLR 2023.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> sure = [[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]]
    >>> other = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    >>> committee = np.array([sure, other])
    >>> labeltrain.select("power-bald", committee=committee, budget=1).positions.tolist()
    [2]
    """

    name: ClassVar[str] = "power-bald"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.COMMITTEE})
    summary: ClassVar[str] = "drawn in proportion to the committee's disagreement"

    def __init__(self, power: float = 1.0) -> None:
        if not power > 0.0:
            raise ValueError("power must be above 0")
        self.power = power

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` draws."""
        scores = bald(view.committee[:, view.candidates], labels=view.kind == "multilabel")
        rows = power_draw(scores, count, rng, power=self.power)
        return Picks(view.candidates[rows], scores[rows], why="models disagree about it")
