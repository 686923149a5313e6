"""Small pieces of HTML; every text that comes in is escaped here."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One table cell.

    Attributes
    ----------
    text : str
    small : str
        A second line.
    css : str
        Class names.
    style : str
        Inline style.
    key : str
        Colour of a line drawn before the text; none if empty.
    """

    text: str
    small: str = ""
    css: str = ""
    style: str = ""
    key: str = ""

    def html(self, tag: str) -> str:
        """Return the cell as ``td`` or ``th``."""
        css = f' class="{self.css}"' if self.css else ""
        style = f' style="{self.style}"' if self.style else ""
        scope = ' scope="row"' if tag == "th" else ""
        key = f'<span class="key" style="color:{self.key}"></span>' if self.key else ""
        small = f"<small>{text(self.small)}</small>" if self.small else ""
        return f"<{tag}{css}{style}{scope}>{key}{text(self.text)}{small}</{tag}>"


@dataclass(frozen=True)
class Row:
    """One table row: the first cell names it."""

    cells: tuple[Cell, ...]
    css: str = ""


def text(value: str) -> str:
    """Escape text for HTML."""
    return html.escape(value, quote=True)


def table(
    head: Sequence[Cell], rows: Sequence[Row], *, caption: str = "", css: str = "wide"
) -> str:
    """Return a table that scrolls sideways on a narrow screen."""
    top = "".join(c.html("th").replace(' scope="row"', ' scope="col"', 1) for c in head)
    body = []
    for row in rows:
        inner = row.cells[0].html("th") + "".join(c.html("td") for c in row.cells[1:])
        body.append(f'<tr class="{row.css}">{inner}</tr>' if row.css else f"<tr>{inner}</tr>")
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table class="{css}">{title}<thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def paragraph(value: str, css: str = "") -> str:
    """Return an escaped paragraph."""
    return f'<p class="{css}">{text(value)}</p>' if css else f"<p>{text(value)}</p>"


def bullets(values: Sequence[str]) -> str:
    """Return escaped list items, or nothing for an empty list."""
    return f"<ul>{''.join(f'<li>{text(v)}</li>' for v in values)}</ul>" if values else ""


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return short facts side by side, each under its name."""
    inner = "".join(f"<div><dt>{text(a)}</dt><dd>{text(b)}</dd></div>" for a, b in pairs)
    return f'<dl class="facts">{inner}</dl>'


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Return an escaped definition list."""
    return f"<dl>{''.join(f'<dt>{text(a)}</dt><dd>{text(b)}</dd>' for a, b in pairs)}</dl>"
