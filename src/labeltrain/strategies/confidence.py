"""Least confidence: items whose most likely class is least likely."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.uncertainty import binary_confidence, confidence
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Confidence(Strategy):
    """Pick the smallest largest class probability.

    Multilabel: the smallest mean confidence over labels. Ties go to the lowest position.

    References
    ----------
    Lewis, Gale: A sequential algorithm for training text classifiers, SIGIR 1994.
    """

    name: ClassVar[str] = "confidence"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "least likely most likely class (least confidence)"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates with the lowest confidence."""
        rule = binary_confidence if view.kind == "multilabel" else confidence
        scores = rule(view.probabilities_of(view.candidates))
        best = lowest(scores, count)
        return Picks(view.candidates[best], scores[best], why="no class is likely")
