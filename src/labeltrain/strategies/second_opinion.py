"""Second opinion: ask doubtful labels again, beside what another strategy asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.strategies.base import Need, Past, Picks, Strategy
from labeltrain.strategies.view import PoolView

AGAIN = "again"  # in the note of an item that is asked again
WAS = "was"  # and there: the class that it had
WHY = "its label is doubtful: asked again"


class SecondOpinion(Strategy):
    """Spend a share of the budget on labels that the model doubts, the rest as `base` does.

    A label is doubtful where models that did not see it find another class more likely
    (multilabel: where they find one of its labels, on or off, less likely than the opposite). The
    most doubtful are asked again; each such answer costs a label, and replaces the one before. For
    annotators who err: where answers stay the same however often one asks, nothing is won.

    Parameters
    ----------
    base : str
        Name of the strategy that chooses the other items.
    options : mapping, optional
        Its parameters.
    share : float
        Of the budget of a round, at most: where fewer labels are doubtful, `base` has the rest.
    times : int
        How often an item is asked in all, at most.

    Notes
    -----
    Doubt is the log of how many times more likely another class is; it is the score of an item that
    is asked again. Items whose label came with the data count as asked once. In a round nothing is
    asked again that was asked in it, or waits for its answer. `candidates` of a view say what
    `base` may pick; any labelled item may be asked again.

    References
    ----------
    Sheng, Provost, Ipeirotis: Get another label? Improving data quality and data mining using
    multiple, noisy labelers, KDD 2008 (repeated labelling; there an item keeps all its answers, and
    is chosen by their uncertainty, the model's, or both; here by the model's disagreement with the
    label, and the last answer replaces the others).

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    >>> picks = labeltrain.select(
    ...     "second-opinion", probabilities=P, labelled=[0, 1], labels=[1, 1], budget=2,
    ...     out_of_fold=[[0.8, 0.2], [0.3, 0.7]], share=0.5,
    ... )
    >>> picks.positions.tolist(), picks.why[0]  # item 0 was called 1, and looks like a 0
    ([0, 3], 'its label is doubtful: asked again')
    """

    name: ClassVar[str] = "second-opinion"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.OUT_OF_FOLD})
    asks_again: ClassVar[bool] = True
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "another strategy, and a share for asking doubtful labels again"

    def __init__(
        self,
        base: str = "margin",
        options: Mapping[str, Any] | None = None,
        share: float = 0.2,
        times: int = 2,
    ) -> None:
        from labeltrain.strategies.registry import get, make

        if get(base).asks_again:
            raise BadInput(f"base={base!r} asks again itself", "name the strategy it wraps")
        if isinstance(share, bool) or not 0.0 <= share <= 1.0:
            raise BadInput(f"share={share!r} is no share", "give a number from 0 to 1")
        if isinstance(times, bool) or times < 1:
            raise BadInput(f"times={times!r}", "give a whole number, 1 or more")
        self.base = base
        self.options = dict(options or {})
        self.share = share
        self.times = times
        self._base = make(base, self.options)
        own = vars(self)
        own["needs"] = type(self).needs | self._base.needs
        own["kinds"] = type(self).kinds & self._base.kinds
        own["sequential"] = self._base.sequential

    def inside(self) -> Sequence[Strategy]:
        """Return the strategy that chooses the other items."""
        return (self._base,)

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the doubtful labels whose turn it is, then what `base` picks."""
        again, doubt = self._doubtful(view)
        now = [past for past in view.history if past.round == view.round.number]
        done = sum(_is_again(past.note) for past in now)
        due = max(0, int(self.share * (len(now) + count)) - done)
        again, doubt = again[: min(due, count)], doubt[: min(due, count)]
        left = min(count - len(again), len(view.candidates))
        asked = tuple({AGAIN: True, WAS: _name(view, p)} for p in again.tolist())
        if left == 0:
            return Picks(again, doubt, WHY, asked, asks_again=True)
        # To the strategy inside, an item that is asked again was asked before this round only.
        history = [past for past in view.history if not _is_again(past.note)]
        waiting = view.pending[~np.isin(view.pending, view.labelled)]  # not to be asked again
        here = view.after(history, view.candidates, pending=waiting, was=_before(view, now))
        picks = self._base.select(here, left, rng)
        k = len(picks.positions)
        scores = np.full(k, np.nan) if picks.scores is None else np.asarray(picks.scores, float)
        why = (picks.why,) * k if isinstance(picks.why, str) else tuple(picks.why)
        notes = (None,) * k if picks.notes is None else tuple(picks.notes)
        return Picks(
            np.concatenate([again, np.asarray(picks.positions, dtype=np.int64)]),
            np.concatenate([doubt, scores]),
            (WHY,) * len(again) + why,
            asked + notes,
            asks_again=True,
        )

    def _doubtful(self, view: PoolView) -> tuple[np.ndarray, np.ndarray]:
        """Return the labelled items that may be asked again, most doubtful first, and the doubt."""
        again = Counter(past.position for past in view.history if _is_again(past.note))
        first = Counter(p.position for p in view.history if not _is_again(p.note))
        now = {*view.asked_now().tolist(), *view.pending.tolist()}
        open_ = np.array(
            [
                max(1, first[p]) + again[p] < self.times and p not in now
                for p in view.labelled.tolist()
            ],
            dtype=bool,
        )
        if not open_.any():
            return np.empty(0, dtype=np.int64), np.empty(0)
        p = np.clip(np.asarray(view.out_of_fold, dtype=np.float64), 1e-12, 1.0)
        if view.kind == "multilabel":
            p = np.clip(p, 1e-12, 1.0 - 1e-12)
            own = np.where(view.labels == 1, p, 1.0 - p)
            doubt = (np.log(1.0 - own) - np.log(own)).max(axis=1)
        else:
            rows = np.arange(len(p))
            own = p[rows, view.labels]
            p[rows, view.labels] = 0.0
            doubt = np.log(np.maximum(p.max(axis=1), 1e-12)) - np.log(own)
        chosen = np.flatnonzero(open_ & (doubt > 0.0))
        order = chosen[np.lexsort((view.labelled[chosen], -doubt[chosen]))]
        return view.labelled[order].astype(np.int64), doubt[order]


def _name(view: PoolView, position: int) -> str | list[str]:
    """Return the class of a labelled item, by name; of several labels those that are on."""
    label = view.label_of(position)
    if view.kind == "multilabel":
        return [view.classes[k] for k in np.flatnonzero(label)]
    return view.classes[int(label)]


def _before(view: PoolView, now: Sequence[Past]) -> dict[int, Any]:
    """Return the labels that items asked again in this round had when it was opened."""
    found: dict[int, Any] = {}
    for past in now:
        was = past.note.get(WAS) if _is_again(past.note) else None
        names = was if isinstance(was, list) else [was]
        if past.position in found or not set(names) <= set(view.classes):
            continue
        codes = [view.classes.index(name) for name in names]
        found[past.position] = (
            np.isin(np.arange(len(view.classes)), codes).astype(np.int64)
            if view.kind == "multilabel"
            else codes[0]
        )
    return found


def _is_again(note: Any) -> bool:
    return isinstance(note, dict) and AGAIN in note
