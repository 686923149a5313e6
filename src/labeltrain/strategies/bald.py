"""BALD: items about which the members of a committee disagree."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.disagreement import bald
from labeltrain.kernels.ranking import lowest
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Bald(Strategy):
    """Pick the largest mutual information between an item's label and the committee's member.

    I = H(mean_s p_s) - mean_s H(p_s), in bits: large where members are sure of different classes,
    not where all are unsure. Multilabel: the sum over labels. Ties go to the lowest position.

    Notes
    -----
    O(S n C). The batch is a plain top-k, so it may hold much the same item many times: see
    ``power-bald`` and ``batch-bald``.

    References
    ----------
    Houlsby, Huszár, Ghahramani, Lengyel: Bayesian active learning for classification and
    preference learning, 2011.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> sure = [[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]]
    >>> other = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    >>> labeltrain.select("bald", committee=np.array([sure, other]), budget=1).positions.tolist()
    [2]
    """

    name: ClassVar[str] = "bald"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.COMMITTEE})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "the committee's members disagree most (mutual information)"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates of largest mutual information."""
        scores = bald(view.committee[:, view.candidates], labels=view.kind == "multilabel")
        best = lowest(-scores, count)
        return Picks(view.candidates[best], scores[best], why="models disagree about it")
