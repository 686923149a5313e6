"""Rows of large weight that are far apart: greedy independent sets over a range of distances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.k_center import k_center
from labeltrain.kernels.rows import MEMORY, Rows, worthwhile_centre

ROWS = 512  # rows looked at together
COLUMNS = 1024  # and rows that they are compared with at a time
BETTER = 1e-12  # by less than this, relatively, a set is no better than an earlier one
SURE = 1e-9  # a search is given up when it stays behind by more than this, relatively


@dataclass(frozen=True)
class Spread:
    """A set of rows that are far apart.

    Attributes
    ----------
    positions : ndarray of int64, shape (k,)
        Largest weight first; ties to the lowest position.
    gap : float
        The smallest distance of a pick to another one, or to a centre; 0 where there is no pair.
    value : float
        Mean weight of the picks + strength * gap.
    """

    positions: np.ndarray
    gap: float
    value: float


def spread_out(
    points: np.ndarray,
    weights: np.ndarray,
    count: int,
    *,
    candidates: np.ndarray,
    centres: np.ndarray,
    strength: float,
    tolerance: float = 0.1,
    memory: int = MEMORY,
) -> Spread:
    """Return `count` candidates of large mean weight and large smallest distance.

    The value of a set S is ``mean_{s in S} w_s + strength * min dist(s, t)`` over pairs of s in S
    and t in S or among the centres.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    weights : ndarray of float64, shape (n,)
        Not negative.
    count : int
        From 1 to ``len(candidates)``.
    candidates, centres : ndarray of int64
        Positions that may be picked; positions that are chosen already.
    strength : float
        Not negative.
    tolerance : float
        Ratio, less 1, of the distances that are tried.
    memory : int
        Bytes for a copy of the candidates.

    Returns
    -------
    Spread
        The best of: the largest weights; the farthest-first set (:func:`k_center`), whose smallest
        distance is r; and, for every d = r * tolerance / 2 * (1 + tolerance)^i up to 2 r, the
        greedy independent set: in the order of the weights, each candidate that is at least d away
        from all before it and from the centres, if there are `count` of them. The first of equal
        ones. Its value is at least 1 / (2 (1 + tolerance)) of the best value of any `count`
        candidates.

    Notes
    -----
    r is at least half the smallest distance of any set of that size (Ravi, Rosenkrantz, Tayi 1994),
    so no d above 2 r needs to be tried, nor the diameter of the pool to be known. Let S* be the
    best set, g* its mean weight, d* its smallest distance. A greedy set for d < d*/2 has count
    items of mean weight g* or more: the ball of radius d around each of its items holds at most one
    item of S*, which came no earlier. If d* > r * tolerance, some d is in
    [d*/(2 (1 + tolerance)), d*/2); else the better of the first two sets is within
    1 / (1 + tolerance).

    O(t n count d) for t = log(4 / tolerance) / log(1 + tolerance) distances at the very most; a
    search stops when its set is complete, or when it can no longer be the best. Squared distances
    are float32 products, and pairs that these cannot tell from d are measured by differences in
    float64, so the picks depend neither on blocks nor on threads nor on `memory`.
    """
    candidates = np.sort(np.asarray(candidates, dtype=np.int64))
    centres = np.asarray(centres, dtype=np.int64)
    values = np.asarray(weights, dtype=np.float64)[candidates]
    search = _Search(points, candidates, centres, values, memory)
    best = search.independent(0.0, count, strength, math.inf, -math.inf)
    if best is None:  # there are always as many without a distance to keep
        raise RuntimeError("fewer candidates than picks")
    if count + len(centres) < 2 or strength == 0.0:
        return best
    far, distances = k_center(points, count, candidates=candidates, centres=centres, memory=memory)
    reach = float(distances[0 if len(centres) else 1 :].min())
    rows = np.searchsorted(candidates, far)
    rows = rows[np.lexsort((rows, -values[rows]))]
    farthest = Spread(candidates[rows], reach, float(values[rows].mean()) + strength * reach)
    best = _better(best, farthest)
    steps = math.floor(math.log(4.0 / tolerance) / math.log1p(tolerance) + 1e-9)
    for step in range(steps + 1 if reach > 0.0 else 0):
        apart = reach * tolerance / 2.0 * (1.0 + tolerance) ** step
        found = search.independent(apart, count, strength, 2.0 * reach, best.value)
        best = best if found is None else _better(best, found)
    return best


def _better(old: Spread, new: Spread) -> Spread:
    return new if new.value > old.value + BETTER * abs(old.value) else old


class _Search:
    """Candidates in the order of their weights, and their distances as far as they are needed."""

    def __init__(
        self,
        points: np.ndarray,
        candidates: np.ndarray,
        centres: np.ndarray,
        values: np.ndarray,
        memory: int,
    ) -> None:
        order = np.argsort(-values, kind="stable")
        self.positions, self.values = candidates[order], values[order]
        self.sums = np.concatenate([[0.0], np.cumsum(self.values)])
        centre = worthwhile_centre(points, candidates)
        self.rows = Rows(points, self.positions, centre=centre, memory=memory)
        self.given = Rows(points, centres, centre=centre, memory=memory)
        # Rounding of n_i + n_j - 2 <i, j> in float32, with a wide margin, is i's part plus j's.
        self.relative = np.float32(16.0 * math.sqrt(self.rows.d + 8.0) * 2.0**-24)
        self.norms, self.given_norms = self.rows.squared_norms(), self.given.squared_norms()
        m = len(candidates)
        # Between these is the squared distance to the nearest centre.
        self.low = np.full(m, np.inf, dtype=np.float32)
        self.high = np.full(m, np.inf, dtype=np.float32)

        def compare(part: slice) -> None:
            block, norms = self.rows.read(part), self.norms[part]
            for held in row_blocks(len(centres), COLUMNS):
                other = self.given.read(held)
                low, high = self._bounds(block, norms, other, self.given_norms[held])
                np.minimum(self.low[part], low.min(axis=1), out=self.low[part])
                np.minimum(self.high[part], high.min(axis=1), out=self.high[part])

        map_blocks(compare, row_blocks(m, ROWS))

    def _bounds(
        self, block: np.ndarray, norms: np.ndarray, other: np.ndarray, other_norms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what squared distances are at least, and at most."""
        total = norms[:, None] + other_norms
        middle = total - np.float32(2.0) * (block @ other.T)
        doubt = self.relative * total
        return middle - doubt, middle + doubt

    def independent(
        self, apart: float, count: int, strength: float, farthest: float, least: float
    ) -> Spread | None:
        """Return the greedy set of items at least `apart` from each other and from the centres.

        None when there are fewer than `count`, or when the value cannot be above `least`, no gap
        of `count` items being above `farthest`.
        """
        square = apart * apart
        chosen = _Chosen(self.rows, count)
        total = 0.0
        for part in row_blocks(len(self.positions), ROWS):
            missing = count - chosen.size
            if part.start + missing > len(self.positions):
                return None
            possible = total + self.sums[part.start + missing] - self.sums[part.start]
            if possible / count + strength * farthest < least - SURE * abs(least):
                return None
            total += self._admit(chosen, part, square)
            if chosen.size == count:
                break
        if chosen.size < count:
            return None
        rows = chosen.index
        gap = math.sqrt(self._smallest(chosen)) if count + self.given.n > 1 else 0.0
        value = float(self.values[rows].mean()) + strength * gap
        return Spread(self.positions[rows], gap, value)

    def _admit(self, chosen: _Chosen, part: slice, square: float) -> float:
        """Add the rows of one block that are far enough; return their weights."""
        rows = np.arange(part.start, part.stop)
        block, norms = self.rows.read(part), self.norms[part]
        low, high = self.low[part].copy(), self.high[part].copy()

        def compare(held: slice) -> tuple[np.ndarray, np.ndarray]:
            found = self._bounds(block, norms, chosen.points[held], chosen.norms[held])
            return found[0].min(axis=1), found[1].min(axis=1)

        for nearest in map_blocks(compare, row_blocks(chosen.size, COLUMNS)):
            np.minimum(low, nearest[0], out=low)
            np.minimum(high, nearest[1], out=high)
        free = np.flatnonzero((high >= square) | (square == 0.0))
        unsure = free[low[free] < square]
        if len(unsure):
            exact = self._exactly(rows[unsure], chosen.index)
            free = np.setdiff1d(free, unsure[exact < square])
        if not len(free):
            return 0.0
        rows, block, norms, low, high = rows[free], block[free], norms[free], low[free], high[free]
        lows, highs = map_blocks(lambda own: self._bounds(*own, *own), [(block, norms)])[0]
        out = np.zeros(len(rows), dtype=bool)
        added = 0.0
        for i in range(len(rows)):
            if out[i]:
                continue
            chosen.add(int(rows[i]), block[i], norms[i], low[i], high[i])
            added += float(self.values[rows[i]])
            if chosen.size == chosen.count:
                break
            later = slice(i + 1, len(rows))
            if square > 0.0:
                unsure = np.flatnonzero(
                    ~out[later] & (lows[i, later] < square) & (highs[i, later] >= square)
                )
                out[later] |= highs[i, later] < square
                if len(unsure):
                    exact = self._exactly(rows[later][unsure], rows[i : i + 1], centres=False)
                    out[i + 1 + unsure[exact < square]] = True
            np.minimum(low[later], lows[i, later], out=low[later])
            np.minimum(high[later], highs[i, later], out=high[later])
        return added

    def _exactly(self, rows: np.ndarray, others: np.ndarray, centres: bool = True) -> np.ndarray:
        """Return the squared distance of each row to the nearest of others, and of the centres."""
        from labeltrain.kernels import _compiled_distances as compiled

        nearest = np.full(len(rows), np.inf)
        exact = self.rows.exact(rows)
        for part in row_blocks(len(others), COLUMNS):
            compiled.lower_exactly(exact, self.rows.exact(others[part]), nearest)
        for part in row_blocks(self.given.n if centres else 0, COLUMNS):
            compiled.lower_exactly(exact, self.given.exact(part), nearest)
        return nearest

    def _smallest(self, chosen: _Chosen) -> float:
        """Return the smallest squared distance of a chosen row to one before it, or a centre."""
        size = chosen.size
        best = np.inf
        limit = chosen.high[:size].min()
        for place in np.flatnonzero(chosen.low[:size] <= limit):
            if best == 0.0:
                break
            row = chosen.index[place : place + 1]
            best = min(best, float(self._exactly(row, chosen.index[:place])[0]))
        return best


class _Chosen:
    """The rows of a set, in the order in which they were added."""

    def __init__(self, rows: Rows, count: int) -> None:
        self.count, self.size = count, 0
        self._index = np.empty(count, dtype=np.int64)
        self.points = np.empty((count, rows.d), dtype=np.float32)
        self.norms = np.empty(count, dtype=np.float32)
        self.low = np.empty(count, dtype=np.float32)  # squared distance to what was there before
        self.high = np.empty(count, dtype=np.float32)

    @property
    def index(self) -> np.ndarray:
        """The rows."""
        return self._index[: self.size]

    def add(self, row: int, point: np.ndarray, norm: float, low: float, high: float) -> None:
        """Add one row."""
        at = self.size
        self._index[at], self.points[at], self.norms[at] = row, point, norm
        self.low[at], self.high[at] = low, high
        self.size += 1
