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
    from scipy.spatial.distance import pdist

    n = len(points)
    if clusters >= n:
        return np.ascontiguousarray(points, dtype=np.float32)
    tree = linkage(pdist(np.asarray(points, dtype=np.float64)), method="average")
    assigned = fcluster(tree, clusters, criterion="maxclust") - 1
    sizes = np.bincount(assigned)
    sums = np.zeros((len(sizes), points.shape[1]))
    np.add.at(sums, assigned, points)
    kept = sizes > 0
    return (sums[kept] / sizes[kept, None]).astype(np.float32)
