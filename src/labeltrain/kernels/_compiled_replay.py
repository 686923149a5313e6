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
    """Choose greedily; see :func:`labeltrain.kernels.replay_coverage.covering`.

    Lazily: gains only fall, so that a gain of an earlier step is a bound, and most need no look.
    """
    n = len(similarity)
    covered = np.zeros(n)
    bounds = np.full(n, np.inf)
    seen = np.full(n, -1, dtype=np.int64)  # the step that a bound is of
    picks = np.empty(count, dtype=np.int64)
    gains = np.empty(count)
    total = 0.0
    for step in range(count):
        highest = -1.0
        while True:
            j = -1
            for i in range(n):
                if seen[i] != step and (j < 0 or bounds[i] > bounds[j]):
                    j = i
            if j < 0 or bounds[j] < highest - 2.0 * TIE * (1.0 + abs(highest)):
                break
            gain = weight * (math.log1p(total + uncertainty[j]) - math.log1p(total))
            for i in range(n):
                more = similarity[j, i] - covered[i]
                if more > 0.0:
                    gain += more
            bounds[j], seen[j] = gain, step
            highest = max(highest, gain)
        best, best_gain = -1, -1.0
        for j in range(n):
            if seen[j] == step and bounds[j] > best_gain + TIE * (1.0 + abs(best_gain)):
                best, best_gain = j, bounds[j]
        picks[step], gains[step] = best, best_gain
        bounds[best] = -np.inf  # taken: below all others, and never looked at again
        total += uncertainty[best]
        for i in range(n):
            covered[i] = max(covered[i], similarity[best, i])
    return picks, gains
