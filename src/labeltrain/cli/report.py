"""`labeltrain report`: curves, tables and a page of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from labeltrain.metrics import Results


def report(
    folder: Annotated[Path, typer.Argument(help="The workspace of a study.", metavar="DIR")],
    out: Annotated[
        Path | None, typer.Option(help="Where the page and plots go; DIR if not given.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Write report.html and PNG curves, and print the label savings."""
    from labeltrain.cli.output import as_json
    from labeltrain.report import write
    from labeltrain.store.workspace import kind_of

    kind = kind_of(folder)
    if kind == "multitask-study":
        from labeltrain.cli.multitask_study import report_study

        report_study(folder, out or folder, json_)
        return
    if kind == "sft":
        from labeltrain.sft.results import read_results
    else:
        from labeltrain.studies import read_results
    results = read_results(folder)
    files = write(results, out or folder)
    if json_:
        as_json(
            {
                "html": str(files.html),
                "pictures": [str(p) for p in files.pngs],
                **numbers(results),
            }
        )
        return
    print_summary(results)
    typer.echo(f"\nReport: {files.html}")
    for picture in files.pngs:
        typer.echo(f"  {picture}")


COLUMNS = ("strategy", "final", "area", "difference", "p", "labels to 90 %", "saving at 90 %")


def numbers(results: Results) -> dict[str, Any]:
    """Return every number of the report, for programs; docs/studies.md says what they are."""
    from dataclasses import asdict

    from labeltrain.report import compare_learners, summarise

    experiments = []
    summaries = summarise(results)
    for summary in summaries:
        experiments.append(
            {
                "experiment": summary.experiment.name,
                "metric": summary.experiment.metric,
                "baseline": summary.baseline,
                "labels": summary.aligned.labels,
                "strategies": [asdict(s) for s in summary.strategies],
                "wins": None if summary.wins is None else asdict(summary.wins),
                "notes": summary.notes,
                "diverged": summary.experiment.facts.get("diverged", ""),
            }
        )
    costs = [
        {**asdict(x), "ratio": x.ratio, "ratio_from_cache": x.ratio_from_cache}
        for x in results.costs
    ]
    return {
        "complete": results.complete,
        "experiments": experiments,
        "learners": [asdict(x) for x in compare_learners(results, summaries)],
        "costs": costs,
    }


def print_summary(results: Results) -> None:
    """Print the label savings of every experiment."""
    from labeltrain.cli.output import as_table
    from labeltrain.report import summarise, table
    from labeltrain.report.words import cost_sentence, headlines, never_found, who

    rows = table(results)
    for experiment in results.experiments:
        mine = [r for r in rows if r["experiment"] == experiment.name]
        if mine:
            as_table(mine, COLUMNS, title=f"\n{experiment.name}: {mine[0]['score']}")
        for fact in ("left out", "without a label", "diverged"):
            if fact in experiment.facts:
                typer.echo(f"{fact}: {experiment.facts[fact]}")
    every = len(results.experiments)
    summaries = summarise(results)
    unfound = {s.experiment.name: never_found(s) for s in summaries}
    for names, sentence in headlines(summaries):
        typer.echo(f"\n{who(names, every)}: {sentence}" if every > 1 else f"\n{sentence}")
        for name in names:
            if unfound[name]:
                typer.echo(f"{name}: {unfound[name]}" if every > 1 else unfound[name])
    for ledger in results.costs:
        typer.echo(f"\n{ledger.experiment}, {cost_sentence(ledger)}.")
    if not results.complete:
        typer.echo("\nPartial: the study is not finished; run it again to go on.")
