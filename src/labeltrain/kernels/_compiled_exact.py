# mypy: disable-error-code="untyped-decorator"
"""Compiled loops for exact similarities and gains, in float64.

Neither compiler nor block size can change a bit of them: sums run in a fixed order, and no flag
lets arithmetic be reordered. Import it inside functions: numba takes a second.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def squared_norms(points: Any) -> Any:
    """Return the squared length of each row in float64, in the fixed order."""
    n, d = points.shape
    out = np.empty(n)
    whole = d - d % 8
    for i in range(n):
        x = points[i]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for q in range(0, whole, 8):
            s0 += np.float64(x[q]) * np.float64(x[q])
            s1 += np.float64(x[q + 1]) * np.float64(x[q + 1])
            s2 += np.float64(x[q + 2]) * np.float64(x[q + 2])
            s3 += np.float64(x[q + 3]) * np.float64(x[q + 3])
            s4 += np.float64(x[q + 4]) * np.float64(x[q + 4])
            s5 += np.float64(x[q + 5]) * np.float64(x[q + 5])
            s6 += np.float64(x[q + 6]) * np.float64(x[q + 6])
            s7 += np.float64(x[q + 7]) * np.float64(x[q + 7])
        for q in range(whole, d):
            s0 += np.float64(x[q]) * np.float64(x[q])
        out[i] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    return out


@njit(nogil=True, cache=True)
def squared_distance(x: Any, factor: float, z: Any) -> Any:
    """Return \\|factor * x - z\\|^2 in float64, in the fixed order."""
    d = x.shape[0]
    whole = d - d % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for q in range(0, whole, 8):
        e0 = x[q] * factor - z[q]
        e1 = x[q + 1] * factor - z[q + 1]
        e2 = x[q + 2] * factor - z[q + 2]
        e3 = x[q + 3] * factor - z[q + 3]
        e4 = x[q + 4] * factor - z[q + 4]
        e5 = x[q + 5] * factor - z[q + 5]
        e6 = x[q + 6] * factor - z[q + 6]
        e7 = x[q + 7] * factor - z[q + 7]
        s0 += e0 * e0
        s1 += e1 * e1
        s2 += e2 * e2
        s3 += e3 * e3
        s4 += e4 * e4
        s5 += e5 * e5
        s6 += e6 * e6
        s7 += e7 * e7
    for q in range(whole, d):
        e0 = x[q] * factor - z[q]
        s0 += e0 * e0
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@njit(nogil=True, cache=True)
def inner(x: Any, factor: float, z: Any) -> Any:
    """Return <factor * x, z> in float64, in the fixed order."""
    d = x.shape[0]
    whole = d - d % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for q in range(0, whole, 8):
        s0 += x[q] * factor * z[q]
        s1 += x[q + 1] * factor * z[q + 1]
        s2 += x[q + 2] * factor * z[q + 2]
        s3 += x[q + 3] * factor * z[q + 3]
        s4 += x[q + 4] * factor * z[q + 4]
        s5 += x[q + 5] * factor * z[q + 5]
        s6 += x[q + 6] * factor * z[q + 6]
        s7 += x[q + 7] * factor * z[q + 7]
    for q in range(whole, d):
        s0 += x[q] * factor * z[q]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


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
