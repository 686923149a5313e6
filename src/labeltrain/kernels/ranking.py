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
