"""From what the user names to tasks: data sets, values of a column, labels, folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain import data
from labeltrain.data import Dataset, readers
from labeltrain.data.checks import known_labels, missing_column, some
from labeltrain.data.roles import Roles, from_columns
from labeltrain.data.table import typed_column
from labeltrain.errors import BadInput, nearest
from labeltrain.multitask.tasks import ACROSS, BETWEEN, Source, Task, TaskSet, named

FILES = (*readers.TABULAR, ".npz")
HUB = "hf:"


@dataclass(frozen=True)
class Reading:
    """How files of the user's own are read; all but the last two as in :func:`labeltrain.load`.

    Attributes
    ----------
    text_column, label_column, id_column, image_column : str, optional
    columns : tuple of str, optional
    delimiter, encoding : str, optional
    task_column : str, optional
        Each of its values is a task (with every class, where there are more than two).
    value_column : str, optional
        The numbers that are to be predicted, instead of classes.
    """

    text_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    image_column: str | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    task_column: str | None = None
    value_column: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the options of :func:`labeltrain.load` that were given."""
        names = ("text_column", "label_column", "id_column", "image_column", "columns")
        found = {n: getattr(self, n) for n in (*names, "delimiter", "encoding")}
        return {n: v for n, v in found.items() if v is not None}


def read_tasks(target: str, sources: Sequence[str], reading: Reading | None = None) -> TaskSet:
    """Read the source tasks and the target.

    Parameters
    ----------
    target : str
        A task of the sources, or a data set that is one task (``DATA:TASK`` names one of several).
    sources : sequence of str
        Data sets: names of the catalogue, files, folders. ``DATA:TASK`` is one task of them.
    reading : Reading, optional
        Of the user's own files.

    Returns
    -------
    TaskSet

    Raises
    ------
    BadInput
        Nothing of that name, several that could be meant, or no tasks to learn from.

    Examples
    --------
    >>> from labeltrain.multitask.reading import read_tasks
    >>> found = read_tasks("digits:3", ["digits"])
    >>> len(found.sources), found.target.name
    (9, 'digits:3')
    """
    reading = reading or Reading()
    held, tasks = _read_all(sources, reading)
    every = tuple(task for source in held.values() for task in source.tasks)
    found = named(tasks, target) or named(every, target)
    if found is None:
        found = _target_of(target, reading, held, tasks)
    return task_set(found, tasks, tuple(held.values()))


def read_sources(
    sources: Sequence[str], reading: Reading | None = None
) -> tuple[tuple[Source, ...], tuple[Task, ...]]:
    """Read tasks of which each is to be a target, the others its sources.

    Parameters
    ----------
    sources : sequence of str
    reading : Reading, optional
        As for :func:`read_tasks`.

    Returns
    -------
    data_sets : tuple of Source
    tasks : tuple of Task
    """
    held, tasks = _read_all(sources, reading or Reading())
    return tuple(held.values()), tasks


def task_set(
    target: Task, tasks: Sequence[Task], data_sets: Sequence[Source], *, apart: bool = False
) -> TaskSet:
    """Return a target with its sources: all other tasks that can be learned from.

    Parameters
    ----------
    target : Task
    tasks : sequence of Task
        The target may be among them.
    data_sets : sequence of Source
    apart : bool
        Leave out tasks of the target's row, such as its condition.

    Returns
    -------
    TaskSet

    Raises
    ------
    BadInput
        Nothing is left.
    """
    kept, left_out = [], []
    for task in tasks:
        if task.name == target.name or (apart and task.row == target.row):
            continue
        if _same_question(task, target, data_sets):
            left_out.append(f"{task.name}: it asks what the target asks")
            continue
        if len(task.items) < 2:
            left_out.append(f"{task.name}: {len(task.items)} items with a label")
        else:
            kept.append(task)
    if not kept:
        raise BadInput(
            f"there is no source task beside the target {target.name!r}",
            "name more data sets in sources, or a task_column whose values are tasks",
        )
    return TaskSet(tuple(data_sets), tuple(kept), target, tuple(left_out))


def _read_all(
    sources: Sequence[str], reading: Reading
) -> tuple[dict[str, Source], tuple[Task, ...]]:
    if reading.label_column and reading.value_column:
        raise BadInput(
            f"label_column is {reading.label_column!r} and value_column {reading.value_column!r}",
            "name classes with label_column, or numbers with value_column",
        )
    if not sources:
        raise BadInput("no source tasks are given", "name data sets, files or folders in sources")
    held: dict[str, Source] = {}
    asked: list[Task] = []
    for name in sources:
        asked += _tasks_of(name, reading, held)
    # The same task named twice is one.
    return held, tuple({task.name: task for task in asked}.values())


