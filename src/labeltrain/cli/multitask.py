"""`labeltrain multitask`: which source tasks are worth labels, for the sake of a target task?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeltrain.cli.options import (
    Delimiter,
    Encoding,
    FeatureColumns,
    IdColumn,
    ImageColumn,
    Json,
    LabelColumn,
    TextColumn,
    reading,
)

if TYPE_CHECKING:
    from labeltrain.multitask.results import RunResults

METHOD = "The method"
MODEL = "The representation"
app = typer.Typer(
    help="Spend labels on the source tasks that matter for a target task.", no_args_is_help=True
)


@app.command()
def methods(json_: Json = False) -> None:
    """List the ways to share a budget among source tasks."""
    from labeltrain.cli.output import as_json, as_table
    from labeltrain.multitask.methods import METHODS

    rows = [
        {"name": name, "summary": m.summary, "relevance": m.estimates or m.known,
         "needs true heads": m.known}
        for name, m in METHODS.items()
    ]  # fmt: skip
    as_json(rows) if json_ else as_table(rows)


@app.command()
def run(
    target: Annotated[
        str, typer.Option(help="A task of the sources, or a file or data set that is one task.")
    ],
    sources: Annotated[
        list[str],
        typer.Option(
            help="Data sets, files or folders, with commas or one an option; NAME:TASK is one task."
        ),
    ],
    budget: Annotated[float, typer.Option(help="Samples of all source tasks together.")],
    method: Annotated[
        str, typer.Option(help="labeltrain multitask methods.", rich_help_panel=METHOD)
    ] = "l1",
    beside: Annotated[
        str,
        typer.Option(
            help='Methods run with the same seeds, with commas; "" for none.',
            rich_help_panel=METHOD,
        ),
    ] = "uniform,target-only",
    target_labels: Annotated[
        int, typer.Option(help="Labelled samples of the target that are known.")
    ] = 50,
    test_share: Annotated[
        float, typer.Option(help="Of the target's items to test on, where sources share them.")
    ] = 0.5,
    seeds: Annotated[str, typer.Option(help="A number of seeds, a list 1,2,3 or a range 5-9.")] = (
        "1"
    ),
    workspace: Annotated[
        Path | None, typer.Option(help="Where it is kept; runs/multitask-TARGET if not given.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="How often it learns.", rich_help_panel=METHOD)] = 4,
    growth: Annotated[
        float,
        typer.Option(help="Samples of an epoch by the one before.", rich_help_panel=METHOD),
    ] = 1.0,
    floor: Annotated[
        int | None,
        typer.Option(
            help="Samples of every task; twice the dimension if not given, where the first epoch "
            "has them.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    mixing: Annotated[
        float,
        typer.Option(help="Share that goes to all tasks alike.", rich_help_panel=METHOD),
    ] = 0.0,
    keep: Annotated[
        float,
        typer.Option(help="Relevance kept of the epoch before.", rich_help_panel=METHOD),
    ] = 0.0,
    power: Annotated[
        float | None,
        typer.Option(help="q of the shares |nu|^q; the method's own.", rich_help_panel=METHOD),
    ] = None,
    penalty: Annotated[
        str,
        typer.Option(help="residual, noise, or a number.", rich_help_panel=METHOD),
    ] = "residual",
    unexplained: Annotated[
        float,
        typer.Option(
            help="Of the target's head, that the penalty residual may leave.",
            rich_help_panel=METHOD,
        ),
    ] = 0.15,
    top: Annotated[
        int | None,
        typer.Option(help="Only so many tasks beyond the floor.", rich_help_panel=METHOD),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            help="TASK=2.5: of a sample; 1 for others. The budget is then what may be spent.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    guard: Annotated[
        bool,
        typer.Option(help="Mix where heads are too noisy.", rich_help_panel=METHOD),
    ] = True,
    dimension: Annotated[
        int | None,
        typer.Option(help="K; by left-out samples if not given.", rich_help_panel=MODEL),
    ] = None,
    ridge: Annotated[
        float | None,
        typer.Option(help="Its penalty; by left-out samples if not given.", rich_help_panel=MODEL),
    ] = None,
    components: Annotated[
        int,
        typer.Option(help="Features are reduced to as many.", rich_help_panel=MODEL),
    ] = 100,
    encoder: Annotated[
        str,
        typer.Option(help="labeltrain list encoders; of texts and images.", rich_help_panel=MODEL),
    ] = "auto",
    encoder_set: Annotated[
        list[str] | None,
        typer.Option(help="name=value, an option of the encoder.", rich_help_panel=MODEL),
    ] = None,
    representation: Annotated[
        str,
        typer.Option(
            help="What tasks share: linear, mlp, or cnn (of the pixels: --encoder raw).",
            rich_help_panel=MODEL,
        ),
    ] = "linear",
    network_set: Annotated[
        list[str] | None,
        typer.Option(
            help="name=value, of mlp and cnn: width, layers, steps, patience, batch, "
            "learning_rate, weight_decay.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    task_column: Annotated[
        str | None, typer.Option(help="Each of its values is a task.", rich_help_panel="Own data")
    ] = None,
    value_column: Annotated[
        str | None,
        typer.Option(help="Numbers to be predicted, not classes.", rich_help_panel="Own data"),
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    image_column: ImageColumn = None,
    columns: FeatureColumns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    json_: Json = False,
) -> None:
    """Draw labels of source tasks by their relevance to a target, and score the target.

    Labels of the data are revealed for drawn samples only, by a simulated oracle. Run the same
    command again to go on after an interruption.
    """
    from labeltrain.cli.output import Bar, as_json
    from labeltrain.multitask.page import write_page
    from labeltrain.multitask.results import read_results
    from labeltrain.multitask.running import run_in
    from labeltrain.multitask.spec import make_spec
    from labeltrain.multitask.summary import summarise
    from labeltrain.studies.overrides import overridden

    own = reading(
        text_column=text_column,
        label_column=label_column,
        id_column=id_column,
        image_column=image_column,
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
        task_column=task_column,
        value_column=value_column,
    )
    spec = make_spec(
        {
            "target": target,
            "sources": _listed(sources),
            "budget": budget,
            "method": method,
            "beside": beside,
            "target_labels": target_labels,
            "test_share": test_share,
            "seeds": seeds,
            "epochs": epochs,
            "growth": growth,
            "floor": floor,
            "mixing": mixing,
            "keep": keep,
            "power": power,
            "penalty": _penalty(penalty),
            "unexplained": unexplained,
            "top": top,
            "costs": _costs(cost or []),
            "guard": guard,
            "dimension": dimension,
            "ridge": ridge,
            "components": components,
            "encoder": encoder,
            "encoder_options": overridden({}, encoder_set, {}) if encoder_set else {},
            "representation": representation,
            "network": overridden({}, network_set, {}) if network_set else {},
            "reading": own,
        }
    )
    folder = workspace or Path("runs") / f"multitask-{_slug(target)}"
    with Bar() as bar:
        worked = run_in(spec, folder, bar)
    results = read_results(folder)
    files = write_page(results, folder)
    if json_:
        as_json(
            {"workspace": str(folder), "worked": worked, "html": str(files.html),
             **summarise(results).as_json()}
        )  # fmt: skip
        return
    if not worked:
        typer.echo(f"{folder} is finished already; nothing was run.")
    _show(results)
    typer.echo(f"\nReport: {files.html}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The workspace of a run.", metavar="WORKSPACE")],
    out: Annotated[
        Path | None, typer.Option(help="Where the page and plots go; WORKSPACE if not given.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write multitask.html and its pictures, and print what the run shows."""
    from labeltrain.cli.output import as_json
    from labeltrain.multitask.page import write_page
    from labeltrain.multitask.results import read_results
    from labeltrain.multitask.summary import summarise

    results = read_results(folder)
    files = write_page(results, out or folder)
    if json_:
        pictures = [str(p) for p in files.pngs]
        as_json({"html": str(files.html), "pictures": pictures, **summarise(results).as_json()})
        return
    _show(results)
    typer.echo(f"\nReport: {files.html}")
    for picture in files.pngs:
        typer.echo(f"  {picture}")


