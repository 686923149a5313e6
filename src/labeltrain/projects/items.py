"""The snapshot of a project's items: what was there when it began."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.data import Dataset, Table
from labeltrain.store import arrays as array_files

ID = "id"
#: Names that mean something in the files a project hands out and takes in.
RESERVED = (
    "id",
    "label",
    "annotator",
    "annotators",
    "user",
    "labeller",
    "answer",
    "chosen_by",
    "audit",
)


@dataclass(frozen=True)
class Items:
    """Ids and what a person is shown of each item.

    Attributes
    ----------
    modality : str
    ids : tuple of str
    columns : dict of str to list
        Text: ``text``. Image: ``path``. Table: its columns. Features: none.
    """

    modality: str
    ids: tuple[str, ...]
    columns: dict[str, list[Any]]

    def row(self, position: int) -> dict[str, Any]:
        """Return what is shown of one item, its id first."""
        return {ID: self.ids[position], **{c: v[position] for c, v in self.columns.items()}}

    def dataset(self) -> Dataset | None:
        """Return the items as a data set; None when the snapshot does not hold their content."""
        if not self.columns:
            return None
        items: Any
        if self.modality == "table":
            items = Table({name: _typed(values) for name, values in self.columns.items()})
        else:
            items = next(iter(self.columns.values()))
        return Dataset("items", self.modality, items, self.ids)  # type: ignore[arg-type]


def shown(dataset: Dataset) -> dict[str, list[Any]]:
    """Return the columns a person is shown."""
    if dataset.modality == "text":
        return {"text": list(dataset.items)}
    if dataset.modality == "image" and len(dataset) and isinstance(dataset.items[0], str | Path):
        return {"path": [str(Path(p).absolute()) for p in dataset.items]}
    columns: dict[str, list[Any]] = {}
    if isinstance(dataset.items, Table):
        for name, values in dataset.items.columns.items():
            title = name
            while title.lower() in RESERVED or title in columns:
                title += "_"
            columns[title] = [None if v != v else v for v in values.tolist()]
    return columns


def _typed(values: list[Any]) -> np.ndarray:
    if all(v is None or isinstance(v, float) for v in values):
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return np.array(values, dtype=object)


def write_items(folder: Path, dataset: Dataset) -> str:
    """Write the snapshot among the arrays of `folder`, and return its name.

    It is JSON in an array file: `labeltrain verify` and `repair` know it, and the same items
    make the same name with every version of every library.
    """
    held = {"modality": dataset.modality, "ids": list(dataset.ids), "columns": shown(dataset)}
    text = json.dumps(held, separators=(",", ":"), allow_nan=False).encode()
    arrays = {"items": np.frombuffer(text, dtype=np.uint8)}
    return array_files.save(folder, arrays, {"holds": "items"})


def read_items(folder: Path, name: str) -> Items:
    """Read the snapshot back.

    Raises
    ------
    StoreDamaged
        Missing, or not what its name says.
    """
    arrays, _ = array_files.load(folder, name)
    held = json.loads(arrays["items"].tobytes())
    return Items(held["modality"], tuple(held["ids"]), held["columns"])


def shown_columns(items: Items, more: Sequence[str]) -> list[str]:
    """Return the columns of a file for people: id, content, then `more`."""
    return [ID, *items.columns, *more]
