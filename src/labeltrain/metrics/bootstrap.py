"""Bias-corrected and accelerated bootstrap limits, for numbers that may be censored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labeltrain.rng import stream

#: Seeds a bootstrap interval needs; with fewer it covers far less than it says.
FEWEST_SEEDS = 5


class Limits(NamedTuple):
    """An interval and how it was made.

    Attributes
    ----------
    low, high : float
        Infinite where the side is open.
    kind : {"bca", "bc", "percentile"}
        "bc": the acceleration could not be estimated (a leave-one-out value is infinite).
        "percentile": the estimate lies at or beyond the edge of its own resamples, or is
        infinite, so that no bias correction exists.
    """

    low: float
    high: float
    kind: str


def resample_weights(seeds: int, resamples: int, seed: int) -> np.ndarray:
    """Return bootstrap weights, shape (resamples, seeds), each row summing to 1."""
    rng = stream(seed, "bootstrap", seeds)
    counts = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=resamples)
    return np.asarray(counts / seeds)


def bca_limits(
    estimate: float,
    resampled: np.ndarray,
    left_out: np.ndarray,
    *,
    level: float = 0.95,
    expand: bool = False,
) -> Limits:
    """Bias-corrected and accelerated interval (Efron, 1987).

    Parameters
    ----------
    estimate : float
        From all seeds.
    resampled : ndarray of float64, shape (B,)
        From each resample; may hold infinities, never NaN.
    left_out : ndarray of float64, shape (S,)
        With each seed left out once.
    level : float
    expand : bool
        Read the quantiles further out, as far as Student's t lies beyond the normal and as far
        as resampling few values understates their spread: z becomes
        ``sqrt(S / (S - 1)) * t(S - 1)``.

    Returns
    -------
    Limits

    Notes
    -----
    Without ``expand`` the interval is too narrow for few seeds: see the coverage given under
    :func:`labeltrain.metrics.label_saving`.

    References
    ----------
    Efron, Better bootstrap confidence intervals, JASA, 1987. Hesterberg, What teachers should
    know about the bootstrap, The American Statistician, 2015 (the expanded quantiles).

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 9.0])
    >>> draws = resample_weights(6, 2000, 0) @ values
    >>> limits = bca_limits(values.mean(), draws, (values.sum() - values) / 5)
    >>> round(limits.low, 2), round(limits.high, 2), limits.kind
    (2.5, 6.83, 'bca')
    """
    from scipy.special import ndtr, ndtri, stdtrit

    ordered = np.sort(resampled)
    tail = (1.0 - level) / 2.0
    if expand:
        seeds = len(left_out)
        tail = float(ndtr(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, tail)))
    below = np.searchsorted(ordered, estimate, "left")
    upto = np.searchsorted(ordered, estimate, "right")
    share = (below + upto) / (2.0 * len(ordered))
    if not np.isfinite(estimate) or share <= 0.0 or share >= 1.0:
        return Limits(_quantile(ordered, tail), _quantile(ordered, 1.0 - tail), "percentile")
    acceleration, kind = 0.0, "bc"
    if np.isfinite(left_out).all():
        kind = "bca"
        pulls = left_out.mean() - left_out
        spread = float((pulls**2).sum()) ** 1.5
        if spread > 0.0:
            acceleration = float((pulls**3).sum()) / (6.0 * spread)
    bias = float(ndtri(share))
    ends = []
    for quantile in (tail, 1.0 - tail):
        z = bias + float(ndtri(quantile))
        ends.append(_quantile(ordered, float(ndtr(bias + z / (1.0 - acceleration * z)))))
    return Limits(ends[0], ends[1], kind)


def _quantile(ordered: np.ndarray, share: float) -> float:
    """Linear quantile of sorted values; infinite as soon as a neighbour is."""
    position = float(share * (len(ordered) - 1))
    low, high = float(ordered[int(np.floor(position))]), float(ordered[int(np.ceil(position))])
    if low == high:
        return low
    if not np.isfinite(low):
        return low
    if not np.isfinite(high):
        return high
    return low + (position - float(np.floor(position))) * (high - low)
