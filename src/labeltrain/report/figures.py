"""Pictures of learning curves, drawn without global plotting state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labeltrain.metrics.monotone import isotonic
from labeltrain.metrics.significance import t_interval
from labeltrain.report.look import GREY, LONGEST, PALETTE, Look, frame, short
from labeltrain.report.multiples import head, small_multiples
from labeltrain.report.summary import ExperimentSummary
from labeltrain.report.words import RAW, title

#: Distances between ticks that a reader can count in.
STEPS = (1, 2, 2.5, 5, 10)


def curve_figure(summary: ExperimentSummary, metric: str, look: Look) -> Any:
    """Draw the raw mean curves of one score, with their 95 % t bands and direct labels.

    Parameters
    ----------
    summary : ExperimentSummary
    metric : str
    look : Look

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = [s.name for s in summary.strategies]
    margin = 0.35 + 0.083 * min(LONGEST, max((len(n) for n in names), default=0))
    figure, axes = frame(5.0, 3.55, right=margin)
    seeds = _draw_curves(axes, summary, metric, look)
    _label_ends(axes, look)
    name = title(metric) + ("" if metric in RAW else " (%)")
    axes.set_title(name, loc="left", fontsize=11.5, fontweight="bold", pad=20, parse_math=False)
    band = "line: mean, band: 95 % t interval" if max(seeds, default=0) > 1 else "1 seed: no band"
    count = f"{min(seeds)}" if len(set(seeds)) == 1 else f"{min(seeds)} to {max(seeds)}"
    under = f"{short(summary.experiment.name)} · {count} seeds · {band}"
    if max(seeds, default=0) == 1:
        under = f"{short(summary.experiment.name)} · {band}"
    axes.text(0, 1.03, under, transform=axes.transAxes, fontsize=8.2, color=GREY, parse_math=False)
    axes.set_xlabel("labels")
    return figure


def overview_figure(summaries: list[ExperimentSummary], look: Look) -> Any:
    """Draw the main score of every experiment in small multiples with one legend.

    Parameters
    ----------
    summaries : list of ExperimentSummary
    look : Look

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = {s.name for x in summaries for s in x.strategies}
    ordered = sorted(names, key=lambda n: (n != look.baseline, n))

    def panel(summary: ExperimentSummary) -> Callable[[Any], None]:
        def draw(axes: Any) -> None:
            _draw_curves(axes, summary, summary.experiment.metric, look)
            head(axes, summary.experiment.name)
            axes.set_xlabel("labels")
            axes.set_ylabel(f"{title(summary.experiment.metric)} (%)", parse_math=False)

        return draw

    return small_multiples([panel(s) for s in summaries], {name: name for name in ordered})


def _draw_curves(axes: Any, summary: ExperimentSummary, metric: str, look: Look) -> list[int]:
    """Draw every strategy, the baseline first and below; return the seeds behind each line."""
    labels, seeds = summary.aligned.labels, []
    scale = 1.0 if metric in RAW else 100.0
    means, bands = [], []
    faint = 0.13 if len(summary.strategies) <= len(PALETTE) else 0.06
    for s in summary.strategies:
        scores = summary.aligned.scores(s.name, metric)
        scores = scale * scores[np.isfinite(scores).all(axis=1)]
        if not len(scores):
            continue
        seeds.append(len(scores))
        mean, style = scores.mean(axis=0), look.of(s.name)
        alone = len(labels) == 1  # a line of one point, and a band beside it, would not be seen
        if alone:
            style = {**style, "marker": style["marker"] or "o"}
        axes.plot(labels, mean, markersize=3.4, markeredgewidth=0, gid=s.name, **style)
        means.append(mean)
        limits = [t_interval(column) for column in scores.T]
        if all(x is not None for x in limits):
            low, high = np.array(limits, dtype=np.float64).T
            if alone:
                axes.vlines(labels, low, high, color=style["color"], linewidth=0.8)
            axes.fill_between(labels, low, high, color=style["color"], alpha=faint, linewidth=0)
            bands.append((low, high))
    if means:
        axes.set_ylim(*score_range(np.array(means), bands, scale))
        pad = 0.02 * float(labels[-1] - labels[0]) or 1.0
        axes.set_xlim(float(labels[0]) - pad, float(labels[-1]) + pad)
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
        if scale == 100.0:
            axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    return seeds


def score_range(
    means: np.ndarray, bands: list[tuple[np.ndarray, np.ndarray]], scale: float
) -> tuple[float, float]:
    """Return limits that show all lines and, unless few seeds make them huge, all of the bands."""
    low, high = float(means.min()), float(means.max())
    room = 0.4 * max(high - low, 0.02 * scale)
    if bands:
        low = max(low - room, min(float(b[0].min()) for b in bands))
        high = min(high + room, max(float(b[1].max()) for b in bands))
    edge = 0.05 * max(high - low, 0.01 * scale)
    top = high + edge
    return max(low - edge, 0.0) if low >= 0 else low - edge, min(top, scale) if scale > 1 else top


def _label_ends(axes: Any, look: Look) -> None:
    """Write each line's name beside its end, moved apart where ends are close."""
    lines = [x for x in axes.get_lines() if x.get_gid()]
    if not lines:
        return
    low, high = axes.get_ylim()
    ends = np.array([(line.get_ydata()[-1] - low) / (high - low) for line in lines])
    order = np.argsort(ends, kind="stable")
    inches = axes.get_figure().get_size_inches()[1] * axes.get_position().height
    gap = min(0.165 / inches, 0.96 / max(1, len(lines) - 1))
    ladder = gap * np.arange(len(lines))
    # Least-squares places with at least `gap` between neighbours: an isotonic regression.
    places = np.clip(isotonic(ends[order] - ladder), 0.0, max(0.96 - ladder[-1], 0.0)) + ladder
    for k, place in zip(order, places, strict=True):
        name, colour = lines[k].get_gid(), look.of(lines[k].get_gid())["color"]
        axes.plot(
            [1.0, 1.022],
            [ends[k], place],
            transform=axes.transAxes,
            color=colour,
            linewidth=0.8,
            clip_on=False,
        )
        axes.text(
            1.03,
            place,
            short(name),
            transform=axes.transAxes,
            color=colour,
            fontsize=9.5,
            va="center_baseline",
            parse_math=False,
        )
