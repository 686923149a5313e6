"""`labeltrain sft`: which prompts should be answered, before a language model is fine-tuned?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Choose which prompts get answers, and fine-tune a language model on them.",
    no_args_is_help=True,
)

Workspace = Annotated[Path, typer.Option("--workspace", "-w", help="The directory of the pool.")]
READING = "How the file is read"
MODEL = "The model"


@app.command("example")
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


@app.command("score")
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
    max_prompt_tokens: Annotated[
        int | None, typer.Option(help="Longer prompts lose their beginning; what fits the model.")
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="A Jinja file, or none: plain text, for base models.")
    ] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of a batch.", rich_help_panel=MODEL)] = (
        8192
    ),
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16.", rich_help_panel=MODEL)
    ] = "float32",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, mps.", rich_help_panel=MODEL)
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of the processor.", rich_help_panel=MODEL)
    ] = None,
    backend: Annotated[
        str,
        typer.Option(help="transformers, or vllm where it is installed.", rich_help_panel=MODEL),
    ] = "transformers",
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


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
