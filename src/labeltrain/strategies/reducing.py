"""What the strategies share that let another one choose from a smaller pool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.strategies.base import Picks, Strategy
from labeltrain.strategies.view import PoolView


class PoolReducer(Strategy):
    """Let the strategy `base` choose from a part of the candidates.

    Subclasses say which part: :meth:`part`. What `base` cannot fill, because the part is smaller
    than the batch or `base` stops early, is drawn at random from the other candidates, unless
    `base` learns inside the round (it is then asked again by the loop).
    """

    def __init__(self, base: str = "margin", options: Mapping[str, Any] | None = None) -> None:
        from labeltrain.strategies.registry import get, make

        if issubclass(get(base), PoolReducer):
            raise BadInput(f"base={base!r} is itself a pool reducer", "name the strategy it wraps")
        if get(base).asks_again:
            raise BadInput(
                f"base={base!r} asks for labelled items again, which are in no reduced pool",
                f"wrap it the other way round: base={self.name!r} in {base!r}",
            )
        self.base = base
        self.options = dict(options or {})
        self._base = make(base, self.options)
        own = vars(self)
        own["needs"] = type(self).needs | self._base.needs
        own["kinds"] = type(self).kinds & self._base.kinds
        own["sequential"] = self._base.sequential

    @abstractmethod
    def part(self, view: PoolView, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the candidates that `base` may choose from, int64, ascending."""

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return what `base` picks from the part, then random draws if that is not enough."""
        few = self.part(view, count, rng)
        size = min(count, len(few))
        if size == 0:
            drawn = rng.choice(view.candidates, count, replace=False)
            return Picks(drawn, why="nothing to compare with yet: a random draw")
        picks = self._base.select(view.narrowed(few), size, rng)
        k = len(picks.positions)
        missing = count - k
        if missing <= 0 or self.sequential:
            return picks
        others = np.setdiff1d(view.candidates, picks.positions)
        drawn = rng.choice(others, missing, replace=False)
        scores = np.full(k, np.nan) if picks.scores is None else np.asarray(picks.scores, float)
        why = (picks.why,) * k if isinstance(picks.why, str) else picks.why
        notes = (None,) * k if picks.notes is None else picks.notes
        return Picks(
            np.concatenate([picks.positions, drawn]),
            np.concatenate([scores, np.full(missing, np.nan)]),
            (*why, *("outside the reduced pool: a random draw",) * missing),
            (*notes, *(None,) * missing),
        )
