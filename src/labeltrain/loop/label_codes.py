"""Labels of any kind, names or numbers, as the class indices that strategies work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, nearest
from labeltrain.loop.as_numpy import as_numpy
from labeltrain.loop.inputs import column

NAME_THE_CLASSES = "give classes=[...], the names in the order of the columns of probabilities"


@dataclass(frozen=True)
class LabelCodes:
    """How labels become class indices; see :func:`label_codes`.

    Attributes
    ----------
    classes : tuple
        Names of the classes, in the order of their indices.
    named : bool
        True when labels are names of `classes`, False when they are indices.
    kind : {"multiclass", "multilabel", "none"}
    known : bool
        False when the classes are only those seen so far.
    """

    classes: tuple[Any, ...]
    named: bool
    kind: str
    known: bool

    def encode(self, labels: Any, what: str = "labels") -> np.ndarray:
        """Return class indices, int64 (m,); for multilabel data rows of 0/1, int64 (m, C).

        Raises
        ------
        BadInput
            Unknown classes, indices outside the classes, missing labels.
        """
        if self.kind == "multilabel":
            return self._rows(labels, what)
        values = _plain(labels, what)
        if not self.named:
            return self._indices(values, what)
        index = {name: i for i, name in enumerate(self.classes)}
        if values.dtype.kind in "iu" and not _whole(self.classes):
            return self._indices(values, what)
        codes = np.empty(len(values), dtype=np.int64)
        for i, value in enumerate(values.tolist()):
            if value not in index:
                close = nearest(str(value), map(str, self.classes))
                hint = f"did you mean {close!r}? " if close else ""
                raise BadInput(
                    f"{what} has {value!r} (entry {i}), which is none of the classes "
                    f"{_some(self.classes)}",
                    hint + ("correct it" if self.known else "give classes=[...], all of them"),
                )
            codes[i] = index[value]
        return codes

    def _indices(self, values: np.ndarray, what: str) -> np.ndarray:
        if len(values) and values.dtype.kind not in "iu":
            raise BadInput(f"{what} holds names such as {values.tolist()[0]!r}", NAME_THE_CLASSES)
        outside = np.flatnonzero((values < 0) | (values >= len(self.classes)))
        if len(outside):
            value = int(values[outside[0]])
            raise BadInput(
                f"{what} has {value} (entry {outside[0]}), there are {len(self.classes)} classes"
                + ("" if self.known else " in the labels so far"),
                "leave items without a label out of labelled"
                if value < 0
                else f"labels run from 0 to {len(self.classes) - 1}, or give classes=[...], the "
                "names of the columns (clf.classes_)"
                if self.known
                else "give classes, their number",
            )
        return values.astype(np.int64)

    def _rows(self, labels: Any, what: str) -> np.ndarray:
        rows = as_numpy(what, labels)
        if rows.size == 0:
            return np.empty((len(rows), len(self.classes)), dtype=np.int64)
        if rows.ndim != 2 or rows.shape[1] != len(self.classes) or rows.dtype.kind not in "biuf":
            raise BadInput(
                f"{what} has shape {rows.shape}, dtype {rows.dtype}",
                f"multilabel: one row of 0/1 per item, {len(self.classes)} columns",
            )
        if not np.isin(rows, (0, 1)).all():
            raise BadInput(f"{what} has entries other than 0 and 1", "multilabel: rows of 0/1")
        return rows.astype(np.int64)


def label_codes(labels: Any, classes: Any, columns: int | None, kind: str) -> LabelCodes:
    """Find out what labels mean.

    Parameters
    ----------
    labels : array-like or None
    classes : int, sequence or None
        The number of classes, or their names in the order of the columns of probabilities.
    columns : int or None
        How many columns the probabilities have.
    kind : {"multiclass", "multilabel", "none"}

    Returns
    -------
    LabelCodes

    Raises
    ------
    BadInput
        Names without `classes` beside probabilities; numbers of classes that disagree.

    Notes
    -----
    Whole numbers are indices, unless `classes` are whole numbers themselves. Without `classes`
    and probabilities, names are taken in sorted order.
    """
    names: tuple[Any, ...] | None = None
    if classes is not None and not isinstance(classes, int | np.integer):
        names = tuple(column("classes", classes).tolist())
        if len(set(names)) != len(names):
            raise BadInput(f"classes {_some(names)} holds a name twice", "give each name once")
    count = len(names) if names is not None else None if classes is None else int(classes)
    if count is not None and columns is not None and count != columns:
        raise BadInput(f"{count} classes, but {columns} columns of probabilities", "align them")
    count = columns if count is None else count
    if names is not None:
        return LabelCodes(names, True, kind, True)
    if count is not None:
        return LabelCodes(tuple(str(c) for c in range(count)), False, kind, True)
    if labels is None:
        return LabelCodes((), False, kind, False)
    if kind == "multilabel":
        rows = as_numpy("labels", labels)
        width = rows.shape[1] if rows.ndim == 2 else 0
        return LabelCodes(tuple(str(c) for c in range(width)), False, kind, True)
    values = _plain(labels, "labels")
    if len(values) and values.dtype.kind not in "iu":
        return LabelCodes(tuple(sorted(set(values.tolist()))), True, kind, False)
    width = int(values.max()) + 1 if len(values) else 0
    return LabelCodes(tuple(str(c) for c in range(width)), False, kind, False)


def _plain(labels: Any, what: str) -> np.ndarray:
    """Return labels as an array of whole numbers or of str."""
    if np.ndim(labels) == 2 and np.shape(labels)[1] > 1:
        raise BadInput(
            f"{what} has shape {np.shape(labels)}",
            "give one label per labelled item; rows of 0/1 need kind='multilabel'",
        )
    values = column(what, labels)
    if len(values) == 0:
        return np.empty(0, dtype=np.int64)
    if values.dtype.kind == "b":
        return values.astype(np.int64)
    if values.dtype.kind == "f" and np.isfinite(values).all() and not np.mod(values, 1).any():
        return values.astype(np.int64)
    if values.dtype.kind == "O":
        listed = values.tolist()
        bad = [i for i, v in enumerate(listed) if not isinstance(v, str)]
        if not bad:
            return np.array(listed)
        if all(isinstance(v, int | np.integer) for v in listed):
            return np.array(listed, dtype=np.int64)
        raise BadInput(
            f"{what} has {listed[bad[0]]!r} (entry {bad[0]}), neither a name nor a number",
            "leave items without a label out, and use one kind of label",
        )
    if values.dtype.kind not in "iuU":
        raise BadInput(
            f"{what} has dtype {values.dtype}",
            "labels are names or whole numbers; leave items without a label out",
        )
    return values


def _whole(classes: Sequence[Any]) -> bool:
    return all(isinstance(c, int | np.integer) and not isinstance(c, bool) for c in classes)


def _some(classes: Sequence[Any]) -> str:
    shown = ", ".join(repr(c) for c in classes[:8])
    return f"[{shown}{', ...' if len(classes) > 8 else ''}]"
