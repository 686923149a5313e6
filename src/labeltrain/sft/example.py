"""Files of real prompts to try everything with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labeltrain.data.question_sets import Question, split_questions
from labeltrain.store.files import replace_bytes


def write_example(
    folder: Path, tasks: Sequence[str], *, prompts: int, test: int, seed: int
) -> dict[str, int]:
    """Write ``pool.jsonl`` (prompts), ``answers.jsonl`` (theirs), ``test.jsonl`` (held out).

    Returns
    -------
    dict of str to int
        Lines of each file.
    """
    pool, held = split_questions(tasks, prompts=prompts, test=test, seed=seed)
    files = {
        "pool.jsonl": [{"id": q.id, "task": q.task, "prompt": q.prompt} for q in pool],
        "answers.jsonl": [{"id": q.id, "answer": q.answer} for q in pool],
        "test.jsonl": [test_record(q) for q in held],
    }
    written = {}
    for name, rows in files.items():
        replace_bytes(folder / name, _lines(rows))
        written[str(folder / name)] = len(rows)
    return written


def test_record(question: Question) -> dict[str, Any]:
    """Return a held-out question as `labeltrain sft eval` reads it."""
    row: dict[str, Any] = {
        "id": question.id,
        "task": question.task,
        "prompt": question.prompt,
        "answer": question.answer,
    }
    if len(question.accepted) > 1:
        row["accepted"] = list(question.accepted)
    if question.choices:
        row["choices"] = list(question.choices)
    return row


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
