"""Greedy maximisation by stale gains: exact picks, without looking at every item for each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TIE = 1e-10  # gains closer than this are equal
FIRST = 64  # leaders that are measured first; then twice as many, and so on
BUFFER = 4096  # items of largest gain that are looked at, while all others are behind
GROWTH = 4


def lazy_greedy(
    n: int,
    count: int,
    gains: Callable[[np.ndarray], np.ndarray],
    take: Callable[[int], bool],
    *,
    tie: float = TIE,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick, again and again, the row of largest gain, where picks never raise the gains of others.

    Parameters
    ----------
    n : int
        Rows to choose from.
    count : int
        At most n.
    gains : callable
        Present gains, float64 (k,), of rows, int64 (k,). Finite.
    take : callable
        Called with each row that is picked; returns False when no gain has fallen.
    tie : float
        Gains that differ by less are equal.

    Returns
    -------
    rows : ndarray of int64, shape (count,)
        In pick order. Equal gains go to the lowest row.
    values : ndarray of float64, shape (count,)
        Their gains when they were picked.

    Notes
    -----
    An earlier gain bounds the present one from above. The rows with the largest bounds wait in a
    buffer; its leaders are measured again until the best of them is ahead of every bound in the
    buffer, and picked when it is ahead of all others, too. Else the buffer is filled anew, and is
    larger where that alone does not help. Reading the bounds of all rows costs O(n), and is needed
    once for many picks as long as few gains are close to the largest.

    References
    ----------
    Minoux: Accelerated greedy algorithms for maximizing submodular set functions, 1978.
    """
    upper = np.asarray(gains(np.arange(n)), dtype=np.float64)
    stale = np.zeros(n, dtype=bool)
    picked = np.empty(count, dtype=np.int64)
    values = np.empty(count)
    done, width = 0, BUFFER
    while done < count:
        before = done
        near, beyond = _leaders(upper, width)
        part, old = upper[near], stale[near]
        while done < count:
            _settle(near, part, old, gains, tie)
            best = part.max()
            if best - tie <= beyond:
                break
            row = int((part >= best - tie).argmax())
            picked[done], values[done] = near[row], part[row]
            done += 1
            part[row] = -np.inf
            if take(int(near[row])):
                stale[:] = True
                old[:] = True
            if len(near) > BUFFER:
                break
        upper[near], stale[near] = part, old
        width = BUFFER if done > before else GROWTH * width
    return picked, values


def _leaders(upper: np.ndarray, width: int) -> tuple[np.ndarray, float]:
    """Return the `width` rows of largest bound, ascending, and the largest bound of the others."""
    if width >= len(upper):
        return np.arange(len(upper)), -np.inf
    order = np.argpartition(-upper, width)
    return np.sort(order[:width]), float(upper[order[width]])


def _settle(
    near: np.ndarray,
    part: np.ndarray,
    old: np.ndarray,
    gains: Callable[[np.ndarray], np.ndarray],
    tie: float,
) -> None:
    """Measure leaders again until no stale bound reaches the best present gain."""
    size = FIRST
    while True:
        best = part.max(where=~old, initial=-np.inf)
        ahead = np.flatnonzero(old & (part >= best - tie))
        if not len(ahead):
            return
        if len(ahead) > size:
            ahead = ahead[np.argpartition(-part[ahead], size - 1)[:size]]
        part[ahead] = np.minimum(part[ahead], gains(near[ahead]))
        old[ahead] = False
        size *= 2
