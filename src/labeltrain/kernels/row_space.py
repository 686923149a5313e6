"""Fewer items than features: an exact change of variables to as many features as items."""

from __future__ import annotations

import numpy as np


def row_space(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the rows' span, and the rows in that basis.

    An L2-penalised linear model has its optimum in the span of its training rows: fitting
    `reduced` and mapping the weights back with `basis` gives the same model, at m instead of d
    features.

    Parameters
    ----------
    features : ndarray of float, shape (m, d)
        With m <= d.

    Returns
    -------
    basis : ndarray of float, shape (d, m)
        ``weights = reduced_weights @ basis.T``.
    reduced : ndarray of float, shape (m, m)
        ``features = reduced @ basis.T``.
    """
    basis, upper = np.linalg.qr(features.T)
    return basis, np.ascontiguousarray(upper.T)


def row_space_of(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same from the products of the rows alone, for sparse rows of many features.

    Parameters
    ----------
    gram : ndarray of float64, shape (m, m)
        ``features @ features.T``.

    Returns
    -------
    basis : ndarray of float64, shape (m, r)
        r is the rank; ``weights = reduced_weights @ basis.T @ features``.
    reduced : ndarray of float64, shape (m, r)
        ``reduced @ reduced.T = gram``.
    """
    values, vectors = np.linalg.eigh(gram)
    keep = values > 1e-10 * max(values[-1], 0.0)
    scale = np.sqrt(values[keep])
    return vectors[:, keep] / scale, vectors[:, keep] * scale
