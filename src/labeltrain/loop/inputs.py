"""Checked arrays for strategies; refusals name the array and its rows.

Nothing is copied that need not be: float arrays, memory maps included, are passed as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.loop.as_numpy import as_numpy, library

CHECKED_AT_ONCE = 2**24  # bytes of a block while an array is checked
SUM_TOLERANCE = 5e-3  # bfloat16 rows, and rows printed with three digits, are off by that much
LARGEST = 1e15  # the square of a larger number times a few thousand overflows in float32
SOME = 5  # how many bad rows an error names


def matrix(name: str, values: Any) -> np.ndarray:
    """Return one row of finite numbers per item, (n, d).

    Float arrays of 16, 32 or 64 bits are passed as they are, others become float32 (integers) or
    float64; a column of vectors is stacked.

    Raises
    ------
    BadInput
        Another shape, no numbers, NaN, infinite or huge entries (the error names the rows).
    """
    array = _floats(name, as_numpy(name, values))
    if array.ndim != 2:
        raise BadInput(f"{name} has shape {array.shape}", "give one row per item: (n, d)")
    if _is_sound(array):
        return array
    refuse_rows(
        name, array, _unfinite, "is NaN or infinite", "remove or repair these items, all of them"
    )
    refuse_rows(name, array, _too_large, f"is beyond {LARGEST:g}", "scale all items alike")
    return array


def probabilities(name: str, values: Any, kind: str) -> np.ndarray:
    """Return one distribution per item, (n, C); for multilabel data entries within [0, 1].

    Raises
    ------
    BadInput
        Another shape, or rows that are no distribution.
    """
    values = as_numpy(name, values)
    if values.ndim == 1 and values.dtype.kind in "fiub":
        raise BadInput(
            f"{name} has one value per item", "give one column per class: np.c_[1 - p, p]"
        )
    array = matrix(name, values)

    def wrong(block: np.ndarray) -> np.ndarray:
        outside: np.ndarray = np.any((block < -1e-6) | (block > 1 + 1e-6), axis=1)
        if kind == "multiclass":
            outside |= np.abs(block.sum(axis=1, dtype=np.float64) - 1.0) > SUM_TOLERANCE
        return outside

    if kind == "multiclass":
        what = "is no distribution"
        remedy = (
            "rows must be within [0, 1] and sum to 1: of logits take "
            "scipy.special.softmax(x, axis=1); use kind='multilabel' for independent labels"
        )
    else:
        what = "has entries outside [0, 1]"
        remedy = "give the chance of each label: of logits take scipy.special.expit(x)"
    refuse_rows(name, array, wrong, what, remedy)
    return array


def committee(values: Any, kind: str) -> np.ndarray:
    """Return the probabilities of several models, (S, n, C), from one array or a list of (n, C).

    Raises
    ------
    BadInput
        Another shape, members that disagree, rows that are no distribution.
    """
    if isinstance(values, list | tuple):
        parts = [probabilities(f"committee[{s}]", v, kind) for s, v in enumerate(values)]
        if len({part.shape for part in parts}) != 1:
            raise BadInput(
                f"the members of the committee have shapes {[part.shape for part in parts]}",
                "give (n, C) of every member",
            )
        return np.stack(parts)
    array = _floats("committee", as_numpy("committee", values))
    if array.ndim != 3 or len(array) == 0:
        raise BadInput(
            f"committee has shape {array.shape}",
            "give (S, n, C), or a list of (n, C), S at least 1",
        )
    for s, member in enumerate(array):
        probabilities(f"committee[{s}]", member, kind)
    return array


def column(name: str, values: Any) -> np.ndarray:
    """Return one value per item, (n,).

    Raises
    ------
    BadInput
        Another shape.
    """
    array = as_numpy(name, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise BadInput(f"{name} has shape {array.shape}", "give one value per item: (n,)")
    return array


def numbers(name: str, values: Any) -> np.ndarray:
    """Return one finite number per item, float64 (n,).

    Raises
    ------
    BadInput
        Another shape, no numbers, NaN or infinite entries.
    """
    array = _floats(name, column(name, values)).astype(np.float64, copy=False)
    refuse_rows(name, array[:, None], _unfinite, "is NaN or infinite", "repair these items")
    return array


def named_scores(values: Any) -> dict[str, np.ndarray]:
    """Return arrays by name: from a mapping, a data frame, or a series that has a name.

    Raises
    ------
    BadInput
        Values without a name.
    """
    if isinstance(values, Mapping):
        return {str(key): as_numpy(f"scores[{key!r}]", value) for key, value in values.items()}
    if library(values) in ("pandas", "polars"):
        if hasattr(values, "columns"):
            return {str(c): as_numpy(f"scores[{c!r}]", values[c]) for c in values.columns}
        if values.name:
            return {str(values.name): as_numpy(f"scores[{values.name!r}]", values)}
    raise BadInput(
        f"scores is {type(values).__name__} without names",
        "give a mapping, such as scores={'token_entropy': values}",
    )


def positions(name: str, values: Any, n: int) -> np.ndarray:
    """Return positions into the pool, int64, from positions, a mask of shape (n,), or None.

    Raises
    ------
    BadInput
        Positions outside the pool, or twice; a mask of another length.
    """
    array = column(name, () if values is None else values)
    if array.dtype == bool:
        if array.shape != (n,):
            raise BadInput(f"{name} is a mask of shape {array.shape}", f"give shape ({n},)")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        words = array.dtype.kind in "OUS"
        raise BadInput(
            f"{name} has dtype {array.dtype}, shape {array.shape}",
            "give positions (row numbers; ids are only given back), or a mask of bools"
            if words
            else "give positions, or a mask of bools",
        )
    outside = array[(array < 0) | (array >= n)]
    if len(outside):
        raise BadInput(
            f"{name} has position(s) {outside[:SOME].tolist()} outside the pool of {n}",
            "positions run from 0 to n-1",
        )
    if len(np.unique(array)) != len(array):
        mask = len(array) == n and bool(np.isin(array, (0, 1)).all())
        raise BadInput(
            f"{name} names an item twice",
            f"it looks like a mask: give bools, {name} == 1" if mask else "give each position once",
        )
    return array.astype(np.int64)


def refuse_rows(
    name: str,
    array: np.ndarray,
    wrong: Callable[[np.ndarray], np.ndarray],
    what: str,
    remedy: str,
) -> None:
    """Raise when `wrong`, applied to blocks of rows, finds any; each row is read once.

    Raises
    ------
    BadInput
        Names the first bad rows, and how many there are.
    """
    size = max(1, CHECKED_AT_ONCE // max(1, array.itemsize * int(np.prod(array.shape[1:]))))
    found: list[int] = []
    many = 0
    for rows in row_blocks(len(array), size):
        bad = np.flatnonzero(wrong(array[rows]))
        many += len(bad)
        found += [rows.start + int(row) for row in bad[: SOME - len(found)]]
    if many:
        raise BadInput(f"{name} {what} in row(s) {found} ({many} in all)", remedy)


def _is_sound(array: np.ndarray) -> bool:
    """Return True when all entries are finite and not huge, the quick way."""

    def sound(rows: slice) -> bool:
        block = array[rows]
        if not block.size:
            return True
        with np.errstate(all="ignore"):  # NaN compares as False
            return float(block.min()) >= -LARGEST and float(block.max()) <= LARGEST

    size = max(1, CHECKED_AT_ONCE // max(1, array.itemsize * array.shape[1]))
    return all(map_blocks(sound, row_blocks(len(array), size)))


def _unfinite(block: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        # A sum is finite only when every term is: the quick way for sound data.
        if np.isfinite(block.sum(dtype=np.float32 if block.itemsize == 2 else None)):
            return np.zeros(len(block), dtype=bool)
    return ~np.isfinite(block).all(axis=1)


def _too_large(block: np.ndarray) -> np.ndarray:
    if block.itemsize == 2 or not block.size or max(block.max(), -block.min()) <= LARGEST:
        return np.zeros(len(block), dtype=bool)
    return (np.abs(block) > LARGEST).any(axis=1)


def _floats(name: str, array: np.ndarray) -> np.ndarray:
    """Return floats of 16, 32 or 64 bits in the order of this machine's bytes."""
    if array.dtype == object:
        return _from_objects(name, array)
    if array.dtype.kind not in "fiub":
        raise BadInput(f"{name} has dtype {array.dtype}", "give numbers")
    if array.dtype.kind != "f":
        return array.astype(np.float32)
    if array.itemsize > 8 or not array.dtype.isnative:
        return array.astype(np.float64 if array.itemsize > 8 else array.dtype.newbyteorder("="))
    return array


def _from_objects(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of Python objects, such as a column of vectors, as numbers."""
    if array.ndim == 1 and len(array):
        rows = [np.asarray(as_numpy(f"{name}[{i}]", row)) for i, row in enumerate(array)]
        for i, row in enumerate(rows):
            if row.shape != rows[0].shape:
                raise BadInput(
                    f"row {i} of {name} has shape {row.shape}, row 0 has {rows[0].shape}",
                    "make the rows equally long",
                )
        array = np.stack(rows)
    if array.dtype != object:
        return _floats(name, array)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} holds entries that are not numbers: {error}", "give numbers") from (
            error
        )
