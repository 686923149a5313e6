# mypy: disable-error-code="untyped-decorator"
"""Compiled loops for exact similarities and gains, in float64.

A value is computed by one routine wherever it is needed, row by row, so neither block sizes nor
threads change a bit of it. Import it inside functions: numba takes a second.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

# Sums over features may be reordered by the compiler, which makes them two to three times faster;
# it compiles each loop once, so the order is the same for every row and in every block.
SUMS = {"reassoc", "nsz"}


@njit(nogil=True, cache=True, fastmath=SUMS)
def squared_norms(points: Any) -> Any:
    """Return the squared length of each row in float64."""
    n, d = points.shape
    out = np.empty(n)
    for i in range(n):
        total = 0.0
        for q in range(d):
            total += np.float64(points[i, q]) * np.float64(points[i, q])
        out[i] = total
    return out


@njit(nogil=True, cache=True, fastmath=SUMS)
def squared_distance(x: Any, factor: float, z: Any) -> Any:
    """Return \\|factor * x - z\\|^2 in float64."""
    total = 0.0
    for q in range(x.shape[0]):
        gap = np.float64(x[q]) * factor - z[q]
        total += gap * gap
    return total


@njit(nogil=True, cache=True, fastmath=SUMS)
def inner(x: Any, factor: float, z: Any) -> Any:
    """Return <factor * x, z> in float64."""
    total = 0.0
    for q in range(x.shape[0]):
        total += np.float64(x[q]) * z[q]
    return factor * total


@njit(nogil=True, cache=True)
def exact_similarities(points: Any, factors: Any, z: Any, gaussian: bool, scale: float) -> Any:
    """Return the similarity of each row to the item `z` (float64, normalised): the definition."""
    n = points.shape[0]
    out = np.empty(n)
    for i in range(n):
        if gaussian:
            t = -squared_distance(points[i], factors[i], z) / scale
            out[i] = math.exp(t) if t >= -60.0 else 0.0
        else:
            out[i] = min(max(inner(points[i], factors[i], z), 0.0), 1.0)
    return out


@njit(nogil=True, cache=True)
def exact_gain(rows: Any, values: Any, coverage: Any, weights: Any, segment: int) -> Any:
    """Return sum of weights * (values - coverage)+ over `rows` (ascending), in a fixed order.

    Sums within segments of positions first, so that leaving out rows that add nothing, or
    computing the values in any blocks, changes no bit.
    """
    total = 0.0
    part = 0.0
    current = -1
    for r in range(rows.shape[0]):
        i = rows[r]
        if i // segment != current:
            total += part
            part = 0.0
            current = i // segment
        part += weights[i] * max(values[r] - coverage[i], 0.0)
    return total + part


@njit(nogil=True, cache=True)
def raise_coverage(rows: Any, values: Any, coverage: Any, below: Any) -> int:
    """Raise coverage to `values` on `rows`, with its float32 lower bound; return how many rose."""
    raised = 0
    for r in range(rows.shape[0]):
        i = rows[r]
        value = values[r]
        if value > coverage[i]:
            coverage[i] = value
            low = np.float32(value)
            if np.float64(low) > value:
                low = np.float32(np.int32(low.view(np.int32) - np.int32(1)).view(np.float32))
            below[i] = low
            raised += 1
    return raised
