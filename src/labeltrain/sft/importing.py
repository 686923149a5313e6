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
from labeltrain.sft.exporting import FIELD, KEY

ANSWERS = ("answer", "response", "completion", "output", "label")
SKIP = "skip"  # alone in the place of an answer, as in labelling
PEOPLE = ("annotator", "user", "author")
FORMS = "give .jsonl or .csv with id and answer, or the .json that Argilla or Label Studio exports"


def read_answers(
    path: Path, *, id_field: str | None = None, answer_field: str | None = None
) -> list[Given]:
    """Read answers from JSONL, CSV, or the JSON exports of Argilla and Label Studio.

    Lines without an answer are left out: they wait. A prompt that was skipped says so: "skip" as
    its answer, ``status`` or ``skipped`` in JSONL and CSV, a discarded response in Argilla, a
    cancelled annotation in Label Studio. ``status`` "withdrawn" takes an answer back. Of several
    answers to one record of a tool the latest counts. Ids are those of ``prompt_id`` if there is
    one, else of ``id``.

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
        found += [Given(number, **one) for one in given]
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
    csv.field_size_limit(2**31 - 1)  # of prompts as long as books
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
    for row in reader:
        if not any(cell for cell in row.values() if not isinstance(cell, list)):
            continue  # spreadsheets keep empty rows
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


def _of_tool(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the answers of a record of Argilla or Label Studio; None for any other."""
    fields, data = row.get("fields"), row.get("data")
    if isinstance(fields, Mapping) and "id" in row:
        return _of_argilla(row, fields)
    if isinstance(data, Mapping) and (KEY in data or "id" in data):
        return _of_label_studio(row, data)
    return None


def _of_argilla(row: Mapping[str, Any], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    about = {"id": str(row["id"]), "prompt": _prompt_text(fields.get("prompt"))}
    responses = row.get("responses")
    found: list[dict[str, Any]] = []
    listed = responses.get(FIELD) if isinstance(responses, Mapping) else responses
    for one in listed or []:
        if not isinstance(one, Mapping) or one.get("status") == "draft":
            continue
        value = one.get("value")
        if value is None and isinstance(one.get("values"), Mapping):  # as Argilla 1 wrote them
            value = (one["values"].get(FIELD) or {}).get("value")
        discarded = one.get("status") == "discarded"
        answer = None if discarded else str(value or "")
        found.append(about | {"answer": answer, "annotator": str(one.get("user_id") or "")})
    return _last_said(found)


def _of_label_studio(row: Mapping[str, Any], data: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = data[KEY] if KEY in data else data["id"]
    about = {"id": str(name), "prompt": _prompt_text(data.get("prompt"))}
    found: list[dict[str, Any]] = []
    listed = [one for one in row.get("annotations") or [] if isinstance(one, Mapping)]
    for one in sorted(listed, key=lambda one: str(one.get("updated_at") or "")):
        mine = about | {"annotator": str(one.get("completed_by") or "")}
        if one.get("was_cancelled"):
            found.append(mine | {"answer": None})
            continue
        for part in one.get("result") or []:
            if part.get("from_name") == FIELD:
                texts = part.get("value", {}).get("text", [])
                said = texts if isinstance(texts, str) else "\n".join(map(str, texts))
                found.append(mine | {"answer": said})
    return _last_said(found)


def _prompt_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _last_said(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last answer; that somebody skipped counts only where nobody answered."""
    waits = [one for one in found if one["answer"] is None or one["answer"].strip()]
    said = [one for one in waits if one["answer"] is not None]
    return (said or waits)[-1:]


def _plain(
    row: Mapping[str, Any], id_field: str | None, answer_field: str | None, path: Path, number: int
) -> list[dict[str, Any]]:
    own = id_field or (KEY if KEY in row else "id")
    name = row.get(own)
    if name is None or str(name) == "":
        raise BadInput(
            f"{path}, line {number}: there is no {own!r}",
            "keep the ids of the export, or name the column with --id-field",
        )
    about: dict[str, Any] = {
        "id": str(name),
        "prompt": _prompt_text(row.get("prompt")),
        "annotator": str(next((row[key] for key in PEOPLE if row.get(key)), "")),
    }
    status = str(row.get("status", "")).lower()
    if status == "withdrawn":
        return [about | {"answer": None, "withdrawn": True}]
    column = answer_field or next((key for key in ANSWERS if key in row), None)
    if column is None or column not in row:
        wanted = repr(answer_field) if answer_field else " or ".join(map(repr, ANSWERS[:3]))
        raise BadInput(
            f"{path}, line {number}: there is no {wanted}; keys: {', '.join(map(str, row))}",
            "name it with --answer-field",
        )
    skipped = str(row.get("skipped", "")).lower() in ("true", "1", "yes")
    if skipped or status in ("skipped", "discarded"):
        return [about | {"answer": None}]
    value = row[column]
    if isinstance(value, str) and value.strip().lower() == SKIP:
        return [about | {"answer": None}]
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    if value is None or not str(value).strip():
        return []  # not answered yet
    return [about | {"answer": str(value)}]