def _show(results: RunResults) -> None:
    from labeltrain.cli.output import as_table
    from labeltrain.multitask.summary import summarise
    from labeltrain.multitask.words import sentences, summary_rows

    summary = summarise(results)
    data = results.data
    title = f"\n{data['target']['name']} from {len(data['sources'])} source tasks"
    rows = summary_rows(summary)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows:
        as_table(rows, names, title=title)
    for told in sentences(summary):
        typer.echo(f"\n{told}")
    for task in data["left_out"]:
        typer.echo(f"\nleft out: {task}")
    if not results.complete:
        typer.echo("\nPartial: the run is not finished; run it again to go on.")


def _listed(sources: list[str]) -> list[str]:
    """Return the sources of all options, cut at commas unless a file is called so."""
    found = []
    for given in sources:
        whole = Path(given).expanduser().exists()
        found += [given] if whole else [s.strip() for s in given.split(",") if s.strip()]
    return found


def _penalty(given: str) -> float | str:
    try:
        return float(given)
    except ValueError:
        return given


def _costs(given: list[str]) -> dict[str, float]:
    from labeltrain.errors import BadInput

    found = {}
    for one in given:
        task, _, number = one.rpartition("=")
        try:
            found[task] = float(number)
        except ValueError:
            task = ""
        if not task:
            raise BadInput(f"--cost {one!r} is no cost of a task", "write TASK=2.5")
    return found


def _slug(name: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.") or "target"
