"""Greedy k-center: exact picks, without one pass over the pool per pick."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.rows import (
    MEMORY,
    READ_ROWS,
    Rows,
    mean_row,
    rows_to_hold,
    worthwhile_centre,
)

RELATIVE = 1e-5  # float32 distances closer than this are settled in float64
PRODUCTS = 2**17  # inner products computed at a time: they stay in the cache
SMALLEST_BUFFER = 1024


def k_center(
    points: np.ndarray,
    count: int,
    *,
    candidates: np.ndarray,
    centres: np.ndarray,
    memory: int = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick, again and again, the candidate farthest from all centres and picks so far.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    count : int
        At most ``len(candidates)``.
    candidates : ndarray of int64
        Positions that may be picked, ascending.
    centres : ndarray of int64
        Positions that are covered already. Without any, the first pick is the candidate nearest to
        the mean of the candidates.
    memory : int
        Bytes for a copy of the candidates; without room for it they are read again and again.

    Returns
    -------
    positions : ndarray of int64, shape (count,)
        In pick order. Ties, in float64, go to the lowest position.
    distances : ndarray of float64, shape (count,)
        Of each pick to the nearest centre at that time; of a first pick without centres, to the
        mean.

    Notes
    -----
    A distance that has not seen the latest picks is an upper bound. The items with the largest
    bounds wait in a small buffer, which is kept up to date pick by pick; while its best is above
    every bound outside, nothing else needs to be touched. Then all distances are brought up to
    date by one matrix product over all new picks. Products are float32: items whose distances they
    cannot tell apart are measured again by differences in float64, so the picks depend neither on
    the buffer nor on `memory` nor on the number of threads. O(n (m + count) d) operations for m
    given centres, in few passes over the pool.
    """
    search = _Search(points, candidates, memory)
    picked: list[int] = []
    distances: list[float] = []
    if count and not len(centres):
        first, distance = search.nearest_to_mean()
        picked.append(first)
        distances.append(distance)
        search.take(first)
    else:
        search.add_centres(np.ascontiguousarray(points[centres], dtype=np.float64))
    while len(picked) < count:
        position, distance = search.farthest()
        picked.append(position)
        distances.append(distance)
        search.take(position)
    rows = np.asarray(picked, dtype=np.int64)
    return search.rows.index[rows], np.asarray(distances, dtype=np.float64)


