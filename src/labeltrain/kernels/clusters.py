"""Cluster representatives: the items nearest to the centres of k-means."""

from __future__ import annotations

import numpy as np

MOST_CENTRES = 256  # more questions take several items of a cluster: k-means costs n * k
MINIBATCH_FROM = 50_000  # above this many points, mini-batches: Lloyd on all points takes minutes


def representatives(points: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` distinct rows: the nearest to each k-means centre, then the second nearest.

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
    k = min(count, distinct, MOST_CENTRES)
    if n > MINIBATCH_FROM:
        model = MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=4096)
    else:
        model = KMeans(k, random_state=seed, n_init=1, max_iter=100)
    assigned = model.fit_predict(points)
    sizes = np.bincount(assigned, minlength=k)
    gaps = points - model.cluster_centers_[assigned].astype(points.dtype)
    distances = np.einsum("ij,ij->i", gaps, gaps).astype(np.float64)
    # Turn t takes the t-th nearest item of each cluster, largest cluster first.
    order = np.lexsort((np.arange(n), distances, assigned))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    turn = np.empty(n, dtype=np.int64)
    turn[order] = np.arange(n) - starts[assigned[order]]
    rank = np.empty(k, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(k)
    rows = np.lexsort((rank[assigned], turn))[:count]
    return rows.astype(np.int64), sizes[assigned[rows]]
