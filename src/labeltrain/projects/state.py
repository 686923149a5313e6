"""Where a project stands: a fold over its events, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labeltrain.store import Event
from labeltrain.strategies.base import Past

LABELLED, SKIPPED, WITHDRAWN = "labelled", "skipped", "withdrawn"
AUDIT = "audit"  # who picks what measures
MEMORY = ("memory_items", "memory_bytes")  # of a model's facts: what it keeps to replay


@dataclass(frozen=True)
class Vote:
    """The latest word of one annotator on one item; `label` is None for a skip."""

    annotator: str
    label: str | None
    order: int


@dataclass(frozen=True)
class OpenRound:
    """The round of a strategy that learns from each answer: its groups, asked one by one.

    Attributes
    ----------
    number : int
    strategy : str
    budget : int
        Questions of the strategy in all.
    asked : int
    groups : int
    classes : list of str
        When it was opened.
    """

    number: int
    strategy: str
    budget: int
    asked: int
    groups: int
    classes: list[str]

    @classmethod
    def after(
        cls, before: OpenRound | None, body: Mapping[str, Any], classes: list[str]
    ) -> OpenRound | None:
        """Return the round that an ``opened`` event begins or goes on with; None for a batch."""
        budget = body.get("budget")
        if budget is None:
            return None
        strategy = body["strategy"]
        asked = sum(1 for pick in body["picks"] if pick["strategy"] == strategy)
        if before is None or before.number != body["round"]:
            return cls(int(body["round"]), strategy, int(budget), asked, 1, classes)
        return replace(before, asked=before.asked + asked, groups=before.groups + 1)


@dataclass
class ProjectState:
    """All that a project knows of its items.

    Attributes
    ----------
    classes : list of str
    votes : dict of int to dict of str to Vote
        Position to annotator to latest answer; withdrawn answers are gone.
    asked : dict of int to dict
        Position to the pick as it was stored (round, strategy, score, note).
    returned : set of int
        Positions asked whose last answer was withdrawn: they wait for a new question, not for
        an answer.
    asked_again : set of int
        Positions that were answered and are asked again: they wait for a later answer.
    earlier : list of (int, dict, str or None)
        Picks of items that were asked again since, with the label in force then.
    audit_order : list of int
        Items set aside for the audit, in the order in which their turn comes.
    audit_set : frozenset of int
        The same items.
    rounds : int
        Rounds opened.
    measurements : list of dict
        The body of each ``measured`` event.
    measured_labels : dict of int to str
        The audit answers that the latest measurement was taken on.
    encoded : dict or None
        Which array file holds the features.
    first_round : dict of int to int
        Position to the number of rounds that were open when it was first answered.
    opened : OpenRound or None
        The last round, where it is that of a strategy that learns from each answer.
    model : dict or None
        Where the model of the last round lies that had one, for learners that go on from it:
        ``kind``, ``arrays`` and ``round``.
    """

    classes: list[str] = field(default_factory=list)
    votes: dict[int, dict[str, Vote]] = field(default_factory=dict)
    asked: dict[int, dict[str, Any]] = field(default_factory=dict)
    returned: set[int] = field(default_factory=set)
    asked_again: set[int] = field(default_factory=set)
    earlier: list[tuple[int, dict[str, Any], str | None]] = field(default_factory=list)
    audit_order: list[int] = field(default_factory=list)
    audit_set: frozenset[int] = frozenset()
    rounds: int = 0
    measurements: list[dict[str, Any]] = field(default_factory=list)
    measured_labels: dict[int, str] = field(default_factory=dict)
    encoded: dict[str, Any] | None = None
    first_round: dict[int, int] = field(default_factory=dict)
    answers: int = 0
    opened: OpenRound | None = None
    model: dict[str, Any] | None = None

    @classmethod
    def fold(cls, events: Iterable[Event]) -> ProjectState:
        """Return the state after these events."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Take one event in."""
        body = event.body
        if event.kind == "classes":
            self.classes += body["added"]
            dropped = body.get("removed", [])
            self.classes = [name for name in self.classes if name not in dropped]
        elif event.kind == "reserved":
            self.audit_order = [int(p) for p in body["positions"]]
            self.audit_set = frozenset(self.audit_order)
        elif event.kind == "encoded":
            self.encoded = body
        elif event.kind == "opened":
            self.rounds = body["round"] + 1
            self.opened = OpenRound.after(self.opened, body, list(self.classes))
            if body.get("model"):
                self.model = {**body["model"], "round": body["round"]}
            for pick in body["picks"]:
                self._ask(int(pick["position"]), {**pick, "round": body["round"]})
        elif event.kind == "answered":
            for answer in body["answers"]:
                self._answer(answer)
        elif event.kind == "measured":
            self.measurements.append(body)
            self.measured_labels = self.audited()

    def _ask(self, position: int, pick: dict[str, Any]) -> None:
        before = self.asked.pop(position, None)  # asked again: now it is the latest
        self.returned.discard(position)
        if position in self.votes and pick["strategy"] != AUDIT:  # an audit takes what is there
            self.asked_again.add(position)
            if before is not None:
                self.earlier.append((position, before, self.label(position)))
        self.asked[position] = pick

    def _answer(self, answer: dict[str, Any]) -> None:
        position, annotator = int(answer["position"]), answer["annotator"]
        self.answers += 1
        if answer["what"] == WITHDRAWN:
            self._withdraw(position, annotator)
            return
        held = self.votes.setdefault(position, {})
        self.returned.discard(position)
        label = answer["label"] if answer["what"] == LABELLED else None
        held[annotator] = Vote(annotator, label, self.answers)
        self.asked_again.discard(position)
        self.first_round.setdefault(position, self.rounds)

    def _withdraw(self, position: int, annotator: str) -> None:
        held = self.votes.get(position, {})
        if held.pop(annotator, None) is None or held:
            return
        # Nobody's answer is left: as if it had never been given.
        self.asked_again.discard(position)
        self.earlier = [found for found in self.earlier if found[0] != position]
        del self.votes[position], self.first_round[position]
        if position in self.asked:
            self.returned.add(position)

    def label(self, position: int) -> str | None:
        """Return the label in force: the majority of the annotators, the latest on a tie."""
        votes = [v for v in self.votes.get(position, {}).values() if v.label is not None]
        if len(votes) < 2:
            return votes[0].label if votes else None
        counts = Counter(v.label for v in votes)
        most = max(counts.values())
        leaders = [v for v in votes if counts[v.label] == most]
        return max(leaders, key=lambda v: v.order).label

    def skipped(self, position: int) -> bool:
        """Return True when all who answered said that they do not know."""
        votes = self.votes.get(position, {})
        return bool(votes) and all(v.label is None for v in votes.values())

    def disputed(self, position: int) -> bool:
        """Return True when annotators gave different labels."""
        labels = {v.label for v in self.votes.get(position, {}).values()} - {None}
        return len(labels) > 1

    def labels(self) -> dict[int, str]:
        """Return position to label of every labelled item, in the order first answered."""
        found = {}
        for position in self.votes:
            label = self.label(position)
            if label is not None:
                found[position] = label
        return found

    @property
    def pending(self) -> list[int]:
        """Positions that wait for an answer, or for another one, in the order asked."""
        return [
            p
            for p in self.asked
            if p in self.asked_again or (p not in self.votes and p not in self.returned)
        ]

    @property
    def questions(self) -> int:
        """Questions asked, without those that went back to the pool."""
        return len(self.asked) - len(self.returned)

    def is_audit(self, position: int) -> bool:
        """Return True for an item that is set aside for the audit."""
        return position in self.audit_set

    def training(self) -> tuple[np.ndarray, list[str]]:
        """Return positions and labels that may train: all but those set aside for the audit."""
        labels = {p: v for p, v in self.labels().items() if p not in self.audit_set}
        return np.fromiter(labels, dtype=np.int64, count=len(labels)), list(labels.values())

    def audited(self) -> dict[int, str]:
        """Return position to label of the audit items that were asked and answered.

        Only items that were asked count: an answer somebody volunteered on a later one is kept,
        and counts when its turn comes, so that nobody's choice bends the sample.
        """
        found = {}
        for position in self.audit_order:
            if position in self.asked:
                label = self.label(position)
                if label is not None:
                    found[position] = label
        return found

    @property
    def audit_asked(self) -> int:
        """Audit items whose turn has come."""
        return sum(1 for p in self.audit_order if p in self.asked)

    @property
    def audit_changed(self) -> bool:
        """An answer that the latest measurement was taken on is no longer the one in force."""
        return any(self.label(p) != label for p, label in self.measured_labels.items())

    def history(self) -> list[Past]:
        """Return the picks so far as strategies see them: not the audit's, none withdrawn."""
        number = {c: i for i, c in enumerate(self.classes)}
        picks = list(self.earlier)
        for position, pick in self.asked.items():
            if position not in self.returned:
                waits = position in self.asked_again
                picks.append((position, pick, None if waits else self.label(position)))
        picks.sort(key=lambda found: found[1]["round"])
        return [
            Past(
                position,
                pick["round"],
                None if label is None else number.get(label),
                pick.get("note"),
                pick["strategy"],
            )
            for position, pick, label in picks
            if position not in self.audit_set
        ]
