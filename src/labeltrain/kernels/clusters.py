"""Cluster representatives: the items nearest to the centres of k-means."""

from __future__ import annotations

import numpy as np

MINIBATCH_FROM = 50_000  # above this many points, mini-batches: Lloyd on all points takes minutes


def representatives(points: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` distinct rows, each the nearest free one to a k-means centre.

    Parameters
    ----------
    points : ndarray of float32, shape (n, d)
    count : int
        At most n.
    seed : int
        Seeds k-means++.

    Returns
    -------
    rows : ndarray of int64, shape (count,)
        Largest cluster first, so that a prefix is as good as the whole.
    sizes : ndarray of int64, shape (count,)
        Size of the cluster behind each row.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    n = points.shape[0]
    if count <= 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    distinct = len(np.unique(points, axis=0)) if n <= MINIBATCH_FROM else n
    k = min(count, distinct)
    if n > MINIBATCH_FROM:
        model = MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=4096)
    else:
        model = KMeans(k, random_state=seed, n_init=1, max_iter=100)
    assigned = model.fit_predict(points)
    sizes = np.bincount(assigned, minlength=k)
    free = np.ones(n, dtype=bool)
    rows: list[int] = []
    found: list[int] = []
    norms = (points.astype(np.float64) ** 2).sum(axis=1)
    for cluster in np.argsort(-sizes, kind="stable"):
        centre = model.cluster_centers_[cluster].astype(np.float64)
        distances = norms - 2.0 * (points @ centre.astype(points.dtype)).astype(np.float64)
        distances[~free] = np.inf
        row = int(distances.argmin())
        free[row] = False
        rows.append(row)
        found.append(int(sizes[cluster]))
    # Fewer distinct points than asked for: the rest are duplicates, lowest position first.
    for row in np.flatnonzero(free)[: count - k]:
        rows.append(int(row))
        found.append(1)
    return np.asarray(rows, dtype=np.int64), np.asarray(found, dtype=np.int64)
