"""Files of answers, as annotators and their tools write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput
from labeltrain.sft.answers import Given
from labeltrain.sft.exporting import FIELD

ANSWERS = ("answer", "response", "completion", "output", "label")
PEOPLE = ("annotator", "user", "author")
FORMS = "give .jsonl or .csv with id and answer, or the .json that Argilla or Label Studio exports"


def read_answers(
    path: Path, *, id_field: str = "id", answer_field: str | None = None
) -> list[Given]:
    """Read answers from JSONL, CSV, or the JSON exports of Argilla and Label Studio.

    Lines without an answer are left out: they wait. A prompt that was skipped says so: ``status``
    or ``skipped`` in JSONL and CSV, a discarded response in Argilla, a cancelled annotation in
    Label Studio.

    Raises
    ------
    BadInput
        A file or line that cannot be read, a missing column.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist", "check the path")
    suffix = path.suffix.lower()
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".json": _json}
    if suffix not in readers:
        raise BadInput(f"{path}: unknown kind of file", FORMS)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8: {error.reason}", "save it as UTF-8") from error
    found = []
    for number, row in readers[suffix](text, path):
        given = _of_tool(row) if suffix == ".json" else None
        if given is None:
            given = _plain(row, id_field, answer_field, path, number)
        for item, answer, who in given:
            found.append(Given(number, item, answer, who))
    return found


def _jsonl(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise BadInput(f"{path}, line {number}: no JSON ({error})", "correct it") from error
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {number}: no object", 'write {"id": ..., "answer": ...}')
        yield number, row


def _csv(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    first = text.split("\n", 1)[0]
    mark = max((",", ";", "\t"), key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
    for row in reader:
        if row.get(None) is not None or None in row.values():  # type: ignore[call-overload]
            raise BadInput(
                f"{path}, line {reader.line_num}: more or fewer cells than the header",
                "quote cells that hold commas or line breaks",
            )
        yield reader.line_num, row


def _json(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: no JSON ({error})", FORMS) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{path} holds no list of records", FORMS)
    yield from enumerate(rows, start=1)


def _of_tool(row: Mapping[str, Any]) -> list[tuple[str, str | None, str]] | None:
    """Return the answers of a record of Argilla or Label Studio; None for any other."""
    if "fields" in row and "id" in row:
        found: list[tuple[str, str | None, str]] = []
        for one in (row.get("responses") or {}).get(FIELD, []):
            discarded = one.get("status") == "discarded"
            if one.get("status") != "draft":
                answer = None if discarded else str(one.get("value") or "")
                found.append((str(row["id"]), answer, str(one.get("user_id") or "")))
        return _last_said(found)
    if isinstance(row.get("data"), Mapping) and "id" in row["data"]:
        found = []
        for one in row.get("annotations", []):
            who = str(one.get("completed_by") or "")
            name = str(row["data"]["id"])
            if one.get("was_cancelled"):
                found.append((name, None, who))
                continue
            for part in one.get("result", []):
                if part.get("from_name") == FIELD:
                    texts = part.get("value", {}).get("text", [])
                    said = texts if isinstance(texts, str) else "\n".join(map(str, texts))
                    found.append((name, said, who))
        return _last_said(found)
    return None


def _last_said(
    found: list[tuple[str, str | None, str]],
) -> list[tuple[str, str | None, str]]:
    """Return the last answer; that somebody skipped counts only where nobody answered."""
    said = [one for one in found if one[1] is not None]
    return (said or found)[-1:]


def _plain(
    row: Mapping[str, Any], id_field: str, answer_field: str | None, path: Path, number: int
) -> list[tuple[str, str | None, str]]:
    name = row.get(id_field)
    if name is None or str(name) == "":
        raise BadInput(
            f"{path}, line {number}: there is no {id_field!r}",
            "keep the ids of the export, or name the column with --id-field",
        )
    column = answer_field or next((key for key in ANSWERS if key in row), None)
    if column is None or column not in row:
        wanted = repr(answer_field) if answer_field else " or ".join(map(repr, ANSWERS[:3]))
        raise BadInput(
            f"{path}, line {number}: there is no {wanted}; keys: {', '.join(map(str, row))}",
            "name it with --answer-field",
        )
    who = str(next((row[key] for key in PEOPLE if row.get(key)), ""))
    skipped = str(row.get("skipped", "")).lower() in ("true", "1", "yes")
    if skipped or str(row.get("status", "")).lower() in ("skipped", "discarded"):
        return [(str(name), None, who)]
    value = row[column]
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    if value is None or not str(value).strip():
        return []  # not answered yet
    return [(str(name), str(value), who)]
