"""What a budget buys: one item each, or as much as the items' costs allow."""

from __future__ import annotations

import numpy as np

TINY = 1e-9  # sums of costs are off by rounding


def affordable(costs: np.ndarray | None, free: np.ndarray, left: float) -> int:
    """Return how many of the free positions the rest of a budget could buy at most.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.loop.budget import affordable
    >>> affordable(np.array([5.0, 1.0, 2.0]), np.array([0, 1, 2]), 4)
    2
    """
    if costs is None:
        return min(int(left + TINY), len(free))
    return int(np.searchsorted(np.cumsum(np.sort(costs[free])), left + TINY, side="right"))


def purchasable(costs: np.ndarray | None, free: np.ndarray, left: float) -> np.ndarray:
    """Return the free positions that the rest of a budget could buy, each by itself.

    Parameters
    ----------
    costs : ndarray of float64, shape (n,), or None
    free : ndarray of bool, shape (n,)
    left : float
    """
    return np.flatnonzero(free if costs is None else free & (costs <= left + TINY))


def with_labelled(
    costs: np.ndarray | None, places: np.ndarray, labelled: np.ndarray, n: int, left: float
) -> np.ndarray:
    """Return places and the labelled items that a budget could buy again, ascending."""
    known = np.zeros(n, dtype=bool)
    known[labelled] = True
    return np.union1d(places, purchasable(costs, known, left))


def within(costs: np.ndarray | None, positions: np.ndarray, left: float) -> np.ndarray:
    """Return the rows of picks that fit into the rest of a budget, in the order of the picks."""
    if costs is None:
        return np.arange(len(positions))
    keep = []
    for row, cost in enumerate(costs[positions]):
        if cost <= left + TINY:
            keep.append(row)
            left -= float(cost)
    return np.array(keep, dtype=np.int64)
