"""`labeltrain sft`: which prompts should be answered, before a language model is fine-tuned?"""

from __future__ import annotations

import typer

from labeltrain.cli.sft import answers, choosing, scoring, studies, tuning

app = typer.Typer(
    help="Choose which prompts get answers, and fine-tune a language model on them.",
    no_args_is_help=True,
)
scoring.add_to(app)
choosing.add_to(app)
answers.add_to(app)
tuning.add_to(app)
studies.add_to(app)
