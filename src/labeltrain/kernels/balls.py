"""Coverage by balls: the greedy picks of ProbCover, and the radius it uses."""

from __future__ import annotations

import math

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.bounds import CHUNK, TILE, Bounds
from labeltrain.kernels.coverage import Greedy
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import ReadyRows, Similarity, original_rows

BALLS = 3000  # balls whose purity is looked at, in larger pools
CLUSTERED = 50_000  # k-means sees at most so many items


class _Balls(Bounds):
    """Marks of 1 where two items are nearer than the radius, in place of similarities."""

    def __init__(self, points: np.ndarray, radius: float, normalise: bool, memory: int) -> None:
        similarity = Similarity("gaussian", 1.0, normalise)
        rows = ReadyRows(points, similarity, memory)
        self.squared = radius * radius
        # The ready products bound minus the squared distance from both sides.
        self.sure = np.float32(-self.squared * (1.0 - 1e-6))
        self.maybe = np.float32(-self.squared * (1.0 + 1e-6))
        self.uncovered = np.ones(rows.n, dtype=np.float32)
        zeros = np.zeros(rows.n, dtype=np.float32)
        super().__init__(rows, similarity, zeros, self.uncovered, memory)
        self.weights = self.uncovered

    def _similarities(
        self, some: slice | np.ndarray, left: np.ndarray, others: slice | np.ndarray
    ) -> np.ndarray:
        from labeltrain.kernels._compiled_neighbours import mark_near, settle_near

        rows = self.rows
        marks = left @ rows.read(others).T
        low, full = rows.halves, rows.full_halves
        if mark_near(
            marks, low[some], low[others], full[some], full[others], self.sure, self.maybe
        ):
            settle_near(
                marks,
                original_rows(rows.points, some),
                rows.factors[some],
                original_rows(rows.points, others),
                rows.factors[others],
                self.squared,
            )
        return marks

    def near(self, positions: np.ndarray) -> np.ndarray:
        """Return a mask of the items within the radius of any of these."""
        found = np.zeros(self.rows.n, dtype=bool)

        def add(block: slice) -> None:
            for part in row_blocks(len(positions), TILE):
                some = positions[part]
                found[block] |= self._similarities(some, self.rows.read(some), block).any(axis=0)

        map_blocks(add, row_blocks(self.rows.n, CHUNK))
        return found

    def counts(self, positions: np.ndarray) -> np.ndarray:
        """Return how many of these items each item of the pool has within its radius."""
        from labeltrain.kernels._compiled_coverage import column_gains

        total = np.zeros(self.rows.n)
        zeros, ones = np.zeros(TILE, dtype=np.float32), np.ones(TILE, dtype=np.float32)

        def add(block: slice) -> None:
            for part in row_blocks(len(positions), TILE):
                some = positions[part]
                marks = self._similarities(some, self.rows.read(some), block)
                column_gains(marks, zeros[: len(some)], ones[: len(some)], total[block])

        map_blocks(add, row_blocks(self.rows.n, CHUNK))
        return total

    def degrees(self, candidates: np.ndarray) -> np.ndarray:
        """Return how many uncovered items each candidate has within its radius."""
        if 2 * len(candidates) > self.rows.n:
            return self._all_gains()[candidates]
        return self._gains(candidates)


def greedy_balls(
    points: np.ndarray,
    radius: float,
    count: int,
    *,
    candidates: np.ndarray,
    given: np.ndarray,
    normalise: bool = True,
    memory: int = MEMORY,
) -> Greedy:
    """Pick, again and again, the candidate with most uncovered items nearer than `radius`.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
    radius : float
    count : int
        At most ``len(candidates)``.
    candidates, given : ndarray of int
        Positions that may be picked; positions whose balls are covered already.
    normalise : bool
        Measure between rows of length 1.
    memory : int

    Returns
    -------
    Greedy
        Ties go to the lowest position; `gains` and `nearest` count items, `coverage` is 0 or 1.

    Notes
    -----
    O(n^2 d) for the first counts, each product used for both of its items; then the columns of
    each item are subtracted once, when it gets covered: at most O(n^2 d) for all picks together.
    Pairs that float32 cannot tell from the radius are settled by differences in float64.
    """
    candidates = np.sort(np.asarray(candidates, dtype=np.int64))
    balls = _Balls(points, radius, normalise, memory)
    if len(given):
        balls.uncovered[balls.near(np.asarray(given, dtype=np.int64))] = 0.0
    degrees = balls.degrees(candidates)
    picked = np.empty(count, dtype=np.int64)
    gains = np.zeros(count)
    for turn in range(count):
        best = int(np.argmax(degrees))
        if degrees[best] <= 0.0:
            picked[turn:] = candidates[np.flatnonzero(degrees >= 0.0)[: count - turn]]
            break
        picked[turn], gains[turn] = candidates[best], degrees[best]
        newly = np.flatnonzero(balls.near(picked[turn : turn + 1]) & (balls.uncovered > 0.0))
        balls.uncovered[newly] = 0.0
        if turn + 1 < count:
            degrees -= balls.counts(newly)[candidates]
        degrees[picked[turn] == candidates] = -1.0
        degrees[degrees < 0.0] = -1.0
    return Greedy(picked, gains, gains.astype(np.int64), 1.0 - balls.uncovered.astype(np.float64))


