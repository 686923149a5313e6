"""D² sampling (k-means++ seeding), also on outer products: exact law, few passes over the pool."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.rows import MEMORY, READ_ROWS, Rows, mean_row, rows_to_hold

PRODUCTS = 2**16  # inner products computed at a time: they stay in the cache
PROPOSALS = 64  # draws that are looked at together


def d2_sampling(
    points: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    candidates: np.ndarray,
    factors: np.ndarray | None = None,
    centres: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    largest_first: bool = False,
    memory: int = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw items one by one, each with probability proportional to its weight times D².

    D² is the squared distance to the nearest item drawn so far, or centre. With `factors` the
    distance is that of the outer products ``factors[i] ⊗ points[i]`` (the gradient embeddings of
    BADGE), which are never built: <a⊗h, b⊗g> = <a, b> <h, g>.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    count : int
        At most ``len(candidates)``.
    rng : numpy.random.Generator
    candidates : ndarray of int64
        Positions that may be drawn, ascending.
    factors : ndarray of float, shape (n, C), optional
    centres : ndarray of int64, optional
        Positions that count as drawn already.
    weights : ndarray of float64, shape (n,), optional
        Not negative.
    largest_first : bool
        Without centres, the first item is the one of largest norm (ties to the lowest position)
        instead of a draw in proportion to `weights`.
    memory : int
        Bytes for a copy of the candidates; without room for it they are read again and again.

    Returns
    -------
    positions : ndarray of int64, shape (count,)
        In the order drawn. Where D² is 0 for all that are left, they are drawn uniformly.
    d2 : ndarray of float64, shape (count,)
        D² of each when it was drawn; of a first item, its squared norm (without `factors`, from the
        mean of the candidates).

    Notes
    -----
    D² of an earlier moment is an upper bound of D² now. Items are proposed by it and accepted with
    probability (D² now) / (D² then), where D² now is measured for the proposed item alone against
    the items drawn since; that is the exact law. When rejections have cost as much as bringing all
    D² up to date by one matrix product, that is done. Products are float32; where they are so
    small that rounding may have made them, D² is measured by differences in float64, so that
    duplicates have weight 0.

    References
    ----------
    Arthur, Vassilvitskii: k-means++: the advantages of careful seeding, SODA 2007.
    """
    sampler = _Sampler(points, candidates, factors, weights, memory)
    drawn: list[int] = []
    values: list[float] = []
    if centres is not None and len(centres):
        sampler.add_positions(points, factors, centres)
    elif count:
        first = sampler.first(rng, largest_first=largest_first)
        drawn.append(first)
        values.append(float(sampler.norms[first]))
        sampler.take(first)
    while len(drawn) < count:
        more, d2 = sampler.draw(count - len(drawn), rng)
        drawn.extend(more)
        values.extend(d2)
    rows = np.asarray(drawn, dtype=np.int64)
    return sampler.rows.index[rows], np.asarray(values, dtype=np.float64)


