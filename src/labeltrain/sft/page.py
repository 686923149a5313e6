"""The page of a workspace of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labeltrain.report.markup import Cell, Row, facts, paragraph, table, text
from labeltrain.report.style import STYLE
from labeltrain.report.words import seconds_text
from labeltrain.store.files import replace_bytes

SHARES = ("prompts_cut", "unfinished")
NAMES = {
    "tflop": "TFLOP", "score_tflop": "TFLOP to score", "embed_tflop": "TFLOP to embed",
    "train_tflop": "TFLOP to train",
    "prompt_tokens": "tokens a prompt", "answer_tokens": "tokens an answer",
    "prompts_cut": "prompts shortened (%)", "unfinished": "answers not finished (%)",
    "left_out": "repeats left out", "labels": "answers", "cut": "shortened",
    "nll": "NLL", "exact_match": "exact match (%)", "rouge_l": "ROUGE-L (%)",
    "target_unexplained": "target that no task explains (%)",
    "choice_accuracy": "choice accuracy (%)", "ratio": "(score + embed + select) / train",
}  # fmt: skip
IN_PERCENT = (*SHARES, "target_unexplained", "exact_match", "rouge_l", "choice_accuracy")
IN_SECONDS = ("seconds", "score", "embed", "select", "train")


def write_page(shown: Mapping[str, Any], folder: Path, title: str) -> Path:
    """Write ``sft.html`` into a folder.

    Parameters
    ----------
    shown : mapping
        What :func:`labeltrain.sft.overview.overview` returns.
    folder : Path
    title : str
    """
    pool = shown["pool"]
    parts = [
        f"<h1>{text(title)}</h1>",
        facts(
            [
                ("Prompts", f"{pool['prompts']:,}"),
                ("Answered", f"{pool['answered']:,}"),
                ("Skipped", f"{pool['skipped']:,}"),
                ("Repeats", f"{pool['exact_repeats']:,} exact, {pool['near_repeats']:,} near"),
            ]
        ),
    ]
    if len(pool["tasks"]) > 1:
        parts += ["<h2>Tasks</h2>", _tasks(pool, shown["choices"])]
    for name, heading, note in (
        ("scorings", "Scores", "A score that goes with the length of answers chooses by length."),
        ("choices", "Choices", ""),
        ("models", "Trained models", "Scores are means over tasks; eval prints their intervals."),
        ("evaluations", "Evaluations", ""),
        (
            "overhead",
            "What it cost",
            "Seconds of score and embed are those of the whole pool, once, however many choices "
            "are made from them, and estimated from 64 where a cache held most. Operations: 2 a "
            "weight and token to score, 6 to train all weights, 4 with LoRA; of an encoder those "
            "of its matrix products, counted on 64 prompts. Choosing is timed only.",
        ),
    ):
        rows = [{k: v for k, v in row.items() if k != "tasks"} for row in shown[name]]
        if rows:
            parts += [f"<h2>{heading}</h2>", _table(rows)]
            parts += [paragraph(note, "note")] if note else []
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
    path = folder / "sft.html"
    replace_bytes(path, page.encode())
    return path


def _tasks(pool: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> str:
    """Return how many prompts of each task the pool has, and each choice took."""
    head = [Cell("task"), Cell("pool"), *(Cell(c["choice"]) for c in choices)]
    rows = []
    for task, count in pool["tasks"].items():
        cells = [Cell(task or "none"), Cell(f"{count:,}", f"{count / pool['prompts']:.0%}")]
        for choice in choices:
            mine = choice["tasks"].get(task, 0)
            share = f"{mine / max(choice['chosen'], 1):.0%}"
            cells.append(Cell(f"{mine:,}", share))
        rows.append(Row(tuple(cells)))
    return table(head, rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = [Cell(NAMES.get(name, name.replace("_", " "))) for name in names]
    return table(head, [Row(tuple(Cell(cell(n, row.get(n))) for n in names)) for row in rows])


def cell(name: str, value: Any) -> str:
    """Return a number as people read it."""
    if value is None:
        return "\N{EN DASH}"
    if name in IN_SECONDS and isinstance(value, float):
        return seconds_text(value)
    if name in IN_PERCENT:
        return f"{100 * value:.1f}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
