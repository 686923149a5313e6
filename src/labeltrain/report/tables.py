"""The tables of one experiment, as HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from labeltrain.metrics.costs import BOOKED, CostLedger
from labeltrain.metrics.saving import SHARES, Saving
from labeltrain.metrics.wins import WinMatrix
from labeltrain.report.look import Look
from labeltrain.report.markup import Cell, Row, table
from labeltrain.report.summary import ExperimentSummary, StrategySummary
from labeltrain.report.words import (
    NONE,
    count_text,
    interval_text,
    labels_text,
    mean_text,
    p_text,
    percent,
    quantity,
    saving_text,
    seconds_text,
    title,
)

#: Classes from which the recall table is split into two columns.
MANY_CLASSES = 20


def finals(summary: ExperimentSummary, look: Look) -> str:
    """Scores at the last common round."""
    rows = [
        _row(s, look, *(Cell(mean_text(s.final.get(m), m)) for m in summary.metrics))
        for s in summary.strategies
    ]
    return table([Cell("Strategy"), *(Cell(title(m)) for m in summary.metrics)], rows)


def costs(ledgers: Sequence[CostLedger], look: Look) -> str:
    """Seconds and examples of every step, and the ratio to the last training alone."""
    rows = []
    for x in ledgers:
        cells = [
            Cell(seconds_text(x.seconds[step]), count_text(x.examples[step])) for step in BOOKED
        ]
        ratios = [
            Cell(f"{x.ratio:.2f}" if x.cache == "empty" else NONE),
            Cell(f"{x.ratio_from_cache:.2f}"),
        ]
        name = Cell(x.strategy, key=look.of(x.strategy)["color"])
        rows.append(Row((name, *cells, *ratios)))
    heads = ["Strategy", *(step.capitalize() for step in BOOKED)]
    return table([*map(Cell, heads), Cell("Ratio"), Cell("Ratio, features cached")], rows)


def needs(summary: ExperimentSummary, look: Look) -> str:
    """Labels each strategy needs to reach the targets."""
    spent = float(summary.aligned.labels[-1])
    rows = []
    for s in summary.strategies:
        cells = []
        for share in SHARES:
            x = _at(s, share)
            cells.append(Cell(labels_text(x, spent, baseline=s.is_baseline) if x else NONE))
        rows.append(_row(s, look, *cells))
    first = next((s for s in summary.strategies if s.is_baseline), None)
    heads = []
    for share in SHARES:
        x = _at(first, share) if first else None
        target = f"score {percent(x.target)}" if x and x.status != "no_rise" else ""
        heads.append(Cell(f"{share * 100:.0f} %", target))
    return table([Cell("Strategy"), *heads], rows)


def savings(summary: ExperimentSummary, look: Look) -> str:
    """Label saving with its interval at every target."""
    rows = []
    for s in summary.strategies:
        if s.is_baseline:
            continue
        cells = []
        for share in SHARES:
            x = _at(s, share)
            if x is None:
                cells.append(Cell(NONE))
                continue
            sure = x.low is not None and x.low > 0
            cells.append(Cell(saving_text(x), interval_text(x) or x.reason, "sure" if sure else ""))
        rows.append(_row(s, look, *cells))
    return table([Cell("Strategy"), *(Cell(f"{x * 100:.0f} %") for x in SHARES)], rows)


def areas(summary: ExperimentSummary, look: Look) -> str:
    """Area under the curve, its difference to the baseline, and the test."""
    metric = summary.experiment.metric
    rows = []
    for s in summary.strategies:
        c = s.comparison
        cells = [Cell(mean_text(s.area, metric)), Cell(str(s.seeds))]
        if c is None:
            cells += [Cell("baseline" if s.is_baseline else NONE)] + [Cell(NONE)] * 4
        else:
            sure = c.p_holm is not None and c.p_holm < 0.05
            interval = f"{percent(c.low)} to {percent(c.high)}" if c.low is not None else ""
            cells += [
                Cell(("+" if c.difference > 0 else "") + percent(c.difference), interval),
                Cell(f"{c.wins} of {c.seeds}"),
                Cell(c.test or NONE),
                Cell(p_text(c.p), "" if c.p is not None else c.reason),
                Cell(p_text(c.p_holm), "", "sure" if sure else ""),
            ]
        rows.append(_row(s, look, *cells))
    heads = ("Area", "Seeds", "Difference", "Seeds won", "Test", "p", "p (Holm)")
    return table([Cell("Strategy"), *map(Cell, heads)], rows)


def ranking(summaries: Sequence[ExperimentSummary], look: Look) -> str:
    """Mean rank over all experiments, and in each the difference of areas to the baseline."""
    names = [s.name for s in summaries[0].strategies]
    found = {name: [_of(summary, name) for summary in summaries] for name in names}
    full = {name: rows for name, rows in found.items() if all(r and r.rank for r in rows)}
    ranks = {name: np.mean([r.rank for r in rows if r and r.rank]) for name, rows in full.items()}
    rows = []
    for name in sorted(full, key=lambda n: ranks[n]):
        cells = [Cell(f"{ranks[name]:.1f}")]
        for s in full[name]:
            c = s.comparison if s else None
            if c is None:
                cells.append(Cell("baseline" if s and s.is_baseline else NONE))
                continue
            sure = c.p_holm is not None and c.p_holm < 0.05
            sign = "+" if c.difference > 0 else ""
            cells.append(Cell(sign + percent(c.difference), css="sure" if sure else ""))
        rows.append(Row((Cell(name, key=look.of(name)["color"]), *cells)))
    heads = [Cell("Strategy"), Cell("Mean rank"), *(Cell(s.experiment.name) for s in summaries)]
    return table(heads, rows)


def _of(summary: ExperimentSummary, name: str) -> StrategySummary | None:
    return next((s for s in summary.strategies if s.name == name), None)


def wins(matrix: WinMatrix, look: Look) -> str:
    """Who beat whom, in how many seeds."""
    rows = []
    for i, name in enumerate(matrix.names):
        cells = []
        for j in range(len(matrix.names)):
            if i == j or not matrix.seeds[i, j]:
                cells.append(Cell(NONE, css="cell"))
                continue
            share = matrix.wins[i, j] / matrix.seeds[i, j]
            sure = bool(matrix.significant[i, j])
            cells.append(
                Cell(
                    f"{matrix.wins[i, j]} of {matrix.seeds[i, j]}" + (" *" if sure else ""),
                    css="cell sure" if sure else "cell",
                    style=_shade(share),
                )
            )
        rows.append(Row((Cell(name, key=look.of(name)["color"]), *cells)))
    heads = [Cell("Row beats column"), *(Cell(n, css="cell") for n in matrix.names)]
    return table(heads, rows, css="heat")


def recalls(summary: ExperimentSummary) -> str:
    """Recall of every class at the last common round, the largest classes first."""
    return _by_class(summary, lambda s: s.recall, lambda value: percent(value, 0))


def labels_found(summary: ExperimentSummary) -> str:
    """Labels of every class at the last common round, the largest classes first."""
    last = float(summary.aligned.labels[-1])
    return _by_class(summary, lambda s: s.found, lambda value: f"{value:.0f}", whole=last)


def _by_class(
    summary: ExperimentSummary,
    values: Callable[[StrategySummary], np.ndarray | None],
    text: Callable[[float], str],
    whole: float = 1.0,
) -> str:
    shown = [(s, found) for s in summary.strategies if (found := values(s)) is not None]
    classes = summary.experiment.classes
    counts = np.asarray(summary.experiment.test_counts)
    order = sorted(range(len(classes)), key=lambda c: (-counts[c], c))
    rows = []
    for c in order:
        cells = []
        for _, found in shown:
            value = float(found[c]) if c < len(found) else math.nan
            known = math.isfinite(value)
            style = _shade(value / whole) if known else ""
            cells.append(Cell(text(value) if known else NONE, css="cell", style=style))
        rows.append(Row((Cell(classes[c]), Cell(str(int(counts[c]))), *cells)))
    heads = [Cell("Class"), Cell("Test items"), *(Cell(s.name, css="cell") for s, _ in shown)]
    if len(rows) <= MANY_CLASSES:
        return table(heads, rows, css="heat")
    half = math.ceil(len(rows) / 2)
    parts = (table(heads, part, css="heat") for part in (rows[:half], rows[half:]))
    return f'<div class="pair">{"".join(parts)}</div>'


def seconds(summary: ExperimentSummary, look: Look) -> str:
    """Seconds of every step, of a round and of a whole trajectory, and examples of training."""
    steps = list(dict.fromkeys(k for s in summary.strategies for k in s.seconds))
    counted = any(s.examples is not None for s in summary.strategies)
    rows = []
    for s in summary.strategies:
        cells = [_spent(*s.seconds[step]) if step in s.seconds else Cell(NONE) for step in steps]
        wholes = [whole for _, whole in s.seconds.values() if whole is not None]
        known = len(wholes) == len(s.seconds)
        means = sum(mean for mean, _ in s.seconds.values())
        cells.append(_spent(means, sum(wholes) if known else None) if s.seconds else Cell(NONE))
        if counted:
            cells.append(Cell(NONE if s.examples is None else quantity(s.examples)))
        rows.append(_row(s, look, *cells))
    heads = [Cell("Strategy"), *(Cell(x.capitalize()) for x in steps), Cell("Sum")]
    return table([*heads, Cell("Examples", "trained on, a seed")] if counted else heads, rows)


def _spent(mean: float, whole: float | None) -> Cell:
    return Cell(seconds_text(mean), "" if whole is None else f"{seconds_text(whole)} a seed")


def _row(s: StrategySummary, look: Look, *cells: Cell) -> Row:
    name = Cell(s.name, key=look.of(s.name)["color"])
    return Row((name, *cells), "baseline" if s.is_baseline else "")


def _at(s: StrategySummary, share: float) -> Saving | None:
    return next((x for x in s.savings if x.share == share), None)


def _shade(share: float) -> str:
    """Return white to a blue on which black text can still be read."""
    part = min(max(share, 0.0), 1.0) ** 1.5
    red, green, blue = (round(255 + (full - 255) * part) for full in (110, 178, 222))
    return f"background:rgb({red},{green},{blue});color:#1a1a1a"
