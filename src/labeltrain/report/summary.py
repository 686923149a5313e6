"""The numbers a report shows, computed once for the page, the pictures and the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics.compare import Comparison, compare_all
from labeltrain.metrics.curves import Experiment, Results
from labeltrain.metrics.monotone import area_under_curve
from labeltrain.metrics.ranks import mean_ranks
from labeltrain.metrics.saving import Saving, label_saving
from labeltrain.metrics.scores import METRICS
from labeltrain.metrics.significance import t_interval
from labeltrain.metrics.wins import WinMatrix, win_matrix
from labeltrain.report.align import Aligned, align, check

#: Order in which the seconds of a round are shown.
STEPS = ("train", "select", "evaluate", "store")


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % t interval; None with fewer than two seeds."""

    value: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class StrategySummary:
    """One strategy in one experiment.

    Attributes
    ----------
    name : str
    is_baseline : bool
    seeds : int
        Seeds with a full curve of the main score.
    final : dict of str to Mean
        Every score at the last common round.
    area : Mean or None
        Area under the curve of the main score, divided by the range of labels.
    savings : tuple of Saving
        Against the baseline, on the seeds both have; the baseline against itself. Empty without
        a baseline.
    comparison : Comparison or None
        Areas against the baseline's; None for the baseline itself.
    rank : float or None
        Mean rank of the area over the seeds that all strategies have, 1 for the largest.
    recall : ndarray of float64, shape (C,), or None
        At the last common round, a mean over seeds.
    found : ndarray of float64, shape (C,), or None
        Labels of each class at the last common round, a mean over seeds.
    groups : float or None
        How often answers were waited for until then, a mean over seeds.
    seconds : dict of str to (float, float or None)
        Of each step: mean seconds a round, and the mean over seeds of what all rounds until the
        last common one took together; None where no seed has them all.
    examples : float or None
        That training processed until then, a mean over seeds.
    """

    name: str
    is_baseline: bool
    seeds: int
    final: dict[str, Mean]
    area: Mean | None
    savings: tuple[Saving, ...]
    comparison: Comparison | None
    rank: float | None
    recall: np.ndarray | None
    found: np.ndarray | None = None
    groups: float | None = None
    seconds: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    examples: float | None = None


@dataclass(frozen=True)
class ExperimentSummary:
    """One experiment: who was compared on what, and the outcome."""

    experiment: Experiment
    baseline: str
    has_baseline: bool
    aligned: Aligned
    metrics: tuple[str, ...]
    strategies: tuple[StrategySummary, ...]
    wins: WinMatrix | None
    notes: tuple[str, ...]
    progress: tuple[tuple[str, int, int], ...]
    """Strategy, finished seeds, seeds begun."""


