"""Commands that train on answers, and evaluate what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labeltrain.cli.options import Json
from labeltrain.cli.sft.options import (
    MODEL,
    ChatTemplate,
    Choice,
    Device,
    MaxPromptTokens,
    Threads,
    Workspace,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command("train")(train)
    app.command("eval")(evaluate)


def train(
    workspace: Workspace,
    model: Annotated[str, typer.Option(help="Folder, name on the hub, or smollm2-135m.")],
    choice: Choice = None,
    top: Annotated[
        int | None, typer.Option(help="Only the first so many of a nested choice.")
    ] = None,
    alone: Annotated[
        bool, typer.Option(help="Without the answers that the choice was built on.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="All answers, whatever was chosen.")] = False,
    name: Annotated[str | None, typer.Option(help="Of the trained model.")] = None,
    tune: Annotated[str, typer.Option(help="lora, or full: all weights.")] = "lora",
    rank: Annotated[int, typer.Option(help="Of LoRA.")] = 16,
    alpha: Annotated[int, typer.Option(help="Of LoRA.")] = 32,
    learning_rate: Annotated[
        float | None, typer.Option(help="5e-4 for lora, 2e-5 for full, if not given.")
    ] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the answers.")] = 2.0,
    batch: Annotated[int, typer.Option(help="Examples of a step.")] = 8,
    max_prompt_tokens: MaxPromptTokens = None,
    max_answer_tokens: Annotated[int | None, typer.Option(help="Longer ones are cut.")] = None,
    chat_template: ChatTemplate = None,
    seed: Annotated[int, typer.Option(help="Of adapters and the order of examples.")] = 0,
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16.", rich_help_panel=MODEL)
    ] = "float32",
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Fine-tune a model on the answers, by TRL; the loss is that of the answers only."""
    from labeltrain.cli.output import Bar
    from labeltrain.sft.training import TrainSettings
    from labeltrain.sft.tuning import train_in
    from labeltrain.sft.workspace import PromptWorkspace

    settings = TrainSettings(
        model,
        tune,
        rank,
        alpha,
        learning_rate=learning_rate,
        epochs=epochs,
        batch=batch,
        max_prompt_tokens=max_prompt_tokens,
        max_answer_tokens=max_answer_tokens,
        dtype=dtype,
        chat_template=chat_template,
        seed=seed,
    )
    with PromptWorkspace.open(workspace) as held, Bar() as bar:
        bar.stage("training", 1.0)
        body = train_in(
            held,
            settings,
            choice=choice,
            top=top,
            alone=alone,
            everything=all_,
            name=name,
            device=device,
            threads=threads,
            progress=bar.advance_to,
        )
    typer.echo(
        f"{body['name']}: {body['labels']} answers, {body['steps']} steps, "
        f"{body['seconds']:.0f} s, {body['flops'] / 1e12:.1f} TFLOP, loss {body['loss']:.3g}"
    )
    if body.get("again"):
        typer.echo("trained already, on the same answers")
    if body["before"]:
        typer.echo(f"{body['before']} of them the choice was built on (--alone: without them)")
    if body["waiting"]:
        typer.echo(f"{body['waiting']} prompts of the choice have no answer yet")
    if body["cut"]:
        typer.echo(f"{body['cut']} examples were shortened")
    typer.echo(str(workspace / body["folder"]))


def evaluate(
    test: Annotated[Path, typer.Argument(help="Held-out prompts with answers.", metavar="FILE")],
    workspace: Workspace,
    trained: Annotated[
        str, typer.Option(help="Name of a trained model; base: the untuned one.")
    ] = "base",
    model: Annotated[str | None, typer.Option(help="The untuned one, for base.")] = None,
    metrics: Annotated[str, typer.Option(help="With commas.")] = (
        "nll,exact_match,rouge_l,choice_accuracy"
    ),
    max_new_tokens: Annotated[int, typer.Option(help="Of the model's own answers.")] = 64,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(help="As in training if not given.")
    ] = None,
    chat_template: Annotated[str | None, typer.Option(help="As in training.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write what was said to each prompt to this .jsonl.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    json_: Json = False,
) -> None:
    """Score a model on held-out prompts, per task, with 95 % intervals."""
    from labeltrain.cli.output import Bar, as_json, as_table
    from labeltrain.sft.evaluation import details, to_lines
    from labeltrain.sft.tuning import evaluate_in
    from labeltrain.sft.workspace import PromptWorkspace
    from labeltrain.store.files import replace_bytes

    with PromptWorkspace.open(workspace) as held, Bar() as bar:
        bar.stage("evaluating", 1.0)
        found, items = evaluate_in(
            held,
            test,
            trained,
            base=model,
            metrics=tuple(m.strip() for m in metrics.split(",") if m.strip()),
            max_new_tokens=max_new_tokens,
            max_prompt_tokens=max_prompt_tokens,
            chat_template=chat_template,
            device=device,
            threads=threads,
            progress=bar.advance_to,
        )
    rows = found.table()
    if json_:
        as_json({"model": trained, "seconds": found.seconds, "rows": rows})
    else:
        as_table(rows, title=f"{trained}, {len(items)} held-out prompts")
    if out is not None:
        replace_bytes(out, to_lines(details(found, items)))
        typer.echo(f"{out}: {len(items)} lines", err=json_)
