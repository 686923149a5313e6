"""The rows that a kernel works on: blocks of float32, copied once where memory allows."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import float32_rows, map_blocks, row_blocks

MEMORY = 2**30  # bytes a kernel may use beside its inputs, unless told otherwise
READ_ROWS = 8192
SAMPLED = 2048  # rows that the centre comes from
SHARE = 0.2  # of the mean squared length: below, rounding grows by less than a quarter


def rows_to_hold(n: int, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to work on, and which of them are no candidates.

    All rows where most are candidates: reading them in one piece is quicker than picking them out.
    """
    if 2 * len(candidates) <= n:
        return candidates, np.zeros(len(candidates), dtype=bool)
    excluded = np.ones(n, dtype=bool)
    excluded[candidates] = False
    return np.arange(n), excluded


class Rows:
    """Some rows of a matrix, given out in blocks of C-ordered float32, shifted by `-centre`.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        May be a memory map, of any float type and order.
    index : ndarray of int64, shape (m,)
        The rows.
    centre : ndarray of float64, shape (d,), optional
        Values that float32 holds exactly (:func:`mean_row` gives such), so that each difference is
        rounded once, whatever the type of the points.
    memory : int
        A copy is kept when it needs at most half of these bytes, and when it saves work at all.
    """

    def __init__(
        self,
        points: np.ndarray,
        index: np.ndarray,
        *,
        centre: np.ndarray | None = None,
        memory: int = MEMORY,
    ) -> None:
        self.points = np.asarray(points)
        self.index = index
        self.n, self.d = len(index), points.shape[1]
        wide = self.points.dtype.itemsize > 4
        self.centre = centre if centre is None or wide else centre.astype(np.float32)
        self.whole = self.n == len(points) and bool((index == np.arange(self.n)).all())
        self._copy: np.ndarray | None = None
        plain = (
            self.whole
            and centre is None
            and self.points.dtype == np.float32
            and self.points.flags.c_contiguous
        )
        if not plain and 4 * self.n * self.d <= memory // 2:
            copy = np.empty((self.n, self.d), dtype=np.float32)

            def fill(rows: slice) -> None:
                copy[rows] = self.read(rows)

            map_blocks(fill, row_blocks(self.n, READ_ROWS))
            self._copy = copy

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return these rows (counted within `index`), float32 and C-ordered."""
        if self._copy is not None:
            return self._copy[rows]
        rows = rows if self.whole else self.index[rows]
        if self.centre is None:
            return float32_rows(self.points, rows)
        if self.centre.dtype == np.float64:
            return np.ascontiguousarray(self.points[rows] - self.centre, dtype=np.float32)
        return float32_rows(self.points, rows) - self.centre

    def exact(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return these rows as they are in the input, float64 and C-ordered, not shifted."""
        picked = self.points[rows] if self.whole else self.points[self.index[rows]]
        return np.ascontiguousarray(picked, dtype=np.float64)

    def squared_norms(self) -> np.ndarray:
        """Return the squared length of each shifted row, float32 (m,)."""
        norms = np.empty(self.n, dtype=np.float32)

        def fill(rows: slice) -> None:
            block = self.read(rows)
            norms[rows] = np.einsum("ij,ij->i", block, block)

        map_blocks(fill, row_blocks(self.n, READ_ROWS))
        return norms


def mean_row(points: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the mean of some rows, rounded to float32 but as float64 (d,), read in blocks."""
    whole = len(index) == len(points)
    points = np.asarray(points)

    def add(rows: slice) -> np.ndarray:
        block = points[rows] if whole else points[index[rows]]
        return block.sum(axis=0, dtype=np.float64)

    mean = np.sum(map_blocks(add, row_blocks(len(index), READ_ROWS)), axis=0) / max(len(index), 1)
    return mean.astype(np.float32).astype(np.float64)


def worthwhile_centre(points: np.ndarray, index: np.ndarray) -> np.ndarray | None:
    """Return about the mean of some rows when subtracting it makes them much shorter, else None.

    Products of shorter rows lose less to rounding; rows that stay as they are need no copy. The
    mean is that of a sample, spread evenly: any point near it would do.
    """
    chosen = index[:: max(1, len(index) // SAMPLED)]
    sample = np.asarray(points[chosen], dtype=np.float64)
    if not len(sample):
        return None
    centre = sample.mean(axis=0).astype(np.float32).astype(np.float64)
    length = float(np.einsum("ij,ij->", sample, sample)) / len(sample)
    return centre if float(centre @ centre) > SHARE * length else None
