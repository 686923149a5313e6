"""Where a trajectory stands: a fold over its events, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labeltrain.store.ledger import Event
from labeltrain.strategies.base import Past

SKIPPED = None


@dataclass
class State:
    """The labels so far, in the order in which they came.

    Attributes
    ----------
    answers : dict of int to answer
        Position to class (multilabel: tuple of 0/1), latest answer first asked order.
    label_rounds : dict of int to int
        The round in which each was labelled.
    skipped : set of int
    history : list of Past
    times : dict of int to int
        How often each position was asked, answered or skipped.
    spent : float
        Total cost so far.
    spent_in_round : float
    groups : int
        Groups of answers in the open round.
    groups_in_all : int
        In all rounds: how often answers had to be waited for.
    round : int
        The open round; 0 is the seed set.
    scored : list of dict
        The body of each ``scored`` event.
    finals : list of dict
        The body of each ``final`` event: trainings of the expensive learner.
    model : dict or None
        Reference of the latest model of the loop's own learner.
    refreshed : dict or None
        The body of the last ``final`` event that renewed the features.
    """

    answers: dict[int, Any] = field(default_factory=dict)
    label_rounds: dict[int, int] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)
    history: list[Past] = field(default_factory=list)
    times: dict[int, int] = field(default_factory=dict)
    spent: float = 0.0
    spent_in_round: float = 0.0
    groups: int = 0
    groups_in_all: int = 0
    round: int = 0
    exhausted: bool = False
    scored: list[dict[str, Any]] = field(default_factory=list)
    finals: list[dict[str, Any]] = field(default_factory=list)
    model: dict[str, Any] | None = None
    refreshed: dict[str, Any] | None = None

    @classmethod
    def fold(cls, events: Iterable[Event]) -> State:
        """Return the state after these events."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Take one event in."""
        if event.kind == "picked":
            body = event.body
            for pick in body["picks"]:
                position = int(pick["position"])
                answer = pick["answer"]
                if isinstance(answer, list):
                    answer = tuple(answer)
                self.history.append(
                    Past(position, body["round"], answer, pick.get("note"), body["strategy"])
                )
                self.times[position] = self.times.get(position, 0) + 1
                if answer is SKIPPED:
                    if position not in self.answers:  # a re-ask that is skipped changes nothing
                        self.skipped.add(position)
                else:
                    self.skipped.discard(position)
                    self.answers[position] = answer
                    self.label_rounds[position] = body["round"]
                cost = float(pick.get("cost", 1.0))
                self.spent += cost
                self.spent_in_round += cost
            self.groups += 1
            self.groups_in_all += 1
            self.exhausted = bool(body.get("exhausted", False))
        elif event.kind == "scored":
            self.scored.append(event.body)
            self.model = event.body["model"]
            self.round = int(event.body["round"]) + 1
            self.spent_in_round = 0.0
            self.groups = 0
        elif event.kind == "final":
            self.finals.append(event.body)
            if event.body["features"] is not None:
                self.refreshed = event.body
                self.model = event.body["model"]

    def until(self, number: int) -> State:
        """Return the labels as they were known at the end of a round, and nothing else.

        The answers of then: an item that was asked again later has the label that it had before.
        """
        before = State()
        for past in self.history:
            if past.round > number:
                break
            if past.answer is not SKIPPED:
                before.answers[past.position] = past.answer
                before.label_rounds[past.position] = past.round
        return before

    @property
    def positions(self) -> np.ndarray:
        """Labelled positions, int64 (m,)."""
        return np.fromiter(self.answers, dtype=np.int64, count=len(self.answers))

    def asked(self, positions: np.ndarray) -> np.ndarray:
        """Return how often each of these positions was asked before, int64 (k,)."""
        return np.array([self.times.get(int(p), 0) for p in positions], dtype=np.int64)

    def labels(self, kind: str, classes: int) -> np.ndarray:
        """Labels aligned with :attr:`positions`: (m,), or (m, C) for multilabel."""
        if kind == "multilabel":
            return np.array(list(self.answers.values()), dtype=np.int64).reshape(-1, classes)
        return np.fromiter(self.answers.values(), dtype=np.int64, count=len(self.answers))

    @property
    def rounds(self) -> np.ndarray:
        """The round of each label, int64 (m,)."""
        return np.array([self.label_rounds[p] for p in self.answers], dtype=np.int64)
