"""Labels spread over a graph of neighbours: the closed forms, by conjugate gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.kernels.neighbours import nearest_neighbours
from labeltrain.kernels.rows import MEMORY

TOLERANCE = 1e-7  # of the residual, relative to the right-hand side
MOST_STEPS = 2000


def neighbour_weights(distances: np.ndarray, own: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return ``exp(-d^2 / (s_i s_j))``, s being the local scale of either end of an edge.

    Parameters
    ----------
    distances : ndarray of float64, shape (n, k)
    own : ndarray of float64, shape (n,)
        Local scale of each row.
    theirs : ndarray of float64, shape (n, k)
        Local scale of each neighbour.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Between exp(-50) and 1.

    References
    ----------
    Zelnik-Manor, Perona: Self-tuning spectral clustering, NeurIPS 2004.
    """
    scale = np.maximum(own[:, None] * theirs, 1e-30)
    return np.exp(-np.minimum(distances**2 / scale, 50.0))


def neighbour_graph(
    points: np.ndarray, k: int, *, normalise: bool = True, memory: int = MEMORY
) -> tuple[Any, np.ndarray]:
    """Return the symmetric graph of k nearest neighbours, and the local scale of each item.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Rows that are equal make cliques of their own: leave all but one out.
    k : int
    normalise : bool
        Measure between rows of length 1.
    memory : int
        Bytes to use beside `points` and the graph.

    Returns
    -------
    graph : scipy.sparse.csr_array of float64, shape (n, n)
        Weights of :func:`neighbour_weights`; an edge is there when either end has the other among
        its k nearest. No loops.
    scales : ndarray of float64, shape (n,)
        Mean distance to the k nearest neighbours.
    """
    import scipy.sparse

    n = len(points)
    index, distance = nearest_neighbours(points, k, normalise=normalise, memory=memory)
    scales = distance.mean(axis=1) if distance.shape[1] else np.zeros(n)
    weights = neighbour_weights(distance, scales, scales[index])
    rows = np.repeat(np.arange(n), index.shape[1])
    graph = scipy.sparse.csr_array((weights.ravel(), (rows, index.ravel())), shape=(n, n))
    return graph.maximum(graph.T).tocsr(), scales


def spread(graph: Any, seeds: np.ndarray, alpha: float) -> np.ndarray:
    """Return ``(1 - alpha) (I - alpha S)^-1 Y``, S the graph normalised by the root of degrees.

    Parameters
    ----------
    graph : sparse array, shape (n, n)
        Symmetric, non-negative.
    seeds : ndarray of float64, shape (n, C)
        Y: a one in the class of each labelled item, zeros elsewhere.
    alpha : float
        In [0, 1): how far labels spread.

    Returns
    -------
    ndarray of float64, shape (n, C)
        Non-negative but for the tolerance.

    Raises
    ------
    ArithmeticError
        No convergence; does not happen for alpha up to 0.999.

    References
    ----------
    Zhou, Bousquet, Lal, Weston, Schoelkopf: Learning with local and global consistency, NeurIPS
    2003.
    """
    root = np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)

    def apply(x: np.ndarray) -> np.ndarray:
        return x - alpha * inverse[:, None] * (graph @ (inverse[:, None] * x))

    return np.maximum(_conjugate_gradients(apply, (1.0 - alpha) * seeds), 0.0)


def harmonic(graph: Any, fixed: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the harmonic function: fixed items keep their values, others are weighted means.

    Parameters
    ----------
    graph : sparse array, shape (n, n)
        Symmetric, non-negative.
    fixed : ndarray of int64, shape (m,)
        Distinct.
    values : ndarray of float64, shape (m, C)

    Returns
    -------
    ndarray of float64, shape (n, C)
        Zero rows where no path leads to a fixed item.

    Raises
    ------
    ArithmeticError
        No convergence.

    References
    ----------
    Zhu, Ghahramani, Lafferty: Semi-supervised learning using Gaussian fields and harmonic
    functions, ICML 2003.
    """
    from scipy.sparse.csgraph import connected_components

    n = graph.shape[0]
    result = np.zeros((n, values.shape[1]))
    result[fixed] = values
    _, component = connected_components(graph, directed=False)
    free = np.isin(component, component[fixed])
    free[fixed] = False
    rows = np.flatnonzero(free)
    if len(rows) == 0:
        return result
    degrees = np.asarray(graph.sum(axis=1)).ravel()[rows]
    inside = graph[rows][:, rows].tocsr()
    root = 1.0 / np.sqrt(degrees)

    def apply(x: np.ndarray) -> np.ndarray:
        return x - root[:, None] * (inside @ (root[:, None] * x))

    pull = root[:, None] * (graph[rows][:, fixed] @ values)
    result[rows] = root[:, None] * _conjugate_gradients(apply, pull)
    return np.clip(result, 0.0, None)


def _conjugate_gradients(apply: Any, right: np.ndarray) -> np.ndarray:
    """Solve a positive definite system for all columns of `right` at once."""
    x = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    square = np.einsum("ij,ij->j", residual, residual)
    goal = TOLERANCE**2 * square
    for _ in range(MOST_STEPS):
        if (square <= goal).all():
            return x
        moved = apply(direction)
        along = np.einsum("ij,ij->j", direction, moved)
        step = np.divide(square, along, out=np.zeros_like(square), where=along > 0)
        x += step * direction
        residual -= step * moved
        new = np.einsum("ij,ij->j", residual, residual)
        ratio = np.divide(new, square, out=np.zeros_like(new), where=square > 0)
        direction = residual + ratio * direction
        square = new
    raise ArithmeticError("labels did not spread to a fixed state: choose a smaller alpha")
