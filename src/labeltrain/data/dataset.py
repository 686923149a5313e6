"""The Dataset: items, their ids, and, where known, their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["multiclass", "multilabel", "none"]
Modality = Literal["text", "image", "table", "features"]


@dataclass(frozen=True)
class Dataset:
    """Items with ids and, where known, labels.

    Attributes
    ----------
    name : str
        Name in the catalogue, or the path it was read from.
    modality : {"text", "image", "table", "features"}
    items : sequence of length n
        Text: list of str. Image: list of paths (str), or one uint8 array (n, H, W) or
        (n, H, W, 3). Table: a :class:`labeltrain.data.table.Table`. Features: float32 array (n, d).
    ids : tuple of str, length n
        Unique item ids.
    kind : {"multiclass", "multilabel", "none"}
        "none" when no labels are known.
    classes : tuple of str
    labels : ndarray or None
        Multiclass: int64 (n,), -1 where unknown. Multilabel: int8 (n, C) of 0/1, a row of -1
        where unknown. None for kind "none".
    test : ndarray of int64 or None
        Positions of the items of the data set's own test split; None if it has none.
    licence : str
    facts : dict of str to str
        What a reader should know: source, version, rows that were dropped and why.
    """

    name: str
    modality: Modality
    items: Sequence[Any]
    ids: tuple[str, ...]
    kind: Kind = "none"
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    test: np.ndarray | None = None
    licence: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


def take(items: Any, positions: np.ndarray) -> Any:
    """Return the items at `positions`, in the form they had."""
    if isinstance(items, np.ndarray):
        return items[positions]
    if hasattr(items, "take"):
        return items.take(positions)
    return [items[i] for i in positions.tolist()]
