"""Typicality: how near an item's nearest neighbours are."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks

PRODUCTS = 2**21  # inner products held at a time


def typicality(points: np.ndarray, neighbours: int) -> np.ndarray:
    """Return 1 / (mean distance to the nearest `neighbours` other points + 1e-5).

    Parameters
    ----------
    points : ndarray of float32, shape (n, d)
    neighbours : int
        0 gives the same value, 1e5, for all points.

    Returns
    -------
    ndarray of float64, shape (n,)

    Notes
    -----
    O(n² d) in blocks; memory does not grow with n².
    """
    n = len(points)
    means = np.zeros(n)
    k = min(neighbours, n - 1)
    if k > 0:
        points = points - points.mean(axis=0)
        turned = np.ascontiguousarray(points.T)
        squares = np.einsum("ij,ij->i", points, points)

        def measure(rows: slice) -> None:
            d2 = squares[rows, None] + squares - 2.0 * (points[rows] @ turned)
            own = np.arange(rows.start, rows.stop)
            d2[own - rows.start, own] = np.inf
            nearest = np.argpartition(d2, k - 1, axis=1)[:, :k]
            # Products only find the neighbours: of duplicates they would not give 0.
            gaps = points[nearest] - points[rows, None]
            lengths = np.sqrt(np.einsum("ijk,ijk->ij", gaps, gaps))
            means[rows] = np.sort(lengths, axis=1).mean(axis=1, dtype=np.float64)

        height = max(1, PRODUCTS // max(n, k * points.shape[1]))
        map_blocks(measure, row_blocks(n, height))
    return 1.0 / (means + 1e-5)
