"""Relevance of 0 or more: what a harmful task taught cannot be taken back."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels import relevance as kernel
from labeltrain.multitask.relevance import checked, each


def non_negative(heads: np.ndarray, target: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return the relevance of 0 or more with least ``|W nu - w_T|^2 / 2 + penalty sum nu``.

    Where heads are directions in which the samples of a task move a model, a task of negative
    relevance would have to be unlearned, and no number of its samples does so.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
        One column for each source task.
    target : ndarray of float, shape (K,) or (K, T)
        Of the target task, or of each of T targets.
    penalty : float
        0 or more: 0 is non-negative least squares.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)
        0 for every task where none of them points towards the target.

    Raises
    ------
    BadInput
        Shapes that do not fit, numbers that are not finite, a penalty below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.non_negative import non_negative
    >>> heads = np.array([[1.0, 0, -1], [0, 1, 0]])
    >>> non_negative(heads, np.array([2.0, -1])).round(3).tolist()
    [2.0, 0.0, 0.0]
    >>> non_negative(heads, np.array([2.0, -1]), 0.5).round(3).tolist()
    [1.5, 0.0, 0.0]
    """
    heads, target = checked(heads, target)
    if not np.isfinite(penalty) or penalty < 0:
        raise BadInput(f"penalty={penalty!r}", "give a number of 0 or more")
    return each(lambda one: kernel.non_negative(heads, one, penalty), target)


def sparse_non_negative(
    heads: np.ndarray, target: np.ndarray, unexplained: float = 0.15
) -> np.ndarray:
    """Return the relevance of 0 or more under the largest penalty that misses little.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    target : ndarray of float, shape (K,) or (K, T)
        Each target has a penalty of its own.
    unexplained : float
        Between 0 and 1: at most this share of what the tasks explain of the target is missed,
        ``|W nu - w_T|^2 <= |W nu* - w_T|^2 + (unexplained |W nu*|)^2`` with nu* that of no penalty.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)

    Raises
    ------
    BadInput
        As :func:`non_negative`; `unexplained` out of range.

    Notes
    -----
    :func:`~labeltrain.multitask.relevance.penalty_by_residual` counts shares of the whole target.
    That is the same where the tasks span it. Where they do not, as vectors of many dimensions
    mostly do, it would leave next to no task: what no task explains would use the allowance up.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.non_negative import sparse_non_negative
    >>> heads, target = np.eye(3)[:, :2], np.array([1.0, 0.1, 5.0])
    >>> sparse_non_negative(heads, target).round(2).tolist()
    [0.89, 0.0]
    """
    heads, target = checked(heads, target)
    if not 0 < unexplained < 1:
        raise BadInput(f"unexplained={unexplained!r}", "give a number between 0 and 1")
    return each(lambda one: kernel.sparse_non_negative(heads, one, unexplained)[0], target)
