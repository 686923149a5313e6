"""A table of numeric and categorical columns, cells of which may be missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labeltrain.data.checks import check_utf8, some
from labeltrain.errors import BadInput

_MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none"})


class Table(Sequence[Any]):
    """Rows of typed columns.

    Parameters
    ----------
    columns : mapping of str to ndarray of length n
        float64 arrays are numeric, NaN where missing; object arrays of str are categorical, ""
        where missing.

    Raises
    ------
    BadInput
        No columns, or columns of different lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.data import Table
    >>> table = Table({"size": np.array([1.0, 2.0]), "colour": np.array(["red", ""], dtype=object)})
    >>> table[1]
    {'size': 2.0, 'colour': ''}
    >>> table.numeric, table.categorical
    (('size',), ('colour',))
    """

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        if not columns:
            raise BadInput("a table needs at least one column", "name the columns to use")
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise BadInput(f"columns differ in length: {lengths}", "give every row every column")
        self.columns: dict[str, np.ndarray] = dict(columns)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the numeric columns."""
        return tuple(name for name, values in self.columns.items() if values.dtype.kind == "f")

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical columns."""
        return tuple(name for name, values in self.columns.items() if values.dtype.kind != "f")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return self.take(np.arange(len(self))[position])
        return {
            name: float(values[position]) if values.dtype.kind == "f" else str(values[position])
            for name, values in self.columns.items()
        }

    def take(self, positions: np.ndarray) -> Table:
        """Return the table of the rows at `positions` (integers), in that order."""
        return Table({name: values[positions] for name, values in self.columns.items()})


def typed_column(values: Sequence[Any], name: str, ids: Sequence[str], where: str) -> np.ndarray:
    """Turn the cells of one column into a numeric (float64) or categorical (object) array.

    A column is numeric if every cell is a number or missing ("", NA, N/A, NaN, null, None) and at
    least one is a number.

    Raises
    ------
    BadInput
        A number is infinite, or a cell is a list or another nested value.
    """
    nested = [ids[i] for i, v in enumerate(values) if isinstance(v, list | dict | tuple | bytes)]
    if nested:
        raise BadInput(
            f"{where}: the cells of column {name!r} of items {some(nested)} are nested values",
            "leave the column out with columns=[...], or store plain numbers or strings",
        )
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers) and not all(
        number is None or math.isnan(number) for number in numbers
    ):
        column = np.array(numbers, dtype=np.float64)
        infinite = np.flatnonzero(np.isinf(column))
        if len(infinite):
            items = some(ids[i] for i in infinite.tolist())
            raise BadInput(
                f"{where}: column {name!r} is infinite for items {items}",
                "replace the values, or leave the cells empty",
            )
        return column
    words = ["" if value is None else str(value).strip() for value in values]
    check_utf8(words, [f"item {item}" for item in ids], where, f"cell in column {name!r}")
    return np.array(words, dtype=object)


def _number(value: Any) -> float | None:
    """Return a cell as a number, NaN if it is missing, None if it is something else."""
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float | np.bool_ | np.number):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.lower() in _MISSING_NUMBERS:
        return math.nan
    if "_" in text:  # Python reads 1_000 as a number; a file that holds it means a name
        return None
    try:
        return float(text)
    except ValueError:
        return None
