"""Studies with ``kind: multitask``: each task is the target once; run and report."""

from __future__ import annotations

from pathlib import Path

import typer


def run_spec(spec: Path, workspace: Path, workers: int | None = None) -> None:
    """Run a study of many targets from its spec, and print what it shows so far."""
    from labeltrain.cli.output import Bar
    from labeltrain.kernels.threads import available_threads
    from labeltrain.multitask.study import make_study_spec, run_study
    from labeltrain.studies.overrides import read_mapping

    values = read_mapping(spec, "docs/multitask.md lists the keys of a study")
    parsed = make_study_spec(values)
    with Bar() as bar:
        done = run_study(
            parsed, workspace, bar, workers=available_threads() if workers is None else workers
        )
    if not done:
        typer.echo(f"{workspace} is finished already; nothing was run.")
    _show(workspace)
    typer.echo(f"\nKept in {workspace}. For plots and tables: labeltrain report {workspace}")


def report_study(folder: Path, out: Path, json_: bool) -> None:
    """Write report.html and its pictures, and print what the study shows."""
    from labeltrain.cli.output import as_json
    from labeltrain.multitask.study import read_study, summarise_study, write_study_page

    results = read_study(folder)
    files = write_study_page(results, out)
    if json_:
        pictures = [str(p) for p in files.pngs]
        told = summarise_study(results).as_json()
        as_json({"html": str(files.html), "pictures": pictures, **told})
        return
    _show(folder)
    typer.echo(f"\nReport: {files.html}")
    for picture in files.pngs:
        typer.echo(f"  {picture}")


def _show(folder: Path) -> None:
    from labeltrain.cli.output import as_table
    from labeltrain.multitask.study import read_study, summarise_study
    from labeltrain.multitask.study.words import study_rows, study_sentences

    results = read_study(folder)
    summary = summarise_study(results)
    rows = study_rows(summary)
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row))
        as_table(rows, names, title=f"\n{results.spec.title}")
    for told in study_sentences(summary):
        typer.echo(f"\n{told}")
    if not results.complete:
        typer.echo("\nPartial: the study is not finished; run it again to go on.")
