"""Greedy D-optimal design: rows that together make the log-determinant large."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.lazy_greedy import TIE, lazy_greedy
from labeltrain.kernels.rows import READ_ROWS
from labeltrain.kernels.similarity import length_factors, original_rows

ROWS = 256  # of the matrices, updated together
RENEWED = 256  # rank-one updates, at least, after which the inverse is computed anew


def greedy_log_det(
    points: np.ndarray,
    count: int,
    *,
    candidates: np.ndarray,
    given: np.ndarray,
    regularisation: float,
    normalise: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick, again and again, the candidate that raises ``log det V`` most.

    ``V = s I + sum_{i in S} x_i x_i'`` over the given items and the picks; adding x raises its
    log-determinant by ``log(1 + x' V^-1 x)``.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    count : int
        At most ``len(candidates)``.
    candidates : ndarray of int64, shape (m,)
        Positions that may be picked, ascending.
    given : ndarray of int64
        Positions that are in S already.
    regularisation : float
        s, in mean squared lengths of the rows. Positive.
    normalise : bool
        Bring the rows to length 1 first.

    Returns
    -------
    positions : ndarray of int64, shape (count,)
        In pick order. Gains that agree to 1e-10 are ties, and go to the lowest position; the first
        of all, where nothing is given, to the item with the largest product with the mean.
    gains : ndarray of float64, shape (count,)

    Notes
    -----
    Lazy and exact: a gain of an earlier turn bounds the present one from above. A pick x takes
    ``x_i' V^-1 x`` squared, over ``1 + x' V^-1 x``, off the ``x_i' V^-1 x_i`` of each item
    (Sherman-Morrison), so an item that is measured again needs the picks since the last time only:
    O(d) each. O(m d) for the first gains (O(m d^2) when items are given), O(d^2) a pick; 2 d^2 and
    `count` d numbers beside blocks of the points. The inverse is computed from V itself every
    max(256, d) picks, and an item anew after d / 2 of them, so that rounding does not pile up.
    """
    candidates = np.sort(np.asarray(candidates, dtype=np.int64))
    design = _Design(points, candidates, count, regularisation, normalise)
    design.add_all(np.asarray(given, dtype=np.int64))
    if count == 0:
        return candidates[:0], np.empty(0)
    rest, before, first = np.arange(len(candidates)), [], []
    if design.plain:
        row, gain = design.best_of_equals()
        design.take(row)
        rest, before, first = np.delete(rest, row), [row], [gain]
    rows, gains = lazy_greedy(
        len(rest),
        count - len(before),
        lambda some: design.gains(rest[some]),
        lambda row: design.take(int(rest[row])),
    )
    picked = np.concatenate([np.array(before, dtype=np.int64), rest[rows]])
    return candidates[picked], np.concatenate([first, gains])


class _Design:
    """V, its inverse, and x' V^-1 x of the candidates, as far as they are up to date."""

    def __init__(
        self,
        points: np.ndarray,
        candidates: np.ndarray,
        count: int,
        regularisation: float,
        normalise: bool,
    ) -> None:
        self.points, self.candidates = np.asarray(points), candidates
        self.factors = length_factors(self.points, normalise)
        d = self.points.shape[1]
        self.scale = regularisation * self._mean_square()
        self.matrix = self.scale * np.eye(d)
        self.inverse: np.ndarray = np.eye(d) / self.scale
        self.plain = True  # V is still a multiple of the identity
        self.moves = np.empty((count, d))  # V^-1 x / sqrt(1 + x' V^-1 x) of each pick
        self.now = 0  # picks so far
        self.seen = np.full(len(candidates), -d)  # picks that `spreads` has seen
        self.spreads = np.empty(len(candidates))

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        block = original_rows(self.points, rows).astype(np.float64)
        block *= self.factors[rows, None]
        return block

    def _mean_square(self) -> float:
        def add(rows: slice) -> float:
            block = self._read(rows)
            return float(np.einsum("ij,ij->", block, block))

        n = len(self.points)
        mean = float(np.sum(map_blocks(add, row_blocks(n, READ_ROWS)))) / max(n, 1)
        return mean if mean > 1e-30 else 1.0

    def add_all(self, positions: np.ndarray) -> None:
        """Add many items at once."""
        for part in row_blocks(len(positions), READ_ROWS):
            block = self._read(positions[part])
            self.matrix += block.T @ block
        if len(positions):
            self._renew()

    def _renew(self) -> None:
        self.plain = False
        self.inverse = np.linalg.inv(self.matrix)

    def best_of_equals(self) -> tuple[int, float]:
        """Return the candidate of largest gain that is most like the mean, and its gain."""
        n = len(self.points)
        parts = map_blocks(lambda rows: self._read(rows).sum(axis=0), row_blocks(n, READ_ROWS))
        mean = np.sum(parts, axis=0) / n
        gains = self.gains(np.arange(len(self.candidates)))
        tied = np.flatnonzero(gains >= gains.max() - TIE)
        likeness = np.empty(len(tied))

        def compare(part: slice) -> None:
            block = self._read(self.candidates[tied[part]])
            likeness[part] = np.einsum("ij,j->i", block, mean)

        map_blocks(compare, row_blocks(len(tied), READ_ROWS))
        row = int(tied[(likeness >= likeness.max() - TIE).argmax()])
        return row, float(gains[row])

    def gains(self, rows: np.ndarray) -> np.ndarray:
        """Return by how much each of these candidates would raise the log-determinant."""
        recent = self.now - self.seen[rows] <= self.matrix.shape[0] // 2
        for chosen, measure in ((rows[recent], self._update), (rows[~recent], self._measure)):
            map_blocks(measure, [chosen[part] for part in row_blocks(len(chosen), READ_ROWS)])
        self.seen[rows] = self.now
        return np.log1p(np.maximum(self.spreads[rows], 0.0))

    def _measure(self, rows: np.ndarray) -> None:
        block = self._read(self.candidates[rows])
        other = block / self.scale if self.plain else block @ self.inverse
        self.spreads[rows] = np.einsum("ij,ij->i", other, block)

    def _update(self, rows: np.ndarray) -> None:
        seen = self.seen[rows]
        first = int(seen.min())
        lost = self._read(self.candidates[rows]) @ self.moves[first : self.now].T
        lost[np.arange(first, self.now) < seen[:, None]] = 0.0
        self.spreads[rows] -= np.einsum("ij,ij->i", lost, lost)

    def take(self, row: int) -> bool:
        """Add a candidate; return False when it changes nothing."""
        point = self._read(self.candidates[row : row + 1])[0]
        if not point.any():
            return False
        self.plain = False
        move = np.empty_like(point)
        parts = row_blocks(len(point), ROWS)

        def turn(part: slice) -> None:
            move[part] = self.inverse[part] @ point

        def add(part: slice) -> None:
            self.matrix[part] += np.outer(point[part], point)
            self.inverse[part] -= np.outer(move[part], move)

        map_blocks(turn, parts)
        move /= np.sqrt(1.0 + point @ move)
        map_blocks(add, parts)
        self.moves[self.now] = move
        self.now += 1
        if self.now % max(RENEWED, len(point)) == 0:
            self._renew()
        return True
