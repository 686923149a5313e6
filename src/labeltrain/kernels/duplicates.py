"""Rows of a pool that are equal, number by number."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.similarity import READ_ROWS, original_rows


def equal_rows(points: np.ndarray) -> np.ndarray:
    """Return, for each row, the first row that is equal to it: itself where there is none.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.

    Returns
    -------
    ndarray of int64, shape (n,)

    Notes
    -----
    O(n d): rows with equal sums of their bits, weighted at random, are compared.
    """
    points = np.asarray(points)
    n, d = points.shape
    width = 2 if points.dtype.itemsize > 4 else 1
    weights = np.random.default_rng(0).integers(2**63, size=d * width, dtype=np.uint64) * 2 + 1
    sums = np.empty(n, dtype=np.uint64)

    def add(rows: slice) -> None:
        bits = (original_rows(points, rows) + 0.0).view(np.uint32)  # -0.0 is equal to 0.0
        sums[rows] = (bits * weights).sum(axis=1, dtype=np.uint64)

    map_blocks(add, row_blocks(n, max(64, min(READ_ROWS, 2**20 // max(d * width, 1)))))
    order = np.argsort(sums, kind="stable")
    changes = np.flatnonzero(sums[order[1:]] != sums[order[:-1]]) + 1
    edges = np.concatenate([[0], changes, [n]])
    first = np.arange(n)
    for group in np.flatnonzero(np.diff(edges) > 1):
        _settle(points, order[edges[group] : edges[group + 1]], first)
    return first


def _settle(points: np.ndarray, members: np.ndarray, first: np.ndarray) -> None:
    """Compare rows of equal sums, which ascend, with the first of them."""
    while len(members) > 1:
        other = np.zeros(len(members), dtype=bool)
        model = original_rows(points, members[:1])
        for part in row_blocks(len(members), READ_ROWS):
            other[part] = (original_rows(points, members[part]) != model).any(axis=1)
        first[members[~other]] = members[0]
        members = members[other]


class Twins:
    """Candidates in groups of equal rows: what one of a group would gain, all would.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
    candidates : ndarray of int64, shape (m,)
        Ascending.
    own : ndarray of float64, shape (m,)
        What each candidate gains for itself, beside what it gains for its row.

    Attributes
    ----------
    heads : ndarray of int64, shape (g,)
        The lowest candidate of each group, ascending.
    own : ndarray of float64, shape (g,)
        The most that one of those left gains for itself; -1 when none is left.
    """

    def __init__(self, points: np.ndarray, candidates: np.ndarray, own: np.ndarray) -> None:
        _, lowest, group = np.unique(
            equal_rows(points)[candidates], return_index=True, return_inverse=True
        )
        order = np.argsort(lowest)  # groups by their lowest candidate
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        self.heads = candidates[lowest[order]]
        self.own = np.full(len(order), -1.0)
        np.maximum.at(self.own, place[group], own)
        self._candidates, self._values = candidates, own
        self._left = np.ones(len(candidates), dtype=bool)
        self._next = self.heads.copy()  # the lowest one left
        self._members = np.argsort(place[group], kind="stable")
        self._ends = np.cumsum(np.bincount(place[group], minlength=len(order)))
        self._plain = len(own) == 0 or bool((own == own[0]).all())

    def lowest(self, groups: np.ndarray, short: np.ndarray) -> tuple[int, int]:
        """Return the group and the position of the lowest candidate left of some groups.

        Only those that gain for themselves at most `short[i]` less than the best of group i count.
        """
        if self._plain:
            best = int(self._next[groups].argmin())
            return int(groups[best]), int(self._next[groups[best]])
        positions = self._next[groups]
        for i, group in enumerate(groups):
            members = self._left_of(group)
            if len(members) > 1:
                enough = self._values[members] >= self.own[group] - short[i]
                positions[i] = self._candidates[members[enough][0]]
        best = int(positions.argmin())
        return int(groups[best]), int(positions[best])

    def take(self, group: int, position: int) -> None:
        """Take a candidate out of its group."""
        self._left[np.searchsorted(self._candidates, position)] = False
        members = self._left_of(group)
        self.own[group] = self._values[members].max(initial=-1.0)
        if len(members):
            self._next[group] = self._candidates[members[0]]

    def _left_of(self, group: int) -> np.ndarray:
        start = self._ends[group - 1] if group else 0
        members = self._members[start : self._ends[group]]
        return members[self._left[members]]

    def left(self) -> np.ndarray:
        """Return the candidates that were not taken, ascending."""
        return self._candidates[self._left]
