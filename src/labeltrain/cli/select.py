"""`labeltrain select`: what to label next, from arrays in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeltrain.cli.options import Json

if TYPE_CHECKING:
    import numpy as np

    from labeltrain.loop.select import Selection

OTHERS = "Arrays that some strategies read"


def _array(what: str) -> Any:
    return typer.Option(help=what, rich_help_panel=OTHERS)


def select(
    strategy: Annotated[str, typer.Argument(help="labeltrain list strategies.", metavar="NAME")],
    budget: Annotated[
        float, typer.Option(help="How many items to pick; with --costs what they may cost in all.")
    ],
    embeddings: Annotated[Path | None, typer.Option(help=".npy (n, d): features.")] = None,
    probabilities: Annotated[
        Path | None, typer.Option(help=".npy (n, C): predicted classes; rows sum to 1.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(help="Labelled items: .txt or .npy of positions, a mask, or picks.csv."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Their labels, in the same order: .txt or .npy.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Class names with commas, in the order of the columns.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="What may be picked: .txt or .npy of positions, or a mask.")
    ] = None,
    pending: Annotated[
        Path | None, typer.Option(help="Items out for labelling already; as --labelled.")
    ] = None,
    ids: Annotated[Path | None, typer.Option(help=".txt: one id a line, n lines.")] = None,
    kind: Annotated[str, typer.Option(help="multiclass, multilabel or none.")] = "multiclass",
    seed: Annotated[int, typer.Option(help="Same arrays and seed, same picks.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, a parameter of the strategy.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=".csv, .tsv, .jsonl, .parquet; .txt, .npy: positions alone."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace the file of --out if it is there.")] = False,
    json_: Json = False,
    committee: Annotated[
        list[Path] | None, _array(".npy (S, n, C), or one .npy (n, C) for each model.")
    ] = None,
    hidden: Annotated[Path | None, _array(".npy (n, h): the last hidden layer.")] = None,
    out_of_fold: Annotated[Path | None, _array(".npy (m, C): of the labelled items.")] = None,
    posterior: Annotated[
        Path | None, _array(".npy (n, r): their inner products are posterior covariances.")
    ] = None,
    prior: Annotated[Path | None, _array(".npy (n, C): zero-shot probabilities.")] = None,
    groups: Annotated[Path | None, _array(".txt or .npy: the group of each item.")] = None,
    costs: Annotated[Path | None, _array(".txt or .npy: the cost of each item.")] = None,
    targets: Annotated[Path | None, _array(".npy (t, d): what the model is meant for.")] = None,
    scores: Annotated[
        list[str] | None, _array("NAME=FILE: .npy or .txt, one score an item.")
    ] = None,
) -> None:
    """Pick what to label next from arrays of your own; prints a table, or writes --out."""
    from labeltrain.cli.output import as_json, as_table
    from labeltrain.errors import BadInput
    from labeltrain.loop.select import resolved
    from labeltrain.loop.select import select as choose

    if out is not None:
        _check_out(out, force=force)
    chosen = resolved(strategy, _parameters(set_ or ()))
    if chosen.sequential:
        raise BadInput(
            f"strategy {strategy!r} learns from each answer, and this command asks nobody",
            "use labeltrain.select(..., ask=...) in Python, or choose another strategy",
        )
    members = [_npy(path) for path in committee or ()]
    named: dict[str, Any] = {}
    for text in scores or ():
        name, sign, path = text.partition("=")
        if not sign:
            raise BadInput(f"--scores {text!r} is not NAME=FILE", "write token_entropy=scores.npy")
        named[name] = _column(Path(path))
    names = None if classes is None else _names(classes)
    prices = None if costs is None else _column(costs)
    found = choose(
        chosen,
        budget=budget,
        seed=seed,
        kind=kind,
        classes=names,
        embeddings=_npy(embeddings),
        probabilities=_npy(probabilities),
        committee=members[0] if len(members) == 1 and members[0].ndim == 3 else members or None,
        labelled=() if labelled is None else _places(labelled),
        labels=None if labels is None else _labels(labels, names, kind),
        candidates=None if candidates is None else _places(candidates),
        pending=() if pending is None else _places(pending),
        ids=None if ids is None else _lines(ids),
        hidden=_npy(hidden),
        out_of_fold=_npy(out_of_fold),
        posterior=_npy(posterior),
        prior=_npy(prior),
        targets=_npy(targets),
        groups=None if groups is None else _column(groups),
        costs=prices,
        scores=named or None,
    )
    rows = _rows(found, ids is not None)
    columns = ["position", *(["id"] if ids is not None else []), "score", "why"]
    if out is not None:
        _write(out, found, rows, columns)
    if json_:
        as_json({"strategy": strategy, "exhausted": found.exhausted, "picks": rows})
    elif out is None:
        as_table(rows, columns)
    else:
        if prices is None:
            typer.echo(f"{out}: {len(rows)} of {budget:g} picks")
        else:
            paid = float(prices[found.positions].sum())
            typer.echo(f"{out}: {len(rows)} picks that cost {paid:g} of {budget:g}")
    if found.exhausted and not json_:
        typer.echo("the pool holds no more", err=True)


def _rows(found: Selection, with_ids: bool) -> list[dict[str, Any]]:
    rows = []
    for place, position in enumerate(found.positions.tolist()):
        score = float(found.scores[place])
        row: dict[str, Any] = {"position": position}
        if with_ids:
            row["id"] = found.ids[place]
        rows.append(row | {"score": None if score != score else score, "why": found.why[place]})
    return rows


def _check_out(out: Path, *, force: bool) -> None:
    from labeltrain.errors import BadInput
    from labeltrain.projects.files import check_writable

    if out.is_file() and not force:
        raise BadInput(f"{out} is there already", "choose another file, or --force to replace it")
    plain = out.suffix.lower() in (".npy", ".txt")
    try:
        check_writable(out.with_suffix(".csv") if plain and not out.is_dir() else out)
    except BadInput as error:
        if out.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet"):
            raise
        raise BadInput(error.problem, f"{error.remedy}; .txt and .npy take positions") from error


def _write(out: Path, found: Selection, rows: list[dict[str, Any]], columns: list[str]) -> None:
    import io

    import numpy as np

    from labeltrain.projects.files import write_rows
    from labeltrain.store.files import replace_bytes

    if out.suffix.lower() == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, found.positions, allow_pickle=False)
        replace_bytes(out, buffer.getvalue())
    elif out.suffix.lower() == ".txt":
        replace_bytes(out, "".join(f"{p}\n" for p in found.positions.tolist()).encode())
    else:
        write_rows(out, rows, columns)


def _parameters(texts: Any) -> dict[str, Any]:
    if not texts:
        return {}
    from labeltrain.studies.overrides import overridden

    return overridden({}, texts, {})


def _names(text: str) -> list[str]:
    import csv

    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]


def _npy(path: Path | None) -> Any:
    """Open an array where it lies; only what is read of it comes into memory."""
    if path is None:
        return None
    import numpy as np

    from labeltrain.errors import BadInput

    if path.suffix.lower() != ".npy":
        raise BadInput(f"{path}: arrays are read from .npy files", "write one with numpy.save")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise BadInput(
            f"cannot read {path}: {error.strerror or error}", "check the path"
        ) from error
    except (ValueError, EOFError) as error:
        raise BadInput(f"{path} is no sound .npy file: {error}", "write it again") from error


def _labels(path: Path, names: list[str] | None, kind: str) -> np.ndarray:
    """Read labels; words that are class names stay words, even when they look like numbers."""
    import numpy as np

    if kind == "multilabel" and path.suffix.lower() != ".npy":
        from labeltrain.errors import BadInput

        rows = [line.replace(",", " ").split() for line in _lines(path)]
        try:
            return np.array(rows, dtype=np.int64)
        except ValueError as error:
            raise BadInput(
                f"{path} holds no rows of 0/1 of one length", "write one row an item, or .npy"
            ) from error
    if names is not None and path.suffix.lower() != ".npy":
        lines = _lines(path)
        if set(lines) <= set(names):
            return np.array(lines, dtype=np.str_)
    return _column(path)


def _column(path: Path) -> np.ndarray:
    """Read one value a line, numbers if all of them are numbers; or a .npy file."""
    import numpy as np

    if path.suffix.lower() == ".npy":
        return _npy(path)
    lines = _lines(path)
    for kind in (np.int64, np.float64):
        try:
            return np.array(lines, dtype=kind)
        except ValueError:
            continue
    return np.array(lines, dtype=np.str_)


def _places(path: Path) -> np.ndarray:
    """Read positions or a mask: as :func:`_column`, or the column `position` of a table."""
    import csv
    import io

    import numpy as np

    from labeltrain.errors import BadInput

    if path.suffix.lower() not in (".csv", ".tsv"):
        return _column(path)
    _lines(path)  # says what is wrong with the file
    text = io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")
    rows = csv.DictReader(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    titles = [str(title) for title in rows.fieldnames or ()]
    if "position" not in titles:
        if len(titles) == 1:
            return _column(path)
        raise BadInput(
            f"{path} has no column 'position'", "give the table of --out, or one position a line"
        )
    try:
        return np.array([_whole(row["position"]) for row in rows], dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path}: a position is no whole number: {error}", "correct it") from error


def _whole(text: str) -> int:
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _lines(path: Path) -> list[str]:
    from labeltrain.errors import BadInput

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text in UTF-8", "give a text file, or .npy") from error
    while lines and not lines[-1].strip():
        lines.pop()
    lines = [line.strip() for line in lines]
    if "" in lines:
        raise BadInput(f"{path}: line {lines.index('') + 1} is empty", "write one value a line")
    return lines