def pure_radius(
    points: np.ndarray,
    clusters: int,
    seed: int,
    *,
    purity: float = 0.95,
    normalise: bool = True,
    memory: int = MEMORY,
) -> float:
    """Return the largest radius at which that share of the balls lies within one cluster.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
    clusters : int
        k of k-means, whose clusters stand for the unknown classes.
    seed : int
        Of k-means and of the samples.
    purity : float
        Share of balls, in (0, 1].
    normalise : bool
    memory : int

    Returns
    -------
    float
        The root of the mean squared distance when there is one cluster only; 1 for equal items.

    Notes
    -----
    A ball is pure up to the distance from its centre to the nearest item of another cluster, so
    the radius is an order statistic of these distances: no search is needed. Exact for up to 3,000
    items; in larger pools 3,000 balls are drawn, and their items are looked for in the whole pool.
    k-means learns from at most 50,000 items.
    """
    from labeltrain.kernels._compiled_neighbours import nearest_other, pair_distance

    rows = ReadyRows(points, Similarity("gaussian", 1.0, normalise), memory)
    rng = np.random.default_rng(seed)
    groups = _clusters(rows, clusters, rng)
    sample = np.arange(rows.n)
    if rows.n > BALLS:
        sample = np.sort(rng.choice(rows.n, BALLS, replace=False))
    best = np.full(len(sample), -np.inf, dtype=np.float32)
    where = np.full(len(sample), -1)

    def search(block: slice) -> None:
        left, own = rows.read(sample[block]), groups[sample[block]]
        for chunk in row_blocks(rows.n, CHUNK):
            product = left @ rows.read(chunk).T
            nearest_other(
                product,
                rows.halves[chunk],
                groups[chunk],
                own,
                chunk.start,
                best[block],
                where[block],
            )

    map_blocks(search, row_blocks(len(sample), TILE))
    gaps = np.full(len(sample), np.inf)
    for r in np.flatnonzero(where >= 0):
        pair = original_rows(rows.points, np.array([sample[r], where[r]]))
        a, b = rows.factors[sample[r]], rows.factors[where[r]]
        gaps[r] = math.sqrt(pair_distance(pair[0], a, pair[1], b))
    gaps.sort()
    radius = float(gaps[len(gaps) - math.ceil(purity * len(gaps))])
    if math.isfinite(radius) and radius > 0.0:
        return radius
    spread = math.sqrt(2.0 * float(rows.halves.mean(dtype=np.float64)))
    return spread if spread > 1e-6 else 1.0


def _clusters(rows: ReadyRows, clusters: int, rng: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import KMeans

    learn = np.arange(rows.n)
    if rows.n > CLUSTERED:
        learn = np.sort(rng.choice(rows.n, CLUSTERED, replace=False))
    some = rows.read(learn)
    distinct = len(np.unique(some[: 20 * clusters], axis=0)) if clusters > 1 else 1
    if distinct < clusters:
        distinct = len(np.unique(some, axis=0))
    model = KMeans(
        min(clusters, distinct), random_state=int(rng.integers(2**31)), n_init=1, max_iter=50
    ).fit(some)
    found = np.empty(rows.n, dtype=np.int64)
    centres = np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)
    halves = 0.5 * np.einsum("ij,ij->i", centres, centres)

    def assign(block: slice) -> None:
        found[block] = np.argmax(rows.read(block) @ centres.T - halves, axis=1)

    map_blocks(assign, row_blocks(rows.n, CHUNK))
    return found
