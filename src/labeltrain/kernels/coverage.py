"""Greedy maximisation of coverage: exact picks, whatever the memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.bounds import Bounds
from labeltrain.kernels.dense_bounds import DenseBounds
from labeltrain.kernels.duplicates import Twins
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import (
    READ_ROWS,
    ReadyRows,
    Similarity,
    original_rows,
)

TIE = 1e-10  # gains closer than this, relatively, are equal
WORTH_A_THREAD = 2**20  # numbers read; below, starting threads takes longer
SEGMENT = 1024  # exact gains are summed within segments of positions first


@dataclass(frozen=True)
class Greedy:
    """What a greedy search picked, in order.

    Attributes
    ----------
    positions : ndarray of int64, shape (k,)
    gains : ndarray of float64, shape (k,)
        By how much each pick raised the objective.
    nearest : ndarray of int64, shape (k,)
        Items that were, when it was picked, more similar to it than to all before.
    coverage : ndarray of float64, shape (n,)
        Similarity of each item to the most similar of the given items and picks.
    """

    positions: np.ndarray
    gains: np.ndarray
    nearest: np.ndarray
    coverage: np.ndarray


def greedy_coverage(
    points: np.ndarray,
    similarity: Similarity,
    count: int,
    *,
    candidates: np.ndarray | None = None,
    given: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    modular: np.ndarray | None = None,
    memory: int = MEMORY,
) -> Greedy:
    """Pick, again and again, the candidate that raises the objective most.

    The objective is ``sum_i w_i max_{s in S} k(x_i, x_s) + sum_{s in S} m_s``, over all items i of
    the pool, with S the given items and the picks.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    similarity : Similarity
    count : int
        At most the number of candidates.
    candidates : ndarray of int, optional
        Positions that may be picked; all that are not given, by default.
    given : ndarray of int, optional
        Positions that cover already.
    weights : ndarray of float, shape (n,), optional
        Zero, or within what float32 holds (1e-37 to 1e37); ones by default.
    modular : ndarray of float, shape (n,), optional
        Non-negative gain of each item for itself, m; zeros by default.
    memory : int
        Bytes to use beside `points`.

    Returns
    -------
    Greedy
        Gains that agree to 1e-10 are ties, and go to the lowest position. Once nothing can be
        gained any more, the remaining picks are the lowest positions.

    Notes
    -----
    Lazy greedy: a gain of an earlier turn bounds the present one from above. Bounds come from
    float32 products, made to err upwards: rows of a dense matrix while it fits `memory`, else
    blocks of products over the leading candidates. A candidate whose bound stays ahead is measured
    in float64 by direct differences, on the items that it may cover better than all before it, and
    only such gains decide. So the picks depend neither on `memory` nor on the number of threads.
    Time O(n^2 d) for the first bounds, then a few columns, O(n d), a pick.
    """
    n = points.shape[0]
    search = _Search(points, similarity, weights, memory)
    if given is not None and len(given):
        search.cover(np.asarray(given, dtype=np.int64))
    if candidates is None:
        free = np.ones(n, dtype=bool)
        free[[] if given is None else given] = False
        candidates = np.flatnonzero(free)
    return search.run(np.sort(np.asarray(candidates, dtype=np.int64)), count, modular)


class _Columns:
    """Exact similarities of candidates to the items that they cover better than all picks.

    Coverage only rises, so what was left out is never needed again: while there is room, ties are
    measured once instead of turn after turn.
    """

    def __init__(self, memory: int) -> None:
        self._memory = self._room = memory
        self._pruned = False  # since the coverage rose
        self._held: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._last: tuple[int, tuple[np.ndarray, np.ndarray]] | None = None

    def get(self, rank: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return items and similarities, or None."""
        if self._last is not None and self._last[0] == rank:
            return self._last[1]
        return self._held.get(rank)

    def put(self, rank: int, column: tuple[np.ndarray, np.ndarray], coverage: np.ndarray) -> None:
        """Keep what may still raise the coverage, while there is room; the last one in any case."""
        kept = _better(column, coverage)
        self._last = (rank, kept)
        if _size(kept) > self._room and not self._pruned:
            self._pruned = True
            self._held = {r: _better(other, coverage) for r, other in self._held.items()}
            self._room = self._memory - sum(map(_size, self._held.values()))
        if _size(kept) <= self._room:
            self._held[rank] = kept
            self._room -= _size(kept)

    def drop(self, rank: int) -> None:
        """Forget one that was picked; the coverage rises."""
        held = self._held.pop(rank, None)
        self._room += 0 if held is None else _size(held)
        self._last = None
        self._pruned = False


