"""Win matrix: which method beat which, in how many seeds, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labeltrain.metrics.compare import Test, compare
from labeltrain.metrics.significance import holm


@dataclass(frozen=True)
class WinMatrix:
    """Pairwise wins; entry (i, j) is about row i against column j.

    Attributes
    ----------
    names : tuple of str
    wins : ndarray of int64, shape (K, K)
        Seeds in which row i scored strictly higher than column j.
    seeds : ndarray of int64, shape (K, K)
        Seeds that both have; 0 on the diagonal. Ties are ``seeds - wins - wins.T``.
    p_holm : ndarray of float64, shape (K, K)
        Corrected over all pairs; NaN where there was no test.
    significant : ndarray of bool, shape (K, K)
        Row i is higher on average, and `p_holm` is below 0.05.
    """

    names: tuple[str, ...]
    wins: np.ndarray
    seeds: np.ndarray
    p_holm: np.ndarray
    significant: np.ndarray


def win_matrix(
    values: Mapping[str, np.ndarray], *, test: Test = "t", alpha: float = 0.05, seed: int = 0
) -> WinMatrix:
    """Count, for every pair of methods, the seeds each won.

    Parameters
    ----------
    values : mapping of str to ndarray of float, shape (S,)
        One number per seed, in the same order for all; NaN where a seed is missing.
    test : {"t", "sign-flip"}
    alpha : float
    seed : int

    Returns
    -------
    WinMatrix

    Examples
    --------
    >>> import numpy as np
    >>> m = win_matrix({"a": np.array([3.0, 2.0, 1.0]), "b": np.array([1.0, 1.0, 1.0])})
    >>> m.wins.tolist()
    [[0, 2], [0, 0]]
    """
    names = tuple(values)
    size = len(names)
    wins = np.zeros((size, size), dtype=np.int64)
    seeds = np.zeros((size, size), dtype=np.int64)
    p_holm = np.full((size, size), np.nan)
    significant = np.zeros((size, size), dtype=bool)
    pairs, found = [], []
    for i in range(size):
        for j in range(i + 1, size):
            a, b = values[names[i]], values[names[j]]
            both = np.isfinite(a) & np.isfinite(b)
            seeds[i, j] = seeds[j, i] = int(both.sum())
            wins[i, j], wins[j, i] = int((a > b)[both].sum()), int((b > a)[both].sum())
            if both.any():
                pairs.append((i, j))
                found.append(compare(a[both], b[both], test=test, seed=seed))
    for (i, j), comparison, p in zip(pairs, found, holm([c.p for c in found]), strict=True):
        if p is not None:
            p_holm[i, j] = p_holm[j, i] = p
            significant[i, j] = p < alpha and comparison.difference > 0
            significant[j, i] = p < alpha and comparison.difference < 0
    return WinMatrix(names, wins, seeds, p_holm, significant)
