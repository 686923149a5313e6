"""Bounds of coverage gains from one matrix of all similarities, where memory allows it."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.bounds import UP, Bounds, Leaders
from labeltrain.kernels.similarity import ReadyRows, Similarity

TILE = 256  # rows filled at a time
MOST = 8  # leaders handed out at a time
WORTH_A_THREAD = 2**22  # entries to go through; below, starting threads takes longer
ROUNDING = 1e-9  # of the first gains: sums in float64 are off by far less


class DenseBounds(Bounds):
    """All similarities of the pool to the candidates in one matrix, one row an item.

    Every bound is kept up to date: when items become better covered, what no candidate can gain
    from them any more is taken off, row by row. Over all picks an item's row is read about as often
    as its coverage rises, 1 + ln(picks) times, however flat the gains are.
    """

    def __init__(
        self,
        rows: ReadyRows,
        similarity: Similarity,
        below: np.ndarray,
        weights: np.ndarray,
        memory: int,
    ) -> None:
        super().__init__(rows, similarity, below, weights, memory)
        self.weights = weights  # float64: sums of these bounds carry no margin for rounding

    @staticmethod
    def fits(candidates: int, n: int, memory: int) -> bool:
        """Return True when the matrix needs at most these bytes."""
        return 4 * candidates * n <= memory

    def start(self, candidates: np.ndarray, modular: np.ndarray) -> np.ndarray:
        """Fill the matrix; return a bound of the gain of each candidate."""
        from labeltrain.kernels._compiled_coverage import add_gains, to_bounds

        rows, m, n = self.rows, len(candidates), self.rows.n
        self.candidates, self.modular = candidates, modular
        self.matrix = np.empty((n, m), dtype=np.float32)
        gaussian = self.similarity.gaussian
        right = np.ascontiguousarray(rows.read(slice(0, n) if m == n else candidates).T)
        halves = rows.halves if m == n else rows.halves[candidates]

        def fill(block: slice) -> np.ndarray:
            sums = np.zeros(m)
            bounds = np.matmul(rows.read(block), right, out=self.matrix[block])
            to_bounds(bounds, rows.halves[block], halves, gaussian, rows.slack, UP)
            add_gains(bounds, self.below[block], self.weights[block], sums)
            return sums

        self.fresh = np.sum(map_blocks(fill, row_blocks(n, TILE)), axis=0)
        self.fresh += ROUNDING * self.fresh.max(initial=0.0)
        self.seen = self.below.copy()
        return self.fresh + modular

    def leaders(self, upper: np.ndarray, settled: np.ndarray, threshold: float) -> Leaders:
        """Return the candidates with the largest bounds, with their similarities."""
        self._update(upper)
        bounds = np.where(settled, -1.0, upper)
        if threshold <= 0.0:
            top = [int(bounds.argmax())] if len(bounds) else []
        else:
            wanted = np.flatnonzero(bounds >= threshold)
            top = wanted[np.argsort(-bounds[wanted], kind="stable")[:MOST]].tolist()
        return [(rank, self.bounds_of(rank)) for rank in top if bounds[rank] > 0.0]

    def bounds_of(self, rank: int) -> np.ndarray:
        """Return bounds of the similarities of a candidate to all items, by symmetry."""
        row = self.matrix[self.candidates[rank]]
        if len(row) == self.rows.n:
            return row
        full = np.full(self.rows.n, np.float32(2.0))  # items that are no candidates: unknown
        full[self.candidates] = row
        return full

    def _update(self, upper: np.ndarray) -> None:
        """Take off what cannot be gained any more from items that are better covered now."""
        from labeltrain.kernels._compiled_coverage import drop_gains

        changed = np.flatnonzero(self.below != self.seen)
        if not len(changed):
            return
        before, now, weights = self.seen[changed], self.below[changed], self.weights[changed]
        m = len(self.candidates)

        def drop(part: slice) -> None:
            drop_gains(
                self.matrix, changed, before, now, weights, part.start, part.stop, self.fresh
            )

        if len(changed) * m < WORTH_A_THREAD:
            drop(slice(0, m))
        else:
            map_blocks(drop, row_blocks(m, 2048))
        self.seen[changed] = now
        np.minimum(upper, self.fresh + self.modular, out=upper)
