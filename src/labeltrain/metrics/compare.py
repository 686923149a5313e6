"""Paired comparison of methods over seeds, corrected for the number of methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.metrics.bootstrap import FEWEST_SEEDS, bca_limits, resample_weights
from labeltrain.metrics.significance import (
    FLIPS,
    SEEDS_EXACT,
    holm,
    paired_t,
    sign_flip,
    t_interval,
)

#: Below this number of seeds there are intervals, but no tests.
SEEDS_FOR_TEST = 6

Test = Literal["t", "sign-flip"]
Interval = Literal["t", "bca"]


@dataclass(frozen=True)
class Comparison:
    """A method against a baseline, paired by seed.

    Attributes
    ----------
    difference : float
        Mean of method - baseline.
    low, high : float or None
        Interval of the difference; None with one seed.
    level : float
    p : float or None
        Two-sided; None where no test was made.
    p_holm : float or None
        Corrected for all comparisons of the same experiment, by :func:`compare_all`.
    test : str
        "t", "sign-flip (exact)", "sign-flip (10000 draws)", or "".
    seeds : int
    wins : int
        Seeds in which the method was strictly better.
    reason : str
        Why there is no test or no interval.
    """

    difference: float
    low: float | None
    high: float | None
    level: float
    p: float | None
    p_holm: float | None
    test: str
    seeds: int
    wins: int
    reason: str = ""


def compare(
    method: np.ndarray,
    baseline: np.ndarray,
    *,
    interval: Interval = "t",
    test: Test = "t",
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare a method with a baseline, one number per seed, paired.

    Parameters
    ----------
    method, baseline : ndarray of float, shape (S,)
        Such as the area under the curve of each seed; entry s of both has the same seed.
    interval : {"t", "bca"}
        "bca": the expanded BCa of :func:`labeltrain.metrics.bootstrap.bca_limits`.
    test : {"t", "sign-flip"}
    level : float
    seed : int
        Of the resampling and the drawn sign patterns.

    Returns
    -------
    Comparison
        With fewer than 6 seeds it has no test; with one, no interval either (BCa needs 5).

    Raises
    ------
    BadInput
        If the numbers of seeds differ, there is none, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> c = compare(np.array([0.8, 0.9, 0.7, 0.8]), np.array([0.7, 0.7, 0.7, 0.7]))
    >>> round(c.difference, 3), c.p, c.reason
    (0.1, None, '4 seeds, a test needs 6')
    """
    m, b = np.asarray(method, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if m.ndim != 1 or m.shape != b.shape or not len(m):
        raise BadInput(
            f"method has shape {m.shape}, baseline {b.shape}", "one number per common seed"
        )
    if not np.isfinite(m).all() or not np.isfinite(b).all():
        raise BadInput("a value to compare is not finite", "leave that seed out of both")
    if interval not in ("t", "bca"):
        raise unknown_name("interval", str(interval), ("t", "bca"))
    if test not in ("t", "sign-flip"):
        raise unknown_name("test", str(test), ("t", "sign-flip"))
    d = m - b
    seeds = len(d)
    reasons = []
    limits = t_interval(d, level=level)
    if interval == "bca":
        limits = None
        if seeds >= FEWEST_SEEDS:
            draws = resample_weights(seeds, 2000, seed) @ d
            left_out = (d.sum() - d) / (seeds - 1)
            found = bca_limits(float(d.mean()), draws, left_out, level=level, expand=True)
            limits = found.low, found.high
    if limits is None:
        reasons.append("too few seeds for an interval")
    p, used = None, ""
    if seeds < SEEDS_FOR_TEST:
        reasons.append(f"{seeds} seed{'s' if seeds > 1 else ''}, a test needs {SEEDS_FOR_TEST}")
    elif test == "t":
        p, used = paired_t(d), "t"
        if p is None:
            used = ""
            reasons.append("the difference is the same in every seed: no t test exists")
    else:
        p = sign_flip(d, seed=seed)
        used = f"sign-flip ({'exact' if seeds <= SEEDS_EXACT else f'{FLIPS} draws'})"
    return Comparison(
        difference=float(d.mean()),
        low=limits[0] if limits else None,
        high=limits[1] if limits else None,
        level=level,
        p=p,
        p_holm=None,
        test=used,
        seeds=seeds,
        wins=int((d > 0).sum()),
        reason="; ".join(reasons),
    )


def compare_all(
    values: Mapping[str, np.ndarray],
    baseline: str,
    *,
    interval: Interval = "t",
    test: Test = "t",
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare every method of one experiment with the baseline, corrected by Holm.

    Parameters
    ----------
    values : mapping of str to ndarray of float, shape (S,)
        One number per seed, in the same order for all; NaN where a seed is missing.
    baseline : str
    interval, test, level, seed
        As for :func:`compare`.

    Returns
    -------
    dict of str to Comparison
        Without the baseline, and without methods that share no seed with it.

    Raises
    ------
    BadInput
        If the baseline is not among `values`.

    Examples
    --------
    >>> import numpy as np
    >>> r = np.linspace(0.6, 0.7, 8)
    >>> noise = np.array([1, -1, 1, -1, 1, 1, -1, 1]) / 100
    >>> found = compare_all({"random": r, "margin": r + 0.05 + noise, "same": r}, "random")
    >>> found["margin"].p_holm < 0.001, found["same"].p_holm
    (True, 1.0)
    """
    if baseline not in values:
        raise unknown_name("baseline", baseline, values)
    out = {}
    for name, numbers in values.items():
        both = np.isfinite(numbers) & np.isfinite(values[baseline])
        if name != baseline and both.any():
            out[name] = compare(
                numbers[both],
                values[baseline][both],
                interval=interval,
                test=test,
                level=level,
                seed=seed,
            )
    corrected = holm([c.p for c in out.values()])
    return {n: replace(c, p_holm=p) for (n, c), p in zip(out.items(), corrected, strict=True)}
