"""`labeltrain data`: the shipped data sets, and a look at your own."""

from __future__ import annotations

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

app = typer.Typer(help="Data sets: list, show, fetch.", no_args_is_help=True)


def datasets() -> list[dict[str, Any]]:
    """Return one row per shipped data set."""
    from labeltrain import data

    return [{"name": name, **data.describe(name)} for name in data.names()]


@app.command("list")
def list_(json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the data sets that can be named anywhere a data set is asked for."""
    from labeltrain.cli.output import as_json, as_table

    as_json(datasets()) if json_ else as_table(datasets())


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped data set, or the path of your own.")],
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    image_column: ImageColumn = None,
    columns: FeatureColumns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what is in a data set: items, classes, split, and the first items."""
    from labeltrain.cli.output import as_json, as_table

    options = reading(
        text_column=text_column,
        label_column=label_column,
        id_column=id_column,
        image_column=image_column,
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
    )
    facts = _facts(name, options)
    if json_:
        as_json(facts)
        return
    as_table([{"": k, "value": v} for k, v in facts.items() if k not in ("class_counts", "first")])
    if facts["class_counts"]:
        counts = [{"class": c, "items": n} for c, n in facts["class_counts"].items()]
        typer.echo("")
        as_table(counts)
    typer.echo("")
    as_table(facts["first"])


def _facts(name: str, options: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from labeltrain import data

    dataset = data.load(name, **options)
    labels = dataset.labels
    counts: dict[str, int] = {}
    unlabelled = len(dataset)
    if labels is not None:
        if labels.ndim == 2:
            known = labels[:, 0] >= 0
            numbers = labels[known].sum(axis=0)
        else:
            known = labels >= 0
            numbers = np.bincount(labels[known], minlength=len(dataset.classes))
        unlabelled = int((~known).sum())
        counts = {c: int(n) for c, n in zip(dataset.classes, numbers, strict=True)}
    first = []
    for position in range(min(3, len(dataset))):
        label = ""
        if labels is not None and labels[position].min() >= 0:
            row = labels[position]
            given = np.flatnonzero(row) if labels.ndim == 2 else [row]
            label = ", ".join(dataset.classes[c] for c in given)
        item = dataset.items[position]
        shown = item if isinstance(item, str) else np.array2string(np.asarray(item), threshold=6)
        first.append({"id": dataset.ids[position], "item": str(shown)[:120], "label": label})
    return {
        "name": dataset.name,
        "modality": dataset.modality,
        "kind": dataset.kind,
        "items": len(dataset),
        "without a label": unlabelled,
        "test items": None if dataset.test is None else len(dataset.test),
        "classes": len(dataset.classes),
        "licence": dataset.licence,
        **dataset.facts,
        "class_counts": counts,
        "first": first,
    }


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A shipped data set, or 'all'.")],
) -> None:
    """Fetch a data set into the cache, checking its checksum."""
    from labeltrain import data

    for one in data.names() if name == "all" else [name]:
        dataset = data.load(one)
        typer.echo(f"{one}: {len(dataset)} items, {len(dataset.classes)} classes")
