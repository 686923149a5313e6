"""Power-margin: margin sampling with a little chance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import power_draw
from labeltrain.kernels.uncertainty import binary_margin, margin
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class PowerMargin(Strategy):
    """Draw without replacement with probability proportional to (1 - margin)^β.

    The margin is the gap between the two largest class probabilities (multilabel: the smallest gap
    of a label between on and off); of a committee, that of its mean.

    Parameters
    ----------
    power : float
        β; 1 in the paper's experiments. Towards infinity it becomes margin sampling.

    Notes
    -----
    O(n C). Scores are the margins.

    References
    ----------
    Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal: Stochastic batch acquisition: a
    simple baseline for deep active learning, TMLR 2023. Bahri, Jiang, Schuster, Rostamizadeh: Is
    margin all you need?, 2022.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    >>> labeltrain.select("power-margin", probabilities=P, budget=1).positions.tolist()
    [1]
    """

    name: ClassVar[str] = "power-margin"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    summary: ClassVar[str] = "drawn in proportion to 1 - margin"

    def __init__(self, power: float = 1.0) -> None:
        if not power > 0.0:
            raise ValueError("power must be above 0")
        self.power = power

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` draws."""
        gap = binary_margin if view.kind == "multilabel" else margin
        margins = np.asarray(gap(view.probabilities_of(view.candidates)), dtype=np.float64)
        rows = power_draw(1.0 - margins, count, rng, power=self.power)
        return Picks(view.candidates[rows], margins[rows], why="small margin, drawn by chance")
