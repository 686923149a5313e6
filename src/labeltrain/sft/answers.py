"""Answers that people gave to prompts: append-only, the latest of each prompt is in force."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labeltrain.errors import BadInput
from labeltrain.sft.workspace import PromptWorkspace

SKIPPED = None


@dataclass(frozen=True)
class Given:
    """One line of a file of answers.

    Attributes
    ----------
    line : int
    id : str
    answer : str or None
        None: the prompt was skipped, since nobody can answer it.
    annotator : str
    """

    line: int
    id: str
    answer: str | None
    annotator: str = ""


@dataclass(frozen=True)
class Taken:
    """What was done with a file of answers: numbers of lines.

    Attributes
    ----------
    new, changed, same, skipped : int
    """

    new: int
    changed: int
    same: int
    skipped: int


def answers_of(workspace: PromptWorkspace) -> dict[str, str]:
    """Return the answer in force of every answered prompt, by id."""
    held, _ = _folded(workspace)
    return held


def skipped_of(workspace: PromptWorkspace) -> set[str]:
    """Return the ids of prompts that somebody skipped and nobody answered."""
    return _folded(workspace)[1]


def _folded(workspace: PromptWorkspace) -> tuple[dict[str, str], set[str]]:
    held: dict[str, str] = {}
    skipped: set[str] = set()
    for event in workspace.events("answered"):
        for item, answer, _ in event.body["answers"]:
            if answer is SKIPPED:
                if item not in held:
                    skipped.add(item)
            else:
                held[item] = answer
                skipped.discard(item)
    return held, skipped


def take_answers(workspace: PromptWorkspace, given: Iterable[Given], source: str) -> Taken:
    """Commit answers, all or none.

    Raises
    ------
    BadInput
        An unknown id, an empty answer, or two answers to one prompt, with the lines.
    """
    rows = list(given)
    if not rows:
        raise BadInput(f"{source} holds no answers", "check the file")
    unknown = [row for row in rows if row.id not in workspace.position]
    if unknown:
        shown = ", ".join(f"{row.id!r} (line {row.line})" for row in unknown[:3])
        raise BadInput(
            f"{source}: {len(unknown)} ids are not in the pool of {workspace.folder}: {shown}",
            "ids are those of the export; check the file and --workspace",
        )
    seen: dict[str, Given] = {}
    for row in rows:
        other = seen.setdefault(row.id, row)
        if other.answer != row.answer:
            raise BadInput(
                f"{source}: {row.id!r} has two answers (lines {other.line} and {row.line})",
                "keep one of them",
            )
    empty = [row for row in rows if row.answer is not SKIPPED and not row.answer.strip()]
    if empty:
        raise BadInput(
            f"{source}, line {empty[0].line}: the answer to {empty[0].id!r} is empty",
            "leave out prompts without an answer, or mark them as skipped",
        )
    held, skipped = _folded(workspace)
    fresh = [
        row
        for row in seen.values()
        if (row.id not in skipped and row.id not in held)
        or (row.answer is not SKIPPED and held.get(row.id) != row.answer)
    ]
    if fresh:
        body = [[row.id, row.answer, row.annotator] for row in fresh]
        workspace.append("answered", {"source": source, "answers": body})
    skips = sum(row.answer is SKIPPED for row in seen.values())
    new = sum(row.answer is not SKIPPED and row.id not in held for row in fresh)
    changed = sum(row.answer is not SKIPPED and row.id in held for row in fresh)
    return Taken(new, changed, len(seen) - skips - new - changed, skips)
