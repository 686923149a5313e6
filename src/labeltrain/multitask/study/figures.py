"""Pictures of a study: gains of every target, and what goes with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.multitask.figures import SMALL, TITLE, bars, factors, matrix
from labeltrain.multitask.spec import ALONE
from labeltrain.multitask.study.summary import MethodAtBudget, StudySummary
from labeltrain.multitask.study.words import THOUSANDTHS, wins_text
from labeltrain.report.look import GREY, PALETTE, Look, above, frame


def gains_figure(summary: StudySummary, method: MethodAtBudget) -> Any:
    """Draw the gain on every target: a matrix where tasks have two factors, else bars.

    Parameters
    ----------
    summary : StudySummary
    method : MethodAtBudget

    Returns
    -------
    matplotlib.figure.Figure
    """
    held = summary.results.data["tasks"]
    mine = [task for name in method.targets for task in held if task["name"] == name]
    values = THOUSANDTHS * np.array(method.gains)
    title = f"{method.title}: gain over uniform"
    under = (
        f"thousandths of squared error, {method.budget:,g} samples · {wins_text(method)} above 0"
    )
    grid = factors(mine)
    if grid is None:
        return bars(list(method.targets), values, title, under, "uniform's error minus its own")
    rows, columns = grid
    shown = np.full((len(rows), len(columns)), np.nan)
    for task, value in zip(mine, values, strict=True):
        shown[rows.index(task["row"]), columns.index(task["column"])] = value
    return matrix(shown, rows, columns, title, under)


def budgets_figure(summary: StudySummary) -> Any:
    """Draw the mean gain by budget, with intervals over targets; without that of target-only.

    Parameters
    ----------
    summary : StudySummary

    Returns
    -------
    matplotlib.figure.Figure
    """
    compared = [m for m in summary.methods if m.difference is not None and m.title != ALONE]
    names = list(dict.fromkeys(m.title for m in compared))
    look = Look(names, "")
    right = 0.4 + 0.083 * max(map(len, names))
    figure, axes = frame(4.0 + right, 3.4, right=right, left=0.75)
    every = summary.results.spec.budgets
    for k, name in enumerate(names):
        held = [m for m in compared if m.title == name]
        x = np.array([every.index(m.budget) for m in held]) + 0.06 * (k - (len(names) - 1) / 2)
        y = THOUSANDTHS * np.array([-d.difference for m in held if (d := m.difference)])
        style = {**look.of(name), "linestyle": ""}
        axes.plot(x, y, markersize=5, label=name, **style)
        for place, method in zip(x, held, strict=True):
            found = method.difference
            if found is not None and found.low is not None and found.high is not None:
                ends = [-THOUSANDTHS * found.high, -THOUSANDTHS * found.low]
                axes.plot([place, place], ends, color=style["color"], linewidth=1.6)
    axes.axhline(0, color=GREY, linewidth=1.0)
    axes.set_xticks(range(len(every)), [f"{b:,g}" for b in every])
    axes.set_xlim(-0.5, len(every) - 0.5)
    axes.set_xlabel("source samples")
    axes.set_title("Gain over uniform", **TITLE)
    under = "thousandths of squared error · mean of targets, 95 % bootstrap interval over targets"
    axes.text(0, 1.0, under, transform=above(axes), **SMALL)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def transfer_figure(summary: StudySummary, method: MethodAtBudget, alone: MethodAtBudget) -> Any:
    """Draw each target's gain against what sources are worth at all.

    Parameters
    ----------
    summary : StudySummary
    method : MethodAtBudget
    alone : MethodAtBudget
        Target-only, at the same budget.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = frame(5.2, 3.6, right=0.3, left=0.75)
    worth = {n: -THOUSANDTHS * g for n, g in zip(alone.targets, alone.gains, strict=True)}
    x = [worth[name] for name in method.targets]
    axes.scatter(x, THOUSANDTHS * np.array(method.gains), s=16, color=PALETTE[0], linewidth=0)
    axes.axhline(0, color=GREY, linewidth=1.0)
    axes.axvline(0, color=GREY, linewidth=1.0)
    axes.set_xlabel("target-only's error minus uniform's")
    axes.set_title(f"{method.title}: gain, and what sources are worth", **TITLE)
    under = f"a point for each target · thousandths of squared error, {method.budget:,g} samples"
    axes.text(0, 1.0, under, transform=above(axes), **SMALL)
    return figure
