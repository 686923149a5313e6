# mypy: disable-error-code="untyped-decorator"
"""Compiled loops over a graph of similar items: making it symmetric, and greedy search on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count_edges(indices: Any, values: Any, inward: Any, outward: Any) -> None:
    """Count how many edges lead to and from each item; its loop counts as one that leads away."""
    n, k = indices.shape
    for i in range(n):
        outward[i] = 1
        for t in range(k):
            if values[i, t] > 0.0:
                inward[indices[i, t]] += 1
                outward[i] += 1


@njit(nogil=True, cache=True)
def fill_edges(
    indices: Any, values: Any, starts: Any, inward: Any, others: Any, similarities: Any
) -> None:
    """Write all edges into the rows of both ends: first those that lead there, ascending.

    Parameters
    ----------
    indices : ndarray of int, shape (n, k)
    values : ndarray of float32, shape (n, k)
    starts : ndarray of int64, shape (n + 1,)
        Where the rows begin; each has room for all its edges and a loop.
    inward : ndarray of int64, shape (n,)
        How many edges lead to each item.
    others, similarities : ndarray
        To write to.
    """
    n, k = indices.shape
    cursor = starts[:n].copy()
    for i in range(n):  # items in order, so each gets its edges in order
        own = starts[i] + inward[i]
        others[own] = i
        similarities[own] = 1.0
        for t in range(k):
            value = values[i, t]
            if value > 0.0:
                j = indices[i, t]
                at = cursor[j]
                others[at] = i
                similarities[at] = value
                cursor[j] = at + 1
                own += 1
                others[own] = j
                similarities[own] = value


@njit(nogil=True, cache=True)
def merge_edges(starts: Any, inward: Any, others: Any, similarities: Any, sizes: Any) -> None:
    """Bring each row in ascending order, the larger one of two edges to one item being kept.

    `starts` has one more entry than `inward` and `sizes`; rows keep their beginnings, and `sizes`
    gets what is left in them.
    """
    longest = 0
    for i in range(sizes.shape[0]):
        longest = max(longest, starts[i + 1] - starts[i])
    line = np.empty(longest, dtype=others.dtype)
    heights = np.empty(longest, dtype=similarities.dtype)
    for i in range(sizes.shape[0]):
        a, middle, stop = starts[i], starts[i] + inward[i], starts[i + 1]
        order = np.argsort(others[middle:stop])
        b = 0
        size = 0
        while a < middle or b < stop - middle:
            if b == stop - middle or (a < middle and others[a] <= others[middle + order[b]]):
                at = a
                a += 1
            else:
                at = middle + order[b]
                b += 1
            if size > 0 and line[size - 1] == others[at]:
                heights[size - 1] = max(heights[size - 1], similarities[at])
            else:
                line[size] = others[at]
                heights[size] = similarities[at]
                size += 1
        others[starts[i] : starts[i] + size] = line[:size]
        similarities[starts[i] : starts[i] + size] = heights[:size]
        sizes[i] = size


@njit(nogil=True, cache=True)
def close_gaps(starts: Any, sizes: Any, others: Any, similarities: Any) -> None:
    """Move rows to where the row before ends, and say so in `starts`."""
    to = 0
    for i in range(sizes.shape[0]):
        start = starts[i]
        starts[i] = to
        for at in range(start, start + sizes[i]):
            others[to] = others[at]
            similarities[to] = similarities[at]
            to += 1
    starts[sizes.shape[0]] = to


@njit(nogil=True, cache=True)
def _gain(starts: Any, others: Any, values: Any, weights: Any, coverage: Any, j: int) -> float:
    """Return by how much item j raises the coverage: a sum in float64, in ascending order."""
    total = 0.0
    for e in range(starts[j], starts[j + 1]):
        i = others[e]
        more = max(np.float64(values[e]) - np.float64(coverage[i]), 0.0)
        if weights is None:  # then that code is not compiled: one read less from far away
            total += more
        else:
            total += weights[i] * more
    return total


@njit(nogil=True, cache=True)
def all_gains(
    starts: Any, others: Any, values: Any, weights: Any, coverage: Any, items: Any, gains: Any
) -> None:
    """Write the gain of each of `items`."""
    for at in range(items.shape[0]):
        gains[at] = _gain(starts, others, values, weights, coverage, items[at])


@njit(nogil=True, cache=True)
def cover(starts: Any, others: Any, values: Any, coverage: Any, j: int) -> int:
    """Raise the coverage by item j, and return how many items it covers better than before."""
    better = 0
    for e in range(starts[j], starts[j + 1]):
        if values[e] > coverage[others[e]]:
            coverage[others[e]] = values[e]
            better += 1
    return better


@njit(nogil=True, cache=True)
def _sink(heap: Any, size: int, at: int, keys: Any) -> None:
    """Let an item sink to its place: the largest key is on top, the lowest of equals."""
    item = heap[at]
    key = keys[item]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size:
            a = heap[child]
            b = heap[right]
            if keys[b] > keys[a] or (keys[b] == keys[a] and b < a):
                child = right
        other = heap[child]
        if key > keys[other] or (key == keys[other] and item < other):
            break
        heap[at] = other
        at = child
    heap[at] = item


@njit(nogil=True, cache=True)
def greedy_on_graph(
    starts: Any,
    others: Any,
    values: Any,
    weights: Any,
    modular: Any,
    costs: Any,
    coverage: Any,
    candidates: Any,
    gains: Any,
    count: int,
    budget: float,
    least: float,
) -> Any:
    """Pick the item of largest gain per cost that the budget still allows, again and again.

    Parameters
    ----------
    starts, others, values : ndarray
        The graph.
    weights : ndarray of float64, shape (n,), or None for ones
    modular, costs : ndarray of float64, shape (n,)
    coverage : ndarray of float32, shape (n,)
        Changes with the picks; float32, as the values are, stays in the processor's cache longer.
    candidates : ndarray of int64, ascending
    gains : ndarray of float64
        Those of the candidates now.
    count : int
    budget : float
        What all picks may cost.
    least : float
        Nothing that gains as much or less is picked.

    Returns
    -------
    picks, gains, nearest : ndarray
        As :class:`~labeltrain.kernels.coverage.Greedy` has them.
    """
    n = starts.shape[0] - 1
    keys = np.empty(n)
    turn_of = np.zeros(n, dtype=np.int64)
    for at in range(candidates.shape[0]):
        keys[candidates[at]] = gains[at] / costs[candidates[at]]
    heap = candidates.copy()
    size = heap.shape[0]
    for at in range(size // 2 - 1, -1, -1):
        _sink(heap, size, at, keys)
    picks = np.empty(count, dtype=np.int64)
    found = np.empty(count)
    nearest = np.zeros(count, dtype=np.int64)
    turn = 0
    left = budget
    while turn < count and size > 0:
        j = heap[0]
        if costs[j] > left:  # never again
            size -= 1
            heap[0] = heap[size]
        elif turn_of[j] != turn:  # a gain of an earlier turn bounds the present one from above
            gain = _gain(starts, others, values, weights, coverage, j) + modular[j]
            keys[j] = gain / costs[j]
            turn_of[j] = turn
        else:
            gain = _gain(starts, others, values, weights, coverage, j) + modular[j]
            if gain <= least:
                break
            picks[turn] = j
            found[turn] = gain
            nearest[turn] = cover(starts, others, values, coverage, j)
            left -= costs[j]
            turn += 1
            size -= 1
            heap[0] = heap[size]
        if size > 0:
            _sink(heap, size, 0, keys)
    return picks[:turn], found[:turn], nearest[:turn]
