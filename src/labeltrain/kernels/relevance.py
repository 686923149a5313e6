"""How much each of several vectors has in a target, none less than nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TINY = 1e-4  # least penalty that is tried, as a share of the one under which nothing is left


def non_negative(heads: np.ndarray, target: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Return nu of 0 or more with least ``|W nu - w_T|^2 / 2 + penalty sum nu``.

    Parameters
    ----------
    heads : ndarray of float64, shape (K, M)
        W, a column for each task.
    target : ndarray of float64, shape (K,)
    penalty : float
        0 or more.

    Returns
    -------
    ndarray of float64, shape (M,)

    Notes
    -----
    By the dual: ``w_T - W nu`` is the point of ``{u: W^T u <= penalty}`` that is closest to w_T.
    Such a problem of least distance is one of non-negative least squares (Lawson and Hanson 1974,
    chapter 23), and SciPy solves those. Exact but for rounding. Of equal columns only one has any.
    """
    from scipy.optimize import nnls

    size = float(np.linalg.norm(target))
    longest = float(np.sqrt((heads**2).sum(axis=0)).max(initial=0.0))
    if not size or not longest:
        return np.zeros(heads.shape[1])
    heads, target = heads / longest, target / size
    if len(heads) > heads.shape[1]:
        turn, heads = np.linalg.qr(heads)
        target = turn.T @ target
    slopes = heads.T @ target - penalty / (longest * size)
    if slopes.max() <= 0.0:
        return np.zeros(heads.shape[1])
    rows = np.vstack([heads, slopes])
    found, left = nnls(rows, np.eye(len(rows))[-1], maxiter=30 * len(slopes) + 30)
    return np.asarray(found * (size / (longest * left**2)))


def sparse_non_negative(
    heads: np.ndarray, target: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return nu under the largest penalty that misses little of what the tasks explain.

    Parameters
    ----------
    heads : ndarray of float64, shape (K, M)
    target : ndarray of float64, shape (K,)
    share : float
        Between 0 and 1. With nu* that of no penalty,
        ``|W nu - w_T|^2 <= |W nu* - w_T|^2 + (share |W nu*|)^2``.

    Returns
    -------
    sparse, whole : ndarray of float64, shape (M,)
        nu, and nu*.

    Notes
    -----
    What of the target is orthogonal to all tasks changes nothing. What is missed grows with the
    penalty, so halving finds it, to a thousandth.
    """
    whole = non_negative(heads, target)
    explained = heads @ whole
    missing = target - explained
    allowed = (share * float(np.linalg.norm(explained))) ** 2
    highest = float((heads.T @ target).max(initial=0.0))
    if not whole.any() or highest <= 0.0:
        return whole, whole

    def fits(penalty: float) -> bool:
        gap = explained - heads @ non_negative(heads, target, penalty)
        return float(gap @ gap + 2.0 * missing @ gap) <= allowed

    return non_negative(heads, target, largest_penalty(fits, highest)), whole


def largest_penalty(fits: Callable[[float], bool], highest: float) -> float:
    """Return the largest penalty that fits, to a thousandth.

    Parameters
    ----------
    fits : callable
        Of a penalty; True for small ones.
    highest : float
        Above 0; does not fit. None below 1e-4 of it is tried.
    """
    low, least = 0.5 * highest, TINY * highest
    while not fits(low) and low > least:
        low, highest = 0.5 * low, low
    while highest > 1.001 * low:
        middle = float(np.sqrt(low * highest))
        low, highest = (middle, highest) if fits(middle) else (low, middle)
    return low
