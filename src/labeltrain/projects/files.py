"""The files a project hands out and takes in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labeltrain.data.checks import missing_column
from labeltrain.data.readers import Columns, delimiter_of, read_delimited, read_jsonl, read_parquet
from labeltrain.errors import BadInput
from labeltrain.projects.answering import Row
from labeltrain.store.files import replace_bytes, unwritable

ID_COLUMNS = ("id", "item", "item_id")
LABEL_COLUMNS = ("label", "class", "category", "target", "y", "answer")
ANNOTATOR_COLUMNS = ("annotator", "annotators", "user", "labeller")
EXPORTED = ("answer", "chosen_by", "audit")  # what only `project export` writes together
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def read_rows(
    path: Path,
    *,
    id_column: str | None = None,
    label_column: str | None = None,
    annotator: str = "",
    encoding: str = "utf-8",
) -> list[Row]:
    """Read the rows of a file of answers.

    Raises
    ------
    BadInput
        The file is missing, empty or of another kind, or has no such column.
    """
    source = _columns(path, encoding)
    # Every annotator's own answer is told again, not the label in force.
    exported = label_column is None and all(name in source.values for name in EXPORTED)
    label = "answer" if exported else _column(source, label_column, LABEL_COLUMNS, "label_column")
    identifier = _column(source, id_column, ID_COLUMNS, "id_column")
    ids, labels = source.values[identifier], source.values[label]
    lowered = {name.lower(): name for name in reversed(list(source.values))}
    who = next((lowered[name] for name in ANNOTATOR_COLUMNS if name in lowered), None)
    if who is None or who in (identifier, label):
        people: Sequence[Any] = [annotator] * len(ids)
    else:
        people = [annotator if v is None or v == "" else v for v in source.values[who]]
    return [Row(n, *row) for n, row in enumerate(zip(ids, labels, people, strict=True), start=1)]


def _columns(path: Path, encoding: str) -> Columns:
    if not path.exists():
        raise BadInput(f"{path} does not exist", "check the path")
    if path.is_dir():
        raise BadInput(f"{path} is a directory", "give a file of answers")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return read_jsonl(path, encoding=encoding)
    if suffix == ".parquet":
        return read_parquet(path)
    if suffix in (".csv", ".tsv"):
        return read_delimited(path, delimiter=delimiter_of(path, encoding), encoding=encoding)
    check_suffix(path)
    raise AssertionError(suffix)  # pragma: no cover


def _column(source: Columns, given: str | None, usual: Sequence[str], option: str) -> str:
    if given is not None:
        if given not in source.values:
            raise missing_column(given, list(source.values), source.where, option)
        return given
    lowered = {name.lower(): name for name in reversed(list(source.values))}
    for name in usual:
        if name in source.values:
            return name
        if name in lowered:
            return lowered[name]
    raise BadInput(
        f"{source.where} has no column {' or '.join(repr(u) for u in usual[:2])}",
        f"name it with --{option.replace('_', '-')}; columns: {', '.join(source.values)}",
    )


def check_suffix(path: Path) -> None:
    """Refuse a kind of file that cannot be read or written.

    Raises
    ------
    BadInput
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(
            f"{path}: unknown kind of file",
            "use .csv, .tsv, .jsonl or .parquet (spreadsheets: save as CSV)",
        )


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before the work for it is done.

    Raises
    ------
    BadInput
        Unknown suffix, or a directory of that name.
    StoreUnwritable
        Its directory cannot be written.
    """
    check_suffix(path)
    check_place(path)


def check_place(path: Path) -> None:
    """Refuse a file that cannot be written, whatever its kind.

    Raises
    ------
    BadInput
        A directory has that name.
    StoreUnwritable
        Its directory cannot be written.
    """
    import tempfile

    if path.is_dir():
        raise BadInput(f"{path} is a directory", "give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


def write_rows(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    for_people: bool = False,
) -> None:
    """Write rows as CSV, TSV, JSONL or Parquet, by the suffix, in one step.

    Parameters
    ----------
    for_people : bool
        The file will be opened in a spreadsheet. Texts that it would run as a formula (``=1+1``,
        ``@name``, ``-dash``) get an apostrophe in front, in CSV and TSV, in all columns but the
        first, the id.

    Raises
    ------
    BadInput
        Another suffix.
    StoreUnwritable
        Full disk, read-only directory.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writerow(columns)
        for row in rows:
            cells = ["" if row.get(c) is None else row[c] for c in columns]
            writer.writerow([cells[0], *map(_harmless, cells[1:])] if for_people else cells)
        replace_bytes(path, buffer.getvalue().encode(errors="replace"))
    elif suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({c: [_sound(r.get(c)) for r in rows] for c in columns})
        sink = io.BytesIO()
        pq.write_table(table, sink)
        replace_bytes(path, sink.getvalue())
    else:
        lines = [
            json.dumps({c: _sound(r.get(c)) for c in columns}, ensure_ascii=False) for r in rows
        ]
        replace_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.lstrip().startswith(("=", "+", "-", "@")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _sound(cell: Any) -> Any:
    """Replace halves of surrogate pairs, which no file can hold."""
    if isinstance(cell, str) and not cell.isascii():
        return cell.encode(errors="replace").decode()
    return cell
