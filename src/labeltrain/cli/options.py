"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

DATA = "Own data"


def _column(what: str) -> Any:
    return typer.Option(help=what, rich_help_panel=DATA)


TextColumn = Annotated[str | None, _column("The column of the texts.")]
LabelColumn = Annotated[str | None, _column('The column of the labels; "" ignores labels.')]
IdColumn = Annotated[str | None, _column("The column of the item ids.")]
ImageColumn = Annotated[str | None, _column("The column of the image paths.")]
FeatureColumns = Annotated[str | None, _column("The columns of a table, with commas.")]
Delimiter = Annotated[str | None, _column("Between CSV cells; found in the header if not given.")]
Encoding = Annotated[str | None, _column("Of text files; UTF-8 if not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def reading(**options: str | None) -> dict[str, Any]:
    """Return the options of `labeltrain.load` that were given."""
    given: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
    if "columns" in given:
        given["columns"] = [c.strip() for c in given["columns"].split(",") if c.strip()]
    return given
