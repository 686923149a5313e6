"""The snapshot of a project's items: what was there when it began."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeltrain.data import Dataset, Table
from labeltrain.errors import StoreDamaged
from labeltrain.store.files import replace_bytes

ID = "id"


@dataclass(frozen=True)
class Items:
    """Ids and what a person is shown of each item.

    Attributes
    ----------
    ids : tuple of str
    columns : dict of str to list
        Text: ``text``. Image: ``path``. Table: its columns. Features: none.
    """

    ids: tuple[str, ...]
    columns: dict[str, list[Any]]

    def row(self, position: int) -> dict[str, Any]:
        """Return what is shown of one item, its id first."""
        return {ID: self.ids[position], **{c: v[position] for c, v in self.columns.items()}}


def shown(dataset: Dataset) -> dict[str, list[Any]]:
    """Return the columns a person is shown."""
    if dataset.modality == "text":
        return {"text": list(dataset.items)}
    if dataset.modality == "image" and len(dataset) and isinstance(dataset.items[0], str):
        return {"path": [str(p) for p in dataset.items]}
    if isinstance(dataset.items, Table):
        columns = {}
        for name, values in dataset.items.columns.items():
            title = name if name not in (ID, "label") else f"{name}_"
            columns[title] = [None if v is None or v != v else v for v in values.tolist()]
        return columns
    return {}


def write_items(folder: Path, dataset: Dataset) -> str:
    """Write the snapshot, and return its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({ID: list(dataset.ids), **shown(dataset)}), sink)
    data = sink.getvalue()
    name = f"items-{hashlib.sha256(data).hexdigest()[:32]}.parquet"
    replace_bytes(folder / name, data)
    return name


def read_items(folder: Path, name: str) -> Items:
    """Read the snapshot back.

    Raises
    ------
    StoreDamaged
        Missing, or not what its name says.
    """
    import pyarrow.parquet as pq

    path = folder / name
    remedy = "put the file back from a backup: it holds the items as they were at the start"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreDamaged(f"cannot read {path}: {error.strerror}", remedy) from error
    if f"items-{hashlib.sha256(data).hexdigest()[:32]}.parquet" != name:
        raise StoreDamaged(f"{path} is damaged: its content does not match its name", remedy)
    columns = pq.read_table(io.BytesIO(data)).to_pydict()
    return Items(tuple(columns.pop(ID)), columns)


def shown_columns(items: Items, more: Sequence[str]) -> list[str]:
    """Return the columns of a file for people: id, content, then `more`."""
    return [ID, *items.columns, *more]
