"""Pictures of learning curves and label savings, drawn without global plotting state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labeltrain.metrics.monotone import isotonic
from labeltrain.metrics.significance import t_interval
from labeltrain.report.summary import ExperimentSummary, StrategySummary
from labeltrain.report.words import RAW, title

INK, FAINT, GREY = "#1a1a1a", "#dddddd", "#6e6e6e"
#: Told apart with any common colour blindness, and dark enough to be read as text.
PALETTE = ("#0072B2", "#C44E00", "#00805E", "#A3307A", "#7A5C00", "#3B8FC4", "#5B3FA8", "#8A8F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
#: A longer name is cut.
LONGEST = 26
#: Distances between ticks that a reader can count in.
STEPS = (1, 2, 2.5, 5, 10)


class Look:
    """Colour, marker and line of every strategy, the same in all pictures of a report."""

    def __init__(self, strategies: list[str], baseline: str) -> None:
        self.baseline = baseline
        self.order = [s for s in strategies if s != baseline]

    def of(self, name: str) -> dict[str, Any]:
        """Return the line style of a strategy, as keyword arguments of ``Axes.plot``."""
        if name == self.baseline:
            return {"color": GREY, "linestyle": "-", "marker": "", "linewidth": 2.4}
        k = self.order.index(name)
        return {
            "color": PALETTE[k % len(PALETTE)],
            "linestyle": DASHES[k // len(PALETTE) % len(DASHES)],
            "marker": MARKERS[k % len(MARKERS)],
            "linewidth": 1.7,
        }


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
    figure, axes = _figure(5.0, 3.55, right=margin)
    seeds = _draw_curves(axes, summary, metric, look)
    _label_ends(axes, look)
    name = title(metric) + ("" if metric in RAW else " (%)")
    axes.set_title(name, loc="left", fontsize=11.5, fontweight="bold", pad=20, parse_math=False)
    band = "line: mean, band: 95 % t interval" if max(seeds, default=0) > 1 else "1 seed: no band"
    count = f"{min(seeds)}" if len(set(seeds)) == 1 else f"{min(seeds)} to {max(seeds)}"
    under = f"{summary.experiment.name} · {count} seeds · {band}"
    if max(seeds, default=0) == 1:
        under = f"{summary.experiment.name} · {band}"
    axes.text(0, 1.03, under, transform=axes.transAxes, fontsize=8.2, color=GREY, parse_math=False)
    axes.set_xlabel("labels")
    return figure


def saving_figure(summary: ExperimentSummary, look: Look) -> Any:
    """Draw the label saving of every strategy at every target, with its interval.

    Parameters
    ----------
    summary : ExperimentSummary
        With a baseline and at least one other strategy.
    look : Look

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = [s for s in summary.strategies if not s.is_baseline and s.savings]
    shares = [x.share for x in rows[0].savings]
    height = 1.25 + len(shares) * (0.2 + 0.19 * len(rows))
    names = max(len(s.name) for s in rows)
    figure, axes = _figure(
        5.0, height, right=0.35 + 0.083 * min(LONGEST, names), left=0.95, bottom=0.5, top=0.62
    )
    left, right = _saving_range(rows)
    step = 1.0 / (len(rows) + 1)
    axes.set_xlim(left, right)
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.axvline(0, color=GREY, linewidth=2.0)
    for k, s in enumerate(rows):
        style = look.of(s.name)
        for g, saving in enumerate(s.savings):
            _draw_saving(axes, saving, g - 0.5 + step * (k + 1), style, (left, right))
    for g in range(1, len(shares)):
        axes.axhline(g - 0.5, color=FAINT, linewidth=0.8)
    axes.set_yticks(range(len(shares)), [f"{x * 100:.0f} %" for x in shares])
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel(f"share of {_short(summary.baseline)}'s rise", parse_math=False)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("labels saved (%)")
    axes.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f}".replace("-", "\u2212"))
    axes.set_title("Label saving", loc="left", fontsize=11.5, fontweight="bold", pad=20)
    axes.text(
        0.0,
        1.0,
        f"{summary.experiment.name} · 95 % intervals, arrow: open side",
        transform=_above(axes),
        fontsize=8.2,
        color=GREY,
        parse_math=False,
    )
    for k, s in enumerate(rows):
        axes.text(
            1.02,
            -0.5 + step * (k + 1),
            _short(s.name),
            transform=axes.get_yaxis_transform(),
            color=look.of(s.name)["color"],
            va="center",
            fontsize=9.5,
            parse_math=False,
        )
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(summaries))
    rows = math.ceil(len(summaries) / columns)
    names = list(dict.fromkeys(s.name for x in summaries for s in x.strategies))
    per_line = max(1, int(3.6 * columns / (0.62 + 0.083 * max(map(len, names), default=1))))
    lines = math.ceil(len(names) / per_line)
    width, height = 3.6 * columns + 0.2, 2.75 * rows + 0.28 * lines + 0.1
    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    handles: dict[str, Any] = {}
    for k, axes in enumerate(grid.ravel()):
        if k >= len(summaries):
            axes.set_visible(False)
            continue
        summary = summaries[k]
        _dress(axes)
        _draw_curves(axes, summary, summary.experiment.metric, look)
        for line in axes.get_lines():
            handles.setdefault(line.get_gid(), line)
        axes.set_title(
            summary.experiment.name, loc="left", fontsize=10.5, fontweight="bold", parse_math=False
        )
        axes.set_xlabel("labels")
        axes.set_ylabel(f"{title(summary.experiment.metric)} (%)", parse_math=False)
    ordered = sorted((n for n in handles if n), key=lambda n: (n != look.baseline, n))
    legend = figure.legend(
        [handles[n] for n in ordered],
        [_short(n) for n in ordered],
        loc="upper left",
        bbox_to_anchor=(0.3 / width, 1.0),
        ncols=per_line,
        frameon=False,
        fontsize=9.5,
        handlelength=2.2,
        columnspacing=1.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.subplots_adjust(
        left=0.62 / width,
        right=1 - 0.15 / width,
        top=1 - (0.28 * lines + 0.42) / height,
        bottom=0.5 / height,
        wspace=0.28,
        hspace=0.52,
    )
    return figure


def _figure(
    width: float,
    height: float,
    *,
    right: float,
    left: float = 0.55,
    bottom: float = 0.48,
    top: float = 0.6,
) -> tuple[Any, Any]:
    """Make a figure with margins in inches, so that text never runs out of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = max(width, left + right + 2.6)
    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (
            left / width,
            bottom / height,
            1 - (left + right) / width,
            1 - (bottom + top) / height,
        )
    )
    _dress(axes)
    return figure, axes


def _dress(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(labelsize=9, colors=INK, length=3, color=GREY)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_size(9)
        label.set_color(INK)


def _draw_curves(axes: Any, summary: ExperimentSummary, metric: str, look: Look) -> list[int]:
    """Draw every strategy, the baseline first and below; return the seeds behind each line."""
    labels, seeds = summary.aligned.labels, []
    scale = 1.0 if metric in RAW else 100.0
    means, bands = [], []
    for s in summary.strategies:
        scores = summary.aligned.scores(s.name, metric)
        scores = scale * scores[np.isfinite(scores).all(axis=1)]
        if not len(scores):
            continue
        seeds.append(len(scores))
        mean, style = scores.mean(axis=0), look.of(s.name)
        axes.plot(labels, mean, markersize=3.4, markeredgewidth=0, gid=s.name, **style)
        means.append(mean)
        limits = [t_interval(column) for column in scores.T]
        if all(x is not None for x in limits):
            low, high = np.array(limits, dtype=np.float64).T
            axes.fill_between(labels, low, high, color=style["color"], alpha=0.13, linewidth=0)
            bands.append((low, high))
    if means:
        axes.set_ylim(*_range(np.array(means), bands, scale))
        pad = 0.02 * float(labels[-1] - labels[0]) or 1.0
        axes.set_xlim(float(labels[0]) - pad, float(labels[-1]) + pad)
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
        if scale == 100.0:
            axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    return seeds


def _range(
    means: np.ndarray, bands: list[tuple[np.ndarray, np.ndarray]], scale: float
) -> tuple[float, float]:
    """Show all lines and, unless few seeds make them huge, all of the bands."""
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
    gap = min(0.165 / inches, 1.0 / max(1, len(lines) - 1))
    ladder = gap * np.arange(len(lines))
    # Least-squares places with at least `gap` between neighbours: an isotonic regression.
    places = np.clip(isotonic(ends[order] - ladder), 0.0, 1.0 - ladder[-1]) + ladder
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
            _short(name),
            transform=axes.transAxes,
            color=colour,
            fontsize=9.5,
            va="center_baseline",
            parse_math=False,
        )


def _saving_range(rows: list[StrategySummary]) -> tuple[float, float]:
    ends = [0.0]
    for s in rows:
        for x in s.savings:
            known = (x.value, x.bound, x.low, x.high)
            ends += [v for v in known if v is not None and math.isfinite(v)]
    low, high = max(min(ends), -1.5), max(ends)
    pad = 0.08 * max(high - low, 0.2)
    return low - pad, min(high + pad, 1.02)


def _draw_saving(
    axes: Any, saving: Any, y: float, style: dict[str, Any], span: tuple[float, float]
) -> None:
    colour, (left, right) = style["color"], span
    if saving.low is not None:
        low, high = max(saving.low, left), min(saving.high, right)
        if math.isfinite(high) and math.isfinite(low):
            axes.plot([low, high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
        for end, edge, arrow in ((saving.low, left, "<"), (saving.high, right, ">")):
            if (end < left) if arrow == "<" else (end > right):
                axes.plot([edge], [y], arrow, color=colour, markersize=5, clip_on=False)
    if saving.status == "never":
        axes.text(
            left + 0.03 * (right - left),
            y,
            "never reached",
            color=colour,
            fontsize=8,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    middle = saving.value if saving.value is not None else saving.bound
    if middle is not None and saving.status != "never":
        face = colour if saving.status == "reached" else "white"
        axes.plot([max(middle, left)], [y], style["marker"], color=colour, markersize=5.5, mfc=face)


def _above(axes: Any) -> Any:
    """Return the place of a subtitle: a fixed distance above the axes, whatever their height."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, 0.1, axes.get_figure().dpi_scale_trans)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
