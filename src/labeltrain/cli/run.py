"""`labeltrain run`: a study, from options or from a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from labeltrain.cli.options import (
    Delimiter,
    Encoding,
    FeatureColumns,
    IdColumn,
    ImageColumn,
    LabelColumn,
    TextColumn,
    reading,
)


def run(
    spec: Annotated[
        Path | None, typer.Argument(help="A YAML spec; the options below win over it.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A shipped data set, or the path of your own.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="labeltrain list encoders; hf:NAME or a path also work.")
    ] = None,
    learner: Annotated[str | None, typer.Option(help="labeltrain list learners.")] = None,
    final: Annotated[
        str | None,
        typer.Option(
            help="An expensive learner, trained on what the loop selected: finetune, mean-teacher."
        ),
    ] = None,
    final_at: Annotated[
        str | None,
        typer.Option(help="Numbers of labels at which it is trained: 200,500. The end if none."),
    ] = None,
    strategies: Annotated[
        str | None, typer.Option(help="Names with commas; labeltrain list strategies.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Labels asked each round.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds after the seed set.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="A number of seeds, a list 1,2,3 or a range 20-29.")
    ] = None,
    seed_size: Annotated[
        int | None, typer.Option(help="Labels of the seed set; as many as a batch if not given.")
    ] = None,
    seed_method: Annotated[
        str | None, typer.Option(help="random, or another strategy that needs no model.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Where the study is kept; runs/NAME if not given.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="own: one fixed split; redraw: one for each seed.")
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Test share of data without a split of their own.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Classes with commas; all others are merged into one, rest."),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(
            help="In the pool, items of a rare class (those of --keep, or the smallest) by those "
            "of the largest: 0.01."
        ),
    ] = None,
    long_tail: Annotated[
        float | None,
        typer.Option(help="In the pool, items of the first class by those of the last: 100."),
    ] = None,
    noise: Annotated[float | None, typer.Option(help="Share of wrong answers.")] = None,
    annotators: Annotated[
        str | None,
        typer.Option(help="Share of wrong answers of each annotator: 0.1,0.1,0.3."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Score on which label saving is computed.")
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    image_column: ImageColumn = None,
    columns: FeatureColumns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, any key of a spec: --set seed_set.size=20."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Worker processes; one a processor if not given, one for fine-tuning. "
            "Same results."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Compare strategies on a data set: how many labels does each need?

    Run the same command again to go on after an interruption; a finished study does nothing.
    """
    import os

    from labeltrain.cli.output import Bar, as_json
    from labeltrain.cli.report import print_summary
    from labeltrain.errors import BadInput
    from labeltrain.studies import read_results, run_study
    from labeltrain.studies.overrides import overridden
    from labeltrain.studies.spec import load_spec, parse_spec

    data = reading(
        text_column=text_column,
        label_column=label_column,
        id_column=id_column,
        image_column=image_column,
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
    )
    options: dict[str, Any] = {
        "dataset": dataset,
        "encoder": encoder,
        "learner": learner,
        "final.learner": final,
        "final.at": final_at,
        "strategies": strategies,
        "batch": batch,
        "rounds": rounds,
        "seeds": seeds,
        "seed_set.size": seed_size,
        "seed_set.method": seed_method,
        "split": split,
        "test_fraction": test_fraction,
        "imbalance.keep": keep,
        "imbalance.ratio": ratio,
        "imbalance.long_tail": long_tail,
        "oracle.noise": noise,
        "oracle.annotators": annotators,
        "metric": metric,
        **{f"dataset_options.{key}": value for key, value in data.items()},
    }
    given = {key: value for key, value in options.items() if value is not None}
    if spec is not None and (kind := kind_in(spec)):
        if given or set_:
            raise BadInput(
                f"{spec} is a study with kind: {kind}, which takes no options of `run`",
                "edit the spec",
            )
        if kind == "sft":
            from labeltrain.cli.sft.studies import run_spec
        else:
            from labeltrain.cli.multitask_study import run_spec
        run_spec(spec, workspace or Path("runs") / spec.stem, workers)
        return
    if spec is not None:
        study = load_spec(spec, set_ or (), given)
        name = spec.stem
    elif dataset is None and not any(s.startswith("dataset=") for s in set_ or ()):
        raise BadInput("no data set is given", "add --dataset NAME, or the path of a spec")
    else:
        study = parse_spec(overridden({}, set_ or (), given))
        name = study.experiments[0].title
    folder = workspace or Path("runs") / name
    count = os.cpu_count() or 1 if workers is None else workers
    with Bar() as bar:
        worked = run_study(study, folder, workers=count, progress=bar)
    results = read_results(folder)
    if json_:
        from labeltrain.cli.report import numbers

        as_json({"workspace": str(folder), "worked": worked, **numbers(results)})
        return
    if not worked:
        typer.echo(f"{folder} is finished already; nothing was run.")
    print_summary(results)
    typer.echo(f"\nKept in {folder}. For plots and every table: labeltrain report {folder}")


def kind_in(spec: Path) -> str:
    """Return the kind that a spec names, of those that are read elsewhere; "" for other studies."""
    import re

    try:
        text = spec.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # the reader says what is wrong
    found = re.search(r"^kind:\s*(sft|multitask)\s*$", text, re.M)
    return found[1] if found else ""
