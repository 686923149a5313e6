"""The nearest candidates of a few queries, without n x q memory."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.rows import MEMORY, Rows, mean_row

QUERIES = 256  # queries searched together
COLUMNS = 8192  # candidates compared at a time


def nearest_candidates(
    points: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
    k: int,
    *,
    memory: int = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k candidates nearest to each query.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    queries : ndarray of int64, shape (q,)
        Positions.
    candidates : ndarray of int64, shape (m,)
        Positions; should not contain the queries.
    k : int
        At most m.

    Returns
    -------
    nearest : ndarray of int64, shape (q, k)
        Positions, nearest first; ties to the lowest.
    distances : ndarray of float64, shape (q, k)
        Measured by differences: those of duplicates are 0.

    Notes
    -----
    O(q m d). Candidates whose float32 distances differ by rounding only may be taken for each
    other at the border of the k.
    """
    centre = mean_row(points, candidates)
    rows = Rows(points, candidates, centre=centre, memory=memory)
    asked = Rows(points, queries, centre=centre, memory=0)
    halves = 0.5 * rows.squared_norms()
    nearest = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k))

    def search(part: slice) -> None:
        turned = np.ascontiguousarray(asked.read(part).T)
        q = turned.shape[1]
        best = np.empty((q, 0), dtype=np.float32)
        found = np.empty((q, 0), dtype=np.int64)
        for block in row_blocks(rows.n, COLUMNS):
            scores = (halves[block, None] - rows.read(block) @ turned).T
            number = np.broadcast_to(np.arange(block.start, block.stop), scores.shape)
            best = np.concatenate([best, scores], axis=1)
            found = np.concatenate([found, number], axis=1)
            if best.shape[1] > k:
                kept = np.argpartition(best, k - 1, axis=1)[:, :k]
                best = np.take_along_axis(best, kept, axis=1)
                found = np.take_along_axis(found, kept, axis=1)
        for row in range(q):
            gaps = rows.exact(found[row]) - asked.exact(np.array([part.start + row]))
            gap = np.sqrt((gaps**2).sum(axis=1))
            order = np.lexsort((found[row], gap))
            nearest[part.start + row] = candidates[found[row][order]]
            distances[part.start + row] = gap[order]

    map_blocks(search, row_blocks(len(queries), QUERIES))
    return nearest, distances