class _Sampler:
    """D² of the candidates as far as it is known, and the draws."""

    def __init__(
        self,
        points: np.ndarray,
        candidates: np.ndarray,
        factors: np.ndarray | None,
        weights: np.ndarray | None,
        memory: int,
    ) -> None:
        # Shifting all points changes no distance between them, and makes rounding smaller; outer
        # products it would change.
        mean = mean_row(points, candidates) if factors is None else None
        self.mean = mean
        index, self.taken = rows_to_hold(len(points), candidates)
        self.rows = Rows(points, index, centre=mean, memory=memory)
        self.n = self.rows.n
        self.factors = (
            None
            if factors is None
            else np.ascontiguousarray(factors[self.rows.index], dtype=np.float32)
        )
        self.norms = self.rows.squared_norms()
        if self.factors is not None:
            self.norms *= np.einsum("ij,ij->i", self.factors, self.factors)
        self.weights = None if weights is None else weights[index].astype(np.float64)
        width = points.shape[1] + (0 if factors is None else factors.shape[1])
        self.width = width
        self.rounding = np.float32(64.0 * np.sqrt(width + 8.0) * 2.0**-24)
        self.d2 = np.full(self.n, np.inf, dtype=np.float32)  # as of the last refresh
        self.new_points: list[np.ndarray] = []  # items drawn since, as rows
        self.new_factors: list[np.ndarray] = []
        self.total = 0.0
        self.cumulative = np.empty(0)

    def first(self, rng: np.random.Generator, *, largest_first: bool) -> int:
        if largest_first:
            return int(np.where(self.taken, -1.0, self.norms).argmax())
        weights = (~self.taken).astype(np.float64)
        if self.weights is not None and (self.weights * weights).sum() > 0.0:
            weights *= self.weights
        return _index(np.cumsum(weights), rng.random())

    def add_positions(
        self, points: np.ndarray, factors: np.ndarray | None, positions: np.ndarray
    ) -> None:
        others = Rows(points, np.asarray(positions), centre=self.mean)
        for rows in row_blocks(others.n, READ_ROWS):
            self.new_points.extend(others.read(rows))
        if factors is not None:
            self.new_factors.extend(np.asarray(factors[positions], dtype=np.float32))

    def take(self, row: int) -> None:
        self.taken[row] = True
        self.new_points.append(self.rows.read(np.array([row]))[0])
        if self.factors is not None:
            self.new_factors.append(self.factors[row])

    def draw(self, count: int, rng: np.random.Generator) -> tuple[list[int], list[float]]:
        """Bring all D² up to date, and draw until rejections have cost as much as doing so."""
        from labeltrain.kernels import _compiled_distances as compiled

        self._refresh()
        if not np.isfinite(self.total):
            raise ValueError("distances or weights are not finite: nothing can be drawn by them")
        if not self.total > 0.0:
            left = np.flatnonzero(~self.taken)
            rows = rng.choice(left, size=count, replace=False)
            self.taken[rows] = True
            return rows.tolist(), [0.0] * count
        drawn: list[int] = []
        values: list[float] = []
        points = np.empty((64, self.rows.d), dtype=np.float32)
        factors = np.empty((64, 0 if self.factors is None else self.factors.shape[1]), np.float32)
        blank = np.empty(0, dtype=np.float32)
        wasted = 0.0
        while len(drawn) < count:
            uniform = rng.random((PROPOSALS, 2))
            proposed = np.searchsorted(self.cumulative, uniform[:, 0] * self.total, side="right")
            proposed = np.minimum(proposed, self.last)
            near = self.rows.read(proposed)
            for row, chance, point in zip(
                proposed.tolist(), uniform[:, 1].tolist(), near, strict=True
            ):
                stale = float(self.d2[row])
                used = len(drawn)
                factor = blank if self.factors is None else self.factors[row]
                if self.taken[row]:
                    now = 0.0
                elif self.factors is None:
                    now = compiled.nearest_point(point, points[:used], stale)
                else:
                    now = compiled.nearest_recent(
                        factor, point, factors[:used], points[:used], stale
                    )
                if chance * stale >= now:
                    wasted += 20.0 * (used * self.width + 20_000.0)
                    continue
                if used == len(points):
                    points = np.concatenate([points, np.empty_like(points)])
                    factors = np.concatenate([factors, np.empty_like(factors)])
                points[used], factors[used] = point, factor
                drawn.append(row)
                values.append(now)
                self.taken[row] = True
                if len(drawn) == count:
                    break
            # In multiply-adds of a matrix product, which does them twenty times faster. What
            # counts is the pass over the pool: each item drawn must be multiplied in some time,
            # unless it is among the last.
            pass_over = self.n * (10.0 * self.width + 200.0)
            if count - len(drawn) < len(drawn):
                pass_over += float(self.n) * self.width * len(drawn)
            if drawn and wasted > pass_over:
                break
        self.new_points.extend(points[: len(drawn)])
        if self.factors is not None:
            self.new_factors.extend(factors[: len(drawn)])
        return drawn, values

    def _refresh(self) -> None:
        """Bring all D² up to date: one matrix product (two with factors) over all new items."""
        from labeltrain.kernels import _compiled_distances as compiled

        if self.new_points:
            points = np.stack(self.new_points)
            factors = (
                np.empty((len(points), 0), dtype=np.float32)
                if self.factors is None
                else np.stack(self.new_factors)
            )
            self.new_points, self.new_factors = [], []
            parts = [
                (points[c], factors[c], np.ascontiguousarray(points[c].T))
                for c in row_blocks(len(points), 256)
            ]
            norms = []
            for part, part_factors, _ in parts:
                squares = np.einsum("ij,ij->i", part, part)
                if self.factors is not None:
                    squares *= np.einsum("ij,ij->i", part_factors, part_factors)
                norms.append(squares)

            def lower(rows: slice) -> None:
                block = self.rows.read(rows)
                own = np.empty((len(block), 0), np.float32)
                if self.factors is not None:
                    own = self.factors[rows]
                d2 = self.d2[rows]
                doubtful = np.empty(len(block), dtype=np.int64)
                for (part, part_factors, turned), part_norms in zip(parts, norms, strict=True):
                    inner = own @ part_factors.T if own.shape[1] else own
                    found = compiled.lower_by_factors(
                        inner,
                        block @ turned,
                        self.norms[rows],
                        part_norms,
                        self.rounding,
                        d2,
                        doubtful,
                    )
                    if found:
                        where = doubtful[:found]
                        ours = own[where] if own.shape[1] else np.ones((found, 1), np.float32)
                        theirs = (
                            part_factors if own.shape[1] else np.ones((len(part), 1), np.float32)
                        )
                        exact = d2[where].astype(np.float64)
                        compiled.lower_factored_exactly(ours, block[where], theirs, part, exact)
                        d2[where] = exact

            height = max(len(part[0]) for part in parts)
            map_blocks(lower, row_blocks(self.n, int(np.clip(PRODUCTS // height, 256, 4096))))
        self.d2[self.taken] = 0.0
        mass = self.d2.astype(np.float64)
        if self.weights is not None:
            mass *= self.weights
        self.cumulative = np.cumsum(mass)
        self.total = float(self.cumulative[-1]) if self.n else 0.0
        self.last = int(np.searchsorted(self.cumulative, self.total))


def _index(cumulative: np.ndarray, uniform: float) -> int:
    """Return where a uniform draw falls; never on an item of weight 0."""
    total = cumulative[-1]
    last = int(np.searchsorted(cumulative, total))
    return min(int(np.searchsorted(cumulative, uniform * total, side="right")), last)
