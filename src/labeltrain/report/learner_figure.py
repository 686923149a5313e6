"""The picture of what experiments on the same data reach, and in how many seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.report.figures import STEPS, score_range
from labeltrain.report.learners import LearnerComparison, LearnerTable
from labeltrain.report.look import Look
from labeltrain.report.multiples import head, small_multiples
from labeltrain.report.words import title

#: A logarithmic axis that spans less than this factor is given ticks at even distances.
NARROW = 5.0
#: Marks on a line: with one at each of many rounds, dashes would not be seen.
MARKS = 8
#: From so many lines on they are thinner.
MANY = 7


def learner_figure(comparison: LearnerComparison) -> Any:
    """Draw the main score against seconds so far, a panel a strategy, a line an experiment.

    Parameters
    ----------
    comparison : LearnerComparison
        With at least one row that has a line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = comparison.experiments
    look = Look(list(names), names[0])
    drawn = [t for t in comparison.tables if any(row.line is not None for row in t.rows)]
    return small_multiples(
        [_panel(table, comparison, look) for table in drawn],
        dict(zip(names, own_parts(names), strict=True)),
        width=3.6 if len(drawn) > 1 else 5.0,
        height=3.4,
    )


def own_parts(names: Sequence[str]) -> list[str]:
    """Leave out what all names begin with, up to a comma.

    Examples
    --------
    >>> own_parts(["Reuters R8, retrain", "Reuters R8, ridge"])
    ['retrain', 'ridge']
    >>> own_parts(["digits", "digits, ridge"])
    ['digits', 'digits, ridge']
    """
    pieces = [name.split(", ") for name in names]
    same = 0
    while all(len(p) > same + 1 for p in pieces) and len({p[same] for p in pieces}) == 1:
        same += 1
    return [", ".join(p[same:]) for p in pieces]


def _panel(table: LearnerTable, comparison: LearnerComparison, look: Look) -> Any:
    names, metric = comparison.experiments, comparison.metric

    def draw(axes: Any) -> None:
        lines = [
            (row.experiment, row.line[0], 100.0 * row.line[1])
            for row in table.rows
            if row.line is not None
        ]
        for name, seconds, scores in lines:
            style = look.of(name)
            if len(scores) == 1:  # a line of one point would not be seen
                style = {**style, "marker": style["marker"] or "o"}
            kept = seconds > 0  # a logarithmic axis has no place for 0
            axes.plot(
                seconds[kept],
                scores[kept],
                markersize=4.0,
                markevery=max(1, round(len(scores) / MARKS)),
                markeredgewidth=0,
                gid=name,
                **{**style, "linewidth": style["linewidth"] * (1.0 if len(names) < MANY else 0.75)},
            )
        axes.set_ylim(*score_range(np.array([scores for _, _, scores in lines]), [], 100.0))
        _seconds_axis(axes, np.concatenate([seconds for _, seconds, _ in lines]))
        head(axes, table.strategy)
        axes.set_xlabel("seconds")
        axes.set_ylabel(f"{title(metric)} (%)", parse_math=False)

    return draw


def _seconds_axis(axes: Any, seconds: np.ndarray) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    known = seconds[seconds > 0]
    low, high = float(known.min()), float(known.max())
    axes.set_xscale("log")
    axes.set_xlim(low / 1.15, high * 1.15)
    if high / low < NARROW:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    else:
        subs = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
