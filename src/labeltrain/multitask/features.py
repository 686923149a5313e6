"""Features of all tasks' items in one array, and fewer of them where there are many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labeltrain import encoders
from labeltrain.data import Dataset, Table
from labeltrain.encoders.base import Encoder
from labeltrain.encoders.raw import RawEncoder
from labeltrain.errors import BadInput
from labeltrain.multitask.tasks import TaskSet

COMPONENTS = 100  # principal components that are kept, where there are more features


@dataclass(frozen=True)
class Encoded:
    """Features of the items of all data sets, one below the other.

    Attributes
    ----------
    rows : ndarray of float32, shape (n, d)
    starts : tuple of int
        Where the items of each data set begin.
    encoder : str
    seconds : float
    key : str
        Names encoder and items: same key, same features.
    shape : tuple of int or None
        Height, width and channels, where rows are the pixels of images.
    """

    rows: np.ndarray
    starts: tuple[int, ...]
    encoder: str
    seconds: float
    key: str
    shape: tuple[int, int, int] | None = None


def encode(
    tasks: TaskSet,
    encoder: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Encoded:
    """Encode the items of all data sets, through the cache of features.

    Parameters
    ----------
    tasks : TaskSet
    encoder : str
        A name of :func:`labeltrain.encoders.make`; "auto": the usual one for such items.
    progress : callable, optional
        Called with the number of items of a data set done, and their total.
    options : dict, optional
        Of the encoder.

    Returns
    -------
    Encoded

    Raises
    ------
    BadInput
        Data sets of different kinds, or of different features: one representation reads all.
    """
    sets = [source.dataset for source in tasks.data_sets]
    first = sets[0]
    for one in sets[1:]:
        if one.modality != first.modality:
            raise BadInput(
                f"{first.name} holds {first.modality} items, and {one.name} {one.modality} items",
                "all tasks share a representation: give data of one kind",
            )
    name = encoders.default_for(first.modality) if encoder == "auto" else encoder
    made = encoders.make(name, **(options or {}))
    if made.whole and len(sets) > 1:
        found = encoders.features(_joined(sets), made, progress=progress)
        parts, seconds, keys = [found.array], found.seconds, [found.key]
    else:
        each = [encoders.features(one, made, progress=progress) for one in sets]
        _refuse_widths(sets, [f.array for f in each], made)
        parts, seconds = [f.array for f in each], sum(f.seconds for f in each)
        keys = [f.key for f in each]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in sets])[:-1]])
    return Encoded(
        np.concatenate(parts), tuple(int(s) for s in starts), name, seconds, "-".join(keys),
        _shape(first, made),
    )  # fmt: skip


def _shape(dataset: Dataset, encoder: Encoder) -> tuple[int, int, int] | None:
    """Return height, width and channels of the images that features are the pixels of."""
    if not isinstance(encoder, RawEncoder) or dataset.modality != "image":
        return None
    if encoder.size is not None:
        return encoder.size, encoder.size, 3
    height, width, *channels = np.shape(dataset.items[0])
    return height, width, channels[0] if channels else 1


def _refuse_widths(sets: Sequence[Dataset], parts: Sequence[np.ndarray], encoder: Encoder) -> None:
    for one, part in zip(sets, parts, strict=True):
        if part.shape[1] != parts[0].shape[1]:
            raise BadInput(
                f"{sets[0].name} has {parts[0].shape[1]} features, and {one.name} has "
                f"{part.shape[1]}, with the encoder {encoder.name!r}",
                "all tasks share a representation: give data with the same features",
            )


def _joined(sets: Sequence[Dataset]) -> Dataset:
    """Return the items of all data sets as one, for encoders that look at all of them."""
    ids = tuple(f"{i}/{item}" for i, one in enumerate(sets) for item in one.ids)
    first = sets[0]
    items: Any
    if isinstance(first.items, Table):
        items = _one_table(sets)
    elif all(isinstance(one.items, np.ndarray) for one in sets):
        shapes = [np.shape(one.items)[1:] for one in sets]
        for one, shape in zip(sets, shapes, strict=True):
            if shape != shapes[0]:
                raise BadInput(
                    f"{first.name} has items of shape {shapes[0]}, and {one.name} of {shape}",
                    "all tasks share a representation: give data with the same features",
                )
        items = np.concatenate([np.asarray(one.items) for one in sets])
    else:
        items = [item for one in sets for item in one.items]
    name = " and ".join(one.name for one in sets)
    return replace(
        first, name=name, items=items, ids=ids, kind="none", classes=(), labels=None, test=None
    )


def _one_table(sets: Sequence[Dataset]) -> Table:
    tables = [one.items for one in sets if isinstance(one.items, Table)]
    names = list(tables[0].columns)
    for one, table in zip(sets, tables, strict=True):
        if set(table.columns) != set(names):
            odd = sorted(set(names) ^ set(table.columns))
            raise BadInput(
                f"{sets[0].name} and {one.name} have different columns: {', '.join(odd[:5])}",
                "name the ones that both have with columns, or set others apart",
            )
        mixed = [n for n in names if table.columns[n].dtype != tables[0].columns[n].dtype]
        if mixed:
            raise BadInput(
                f"the column {mixed[0]!r} holds numbers in one of {sets[0].name} and {one.name}, "
                "and words in the other",
                "mend its cells, or leave it out with columns",
            )
    return Table({n: np.concatenate([t.columns[n] for t in tables]) for n in names})


def reduced(rows: np.ndarray, fitted: np.ndarray, components: int) -> np.ndarray:
    """Return rows without the mean, in their first principal components, in one scale.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, d)
    fitted : ndarray of int64
        The rows that mean, components and scale are taken from.
    components : int
        At most; fewer features are kept as they are, but for mean and scale.

    Returns
    -------
    ndarray of float64, shape (n, min(d, components))
        The mean square of a feature is 1 over the fitted rows. No label is read.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.features import reduced
    >>> rows = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], dtype=np.float32)
    >>> np.abs(reduced(rows, np.arange(3), 1)[:, 0]).round(3).tolist()
    [1.225, 0.0, 1.225]
    """
    if components < 1:
        raise BadInput(f"components={components!r}", "give 1 or more")
    some = rows[fitted].astype(np.float64)
    mean = some.mean(axis=0)
    some -= mean
    found = rows.astype(np.float64) - mean
    if rows.shape[1] > components:
        _, vectors = np.linalg.eigh(some.T @ some)
        leading = vectors[:, ::-1][:, :components]
        # The sign of a component is arbitrary: the largest entry decides it.
        largest = np.abs(leading).argmax(axis=0)
        leading = leading * np.sign(leading[largest, np.arange(components)])
        found, some = found @ leading, some @ leading
    scale = float(np.sqrt((some**2).mean()))
    return found / scale if scale > 0 else found
