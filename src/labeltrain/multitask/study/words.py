"""What a study shows, in sentences: the same on the page and in the terminal."""

from __future__ import annotations

import numpy as np

from labeltrain.multitask.spec import ALONE, BASELINE
from labeltrain.multitask.study.summary import MethodAtBudget, StudySummary
from labeltrain.multitask.words import difference_text, number
from labeltrain.report.words import MINUS, percent, seeds_text, signed

NONE = "\N{EN DASH}"
THOUSANDTHS = 1000.0


def study_rows(summary: StudySummary) -> list[dict[str, str]]:
    """Return one row for each method and budget, for tables.

    Parameters
    ----------
    summary : StudySummary

    Returns
    -------
    list of dict
    """
    rows = []
    for method in summary.methods:
        alone = method.title == ALONE
        row = {
            "budget": f"{method.budget:,g}",
            "method": method.title,
            "mean squared error": number(method.scores["mse"]),
        }
        if "accuracy" in method.scores:
            row["errors"] = f"{percent(1 - method.scores['accuracy'])} %"
        if "auc" in method.scores:
            row["AUC"] = f"{method.scores['auc']:.3f}"
        row["wins"] = wins_text(method)
        row[f"minus {BASELINE}'s"] = difference_text(method.difference)
        row["over seeds"] = over_seeds_text(method)
        row["median"] = NONE if method.difference is None else signed(f"{-method.middle:+.2g}")
        row["mixed"] = (
            NONE if alone or method.difference is None else f"{percent(method.mixed, 0)} %"
        )
        rows.append(row)
    return rows


def wins_text(method: MethodAtBudget) -> str:
    """Return on how many targets a method has the smaller error: "136 of 160"."""
    if method.difference is None:
        return NONE
    ties = f" ({method.ties} equal)" if method.ties else ""
    return f"{method.difference.wins} of {len(method.gains)}{ties}"


def over_seeds_text(method: MethodAtBudget) -> str:
    """Return the interval over seeds; a dash where there is none."""
    if method.over_seeds is None:
        return NONE
    low, high = (signed(f"{v:+.2g}") for v in method.over_seeds)
    return f"{low} to {high}"


def study_sentences(summary: StudySummary) -> list[str]:
    """Return what the study shows, the most important first.

    Parameters
    ----------
    summary : StudySummary

    Returns
    -------
    list of str
    """
    if not summary.methods:
        return ["Nothing is done yet: run the same command again to go on."]
    told = [_verdict(method) for method in summary.methods if method.title not in (BASELINE, ALONE)]
    alone = summary.of(ALONE, summary.results.spec.budgets[-1])
    if alone is not None and alone.difference is not None:
        told.append(
            f"Labelled target samples alone do better than {BASELINE} on {wins_text(alone)} "
            f"targets, at {alone.budget:,g} samples."
        )
    seeds = len(summary.results.spec.seeds)
    told.append(
        f"Targets share data, and {seeds_text(seeds)}: an interval over targets says how targets "
        "of this data differ, with these seeds; that over seeds, how draws do."
    )
    return told


def _verdict(method: MethodAtBudget) -> str:
    found = method.difference
    if found is None:
        return f"{method.title} at {method.budget:,g} samples: nothing to compare."
    if found.high is not None and found.high < 0:
        verdict = f"{method.title} is better than {BASELINE}, by the mean of targets"
    elif found.low is not None and found.low > 0:
        verdict = f"{method.title} is worse than {BASELINE}, by the mean of targets"
    else:
        verdict = f"No difference between {method.title} and {BASELINE} is shown"
    seeds = "" if method.over_seeds is None else f"; {over_seeds_text(method)} over seeds"
    wins = sorted(method.seed_wins)
    single = f" (in single seeds {wins[0]} to {wins[-1]})" if len(wins) > 1 else ""
    return (
        f"At {method.budget:,g} samples: {verdict}. It has the smaller error on "
        f"{wins_text(method)} targets{single}; mean squared error {difference_text(found)} over "
        f"targets{seeds}."
    )


def thousandths(value: float) -> str:
    """Return a gain in thousandths, with its sign."""
    return f"{THOUSANDTHS * value:+.2f}".replace("-", MINUS)


def by_factor(summary: StudySummary, method: MethodAtBudget, place: int) -> dict[str, list[float]]:
    """Return the gains of the targets of each row (0) or column (1).

    Parameters
    ----------
    summary : StudySummary
    method : MethodAtBudget
    place : int

    Returns
    -------
    dict of str to list of float
        The smallest mean first.
    """
    found: dict[str, list[float]] = {}
    for name, gain in zip(method.targets, method.gains, strict=True):
        found.setdefault(summary.results.factors[name][place], []).append(gain)
    return dict(sorted(found.items(), key=lambda item: float(np.mean(item[1]))))
