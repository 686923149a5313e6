"""What the strategies share that let another one choose from a smaller pool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.strategies.base import Picks, Strategy
from labeltrain.strategies.view import PoolView

SEED = "part"  # in notes: what the part was drawn with


class PoolReducer(Strategy):
    """Let the strategy `base` choose from a part of the candidates.

    Subclasses say which part: :meth:`part`. What `base` cannot fill, because the part is smaller
    than the batch or `base` stops early, is drawn at random from the other candidates, unless
    `base` learns inside the round: it is then asked again by the loop, and the part is that of the
    opening of the round, less what was asked since; once all of it was asked, that of now. For that
    the notes of its picks carry the seed of the part.
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

    def inside(self) -> Sequence[Strategy]:
        """Return the strategy that chooses."""
        return (self._base,)

    @abstractmethod
    def part(self, view: PoolView, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the candidates that `base` may choose from, int64, ascending."""

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return what `base` picks from the part, then random draws if that is not enough."""
        if self.sequential:
            return self._next_group(view, count, rng)
        few = self.part(view, count, rng)
        size = min(count, len(few))
        if size == 0:
            drawn = rng.choice(view.candidates, count, replace=False)
            return Picks(drawn, why="nothing to compare with yet: a random draw")
        here = view.narrowed(few).apart(self.name)
        picks = self._base.select(here, size, rng)
        k = len(picks.positions)
        missing = count - k
        if missing <= 0:
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

    def _next_group(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the next picks of a base that learns from each answer."""
        now = [past for past in view.history if past.round == view.round.number]
        kept = [p.note[SEED] for p in now if isinstance(p.note, dict) and SEED in p.note]
        seed = int(kept[0] if kept else rng.spawn(1)[0].integers(2**32))  # `rng` is of the base

        opened = view.opened()

        def whole() -> np.ndarray:
            wanted = min(int(view.round.budget), len(opened.candidates))
            return self.part(opened, wanted, np.random.default_rng(seed))

        inside = np.zeros(view.n, dtype=bool)
        # Late in a round others may be candidates, as when items cost too much: another part.
        name = f"part of {self.name} {seed} of {opened.choice}"
        inside[view.memo(name, whole)] = True
        few = view.candidates[inside[view.candidates]]
        note = {SEED: seed}
        if len(few) == 0:  # all of it was asked: what was labelled since has a part of its own
            few = self.part(view, count, rng)
        if len(few) == 0:
            drawn = rng.choice(view.candidates, count, replace=False)
            why = "nothing to compare with yet: a random draw"
            return Picks(drawn, why=why, notes=(note,) * count)
        here = view.narrowed(few).apart(f"{self.name} {seed}")
        picks = self._base.select(here, min(count, len(few)), rng)
        notes = (None,) * len(picks.positions) if picks.notes is None else tuple(picks.notes)
        plain = [one is None or isinstance(one, dict) for one in notes]
        return replace(
            picks,
            notes=tuple(
                {**(one or {}), **note} if fits else one
                for one, fits in zip(notes, plain, strict=True)
            ),
        )
