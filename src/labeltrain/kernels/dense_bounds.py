"""Bounds of coverage gains from one matrix of all similarities, where memory allows it."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.bounds import CHUNK, DOWN, MANY, ROUNDING, TILE, ULP, UP, Bounds, Leaders


class DenseBounds(Bounds):
    """All similarities of the candidates to the pool in one matrix."""

    @staticmethod
    def fits(candidates: int, n: int, memory: int) -> bool:
        """Return True when the matrix needs at most these bytes."""
        return 4 * candidates * n <= memory

    def start(self, candidates: np.ndarray, modular: np.ndarray) -> np.ndarray:
        """Fill the matrix; return a bound of the gain of each candidate."""
        rows, m, n = self.rows, len(candidates), self.rows.n
        self.matrix = np.empty((m, n), dtype=np.float32)
        symmetric = m == n

        def fill(block: slice) -> None:
            part = candidates[block]
            left = rows.read(part)
            for chunk in row_blocks(n, CHUNK):
                if symmetric and chunk.stop <= block.start:
                    continue
                bounds = self._similarities(part, left, chunk)
                self.matrix[block, chunk] = bounds
                if symmetric and chunk.start >= block.stop:
                    self.matrix[chunk, block] = bounds.T

        map_blocks(fill, row_blocks(m, TILE))
        # How far above a similarity its bound may be.
        spread = 8.0 * float(rows.slack) * float(rows.halves.max(initial=0.0))
        self.shrink = np.float32(max(0.0, 1.0 - spread - 4.0 * ROUNDING))
        self.lower = np.float32(0.0) if self.similarity.gaussian else 2 * rows.slack
        return super().start(candidates, modular)

    def _renew(self) -> None:
        self.base = self._gains(np.arange(len(self.candidates))) * UP + self.modular
        self._remember()

    def _gains(self, positions: np.ndarray) -> np.ndarray:
        from labeltrain.kernels._compiled_coverage import gains_of_rows

        total = np.empty(len(positions))

        def add(block: slice) -> None:
            gains_of_rows(self.matrix, positions[block], self.below, self.weights, total[block])

        map_blocks(add, row_blocks(len(positions), MANY))
        return total

    def _drops(
        self, ranks: np.ndarray, changed: np.ndarray, before: np.ndarray, now: np.ndarray
    ) -> np.ndarray:
        from labeltrain.kernels._compiled_coverage import drops_of_rows

        before = before + ULP
        most = np.maximum(now - before, np.float32(0.0))
        weights = self.weights[changed]
        total = np.empty(len(ranks))

        def add(block: slice) -> None:
            drops_of_rows(
                self.matrix,
                ranks[block],
                changed,
                before,
                most,
                weights,
                self.shrink,
                self.lower,
                total[block],
            )

        map_blocks(add, row_blocks(len(ranks), MANY))
        return total * DOWN

    def leaders(self, upper: np.ndarray, settled: np.ndarray, threshold: float) -> Leaders:
        """Return a candidate whose fresh bound may reach the threshold, or nothing."""
        from labeltrain.kernels._compiled_coverage import next_leader

        wanted = np.flatnonzero((upper > 0.0) & (upper >= threshold) & ~settled)
        if threshold > 0.0 and len(wanted) > MANY:
            self._improve(upper, wanted, threshold)
            wanted = wanted[upper[wanted] >= threshold]
        rank = next_leader(
            self.matrix,
            upper,
            wanted,
            self.below,
            self.weights,
            self.modular,
            threshold,
            float(UP),
        )
        return [] if rank < 0 else [(rank, self.matrix[rank])]
