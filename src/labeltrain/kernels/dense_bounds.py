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

    def start(self, candidates: np.ndarray, modular: np.ndarray, turns: int) -> np.ndarray:
        """Fill the matrix; return a bound of the gain of each candidate."""
        rows, m, n = self.rows, len(candidates), self.rows.n
        self.candidates, self.modular = candidates, modular
        self.matrix = np.empty((n, m), dtype=np.float32)
        self._right = np.ascontiguousarray(rows.read(slice(0, n) if m == n else candidates).T)
        other = np.ones(n, dtype=bool)
        other[candidates] = False
        others = np.flatnonzero(other)
        sums = map_blocks(self._fill_pairs, row_blocks(m, TILE))
        sums += map_blocks(lambda part: self._fill(others[part]), row_blocks(len(others), TILE))
        del self._right
        self.fresh = np.sum(sums, axis=0) if sums else np.zeros(m)
        self.fresh += ROUNDING * self.fresh.max(initial=0.0)
        self.seen = self.below.copy()
        return self.fresh + modular

    def _fill_pairs(self, block: slice) -> np.ndarray:
        """Fill in some candidates and all after them, both ways; return what these add to gains."""
        from labeltrain.kernels import _compiled_coverage as compiled

        some, rest = self.candidates[block], self.candidates[block.start :]
        bounds = self._bounds(some, slice(block.start, None))
        sums = np.zeros(self.matrix.shape[1])
        compiled.add_gains(bounds, self.below[some], self.weights[some], sums[block.start :])
        compiled.copy_into(bounds, self.matrix, some, block.start)
        after = rest[len(some) :]
        there = bounds[:, len(some) :]
        compiled.turn_into(there, self.matrix, after, block.start)
        compiled.add_turned_gains(there, self.below[after], self.weights[after], sums[block])
        return sums

    def _fill(self, others: np.ndarray) -> np.ndarray:
        """Fill in items that are no candidates."""
        from labeltrain.kernels._compiled_coverage import add_gains, copy_into

        bounds = self._bounds(others, slice(0, None))
        sums = np.zeros(self.matrix.shape[1])
        add_gains(bounds, self.below[others], self.weights[others], sums)
        copy_into(bounds, self.matrix, others, 0)
        return sums

    def _bounds(self, items: np.ndarray, columns: slice) -> np.ndarray:
        from labeltrain.kernels._compiled_coverage import to_bounds

        rows = self.rows
        bounds = rows.read(items) @ self._right[:, columns]
        halves = rows.halves[self.candidates[columns]]
        to_bounds(bounds, rows.halves[items], halves, self.similarity.gaussian, rows.slack, UP)
        return bounds

    def begin_turn(self, upper: np.ndarray) -> None:
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

    def leaders(self, upper: np.ndarray, settled: np.ndarray, threshold: float) -> Leaders:
        """Return the candidates with the largest bounds, with their similarities."""
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
