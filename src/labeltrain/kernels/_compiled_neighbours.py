"""Compiled loops over distances: balls and nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)


@njit(nogil=True, cache=True)
def pair_distance(x: Any, a: float, y: Any, b: float) -> float:
    """Return \\|a x - b y\\|^2 in float64, in a fixed order; symmetric to the last bit."""
    d = x.shape[0]
    whole = d - d % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for q in range(0, whole, 8):
        e0 = x[q] * a - y[q] * b
        e1 = x[q + 1] * a - y[q + 1] * b
        e2 = x[q + 2] * a - y[q + 2] * b
        e3 = x[q + 3] * a - y[q + 3] * b
        e4 = x[q + 4] * a - y[q + 4] * b
        e5 = x[q + 5] * a - y[q + 5] * b
        e6 = x[q + 6] * a - y[q + 6] * b
        e7 = x[q + 7] * a - y[q + 7] * b
        s0 += e0 * e0
        s1 += e1 * e1
        s2 += e2 * e2
        s3 += e3 * e3
        s4 += e4 * e4
        s5 += e5 * e5
        s6 += e6 * e6
        s7 += e7 * e7
    for q in range(whole, d):
        e0 = x[q] * a - y[q] * b
        s0 += e0 * e0
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@njit(nogil=True, cache=True, fastmath=True)
def mark_near(
    product: Any,
    low_rows: Any,
    low_columns: Any,
    full_rows: Any,
    full_columns: Any,
    sure: np.float32,
    maybe: np.float32,
) -> int:
    """Turn products into 1 (within the radius), 0 (not) and 0.5 (float32 cannot say).

    Returns how many are 0.5.
    """
    doubtful = 0
    for r in range(product.shape[0]):
        line = product[r]
        low = low_rows[r]
        full = full_rows[r]
        found = ZERO
        for c in range(line.shape[0]):
            near = ONE if line[c] - full - full_columns[c] > sure else ZERO
            possible = ONE if line[c] - low - low_columns[c] > maybe else ZERO
            found += ONE if possible > near else ZERO
            line[c] = HALF * (near + possible)
        doubtful += int(found)
    return doubtful


@njit(nogil=True, cache=True)
def settle_near(
    marks: Any, left: Any, left_factors: Any, right: Any, right_factors: Any, squared: float
) -> None:
    """Replace each 0.5 by 1 or 0, in float64."""
    for r in range(marks.shape[0]):
        for c in range(marks.shape[1]):
            if marks[r, c] == HALF:
                gap = pair_distance(left[r], left_factors[r], right[c], right_factors[c])
                marks[r, c] = ONE if gap < squared else ZERO


@njit(nogil=True, cache=True, fastmath=True)
def nearest_other(
    product: Any, halves: Any, groups: Any, own: Any, start: int, best: Any, where: Any
) -> None:
    """For each row, find the nearest column of another group; `best` holds <x,y> - half of y."""
    for r in range(product.shape[0]):
        line = product[r]
        for c in range(line.shape[0]):
            value = line[c] - halves[c]
            if value > best[r] and groups[c] != own[r]:
                best[r] = value
                where[r] = start + c


@njit(nogil=True, cache=True)
def smallest(distances: Any, skip: Any, k: int, spread: Any, out: Any) -> Any:
    """For each row, list the columns that may be among the k nearest, in ascending order.

    Parameters are squared distances in float32, the column to skip in each row (-1: none), and
    how far each value may be off. Row r of `out` gets the columns; their number is returned. When
    more are tied than `out` has room for, the lowest columns stay.
    """
    rows, n = distances.shape
    room = out.shape[1]
    counts = np.zeros(rows, dtype=np.int64)
    heap = np.empty(k, dtype=np.float32)
    for r in range(rows):
        line = distances[r]
        held = 0
        for c in range(n):
            if c == skip[r]:
                continue
            value = line[c]
            if held < k:
                at = held
                held += 1
                while at > 0 and heap[(at - 1) // 2] < value:
                    heap[at] = heap[(at - 1) // 2]
                    at = (at - 1) // 2
                heap[at] = value
            elif value < heap[0]:
                at = 0
                while True:
                    child = 2 * at + 1
                    if child >= k:
                        break
                    if child + 1 < k and heap[child + 1] > heap[child]:
                        child += 1
                    if heap[child] <= value:
                        break
                    heap[at] = heap[child]
                    at = child
                heap[at] = value
        border = heap[0]
        low = border - 2.0 * spread[r]
        high = border + 2.0 * spread[r]
        inside = 0
        for c in range(n):
            if line[c] < low and c != skip[r]:
                inside += 1
        ties = room - inside
        found = 0
        for c in range(n):
            if line[c] <= high and c != skip[r]:
                if line[c] >= low:
                    if ties == 0:
                        continue
                    ties -= 1
                out[r, found] = c
                found += 1
        counts[r] = found
    return counts


@njit(nogil=True, cache=True)
def rank_exactly(points: Any, factors: Any, query: Any, factor: float, members: Any, k: int) -> Any:
    """Return the places of the k nearest of `points` and their squared distances, ascending.

    Ties go to the lowest of `members`.
    """
    m = points.shape[0]
    gaps = np.empty(m)
    for i in range(m):
        gaps[i] = pair_distance(query, factor, points[i], factors[i])
    order = np.argsort(gaps, kind="mergesort")  # `members` ascend, so stable is lowest first
    return order[:k], gaps[order[:k]]
