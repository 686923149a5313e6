"""Compiled loops over bounds of similarities and gains: float32, fast, reordered at will.

Import it inside functions: numba takes a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

CUT = np.float32(-60.0)  # a similarity below exp(-60) counts as 0
FEWER = 1.0 - 1e-6  # sums of eight products in float32 are off by less
ZERO = np.float32(0.0)
ONE = np.float32(1.0)
LOG2_E = np.float32(1.4426950408889634)
BIAS = np.int32(127)
MANTISSA = np.int32(23)
# 2**f on [-1, 0], interpolated in Chebyshev points; relative error below 2e-7 in float32.
P0, P1, P2, P3, P4, P5 = (
    np.float32(c)
    for c in (
        np.polynomial.chebyshev.Chebyshev.interpolate(np.exp2, 5, domain=[-1, 0])
        .convert(kind=np.polynomial.Polynomial)
        .coef
    )
)


@njit(nogil=True, cache=True, fastmath=True)
def exponential(t: Any) -> Any:
    """Return exp(t) in float32 for t in [-60, 0], relative error below 1e-6 + 1e-7 * -t."""
    z = t * LOG2_E
    whole = np.int32(z)
    f = z - np.float32(whole)
    power = ((((P5 * f + P4) * f + P3) * f + P2) * f + P1) * f + P0
    bits = np.int32(np.int32(whole + BIAS) << MANTISSA)
    return power * bits.view(np.float32)


@njit(nogil=True, cache=True, fastmath=True)
def exponentials(t: Any) -> Any:
    """Return `exponential` of each entry: float32 (n,) -> (n,); for tests."""
    out = np.empty_like(t)
    for i in range(t.shape[0]):
        out[i] = exponential(t[i])
    return out


@njit(nogil=True, cache=True, fastmath=True)
def to_bounds(
    product: Any,
    half_rows: Any,
    half_columns: Any,
    gaussian: bool,
    slack: np.float32,
    grow: np.float32,
) -> None:
    """Turn inner products into bounds of similarities, in place."""
    for r in range(product.shape[0]):
        line = product[r]
        half = half_rows[r]
        if gaussian:
            for c in range(line.shape[0]):
                t = min(line[c] - half - half_columns[c], ZERO)
                k = min(exponential(max(t, CUT)) * grow, ONE)
                line[c] = k if t >= CUT else ZERO
        else:
            for c in range(line.shape[0]):
                line[c] = min(max(line[c] + slack, ZERO), ONE)


@njit(nogil=True, cache=True, fastmath=True)
def row_gains(bounds: Any, coverage: Any, weights: Any, gains: Any) -> None:
    """Add to the gain of each row what its similarities to the columns would cover anew."""
    for r in range(bounds.shape[0]):
        total = 0.0
        for start in range(0, bounds.shape[1], 1024):
            # Parts of their own, counted from 0: only such sums are made in vectors.
            line = bounds[r, start : start + 1024]
            covered = coverage[start : start + 1024]
            weight = weights[start : start + 1024]
            part = ZERO
            for c in range(line.shape[0]):
                part += weight[c] * max(line[c] - covered[c], ZERO)
            total += part
        gains[r] += total


@njit(nogil=True, cache=True, fastmath=True)
def column_gains(bounds: Any, coverage: Any, weights: Any, gains: Any) -> None:
    """Add to the gain of each column what its similarities to the rows would cover anew."""
    columns = bounds.shape[1]
    part = np.zeros(columns, dtype=np.float32)
    for start in range(0, bounds.shape[0], 32):
        part[:] = ZERO
        for r in range(start, min(start + 32, bounds.shape[0])):
            line = bounds[r]
            weight = weights[r]
            covered = coverage[r]
            for c in range(columns):
                part[c] += weight * max(line[c] - covered, ZERO)
        for c in range(columns):
            gains[c] += part[c]


@njit(nogil=True, cache=True, fastmath=True)
def row_drops(bounds: Any, before: Any, now: Any, weights: Any, drops: Any) -> None:
    """Add to the drop of each row what the columns, covered better now, no longer gain by it.

    `bounds` must be lower bounds of the similarities, `before` an upper bound of the coverage.
    """
    for r in range(bounds.shape[0]):
        total = 0.0
        for start in range(0, bounds.shape[1], 1024):
            line = bounds[r, start : start + 1024]
            low = before[start : start + 1024]
            high = now[start : start + 1024]
            weight = weights[start : start + 1024]
            part = ZERO
            for c in range(line.shape[0]):
                most = max(high[c] - low[c], ZERO)
                part += weight[c] * min(max(line[c] - low[c], ZERO), most)
            total += part
        drops[r] += total


@njit(nogil=True, cache=True, fastmath=True)
def add_gains(bounds: Any, coverage: Any, weights: Any, gains: Any) -> None:
    """Add to the gain of each column what its similarities to the rows would cover anew.

    In float64, a thousand columns at a time: they stay in the first cache.
    """
    for start in range(0, bounds.shape[1], 1024):
        sums = gains[start : start + 1024]
        for r in range(bounds.shape[0]):
            line = bounds[r, start : start + 1024]
            covered = np.float64(coverage[r])
            weight = np.float64(weights[r])
            for c in range(line.shape[0]):
                sums[c] += weight * max(np.float64(line[c]) - covered, 0.0)


@njit(nogil=True, cache=True, fastmath=True)
def add_turned_gains(bounds: Any, coverage: Any, weights: Any, gains: Any) -> None:
    """Add to the gain of each row what its similarities to the columns would cover anew.

    As :func:`add_gains`, with rows and columns exchanged.
    """
    for r in range(bounds.shape[0]):
        line = bounds[r]
        total = 0.0
        for c in range(line.shape[0]):
            total += np.float64(weights[c]) * max(
                np.float64(line[c]) - np.float64(coverage[c]), 0.0
            )
        gains[r] += total


@njit(nogil=True, cache=True)
def copy_into(block: Any, matrix: Any, rows: Any, start: int) -> None:
    """Write a block into some rows of a matrix, from a column on."""
    for r in range(block.shape[0]):
        line = matrix[rows[r]]
        for c in range(block.shape[1]):
            line[start + c] = block[r, c]


@njit(nogil=True, cache=True)
def turn_into(block: Any, matrix: Any, rows: Any, start: int) -> None:
    """Write the columns of a block into some rows of a matrix, from a column on."""
    height = block.shape[0]
    for c in range(block.shape[1]):
        line = matrix[rows[c], start : start + height]
        for r in range(height):
            line[r] = block[r, c]


@njit(nogil=True, cache=True, fastmath=True)
def drop_gains(
    matrix: Any,
    rows: Any,
    before: Any,
    now: Any,
    weights: Any,
    first: int,
    last: int,
    gains: Any,
) -> None:
    """Take off the gains of some columns what is lost as the coverage of some rows rises.

    Sums of eight rows in float32: never above the truth, below it by at most 2e-6, relatively.
    """
    part = np.zeros(4096, dtype=np.float32)
    for start in range(first, last, 4096):
        width = min(start + 4096, last) - start
        for group in range(0, rows.shape[0], 8):
            part[:] = ZERO
            for r in range(group, min(group + 8, rows.shape[0])):
                line = matrix[rows[r], start : start + width]
                low = before[r]
                high = now[r]
                weight = np.float32(weights[r])
                for c in range(width):
                    part[c] += weight * (min(max(line[c], low), high) - low)
            for c in range(width):
                gains[start + c] -= np.float64(part[c]) * FEWER


@njit(nogil=True, cache=True)
def count_above(bounds: Any, below: Any, counts: Any) -> None:
    """Write how many entries of each row are above the row's coverage."""
    for r in range(bounds.shape[0]):
        line = bounds[r]
        covered = below[r]
        found = 0
        for c in range(line.shape[0]):
            found += line[c] > covered
        counts[r] = found


