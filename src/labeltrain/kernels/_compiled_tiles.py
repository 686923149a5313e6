# mypy: disable-error-code="untyped-decorator"
"""Compiled loops over tiles of products: the few smallest distances of each row, kept running."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from labeltrain.kernels._compiled_neighbours import pair_distance

STEP = 64  # pairs that are looked at in one go
BISECTIONS = 20
CLOSED = np.float32(-np.inf)


@njit(nogil=True, cache=True)
def _border(values: Any, count: int, k: int) -> Any:
    """Return a value that at least k of `count` values do not exceed, and few more than k.

    By bisection: counting has no branch, so this takes a fifth of the time of a partition.
    """
    inside = values[:count]
    low = high = inside[0]
    for at in range(count):
        low = min(low, inside[at])
        high = max(high, inside[at])
    few = k + k // 16
    for _ in range(BISECTIONS):
        middle = low + np.float32(0.5) * (high - low)
        found = 0
        for at in range(count):
            found += inside[at] <= middle
        if found < k:
            low = middle
            continue
        high = middle
        if found <= few:
            break
    return high


@njit(nogil=True, cache=True)
def _shrink(values: Any, places: Any, count: int, k: int, slack: Any, half: Any) -> Any:
    """Keep what may be among the k nearest; return how many, and what others must not exceed."""
    border = _border(values, count, k)
    # <x, y> is off by at most slack (|x|^2 + |y|^2) / 2; near items are about as long as this one,
    # and no item of the k nearest is farther than the border: |y|^2 <= 2 |x|^2 + 2 border.
    spread = np.float32(4.0) * slack * (half + half + max(border, np.float32(0.0)))
    limit = border + spread + spread + np.float32(1e-30)
    kept = 0
    for at in range(count):
        values[kept] = values[at]
        places[kept] = places[at]
        kept += values[at] <= limit
    return kept, limit


@njit(nogil=True, cache=True)
def _make_room(
    values: Any, places: Any, counts: Any, limits: Any, r: int, k: int, slack: Any, half: Any
) -> None:
    """Shrink a full row, or close it where that would have to be done again and again."""
    count, limit = _shrink(values[r], places[r], counts[r], k, slack, half)
    full = 2 * count > values.shape[1] + k  # so many near-ties
    counts[r] = -1 if full else count
    limits[r] = CLOSED if full else limit


@njit(nogil=True, cache=True)
def _next(line: Any, half: Any, limit: Any, halves: Any, limits: Any, start: int) -> int:
    """Return where the next STEP pairs with one to be kept begin, or where fewer are left."""
    while start + STEP <= line.shape[0]:
        part = line[start : start + STEP]
        part_halves = halves[start : start + STEP]
        part_limits = limits[start : start + STEP]
        hits = 0
        for c in range(STEP):  # no branch, and a fixed number: vector instructions
            value = (part_halves[c] - part[c]) + half
            hits += (value <= limit) | (value <= part_limits[c])
        if hits:
            break
        start += STEP
    return start


@njit(nogil=True, cache=True)
def collect(
    product: Any,
    halves: Any,
    left: int,
    values: Any,
    places: Any,
    counts: Any,
    limits: Any,
    other_halves: Any,
    right: int,
    other_values: Any,
    other_places: Any,
    other_counts: Any,
    other_limits: Any,
    k: int,
    slack: Any,
) -> None:
    """Offer each pair of a tile to its row and to its column, which keep what may be near.

    Parameters
    ----------
    product : ndarray of float32, shape (rows, columns)
        NaN where the pair does not count.
    halves, other_halves : ndarray of float32
        Half the squared lengths of rows and columns.
    left, right : int
        The items that the first row and the first column stand for.
    values, places : ndarray of float32 and int, shape (rows, room)
        The squared distances and items that each row keeps, in no order; `other_values` and
        `other_places` those of the columns.
    counts : ndarray of int64, shape (rows,)
        How many are kept; -1 for a row with more near-ties than there is room for.
    limits : ndarray of float32, shape (rows,)
        Only what does not exceed the limit is kept; minus infinity for rows that keep nothing.
    k : int
    slack : float32
        Relative rounding of a product.
    """
    rows, columns = product.shape
    room = values.shape[1]
    for r in range(rows):
        line = product[r]
        half = halves[r]
        limit = limits[r]
        start = 0
        while True:
            start = _next(line, half, limit, other_halves, other_limits, start)
            if start >= columns:
                break
            stop = min(start + STEP, columns)
            for c in range(start, stop):
                value = (other_halves[c] - line[c]) + half
                if value <= limit:
                    if counts[r] == room:
                        _make_room(values, places, counts, limits, r, k, slack, half)
                        limit = limits[r]
                    if value <= limit:
                        at = counts[r]
                        values[r, at] = value
                        places[r, at] = right + c
                        counts[r] = at + 1
                if value <= other_limits[c]:
                    if other_counts[c] == room:
                        _make_room(
                            other_values,
                            other_places,
                            other_counts,
                            other_limits,
                            c,
                            k,
                            slack,
                            other_halves[c],
                        )
                    if value <= other_limits[c]:
                        at = other_counts[c]
                        other_values[c, at] = value
                        other_places[c, at] = left + r
                        other_counts[c] = at + 1
            start = stop


@njit(nogil=True, cache=True)
def settle(values: Any, places: Any, counts: Any, halves: Any, k: int, slack: Any) -> None:
    """Drop what is not among the k nearest for sure, and put the others in ascending order."""
    for r in range(counts.shape[0]):
        if counts[r] >= k:
            kept, _ = _shrink(values[r], places[r], counts[r], k, slack, halves[r])
            counts[r] = kept
            places[r, :kept] = np.sort(places[r, :kept])


@njit(nogil=True, cache=True)
def rank_rows(
    points: Any,
    factors: Any,
    rows: Any,
    members: Any,
    at: Any,
    starts: Any,
    indices: Any,
    distances: Any,
) -> None:
    """Write the nearest of its members for each query, ties to the lowest, in float64.

    Query q is row ``rows[q]`` of `points`; its `members`, ascending, are ``starts[q]`` to
    ``starts[q + 1]``, and stand in the rows `at`.
    """
    k = indices.shape[1]
    for q in range(rows.shape[0]):
        first = starts[q]
        own = points[rows[q]]
        factor = factors[rows[q]]
        gaps = np.empty(starts[q + 1] - first)
        for i in range(gaps.shape[0]):
            row = at[first + i]
            gaps[i] = pair_distance(own, factor, points[row], factors[row])
        order = np.argsort(gaps, kind="mergesort")  # stable, so the lowest member comes first
        for place in range(k):
            indices[q, place] = members[first + order[place]]
            distances[q, place] = np.sqrt(gaps[order[place]])
