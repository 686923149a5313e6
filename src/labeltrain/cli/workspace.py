"""`labeltrain verify` and `labeltrain repair`: the health of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="A study or project.", metavar="DIR")]


def verify(folder: Folder) -> None:
    """Check every file of a study or project."""
    from labeltrain.store.workspace import verify as check

    found = check(folder)
    typer.echo(f"{folder} is sound: {found['events']} events, {found['arrays']} arrays")


def repair(folder: Folder) -> None:
    """Set damaged files aside and keep everything before the damage."""
    from labeltrain.store.workspace import repair as mend

    found = mend(folder)
    if not found["damaged"]:
        typer.echo(f"{folder} is sound; nothing was changed.")
        return
    if found["problem"]:
        lost = "an unknown number of" if found["lost"] is None else str(found["lost"])
        typer.echo(f"{found['problem']}")
        typer.echo(f"kept {found['events']} events; lost {lost} after them")
    if found["arrays"]:
        typer.echo(f"set {found['arrays']} damaged array file(s) aside; they are made again")
    typer.echo(f"the damaged files are in {found['kept_in']}")