@njit(nogil=True, cache=True)
def keep_above(bounds: Any, below: Any, first: int, ranks: Any, values: Any) -> None:
    """Write these entries, row by row, and their columns, counted from `first` on."""
    end = 0
    for r in range(bounds.shape[0]):
        line = bounds[r]
        covered = below[r]
        for c in range(line.shape[0]):
            if line[c] > covered:
                ranks[end] = first + c
                values[end] = line[c]
                end += 1


@njit(nogil=True, cache=True)
def move_rows(
    counts: Any, some_ranks: Any, some_values: Any, starts: Any, ranks: Any, values: Any
) -> None:
    """Copy rows that lie one after the other to where they start, and move the starts on."""
    at = 0
    for r in range(counts.shape[0]):
        for e in range(counts[r]):
            ranks[starts[r] + e] = some_ranks[at + e]
            values[starts[r] + e] = some_values[at + e]
        at += counts[r]
        starts[r] += counts[r]


@njit(nogil=True, cache=True)
def pair_gains(
    starts: Any,
    counts: Any,
    ranks: Any,
    values: Any,
    below: Any,
    weights: Any,
    gains: Any,
    left: Any,
) -> None:
    """Add to the gain of each candidate what its pairs would cover anew; count its pairs."""
    for i in range(starts.shape[0]):
        covered = np.float64(below[i])
        weight = weights[i]
        for e in range(starts[i], starts[i] + counts[i]):
            gains[ranks[e]] += weight * (np.float64(values[e]) - covered)
            left[ranks[e]] += 1


@njit(nogil=True, cache=True)
def drop_pairs(
    changed: Any,
    starts: Any,
    counts: Any,
    ranks: Any,
    values: Any,
    before: Any,
    now: Any,
    weights: Any,
    gains: Any,
    left: Any,
) -> None:
    """Take off the gains what is lost as some items are better covered; forget their used pairs."""
    for q in range(changed.shape[0]):
        i = changed[q]
        low = np.float64(before[i])
        high = np.float64(now[i])
        weight = weights[i]
        end = starts[i]
        for e in range(starts[i], starts[i] + counts[i]):
            value = np.float64(values[e])
            gains[ranks[e]] -= weight * (min(value, high) - low)
            if value > high:
                ranks[end] = ranks[e]
                values[end] = values[e]
                end += 1
            else:
                left[ranks[e]] -= 1
        counts[i] = end - starts[i]
