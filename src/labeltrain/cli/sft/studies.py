"""Commands that show a workspace, and compare designs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labeltrain.cli.options import Json
from labeltrain.cli.sft.options import Workspace

Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Models trained side by side; 1 if not given. Same results."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command("report")(report)
    app.command("study")(study)


def report(
    workspace: Workspace,
    out: Annotated[
        Path | None, typer.Option(help="Where the page goes; the workspace if not given.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show the pool, the choices, the models and what each cost, and curves over the budgets."""
    from labeltrain.cli.output import as_json, as_table
    from labeltrain.cli.report import print_summary
    from labeltrain.report import write
    from labeltrain.sft.overview import overview
    from labeltrain.sft.page import write_page
    from labeltrain.sft.results import read_results
    from labeltrain.sft.study import spec_of
    from labeltrain.sft.trained_results import trained_results
    from labeltrain.sft.workspace import PromptWorkspace

    with PromptWorkspace.open(workspace, read_only=True) as held:
        shown = overview(held)
        spec = spec_of(held)
        results = trained_results(held) if spec is None else read_results(workspace)
    folder = out or workspace
    page = write_page(shown, folder, str(spec["title"]) if spec else f"Prompts of {workspace}")
    written = [page]
    if results is not None:
        written.append(write(results, folder).html)
    if json_:
        as_json({**shown, "pages": [str(path) for path in written]})
        return
    if results is not None:
        print_summary(results)
    for name in ("choices", "models", "overhead"):
        rows = [{k: v for k, v in row.items() if k != "tasks"} for row in shown[name]]
        if rows:
            as_table(rows, list(dict.fromkeys(k for row in rows for k in row)), title=name)
    for path in written:
        typer.echo(f"Report: {path}")


def study(
    spec: Annotated[Path, typer.Argument(help="A YAML spec with kind: sft; see docs/sft.md.")],
    workspace: Workspace,
    workers: Workers = None,
) -> None:
    """Compare designs: score once, then choose, train and evaluate, seed by seed; it resumes."""
    run_spec(spec, workspace, workers)


def run_spec(spec: Path, workspace: Path, workers: int | None = None) -> None:
    """Run a study of designs from its spec, and print what it shows so far."""
    from labeltrain.cli.output import Bar
    from labeltrain.cli.report import print_summary
    from labeltrain.sft.results import read_results
    from labeltrain.sft.study import run_study
    from labeltrain.sft.study_spec import parsed_spec
    from labeltrain.studies.overrides import read_mapping

    values = read_mapping(spec, "docs/sft.md lists the keys of a study")
    parsed = parsed_spec(values)
    with Bar() as bar:
        trained = run_study(parsed, workspace, bar, workers=1 if workers is None else workers)
    if not trained:
        typer.echo(f"{workspace} is finished already; nothing was run.")
    print_summary(read_results(workspace))
    typer.echo(f"\nKept in {workspace}. For plots and tables: labeltrain report {workspace}")
