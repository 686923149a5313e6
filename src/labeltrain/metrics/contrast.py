"""Contrasts of labels needed: what one ingredient saves, alone and beside others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics.bootstrap import FEWEST_SEEDS, bca_limits, resample_weights
from labeltrain.metrics.monotone import increasing, isotonic, labels_needed

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Contrast:
    """A number made of labels needed, with its interval.

    Attributes
    ----------
    value : float
        A curve that never reaches its target counts as needing its last number of labels: then the
        value is a bound.
    low, high : float or None
        They hold whatever the labels needed by curves that never get there. None: fewer than 5
        seeds.
    needs : dict of str to float
        Labels needed by each curve; infinite where it never gets there.
    censored : tuple of str
        The curves that never get there.
    seeds : int
    """

    value: float
    low: float | None
    high: float | None
    needs: dict[str, float]
    censored: tuple[str, ...]
    seeds: int


def contrast(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    targets: Callable[[Values], Values],
    combine: Callable[[Values], np.ndarray],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Contrast:
    """Combine the labels that several curves need to reach their targets.

    Mean curves over seeds are made monotone and read by linear interpolation, as for
    :func:`labeltrain.metrics.label_saving`; seeds are resampled jointly for all curves.

    Parameters
    ----------
    curves : mapping of str to (labels, scores)
        Labels (R,), strictly increasing, may differ between curves; scores (S, R), higher is
        better. Row s of all curves has the same seed.
    targets : callable
        From the monotone mean curves, float64 (N, R) each, to the score that each curve is to
        reach, (N,); N counts the estimate and the resamples.
    combine : callable
        From the labels needed, (N,) each, to the number wanted, (N,). It rises or falls with each
        of them. It is asked with the last number of labels of a curve that never gets there, and
        with infinity.
    level : float
    resamples, seed : int

    Returns
    -------
    Contrast

    Raises
    ------
    BadInput
        Shapes that disagree, curves of different seeds, scores that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([10, 20, 30])
    >>> curves = {
    ...     "random": (x, np.array([[0.5, 0.7, 0.9]])),
    ...     "margin": (x, np.array([[0.5, 0.9, 0.9]])),
    ... }
    >>> found = contrast(
    ...     curves,
    ...     lambda means: {name: means["random"][:, -1] for name in means},
    ...     lambda need: 1 - need["margin"] / need["random"],
    ... )
    >>> round(found.value, 3), found.needs
    (0.333, {'random': 30.0, 'margin': 20.0})
    """
    grids, scores = _checked(curves)
    seeds = len(next(iter(scores.values())))
    weights = [np.full((1, seeds), 1.0 / seeds)]
    interval = seeds >= FEWEST_SEEDS
    if interval:
        weights.append((1.0 - np.eye(seeds)) / (seeds - 1))
        weights.append(resample_weights(seeds, resamples, seed))
    every = np.concatenate(weights)
    means = {name: isotonic(every @ rows) for name, rows in scores.items()}
    wanted = targets(means)
    needs = {
        name: labels_needed(grids[name], mean, np.asarray(wanted[name], float).reshape(-1, 1))[:, 0]
        for name, mean in means.items()
    }
    never = {name: np.isinf(need) for name, need in needs.items()}
    bounded = {name: np.where(never[name], grids[name][-1], need) for name, need in needs.items()}
    values, least, most = _range(bounded, never, combine)
    first = {name: float(need[0]) for name, need in needs.items()}
    censored = tuple(name for name in needs if never[name][0])
    if not interval:
        return Contrast(float(values[0]), None, None, first, censored, seeds)
    low = _limits(least, seeds, level)[0]
    high = _limits(most, seeds, level)[1]
    return Contrast(float(values[0]), low, high, first, censored, seeds)


def _range(
    bounded: Values, never: Values, combine: Callable[[Values], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers at the bounds, and the least and most they may be beyond them."""
    open_ = [name for name, where in never.items() if where.any()]
    found = []
    for chosen in itertools.product((False, True), repeat=len(open_)):
        far = {name for name, away in zip(open_, chosen, strict=True) if away}
        needs = {
            name: np.where(never[name], np.inf, need) if name in far else need
            for name, need in bounded.items()
        }
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.asarray(combine(needs), dtype=np.float64))
    every = np.stack(found)
    missing = np.isnan(every)
    return (
        every[0],
        np.where(missing, np.inf, every).min(axis=0),
        np.where(missing, -np.inf, every).max(axis=0),
    )


def _limits(values: np.ndarray, seeds: int, level: float) -> tuple[float, float]:
    """Return the interval from the estimate, the values with a seed left out, and resamples."""
    left_out, drawn = values[1 : 1 + seeds], values[1 + seeds :]
    estimate = float(values[0]) if np.isfinite(left_out).all() else math.inf  # then percentiles
    low, high, _kind = bca_limits(estimate, drawn, left_out, level=level, expand=True)
    return float(low), float(high)


def _checked(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    if not curves:
        raise BadInput("there are no curves", "give at least one")
    grids, scores = {}, {}
    for name, (labels, rows) in curves.items():
        grids[name] = increasing(labels)
        held = np.asarray(rows, dtype=np.float64)
        if held.ndim != 2 or held.shape[1] != len(grids[name]) or not len(held):
            raise BadInput(
                f"the scores of {name!r} have shape {held.shape} for {len(grids[name])} rounds",
                "expected (seeds, rounds)",
            )
        if not np.isfinite(held).all():
            raise BadInput(
                f"a score of {name!r} is not finite", "leave that seed out of all curves"
            )
        scores[name] = held
    if len({len(rows) for rows in scores.values()}) > 1:
        counts = ", ".join(f"{name} {len(rows)}" for name, rows in scores.items())
        raise BadInput(f"curves have different numbers of seeds: {counts}", "keep the common seeds")
    return grids, scores
