"""How similar two items are, and the rows of a pool made ready for products that say so."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.rows import MEMORY

READ_ROWS = 4096
CUT = 60.0  # a Gaussian similarity below exp(-60) counts as 0


@dataclass(frozen=True)
class Similarity:
    """A similarity between 0 and 1.

    Attributes
    ----------
    kind : {"gaussian", "cosine"}
        ``exp(-\\|x - y\\|^2 / scale)``, or the cosine, 0 where it is negative.
    scale : float
        Positive; read by ``gaussian`` only.
    normalise : bool
        Measure between rows of length 1. Zero rows stay zero. ``cosine`` always does.
    """

    kind: str = "gaussian"
    scale: float = 1.0
    normalise: bool = True

    @property
    def gaussian(self) -> bool:
        """Return True for the Gaussian."""
        return self.kind == "gaussian"


def length_factors(points: np.ndarray, normalise: bool = True) -> np.ndarray:
    """Return what each row is multiplied by: 1 / length, 0 for zero rows; ones unless asked for."""
    from labeltrain.kernels._compiled_exact import squared_norms

    n = points.shape[0]
    if not normalise:
        return np.ones(n)
    factors = np.empty(n)

    def fill(rows: slice) -> None:
        squares = squared_norms(original_rows(points, rows))
        with np.errstate(divide="ignore"):
            factors[rows] = np.where(squares > 0.0, 1.0 / np.sqrt(squares), 0.0)

    map_blocks(fill, row_blocks(n, READ_ROWS))
    return factors


def mean_squared_distance(points: np.ndarray, normalise: bool = True) -> float:
    """Return the mean of the squared distance over all ordered pairs, in two passes.

    It is twice the mean squared distance to the mean row. 1.0 when all rows are equal.
    """
    n = points.shape[0]
    factors = length_factors(points, normalise)
    mean = _mean(points, factors)

    def spread(rows: slice) -> float:
        block = original_rows(points, rows).astype(np.float64) * factors[rows, None]
        block -= mean
        return float(np.einsum("ij,ij->", block, block))

    total = math.fsum(map_blocks(spread, row_blocks(n, READ_ROWS)))
    value = 2.0 * total / max(n, 1)
    return value if value > 1e-30 else 1.0


def original_rows(points: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Return some rows without loss: float32 where that holds them, else float64; C-ordered."""
    wide = points.dtype.itemsize > 4
    return np.ascontiguousarray(points[rows], dtype=np.float64 if wide else np.float32)


def _mean(points: np.ndarray, factors: np.ndarray) -> np.ndarray:
    def add(rows: slice) -> np.ndarray:
        return factors[rows] @ original_rows(points, rows).astype(np.float64)

    n = points.shape[0]
    return np.sum(map_blocks(add, row_blocks(n, READ_ROWS)), axis=0) / max(n, 1)


class ReadyRows:
    """The rows of a pool, normalised, centred and scaled, in float32.

    For ready rows x and y, ``<x, y> - halves(x) - halves(y)`` is at least the exponent of the
    Gaussian similarity, whatever the rounding of a float32 product; so it bounds the similarity
    from above; with `full_halves`, from below. For the cosine, ``<x, y>`` plus or minus
    `slack` does.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        May be a memory map, of any float type and order.
    similarity : Similarity
    memory : int
        A copy is kept when it needs at most half of these bytes.
    """

    def __init__(self, points: np.ndarray, similarity: Similarity, memory: int = MEMORY) -> None:
        self.points = np.asarray(points)
        self.n, self.d = self.points.shape
        self.factors = length_factors(self.points, similarity.normalise)
        # A sum of d float32 products is off by about sqrt(d) roundings; twice that, and some.
        rounding = 6e-8 * (2.0 * math.sqrt(self.d) + 12.0)
        self.slack = np.float32(rounding)
        if similarity.gaussian:
            self._mean = _mean(self.points, self.factors)
            self._scale = math.sqrt(2.0 / similarity.scale)
        else:
            self._mean = np.zeros(self.d)
            self._scale = 1.0
        self.halves = np.zeros(self.n, dtype=np.float32)
        self.full_halves = np.zeros(self.n, dtype=np.float32)
        self._copy: np.ndarray | None = None
        keep = 4 * self.n * self.d <= memory // 2
        copy = np.empty((self.n, self.d), dtype=np.float32) if keep else None

        def fill(rows: slice) -> None:
            block = self._make(rows)
            if copy is not None:
                copy[rows] = block
            squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
            self.halves[rows] = 0.5 * squares * (1.0 - 2.0 * rounding)
            self.full_halves[rows] = 0.5 * squares * (1.0 + 2.0 * rounding)

        map_blocks(fill, row_blocks(self.n, READ_ROWS))
        self._copy = copy

    @property
    def resident(self) -> bool:
        """Return True when a copy is kept."""
        return self._copy is not None

    def _make(self, rows: slice | np.ndarray) -> np.ndarray:
        block = original_rows(self.points, rows).astype(np.float64)
        block *= self.factors[rows, None]
        block -= self._mean
        block *= self._scale
        return block.astype(np.float32)

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some ready rows, float32 and C-ordered."""
        return self._make(rows) if self._copy is None else self._copy[rows]

    def exact(self, position: int) -> np.ndarray:
        """Return one row, normalised, in float64: what exact similarities are measured to."""
        row = original_rows(self.points, slice(position, position + 1))[0].astype(np.float64)
        return row * self.factors[position]
