"""Intervals and tests of a mean difference over few seeds, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeltrain.rng import stream

#: Up to this number of seeds the sign-flip test enumerates every pattern of signs.
SEEDS_EXACT = 12
#: Patterns drawn beyond it.
FLIPS = 10_000


def t_interval(values: np.ndarray, *, level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of a mean, or None with fewer than two values.

    Parameters
    ----------
    values : ndarray of float, shape (S,)
    level : float

    Returns
    -------
    tuple of float, or None

    Examples
    --------
    >>> import numpy as np
    >>> low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    from scipy.special import stdtrit

    v = np.asarray(values, dtype=np.float64)
    if len(v) < 2:
        return None
    half = float(stdtrit(len(v) - 1, 0.5 + level / 2.0) * v.std(ddof=1) / np.sqrt(len(v)))
    return float(v.mean()) - half, float(v.mean()) + half


def paired_t(differences: np.ndarray) -> float | None:
    """Two-sided p of Student's paired t test; None where all differences are equal but not 0.

    Parameters
    ----------
    differences : ndarray of float, shape (S,)

    Returns
    -------
    float or None
        1.0 when every difference is 0. Equal non-zero differences leave nothing to estimate the
        spread from, so that no t test exists.

    Examples
    --------
    >>> import numpy as np
    >>> round(paired_t(np.array([1.0, 2.0, 3.0, 2.0])), 4)
    0.0163
    """
    from scipy.special import stdtr

    d = np.asarray(differences, dtype=np.float64)
    # Rounding leaves a spread of about 1e-16 on differences that are equal.
    spread = d.std(ddof=1) if len(d) > 1 else 0.0
    if spread <= 1e-12 * max(1.0, float(np.abs(d).max())):
        return 1.0 if float(np.abs(d).max()) <= 1e-12 else None
    statistic = d.mean() / (spread / np.sqrt(len(d)))
    return float(2.0 * stdtr(len(d) - 1, -abs(statistic)))


def sign_flip(differences: np.ndarray, *, draws: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p of the sign-flip permutation test of a zero mean.

    Parameters
    ----------
    differences : ndarray of float, shape (S,)
    draws : int
        Patterns drawn when there are more than 12 seeds; up to 12 all 2^S are counted.
    seed : int

    Returns
    -------
    float
        Share of sign patterns whose mean is at least as far from 0; a Monte Carlo p counts the
        observed pattern, so that it is never 0.

    Examples
    --------
    >>> import numpy as np
    >>> sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    0.03125
    """
    d = np.asarray(differences, dtype=np.float64)
    edge = abs(float(d.sum())) - 1e-12 * max(1.0, float(np.abs(d).sum()))
    if len(d) <= SEEDS_EXACT:
        bits = (np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1
        return float((np.abs((2.0 * bits - 1.0) @ d) >= edge).mean())
    signs = stream(seed, "sign-flip", len(d)).integers(0, 2, size=(draws, len(d))) * 2.0 - 1.0
    return float((1 + int((np.abs(signs @ d) >= edge).sum())) / (1 + draws))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; missing p-values stay missing and are not counted.

    Parameters
    ----------
    p_values : sequence of float or None

    Returns
    -------
    list of float or None
        In the order given.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, 1979.

    Examples
    --------
    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    out: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        out[i] = highest
    return out
