"""From the rows of a file, or of a mapping, to answers: what each means, or why it is refused."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from labeltrain.errors import BadInput, nearest
from labeltrain.projects.founding import writable
from labeltrain.projects.state import LABELLED, SKIPPED, WITHDRAWN, ProjectState

SKIP_WORDS = ("skip", "don't know", "dont know", "do not know", "?", "unsure")
WITHDRAW_WORDS = ("withdraw", "withdrawn", "(withdraw)")
NEAR = 0.85  # a new class this similar to another is likely a spelling mistake
SUGGEST_AMONG = 20_000  # looking for a similar id among more would take seconds


@dataclass(frozen=True)
class Row:
    """One row as it was given; `number` counts from 1."""

    number: int
    id: Any
    label: Any
    annotator: Any


@dataclass(frozen=True)
class Answer:
    """One answer: `what` is labelled, skipped or withdrawn."""

    row: int
    id: str
    what: str
    label: str | None
    annotator: str

    @property
    def said(self) -> str:
        """The answer as words for a message."""
        return self.label if self.label is not None else self.what


def skip_word(classes: Sequence[str]) -> str:
    """Return a word that means "don't know" and is no class of the project."""
    taken = {_folded(c) for c in classes}
    return next((word for word in SKIP_WORDS if word not in taken), SKIP_WORDS[0])


def interpret(
    rows: Iterable[Row],
    classes: Sequence[str],
    positions: Mapping[str, int],
    where: str,
    *,
    add_classes: bool = False,
) -> tuple[list[Answer], list[str]]:
    """Return what rows say, and the classes seen for the first time.

    A label is first looked up among the classes as it is written, then in any spelling of upper
    and lower case, then as the number that a spreadsheet made of it, and only then as a word for
    skip or withdraw: a class may be called "skip". Rows with an empty label are no answers.

    Raises
    ------
    BadInput
        Empty or unknown ids, labels that are no class, two answers of one annotator to one item
        that differ. Nothing is taken in then.
    """
    names = _Classes(classes, where, add_classes)
    ids = _Ids(positions)
    strangers: list[Row] = []
    first: dict[tuple[str, str], Answer] = {}
    for row in rows:
        if _blank(row.label):
            continue
        if _blank(row.id):
            raise BadInput(f"{where}, row {row.number}: the id is empty", "give the item's id")
        item = ids.find(as_text(row.id))
        if item is None:
            strangers.append(row)
            continue
        what, label = names.meaning(as_text(row.label), row.number, item)
        person = "" if _blank(row.annotator) else as_text(row.annotator)
        answer = Answer(row.number, item, what, label, writable(person, where))
        before = first.setdefault((item, person), answer)
        if (before.what, before.label) != (what, label):
            raise BadInput(
                f"{where}, rows {before.row} and {row.number}: item {item!r} has two different "
                f"answers ({before.said} and {answer.said})",
                "keep one, or say in a column `annotator` who gave which",
            )
    if strangers:
        raise _unknown_ids(strangers, positions, where)
    return list(first.values()), names.new


class _Classes:
    """Finds the class that a label means."""

    def __init__(self, classes: Sequence[str], where: str, add: bool) -> None:
        self.where, self.add = where, add
        self.new: list[str] = []
        self.exact: dict[str, str] = {}
        self.folded: dict[str, list[str]] = defaultdict(list)
        for name in classes:
            self._hold(name)
        self.known: dict[str, tuple[str, str | None]] = {}

    def _hold(self, name: str) -> None:
        self.exact[unicodedata.normalize("NFC", name)] = name
        self.folded[_folded(name)].append(name)

    def meaning(self, text: str, row: int, item: str) -> tuple[str, str | None]:
        if text not in self.known:
            self.known[text] = self._meaning(text, row, item)
        return self.known[text]

    def _meaning(self, text: str, row: int, item: str) -> tuple[str, str | None]:
        exact = self.exact.get(unicodedata.normalize("NFC", text))
        if exact is not None:
            return LABELLED, exact
        for spelling in (_folded(text), _folded(_whole(text))):
            alike = self.folded.get(spelling, [])
            if len(alike) == 1:
                return LABELLED, alike[0]
            if alike:
                raise BadInput(
                    f"{self.where}, row {row}, item {item!r}: {text!r} could be "
                    + " or ".join(repr(a) for a in alike),
                    "write it exactly like the class",
                )
        if _folded(text) in SKIP_WORDS:
            return SKIPPED, None
        if _folded(text) in WITHDRAW_WORDS:
            return WITHDRAWN, None
        if self.add:
            self.new.append(writable(text, self.where))
            self._hold(text)
            return LABELLED, text
        known = list(self.exact.values())
        close = nearest(text, known)
        shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise BadInput(
            f"{self.where}, row {row}, item {item!r}: {text!r} is not a class of this project",
            (f"did you mean {close!r}? " if close else "")
            + f"classes: {shown}; {skip_word(known)} means don't know; "
            "--add-classes (add_classes=True) takes new classes in",
        )


class _Ids:
    """Finds the item that an id means, also after a spreadsheet made 7 or 7.0 of 007."""

    def __init__(self, positions: Mapping[str, int]) -> None:
        self.positions = positions
        self._numbers: dict[int, list[str]] | None = None

    def find(self, text: str) -> str | None:
        if text in self.positions:
            return text
        whole = _whole(text)
        if whole in self.positions:
            return whole
        if not _DIGITS.fullmatch(whole):
            return None
        if self._numbers is None:
            self._numbers = defaultdict(list)
            for name in self.positions:
                if _DIGITS.fullmatch(name):
                    self._numbers[int(name)].append(name)
        alike = self._numbers.get(int(whole), [])
        return alike[0] if len(alike) == 1 else None


_DIGITS = re.compile(r"[0-9]{1,18}")


def _unknown_ids(rows: Sequence[Row], positions: Mapping[str, int], where: str) -> BadInput:
    shown = ", ".join(f"{as_text(r.id)!r} (row {r.number})" for r in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    close = nearest(as_text(rows[0].id), positions) if len(positions) <= SUGGEST_AMONG else None
    return BadInput(
        f"{where}: {len(rows)} id(s) are not items of this project: {shown}{more}",
        (f"did you mean {close!r}? " if close else "")
        + "nothing was taken in; use the ids of the file that `next` wrote",
    )


def near_misses(new: Sequence[str], classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return new classes that may be spelling mistakes, each with the class it is close to.

    Names that differ in their digits only ("level 1", "level 2") are meant to.
    """
    found = []
    known = {name: _folded(name) for name in classes}
    for name in new:
        text = _folded(name)
        ratios = {
            other: SequenceMatcher(None, text, spelt).ratio()
            for other, spelt in known.items()
            if _undigited(spelt) != _undigited(text)
        }
        nearest_one = max(ratios, key=ratios.__getitem__, default=None)
        if nearest_one is not None and ratios[nearest_one] >= NEAR:
            found.append((name, nearest_one))
        known[name] = text
    return found


