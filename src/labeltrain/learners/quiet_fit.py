"""Fits of scikit-learn without warnings that say nothing new to the user."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


def quiet_fit(solver: Any, rows: Any, labels: np.ndarray, weights: np.ndarray | None = None) -> int:
    """Fit, and return the number of iterations.

    Reaching the limit of iterations is for the model's facts; and that few labels are of many
    classes is what few labels are like.

    Parameters
    ----------
    solver : scikit-learn classifier with ``n_iter_``
    rows : ndarray or sparse array, shape (m, d)
    labels : ndarray of int64, shape (m,)
    weights : ndarray of float, shape (m,), optional
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        solver.fit(rows, labels, sample_weight=weights)
    return int(np.max(solver.n_iter_))
