"""What a run comes to: scores with intervals, differences to uniform, savings, relevance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from labeltrain.metrics import (
    Comparison,
    Saving,
    binomial_interval,
    compare,
    label_saving,
    t_interval,
)
from labeltrain.multitask.results import MethodRun, RunResults
from labeltrain.multitask.scores import SCORES
from labeltrain.multitask.spec import ALONE, BASELINE


@dataclass(frozen=True)
class Estimate:
    """A mean with a 95 % interval.

    Attributes
    ----------
    value : float
    low, high : float or None
    over : str
        What the interval speaks of: "seeds", or, of one seed, "test items"; "" without interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    over: str = ""


@dataclass(frozen=True)
class MethodSummary:
    """A method over all its seeds.

    Attributes
    ----------
    method : str
    seeds : int
    spent : float
        By the mean, at the end.
    scores : dict of str to Estimate
        At the end; the keys are those of :data:`~labeltrain.multitask.scores.SCORES`.
    budgets : tuple of float
        What was spent by the end of each epoch, by the mean.
    curve : tuple of float
        Mean squared error after each epoch, a mean over seeds.
    band : tuple of (float, float)
        Its 95 % t interval after each epoch; empty with one seed.
    allocation : tuple of tuple of float
        Samples of each source task after each epoch.
    relevance : tuple of float
        Of each source task after the last epoch, as a share of all sizes, a mean over seeds; empty
        where none is estimated.
    missed : float
        Share of the target's signal that the representation cannot express, after the last epoch.
    unsure : tuple of (float or None)
        Error of a head as a share of the target's, by the median over seeds; None: cannot be told.
    mixed : tuple of float
        Share drawn of all tasks alike after each epoch.
    noisy : int
        Seeds whose heads were too noisy after the first epoch.
    noise : float or None
        Error of their heads then, by the median; None: cannot be told.
    difference : Comparison or None
        Mean squared error minus that of uniform, paired by seed: below 0 is better. Its `wins`
        counts seeds with the smaller error.
    beyond_target : Comparison or None
        The same against target-only, which draws nothing.
    savings : tuple of Saving
        Samples saved against uniform.
    seconds : float
        Of one seed.
    """

    method: str
    seeds: int
    spent: float
    scores: dict[str, Estimate]
    budgets: tuple[float, ...]
    curve: tuple[float, ...]
    band: tuple[tuple[float, float], ...]
    allocation: tuple[tuple[float, ...], ...]
    relevance: tuple[float, ...]
    missed: float
    unsure: tuple[float | None, ...]
    mixed: tuple[float, ...]
    noisy: int
    noise: float | None = None
    difference: Comparison | None = None
    beyond_target: Comparison | None = None
    savings: tuple[Saving, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class RunSummary:
    """All methods of a run.

    Attributes
    ----------
    results : RunResults
    methods : tuple of MethodSummary
        The chosen one first.
    warnings : tuple of (str, int)
        What was warned of by the chosen method, and in how many seeds.
    dimensions : dict of int to int
        How many seeds have which dimension.
    """

    results: RunResults
    methods: tuple[MethodSummary, ...]
    warnings: tuple[tuple[str, int], ...] = ()
    dimensions: dict[int, int] = field(default_factory=dict)

    @property
    def chosen(self) -> MethodSummary | None:
        """The chosen method; None before its first seed is done."""
        name = self.results.spec["method"]
        return next((m for m in self.methods if m.method == name), None)

    def of(self, name: str) -> MethodSummary | None:
        """Return a method by its name; None if it was not run."""
        return next((m for m in self.methods if m.method == name), None)

    def as_json(self) -> dict[str, Any]:
        """Return every number of the report, for programs."""
        data = self.results.data
        return {
            "complete": self.results.complete,
            "target": data["target"],
            "sources": [source["name"] for source in data["sources"]],
            "left_out": data["left_out"],
            "spec": self.results.spec,
            "dimensions": self.dimensions,
            "warnings": [{"warning": text, "seeds": count} for text, count in self.warnings],
            "methods": [asdict(method) for method in self.methods],
        }


def summarise(results: RunResults) -> RunSummary:
    """Summarise a run; only seeds that both have are compared.

    Parameters
    ----------
    results : RunResults

    Returns
    -------
    RunSummary
    """
    methods = [
        _summary(results, name, runs) for name in results.methods if (runs := results.of(name))
    ]
    sizes = {run.seed: run.dimension for run in results.runs}
    counts = sorted(set(sizes.values()))
    own = results.of(results.spec["method"])
    return RunSummary(
        results,
        tuple(methods),
        _warnings(own),
        {k: sum(size == k for size in sizes.values()) for k in counts},
    )


def _warnings(runs: Sequence[MethodRun]) -> tuple[tuple[str, int], ...]:
    found: dict[str, list[int]] = {}
    for run in runs:
        for text in run.warnings:
            # Numbers differ between seeds: those of the first stand for all.
            found.setdefault(text.split(":")[0], []).append(run.seed)
    first = {text.split(":")[0]: text for run in reversed(runs) for text in run.warnings}
    return tuple((first[start], len(seeds)) for start, seeds in found.items())


def _summary(results: RunResults, name: str, runs: list[MethodRun]) -> MethodSummary:
    mse = np.array([[e["scores"]["mse"] for e in run.epochs] for run in runs])
    bands = [t_interval(column) for column in mse.T]
    relevance = np.array([_share(run.relevance[-1]) for run in runs])
    difference, savings = _against(results, name, runs)
    noisy = [run for run in runs if not run.epochs[0]["resolved"]]
    return MethodSummary(
        name,
        len(runs),
        float(np.mean([run.epochs[-1]["spent"] for run in runs])),
        {s: found for s in SCORES if (found := _estimate(runs, s)) is not None},
        tuple(np.mean([[e["spent"] for e in run.epochs] for run in runs], axis=0).tolist()),
        tuple(mse.mean(axis=0).tolist()),
        tuple(band for band in bands if band is not None),
        tuple(tuple(row) for row in np.mean([run.counts for run in runs], axis=0).tolist()),
        () if np.isnan(relevance).all() else tuple(np.nanmean(relevance, axis=0).tolist()),
        float(np.mean([run.epochs[-1]["missed"] for run in runs])),
        tuple(_median([run.epochs[e]["unsure"] for run in runs]) for e in range(mse.shape[1])),
        tuple(
            float(np.mean([run.epochs[e]["uniform"] for run in runs])) for e in range(mse.shape[1])
        ),
        len(noisy),
        _median([run.epochs[0]["unsure"] for run in noisy]),
        difference,
        _paired(runs, results.of(ALONE)) if name != ALONE else None,
        savings,
        float(np.mean([run.seconds for run in runs])),
    )


def _share(relevance: np.ndarray) -> np.ndarray:
    total = float(np.abs(relevance).sum())
    return relevance / total if total > 0 else relevance


def _median(values: list[float | None]) -> float | None:
    if not values:
        return None
    # Where the middle lies between a number and infinity, it is the infinity.
    middle = float(np.quantile([np.inf if v is None else v for v in values], 0.5, method="higher"))
    return middle if np.isfinite(middle) else None


def _estimate(runs: list[MethodRun], score: str) -> Estimate | None:
    values = np.array([run.score(score) for run in runs])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    if len(values) > 1:
        low, high = t_interval(values) or (None, None)
        if low is not None and high is not None and score in ("accuracy", "auc"):
            low, high = max(low, 0.0), min(high, 1.0)
        return Estimate(float(values.mean()), low, high, "seeds")
    return _of_one(runs[0], score, float(values[0]))


def _of_one(run: MethodRun, score: str, value: float) -> Estimate:
    """Return the score of one seed, with an interval over its test items where there is one."""
    if score == "mse":
        low, high = t_interval((run.predictions[-1] - run.test_values) ** 2) or (None, None)
        return Estimate(value, low, high, "" if low is None else "test items")
    if score == "accuracy":
        right = int(((run.predictions[-1] >= 0.5) == (run.test_values >= 0.5)).sum())
        return Estimate(value, *binomial_interval(right, len(run.test)), over="test items")
    return Estimate(value)


def _against(
    results: RunResults, name: str, runs: list[MethodRun]
) -> tuple[Comparison | None, tuple[Saving, ...]]:
    """Return the paired difference to uniform, and what is saved, over the seeds both have."""
    base = {run.seed: run for run in results.of(BASELINE)}
    pairs = [(run, base[run.seed]) for run in runs if run.seed in base]
    if name == BASELINE or not pairs:
        return None, ()
    mine, other = (np.array([[e["scores"]["mse"] for e in pair[i].epochs] for pair in pairs])
                   for i in (0, 1))  # fmt: skip
    difference = _paired(runs, results.of(BASELINE))
    budgets = np.mean([[e["spent"] for e in pair[1].epochs] for pair in pairs], axis=0)
    if mine.shape != other.shape or len(budgets) < 2 or (np.diff(budgets) <= 0).any():
        return difference, ()
    return difference, label_saving(budgets, -mine, -other)


def _paired(runs: list[MethodRun], others: list[MethodRun]) -> Comparison | None:
    """Return the mean squared error minus that of another method, over the seeds both have."""
    base = {run.seed: run.score("mse") for run in others}
    pairs = np.array([(run.score("mse"), base[run.seed]) for run in runs if run.seed in base])
    if not len(pairs):
        return None
    # Signs are turned, since `wins` counts where the first number is the larger.
    found = compare(-pairs[:, 0], -pairs[:, 1])
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    return replace(found, difference=-found.difference, low=low, high=high)
