"""Options that several commands of `labeltrain sft` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MODEL = "The model"

Workspace = Annotated[Path, typer.Option("--workspace", "-w", help="The directory of the pool.")]
Choice = Annotated[
    str | None, typer.Option("--choice", help="Name of a choice; the only one if there is one.")
]
MaxPromptTokens = Annotated[
    int | None,
    typer.Option(
        help="Longer prompts lose their beginning; what fits the model. As in scoring and training."
    ),
]
ChatTemplate = Annotated[
    str | None,
    typer.Option(help="A Jinja file, or none: plain text, for base models. The same everywhere."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps.", rich_help_panel=MODEL)]
Threads = Annotated[int | None, typer.Option(help="Of the processor.", rich_help_panel=MODEL)]
