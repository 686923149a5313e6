"""The files a project hands out and takes in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeltrain.data.checks import missing_column
from labeltrain.data.readers import Columns, read_delimited, read_jsonl, read_parquet
from labeltrain.errors import BadInput, nearest
from labeltrain.store.files import replace_bytes

SKIP_WORDS = ("skip", "don't know", "dont know", "don’t know", "do not know", "?", "unsure")
WITHDRAW_WORDS = ("withdraw", "withdrawn", "(withdraw)")
LABEL_COLUMNS = ("label", "class", "category", "target", "y", "answer")
ANNOTATOR_COLUMNS = ("annotator", "annotators", "user", "labeller")


@dataclass(frozen=True)
class Answer:
    """One row of a file of answers: `what` is labelled, skipped or withdrawn."""

    row: int
    id: str
    what: str
    label: str | None
    annotator: str


def read_columns(path: Path, *, encoding: str = "utf-8") -> Columns:
    """Read a CSV, TSV, JSONL or Parquet file.

    Raises
    ------
    BadInput
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist", "check the path")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return read_jsonl(path, encoding=encoding)
    if suffix == ".parquet":
        return read_parquet(path)
    if suffix == ".tsv":
        return read_delimited(path, delimiter="\t", encoding=encoding)
    if suffix == ".csv":
        return read_delimited(path, delimiter=_delimiter(path, encoding), encoding=encoding)
    raise BadInput(f"{path}: a file of answers ends in .csv, .tsv, .jsonl or .parquet", "rename it")


def _delimiter(path: Path, encoding: str) -> str:
    """Return ';' when a spreadsheet program saved the file with semicolons."""
    with path.open("rb") as file:
        head = file.readline().decode(encoding, errors="replace")
    return ";" if head.count(";") > head.count(",") else ","


def read_answers(
    path: Path,
    classes: Sequence[str],
    *,
    id_column: str | None = None,
    label_column: str | None = None,
    annotator: str = "",
    add_classes: bool = False,
    encoding: str = "utf-8",
) -> tuple[list[Answer], list[str]]:
    """Read a file of answers.

    Returns
    -------
    answers : list of Answer
        Rows with an empty label are left out: they are not answered yet.
    new : list of str
        Classes seen for the first time; only with `add_classes`.

    Raises
    ------
    BadInput
        Missing columns, empty ids, labels that are no class, two answers of one annotator to one
        item that differ. Nothing of the file is taken in then.
    """
    source = read_columns(path, encoding=encoding)
    ids = source.values[_column(source, id_column, ("id", "item", "item_id"), "id_column")]
    labels = source.values[_column(source, label_column, LABEL_COLUMNS, "label_column")]
    people: Sequence[Any] = [annotator] * len(ids)
    for name in ANNOTATOR_COLUMNS:
        if name in source.values:
            people = [annotator if _blank(v) else v for v in source.values[name]]
            break
    rows = [
        (number, *row) for number, row in enumerate(zip(ids, labels, people, strict=True), start=1)
    ]
    return interpret(rows, classes, str(path), add_classes=add_classes)


def interpret(
    rows: Iterable[tuple[int, Any, Any, Any]],
    classes: Sequence[str],
    where: str,
    *,
    add_classes: bool = False,
) -> tuple[list[Answer], list[str]]:
    """Turn rows of (number, id, label, annotator) into answers; see :func:`read_answers`."""
    known = {c.lower(): c for c in reversed(classes)} | {c: c for c in classes}
    new: list[str] = []
    answers: list[Answer] = []
    first: dict[tuple[str, str], Answer] = {}
    for row, identifier, value, person in rows:
        if _blank(value):
            continue
        if _blank(identifier):
            raise BadInput(f"{where}, row {row}: the id is empty", "give the item's id")
        text, item = _text(value), _text(identifier)
        if text in known or text.lower() in known:
            what, label = "labelled", known.get(text) or known[text.lower()]
        elif text.lower() in SKIP_WORDS:
            what, label = "skipped", None
        elif text.lower() in WITHDRAW_WORDS:
            what, label = "withdrawn", None
        elif add_classes:
            what, label = "labelled", text
            new.append(text)
            known[text] = text
        else:
            close = nearest(text, classes)
            hint = f"did you mean {close!r}? " if close else ""
            raise BadInput(
                f"{where}, row {row}, item {item!r}: {text!r} is not a class of this project",
                f"{hint}classes: {', '.join(classes)}; skip means don't know; "
                "--add-classes takes new classes in",
            )
        answer = Answer(row, item, what, label, _text(person))
        before = first.get((item, answer.annotator))
        if before is not None and (before.what, before.label) != (what, label):
            raise BadInput(
                f"{where}, rows {before.row} and {row}: item {item!r} has two different answers "
                f"({before.label or before.what} and {label or what})",
                "keep one, or say in a column `annotator` who gave which",
            )
        if before is None:
            first[(item, answer.annotator)] = answer
            answers.append(answer)
    return answers, new


def _column(source: Columns, given: str | None, usual: Sequence[str], option: str) -> str:
    if given is not None:
        if given not in source.values:
            raise missing_column(given, list(source.values), source.where, option)
        return given
    lowered = {name.lower(): name for name in reversed(list(source.values))}
    for name in usual:
        if name in lowered:
            return lowered[name]
    raise BadInput(
        f"{source.where} has no column {' or '.join(repr(u) for u in usual[:2])}",
        f"name it with --{option.replace('_', '-')}; columns: {', '.join(source.values)}",
    )


def _blank(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a spreadsheet made 3 into 3.0
    return str(value).strip()


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV, TSV, JSONL or Parquet, by the suffix, in one step.

    Raises
    ------
    BadInput
        Another suffix.
    StoreUnwritable
        Full disk, read-only directory.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writerow(columns)
        writer.writerows([["" if r.get(c) is None else r[c] for c in columns] for r in rows])
        replace_bytes(path, buffer.getvalue().encode())
    elif suffix in (".jsonl", ".ndjson"):
        lines = [json.dumps({c: r.get(c) for c in columns}, ensure_ascii=False) for r in rows]
        replace_bytes(path, "".join(f"{line}\n" for line in lines).encode())
    elif suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({c: [r.get(c) for r in rows] for c in columns})
        sink = io.BytesIO()
        pq.write_table(table, sink)
        replace_bytes(path, sink.getvalue())
    else:
        raise BadInput(f"{path}: unknown kind of file", "end it in .csv, .tsv, .jsonl or .parquet")
