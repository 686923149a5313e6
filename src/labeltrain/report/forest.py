"""The picture of label savings: a dot and an interval for every strategy and target."""

from __future__ import annotations

import math
from typing import Any

from labeltrain.metrics.saving import Saving
from labeltrain.report.look import FAINT, GREY, LONGEST, Look, above, frame, short
from labeltrain.report.summary import ExperimentSummary, StrategySummary


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
    figure, axes = frame(
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
    axes.set_ylabel(f"share of {short(summary.baseline)}'s rise", parse_math=False)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("labels saved (%)")
    axes.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f}".replace("-", "\u2212"))
    axes.set_title("Label saving", loc="left", fontsize=11.5, fontweight="bold", pad=20)
    axes.text(
        0.0,
        1.0,
        f"{short(summary.experiment.name)} · 95 % intervals, arrow: open side",
        transform=above(axes),
        fontsize=8.2,
        color=GREY,
        parse_math=False,
    )
    for k, s in enumerate(rows):
        axes.text(
            1.02,
            -0.5 + step * (k + 1),
            short(s.name),
            transform=axes.get_yaxis_transform(),
            color=look.of(s.name)["color"],
            va="center",
            fontsize=9.5,
            parse_math=False,
        )
    return figure


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
    axes: Any, saving: Saving, y: float, style: dict[str, Any], span: tuple[float, float]
) -> None:
    colour, (left, right) = style["color"], span
    if saving.low is not None and saving.high is not None:
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
