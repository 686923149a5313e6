"""`labeltrain sft`: which prompts should be answered, before a language model is fine-tuned?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labeltrain.cli.options import Json

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


@app.command("select")
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
        Path | None, typer.Option(help="Prompts that the model is meant for (rds).")
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
        None,
        near or None,
        "keep" if keep_repeats else "leave-out",
        reserve,
        {key: value for key, value in prices.items() if value is not None},
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
            answered=answered,
            after=after or (),
            out=out,
        )
    if json_:
        as_json(told)
    else:
        for line in told["lines"]:
            typer.echo(line)


@app.command("designs")
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


Choice = Annotated[
    str | None, typer.Option("--choice", help="Name of a choice; the only one if there is one.")
]


@app.command("export")
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
    from labeltrain.sft.scored_pool import scored_pool
    from labeltrain.sft.workspace import PromptWorkspace

    with PromptWorkspace.open(workspace, read_only=True) as held:
        kept = kept_choice(held, choice)
        scoring = kept.body["scoring"]
        pool = None if scoring is None else scored_pool(held, scoring)
        written = write(
            held, kept, out, format_, pool=pool, drafts=drafts, reserve=reserve, answered=answered
        )
    for path, prompts in written.items():
        typer.echo(f"{path}: {prompts} prompts" if path == str(out) else path)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="JSONL, CSV, or the export of Argilla or Label Studio.")
    ],
    workspace: Workspace,
    id_field: Annotated[str, typer.Option(help="Key of the id.")] = "id",
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
        f"{taken.skipped} skipped"
    )


@app.command("train")
def train(
    workspace: Workspace,
    model: Annotated[str, typer.Option(help="Folder, name on the hub, or smollm2-135m.")],
    choice: Choice = None,
    top: Annotated[
        int | None, typer.Option(help="Only the first so many of a nested choice.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the trained model.")] = None,
    tune: Annotated[str, typer.Option(help="lora, or full: all weights.")] = "lora",
    rank: Annotated[int, typer.Option(help="Of LoRA.")] = 16,
    alpha: Annotated[int, typer.Option(help="Of LoRA.")] = 32,
    learning_rate: Annotated[
        float | None, typer.Option(help="5e-4 for lora, 2e-5 for full, if not given.")
    ] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the answers.")] = 2.0,
    batch: Annotated[int, typer.Option(help="Examples of a step.")] = 8,
    max_prompt_tokens: Annotated[int | None, typer.Option(help="As in scoring.")] = None,
    max_answer_tokens: Annotated[int | None, typer.Option(help="Longer ones are cut.")] = None,
    chat_template: Annotated[str | None, typer.Option(help="As in scoring.")] = None,
    seed: Annotated[int, typer.Option(help="Of adapters and the order of examples.")] = 0,
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16.", rich_help_panel=MODEL)
    ] = "float32",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, mps.", rich_help_panel=MODEL)
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of the processor.", rich_help_panel=MODEL)
    ] = None,
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
            name=name,
            device=device,
            threads=threads,
            progress=bar.advance_to,
        )
    typer.echo(
        f"{body['name']}: {body['labels']} answers, {body['steps']} steps, "
        f"{body['seconds']:.0f} s, {body['flops'] / 1e12:.1f} TFLOP, loss {body['loss']:.3g}"
    )
    if body["waiting"]:
        typer.echo(f"{body['waiting']} prompts of the choice have no answer yet")
    if body["cut"]:
        typer.echo(f"{body['cut']} examples were shortened")
    typer.echo(str(workspace / body["folder"]))


@app.command("eval")
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
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, mps.", rich_help_panel=MODEL)
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of the processor.", rich_help_panel=MODEL)
    ] = None,
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


@app.command("report")
def report(
    workspace: Workspace,
    out: Annotated[
        Path | None, typer.Option(help="Where the page goes; the workspace if not given.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show the pool, the choices, the models and what each cost; of a study the curves, too."""
    from labeltrain.cli.output import as_json, as_table
    from labeltrain.cli.report import print_summary
    from labeltrain.report import write
    from labeltrain.sft.overview import overview
    from labeltrain.sft.page import write_page
    from labeltrain.sft.results import read_results
    from labeltrain.sft.study import spec_of
    from labeltrain.sft.workspace import PromptWorkspace

    with PromptWorkspace.open(workspace, read_only=True) as held:
        shown = overview(held)
        spec = spec_of(held)
    folder = out or workspace
    page = write_page(shown, folder, str(spec["title"]) if spec else f"Prompts of {workspace}")
    written = [page]
    if spec is not None:
        results = read_results(workspace)
        written.append(write(results, folder).html)
    if json_:
        as_json({**shown, "pages": [str(path) for path in written]})
        return
    if spec is not None:
        print_summary(results)
    for name in ("choices", "models", "overhead"):
        rows = [{k: v for k, v in row.items() if k != "tasks"} for row in shown[name]]
        if rows:
            as_table(rows, list(dict.fromkeys(k for row in rows for k in row)), title=name)
    for path in written:
        typer.echo(f"Report: {path}")


@app.command("study")
def study(
    spec: Annotated[Path, typer.Argument(help="A YAML spec with kind: sft; see docs/sft.md.")],
    workspace: Workspace,
) -> None:
    """Compare designs: score once, then choose, train and evaluate, seed by seed; it resumes."""
    run_spec(spec, workspace)


def run_spec(spec: Path, workspace: Path) -> None:
    """Run a study of designs from its spec, and print what it shows so far."""
    from labeltrain.cli.output import Bar
    from labeltrain.cli.report import print_summary
    from labeltrain.errors import BadInput
    from labeltrain.sft.results import read_results
    from labeltrain.sft.study import run_study
    from labeltrain.sft.study_spec import parsed_spec
    from labeltrain.studies.overrides import read_yaml

    try:
        text = spec.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {spec}: {error}", "give a YAML file") from error
    values = read_yaml(text, str(spec), "write a mapping: keys and values")
    if not isinstance(values, dict):
        raise BadInput(f"{spec} holds no mapping", "docs/sft.md lists the keys of a study")
    parsed = parsed_spec(values)
    with Bar() as bar:
        trained = run_study(parsed, workspace, bar)
    if not trained:
        typer.echo(f"{workspace} is finished already; nothing was run.")
    print_summary(read_results(workspace))
    typer.echo(f"\nKept in {workspace}. For plots and tables: labeltrain report {workspace}")
