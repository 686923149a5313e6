"""Compiled loops of k-center and D² sampling. Import it inside functions: numba takes a second."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def lower_exactly(rows: np.ndarray, centres: np.ndarray, nearest: np.ndarray) -> None:
    """nearest[i] = min(nearest[i], min_j \\|rows[i] - centres[j]\\|²), float64.

    The compiler may reorder the sum over features, which makes it twice as fast; it does so once,
    so the order is the same for every row, centre and block.
    """
    d = rows.shape[1]
    for i in range(rows.shape[0]):
        best = nearest[i]
        for j in range(centres.shape[0]):
            total = 0.0
            for k in range(d):
                gap = rows[i, k] - centres[j, k]
                total += gap * gap
            if total < best:
                best = total
        nearest[i] = best


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def lower_from(
    rows: np.ndarray, centres: np.ndarray, starts: np.ndarray, nearest: np.ndarray
) -> None:
    """The same over the centres from starts[i] on."""
    d = rows.shape[1]
    for i in range(rows.shape[0]):
        best = nearest[i]
        for j in range(starts[i], centres.shape[0]):
            total = 0.0
            for k in range(d):
                gap = rows[i, k] - centres[j, k]
                total += gap * gap
            if total < best:
                best = total
        nearest[i] = best


@njit(nogil=True, cache=True, fastmath=True)
def lower_by_products(
    products: np.ndarray, norms: np.ndarray, centre_norms: np.ndarray, nearest: np.ndarray
) -> None:
    """The same from inner products, float32: n_i + n_j - 2 <i, j>."""
    m = products.shape[1]
    for i in range(products.shape[0]):
        best = np.float32(np.inf)
        for j in range(m):
            value = centre_norms[j] - np.float32(2.0) * products[i, j]
            best = min(best, value)
        value = max(best + norms[i], np.float32(0.0))
        if value < nearest[i]:
            nearest[i] = value


@njit(nogil=True, cache=True, fastmath=True)
def lower_in_buffer(buffer: np.ndarray, centre: np.ndarray, nearest: np.ndarray) -> None:
    """The same for one centre by differences, float32."""
    d = buffer.shape[1]
    for i in range(buffer.shape[0]):
        total = np.float32(0.0)
        for k in range(d):
            gap = buffer[i, k] - centre[k]
            total += gap * gap
        nearest[i] = min(nearest[i], total)


@njit(nogil=True, cache=True, fastmath=True)
def lower_by_factors(
    inner: np.ndarray,
    products: np.ndarray,
    norms: np.ndarray,
    centre_norms: np.ndarray,
    rounding: float,
    nearest: np.ndarray,
    doubtful: np.ndarray,
) -> int:
    """nearest[i] = min(nearest[i], min_j n_i + n_j - 2 inner[i, j] products[i, j]), float32.

    `inner` with no columns counts as ones. Values that rounding may have made are left alone; the
    rows that have any are listed in `doubtful`, and their number is returned.
    """
    m = products.shape[1]
    factored = inner.shape[1] > 0
    found = 0
    for i in range(products.shape[0]):
        if nearest[i] == 0.0:
            continue
        best = np.float32(np.inf)
        if factored:
            for j in range(m):
                cross = inner[i, j] * products[i, j]
                best = min(best, centre_norms[j] - np.float32(2.0) * cross)
        else:
            for j in range(m):
                best = min(best, centre_norms[j] - np.float32(2.0) * products[i, j])
        best += norms[i]
        if best < nearest[i]:
            if best <= rounding * norms[i]:
                doubtful[found] = i
                found += 1
            else:
                nearest[i] = best
    return found


@njit(nogil=True, cache=True, fastmath=True)
def factored_distance(a: np.ndarray, h: np.ndarray, b: np.ndarray, g: np.ndarray) -> float:
    """\\|a⊗h - b⊗g\\|² in float64 as \\|(a-b)⊗h + b⊗(h-g)\\|²: no cancellation near zero."""
    d2 = 0.0
    db = 0.0
    bb = 0.0
    for k in range(a.shape[0]):
        gap = np.float64(a[k]) - np.float64(b[k])
        d2 += gap * gap
        db += gap * np.float64(b[k])
        bb += np.float64(b[k]) * np.float64(b[k])
    hh = 0.0
    hg = 0.0
    gg = 0.0
    for k in range(h.shape[0]):
        gap = np.float64(h[k]) - np.float64(g[k])
        hh += np.float64(h[k]) * np.float64(h[k])
        hg += np.float64(h[k]) * gap
        gg += gap * gap
    return max(d2 * hh + 2.0 * db * hg + bb * gg, 0.0)


@njit(nogil=True, cache=True, fastmath=True)
def lower_factored_exactly(
    a: np.ndarray, h: np.ndarray, b: np.ndarray, g: np.ndarray, nearest: np.ndarray
) -> None:
    """nearest[i] = min(nearest[i], min_j \\|a_i⊗h_i - b_j⊗g_j\\|²), float64."""
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            nearest[i] = min(nearest[i], factored_distance(a[i], h[i], b[j], g[j]))


@njit(nogil=True, cache=True, fastmath=True)
def nearest_recent(
    a: np.ndarray, h: np.ndarray, b: np.ndarray, g: np.ndarray, stale: float
) -> float:
    """Smallest distance of one item to a few centres, float64 sums; `stale` if none is smaller."""
    best = stale
    for j in range(b.shape[0]):
        inner = 0.0
        na = 0.0
        nb = 0.0
        for k in range(a.shape[0]):
            inner += np.float64(a[k]) * np.float64(b[j, k])
            na += np.float64(a[k]) * np.float64(a[k])
            nb += np.float64(b[j, k]) * np.float64(b[j, k])
        product = 0.0
        nh = 0.0
        ng = 0.0
        for k in range(h.shape[0]):
            product += np.float64(h[k]) * g[j, k]
            nh += np.float64(h[k]) * h[k]
            ng += np.float64(g[j, k]) * g[j, k]
        value = na * nh + nb * ng - 2.0 * inner * product
        if value < 1e-6 * (na * nh):
            value = factored_distance(a, h, b[j], g[j])
        best = min(best, value)
    return best


@njit(nogil=True, cache=True, fastmath=True)
def nearest_point(point: np.ndarray, centres: np.ndarray, stale: float) -> float:
    """Smallest squared distance of one point to a few centres; `stale` if none is smaller."""
    best = stale
    for j in range(centres.shape[0]):
        total = 0.0
        for k in range(point.shape[0]):
            gap = np.float64(point[k]) - np.float64(centres[j, k])
            total += gap * gap
        best = min(best, total)
    return best
