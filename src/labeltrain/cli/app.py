"""The command groups, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from labeltrain import __version__
from labeltrain.cli import data, listing, multitask, project, report, run, select, sft, workspace

app = typer.Typer(
    name="labeltrain",
    help="Spend as few labels as possible, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labeltrain {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Spend as few labels as possible, and prove it."""


app.command("run")(run.run)
app.command("report")(report.report)
app.command("select")(select.select)
app.command("list")(listing.listing)
app.add_typer(data.app, name="data")
app.add_typer(project.app, name="project")
app.add_typer(sft.app, name="sft")
app.add_typer(multitask.app, name="multitask")
app.command("verify")(workspace.verify)
app.command("repair")(workspace.repair)
