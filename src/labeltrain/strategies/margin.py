"""Margin sampling: items whose two most likely classes are closest."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.uncertainty import binary_margin, margin
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView

NEAR = 0.25  # a gap that a person would call close


class Margin(Strategy):
    """Pick the smallest gap between the two largest class probabilities.

    Multilabel: the smallest gap between a label being on and off. Ties go to the lowest position.

    References
    ----------
    Scheffer, Decomain, Wrobel: Active hidden Markov models for information extraction, 2001.
    """

    name: ClassVar[str] = "margin"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "smallest gap between the two most likely classes"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates with the smallest margin."""
        gap = binary_margin if view.kind == "multilabel" else margin
        scores = gap(view.probabilities_of(view.candidates))
        best = lowest(scores, count)
        what = "a label is" if view.kind == "multilabel" else "two classes are"
        why = tuple(
            f"{what} almost even" if score < NEAR else "nothing else is less certain"
            for score in scores[best]
        )
        return Picks(view.candidates[best], scores[best], why=why)