def _undigited(text: str) -> str:
    return re.sub("[0-9]+", "", text)


def _blank(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def as_text(value: Any) -> str:
    """Return a cell as text; a whole number that was stored as a fraction is whole again."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _whole(text: str) -> str:
    """Take back what a spreadsheet did: 3.0 or 3,0 is 3."""
    return re.sub(r"^(-?[0-9]+)[.,]0+$", r"\1", text)


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return " ".join(text.split())


def to_store(
    answers: Sequence[Answer], state: ProjectState, positions: Mapping[str, int]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the answers that change something, and how many had which effect."""
    counts = dict.fromkeys(("new", "changed", "withdrawn", "skipped", "repeated", "unasked"), 0)
    stored = []
    for answer in answers:
        position = positions[answer.id]
        effect = _effect(answer, state, position)
        counts[effect] += 1
        if effect == "repeated" and not _confirms(answer, state, position):
            continue
        counts["unasked"] += position not in state.asked and answer.what != WITHDRAWN
        stored.append(
            {
                "position": position,
                "id": answer.id,
                "what": answer.what,
                "label": answer.label,
                "annotator": answer.annotator,
                "effect": effect,
            }
        )
    return stored, counts


def _confirms(answer: Answer, state: ProjectState, position: int) -> bool:
    """Return True for the same answer to a question that was asked again: it is answered now."""
    return position in state.asked_again and answer.what != WITHDRAWN


def _effect(answer: Answer, state: ProjectState, position: int) -> str:
    held = state.votes.get(position, {}).get(answer.annotator)
    if answer.what == WITHDRAWN:
        return "withdrawn" if held is not None else "repeated"
    if held is not None:
        return "repeated" if held.label == answer.label else "changed"
    return "skipped" if answer.what == SKIPPED else "new"
