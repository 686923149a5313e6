"""k-means, seeded by exact D² sampling, and the items nearest to its centres."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.d2_sampling import d2_sampling
from labeltrain.kernels.rows import READ_ROWS

MOST_CENTRES = 256  # more questions take several items of a cluster: k-means costs n * k
SAMPLE = 50_000  # above this many points the centres come from a sample of them


def k_means(
    points: np.ndarray,
    clusters: int,
    rng: np.random.Generator,
    *,
    weights: np.ndarray | None = None,
    iterations: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cluster of each point and the centres.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        With n at least 1. Any float type; may be a memory map.
    clusters : int
        At least 1; fewer come back when there are fewer distinct points.
    rng : numpy.random.Generator
    weights : ndarray of float64, shape (n,), optional
        Not negative.
    iterations : int
        Of Lloyd's algorithm (scikit-learn's), at most.

    Returns
    -------
    assigned : ndarray of int64, shape (n,)
    centres : ndarray of float32, shape (k, d)

    Notes
    -----
    O(n k d) an iteration. Above `SAMPLE` points the centres come from a uniform sample of that
    size, and then every point is assigned to its nearest centre.
    """
    n = len(points)
    if weights is not None and not weights.sum() > 0.0:
        weights = None
    chosen = np.sort(rng.choice(n, SAMPLE, replace=False)) if n > SAMPLE else np.arange(n)
    sample = np.ascontiguousarray(points[chosen], dtype=np.float32)
    sample_weights = None if weights is None else weights[chosen]
    if sample_weights is not None and not sample_weights.sum() > 0.0:
        sample_weights = None
    seeds, gaps = d2_sampling(
        sample,
        min(clusters, len(sample)),
        rng,
        candidates=np.arange(len(sample)),
        weights=sample_weights,
    )
    distinct = seeds[np.concatenate([[True], gaps[1:] > 0.0])]
    centres = sample[distinct]
    if len(centres) > 1:
        centres = _lloyd(sample, centres, sample_weights, iterations)
    return nearest_centre(points, centres), centres


def _lloyd(
    sample: np.ndarray, centres: np.ndarray, weights: np.ndarray | None, iterations: int
) -> np.ndarray:
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(len(centres), init=centres, n_init=1, max_iter=iterations)
    with warnings.catch_warnings():
        # Points that differ by rounding only can end up in one cluster: nothing to be done.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(sample, sample_weight=weights)
    return np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)


def nearest_centre(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the index of the nearest centre of each point, int64 (n,)."""
    assigned = np.zeros(len(points), dtype=np.int64)
    if len(centres) < 2:
        return assigned
    middle = centres.mean(axis=0)
    turned = np.ascontiguousarray((centres - middle).T)
    half = 0.5 * np.einsum("ij,ij->j", turned, turned)

    def assign(rows: slice) -> None:
        block = np.ascontiguousarray(points[rows], dtype=np.float32) - middle
        assigned[rows] = (half - block @ turned).argmin(axis=1)

    map_blocks(assign, row_blocks(len(points), READ_ROWS))
    return assigned


def distance_to_centre(points: np.ndarray, centres: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """Return the squared distance of each point to the centre of its cluster, float64 (n,)."""
    gaps = np.empty(len(points))

    def measure(rows: slice) -> None:
        gap = np.asarray(points[rows], dtype=np.float32) - centres[assigned[rows]]
        gaps[rows] = np.einsum("ij,ij->i", gap, gap)

    map_blocks(measure, row_blocks(len(points), READ_ROWS))
    return gaps


def in_turns(clusters: np.ndarray, scores: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return all rows in round-robin order: the best of each cluster, then the second best, ...

    Parameters
    ----------
    clusters : ndarray of int64, shape (n,)
        The cluster of each row.
    scores : ndarray of float, shape (n,)
        Lowest first within a cluster; ties to the lowest row.
    order : ndarray of int64, shape (k,)
        The clusters in the order in which they take turns.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    n = len(clusters)
    sizes = np.bincount(clusters, minlength=len(order))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    ranked = np.lexsort((np.arange(n), scores, clusters))
    turn = np.empty(n, dtype=np.int64)
    turn[ranked] = np.arange(n) - starts[clusters[ranked]]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return np.lexsort((rank[clusters], turn)).astype(np.int64)


def representatives(
    points: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` distinct rows: the nearest to each k-means centre, then the second nearest.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
    count : int
        At most n. As many clusters are made, but no more than `MOST_CENTRES`.
    rng : numpy.random.Generator
    weights : ndarray of float64, shape (n,), optional
        Of the points in k-means.

    Returns
    -------
    rows : ndarray of int64, shape (count,)
        Largest cluster first, so that a prefix is as good as the whole.
    sizes : ndarray of int64, shape (count,)
        Size of the cluster behind each row.
    """
    if count <= 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    assigned, centres = k_means(points, min(count, MOST_CENTRES), rng, weights=weights)
    sizes = np.bincount(assigned, minlength=len(centres))
    gaps = distance_to_centre(points, centres, assigned)
    rows = in_turns(assigned, gaps, np.argsort(-sizes, kind="stable"))[:count]
    return rows, sizes[assigned[rows]]
