"""Chosen prompts as files for those who answer them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.sft.answers import answers_of, shown_text
from labeltrain.sft.choosing import KeptChoice
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.scored_pool import ScoredPool
from labeltrain.sft.workspace import PromptWorkspace
from labeltrain.store.files import replace_bytes

FIELD = "response"  # what annotators write, in Argilla and in Label Studio
KEY = "prompt_id"  # Label Studio writes its own numbers over "id" in some of its exports
LABELLING_CONFIG = """<View>
  <Header value="Prompt"/>
  <Text name="prompt" value="$prompt"/>
  <TextArea name="response" toName="prompt" rows="8" editable="true" maxSubmissions="1"/>
</View>
"""


def export(
    workspace: PromptWorkspace,
    choice: KeptChoice,
    out: Path,
    style: str,
    *,
    pool: ScoredPool | None = None,
    drafts: bool = False,
    reserve: bool = False,
    answered: bool = False,
) -> dict[str, int]:
    """Write the prompts of a choice that wait for an answer.

    Parameters
    ----------
    workspace : PromptWorkspace
    choice : KeptChoice
    out : Path
    style : {"jsonl", "csv", "argilla", "label-studio"}
    pool : ScoredPool, optional
        For the model's own answers and scores.
    drafts : bool
        Show annotators the model's own answer, to be mended: quicker, but people keep what they
        see.
    reserve : bool
        The reserve, too, behind the choice.
    answered : bool
        Prompts that have an answer, too; JSONL and CSV hold it.

    Returns
    -------
    dict of str to int
        Prompts in each file that was written.

    Raises
    ------
    BadInput
        Unknown style, a suffix that does not fit it, nothing to export.
    """
    if style not in _STYLES:
        raise unknown_name("format", style, _STYLES)
    write, suffix = _STYLES[style]
    if out.suffix.lower() != suffix:
        raise BadInput(f"{out}: the format {style} is written to {suffix}", f"--out NAME{suffix}")
    if drafts and pool is None:
        raise BadInput("there are no drafts: no model scored the pool", "leave --drafts out")
    held = answers_of(workspace)
    positions = choice.positions.tolist() + (choice.reserve.tolist() if reserve else [])
    ranked = [
        (rank, position)
        for rank, position in enumerate(positions, start=1)
        if answered or workspace.prompts[position].id not in held
    ]
    if not ranked:
        raise BadInput(
            f"all {len(positions)} prompts of {choice.name!r} have an answer",
            "--answered exports them too",
        )
    rows = [
        _Row(
            workspace.prompts[position],
            rank,
            choice,
            pool.drafts[position] if drafts and pool is not None else "",
            _numbers(pool, position),
            held.get(workspace.prompts[position].id),
            rank > len(choice.positions),
        )
        for rank, position in ranked
    ]
    replace_bytes(out, write(rows))
    written = {str(out): len(rows)}
    if style == "label-studio":
        config = out.with_suffix(".xml")
        replace_bytes(config, LABELLING_CONFIG.encode())
        written[str(config)] = len(rows)
    return written


class _Row:
    def __init__(
        self,
        prompt: Prompt,
        rank: int,
        choice: KeptChoice,
        draft: str,
        scores: dict[str, float],
        answer: str | None,
        reserve: bool,
    ) -> None:
        self.answer, self.reserve = answer, reserve
        self.prompt, self.rank, self.draft, self.scores = prompt, rank, draft, scores
        self.method, self.choice = str(choice.body["method"]), choice.name

    @property
    def text(self) -> str:
        """The prompt as one text."""
        return shown_text(self.prompt)


def _numbers(pool: ScoredPool | None, position: int) -> dict[str, float]:
    if pool is None:
        return {}
    found = {name: float(values[position]) for name, values in pool.scores.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _jsonl(rows: Sequence[_Row]) -> bytes:
    lines = []
    for row in rows:
        record: dict[str, Any] = {
            "id": row.prompt.id,
            "task": row.prompt.task,
            "prompt": list(row.prompt.messages),
            "rank": row.rank,
            "method": row.method,
            "answer": row.answer,
        }
        if row.reserve:
            record["reserve"] = True
        if row.draft:
            record["draft"] = row.draft
        lines.append(json.dumps(record, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode()


def _csv(rows: Sequence[_Row]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    drafts, reserve = any(row.draft for row in rows), any(row.reserve for row in rows)
    head = ["id", "task", "rank", *(["reserve"] if reserve else []), "prompt"]
    writer.writerow([*head, *(["draft"] if drafts else []), "answer"])
    for row in rows:
        cells: list[Any] = [row.prompt.id, row.prompt.task, row.rank]
        cells += ["yes" if row.reserve else ""] if reserve else []
        cells += [row.text, *([row.draft] if drafts else []), row.answer or ""]
        writer.writerow(cells)
    return buffer.getvalue().encode("utf-8-sig")  # spreadsheets take plain UTF-8 for something else


def _argilla(rows: Sequence[_Row]) -> bytes:
    """Records as ``dataset.records.from_json`` of Argilla 2 reads them."""
    records = []
    for row in rows:
        record: dict[str, Any] = {
            "id": row.prompt.id,
            "fields": {"prompt": row.text},
            "metadata": {
                "task": row.prompt.task or "none",
                "rank": row.rank,
                "method": row.method,
                **row.scores,
            },
            "suggestions": {},
            "responses": {},
            "vectors": {},
        }
        if row.draft:
            record["suggestions"] = {FIELD: {"value": row.draft, "score": None, "agent": "draft"}}
        records.append(record)
    return (json.dumps(records, ensure_ascii=False, indent=1) + "\n").encode()


def _label_studio(rows: Sequence[_Row]) -> bytes:
    """Tasks as Label Studio imports them, for the labelling configuration beside them."""
    tasks = []
    for row in rows:
        data = {KEY: row.prompt.id, "prompt": row.text, "task": row.prompt.task, "rank": row.rank}
        task: dict[str, Any] = {"data": data}
        if row.draft:
            result = {
                "from_name": FIELD,
                "to_name": "prompt",
                "type": "textarea",
                "value": {"text": [row.draft]},
            }
            task["predictions"] = [{"model_version": "draft", "result": [result]}]
        tasks.append(task)
    return (json.dumps(tasks, ensure_ascii=False, indent=1) + "\n").encode()


_STYLES: dict[str, tuple[Callable[[Sequence[_Row]], bytes], str]] = {
    "jsonl": (_jsonl, ".jsonl"),
    "csv": (_csv, ".csv"),
    "argilla": (_argilla, ".json"),
    "label-studio": (_label_studio, ".json"),
}
STYLES = tuple(_STYLES)