def mean_of(values: np.ndarray) -> Mean | None:
    """Summarise one number per seed; NaN counts as missing, None if nothing is left."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = t_interval(known) or (None, None)
    return Mean(float(known.mean()), low, high, len(known))


def summarise(results: Results) -> tuple[ExperimentSummary, ...]:
    """Compute all numbers of a report.

    Parameters
    ----------
    results : Results

    Returns
    -------
    tuple of ExperimentSummary
        In the order of ``results.experiments``.

    Raises
    ------
    BadInput
        If a curve belongs to no experiment, occurs twice or has scores of the wrong length, or
        the main score of an experiment is one that falls as a model gets better.

    Examples
    --------
    >>> summarise(Results("empty", "", {}, (), ()))
    ()
    """
    check(results)
    return tuple(_summarise(e, results) for e in results.experiments)


def _summarise(experiment: Experiment, results: Results) -> ExperimentSummary:
    metric, baseline = experiment.metric, results.baseline
    if metric in METRICS and not METRICS[metric].higher_is_better:
        raise BadInput(
            f"main score of {experiment.name!r} is {metric}, which falls as a model gets better",
            "label saving needs a score that rises, such as accuracy",
        )
    aligned = align(experiment, results)
    own = [c for c in results.curves if c.experiment == experiment.name]
    main = {s: aligned.scores(s, metric) for s in aligned.strategies}
    areas = {s: _areas(aligned.labels, v) for s, v in main.items()}
    has_baseline = baseline in main and bool(np.isfinite(areas[baseline]).any())
    ranks = mean_ranks(areas)
    tests = compare_all(areas, baseline) if has_baseline else {}
    shown = tuple(
        m
        for m in aligned.metrics()
        if any(np.isfinite(aligned.scores(s, m)).any() for s in aligned.strategies)
    )
    rows = []
    for name in aligned.strategies:
        finals = {m: mean_of(aligned.scores(name, m)[:, -1]) for m in shown}
        rows.append(
            StrategySummary(
                name=name,
                is_baseline=name == baseline,
                seeds=int(np.isfinite(areas[name]).sum()),
                final={m: f for m, f in finals.items() if f is not None},
                area=mean_of(areas[name]),
                savings=_savings(aligned.labels, main[name], main[baseline])
                if has_baseline
                else (),
                comparison=tests.get(name),
                rank=ranks[name] if np.isfinite(ranks.get(name, np.nan)) else None,
                recall=aligned.final_recall(name),
                found=aligned.final_found(name),
                groups=aligned.final_groups(name),
                seconds=_seconds(aligned, name),
                examples=mean_at_end(aligned.examples(name)),
            )
        )
    begun = sorted({c.strategy for c in own}, key=lambda n: (n != baseline, n))
    return ExperimentSummary(
        experiment=experiment,
        baseline=baseline,
        has_baseline=has_baseline,
        aligned=aligned,
        metrics=shown,
        strategies=tuple(rows),
        wins=win_matrix(areas) if len(areas) > 1 else None,
        notes=(*aligned.left_out, *_missing(aligned, metric, shown)),
        progress=tuple(
            (
                name,
                sum(c.complete for c in own if c.strategy == name),
                sum(c.strategy == name for c in own),
            )
            for name in begun
        ),
    )


def _areas(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    out = np.full(len(scores), np.nan)
    full = np.isfinite(scores).all(axis=1)
    out[full] = area_under_curve(labels, scores[full])
    return out


def _savings(labels: np.ndarray, method: np.ndarray, baseline: np.ndarray) -> tuple[Saving, ...]:
    both = np.isfinite(method).all(axis=1) & np.isfinite(baseline).all(axis=1)
    return label_saving(labels, method[both], baseline[both]) if both.any() else ()


def mean_at_end(sums: np.ndarray) -> float | None:
    """Return the mean over seeds of the last column (S, R); None where no seed has one."""
    last = sums[np.isfinite(sums).all(axis=1), -1]
    return float(last.mean()) if len(last) else None


def _seconds(aligned: Aligned, strategy: str) -> dict[str, tuple[float, float | None]]:
    curves = [c for (name, _), c in aligned.curves.items() if name == strategy]
    steps = dict.fromkeys(s for c in curves for s in c.seconds)
    ordered = [s for s in STEPS if s in steps] + [s for s in steps if s not in STEPS]
    out = {}
    for step in ordered:
        rounds = [
            c.seconds[step][c.labels <= aligned.labels[-1]] for c in curves if step in c.seconds
        ]
        values = np.concatenate(rounds)
        values = values[np.isfinite(values)]
        if values.size:
            whole = mean_at_end(aligned.spent(strategy, (step,)))
            out[step] = (float(values.mean()), whole)
    return out


def _missing(aligned: Aligned, main: str, shown: tuple[str, ...]) -> list[str]:
    """Say which curves have no usable score, so that nothing is dropped in silence."""
    notes = []
    for metric in dict.fromkeys((main, *shown)):
        gone = [
            f"{name} seed {seed}"
            for name in aligned.strategies
            for row, seed in enumerate(aligned.seeds)
            if (name, seed) in aligned.curves
            and not np.isfinite(aligned.scores(name, metric)[row]).all()
        ]
        if gone:
            listed = ", ".join(gone[:6]) + (f" and {len(gone) - 6} more" if len(gone) > 6 else "")
            notes.append(
                f"{metric}: not a number, or absent, in {listed}; left out of its numbers."
            )
    return notes
