"""Pictures of a run: how relevant each source is, what was drawn, and what came of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.multitask.spec import BASELINE
from labeltrain.multitask.summary import MethodSummary, RunSummary
from labeltrain.report.look import GREY, INK, LONGEST, PALETTE, Look, above, frame, short

MOST = 30  # tasks that are shown as bars
NAMED = 6  # tasks that have a colour of their own
TITLE = {"loc": "left", "fontsize": 11.5, "fontweight": "bold", "pad": 20, "parse_math": False}
SMALL = {"fontsize": 8.2, "color": GREY, "parse_math": False}


def factors(sources: list[dict[str, Any]]) -> tuple[list[str], list[str]] | None:
    """Return rows and columns of a heat map of the tasks; None where they have no two factors.

    Parameters
    ----------
    sources : list of dict
        With ``row`` and ``column``.

    Returns
    -------
    (list of str, list of str) or None
        None, too, where more than half of the places would be empty.
    """
    rows = list(dict.fromkeys(s["row"] for s in sources if s["column"]))
    columns = sorted({s["column"] for s in sources if s["column"]}, key=_natural)
    filled = sum(bool(s["column"]) for s in sources)
    if len(rows) < 2 or len(columns) < 2 or filled < len(sources):
        return None
    return (rows, columns) if 2 * filled > len(rows) * len(columns) else None


def _natural(name: str) -> tuple[float, str]:
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name


def relevance_figure(summary: RunSummary, method: MethodSummary) -> Any:
    """Draw the relevance of each source task: a matrix where tasks have two factors, else bars.

    Parameters
    ----------
    summary : RunSummary
    method : MethodSummary
        With a relevance.

    Returns
    -------
    matplotlib.figure.Figure
    """
    sources = summary.results.data["sources"]
    grid = factors(sources)
    under = f"{method.method} · share of all sizes, mean of {_seeds(method)}"
    title, shown = "Relevance of source tasks", np.array(method.relevance)
    if grid is None:
        return bars([s["name"] for s in sources], shown, title, under, "share of the relevance")
    rows, columns = grid
    values = np.full((len(rows), len(columns)), np.nan)
    for source, value in zip(sources, method.relevance, strict=True):
        values[rows.index(source["row"]), columns.index(source["column"])] = value
    target = summary.results.data["target"]
    place = None
    if target["row"] in rows and target["column"] in columns:
        place = rows.index(target["row"]), columns.index(target["column"])
    return matrix(values, rows, columns, title, under, place)


def _seeds(method: MethodSummary) -> str:
    return "1 seed" if method.seeds == 1 else f"{method.seeds} seeds"


def matrix(
    values: np.ndarray,
    rows: list[str],
    columns: list[str],
    title: str,
    under: str,
    target: tuple[int, int] | None = None,
) -> Any:
    """Draw a number for each row and column, blue below 0 and red above.

    Parameters
    ----------
    values : ndarray of float64, shape (rows, columns)
        nan where there is none.
    rows, columns : list of str
    title, under : str
    target : (int, int), optional
        A place that is marked.

    Returns
    -------
    matplotlib.figure.Figure
    """
    wide = 0.083 * min(LONGEST, max(map(len, columns)))
    turned = wide > 0.45
    left = 0.3 + 0.083 * min(LONGEST, max(map(len, rows)))
    bottom = 0.35 + (wide if turned else 0.1)
    figure, axes = frame(
        left + 1.2 + 0.46 * len(columns), bottom + 0.62 + 0.3 * len(rows), left=left, right=1.0,
        bottom=bottom, top=0.62,
    )  # fmt: skip
    most = float(np.nanmax(np.abs(values))) or 1.0
    shown = axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    axes.set_facecolor("#eeeeee")
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_yticks(range(len(rows)), [short(r) for r in rows], parse_math=False)
    axes.set_xticks(
        range(len(columns)), [short(c) for c in columns], rotation=90 if turned else 0,
        parse_math=False,
    )  # fmt: skip
    if target is not None:
        axes.text(target[1], target[0], "T", ha="center", va="center", fontsize=9, color=INK)
    bar = figure.colorbar(shown, ax=axes, cax=figure.add_axes(_beside(figure, axes)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0)
    axes.set_title(title, **TITLE)
    axes.text(0, 1.0, under + (" · T: target" if target else ""), transform=above(axes), **SMALL)
    return figure


def _beside(figure: Any, axes: Any) -> tuple[float, float, float, float]:
    width = figure.get_size_inches()[0]
    place = axes.get_position()
    return place.x1 + 0.12 / width, place.y0, 0.12 / width, place.height


def bars(names: list[str], values: np.ndarray, title: str, under: str, what: str) -> Any:
    """Draw a number for each name, the largest first, whatever their signs.

    Parameters
    ----------
    names : list of str
    values : ndarray of float64
    title, under : str
    what : str
        Of the axis.

    Returns
    -------
    matplotlib.figure.Figure
    """
    order = np.argsort(-np.abs(values), kind="stable")[:MOST]
    left = 0.3 + 0.083 * min(LONGEST, max(len(names[i]) for i in order))
    figure, axes = frame(
        left + 4.0, 1.15 + 0.21 * len(order), left=left, right=0.3, bottom=0.45, top=0.62
    )
    colours = [PALETTE[0] if values[i] >= 0 else PALETTE[1] for i in order]
    axes.barh(range(len(order)), values[order], color=colours, height=0.72)
    axes.axvline(0, color=GREY, linewidth=1.0)
    axes.set_yticks(range(len(order)), [short(names[i]) for i in order], parse_math=False)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_xlabel(what)
    more = f" · the first {MOST} of {len(names)}" if len(names) > MOST else ""
    axes.set_title(title, **TITLE)
    axes.text(0, 1.0, under + more, transform=above(axes), **SMALL)
    return figure


def allocation_figure(summary: RunSummary, method: MethodSummary) -> Any:
    """Draw how many samples of which source tasks were drawn in each epoch.

    Parameters
    ----------
    summary : RunSummary
    method : MethodSummary

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = [s["name"] for s in summary.results.data["sources"]]
    drawn = np.diff(np.array(method.allocation), axis=0, prepend=0.0)
    order = np.argsort(-np.array(method.allocation[-1]), kind="stable")
    own = order[:NAMED] if len(order) > NAMED + 1 else order
    rest = np.setdiff1d(order, own)
    parts = [(short(names[i]), drawn[:, i], PALETTE[k % len(PALETTE)]) for k, i in enumerate(own)]
    if len(rest):
        parts.append((f"{len(rest)} others", drawn[:, rest].sum(axis=1), "#c8c8c8"))
    right = 0.4 + 0.083 * min(LONGEST, max(len(name) for name, _, _ in parts))
    figure, axes = frame(3.9 + right, 3.4, right=right, left=0.65)
    base = np.zeros(len(drawn))
    places = np.arange(1, len(drawn) + 1)
    for name, heights, colour in parts:
        axes.bar(places, heights, bottom=base, color=colour, width=0.72, label=name,
                 edgecolor="white", linewidth=0.6)  # fmt: skip
        base = base + heights
    axes.set_xticks(places)
    axes.set_xlabel("epoch")
    axes.set_title("Samples drawn in each epoch", **TITLE)
    under = f"{method.method} · mean of {_seeds(method)}"
    axes.text(0, 1.0, under, transform=above(axes), **SMALL)
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.legend(
        handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False,
        fontsize=9, handlelength=1.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def score_figure(summary: RunSummary) -> Any:
    """Draw the target's error by what was spent, for every method that spends.

    Parameters
    ----------
    summary : RunSummary

    Returns
    -------
    matplotlib.figure.Figure
    """
    look = Look([m.method for m in summary.methods], BASELINE)
    longest = max(len(m.method) for m in summary.methods)
    right = 0.4 + 0.083 * longest
    figure, axes = frame(4.2 + right, 3.4, right=right, left=0.7)
    ends: list[tuple[float, str, str]] = []
    for method in summary.methods:
        style = look.of(method.method)
        if method.spent == 0:
            axes.axhline(method.curve[-1], color=style["color"], linestyle=":", linewidth=1.5)
        else:
            if len(method.curve) == 1:
                style = {**style, "marker": style["marker"] or "o"}
            axes.plot(method.budgets, method.curve, markersize=3.6, **style)
            if len(method.band) == len(method.curve) > 1:
                low, high = np.array(method.band).T
                axes.fill_between(
                    method.budgets, low, high, color=style["color"], alpha=0.12, linewidth=0
                )
        ends.append((method.curve[-1], method.method, style["color"]))
    # Bands of few seeds may be so wide that lines could not be told apart.
    means = np.concatenate([m.curve for m in summary.methods])
    room = 1.5 * max(float(np.ptp(means)), 0.05 * float(means.max()))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, float(means.min()) - room), min(high, float(means.max()) + room))
    _names(axes, ends)
    several = any(m.seeds > 1 for m in summary.methods)
    axes.set_title("Mean squared error of the target", **TITLE)
    under = "test items · " + ("mean of seeds, band: 95 % t interval" if several else "1 seed")
    axes.text(0, 1.0, under, transform=above(axes), **SMALL)
    axes.set_xlabel("spent on source samples")
    return figure


def _names(axes: Any, ends: list[tuple[float, str, str]]) -> None:
    """Write names beside the ends of lines, apart where ends are close."""
    low, high = axes.get_ylim()
    inches = axes.get_figure().get_size_inches()[1] * axes.get_position().height
    gap, last = 0.17 / inches, -1.0
    for value, name, colour in sorted(ends):
        last = max((value - low) / (high - low), last + gap)
        axes.text(
            1.02, last, short(name), transform=axes.transAxes, color=colour, fontsize=9.5,
            va="center", parse_math=False,
        )  # fmt: skip
