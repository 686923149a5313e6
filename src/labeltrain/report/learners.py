"""Experiments on the same data beside each other: what each reaches, and what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from labeltrain.metrics.curves import Experiment, Results
from labeltrain.metrics.significance import t_interval
from labeltrain.report.summary import ExperimentSummary, Mean, mean_of

#: What a round takes where nothing is scored; evaluating is the study's own affair.
SPENT = ("train", "select", "store")


@dataclass(frozen=True)
class LearnerRow:
    """One experiment with one strategy.

    Attributes
    ----------
    experiment : str
    seeds : int
        With a full curve of the main score.
    common : int
        Of these, seeds that the reference has, too: those of differences and ratios.
    final : Mean or None
        Main score at the last round.
    final_gap, mean_gap : Mean or None
        The last score, and the mean over all rounds, minus that of the reference, paired by seed.
        None for the reference itself, and where no seed is common.
    seconds : float or None
        Of training, selecting and storing until the last round, a mean over seeds.
    times_less : Mean or None
        Seconds of the reference over those of this experiment: the geometric mean over common
        seeds, with the t interval of the logarithms.
    examples : float or None
        That training processed, a mean over seeds.
    line : tuple of ndarray, or None
        Seconds until the end of each round (R,), and the main score there (R,): means over the
        seeds that have both.
    """

    experiment: str
    seeds: int
    common: int
    final: Mean | None
    final_gap: Mean | None
    mean_gap: Mean | None
    seconds: float | None
    times_less: Mean | None
    examples: float | None
    line: tuple[np.ndarray, np.ndarray] | None


@dataclass(frozen=True)
class LearnerTable:
    """All experiments that have one strategy, in their order; the first is the reference."""

    strategy: str
    reference: str
    rows: tuple[LearnerRow, ...]


@dataclass(frozen=True)
class LearnerComparison:
    """Experiments with the same data, main score and numbers of labels.

    Attributes
    ----------
    title : str
    metric : str
    labels : ndarray of int64, shape (R,)
    experiments : tuple of str
        In the order of the study; the first is the reference.
    steps : tuple of str
        Of :data:`SPENT` those whose seconds were recorded.
    tables : tuple of LearnerTable
        One for each strategy, the baseline first.
    left_out : tuple of str
        Sentences that say what is not compared, and why.
    """

    title: str
    metric: str
    labels: np.ndarray
    experiments: tuple[str, ...]
    steps: tuple[str, ...]
    tables: tuple[LearnerTable, ...]
    left_out: tuple[str, ...]


class _Path(NamedTuple):
    """One seed: the main score of each round, and what was spent until its end (NaN: unknown)."""

    scores: np.ndarray
    seconds: np.ndarray
    examples: np.ndarray

    @property
    def timed(self) -> bool:
        return bool(np.isfinite(self.seconds).all() and self.seconds[-1] > 0)


def compare_learners(
    results: Results, summaries: Sequence[ExperimentSummary]
) -> tuple[LearnerComparison, ...]:
    """Compare experiments that differ in the learner, or in something else, on the same data.

    Parameters
    ----------
    results : Results
    summaries : sequence of ExperimentSummary
        Of these results.

    Returns
    -------
    tuple of LearnerComparison
        One for each data set, main score and numbers of labels that at least two experiments
        share, and with them a strategy and a seed. Experiments of expensive learners at the end
        of a loop are left out: what those cost is in ``results.costs``.

    Examples
    --------
    >>> compare_learners(Results("empty", "", {}, (), ()), ())
    ()
    """
    finals = {ledger.experiment for ledger in results.costs}
    loops = {x.experiment.removesuffix(f", final {x.learner}") for x in results.costs}
    alike: dict[tuple[object, ...], list[ExperimentSummary]] = {}
    for summary in summaries:
        if summary.experiment.name not in finals:
            alike.setdefault(_data(summary.experiment), []).append(summary)
    out = []
    for found in alike.values():
        grids: dict[tuple[int, ...], list[ExperimentSummary]] = {}
        for summary in found:
            grids.setdefault(tuple(summary.aligned.labels.tolist()), []).append(summary)
        groups = [group for grid, group in grids.items() if grid and len(group) > 1]
        alone = [x for grid, g in grids.items() if not grid or len(g) == 1 for x in g]
        compared = [_compare(group, alone, loops) for group in groups]
        out += [comparison for comparison in compared if comparison.tables]
    return _told_apart(out)


def _data(e: Experiment) -> tuple[object, ...]:
    """Return what must be the same for scores of the same seed to be worth a difference."""
    return e.dataset, e.metric, e.classes, e.test_size, e.redrawn, e.shared_test


def _compare(
    group: Sequence[ExperimentSummary], alone: Sequence[ExperimentSummary], loops: set[str]
) -> LearnerComparison:
    learners = {s.experiment.learner for s in group}
    first = group[0].experiment
    steps = tuple(
        step
        for step in SPENT
        if any(step in curve.seconds for s in group for curve in s.aligned.curves.values())
    )
    notes = [_elsewhere(s) for s in alone]
    if not steps:
        notes.append("No seconds were recorded.")
    names = {name for s in group for name in s.aligned.strategies}
    tables = []
    for strategy in sorted(names, key=lambda n: (n != group[0].baseline, n)):
        paths = {
            s.experiment.name: found for s in group if (found := _paths(s, strategy, first, steps))
        }
        absent = [s.experiment.name for s in group if s.experiment.name not in paths]
        if absent:
            notes.append(f"{strategy}: no scores in {', '.join(absent)}.")
        table = _table(strategy, paths)
        if len(table.rows) > 1 and any(row.common for row in table.rows[1:]):
            tables.append(table)
            notes += _missing(strategy, paths, steps)
        elif len(table.rows) > 1:
            notes.append(f"{strategy}: no seed in common with {table.reference}.")
    if any(s.experiment.name in loops for s in group):
        notes.append("Learners trained at the end, on what was selected, are not counted here.")
    if any(s.aligned.left_out for s in group):
        notes.append("Seeds and rounds that an experiment itself leaves out are named there.")
    return LearnerComparison(
        title=f"{'Learners' if len(learners) > 1 else 'Experiments'} on {first.dataset}",
        metric=first.metric,
        labels=group[0].aligned.labels,
        experiments=tuple(s.experiment.name for s in group),
        steps=steps,
        tables=tuple(tables),
        left_out=tuple(notes),
    )


def _paths(
    summary: ExperimentSummary, strategy: str, first: Experiment, steps: tuple[str, ...]
) -> dict[int, _Path]:
    """Return the seeds of a strategy whose main score is there in every round."""
    aligned = summary.aligned
    scores = aligned.scores(strategy, first.metric)
    seconds, examples = aligned.spent(strategy, steps), aligned.examples(strategy)
    return {
        seed: _Path(scores[row], seconds[row], examples[row])
        for row, seed in enumerate(aligned.seeds)
        if np.isfinite(scores[row]).all()
    }


def _table(strategy: str, paths: Mapping[str, Mapping[int, _Path]]) -> LearnerTable:
    reference = next(iter(paths), "")
    rows = [_row(name, mine, paths[reference]) for name, mine in paths.items()]
    return LearnerTable(strategy, reference, tuple(rows))


def _row(name: str, mine: Mapping[int, _Path], reference: Mapping[int, _Path]) -> LearnerRow:
    common = [seed for seed in mine if seed in reference]
    # A reference minus itself would be a column of zeros.
    pairs = [] if mine is reference else [(mine[seed], reference[seed]) for seed in common]
    timed = [path for path in mine.values() if path.timed]
    seconds, scores = _means([p.seconds for p in timed]), _means([p.scores for p in timed])
    examples = _means([p.examples for p in mine.values() if np.isfinite(p.examples).all()])
    return LearnerRow(
        experiment=name,
        seeds=len(mine),
        common=len(common),
        final=mean_of(np.array([path.scores[-1] for path in mine.values()])),
        final_gap=mean_of(np.array([a.scores[-1] - b.scores[-1] for a, b in pairs])),
        mean_gap=mean_of(np.array([a.scores.mean() - b.scores.mean() for a, b in pairs])),
        seconds=None if seconds is None else float(seconds[-1]),
        times_less=_geometric(
            np.array([b.seconds[-1] / a.seconds[-1] for a, b in pairs if a.timed and b.timed])
        ),
        examples=None if examples is None else float(examples[-1]),
        line=None if seconds is None or scores is None else (seconds, scores),
    )


def _means(rows: Sequence[np.ndarray]) -> np.ndarray | None:
    return np.mean(rows, axis=0) if rows else None


def _geometric(ratios: np.ndarray) -> Mean | None:
    """Return the geometric mean of positive ratios, with the t interval of their logarithms."""
    if not len(ratios):
        return None
    logarithms = np.log(ratios)
    limits = t_interval(logarithms)
    low, high = (None, None) if limits is None else np.exp(limits).tolist()
    return Mean(float(np.exp(logarithms.mean())), low, high, len(ratios))


def _elsewhere(summary: ExperimentSummary) -> str:
    name, labels = summary.experiment.name, summary.aligned.labels
    if not len(labels):
        return f"{name}: no round finished yet."
    return f"{name}: scored at other numbers of labels ({labels[0]} to {labels[-1]})."


def _missing(
    strategy: str, paths: Mapping[str, Mapping[int, _Path]], steps: tuple[str, ...]
) -> list[str]:
    """Say which seeds are not paired, and of which the seconds or examples are not known."""
    notes = []
    reference, *others = paths
    lone: dict[tuple[tuple[int, ...], bool], list[str]] = {}
    for name in others:
        mine, theirs = set(paths[name]), set(paths[reference])
        if not mine & theirs:
            notes.append(f"{strategy}, {name}: no seed in common with {reference}.")
            continue
        for only, here in ((theirs - mine, False), (mine - theirs, True)):
            if only:
                lone.setdefault((tuple(sorted(only)), here), []).append(name)
    for (seeds, here), names in lone.items():
        where = "; ".join(names)
        notes.append(
            f"{strategy}: {_seeds(seeds)} only in {where}, not in {reference}."
            if here
            else f"{strategy}: {_seeds(seeds)} only in {reference}, not in {where}."
        )
    counted = any(np.isfinite(p.examples).all() for found in paths.values() for p in found.values())
    for name, found in paths.items():
        untimed = [seed for seed, path in found.items() if not path.timed]
        if untimed and steps:
            notes.append(f"{strategy}, {name}: no seconds of {_seeds(untimed)}.")
        unknown = [seed for seed, path in found.items() if not np.isfinite(path.examples).all()]
        if unknown and counted:
            notes.append(f"{strategy}, {name}: no numbers of examples of {_seeds(unknown)}.")
    return notes


def _seeds(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:6])) + (f" and {len(seeds) - 6} more" if seeds[6:] else "")
    return f"seed{'' if len(seeds) == 1 else 's'} {shown}"


def _told_apart(found: Sequence[LearnerComparison]) -> tuple[LearnerComparison, ...]:
    """Add the first experiment to titles that several comparisons have."""
    titles = [comparison.title for comparison in found]
    return tuple(
        replace(x, title=f"{x.title} ({x.experiments[0]} ...)") if titles.count(x.title) > 1 else x
        for x in found
    )
