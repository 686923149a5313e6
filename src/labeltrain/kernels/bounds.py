"""Upper bounds of coverage gains from float32 products, dense or in blocks.

A bound is brought up to date from all items, or by subtracting what was lost on the items that
became better covered. These wait in segments, largest changes first, and a candidate sees only as
many of them as it takes to fall behind; no pair of candidate and change is looked at twice. When
that would cost more than a pass over all pairs, such a pass is made, in which each product serves
both of its items.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.similarity import ReadyRows, Similarity

ROUNDING = 4e-6  # above the relative error of the float32 exponential and sums
UP = np.float32(1.0 + ROUNDING)
DOWN = np.float32(1.0 - ROUNDING)
ULP = np.float32(1.2e-7)  # coverage may be above `below` by so much
TILE = 512
CHUNK = 1024
WIDTH = 64  # columns of products that are kept for exact measurement
FIRST = 16
MANY = 256  # more open candidates than this are first brought up to date together
SEGMENTS = 128  # older ones are forgotten: bounds without them are looser, but hold
Leaders = list[tuple[int, np.ndarray]]


@dataclass
class Segment:
    """Some items that became better covered, and which candidates have accounted for it."""

    rows: np.ndarray
    before: np.ndarray
    now: np.ndarray
    done: np.ndarray


class Bounds:
    """Bounds of the gains of all candidates, and the similarities of the leading ones.

    Parameters
    ----------
    rows : ReadyRows
    similarity : Similarity
    below : ndarray of float32, shape (n,)
        The coverage, rounded down; shared with the search, which raises it.
    weights : ndarray of float, shape (n,)
    memory : int
    """

    def __init__(
        self,
        rows: ReadyRows,
        similarity: Similarity,
        below: np.ndarray,
        weights: np.ndarray,
        memory: int,
    ) -> None:
        self.rows, self.similarity, self.below = rows, similarity, below
        self.weights = weights.astype(np.float32)
        self.width = int(max(1, min(WIDTH, memory // (16 * max(rows.n, 1)))))
        share = memory // (32 * max(rows.d, 1))
        self.read_rows = int(max(64, min(4096, share)))
        self.tile = TILE if rows.resident else int(max(64, min(16384, share)))
        self._kept: np.ndarray | None = None
        self.base = np.empty(0)
        self.base_below = below
        self.segments: list[Segment] = []

    def start(self, candidates: np.ndarray, modular: np.ndarray) -> np.ndarray:
        """Return a bound of the gain of each candidate."""
        self.candidates, self.modular = candidates, modular
        self._renew()
        return self.base.copy()

    def leaders(self, upper: np.ndarray, settled: np.ndarray, threshold: float) -> Leaders:
        """Return some leading candidates with their similarities, or none when none may lead.

        Parameters
        ----------
        upper : ndarray of float64, shape (m,)
            A bound of each gain; brought up to date here.
        settled : ndarray of bool, shape (m,)
            Candidates that are measured already, or picked.
        threshold : float
            The gain to beat or equal.
        """
        wanted = np.flatnonzero((upper > 0.0) & (upper >= threshold) & ~settled)
        if threshold > 0.0 and len(wanted) > MANY:
            self._improve(upper, wanted, threshold)
            wanted = wanted[upper[wanted] >= threshold]
        if not len(wanted):
            return []
        width = min(self.width, FIRST if threshold <= 0.0 else WIDTH)
        top = wanted
        if len(wanted) > width:
            top = wanted[np.argpartition(-upper[wanted], width - 1)[:width]]
        return self._lead(top, upper)

    def columns(self, positions: np.ndarray) -> np.ndarray:
        """Return bounds of the similarities of at most `width` items to all: (k, n)."""
        rows = self.rows
        if self._kept is None:
            self._kept = np.empty((self.width, rows.n), dtype=np.float32)
        kept = self._kept[: len(positions)]
        left = rows.read(positions)

        def fill(block: slice) -> None:
            kept[:, block] = self._similarities(positions, left, block)

        map_blocks(fill, row_blocks(rows.n, self.read_rows))
        return kept

    def _similarities(
        self, some: slice | np.ndarray, left: np.ndarray, others: slice | np.ndarray
    ) -> np.ndarray:
        """Return bounds of the similarities of `some` items, whose ready rows are `left`."""
        from labeltrain.kernels._compiled_coverage import to_bounds

        halves, rows = self.rows.halves, self.rows
        product = left @ rows.read(others).T
        to_bounds(product, halves[some], halves[others], self.similarity.gaussian, rows.slack, UP)
        return product

    def _lead(self, top: np.ndarray, upper: np.ndarray) -> Leaders:
        from labeltrain.kernels._compiled_coverage import row_gains

        kept = self.columns(self.candidates[top])
        fresh = np.zeros(len(top))
        row_gains(kept, self.below, self.weights, fresh)
        upper[top] = np.minimum(upper[top], fresh * UP + self.modular[top])
        order = np.argsort(-upper[top], kind="stable")
        return [(int(top[o]), kept[o]) for o in order]

    def _improve(self, upper: np.ndarray, wanted: np.ndarray, threshold: float) -> None:
        """Bring many bounds up to date, until few may reach the threshold."""
        m, n = len(self.candidates), self.rows.n
        changed = self._close()
        cost = len(wanted) * len(changed)
        cost += sum(len(s.rows) * int((~s.done[wanted]).sum()) for s in self.segments)
        if cost > m * n * (0.5 if 2 * m > n else 1.0):
            self._renew()
            np.minimum(upper, self.base, out=upper)
            return
        for segment in self.segments:
            rest = wanted[~segment.done[wanted]]
            if not len(rest):
                continue
            self.base[rest] -= self._drops(rest, segment.rows, segment.before, segment.now)
            segment.done[rest] = True
            upper[rest] = np.minimum(upper[rest], self.base[rest])
            wanted = wanted[upper[wanted] >= threshold]
            if len(wanted) <= WIDTH:
                return
        if len(changed):
            lost = self._drops(wanted, changed, self.base_below[changed], self.below[changed])
            upper[wanted] = np.minimum(upper[wanted], self.base[wanted] - lost)

    def _close(self) -> np.ndarray:
        """Put changes into segments once they are many; return the items whose changes wait."""
        changed = np.flatnonzero(self.below != self.base_below)
        size = max(1024, self.rows.n // 24)
        if len(changed) < size // 2:
            return changed
        rise = self.weights[changed] * (self.below[changed] - self.base_below[changed])
        changed = changed[np.argsort(-rise, kind="stable")]
        m = len(self.candidates)
        for part in row_blocks(len(changed), size):
            rows = np.sort(changed[part])
            before, now = self.base_below[rows], self.below[rows]
            self.segments.append(Segment(rows, before, now, np.zeros(m, dtype=bool)))
        del self.segments[:-SEGMENTS]
        self.base_below = self.below.copy()
        return changed[:0]

    def _renew(self) -> None:
        """Compute all bounds from scratch; they become the common state."""
        if 2 * len(self.candidates) > self.rows.n:
            gains = self._all_gains()[self.candidates]
        else:
            gains = self._gains(self.candidates)
        self.base = gains * UP + self.modular
        self._remember()

    def _remember(self) -> None:
        self.base_below = self.below.copy()
        self.segments = []

    def _drops(
        self, ranks: np.ndarray, changed: np.ndarray, before: np.ndarray, now: np.ndarray
    ) -> np.ndarray:
        """Return a lower bound of what some candidates lost by some changes."""
        from labeltrain.kernels._compiled_coverage import row_drops, to_bounds

        rows = self.rows
        before = before + ULP
        weights = self.weights[changed]
        total = np.zeros(len(ranks))

        def add(block: slice) -> None:
            part = self.candidates[ranks[block]]
            left, halves = rows.read(part), rows.full_halves[part]
            for chunk in row_blocks(len(changed), CHUNK):
                inside = changed[chunk]
                product = left @ rows.read(inside).T
                to_bounds(
                    product,
                    halves,
                    rows.full_halves[inside],
                    self.similarity.gaussian,
                    -rows.slack,
                    DOWN,
                )
                row_drops(product, before[chunk], now[chunk], weights[chunk], total[block])

        tile = min(self.tile, max(16, -(-len(ranks) // 4)))
        map_blocks(add, row_blocks(len(ranks), tile))
        return total * DOWN

    def _gains(self, positions: np.ndarray) -> np.ndarray:
        from labeltrain.kernels._compiled_coverage import row_gains

        rows = self.rows
        total = np.zeros(len(positions))

        def add(block: slice) -> None:
            part = positions[block]
            left = rows.read(part)
            for chunk in row_blocks(rows.n, CHUNK):
                bounds = self._similarities(part, left, chunk)
                row_gains(bounds, self.below[chunk], self.weights[chunk], total[block])

        tile = min(self.tile, max(16, -(-len(positions) // 4)))
        map_blocks(add, row_blocks(len(positions), tile))
        return total

    def _all_gains(self) -> np.ndarray:
        """Return the gains of all items, each product used for both of its items."""
        from labeltrain.kernels._compiled_coverage import column_gains, row_gains

        rows, below, weights = self.rows, self.below, self.weights
        total = np.zeros(rows.n)
        lock = threading.Lock()

        def add(tile: slice) -> None:
            left = rows.read(tile)
            mine = np.zeros(rows.n)
            later = row_blocks(rows.n - tile.stop, CHUNK)
            for chunk in [tile, *(slice(c.start + tile.stop, c.stop + tile.stop) for c in later)]:
                bounds = self._similarities(tile, left, chunk)
                row_gains(bounds, below[chunk], weights[chunk], mine[tile])
                if chunk is not tile:
                    column_gains(bounds, below[tile], weights[tile], mine[chunk])
            with lock:
                np.add(total[tile.start :], mine[tile.start :], out=total[tile.start :])

        map_blocks(add, row_blocks(rows.n, self.tile))
        return total
