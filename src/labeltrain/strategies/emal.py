"""EMAL: items whose labels are, all in all, closest to even."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Emal(Strategy):
    """Pick the smallest sum over labels of |p_k - 0.5|, for multilabel data.

    Margin looks at the least certain label of an item, this at all of them. Ties go to the lowest
    position.

    Notes
    -----
    O(n C). Scores are the sums; their mean gives the same order.

    References
    ----------
    Zhang, Shao, Verma, Nowak: Algorithm selection for deep active learning with imbalanced
    datasets, NeurIPS 2023, where it is a baseline and an arm. Checked against the authors' code.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[0.5, 0.9], [0.6, 0.6], [0.1, 0.9]])
    >>> picks = labeltrain.select("emal", probabilities=P, kind="multilabel", budget=3)
    >>> picks.positions.tolist(), picks.scores.round(6).tolist()
    ([1, 0, 2], [0.2, 0.4, 0.8])
    """

    name: ClassVar[str] = "emal"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    kinds: ClassVar[frozenset[str]] = frozenset({"multilabel"})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "labels that are, all in all, closest to even"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates whose labels are closest to even."""
        p = view.probabilities_of(view.candidates)
        scores = np.abs(p - 0.5).sum(axis=1, dtype=np.float64)
        best = lowest(scores, count)
        return Picks(view.candidates[best], scores[best], why="many labels are almost even")
