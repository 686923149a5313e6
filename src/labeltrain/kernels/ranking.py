"""Exact top-k selection with a fixed rule for ties."""

from __future__ import annotations

import numpy as np


def lowest(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the `count` lowest scores, ascending; ties to the lowest index.

    Parameters
    ----------
    scores : ndarray of float, shape (n,)
        Finite.
    count : int
        At most n.

    Returns
    -------
    ndarray of int64, shape (count,)

    Notes
    -----
    O(n + count log count): a partition finds the last admitted score, and only the items at or
    below it are sorted.
    """
    n = scores.shape[0]
    if count >= n:
        return np.argsort(scores, kind="stable")[:count].astype(np.int64)
    if count <= 0:
        return np.empty(0, dtype=np.int64)
    border = np.partition(scores, count - 1)[count - 1]
    inside = np.flatnonzero(scores <= border)
    return inside[np.argsort(scores[inside], kind="stable")[:count]].astype(np.int64)


def power_draw(
    scores: np.ndarray, count: int, rng: np.random.Generator, *, power: float = 1.0
) -> np.ndarray:
    """Draw without replacement, each with probability proportional to ``scores ** power``.

    Parameters
    ----------
    scores : ndarray of float, shape (n,)
        Not negative; items of score 0 come last, in random order.
    count : int
        At most n.
    rng : numpy.random.Generator
    power : float
        Above 0.

    Returns
    -------
    ndarray of int64, shape (count,)
        In the order drawn.

    Notes
    -----
    The Gumbel trick: the order of ``power * log(score) + Gumbel`` is that of successive draws.
    """
    noise = rng.gumbel(size=len(scores))
    scores = np.asarray(scores, dtype=np.float64)
    positive = scores > 0.0
    keys = np.where(positive, power * np.log(np.where(positive, scores, 1.0)) + noise, -np.inf)
    drawn = lowest(-keys[positive], min(count, int(positive.sum())))
    zeros = np.flatnonzero(~positive)
    rest = zeros[lowest(-noise[zeros], count - len(drawn))]
    return np.concatenate([np.flatnonzero(positive)[drawn], rest]).astype(np.int64)