def _same_question(task: Task, target: Task, held: Sequence[Source]) -> bool:
    """Tell whether an answer of a task is one of the target: its class, or the other of two."""
    if task.data_set != target.data_set or not np.isin(task.items, target.items).any():
        return False
    dataset = held[task.data_set].dataset
    two = dataset.kind == "multiclass" and len(dataset.classes) == 2
    return two or task.class_index == target.class_index


def _target_of(name: str, reading: Reading, held: dict[str, Source], tasks: Sequence[Task]) -> Task:
    """Read a target that is no task of the sources."""
    try:
        parts = _tasks_of(name, replace(reading, task_column=None), held)
    except BadInput as error:
        known = [task.name for task in tasks]
        ends = {task.name.partition(BETWEEN)[2] or task.name: task.name for task in tasks}
        close = nearest(name, known) or ends.get(nearest(name, ends) or "")
        raise BadInput(
            f"the target {name!r} is no task of the sources, and {error.problem}",
            f"{f'did you mean {close!r}? ' if close else ''}tasks: {some(known)}",
        ) from error
    if len(parts) != 1:
        raise BadInput(
            f"the target {name!r} has {len(parts)} tasks: {some(t.name for t in parts)}",
            f"name one of them, such as {parts[0].name!r}" if parts else "give it labels",
        )
    return parts[0]


def _tasks_of(name: str, reading: Reading, held: dict[str, Source]) -> list[Task]:
    """Return the tasks that a name stands for, reading its data sets unless they are held."""
    whole, wanted = _parted(name)
    found: list[Task] = []
    for path in _data_sets(whole):
        if path not in held:
            taken = {source.name for source in held.values()}
            held[path] = _read(path, reading, len(held), taken)
        found += held[path].tasks
    if not wanted:
        return found
    one = named(tuple(found), wanted)
    if one is None:
        one = _class_of(whole, wanted, held)
    if one is None:
        known = [task.name.partition(BETWEEN)[2] or task.name for task in found]
        close = nearest(wanted, known)
        raise BadInput(
            f"{whole} has no task {wanted!r}",
            f"{f'did you mean {close!r}? ' if close else ''}tasks: {some(known)}",
        )
    return [one]


def _parted(name: str) -> tuple[str, str]:
    """Return the data set and the task of ``DATA:TASK``; what exists as a whole has no task."""
    places = [i for i, letter in enumerate(name) if letter == BETWEEN]
    if name.startswith(HUB):
        places = places[1:]
    elif not places or name in data.names() or Path(name).expanduser().exists():
        return name, ""
    for place in places:
        whole = name[:place]
        if whole in data.names() or whole.startswith(HUB) or Path(whole).expanduser().exists():
            return whole, name[place + 1 :]
    return name, ""


def _data_sets(name: str) -> list[str]:
    """Return the data sets of a name: itself, or the files or folders in a folder."""
    folder = Path(name).expanduser()
    if name in data.names() or not folder.is_dir():
        return [name]
    inside = sorted(p for p in folder.iterdir() if p.name[0] != ".")
    files = [p for p in inside if p.is_file() and p.suffix.lower() in FILES]
    folders = [p for p in inside if p.is_dir()]
    if files and not folders:
        return [str(p) for p in files]
    # A folder of folders of classes: each is a data set of its own.
    deeper = [any(q.is_dir() and q.name[0] != "." for q in p.iterdir()) for p in folders]
    if folders and all(deeper) and {p.name for p in folders} != {"train", "test"}:
        return [str(p) for p in folders]
    return [name]


def _read(name: str, reading: Reading, number: int, taken: set[str]) -> Source:
    short = name if name in data.names() or name.startswith(HUB) else Path(name).stem
    if not short or short in taken:
        short = name
    path = Path(name).expanduser()
    groups: list[str] | None = None
    numbers: np.ndarray | None = None
    if name not in data.names() and path.suffix.lower() in readers.TABULAR and path.is_file():
        dataset, groups, numbers = _read_file(path, reading)
    else:
        dataset = _loaded(name, path, reading)
    return Source(short, dataset, _tasks(short, dataset, groups, numbers, number), numbers)


