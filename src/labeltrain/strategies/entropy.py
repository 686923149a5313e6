"""Entropy sampling: items whose predicted class distribution is flattest."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.uncertainty import binary_entropy, entropy
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Entropy(Strategy):
    """Pick the highest entropy of the class probabilities, in bits.

    Multilabel: the highest sum of binary entropies. Ties go to the lowest position.

    References
    ----------
    Settles: Active learning literature survey, University of Wisconsin-Madison, 2009.
    """

    name: ClassVar[str] = "entropy"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "flattest predicted class distribution"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates with the highest entropy."""
        rule = binary_entropy if view.kind == "multilabel" else entropy
        scores = rule(view.probabilities_of(view.candidates))
        best = lowest(-scores, count)
        return Picks(view.candidates[best], scores[best], why="many classes are likely")
