# mypy: disable-error-code="untyped-decorator"
"""Compiled loop for exact cosines. Import it inside functions: numba takes a second."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from labeltrain.kernels._compiled_exact import inner


@njit(nogil=True, cache=True)
def exact_cosines(points: Any, factors: Any, targets: Any, which: Any) -> Any:
    """Return <factors[i] * points[i], targets[which[i]]> for each row, in float64."""
    n = points.shape[0]
    out = np.empty(n)
    for i in range(n):
        out[i] = inner(points[i], factors[i], targets[which[i]])
    return out
