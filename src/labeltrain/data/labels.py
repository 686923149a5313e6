"""From label values as people write them to class names and integers."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.data.checks import check_utf8, printable, some
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
        multilabel: the classes that apply, possibly none. Strings are brought into the Unicode
        normal form NFC, so that one name is one class however its accents are stored.
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
        A value is no class, such as 3.7 or an index beyond `classes`, two class names are one
        number ("1" and "1.0") or not UTF-8, or the labels are mostly different fractions.

    Examples
    --------
    >>> encode_labels(["10", "9", ""], ["a", "b", "c"], "demo").classes
    ('9', '10')
    """
    classes = None if classes is None else class_names(classes, where)
    if any(isinstance(value, list | tuple | np.ndarray) for value in values):
        return _encode_lists(values, ids, where, classes)
    written = [_written(value, ids[i], where, classes) for i, value in enumerate(values)]
    present = {name for name in written if name is not None}
    if not present:
        return Labels()
    _refuse_measurements(written, present, where)
    if classes is None:
        _refuse_two_spellings(present, where)
    order = tuple(classes) if classes is not None else _ordered(present)
    index = {name: i for i, name in enumerate(order)}
    codes = [-1 if name is None else index[name] for name in written]
    return Labels("multiclass", order, np.array(codes, dtype=np.int64))


def class_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return given class names in the normal form NFC; refuse repeated and unwritable ones."""
    check_utf8(names, [f"class {i}: {name}" for i, name in enumerate(names)], where, "name")
    normal = tuple(unicodedata.normalize("NFC", name) for name in names)
    repeated = sorted(name for name, times in Counter(normal).items() if times > 1)
    if repeated:
        raise BadInput(
            f"{printable(where)}: the class names {some(repeated)} are given twice",
            "give every class its own name",
        )
    return normal


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
    if classes is None:
        _refuse_two_spellings(present, where)
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
        name = value.strip()
        if not name.isascii():
            check_utf8([name], [f"item {item}"], where, f"label {name!r}")
            name = unicodedata.normalize("NFC", name)
        return name or None
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    raise BadInput(
        f"{where}: item {item!r} has the label {value!r}, which is no class",
        "labels are class names or whole numbers; name another label_column",
    )


def _from_index(value: Any, item: str, where: str, classes: Sequence[str]) -> str | None:
    if isinstance(value, str) and unicodedata.normalize("NFC", value) in classes:
        return unicodedata.normalize("NFC", value)
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


def _refuse_two_spellings(present: set[str], where: str) -> None:
    """Raise if one whole number is written in two ways, such as 1 and 1.0."""
    spelling: dict[str, str] = {}
    for name in sorted(present):
        whole = re.fullmatch(r"([+-]?[0-9]+)(\.0*)?", name)
        first = spelling.setdefault(whole[1], name) if whole else name
        if first != name:
            raise BadInput(
                f"{where}: the labels {first!r} and {name!r} are the same number: one class or "
                "two?",
                f"write {first!r} everywhere, or give the classes different names",
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
