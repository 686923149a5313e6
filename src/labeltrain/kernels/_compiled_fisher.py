"""Compiled loops of BAIT. Import it inside functions: numba takes a second."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def update_items(
    factors: np.ndarray,
    moved: np.ndarray,
    crossed: np.ndarray,
    middle: np.ndarray,
    sign: float,
    g: np.ndarray,
    h: np.ndarray,
) -> None:
    """Bring g = V'AV and h = V'AFAV of each item up to date after M += sign V_s V_s'.

    Parameters
    ----------
    factors : (n, C, r), U of each item: V = U ⊗ z
    moved, crossed : (n, C, q), z contracted with W and with Y = A F W
    middle : (q, q), W' F W
    g, h : (n, r, r), changed in place
    """
    n, classes, r = factors.shape
    q = moved.shape[2]
    x = np.empty((r, q))
    y = np.empty((r, q))
    z = np.empty((r, q))
    for i in range(n):
        for a in range(r):
            for b in range(q):
                x[a, b] = 0.0
                y[a, b] = 0.0
            for c in range(classes):
                u = factors[i, c, a]
                if u != 0.0:
                    for b in range(q):
                        x[a, b] += u * moved[i, c, b]
                        y[a, b] += u * crossed[i, c, b]
        for a in range(r):
            for b in range(q):
                total = 0.0
                for k in range(q):
                    total += x[a, k] * middle[k, b]
                z[a, b] = total
        for a in range(r):
            for b in range(r):
                inner = 0.0
                cross = 0.0
                for k in range(q):
                    inner += x[a, k] * x[b, k]
                    cross += x[a, k] * y[b, k] + y[a, k] * x[b, k] - sign * z[a, k] * x[b, k]
                g[i, a, b] -= sign * inner
                h[i, a, b] -= sign * cross


@njit(nogil=True, cache=True)
def changes(g: np.ndarray, h: np.ndarray, sign: float, result: np.ndarray) -> None:
    """result[i] = tr((I + sign g_i)^-1 h_i): what M += sign V_i V_i' takes off tr(M^-1 F).

    Times `sign`, that is. Where I + sign g_i is not positive definite (rounding, when removing),
    the result is infinite.
    """
    n, r, _ = g.shape
    k = np.empty((r, r))
    for i in range(n):
        positive = True
        for a in range(r):  # Cholesky: k = L, lower
            for b in range(a + 1):
                total = sign * g[i, a, b]
                if a == b:
                    total += 1.0
                for c in range(b):
                    total -= k[a, c] * k[b, c]
                if a == b:
                    if total <= 1e-12:
                        positive = False
                        break
                    k[a, a] = np.sqrt(total)
                else:
                    k[a, b] = total / k[b, b]
            if not positive:
                break
        if not positive:
            result[i] = np.inf
            continue
        trace = 0.0  # tr(K^-1 h) = sum over columns j of (K^-1 h_j)_j
        column = np.empty(r)
        for j in range(r):
            for a in range(r):
                total = h[i, a, j]
                for c in range(a):
                    total -= k[a, c] * column[c]
                column[a] = total / k[a, a]
            for a in range(r - 1, j - 1, -1):
                total = column[a]
                for c in range(a + 1, r):
                    total -= k[c, a] * column[c]
                column[a] = total / k[a, a]
            trace += column[j]
        result[i] = trace
