"""What several strategies do with features before they use them."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks


def unit_rows(points: np.ndarray, positions: np.ndarray | None = None) -> np.ndarray:
    """Return rows of length 1, float32; a row of zeros stays one.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
    positions : ndarray of int64, optional
        Only these rows.
    """
    n = len(points) if positions is None else len(positions)
    out = np.empty((n, points.shape[1]), dtype=np.float32)

    def scale(rows: slice) -> None:
        block = np.asarray(points[rows if positions is None else positions[rows]], np.float32)
        largest = np.abs(block).max(axis=1, keepdims=True, initial=0.0)
        scaled = block / np.where(largest > 0.0, largest, 1.0)  # squares may overflow or vanish
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        out[rows] = scaled / np.where(length > 0.0, length, 1.0)

    map_blocks(scale, row_blocks(n, 8192))
    return out
