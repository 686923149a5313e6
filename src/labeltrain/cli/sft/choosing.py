"""Commands that choose prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labeltrain.cli.options import Json
from labeltrain.cli.sft.options import Workspace

GRADIENTS = "Gradients (task-relevance --set by=gradients)"


def add_to(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command("select")(select)
    app.command("designs")(designs)


def select(
    workspace: Workspace,
    method: Annotated[
        str, typer.Option(help="The design; labeltrain sft designs lists them.")
    ] = "facility-location",
    budget: Annotated[str, typer.Option(help="5000 (prompts), 20%, 400000tokens, 800usd.")] = "",
    name: Annotated[
        str | None, typer.Option(help="Of the choice; METHOD-BUDGET by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the chosen prompts to this .jsonl, too.")
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(help="last, mean, weighted: the model's states; or an encoder, as minilm."),
    ] = None,
    whiten: Annotated[
        int | None, typer.Option(help="Principal directions of the embeddings to keep, whitened.")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(help="Whose scores, where several models scored the pool.")
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(help="Prompts that the model is meant for (rds, task-relevance)."),
    ] = None,
    answered: Annotated[
        Path | None, typer.Option(help="Ids or prompts that have an answer elsewhere.")
    ] = None,
    after: Annotated[
        list[str] | None, typer.Option(help="A choice that is being answered: it is built on.")
    ] = None,
    largest: Annotated[
        str | None, typer.Option(help="Largest budget ever: the kernel width is set for it.")
    ] = None,
    near: Annotated[
        float,
        typer.Option(help="Share of words' runs from which prompts count as the same; 0: off."),
    ] = 0.9,
    keep_repeats: Annotated[
        bool, typer.Option(help="Repeated prompts may be chosen, too.")
    ] = False,
    reserve: Annotated[
        float, typer.Option(help="Prompts ranked behind the choice, as a share of it.")
    ] = 0.1,
    price_per_answer: Annotated[float | None, typer.Option(rich_help_panel="Money")] = None,
    price_per_1000_tokens: Annotated[float | None, typer.Option(rich_help_panel="Money")] = None,
    cost_field: Annotated[
        str | None, typer.Option(help="Key with the price of an answer.", rich_help_panel="Money")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The one to be tuned, where it did not score the pool.", rich_help_panel=GRADIENTS
        ),
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="As in training.", rich_help_panel=GRADIENTS)
    ] = None,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(help="As in scoring if not given.", rich_help_panel=GRADIENTS)
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, mps.", rich_help_panel=GRADIENTS)
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of the processor.", rich_help_panel=GRADIENTS)
    ] = None,
    seed: Annotated[int, typer.Option(help="Same pool and seed, same choice.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, a parameter of the strategy.")
    ] = None,
    json_: Json = False,
) -> None:
    """Choose the prompts to be answered."""
    from labeltrain.cli.output import as_json
    from labeltrain.errors import BadInput
    from labeltrain.sft.choosing import choose_in
    from labeltrain.sft.kept_gradients import GradientOptions
    from labeltrain.sft.selection import Question
    from labeltrain.sft.workspace import PromptWorkspace
    from labeltrain.studies.overrides import overridden

    if not budget:
        raise BadInput("there is no budget", "--budget 5000, 20%, 400000tokens or 800usd")
    prices = {
        "price_per_answer": price_per_answer,
        "price_per_1000_tokens": price_per_1000_tokens,
        "cost_field": cost_field,
    }
    question = Question(
        method,
        budget,
        overridden({}, set_, {}) if set_ else {},
        seed,
        largest,
        near=near or None,
        repeats="keep" if keep_repeats else "leave-out",
        reserve=reserve,
        prices={key: value for key, value in prices.items() if value is not None},
    )
    with PromptWorkspace.open(workspace) as held:
        told = choose_in(
            held,
            question,
            name=name,
            embeddings=embeddings,
            whiten=whiten,
            scores=scores,
            target=target,
            gradients=GradientOptions(model, chat_template, max_prompt_tokens, device, threads),
            answered=answered,
            after=after or (),
            out=out,
        )
    if json_:
        as_json(told)
    else:
        for line in told["lines"]:
            typer.echo(line)


def designs(json_: Json = False) -> None:
    """List the designs of `select`."""
    from labeltrain.cli.output import as_json, as_table
    from labeltrain.sft.designs import DESIGNS

    rows = [
        {
            "design": name,
            "strategy": one.strategy,
            "of Bhatt et al. 2024": "yes" if one.paper else "",
            "chooses": one.summary,
        }
        for name, one in DESIGNS.items()
    ]
    if json_:
        as_json(rows)
    else:
        as_table(rows)
