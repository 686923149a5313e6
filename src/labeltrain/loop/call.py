"""One call of `select`: the whole batch at once, or pick by pick, each with its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.loop.as_numpy import as_numpy
from labeltrain.loop.budget import TINY, affordable, purchasable, with_labelled, within
from labeltrain.loop.checks import CheckedPicks, checked
from labeltrain.loop.label_codes import LabelCodes
from labeltrain.rng import stream
from labeltrain.strategies.base import Memo, Past, Round, Strategy
from labeltrain.strategies.view import PoolView


@dataclass
class Call:
    """What is known at the beginning of a call, and what was picked since.

    Attributes
    ----------
    strategy : Strategy
    sources : dict
        Of the view; see :func:`labeltrain.loop.pool_arrays.read_arrays`.
    coded : LabelCodes
    known : list of int
        Positions of the labelled items; answers are added.
    labels : list or None
        Their class indices; None when labelled items came without labels.
    pending : ndarray of int64
    free : ndarray of bool, shape (n,)
        What may still be picked.
    history : tuple of Past
    """

    strategy: Strategy
    sources: dict[str, Any]
    coded: LabelCodes
    known: list[int]
    labels: list[Any] | None
    pending: np.ndarray
    free: np.ndarray
    history: tuple[Past, ...]
    spent: float = 0.0
    exhausted: bool = False
    positions: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def run(
        self, budget: float, seed: int, ask: Callable[[np.ndarray], Any] | None, parallel: int
    ) -> None:
        """Pick until the budget is spent; with `ask`, `parallel` items at a time.

        Raises
        ------
        BadInput
            An answer that is no label.
        BrokenContract
            The strategy picked what it may not.
        """
        costs = self.sources.get("costs")
        number = 1 + max((past.round for past in self.history), default=0)
        name = self.strategy.name
        memo = Memo()
        turn = 0
        while True:
            places = purchasable(costs, self.free, budget - self.spent)
            count = affordable(costs, self._open(places, budget - self.spent), budget - self.spent)
            if ask is not None:
                count = min(count, parallel)
            picked = 0
            if count:
                view = self._view(places, Round(number, budget, self.spent), memo)
                rng = stream(seed, "select", name, turn)
                found = checked(self.strategy.select(view, count, rng), view, count, name)
                keep = within(costs, found.positions, budget - self.spent)
                picked = len(keep)
                self._note(found, keep, number, ask)
            # Of a batch only what the budget pays for is kept: with costs, the rest of it may still
            # buy something.
            if picked == 0 or (ask is None and costs is None):
                self.exhausted = not self.free.any() and self.spent < budget - TINY
                return
            turn += 1

    def _open(self, places: np.ndarray, left: float) -> np.ndarray:
        """Return what may be asked: fresh items, and labelled ones where those are asked again."""
        if not self.strategy.asks_again:
            return places
        known = np.array(self.known, dtype=np.int64)
        return with_labelled(self.sources.get("costs"), places, known, len(self.free), left)

    def _view(self, places: np.ndarray, now: Round, memo: Memo) -> PoolView:
        sources = dict(self.sources)
        if len(sources.get("out_of_fold", self.known)) < len(self.known):
            # The model in force never saw the answers of this call: its own predictions of these
            # items are out of fold.
            older = sources.pop("out_of_fold")
            if "probabilities" in sources:
                fresh = sources["probabilities"][self.known[len(older) :]]
                sources["out_of_fold"] = np.concatenate([older, fresh])
        width = (len(self.coded.classes),) if self.coded.kind == "multilabel" else ()
        view = _WithoutLabels if self.labels is None else PoolView
        return view(
            len(self.free),
            [str(c) for c in self.coded.classes],
            kind=self.coded.kind,
            labelled=self.known,
            labels=np.array(self.labels or [], dtype=np.int64).reshape(-1, *width),
            pending=self.pending,
            candidates=places,
            round=now,
            history=self.history,
            sources=sources,
            memo=memo,
        )

    def _note(
        self,
        found: CheckedPicks,
        keep: np.ndarray,
        number: int,
        ask: Callable[[np.ndarray], Any] | None,
    ) -> None:
        positions = found.positions[keep]
        costs = self.sources.get("costs")
        self.spent += float(len(keep) if costs is None else costs[positions].sum())
        self.free[positions] = False
        if ask is None:
            self.pending = np.concatenate([self.pending, positions])
        replies = [None] * len(keep) if ask is None else _asked(ask, positions)
        past = []
        for row, reply in zip(keep.tolist(), replies, strict=True):
            position, note = int(found.positions[row]), found.notes[row]
            self.positions.append(position)
            self.scores.append(float(found.scores[row]))
            self.why.append(found.why[row])
            self.notes.append(note)
            self.answers.append(reply)
            code = None if reply is None else self._learnt(position, reply)
            past.append(Past(position, number, code, note, self.strategy.name))
        self.history += tuple(past)

    def _learnt(self, position: int, reply: Any) -> int | tuple[int, ...]:
        """Take an answer in; a second answer to the same item replaces the first."""
        label = self.coded.encode([reply], "the answer of ask")[0]
        if self.labels is None:
            raise MissingNeed("the labels of the labelled items are not given", "give labels")
        if position in self.known:
            self.labels[self.known.index(position)] = label
        else:
            self.known.append(position)
            self.labels.append(label)
        return tuple(label.tolist()) if np.ndim(label) else int(label)


class _WithoutLabels(PoolView):
    """A view of a pool whose labelled items came without labels: reading them is an error."""

    @property  # type: ignore[override]
    def labels(self) -> np.ndarray:
        raise MissingNeed("the strategy reads the labels of the labelled items", "give labels")

    @labels.setter
    def labels(self, value: np.ndarray) -> None: ...


def _asked(ask: Callable[[np.ndarray], Any], positions: np.ndarray) -> list[Any]:
    """Return one answer per position; None where it was skipped."""
    if len(positions) == 0:
        return []
    said = ask(positions.copy())
    if isinstance(said, list | tuple):  # of several labels, rows and skips make no array
        said = list(said)
    elif said is None or isinstance(said, str) or np.ndim(said) == 0:
        said = [said]
    else:
        said = list(as_numpy("the answer", said))
    if len(said) != len(positions):
        raise BadInput(
            f"ask returned {len(said)} labels for {len(positions)} positions",
            "return one label, or None, for each",
        )
    return [None if isinstance(a, float | np.floating) and np.isnan(a) else a for a in said]
