"""Agglomerative clustering by average linkage."""

from __future__ import annotations

import numpy as np


def average_linkage(points: np.ndarray, clusters: int) -> np.ndarray:
    """Return the means of the clusters of average linkage, float32 (k, d).

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        n² distances are held, so n should be a few thousand at most.
    clusters : int
        Where merging stops; at most n.

    Notes
    -----
    SciPy's nearest-neighbour chain, O(n²).
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    n = len(points)
    points = np.ascontiguousarray(points, dtype=np.float32)
    if clusters >= n:
        return points
    centred = points - points.mean(axis=0)
    squares = np.einsum("ij,ij->i", centred, centred)
    matrix = squares[:, None] + squares - 2.0 * (centred @ centred.T)
    np.fill_diagonal(matrix, 0.0)
    distances = squareform(np.sqrt(np.maximum(matrix, 0.0)), checks=False).astype(np.float64)
    tree = linkage(distances, method="average")
    assigned = fcluster(tree, clusters, criterion="maxclust") - 1
    sizes = np.bincount(assigned)
    sums = np.zeros((len(sizes), points.shape[1]))
    np.add.at(sums, assigned, points)
    kept = sizes > 0
    return (sums[kept] / sizes[kept, None]).astype(np.float32)
