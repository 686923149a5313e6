"""Random sampling: the baseline every other strategy has to beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.strategies.base import Picks, Strategy
from labeltrain.strategies.view import PoolView


class Random(Strategy):
    """Draw uniformly without replacement from the candidates."""

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "uniform draws; the baseline"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` uniform draws."""
        return Picks(rng.choice(view.candidates, size=count, replace=False), why="random draw")
