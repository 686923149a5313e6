"""The part of the page that shows experiments on the same data beside each other."""

from __future__ import annotations

from collections.abc import Callable

from labeltrain.report.learners import LearnerComparison, LearnerRow, LearnerTable
from labeltrain.report.look import Look
from labeltrain.report.markup import Cell, Row, bullets, paragraph, table, text
from labeltrain.report.summary import Mean
from labeltrain.report.words import NONE, mean_text, percent, quantity, seconds_text, title

WORDS = {"train": "training", "select": "selecting", "store": "storing"}
CLOCKS = {"wall": "wall time", "processor": "processor time"}


def learner_section(k: int, comparison: LearnerComparison, picture: str, clock: str) -> str:
    """Return the section on one comparison.

    Parameters
    ----------
    k : int
        Its number on the page, from 1.
    comparison : LearnerComparison
    picture : str
        An SVG element, or "".
    clock : {"wall", "processor"}
        What seconds were measured by.

    Returns
    -------
    str
        HTML.
    """
    first, *others = comparison.experiments
    labels = comparison.labels
    where = f"{len(labels)} numbers of labels, {labels[0]} to {labels[-1]}"
    where = where if len(labels) > 1 else f"{labels[0]} labels"
    out = [
        f'<h2 id="l{k}">{text(comparison.title)}</h2>',
        paragraph(
            f"{len(others) + 1} experiments, scored by {title(comparison.metric).lower()} at "
            f"{where}. The reference is {first}, the first of them in the study: differences and "
            "ratios are to it, with the same strategy and seed.",
            "note",
        ),
    ]
    spent = _listed([WORDS[step] for step in comparison.steps])
    if picture:
        few = " few" if len(comparison.tables) == 1 else ""
        out += [
            f'<figure class="overview{few}">{picture}</figure>',
            paragraph(
                f"Means over seeds; seconds so far of {spent}, on a logarithmic scale. A line "
                "begins with the first score and ends with the last.",
                "note",
            ),
        ]
    for one in comparison.tables:
        lead = "" if one.reference == first else f", compared with {one.reference}"
        out += [f"<h3>{text(one.strategy + lead)}</h3>", _table(one, comparison)]
    out.append(paragraph(_explained(comparison, spent, clock), "note"))
    if comparison.left_out:
        out += ["<h3>Left out</h3>", bullets(comparison.left_out)]
    return "".join(out)


def _table(one: LearnerTable, comparison: LearnerComparison) -> str:
    look = Look(list(comparison.experiments), comparison.experiments[0])
    timed = any(row.seconds is not None for row in one.rows)
    counted = any(row.examples is not None for row in one.rows)
    rows = []
    for row in one.rows:
        reference = row.experiment == one.reference
        cells = [
            Cell(str(row.seeds) if row.common == row.seeds else f"{row.common} of {row.seeds}"),
            Cell(mean_text(row.final, comparison.metric)),
            *([Cell("reference"), Cell(NONE)] if reference else _gaps(row)),
        ]
        if timed:
            cells.append(Cell(NONE if row.seconds is None else seconds_text(row.seconds)))
            cells.append(Cell(NONE) if reference else _measured(row.times_less, times))
        if counted:
            cells.append(Cell(NONE if row.examples is None else quantity(row.examples)))
        name = Cell(row.experiment, key=look.of(row.experiment)["color"])
        rows.append(Row((name, *cells), "baseline" if reference else ""))
    heads = ["Experiment", "Seeds", "Final score (%)", "Final difference", "Mean difference"]
    heads += ["Seconds a seed", "Times less"] if timed else []
    heads += ["Examples a seed"] if counted else []
    return table([Cell(name) for name in heads], rows)


def _gaps(row: LearnerRow) -> list[Cell]:
    return [_measured(row.final_gap, points), _measured(row.mean_gap, points)]


def _measured(mean: Mean | None, words: Callable[[float], str]) -> Cell:
    """Show a mean, and its interval below."""
    if mean is None:
        return Cell(NONE)
    if mean.low is None or mean.high is None:
        return Cell(words(mean.value))
    return Cell(words(mean.value), f"{words(mean.low)} to {words(mean.high)}")


def _explained(comparison: LearnerComparison, spent: str, clock: str) -> str:
    rows = [row for one in comparison.tables for row in one.rows]
    words = []
    if any(row.common < row.seeds for row in rows):
        words.append("Seeds: those in common with the reference, of those there are.")
    words.append(
        "Differences: in percentage points, paired by seed, of the last score and of the mean over "
        "all rounds; second line: 95 % t interval (none from one seed), not corrected for the "
        "number of experiments."
    )
    if spent:
        words.append(
            f"Seconds: {CLOCKS[clock]} of {spent} in all rounds, a mean over seeds; evaluation is "
            "left out. Times less: seconds of the reference over those of the experiment, the "
            "geometric mean over common seeds with the t interval of its logarithms; below 1 it "
            "takes longer."
        )
    if any(row.examples is not None for row in rows):
        words.append("Examples: processed by training, forward and back, a mean over seeds.")
    return " ".join(words)


def points(value: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    shown = percent(value)
    return f"+{shown}" if value > 0 and shown != "0.0" else shown


def times(value: float) -> str:
    """Return a ratio with about three figures."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
