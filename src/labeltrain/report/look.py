"""What all pictures share: colours, margins and type."""

from __future__ import annotations

from typing import Any

INK, FAINT, GREY = "#1a1a1a", "#dddddd", "#6e6e6e"
#: Told apart with any common colour blindness, and dark enough to be read as text.
PALETTE = ("#0072B2", "#C44E00", "#00805E", "#C2408F", "#8A6A00", "#4B2A9B")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
#: A longer name is cut.
LONGEST = 26


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


def frame(
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
    dress(axes)
    return figure, axes


def dress(axes: Any) -> None:
    """Take away what a reader does not need: three sides, ticks, all but faint lines."""
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


def above(axes: Any) -> Any:
    """Return the place of a subtitle: a fixed distance above the axes, whatever their height."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, 0.1, axes.get_figure().dpi_scale_trans)


def short(name: str) -> str:
    """Cut a name that would not fit beside a picture."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
