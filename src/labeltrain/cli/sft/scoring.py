"""Commands that read a pool of prompts and score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labeltrain.cli.sft.options import (
    MODEL,
    ChatTemplate,
    Device,
    MaxPromptTokens,
    Threads,
    Workspace,
)

READING = "How the file is read"


def add_to(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command("example")(example)
    app.command("score")(score)


def example(
    folder: Annotated[Path, typer.Argument(help="Where the files go.", metavar="DIR")],
    tasks: Annotated[
        str, typer.Option(help="Question sets, with commas; see labeltrain sft example --help.")
    ] = "nq-open,asdiv,commonsenseqa,openbookqa,siqa,piqa,boolq,mmlu,privacy-policy",
    prompts: Annotated[int, typer.Option(help="Size of the pool.")] = 2000,
    test: Annotated[int, typer.Option(help="Questions of each set that are held out.")] = 40,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
) -> None:
    """Write real prompts to try it with: pool.jsonl, answers.jsonl, test.jsonl.

    Sets: asdiv, boolq, commonsenseqa, fiqa, medqa, mmlu, nq-open, openbookqa, piqa, privacy-policy,
    siqa, truthfulqa. The pool is drawn from all of them together, so that large sets have many.
    """
    from labeltrain.sft.example import write_example

    names = [name.strip() for name in tasks.split(",") if name.strip()]
    written = write_example(folder, names, prompts=prompts, test=test, seed=seed)
    for path, lines in written.items():
        typer.echo(f"{path}: {lines} lines")


def score(
    pool: Annotated[
        str,
        typer.Argument(help="JSONL, JSON, Parquet, or a Hugging Face data set.", metavar="POOL"),
    ],
    workspace: Workspace,
    model: Annotated[
        str | None,
        typer.Option(help="Folder, name on the hub, or smollm2-135m. Best the one to be tuned."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Embed with a text encoder (minilm), with or without a model."),
    ] = None,
    pooling: Annotated[
        str, typer.Option(help="States of the model to keep: last, mean, weighted; with commas.")
    ] = "weighted",
    max_new_tokens: Annotated[int, typer.Option(help="Of the model's own answers.")] = 128,
    max_prompt_tokens: MaxPromptTokens = None,
    chat_template: ChatTemplate = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of a batch.", rich_help_panel=MODEL)] = (
        8192
    ),
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16.", rich_help_panel=MODEL)
    ] = "float32",
    device: Device = "auto",
    threads: Threads = None,
    backend: Annotated[
        str, typer.Option(help="transformers, or vllm: a running server.", rich_help_panel=MODEL)
    ] = "transformers",
    server: Annotated[
        str | None, typer.Option(help="Of vLLM: http://localhost:8000.", rich_help_panel=MODEL)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of a Hugging Face data set.", rich_help_panel=READING)
    ] = None,
    task_field: Annotated[
        str | None, typer.Option(help="Key of the task.", rich_help_panel=READING)
    ] = None,
    id_field: Annotated[str, typer.Option(help="Key of the id.", rich_help_panel=READING)] = "id",
    skip_bad: Annotated[
        bool, typer.Option(help="Leave out lines that are no prompts.", rich_help_panel=READING)
    ] = False,
) -> None:
    """Let the model answer every prompt, and keep how sure it was; goes on where it stopped."""
    from labeltrain.cli.output import Bar
    from labeltrain.errors import BadInput
    from labeltrain.sft.pipeline import score_file

    if model is None and encoder is None:
        raise BadInput("nothing to score with", "--model NAME, or --encoder minilm, or both")
    with Bar() as bar:
        told = score_file(
            pool,
            workspace,
            model=model,
            encoder=encoder,
            pooling=[name.strip() for name in pooling.split(",") if name.strip()],
            max_new_tokens=max_new_tokens,
            max_prompt_tokens=max_prompt_tokens,
            chat_template=chat_template,
            batch_tokens=batch_tokens,
            dtype=dtype,
            device=device,
            threads=threads,
            backend=backend,
            server=server,
            reading={
                "split": split,
                "task_field": task_field,
                "id_field": id_field,
                "skip_bad": skip_bad,
            },
            bar=bar,
        )
    for line in told:
        typer.echo(line)
