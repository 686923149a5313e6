"""Features as they are, pixels, or the columns of a table made numeric."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.data import Modality, Table, square
from labeltrain.encoders.base import Encoder
from labeltrain.errors import BadInput

#: A categorical column gets one feature for each of its most frequent values, at most this many.
MOST_CATEGORIES = 100

#: Columns of features whose standard deviations differ by more than this factor are warned of.
MOST_SPREAD = 1000.0


class RawEncoder(Encoder):
    """No model: features unchanged, pixels divided by 255, tables standardised.

    A numeric column becomes ``(value - mean) / standard deviation`` over all given rows; missing
    cells become 0, the mean, and a second feature marks them where any are missing. A categorical
    column becomes one 0/1 feature for each of its values (the 100 most frequent; a missing cell
    is all zeros). All given rows, test items too, set the mean and the values: no labels are used.

    Parameters
    ----------
    size : int, optional
        Images are scaled to a square of this side in pixels (bilinear), in colour, on white where
        transparent: for files, and for images of several shapes. None: arrays of one shape only,
        as they are.

    Raises
    ------
    BadInput
        Image files, or images of several shapes, without `size`.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.data import Table
    >>> from labeltrain.encoders import make
    >>> table = Table({"size": np.array([1.0, 3.0]), "colour": np.array(["red", ""], dtype=object)})
    >>> make("raw").encode(table)
    array([[-1.,  1.],
           [ 1.,  0.]], dtype=float32)
    """

    name = "raw"
    modalities: frozenset[Modality] = frozenset({"features", "table", "image"})
    whole = True

    def __init__(self, *, size: int | None = None) -> None:
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise BadInput(f"size is {size!r}", "give the side of a square in pixels, such as 32")
        self.size = size
        self.whole = size is None  # images that are scaled do not depend on each other

    def fingerprint(self) -> dict[str, str | int | float]:
        made: dict[str, str | int | float] = {
            "encoder": "raw", "version": 1, "most_categories": MOST_CATEGORIES
        }  # fmt: skip
        return made if self.size is None else {**made, "size": self.size}

    @property
    def dimension(self) -> int | None:
        return None

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        if self.size is not None:
            return _scaled(items, self.size)
        if isinstance(items, Table):
            return _table_features(items)
        array = items if isinstance(items, np.ndarray) else _stacked(items)
        if array is None:
            raise BadInput(
                "the encoder 'raw' reads images only as arrays of one shape, not as files",
                "scale them with encoder_options: {size: 32}, or use the encoder "
                "efficientnet-lite0",
            )
        if array.dtype == np.uint8 and array.ndim > 2:
            return array.reshape(len(array), -1).astype(np.float32) / np.float32(255)
        features = np.ascontiguousarray(array, dtype=np.float32)
        if features.ndim == 2:
            _warn_of_scales(features)
        return features


def _scaled(items: Sequence[Any], size: int) -> np.ndarray:
    """Return the pixels of images as squares of one size, in colour, divided by 255."""
    if isinstance(items, Table) or (isinstance(items, np.ndarray) and items.ndim < 3):
        raise BadInput(f"size={size} scales images, and these are none", "leave it out")
    if not len(items):
        return np.empty((0, size * size * 3), dtype=np.float32)
    rows = (square(item, size) for item in items)
    return np.stack([row.reshape(-1).astype(np.float32) / np.float32(255) for row in rows])


def _stacked(items: Sequence[Any]) -> np.ndarray | None:
    """Return arrays of one shape as one array; None for anything else."""
    rows = list(items)
    if not rows or not all(isinstance(row, np.ndarray) for row in rows):
        return None
    return np.stack(rows) if len({row.shape for row in rows}) == 1 else None


def _warn_of_scales(features: np.ndarray) -> None:
    """Warn if some columns are so much wider than others that they alone decide distances."""
    deviations = np.zeros(features.shape[1])
    for first in range(0, features.shape[1], 64):  # blocks keep the float64 copies small
        block = features[:, first : first + 64].astype(np.float64)
        deviation = block.std(axis=0)
        # A column that varies only by rounding is constant.
        constant = deviation <= 1e-6 * np.abs(block).max(axis=0, initial=0.0)
        deviations[first : first + 64] = np.where(constant, 0.0, deviation)
    varying = np.flatnonzero(deviations)
    if len(varying) < 2:
        return
    # Not the narrowest: embeddings have dead columns, and those do no harm.
    ordered = varying[np.argsort(deviations[varying], kind="stable")]
    low = int(ordered[len(ordered) // 4])
    high = int(varying[deviations[varying].argmax()])
    if deviations[high] > MOST_SPREAD * deviations[low]:
        warnings.warn(
            f"the features are on very different scales: column {high} has the standard deviation "
            f"{deviations[high]:.3g}, column {low} {deviations[low]:.3g}; the widest columns "
            "decide almost alone. Standardise the columns (subtract the mean, divide by the "
            "standard deviation) before saving them",
            stacklevel=3,
        )


def _table_features(table: Table) -> np.ndarray:
    parts = []
    for name, values in table.columns.items():
        if name in table.numeric:
            parts.extend(_numeric(values))
        else:
            parts.extend(_categorical(values))
    return np.stack(parts, axis=1).astype(np.float32)


def _numeric(values: np.ndarray) -> list[np.ndarray]:
    missing = np.isnan(values)
    known = values[~missing]
    if not len(known):
        return [np.zeros(len(values))]
    # Dividing by the largest magnitude first keeps the squares of huge numbers finite.
    scale = float(np.abs(known).max()) or 1.0
    scaled = values / scale
    mean, deviation = float((known / scale).mean()), float((known / scale).std())
    standard = np.where(missing, 0.0, (scaled - mean) / (deviation if deviation > 0 else 1.0))
    return [standard, missing.astype(np.float64)] if missing.any() else [standard]


def _categorical(values: np.ndarray) -> list[np.ndarray]:
    counts = Counter(word for word in values.tolist() if word)
    # Most frequent first, ties in alphabetical order, so that row order changes nothing.
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_CATEGORIES]
    return [(values == word).astype(np.float64) for word in sorted(frequent)] or [
        np.zeros(len(values))
    ]
