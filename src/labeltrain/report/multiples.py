"""Small multiples: several panels of the same lines, with one legend above them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labeltrain.report.look import PALETTE, dress, short


def small_multiples(
    draws: Sequence[Callable[[Any], None]],
    legend: Mapping[str, str],
    *,
    width: float = 3.6,
    height: float = 2.75,
) -> Any:
    """Draw panels beside and below each other, three in a row.

    Parameters
    ----------
    draws : sequence of callable
        One for each panel; it is given the axes, and names its lines by ``gid``.
    legend : mapping of str to str
        What the legend says of each line, by ``gid``, in its order; lines that no panel has are
        left out.
    width, height : float
        Of a panel with its texts, in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(draws))
    rows = math.ceil(len(draws) / columns)
    texts = _cut(legend)
    longest = max(map(len, texts.values()), default=1)
    # Of many lines some are dashed, which a short piece in the legend would not show.
    piece = 2.2 if len(texts) <= len(PALETTE) else 3.4
    per_line = max(1, int(width * columns / (0.33 + 0.132 * piece + 0.083 * longest)))
    lines = math.ceil(len(texts) / per_line)
    wide, high = width * columns + 0.2, height * rows + 0.28 * lines + 0.1
    figure = Figure(figsize=(wide, high), dpi=150)
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    drawn: dict[str, Any] = {}
    for axes, draw in zip(panels, draws, strict=False):
        dress(axes)
        draw(axes)
        for line in axes.get_lines():
            drawn.setdefault(line.get_gid(), line)
    for axes in panels[len(draws) :]:
        axes.set_visible(False)
    shown = [name for name in texts if name in drawn]
    box = figure.legend(
        [drawn[name] for name in shown],
        [texts[name] for name in shown],
        loc="upper left",
        bbox_to_anchor=(0.3 / wide, 1.0),
        ncols=per_line,
        frameon=False,
        fontsize=9.5,
        handlelength=piece,
        columnspacing=1.6,
    )
    for text in box.get_texts():
        text.set_parse_math(False)
    figure.subplots_adjust(
        left=0.62 / wide,
        right=1 - 0.15 / wide,
        top=1 - (0.28 * lines + 0.42) / high,
        bottom=0.5 / high,
        wspace=0.28,
        hspace=0.52,
    )
    return figure


def head(axes: Any, text: str) -> None:
    """Write the name of a panel."""
    axes.set_title(text, loc="left", fontsize=10.5, fontweight="bold", parse_math=False)


def _cut(legend: Mapping[str, str]) -> dict[str, str]:
    """Shorten long names, unless two of them would become the same."""
    cut = {name: short(text) for name, text in legend.items()}
    return cut if len(set(cut.values())) == len(cut) else dict(legend)
