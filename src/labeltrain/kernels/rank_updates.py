"""Inverses of sums of outer products, kept up to date as rows come and go."""

from __future__ import annotations

import numpy as np


def inverse_of(rows: np.ndarray, weights: np.ndarray, penalty: float) -> np.ndarray:
    """Return ``(penalty I + sum_i w_i x_i x_i')^-1``, float64 (d, d).

    Parameters
    ----------
    rows : ndarray of float64, shape (m, d)
    weights : ndarray of float64, shape (m,)
        At least 0.
    penalty : float
        Above 0.
    """
    from scipy.linalg import cho_factor, cho_solve

    m, d = rows.shape
    scaled = rows * np.sqrt(weights)[:, None]
    if m < d:  # Woodbury: the inner system is the smaller one
        inner = scaled @ scaled.T
        inner[np.diag_indices(m)] += penalty
        found: np.ndarray = -(scaled.T @ cho_solve(cho_factor(inner), scaled)) / penalty
        found[np.diag_indices(d)] += 1.0 / penalty
    else:
        whole = scaled.T @ scaled
        whole[np.diag_indices(d)] += penalty
        found = cho_solve(cho_factor(whole), np.eye(d))
    return 0.5 * (found + found.T)


def with_rows(inverse: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the inverse once ``sum_i w_i x_i x_i'`` is added (Woodbury), float64 (d, d).

    Parameters
    ----------
    inverse : ndarray of float64, shape (d, d)
        Symmetric.
    rows : ndarray of float64, shape (k, d)
    weights : ndarray of float64, shape (k,)
        Above 0 for rows that come, below for rows that go.

    Notes
    -----
    O(k d^2 + k^3).
    """
    if not len(rows):
        return inverse
    turned = rows @ inverse
    inner = turned @ rows.T
    inner[np.diag_indices(len(rows))] += 1.0 / weights
    return np.asarray(inverse - turned.T @ np.linalg.solve(inner, turned))
