"""Rows given out by groups, each group in proportion to its weight."""

from __future__ import annotations

import numpy as np


def in_shares(
    groups: np.ndarray,
    keys: np.ndarray,
    order: np.ndarray,
    *,
    held: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    floor: int = 0,
) -> np.ndarray:
    """Return all rows in the order in which groups give them, so that every prefix is in shares.

    The next row always comes from the group of smallest (n_g + 1/2) / w_g that has rows left,
    n_g being the rows that it gave or holds. With a floor, groups below it go first, the lowest
    n_g before others, and n_g counts from it then. Groups of weight 0 go last, alike.

    Parameters
    ----------
    groups : ndarray of int64, shape (n,)
        The group of each row.
    keys : ndarray of float, shape (n,)
        Lowest first within a group; ties to the lowest row.
    order : ndarray of int64, shape (k,)
        All groups, the first of which goes first where several are next.
    held : ndarray, shape (k,), optional
        What each group has already; nothing by default.
    weights : ndarray of float64, shape (k,), optional
        0 or more; ones by default: round-robin.
    floor : int
        Rows that each group gives or holds before shares count.

    Returns
    -------
    ndarray of int64, shape (n,)

    Notes
    -----
    O(n log n). The divisor method of Webster and Sainte-Laguë. With equal weights the first k rows
    fill the groups like water: all that have rows left are at the same level, or one above it.
    """
    n, k = len(groups), len(order)
    sizes = np.bincount(groups, minlength=k)
    starts = np.cumsum(sizes) - sizes
    ranked = np.lexsort((np.arange(n), keys, groups))
    place = np.empty(n, dtype=np.int64)
    place[ranked] = np.arange(n) - starts[groups[ranked]]
    level = place + 0.5
    if held is not None:
        level += np.asarray(held)[groups]
    tier = np.where(level < floor, 0, 1)
    if weights is not None:
        mine = np.asarray(weights, dtype=np.float64)[groups]
        tier[(tier == 1) & (mine == 0.0)] = 2
        shared = tier == 1
        level[shared] = (level[shared] - floor) / mine[shared]
    turn = np.empty(k, dtype=np.int64)
    turn[order] = np.arange(k)
    return np.lexsort((turn[groups], level, tier)).astype(np.int64)
