"""What a study comes to: wins, differences with intervals, and what goes with gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from labeltrain.metrics import Comparison, compare, t_interval
from labeltrain.multitask.design import risk_bound
from labeltrain.multitask.spec import ALONE, BASELINE
from labeltrain.multitask.study.results import CellRun, StudyResults, TargetResults

SCORES = ("mse", "accuracy", "auc")
FEWEST = 6  # targets that a correlation needs
#: What may go with a gain, and what it is.
FACTORS = {
    "missed": "share of the target's signal that the representation cannot express",
    "unsure": "error of heads after the first epoch, as a share of the target's head",
    "concentration": "one by the number of sources that relevance is spread over evenly",
    "bound": "how much smaller the risk bound is than with uniform samples (log of the ratio)",
    "transfer": "error of target-only minus that of uniform: what sources are worth at all",
    "same row": "share of the relevance in tasks of the target's row",
    "same column": "share of the relevance in tasks of the target's column",
}


@dataclass(frozen=True)
class Correlation:
    """How a factor goes with the gain, over targets.

    Attributes
    ----------
    factor : str
    rank : float
        Spearman's.
    low, high : float
        Mean gain of the targets with the smaller and with the larger half of it.
    """

    factor: str
    rank: float
    low: float
    high: float


@dataclass(frozen=True)
class MethodAtBudget:
    """A method at a budget, over all targets; the seeds of a target are averaged first.

    Attributes
    ----------
    title : str
    budget : float
    targets : tuple of str
        Those that both it and uniform have, with the same seeds.
    scores : dict of str to float
        Means over targets.
    gains : tuple of float
        Uniform's mean squared error minus its own, by target: above 0 is better.
    middle : float
        Median of the gains.
    gain_seeds : tuple of tuple of float
        The same by target and seed; nan where one is not done.
    difference : Comparison or None
        Mean squared error minus that of uniform, over targets, with a bootstrap
        interval over targets; `wins` counts targets with the smaller error. None for uniform.
    errors : Comparison or None
        The same for the share of wrong answers, where answers are yes or no.
    over_seeds : (float, float) or None
        95 % t interval of the mean difference over seeds, which targets share.
    ties : int
        Targets with the same error as uniform, to the last bit.
    seed_wins : tuple of int
        Targets with the smaller error, in each seed.
    correlations : tuple of Correlation
    mixed : float
        Share drawn of all tasks alike after the first epoch, by the mean.
    seconds : float
        Of one run.
    """

    title: str
    budget: float
    targets: tuple[str, ...]
    scores: dict[str, float]
    gains: tuple[float, ...]
    middle: float
    gain_seeds: tuple[tuple[float, ...], ...]
    difference: Comparison | None
    errors: Comparison | None
    over_seeds: tuple[float, float] | None
    ties: int
    seed_wins: tuple[int, ...]
    correlations: tuple[Correlation, ...]
    mixed: float
    seconds: float


@dataclass(frozen=True)
class StudySummary:
    """All methods at all budgets.

    Attributes
    ----------
    results : StudyResults
    methods : tuple of MethodAtBudget
        Budget by budget.
    dimensions : dict of int to int
        How many cells have which dimension.
    """

    results: StudyResults
    methods: tuple[MethodAtBudget, ...]
    dimensions: dict[int, int]

    def of(self, title: str, budget: float) -> MethodAtBudget | None:
        """Return a method at a budget; None if it was not run."""
        return next((m for m in self.methods if (m.title, m.budget) == (title, budget)), None)

    def as_json(self) -> dict[str, Any]:
        """Return every number of the report, for programs."""
        return {
            "complete": self.results.complete,
            "title": self.results.spec.title,
            "cells": len(self.results.cells),
            "dimensions": self.dimensions,
            "methods": [asdict(method) for method in self.methods],
            "spec": self.results.spec.as_json(),
        }


def summarise_study(results: StudyResults) -> StudySummary:
    """Summarise a study; a partial one, too.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    StudySummary
    """
    by_target: dict[str, list[TargetResults]] = {}
    for name in results.data["targets"]:
        mine = [cell for cell in results.cells if cell.target == name]
        if mine:
            by_target[name] = mine
    methods = [
        _summary(results, by_target, method.title, budget)
        for budget in results.spec.budgets
        for method in results.spec.methods
        if by_target
    ]
    sizes = [cell.dimension for cell in results.cells]
    return StudySummary(
        results, tuple(methods), {size: sizes.count(size) for size in sorted(set(sizes))}
    )


def _summary(
    results: StudyResults, by_target: dict[str, list[TargetResults]], title: str, budget: float
) -> MethodAtBudget:
    pairs = {
        name: [
            (own, base)
            for cell in cells
            if (own := cell.of(title, budget)) and (base := cell.of(BASELINE, budget))
        ]
        for name, cells in by_target.items()
    }
    runs = [own for both in pairs.values() for own, _ in both]
    gains = {n: [b.score("mse") - o.score("mse") for o, b in both] for n, both in pairs.items()}
    means = np.array([float(np.mean(g)) for g in gains.values()])
    seeds = results.spec.seeds
    table = np.full((len(by_target), len(seeds)), np.nan)
    for row, cells in enumerate(by_target.values()):
        for cell, gain in zip(cells, gains[cells[0].target], strict=True):
            table[row, seeds.index(cell.seed)] = gain
    other = title != BASELINE
    return MethodAtBudget(
        title,
        budget,
        tuple(by_target),
        {s: v for s in SCORES if np.isfinite(v := _mean(pairs, s))},
        tuple(means.tolist()),
        float(np.median(means)),
        tuple(tuple(row) for row in table.tolist()),
        _compared(means) if other else None,
        _compared(_fewer_errors(pairs)) if other else None,
        _over_seeds(table) if other else None,
        int((means == 0).sum()),
        tuple(int((column > 0).sum()) for column in table.T),
        _correlations(results, by_target, pairs, means) if other and title != ALONE else (),
        float(np.mean([run.epochs[0]["uniform"] for run in runs])),
        float(np.mean([run.seconds for run in runs])),
    )


Pairs = dict[str, list[tuple[CellRun, CellRun]]]


def _mean(pairs: Pairs, score: str) -> float:
    """Return the mean over targets of the mean over seeds; nan where a score is not defined."""
    each = [np.mean([own.score(score) for own, _ in both]) for both in pairs.values()]
    return float(np.mean(each))


def _fewer_errors(pairs: Pairs) -> np.ndarray:
    return np.array(
        [
            np.mean([own.score("accuracy") - base.score("accuracy") for own, base in both])
            for both in pairs.values()
        ]
    )


def _compared(gains: np.ndarray) -> Comparison | None:
    """Return the mean difference to uniform, with a bootstrap interval over targets."""
    if not np.isfinite(gains).all():
        return None
    found = compare(gains, np.zeros(len(gains)), interval="bca")
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    # Targets share data and seeds, so that no test is made of them.
    return replace(found, difference=-found.difference, low=low, high=high, p=None, test="")


def _over_seeds(table: np.ndarray) -> tuple[float, float] | None:
    whole = table[:, np.isfinite(table).all(axis=0)]
    return t_interval(-whole.mean(axis=0)) if whole.shape[1] > 1 else None


def _correlations(
    results: StudyResults,
    by_target: dict[str, list[TargetResults]],
    pairs: Pairs,
    gains: np.ndarray,
) -> tuple[Correlation, ...]:
    from scipy.stats import spearmanr

    if len(gains) < FEWEST:
        return ()
    found = {
        target: [
            _factors(results, cell, own, base)
            for cell, (own, base) in zip(cells, pairs[target], strict=True)
        ]
        for target, cells in by_target.items()
    }
    values = {name: _averaged([[f[name] for f in each] for each in found.values()])
              for name in FACTORS}  # fmt: skip
    told = []
    for name, each in values.items():
        known = np.isfinite(each)
        if known.sum() < FEWEST or np.ptp(each[known]) == 0 or np.ptp(gains[known]) == 0:
            continue
        rank = float(spearmanr(each[known], gains[known]).statistic)
        upper = each[known] > np.median(each[known])
        if not upper.any():
            continue
        halves = gains[known][~upper].mean(), gains[known][upper].mean()
        told.append(Correlation(name, rank, float(halves[0]), float(halves[1])))
    return tuple(told)


def _averaged(values: list[list[float]]) -> np.ndarray:
    """Return the mean over seeds of each target, of what is known; nan where nothing is."""
    known = [[value for value in each if np.isfinite(value)] for each in values]
    return np.array([np.mean(each) if each else np.nan for each in known])


def _factors(
    results: StudyResults, cell: TargetResults, own: CellRun, base: CellRun
) -> dict[str, float]:
    """Return what may go with the gain of one run; nan where it cannot be told."""
    last, first = own.epochs[-1], own.epochs[0]
    alone = cell.of(ALONE, own.budget)
    found = {
        "missed": _number(last["missed"]),
        "unsure": _number(first["unsure"]),
        "transfer": np.nan if alone is None else alone.score("mse") - base.score("mse"),
        **dict.fromkeys(("concentration", "bound", "same row", "same column"), np.nan),
    }
    sizes = np.abs(own.relevance[-1])
    if not np.isfinite(sizes).all() or not sizes.sum() > 0:
        return found
    shares = sizes / sizes.sum()
    found["concentration"] = float((shares**2).sum())
    found["bound"] = log_of_bounds(own.counts[-1], base.counts[-1], own.relevance[-1])
    row, column = results.factors[cell.target]
    places = [results.factors[name] for name in cell.sources]
    if column:
        found["same row"] = float(shares[[r == row for r, _ in places]].sum())
        found["same column"] = float(shares[[c == column for _, c in places]].sum())
    return found


def log_of_bounds(own: np.ndarray, base: np.ndarray, relevance: np.ndarray) -> float:
    """Return by how much samples of a method have the smaller risk bound, as a log of the ratio.

    Parameters
    ----------
    own, base : ndarray of int, shape (M,)
        Samples of the method and of uniform.
    relevance : ndarray of float64, shape (M,)

    Returns
    -------
    float
        Above 0: the bound is smaller than uniform's.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.study.summary import log_of_bounds
    >>> round(log_of_bounds(np.array([8, 2]), np.array([5, 5]), np.array([1.0, 0.0])), 3)
    0.47
    """
    mine, other = float(risk_bound(own, relevance)), float(risk_bound(base, relevance))
    if not (0 < mine < np.inf and 0 < other < np.inf):
        return float("nan")
    return float(np.log(other / mine))


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def worst_and_best(method: MethodAtBudget, count: int = 5) -> Sequence[tuple[str, float]]:
    """Return the targets with the least gains, then those with the most.

    Parameters
    ----------
    method : MethodAtBudget
    count : int
        Of either; fewer where there are not so many.

    Returns
    -------
    sequence of (str, float)
    """
    order = np.argsort(method.gains, kind="stable")
    count = min(count, len(order) // 2)
    some = [*order[:count], *order[len(order) - count :]]
    return [(method.targets[i], method.gains[i]) for i in some]
