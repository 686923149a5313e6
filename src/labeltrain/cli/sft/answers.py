"""Commands that hand prompts out, and take answers in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labeltrain.cli.sft.options import Choice, Workspace


def add_to(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    workspace: Workspace,
    out: Annotated[Path, typer.Option(help=".jsonl, .csv or .json.")],
    format_: Annotated[
        str, typer.Option("--format", help="jsonl, csv, argilla, label-studio.")
    ] = "jsonl",
    choice: Choice = None,
    drafts: Annotated[
        bool, typer.Option(help="With the model's own answers, to be mended.")
    ] = False,
    reserve: Annotated[bool, typer.Option(help="With the reserve, behind the choice.")] = False,
    answered: Annotated[bool, typer.Option(help="With prompts that have an answer.")] = False,
) -> None:
    """Write the chosen prompts for those who answer them."""
    from labeltrain.sft.choosing import kept_choice
    from labeltrain.sft.exporting import export as write
    from labeltrain.sft.scored_pool import only_scored_pool, scored_pool
    from labeltrain.sft.workspace import PromptWorkspace

    with PromptWorkspace.open(workspace, read_only=True) as held:
        kept = kept_choice(held, choice)
        scoring = kept.body["scoring"]
        pool = only_scored_pool(held) if scoring is None else scored_pool(held, scoring)
        written = write(
            held, kept, out, format_, pool=pool, drafts=drafts, reserve=reserve, answered=answered
        )
    for path, prompts in written.items():
        typer.echo(f"{path}: {prompts} prompts" if path == str(out) else path)


def import_(
    file: Annotated[
        Path, typer.Argument(help="JSONL, CSV, or the export of Argilla or Label Studio.")
    ],
    workspace: Workspace,
    id_field: Annotated[
        str | None, typer.Option(help="Key of the id; prompt_id or id if not given.")
    ] = None,
    answer_field: Annotated[str | None, typer.Option(help="Key of the answer.")] = None,
) -> None:
    """Take answers in; the latest to a prompt is in force."""
    from labeltrain.sft.answers import take_answers
    from labeltrain.sft.importing import read_answers
    from labeltrain.sft.workspace import PromptWorkspace

    given = read_answers(file, id_field=id_field, answer_field=answer_field)
    with PromptWorkspace.open(workspace) as held:
        taken = take_answers(held, given, str(file))
    typer.echo(
        f"{taken.new} new answers, {taken.changed} changed, {taken.same} as before, "
        f"{taken.skipped} skipped, {taken.withdrawn} withdrawn"
    )
