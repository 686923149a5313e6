"""Which of some candidates to replay: those that stand for all, and that are uncertain."""

from __future__ import annotations

import numpy as np


def _squared_distances(vectors: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    found: np.ndarray = squareform(pdist(np.asarray(vectors, dtype=np.float64), "sqeuclidean"))
    return found


def similarities(vectors: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(-d^2 / (2 sigma^2)) of all pairs, float64 (n, n).

    Parameters
    ----------
    vectors : ndarray of float, shape (n, d)
    sigma : float
    """
    found: np.ndarray = np.exp(_squared_distances(vectors) / (-2.0 * sigma**2))
    return found


def median_distance(vectors: np.ndarray) -> float:
    """Return the median distance of different vectors; 1 where all are equal.

    Parameters
    ----------
    vectors : ndarray of float, shape (n, d)
    """
    upper = np.sqrt(_squared_distances(vectors)[np.triu_indices(len(vectors), 1)])
    middle = float(np.median(upper[upper > 0])) if (upper > 0).any() else 0.0
    return middle if middle > 0 else 1.0


def covering(
    similarity: np.ndarray, uncertainty: np.ndarray, weight: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Maximise ``sum_i max_{j in S} w_ij + weight log(1 + sum_{j in S} h_j)`` greedily.

    Facility location and a concave function of a sum: monotone and submodular, so that the value
    is at least 1 - 1/e of the best one.

    Parameters
    ----------
    similarity : ndarray of float64, shape (n, n)
        Symmetric, at least 0.
    uncertainty : ndarray of float64, shape (n,)
        At least 0.
    weight : float
    count : int
        At most n.

    Returns
    -------
    picks : ndarray of int64, shape (count,)
        Ties go to the lowest position.
    gains : ndarray of float64, shape (count,)
        They do not increase.
    """
    from labeltrain.kernels import _compiled_replay  # numba takes long to import

    picks, gains = _compiled_replay.covering(
        np.ascontiguousarray(similarity, dtype=np.float64),
        np.ascontiguousarray(uncertainty, dtype=np.float64),
        float(weight),
        int(count),
    )
    return picks, gains
