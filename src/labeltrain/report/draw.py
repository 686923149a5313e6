"""Figures as PNG files and as SVG text that can stand inside an HTML page."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

from labeltrain.errors import StoreUnwritable

#: Dots per inch of the PNG files.
DPI = 150


def png(figure: Any, path: Path) -> Path:
    """Write a figure as a PNG file at 150 dpi and return its path."""
    try:
        figure.savefig(path, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    except OSError as error:
        raise StoreUnwritable(
            f"cannot write {path}: {error}", "choose a folder you can write to"
        ) from error
    return path


def svg(figure: Any, alternative: str) -> str:
    """Return a figure as an SVG element without links, with its text as text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alternative : str
        What the picture shows, for people who cannot see it.

    Returns
    -------
    str
        Scales to the width it is given. Names of marks are salted with `alternative`, so that
        two pictures on one page do not mix up theirs.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # Text as text keeps the page small; the page's style sheet names the font.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": alternative}):
        figure.savefig(buffer, format="svg", metadata=nothing, facecolor="white")
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Inside HTML the namespaces are known; without them the page holds no address at all.
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text, count=3)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return text.replace(
        "<svg", f'<svg role="img" aria-label="{html.escape(alternative, quote=True)}"', 1
    ).strip()
