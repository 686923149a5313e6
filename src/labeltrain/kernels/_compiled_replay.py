"""Compiled loops of the choice of what to replay."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

TIE = 1e-11  # gains that are nearer are equal: sums of the same numbers in another order


# With its types, so that it is compiled, or read from the cache, when the module is imported.
@njit("Tuple((i8[::1], f8[::1]))(f8[:, ::1], f8[::1], f8, i8)", cache=True)  # type: ignore[untyped-decorator]
def covering(
    similarity: np.ndarray, uncertainty: np.ndarray, weight: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose greedily; see :func:`labeltrain.kernels.replay_coverage.covering`."""
    n = len(similarity)
    covered = np.zeros(n)
    free = np.ones(n, dtype=np.bool_)
    picks = np.empty(count, dtype=np.int64)
    gains = np.empty(count)
    total = 0.0
    for step in range(count):
        best, best_gain = -1, -1.0
        for j in range(n):
            if not free[j]:
                continue
            gain = weight * (math.log1p(total + uncertainty[j]) - math.log1p(total))
            for i in range(n):
                more = similarity[j, i] - covered[i]
                if more > 0.0:
                    gain += more
            if gain > best_gain + TIE * (1.0 + abs(best_gain)):
                best, best_gain = j, gain
        picks[step], gains[step] = best, best_gain
        free[best] = False
        total += uncertainty[best]
        for i in range(n):
            covered[i] = max(covered[i], similarity[best, i])
    return picks, gains
