"""CSV, TSV, JSONL and Parquet files as columns of values."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput


@dataclass(frozen=True)
class Columns:
    """The columns of one source, before any of them has a meaning.

    Attributes
    ----------
    where : str
        The file or data set, for messages.
    values : dict of str to list of length n
        None where there is no value.
    folder : pathlib.Path or None
        What relative paths in the columns are relative to.
    classes : dict of str to tuple of str
        Class names of the columns that hold class numbers.
    pictures : tuple of str
        Columns known to hold image paths.
    facts : dict of str to str
    test_from : int or None
        Rows from here on are the source's own test split.
    """

    where: str
    values: dict[str, list[Any]]
    folder: Path | None = None
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    test_from: int | None = None

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), []))


def delimiter_of(path: Path, encoding: str) -> str:
    """Return the mark between the columns: spreadsheet programs choose it by country."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open("rb") as file:
            head = file.readline().decode(encoding, errors="replace")
    except (OSError, LookupError):
        return usual  # the reader says what is wrong
    return max((usual, ",", ";", "\t"), key=head.count)


def read_delimited(path: Path, *, delimiter: str, encoding: str = "utf-8") -> Columns:
    """Read a CSV or TSV file with a header row. Blank lines are skipped.

    Parameters
    ----------
    path : pathlib.Path
    delimiter : str
        One character.
    encoding : str
        "utf-8" also accepts a byte order mark.

    Returns
    -------
    Columns
        All values are str.

    Raises
    ------
    BadInput
        Empty, header only, wrong encoding, a row of another length, repeated column names.
    """
    if len(delimiter) != 1:
        raise BadInput(f"the delimiter {delimiter!r} is not one character", "use one, such as ';'")
    reader = csv.reader(
        io.StringIO(_decode(path, encoding), newline=""), delimiter=delimiter, strict=True
    )
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # one long document is no error
    header: list[str] = []
    rows: list[list[str]] = []
    line = 1
    try:
        for cells in reader:
            if cells and not header:
                header = _header(cells, path, delimiter)
            elif cells and len(cells) != len(header):
                raise BadInput(
                    f"{path}, line {line}: {len(cells)} cells where the header has {len(header)}",
                    "quote cells that hold the delimiter, or fill up the row",
                )
            elif cells:
                rows.append(cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(
            f"{path}, the row that begins in line {line}: {error}",
            'close every quoted cell with ", and write a quote inside one as ""',
        ) from error
    if not header:
        raise _empty(path)
    if not rows:
        raise BadInput(f"{path} has a header and no rows", "add one row per item")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    return Columns(str(path), dict(columns), folder=path.parent, facts={"source": str(path)})


def read_jsonl(path: Path, *, encoding: str = "utf-8") -> Columns:
    """Read a file with one JSON object per line; an absent key means no value.

    Raises
    ------
    BadInput
        Empty, wrong encoding, or a line that is no JSON object.
    """
    rows: list[dict[str, Any]] = []
    # Only "\n" ends a line: other separators, such as U+2028, are legal inside a JSON string.
    for number, line in enumerate(_decode(path, encoding).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise BadInput(
                f"{path}, line {number}: no JSON ({error})", "write one object per line"
            ) from error
        if not isinstance(row, dict):
            raise BadInput(
                f"{path}, line {number}: {type(row).__name__} where an object is expected",
                'write lines such as {"text": "...", "label": "..."}',
            )
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise _empty(path)
    return Columns(
        str(path),
        {name: [row.get(name) for row in rows] for name in names},
        folder=path.parent,
        facts={"source": str(path)},
    )


def read_parquet(path: Path) -> Columns:
    """Read a Parquet file.

    Raises
    ------
    BadInput
        The file is no sound Parquet, or has no rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is no sound Parquet file: {error}", "write it again") from error
    if not table.num_rows or not table.num_columns:
        raise BadInput(f"{path} has no rows", "add one row per item")
    if len(set(table.column_names)) < table.num_columns:
        raise BadInput(f"{path} repeats a column name", "give every column its own name")
    return Columns(str(path), table.to_pydict(), folder=path.parent, facts={"source": str(path)})


TABULAR = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")


def read_columns(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None
) -> Columns:
    """Read a CSV, TSV, JSONL or Parquet file, by its suffix.

    Parameters
    ----------
    path : pathlib.Path
        Its suffix is one of ``TABULAR``.
    delimiter : str, optional
        Of CSV and TSV files; found in the header if not given.
    encoding : str, optional
        UTF-8 if not given; Parquet has none.

    Returns
    -------
    Columns

    Raises
    ------
    BadInput
        As the readers of these files.
    """
    suffix, words = path.suffix.lower(), encoding or "utf-8"
    if suffix in {".csv", ".tsv"}:
        mark = delimiter or delimiter_of(path, words)
        return read_delimited(path, delimiter=mark, encoding=words)
    if suffix in {".jsonl", ".ndjson"}:
        return read_jsonl(path, encoding=words)
    return read_parquet(path)


def _header(cells: list[str], path: Path, delimiter: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise BadInput(
            f"{path}: the header repeats the column {repeated[0]!r}",
            "give every column its own name",
        )
    other = next((mark for mark in ";\t|," if mark != delimiter and mark in header[0]), None)
    if len(header) == 1 and other is not None:
        raise BadInput(
            f"{path}: the header is one cell, {header[0]!r}, and holds {other!r}",
            f"set the option delimiter to {other!r}",
        )
    return header


def _empty(path: Path) -> BadInput:
    return BadInput(f"{path} is empty", "give it a header and one row per item")


def _decode(path: Path, encoding: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}", "check its permissions"
        ) from error
    name = "utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding
    try:
        return content.decode(name)
    except LookupError as error:
        raise BadInput(f"unknown encoding {encoding!r}", "try utf-8, latin-1 or cp1252") from error
    except UnicodeDecodeError as error:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise BadInput(
                f"{path} is UTF-16, not {encoding}",
                "save the file again as UTF-8, or set the option encoding to utf-16",
            ) from error
        offset = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, offset) + 1
        raise BadInput(
            f"{path}, line {line}: byte {offset} is not {encoding}",
            "save the file again as UTF-8, or set the option encoding (for example cp1252)",
        ) from error
