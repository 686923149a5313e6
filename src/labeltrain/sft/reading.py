"""Files and data sets of prompts."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeltrain.data.checks import some
from labeltrain.data.huggingface import loaded_splits
from labeltrain.errors import BadInput
from labeltrain.sft.prompts import BadRecord, Prompt, content_of, parsed

SHOWN = 3  # bad lines that a message quotes
TASKS = ("task", "task_name", "source", "dataset", "category")


@dataclass(frozen=True)
class PromptFile:
    """What a file of prompts held.

    Attributes
    ----------
    prompts : tuple of Prompt
    answers : tuple of str or None
        What stood beside each prompt as its answer; selection never sees it.
    left_out : tuple of (int, str)
        Lines that are no prompts, and why, where these are skipped.
    """

    prompts: tuple[Prompt, ...]
    answers: tuple[str | None, ...]
    left_out: tuple[tuple[int, str], ...] = ()

    @property
    def answered(self) -> int:
        """How many had an answer beside them."""
        return sum(answer is not None for answer in self.answers)


def read_prompts(
    source: str | Path | Iterable[Mapping[str, Any]],
    *,
    split: str | None = None,
    task_field: str | None = None,
    id_field: str = "id",
    skip_bad: bool = False,
    answers: str = "strip",
) -> PromptFile:
    """Read prompts from JSONL, JSON, Parquet, a Hugging Face data set, or records in memory.

    Parameters
    ----------
    source : str, Path or iterable of mapping
        A file, the folder of a saved data set, a name on the hub, or records.
    split : str, optional
        Of a Hugging Face data set; its only one, or "train", by default.
    task_field : str, optional
        Key of the task; the first of task, task_name, source, dataset, category by default.
    id_field : str
        Key of the id; where it is missing the content makes one.
    skip_bad : bool
        Leave out what is no prompt instead of raising; it is counted.
    answers : {"strip", "keep"}
        "strip" warns where prompts come with answers, which are labels.

    Raises
    ------
    BadInput
        No such file, a broken line or an empty prompt (with its line), no prompts, equal ids.
    """
    where = str(source) if isinstance(source, str | Path) else "the records"
    prompts: list[Prompt] = []
    found: list[str | None] = []
    bad: list[tuple[int, str]] = []
    for line, record in _records(source, split):
        try:
            if isinstance(record, BadRecord):
                raise record
            messages, answer, rest = parsed(record)
            task = _task(record, task_field)
        except BadRecord as error:
            bad.append((line, str(error)))
            continue
        given = record.get(id_field)
        name = content_of(messages)[:16] if given is None or given == "" else str(given)
        prompts.append(Prompt(name, messages, task, line, rest))
        found.append(answer)
    if bad and not skip_bad:
        shown = "; ".join(f"line {line}: {why}" for line, why in bad[:SHOWN])
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise BadInput(f"{where}: {shown}{more}", "correct these lines, or --skip-bad to leave out")
    if not prompts:
        raise BadInput(f"{where} holds no prompts", "give one prompt a line")
    if id_field != "id" and not any(id_field in p.record for p in prompts):
        raise BadInput(
            f"{where}: no prompt has {id_field!r}, which --id-field names",
            f"its keys are {', '.join(map(repr, prompts[0].record))}",
        )
    given_ids = id_field if any(p.record.get(id_field) not in (None, "") for p in prompts) else ""
    prompts = _distinct(prompts, where, given_ids)
    result = PromptFile(tuple(prompts), tuple(found), tuple(bad))
    if answers == "strip" and result.answered:
        warnings.warn(
            f"{where}: {result.answered} of {len(prompts)} prompts come with an answer; answers "
            "are labels: they are taken out before anything is scored or chosen",
            stacklevel=2,
        )
    return result


def _records(
    source: str | Path | Iterable[Mapping[str, Any]], split: str | None
) -> Iterator[tuple[int, Any]]:
    if not isinstance(source, str | Path):
        yield from enumerate(source, start=1)
        return
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json", ".parquet"):
        if not path.is_file():
            raise BadInput(f"{path} does not exist", "check the path")
        read = {".json": _json, ".parquet": _parquet}.get(suffix, _jsonl)
        yield from read(path)
    elif path.is_file():
        raise BadInput(
            f"{path}: unknown kind of file", "prompts are read from .jsonl, .json and .parquet"
        )
    else:
        yield from enumerate(_huggingface(str(source), split), start=1)


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                if not line.strip():
                    continue
                row = json.loads(line)
            except UnicodeDecodeError as error:
                yield number, BadRecord(f"no UTF-8 ({error.reason})")
            except (json.JSONDecodeError, RecursionError) as error:
                yield number, BadRecord(f"no JSON ({error})")
            else:
                yield number, row if isinstance(row, dict) else _no_object(row)


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: no JSON ({error})", "write a list of records") from error
    if not isinstance(rows, list):
        raise BadInput(f"{path} holds no list", "write a list of records, or use .jsonl")
    for number, row in enumerate(rows, start=1):
        yield number, row if isinstance(row, dict) else _no_object(row)


def _no_object(row: Any) -> BadRecord:
    return BadRecord(f"{type(row).__name__} where an object is expected")


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {k: v for k, v in row.items() if v is not None}
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise BadInput(f"{path} is no sound Parquet file: {first}", "write it again") from error


def _huggingface(name: str, split: str | None) -> Iterable[Mapping[str, Any]]:
    loaded = loaded_splits(name)
    names = list(loaded)
    chosen = split or (names[0] if len(names) == 1 else "train")
    if chosen not in names:
        raise BadInput(
            f"{name} has no split {chosen!r}", f"--split one of: {', '.join(map(str, names))}"
        )
    found: Iterable[Mapping[str, Any]] = loaded[chosen]
    return found


def _task(record: Mapping[str, Any], field: str | None) -> str:
    if field is not None:
        if record.get(field) is None:
            raise BadRecord(f"there is no {field!r}, which --task-field names")
        return str(record[field])
    value = next((record[name] for name in TASKS if record.get(name) is not None), "")
    return str(value) if isinstance(value, str | int) else ""


def _distinct(prompts: list[Prompt], where: str, given: str) -> list[Prompt]:
    """Return the prompts with ids of their own: equal prompts without ids are numbered."""
    seen: Counter[str] = Counter()
    result = []
    doubled = []
    for prompt in prompts:
        seen[prompt.id] += 1
        times = seen[prompt.id]
        if times > 1 and given and prompt.record.get(given) not in (None, ""):
            doubled.append(prompt)
        name = prompt.id if times == 1 else f"{prompt.id}-{times}"
        result.append(Prompt(name, prompt.messages, prompt.task, prompt.line, prompt.record))
    if doubled:
        lines = ", ".join(str(p.line) for p in doubled[:SHOWN])
        raise BadInput(
            f"{where}: the ids {some(dict.fromkeys(p.id for p in doubled))} are used twice "
            f"(lines {lines})",
            "give every prompt an id of its own, or name another field with --id-field",
        )
    return result
