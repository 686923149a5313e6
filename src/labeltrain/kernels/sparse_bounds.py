"""Bounds of coverage gains from the pairs that still matter, once these fit the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks

ENTRY = 8  # bytes of a pair: a candidate and a similarity
SAMPLE = 128  # items whose pairs are counted for an estimate
SPARE = 1.1  # the estimate may be off by so much
TILE = 512  # items, and
CHUNK = 1024  # candidates whose similarities are computed at a time
ROUNDING = 1e-9  # of the first gains: sums in float64 are off by far less
NEVER = np.float32(2.0)  # above every similarity
Products = Callable[[np.ndarray | slice, slice], np.ndarray]


class Pairs:
    """For each item the candidates that are more similar to it than all picks, maybe.

    Coverage only rises, so a pair that cannot raise it never will. After t picks about one pair in
    t is left; the gains of all candidates then follow from the rows of the items that are better
    covered, without a single product.

    Parameters
    ----------
    products : callable
        From items, and candidates as a slice, to bounds of similarities, float32.
    candidates : int
    below : ndarray of float32, shape (n,)
        A lower bound of the coverage.
    weights : ndarray of float64, shape (n,)
        Items of weight 0 have no pairs.

    Attributes
    ----------
    left : ndarray of int64, shape (m,)
        Pairs of each candidate; without any it gains nothing.
    """

    def __init__(
        self, products: Products, candidates: int, below: np.ndarray, weights: np.ndarray
    ) -> None:
        self._products, self._m = products, candidates
        self._below, self._weights = np.where(weights > 0.0, below, NEVER), weights
        n = len(below)
        self.starts = np.zeros(n, dtype=np.int64)
        self.counts = np.zeros(n, dtype=np.int64)
        self.ranks = np.empty(0, dtype=np.int32)
        self.values = np.empty(0, dtype=np.float32)
        self.gains = np.zeros(candidates)
        self.left = np.zeros(candidates, dtype=np.int64)

    def estimate(self) -> float:
        """Return about how many pairs there are: those of some items, counted."""
        n = len(self._below)
        some = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))
        above = 0
        for chunk in row_blocks(self._m, CHUNK):
            product = self._products(some, chunk)
            above += int(np.count_nonzero(product > self._below[some, None]))
        return above / max(len(some), 1) * n

    def fill(self, most: int, at_once: int) -> bool:
        """Find the pairs; return False, and hold none, where there are too many.

        Parameters
        ----------
        most : int
            Pairs that there is room for.
        at_once : int
            Pairs that a thread may hold beside these.
        """
        from labeltrain.kernels._compiled_coverage import move_rows, pair_gains

        ranks, values = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
        lock = threading.Lock()
        end = 0

        def fill(block: slice) -> None:
            nonlocal end
            parts, inside = [], 0
            for chunk in row_blocks(self._m, CHUNK):
                if end > most:
                    return
                parts.append(self._above(block, chunk))
                inside += len(parts[-1][1])
                if inside > at_once:
                    end = most + 1
                    return
            counts = self.counts[block]
            counts[:] = np.sum([part[0] for part in parts], axis=0)
            with lock:
                start, end = end, end + inside
            if end > most:
                return
            starts = start + np.cumsum(counts) - counts
            self.starts[block] = starts
            for part in parts:
                move_rows(*part, starts, ranks, values)  # moves the starts on

        map_blocks(fill, row_blocks(len(self._below), TILE))
        if end > most:
            return False
        self.ranks, self.values = ranks, values
        pair_gains(
            self.starts, self.counts, ranks, values, self._below, self._weights,
            self.gains, self.left,
        )  # fmt: skip
        self.gains += ROUNDING * self.gains.max(initial=0.0)
        del self._products  # with the rows that it holds
        return True

    def _above(self, block: slice, chunk: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return how many of these pairs each item has, their ranks and their values."""
        from labeltrain.kernels._compiled_coverage import count_above, keep_above

        product, below = self._products(block, chunk), self._below[block]
        counts = np.empty(len(product), dtype=np.int64)
        count_above(product, below, counts)
        total = int(counts.sum())
        ranks, values = np.empty(total, dtype=np.int32), np.empty(total, dtype=np.float32)
        keep_above(product, below, chunk.start, ranks, values)
        return counts, ranks, values

    def update(self, below: np.ndarray) -> np.ndarray:
        """Take off what cannot be gained any more; return a bound of each gain, (m,)."""
        from labeltrain.kernels._compiled_coverage import drop_pairs

        changed = np.flatnonzero(below != self._below)
        drop_pairs(
            changed, self.starts, self.counts, self.ranks, self.values,
            self._below, below, self._weights, self.gains, self.left,
        )  # fmt: skip
        self._below[changed] = below[changed]
        return np.where(self.left > 0, self.gains, 0.0)
