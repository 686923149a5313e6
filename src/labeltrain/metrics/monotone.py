"""Reading learning curves: monotone fit, labels needed, area."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput

#: Scores closer than this are equal: a plateau computed from sums has no exact height.
EQUAL = 1e-9


def isotonic(values: np.ndarray) -> np.ndarray:
    """Least-squares non-decreasing fit along the last axis, equal weights.

    Uses the max-min formula, which needs no loop over curves: for 2,000 resampled curves it is
    much faster than pooling adjacent violators one curve at a time.

    Parameters
    ----------
    values : ndarray of float, shape (..., R)

    Returns
    -------
    ndarray of float64, shape (..., R)

    References
    ----------
    Robertson, Wright and Dykstra, Order Restricted Statistical Inference, 1988, section 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> isotonic(np.array([0.2, 0.6, 0.4, 0.8])).round(3).tolist()
    [0.2, 0.5, 0.5, 0.8]
    """
    v = np.asarray(values, dtype=np.float64)
    flat = v.reshape(-1, v.shape[-1])
    rounds = flat.shape[1]
    start, stop = np.triu_indices(rounds)
    out = np.empty_like(flat)
    step = max(1, 4_000_000 // (rounds * rounds))
    for first in range(0, len(flat), step):
        block = flat[first : first + step]
        sums = np.concatenate([np.zeros((len(block), 1)), np.cumsum(block, axis=1)], axis=1)
        means = np.full((len(block), rounds, rounds), np.inf)
        means[:, start, stop] = (sums[:, stop + 1] - sums[:, start]) / (stop + 1 - start)
        least = np.minimum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
        least[:, stop[start < stop], start[start < stop]] = -np.inf
        out[first : first + step] = least.max(axis=1)
    return out.reshape(v.shape)


def labels_needed(labels: np.ndarray, curves: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Labels at which non-decreasing curves first reach their targets, linear in between.

    Parameters
    ----------
    labels : ndarray of int or float, shape (R,)
    curves : ndarray of float, shape (N, R)
        Non-decreasing along the last axis.
    targets : ndarray of float, shape (N, Q)

    Returns
    -------
    ndarray of float64, shape (N, Q)
        The first number of labels where the first score is there already; ``inf`` if never.

    Examples
    --------
    >>> import numpy as np
    >>> curve = np.array([[0.5, 0.7, 0.7, 0.8]])
    >>> labels_needed(np.array([10, 20, 30, 40]), curve, np.array([[0.6, 0.7, 0.9]])).tolist()
    [[15.0, 20.0, inf]]
    """
    x = np.asarray(labels, dtype=np.float64)
    there = curves[:, None, :] >= targets[:, :, None] - EQUAL
    at = there.argmax(axis=2)
    before = np.maximum(at - 1, 0)
    upper = np.take_along_axis(curves, at, axis=1)
    lower = np.take_along_axis(curves, before, axis=1)
    rise = np.where(at > 0, upper - lower, 1.0)
    part = np.clip((targets - lower) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    found = np.where(at > 0, x[before] + part * (x[at] - x[before]), x[0])
    return np.where(there.any(axis=2), found, np.inf)


def area_under_curve(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under learning curves, divided by the range of labels: the mean height.

    Parameters
    ----------
    labels : ndarray of int or float, shape (R,)
        Strictly increasing.
    scores : ndarray of float, shape (..., R)

    Returns
    -------
    ndarray of float64, shape (...)
        Trapezoid rule; with a single round, its score.

    Raises
    ------
    BadInput
        If shapes disagree or labels do not increase.

    Examples
    --------
    >>> import numpy as np
    >>> float(area_under_curve(np.array([10, 20, 40]), np.array([0.0, 1.0, 1.0])).round(4))
    0.8333
    """
    x = increasing(labels)
    y = np.asarray(scores, dtype=np.float64)
    if y.ndim < 1 or y.shape[-1] != len(x):
        raise BadInput(f"scores have shape {y.shape}, labels {x.shape}", "one score per round")
    if len(x) == 1:
        return np.asarray(y[..., 0])
    return np.asarray(np.trapezoid(y, x, axis=-1) / (x[-1] - x[0]))


def increasing(labels: np.ndarray) -> np.ndarray:
    """Return labels as float64, or say that they do not increase."""
    x = np.asarray(labels, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all() or (np.diff(x) <= 0).any():
        raise BadInput(f"labels are {x.tolist()}", "labels spent must strictly increase")
    return x
