"""Answers that people gave to prompts: append-only, the latest of each prompt is in force."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labeltrain.errors import BadInput
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.workspace import PromptWorkspace

SKIPPED = None
CELL = 32_000  # letters that spreadsheets keep of a cell


@dataclass(frozen=True)
class Given:
    """One line of a file of answers.

    Attributes
    ----------
    line : int
    id : str
    answer : str or None
        None: the prompt was skipped, since nobody can answer it; or withdrawn.
    annotator : str
    prompt : str
        As it stands beside the answer; "" where the file has none. It has to be the one of the id.
    withdrawn : bool
        The answer in force is taken back: the prompt waits again.
    """

    line: int
    id: str
    answer: str | None
    annotator: str = ""
    prompt: str = ""
    withdrawn: bool = False


@dataclass(frozen=True)
class Taken:
    """What was done with a file of answers: numbers of lines.

    Attributes
    ----------
    new, changed, same, skipped, withdrawn : int
        A prompt that is answered already, or was skipped, and is skipped now, counts as the same.
    """

    new: int
    changed: int
    same: int
    skipped: int
    withdrawn: int = 0


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
        for item in event.body.get("withdrawn", ()):
            held.pop(item, None)
            skipped.discard(item)
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
        An unknown id, another prompt than that of the id, an empty answer, or two answers to one
        prompt, with the lines.
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
    _refuse_other_prompts(workspace, rows, source)
    seen: dict[str, Given] = {}
    for row in rows:
        other = seen.setdefault(row.id, row)
        if (other.answer, other.withdrawn) != (row.answer, row.withdrawn):
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
    taken_back = [
        row.id for row in seen.values() if row.withdrawn and (row.id in held or row.id in skipped)
    ]
    fresh = [
        row
        for row in seen.values()
        if not row.withdrawn
        and (
            (row.id not in skipped and row.id not in held)
            or (row.answer is not SKIPPED and held.get(row.id) != row.answer)
        )
    ]
    if fresh or taken_back:
        body: dict[str, object] = {
            "source": source,
            "answers": [[row.id, row.answer, row.annotator] for row in fresh],
        }
        if taken_back:
            body["withdrawn"] = taken_back
        workspace.append("answered", body)
    skips = sum(row.answer is SKIPPED for row in fresh)
    new = sum(row.answer is not SKIPPED and row.id not in held for row in fresh)
    changed = len(fresh) - skips - new
    same = len(seen) - len(fresh) - len(taken_back)
    return Taken(new, changed, same, skips, len(taken_back))


def _refuse_other_prompts(workspace: PromptWorkspace, rows: Iterable[Given], source: str) -> None:
    """Raise where the text beside an answer is not that of the prompt of its id.

    Tools that number their records overwrite ids: the answers would go to other prompts.
    """
    for row in rows:
        if not row.prompt.strip():
            continue
        prompt = workspace.prompts[workspace.position[row.id]]
        said = _plain(row.prompt)
        meant = [_plain(text) for text in (shown_text(prompt), prompt.text)]
        cut = len(row.prompt) > CELL and any(text.startswith(said) for text in meant)
        if said not in meant and not cut:
            raise BadInput(
                f"{source}, line {row.line}: {row.id!r} is another prompt in the pool: here it is "
                f"{row.prompt.strip()[:60]!r}",
                "the ids have to be those of the export: name their column with --id-field",
            )


def _plain(text: str) -> str:
    return "".join(text.split())


def shown_text(prompt: Prompt) -> str:
    """Return a prompt as annotators see it: of several messages, each with who says it."""
    if len(prompt.messages) == 1:
        return prompt.messages[0]["content"]
    return "\n\n".join(f"{m['role'].capitalize()}: {m['content']}" for m in prompt.messages)