def _loaded(name: str, path: Path, reading: Reading) -> Dataset:
    """Load a data set that has no columns to look at; the catalogue's take no options."""
    own = name not in data.names()
    for option in ("task_column", "value_column"):
        if own and getattr(reading, option) and (path.exists() or name.startswith(HUB)):
            raise BadInput(
                f"{option} is {getattr(reading, option)!r}, and {name} is no CSV, TSV, JSONL or "
                "Parquet file",
                "leave it out: its classes are tasks, and files of one folder are; or save a table",
            )
    columns = own and (name.startswith(HUB) or path.suffix.lower() in readers.TABULAR)
    return data.load(name, **(reading.options() if columns else {}))


def _read_file(path: Path, reading: Reading) -> tuple[Dataset, list[str] | None, np.ndarray | None]:
    """Read a file with columns; the task and the number to be predicted are no features."""
    held = readers.read_columns(path, delimiter=reading.delimiter, encoding=reading.encoding)
    aside = {
        option: name
        for option in ("task_column", "value_column")
        if (name := getattr(reading, option)) is not None
    }
    for option, name in aside.items():
        if name not in held.values:
            raise missing_column(name, list(held.values), held.where, option)
        for other in ("text_column", "image_column", "label_column", "id_column", "columns"):
            used = getattr(reading, other) or ()
            if name in ([used] if isinstance(used, str) else used):
                raise BadInput(
                    f"{held.where}: the column {name!r} is {option} and {other}",
                    f"leave it out of {other}",
                )
    rest = {n: v for n, v in held.values.items() if n not in aside.values()}
    if not rest:
        raise BadInput(f"{held.where} has no column left to learn from", "add features or texts")
    label = "" if reading.value_column else reading.label_column
    roles = Roles(
        reading.text_column, label, reading.id_column, reading.image_column, None, reading.columns
    )
    dataset = from_columns(replace(held, values=rest), roles)
    groups = numbers = None
    if "task_column" in aside:
        groups = ["" if v is None else str(v).strip() for v in held.values[aside["task_column"]]]
    if "value_column" in aside:
        numbers = _numbers(held.values[aside["value_column"]], aside["value_column"], dataset)
    return dataset, groups, numbers


def _numbers(values: list[Any], name: str, dataset: Dataset) -> np.ndarray:
    column = typed_column(values, name, dataset.ids, dataset.name)
    if column.dtype.kind != "f":
        raise BadInput(
            f"{dataset.name}: the column {name!r} (option value_column) does not hold numbers only",
            "name classes with label_column, or mend the cells; empty ones are not known",
        )
    return np.asarray(column, dtype=np.float64)


def _tasks(
    short: str,
    dataset: Dataset,
    groups: list[str] | None,
    numbers: np.ndarray | None,
    number: int,
) -> tuple[Task, ...]:
    """Return the tasks of a data set: each value of the column, and each class of more than two."""
    if numbers is not None:
        known = np.flatnonzero(np.isfinite(numbers))
    elif dataset.labels is not None:
        known = known_labels(dataset)
    else:
        raise BadInput(
            f"{dataset.name}: no item has a label, so nothing can be answered",
            "name the label_column, or the value_column of numbers",
        )
    parts = _parts(known, groups)
    if numbers is not None:
        return tuple(
            Task(f"{short}{BETWEEN}{g}" if g else short, number, items, "number", g or short)
            for g, items in parts
        )
    classes = range(len(dataset.classes))
    if dataset.kind == "multiclass" and len(dataset.classes) < 3:
        return tuple(
            Task(f"{short}{BETWEEN}{g}" if g else short, number, items, "binary", g or short, "",
                 len(dataset.classes) - 1)
            for g, items in parts
        )  # fmt: skip
    return tuple(
        _of_class(short, dataset, number, group, items, c)
        for group, items in parts
        for c in classes
    )


def _parts(known: np.ndarray, groups: list[str] | None) -> list[tuple[str, np.ndarray]]:
    if groups is None:
        return [("", known)]
    values = np.array(groups, dtype=object)
    # Items without a value of the column are of no task.
    return [(g, known[values[known] == g]) for g in sorted(set(groups)) if g]


def _of_class(
    short: str, dataset: Dataset, number: int, group: str, items: np.ndarray, c: int
) -> Task:
    label = dataset.classes[c]
    inside = f"{group}{ACROSS}{label}" if group else label
    return Task(f"{short}{BETWEEN}{inside}", number, items, "binary", group or short, label, c)


def _class_of(whole: str, wanted: str, held: dict[str, Source]) -> Task | None:
    """Return one class of a data set of two, which is one task as a whole."""
    source = held.get(whole)
    if source is None or len(source.tasks) != 1 or wanted not in source.dataset.classes:
        return None
    only, c = source.tasks[0], source.dataset.classes.index(wanted)
    return _of_class(source.name, source.dataset, only.data_set, "", only.items, c)
