"""From label values as people write them to class names and integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.data.checks import some
from labeltrain.data.dataset import Kind
from labeltrain.errors import BadInput


@dataclass(frozen=True)
class Labels:
    """Labels in the form of :class:`labeltrain.data.Dataset`."""

    kind: Kind = "none"
    classes: tuple[str, ...] = ()
    values: np.ndarray | None = None


def encode_labels(
    values: Sequence[Any],
    ids: Sequence[str],
    where: str,
    *,
    classes: Sequence[str] | None = None,
) -> Labels:
    """Turn one value per item into class names and integers.

    Parameters
    ----------
    values : sequence of length n
        str, int, bool, whole-number float, or None. "" and None mean: not labelled. Lists mean
        multilabel: the classes that apply, possibly none.
    ids : sequence of str
        Item ids, for messages.
    where : str
        The file, for messages.
    classes : sequence of str, optional
        Names for integer values: value i means ``classes[i]``, -1 not labelled.

    Returns
    -------
    Labels
        Classes in numeric order if all are numbers, else in alphabetical order.

    Raises
    ------
    BadInput
        A value is no class, such as 3.7 or an index beyond `classes`, or the labels are mostly
        different fractions.

    Examples
    --------
    >>> encode_labels(["10", "9", ""], ["a", "b", "c"], "demo").classes
    ('9', '10')
    """
    if any(isinstance(value, list | tuple | np.ndarray) for value in values):
        return _encode_lists(values, ids, where, classes)
    written = [_written(value, ids[i], where, classes) for i, value in enumerate(values)]
    present = {name for name in written if name is not None}
    if not present:
        return Labels()
    _refuse_measurements(written, present, where)
    order = tuple(classes) if classes is not None else _ordered(present)
    index = {name: i for i, name in enumerate(order)}
    codes = [-1 if name is None else index[name] for name in written]
    return Labels("multiclass", order, np.array(codes, dtype=np.int64))


def _encode_lists(
    values: Sequence[Any], ids: Sequence[str], where: str, classes: Sequence[str] | None
) -> Labels:
    rows: list[list[str] | None] = []
    for i, value in enumerate(values):
        if value is None or (isinstance(value, str) and not value.strip()):
            rows.append(None)
            continue
        if not isinstance(value, list | tuple | np.ndarray):
            raise BadInput(
                f"{where}: item {ids[i]!r} has the label {value!r} where others have a list",
                "write every label as a list of classes, or every label as one class",
            )
        names = [_written(one, ids[i], where, classes) for one in value]
        rows.append([name for name in names if name is not None])
    present = {name for row in rows if row is not None for name in row}
    if not present:
        return Labels()
    order = tuple(classes) if classes is not None else _ordered(present)
    index = {name: i for i, name in enumerate(order)}
    codes = np.zeros((len(rows), len(order)), dtype=np.int8)
    for i, row in enumerate(rows):
        if row is None:
            codes[i] = -1
        else:
            codes[i, [index[name] for name in row]] = 1
    return Labels("multilabel", order, codes)


def _written(value: Any, item: str, where: str, classes: Sequence[str] | None) -> str | None:
    """Return the class name of one value, None if it is not labelled."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if classes is not None:
        return _from_index(value, item, where, classes)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    raise BadInput(
        f"{where}: item {item!r} has the label {value!r}, which is no class",
        "labels are class names or whole numbers; name another label_column",
    )


def _from_index(value: Any, item: str, where: str, classes: Sequence[str]) -> str | None:
    if isinstance(value, str) and value in classes:
        return value
    whole = isinstance(value, int | np.integer) or (
        isinstance(value, float | np.floating) and float(value).is_integer()
    )
    if not whole or not -1 <= int(value) < len(classes):
        raise BadInput(
            f"{where}: item {item!r} has the label {value!r}, outside the {len(classes)} classes "
            f"{some(classes)}",
            f"use 0 to {len(classes) - 1}, or -1 for an item without a label",
        )
    return None if int(value) == -1 else classes[int(value)]


def _refuse_measurements(written: Sequence[str | None], present: set[str], where: str) -> None:
    """Raise if the labels are mostly different fractions, such as the target of a regression."""
    known = sum(name is not None for name in written)
    numbers = [_number(name) for name in present]
    if known < 20 or len(present) <= known / 2 or any(number is None for number in numbers):
        return
    if any(number is not None and not number.is_integer() for number in numbers):
        examples = some(sorted(present)[:3])
        raise BadInput(
            f"{where}: the labels are mostly different numbers, such as {examples}",
            "labels are classes; name another label_column, or sort the numbers into classes",
        )


def _ordered(names: set[str]) -> tuple[str, ...]:
    numbers = {name: _number(name) for name in names}
    if any(number is None for number in numbers.values()):
        return tuple(sorted(names))
    return tuple(sorted(names, key=lambda name: (numbers[name], name)))


def _number(name: str) -> float | None:
    try:
        number = float(name)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