def _better(
    column: tuple[np.ndarray, np.ndarray], coverage: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    items, values = column
    better = values > coverage[items]
    return column if better.all() else (items[better], values[better])


def _size(column: tuple[np.ndarray, np.ndarray]) -> int:
    return 512 + column[0].nbytes + column[1].nbytes  # with what Python adds


class _Search:
    """The state of one greedy search."""

    def __init__(
        self,
        points: np.ndarray,
        similarity: Similarity,
        weights: np.ndarray | None,
        memory: int,
    ) -> None:
        self.similarity = similarity
        self.memory = memory
        self.rows = ReadyRows(points, similarity, memory)
        n = self.rows.n
        self.coverage = np.zeros(n)
        self.below = np.zeros(n, dtype=np.float32)  # coverage, rounded down
        self.weights = np.ones(n) if weights is None else np.array(weights, dtype=np.float64)
        self.exact_rows = max(256, min(READ_ROWS // 2, memory // (32 * max(self.rows.d, 1))))

    def column(self, position: int, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the items this one may cover better, and its exact similarities to them."""
        from labeltrain.kernels._compiled_exact import exact_similarities

        active = np.flatnonzero(bounds > self.below)
        item = self.rows.exact(position)
        values = np.empty(len(active))

        def measure(part: slice) -> None:
            rows = active[part]
            whole = len(rows) == rows[-1] - rows[0] + 1
            chosen = slice(int(rows[0]), int(rows[-1]) + 1) if whole else rows
            values[part] = exact_similarities(
                original_rows(self.rows.points, chosen),
                self.rows.factors[chosen],
                item,
                self.similarity.gaussian,
                self.similarity.scale,
            )

        blocks = row_blocks(len(active), self.exact_rows)
        if len(active) * self.rows.d < WORTH_A_THREAD:
            for block in blocks:
                measure(block)
        else:
            map_blocks(measure, blocks)
        return active, values

    def cover(self, given: np.ndarray) -> None:
        """Raise coverage by items that are given."""
        from labeltrain.kernels._compiled_exact import raise_coverage

        source = Bounds(self.rows, self.similarity, self.below, self.weights, self.memory)
        for start in range(0, len(given), source.width):
            part = given[start : start + source.width]
            bounds = source.columns(part)
            for position, row in zip(part, bounds, strict=True):
                active, values = self.column(int(position), row)
                raise_coverage(active, values, self.coverage, self.below)

    def run(self, candidates: np.ndarray, count: int, modular: np.ndarray | None) -> Greedy:
        """Pick `count` of the candidates, which ascend."""
        from labeltrain.kernels._compiled_exact import exact_gain, raise_coverage

        own = np.zeros(len(candidates))
        if modular is not None:
            own = np.asarray(modular, np.float64)[candidates]
        twins = Twins(self.rows.points, candidates, own)
        heads, own = twins.heads, twins.own  # `own` changes as twins are picked
        m = len(heads)
        kind = DenseBounds if DenseBounds.fits(m, self.rows.n, self.memory) else Bounds
        source = kind(self.rows, self.similarity, self.below, self.weights, self.memory)
        upper = source.start(heads, own.copy(), count)
        settled = np.zeros(m, dtype=bool)  # the bound is the exact gain of this turn
        columns = _Columns(self.memory // 16)
        picked = np.empty(count, dtype=np.int64)
        gains = np.zeros(count)
        nearest = np.zeros(count, dtype=np.int64)
        for turn in range(count):
            source.begin_turn(upper)
            settled[:] = upper < 0.0  # picked already
            best = 0.0
            while True:
                threshold = best * (1.0 - TIE)
                leaders = source.leaders(upper, settled, threshold)
                if not leaders:
                    break
                for rank, bounds in leaders:
                    if settled[rank] or upper[rank] < best * (1.0 - TIE):
                        continue
                    found = columns.get(rank)
                    if found is None:
                        found = self.column(int(heads[rank]), bounds)
                        columns.put(rank, found, self.coverage)
                    gain = exact_gain(*found, self.coverage, self.weights, SEGMENT) + own[rank]
                    upper[rank] = min(gain, upper[rank])
                    settled[rank] = True
                    best = max(best, float(upper[rank]))
            if best <= 0.0:
                picked[turn:] = twins.left()[: count - turn]
                break
            tied = np.flatnonzero(settled & (upper >= best * (1.0 - TIE)))
            rank, position = twins.lowest(tied, upper[tied] - best * (1.0 - TIE))
            column = columns.get(rank)
            if column is None:
                column = self.column(int(heads[rank]), source.bounds_of(rank))
            picked[turn] = position
            gains[turn] = upper[rank]
            nearest[turn] = raise_coverage(*column, self.coverage, self.below)
            columns.drop(rank)
            twins.take(rank, position)
            upper[rank] = own[rank]  # a twin gains nothing but for itself any more
        return Greedy(picked, gains, nearest, self.coverage)