class _Search:
    """Distances of the candidates to the nearest centre, as far as they are known."""

    def __init__(self, points: np.ndarray, candidates: np.ndarray, memory: int) -> None:
        self.candidates = candidates
        self.centre = worthwhile_centre(points, candidates)
        index, self.taken = rows_to_hold(len(points), candidates)
        self.rows = Rows(points, index, centre=self.centre, memory=memory)
        n, d = self.rows.n, self.rows.d
        self.norms = self.rows.squared_norms()
        self.centres = np.empty((64, d))  # float64, not shifted
        self.used = 0  # centres in all
        self.fresh = 0  # centres that `bounds` have seen
        self.bounds = np.full(n, np.inf, dtype=np.float32)  # squared; upper, but for rounding
        self.bounds[self.taken] = -np.inf
        self.exact: np.ndarray | None = None  # float64, when float32 cannot tell items apart
        # Rounding of n_i + n_j - 2 <i, j> in float32, with a wide margin: it grows with the norms,
        # and a centre near enough to matter is no longer than the item and its distance.
        self.rounding = np.float32(16.0 * np.sqrt(d + 8.0) * 2.0**-24) * self.norms
        self.settling = 0  # pairs measured in float64 so far
        self.measured = np.full(n, np.inf)  # squared, float64: to the first `compared` centres
        self.compared = np.zeros(n, dtype=np.int64)
        self.buffer_size = int(min(n, max(SMALLEST_BUFFER, n // 64)))
        self.held = np.empty(0, dtype=np.int64)  # rows in the buffer
        self.outside = -np.inf  # the largest bound outside
        self.buffer = np.empty((0, d), dtype=np.float32)
        self.near = np.empty(0, dtype=np.float32)  # squared distances in the buffer
        self.doubt = np.empty(0, dtype=np.float32)  # and their rounding

    def nearest_to_mean(self) -> tuple[int, float]:
        """Return the row nearest to the mean, by differences in float64."""
        from labeltrain.kernels import _compiled_distances as compiled

        gaps = np.full(self.rows.n, np.inf)
        mean = mean_row(self.rows.points, self.candidates)[None, :]

        def measure(rows: slice) -> None:
            compiled.lower_exactly(self.rows.exact(rows), mean, gaps[rows])

        map_blocks(measure, row_blocks(self.rows.n, 1024))
        gaps[self.taken] = np.inf
        best = int(gaps.argmin())
        return best, float(np.sqrt(gaps[best]))

    def add_centres(self, centres: np.ndarray) -> None:
        """Take note of centres (float64, not shifted)."""
        while self.used + len(centres) > len(self.centres):
            self.centres = np.concatenate([self.centres, np.empty_like(self.centres)])
        self.centres[self.used : self.used + len(centres)] = centres
        self.used += len(centres)

    def take(self, row: int) -> None:
        """Make a row a centre."""
        from labeltrain.kernels import _compiled_distances as compiled

        self.taken[row] = True
        self.add_centres(self.rows.exact(np.array([row])))
        self.bounds[row] = -np.inf
        if self.exact is not None:
            self.exact[row] = -np.inf
        inside = np.flatnonzero(self.held == row)
        if len(inside):
            centre = self.buffer[inside[0]].copy()
            compiled.lower_in_buffer(self.buffer, centre, self.near)
            self.near[inside[0]] = -np.inf
        elif len(self.held):
            self.held = self.held[:0]  # its distances are stale now

    def farthest(self) -> tuple[int, float]:
        """Return the row farthest from all centres, and its distance."""
        if self.exact is not None:
            return self._farthest_exactly()
        if len(self.held):
            doubt = RELATIVE * np.maximum(self.near, 0.0) + self.doubt
            border = float((self.near - doubt).max())
            if border > self.outside:
                return self._settle(self.held[self.near + doubt >= border])
        self._refresh()
        doubt = RELATIVE * np.maximum(self.bounds, 0.0) + self.rounding
        highest = self.bounds + doubt
        contenders = np.flatnonzero(highest >= (self.bounds - doubt).max())
        new = int((self.used - self.compared[contenders]).sum())
        if self.settling + new > 4 * self.rows.n * self.used:
            # Float32 products cannot rank these items: measuring all of them is the lesser work.
            self._measure_everything()
            return self._farthest_exactly()
        self._fill_buffer(highest)
        return self._settle(contenders)

    def _settle(self, contenders: np.ndarray) -> tuple[int, float]:
        """Measure the contenders in float64 and return the farthest; ties to the lowest row."""
        from labeltrain.kernels import _compiled_distances as compiled

        contenders = np.sort(contenders)
        # An item contends again and again: only the centres it has not met are measured.
        starts = self.compared[contenders]
        gaps = self.measured[contenders]
        compiled.lower_from(self.rows.exact(contenders), self.centres[: self.used], starts, gaps)
        self.settling += int((self.used - starts).sum())
        self.measured[contenders] = gaps
        self.compared[contenders] = self.used
        best = int(gaps.argmax())
        return int(contenders[best]), float(np.sqrt(gaps[best]))

    def _refresh(self) -> None:
        """Bring all bounds up to date: one matrix product over all new centres."""
        from labeltrain.kernels import _compiled_distances as compiled

        new = self.centres[self.fresh : self.used]
        new = (new if self.centre is None else new - self.centre).astype(np.float32)
        self.fresh = self.used
        parts = [np.ascontiguousarray(new[rows].T) for rows in row_blocks(len(new), 256)]
        norms = [np.einsum("ij,ij->j", part, part) for part in parts]
        widest = max((part.shape[1] for part in parts), default=1)

        def lower(rows: slice) -> None:
            block = self.rows.read(rows)
            for part, part_norms in zip(parts, norms, strict=True):
                compiled.lower_by_products(
                    block @ part, self.norms[rows], part_norms, self.bounds[rows]
                )

        map_blocks(lower, row_blocks(self.rows.n, int(np.clip(PRODUCTS // widest, 256, 4096))))

    def _fill_buffer(self, highest: np.ndarray) -> None:
        size, n = self.buffer_size, self.rows.n
        if size < n:
            order = np.argpartition(highest, n - size)
            self.held = np.sort(order[n - size :])
            self.outside = float(highest[order[: n - size]].max())
        else:
            self.held = np.arange(n)
            self.outside = -np.inf
        self.buffer = self.rows.read(self.held)
        self.near = self.bounds[self.held]
        self.doubt = self.rounding[self.held]

    def _measure_everything(self) -> None:
        """Go over to float64 differences for good: float32 products cannot rank what is left."""
        from labeltrain.kernels import _compiled_distances as compiled

        exact = np.full(self.rows.n, np.inf)

        def measure(rows: slice) -> None:
            compiled.lower_exactly(self.rows.exact(rows), self.centres[: self.used], exact[rows])

        map_blocks(measure, row_blocks(self.rows.n, 1024))
        exact[self.taken] = -np.inf
        self.exact = exact
        self.fresh = self.used

    def _farthest_exactly(self) -> tuple[int, float]:
        from labeltrain.kernels import _compiled_distances as compiled

        exact = self.exact
        assert exact is not None  # noqa: S101
        if self.fresh < self.used:
            new = self.centres[self.fresh : self.used]
            self.fresh = self.used

            def lower(rows: slice) -> None:
                if exact[rows].max() > 0.0:
                    compiled.lower_exactly(self.rows.exact(rows), new, exact[rows])

            map_blocks(lower, row_blocks(self.rows.n, READ_ROWS))
        best = int(exact.argmax())
        return best, float(np.sqrt(exact[best]))
