"""Bounds of coverage gains from the pairs that still matter, once these fit the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.threads import available_threads

ENTRY = 8  # bytes of a pair: a candidate and a similarity
SAMPLE = 128  # items whose pairs are counted for an estimate
SPARE = 1.1  # room for more pairs than estimated
TALLEST = 256  # items whose similarities are computed at a time
ROUNDING = 1e-9  # of the first gains: sums in float64 are off by far less
Products = Callable[[np.ndarray | slice], np.ndarray]


class Pairs:
    """For each item the candidates that are more similar to it than all picks, maybe.

    Coverage only rises, so a pair that cannot raise it never will. After t picks about one pair in
    t is left; the gains of all candidates then follow from the rows of the items that are better
    covered, without a single product.

    Parameters
    ----------
    products : callable
        From items to bounds of their similarities to all candidates, (k, m) float32.
    candidates : int
    below : ndarray of float32, shape (n,)
        A lower bound of the coverage.
    weights : ndarray of float64, shape (n,)
    """

    def __init__(
        self, products: Products, candidates: int, below: np.ndarray, weights: np.ndarray
    ) -> None:
        self._products, self._m = products, candidates
        self._below, self._weights = below.copy(), weights
        n = len(below)
        self.starts = np.zeros(n, dtype=np.int64)
        self.counts = np.zeros(n, dtype=np.int64)
        self.ranks = np.empty(0, dtype=np.int32)
        self.values = np.empty(0, dtype=np.float32)
        self.gains = np.zeros(candidates)

    def estimate(self) -> float:
        """Return about how many pairs there are: those of some items, counted."""
        n = len(self._below)
        some = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))
        above = self._products(some) > self._below[some, None]
        return float(np.count_nonzero(above)) / len(some) * n

    def fill(self, most: int, height: int) -> bool:
        """Find the pairs, at most `most`; return False, and hold none, where there are more.

        Parameters
        ----------
        most : int
        height : int
            Items whose similarities a thread holds at a time.
        """
        from labeltrain.kernels._compiled_coverage import count_above, keep_above, pair_gains

        ranks, values = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
        lock = threading.Lock()
        end = 0

        def fill(block: slice) -> None:
            nonlocal end
            if end > most:
                return
            product = self._products(block)
            below, counts = self._below[block], self.counts[block]
            count_above(product, below, counts)
            with lock:
                start, end = end, end + int(counts.sum())
            if end > most:
                return
            self.starts[block] = start + np.cumsum(counts) - counts
            keep_above(product, below, self.starts[block], ranks, values)

        map_blocks(fill, row_blocks(len(self._below), height))
        if end > most:
            return False
        self.ranks, self.values = ranks, values
        pair_gains(self.starts, self.counts, ranks, values, self._below, self._weights, self.gains)
        self.gains += ROUNDING * self.gains.max(initial=0.0)
        return True

    def update(self, below: np.ndarray) -> np.ndarray:
        """Take off what cannot be gained any more; return a bound of each gain, (m,)."""
        from labeltrain.kernels._compiled_coverage import drop_pairs

        changed = np.flatnonzero(below != self._below)
        drop_pairs(
            changed, self.starts, self.counts, self.ranks, self.values,
            self._below, below, self._weights, self.gains,
        )  # fmt: skip
        self._below[changed] = below[changed]
        return self.gains


def strip_height(candidates: int, memory: int) -> int:
    """Return for how many items at a time similarities to all candidates fit these bytes."""
    return int(min(TALLEST, memory // (4 * max(candidates, 1) * available_threads())))
