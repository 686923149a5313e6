"""What pretraining, semi-supervised learning and active learning save: alone, and together.

    python benchmarks/factorial.py runs/factorial-texts runs/factorial-mnist [--out FILE]
    python benchmarks/factorial.py studies/results/factorial/*-curves.jsonl [--plot FILE]

Reads studies, or the curves of some that were kept with `--curves`. Experiments are named "DATA,
PRETRAINING, LEARNING", PRETRAINING being "scratch", "frozen" or "fine-tuned" and LEARNING
"supervised" or "semi-supervised"; the ones that begin with clusters have ", clusters" after that.
Where an experiment has a final learner, its scores count. Random sampling is taken from the
former, active learning (`--active`) from the latter.

Every number is made of labels needed, with a 95 % interval from seeds resampled jointly:

- `labels`: what each of the twelve cells needs to reach the score of "scratch, supervised, random"
  at some number of labels; the value says how many times fewer. A cell that is there with its very
  first labels is in `floor`: it needs at most so many. One that never gets there is in `censored`
  and counts with its last number of labels; intervals hold however many more it takes.
- `ingredients`: how many times more all three together save than the product of what each saves
  alone (above 1: they help each other);
- `queries`: what active learning saves at the score that random sampling ends with, for every kind
  of pretraining and learning; `difference`: how much more than from scratch.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labeltrain.metrics import Contrast, Results, contrast
from labeltrain.studies import read_results

PRETRAINING = ("scratch", "frozen", "fine-tuned")
LEARNING = ("supervised", "semi-supervised")
CLUSTERS = ", clusters"
FINAL = ", final "
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the labels of the reference
Cell = tuple[str, str, str]  # pretraining, learning, random or active
Values = dict[str, np.ndarray]
REFERENCE: Cell = ("scratch", "supervised", "random")
ALL: Cell = ("fine-tuned", "semi-supervised", "active")


def main() -> None:
    """Print a line for each number."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+", help="workspaces, or files of curves")
    parser.add_argument(
        "--active",
        default="uherding,margin",
        help="strategy of the active cells: the first of these that an experiment has",
    )
    parser.add_argument("--out", type=Path, help="a line of JSON for each number")
    parser.add_argument("--curves", type=Path, help="a line of JSON for each curve")
    parser.add_argument("--plot", type=Path, help="a picture of the mean curves")
    parser.add_argument("--table", action="store_true", help="labels needed, in Markdown, instead")
    options = parser.parse_args()
    lines = [line for source in options.sources for line in read(source)]
    cells = curves_of(lines, options.active.split(","))
    rows = [
        row
        for data, found in cells.items()
        for kind in (labels, ingredients, queries)
        for row in kind(data, found)
    ]
    for text in table(rows) if options.table else map(_line, rows):
        print(text)
    if options.out:
        _write(options.out, [{"active": options.active, **_finite(row)} for row in rows])
    if options.curves:
        _write(options.curves, [line._asdict() for line in lines])
    if options.plot:
        draw(cells, options.plot)


class Line(NamedTuple):
    """The curve of one seed."""

    experiment: str
    strategy: str
    seed: int
    labels: list[int]
    scores: list[float]


def read(source: Path) -> list[Line]:
    """Return the whole curves of a workspace, or of a file of them."""
    if source.is_dir():
        return lines_of(read_results(source))
    texts = source.read_text(encoding="utf-8").splitlines()
    return [Line(**json.loads(text)) for text in texts]


def lines_of(results: Results) -> list[Line]:
    """Return the curves that are whole; where there is a final learner, its own.

    Examples
    --------
    >>> lines_of(Results("empty", "", {}, (), ()))
    []
    """
    metrics = {experiment.name: experiment.metric for experiment in results.experiments}
    return [
        Line(
            curve.experiment.partition(FINAL)[0],
            curve.strategy,
            curve.seed,
            np.asarray(curve.labels).tolist(),
            np.round(curve.scores[metrics[curve.experiment]], 6).tolist(),
        )
        for curve in results.curves
        if curve.complete
        and not any(name.startswith(f"{curve.experiment}{FINAL}") for name in metrics)
    ]


Found = Mapping[Cell, Mapping[int, tuple[np.ndarray, np.ndarray]]]


def curves_of(
    lines: Sequence[Line], active: Sequence[str]
) -> dict[str, dict[Cell, dict[int, tuple[np.ndarray, np.ndarray]]]]:
    """Return labels and scores by data set, cell and seed.

    Examples
    --------
    >>> lines = [Line("News, scratch, supervised", "random", 7, [10, 20], [0.5, 0.75])]
    >>> curves_of(lines, ["margin"])["News"]["scratch", "supervised", "random"][7][1]
    array([0.5 , 0.75])
    """
    found: dict[str, dict[Cell, dict[int, tuple[np.ndarray, np.ndarray]]]] = {}
    for line in lines:
        start = line.experiment.removesuffix(CLUSTERS)
        parts = start.rsplit(", ", 2)
        if len(parts) < 3 or parts[1] not in PRETRAINING or parts[2] not in LEARNING:
            continue
        clusters = start != line.experiment
        there = {other.strategy for other in lines if other.experiment == line.experiment}
        wanted = next((s for s in active if s in there), None) if clusters else "random"
        if line.strategy != wanted:
            continue
        cell = (parts[1], parts[2], "active" if clusters else "random")
        kept = (np.asarray(line.labels), np.asarray(line.scores))
        found.setdefault(parts[0], {}).setdefault(cell, {})[line.seed] = kept
    return found


def labels(data: str, found: Found) -> list[dict[str, Any]]:
    """Return the labels that each cell needs for the scores of the reference."""
    rows = []
    grid = _grid(found.get(REFERENCE))
    for share, cell in itertools.product(SHARES, found):
        if grid is None or cell == REFERENCE or not _together(found, [REFERENCE, cell]):
            continue
        at = share * grid[-1]
        rows.append(
            {
                "kind": "labels", "data": data, "cell": " ".join(cell), "reference": at,
                **_numbers(
                    found, [REFERENCE, cell], _score_at(grid, at), lambda n, cell=cell: (
                        n[_name(REFERENCE)] / n[_name(cell)]
                    )
                ),
            }
        )  # fmt: skip
    return rows


def ingredients(data: str, found: Found) -> list[dict[str, Any]]:
    """Return how many times fewer labels one ingredient needs, all together, and the synergy."""
    grid = _grid(found.get(REFERENCE))
    if grid is None:
        return []
    rows = []
    for pretrained in PRETRAINING[1:]:
        alone = [
            (pretrained, "supervised", "random"),
            ("scratch", "semi-supervised", "random"),
            ("scratch", "supervised", "active"),
        ]
        every = (pretrained, "semi-supervised", "active")
        if not _together(found, [REFERENCE, *alone, every]):
            continue

        def synergy(needs: Values, alone: Any = alone, every: Any = every) -> np.ndarray:
            reference = needs[_name(REFERENCE)]
            product = np.prod([reference / needs[_name(cell)] for cell in alone], axis=0)
            return np.asarray(reference / needs[_name(every)] / product)

        for share in SHARES:
            at = share * grid[-1]
            numbers = _numbers(found, [REFERENCE, *alone, every], _score_at(grid, at), synergy)
            rows.append(
                {
                    "kind": "ingredients",
                    "data": data,
                    "cell": pretrained,
                    "reference": at,
                    **numbers,
                }
            )
    return rows


def queries(data: str, found: Found) -> list[dict[str, Any]]:
    """Return what active learning saves, and how much more than from scratch."""
    rows = []
    for learning in LEARNING:
        for pretrained in PRETRAINING:
            pairs = [(pretrained, learning, query) for query in ("random", "active")]
            if not _together(found, pairs):
                continue
            row = {"kind": "queries", "data": data, "cell": f"{pretrained} {learning}"}
            rows.append({**row, **_numbers(found, pairs, _own_end, _saving(pairs))})
            base = [("scratch", learning, query) for query in ("random", "active")]
            if pretrained == "scratch" or not _together(found, [*pairs, *base]):
                continue
            more, less = _saving(pairs), _saving(base)
            row = {**row, "kind": "difference"}
            numbers = _numbers(
                found, [*pairs, *base], _own_end, lambda n, more=more, less=less: more(n) - less(n)
            )
            rows.append({**row, **numbers})
    return rows


def _saving(pair: Sequence[Cell]) -> Callable[[Values], np.ndarray]:
    random, active = map(_name, pair)
    return lambda needs: 1.0 - needs[active] / needs[random]


def _own_end(means: Values) -> Values:
    """Return as targets where random sampling of the same pretraining and learning ends."""
    return {name: means[f"{name.rsplit(' ', 1)[0]} random"][:, -1] for name in means}


def _score_at(grid: np.ndarray, at: float) -> Callable[[Values], Values]:
    """Return targets: the reference's score at a number of labels, for all."""

    def targets(means: Values) -> Values:
        reference = means[_name(REFERENCE)]
        scores = np.array([np.interp(at, grid, mean) for mean in reference])
        return dict.fromkeys(means, scores)

    return targets


def _name(cell: Cell) -> str:
    return " ".join(cell)


def _grid(seeds: Mapping[int, tuple[np.ndarray, np.ndarray]] | None) -> np.ndarray | None:
    return None if not seeds else next(iter(seeds.values()))[0]


def _together(found: Found, cells: Sequence[Cell]) -> list[int]:
    """Return the seeds that all of the cells have."""
    return sorted(set.intersection(*(set(found.get(cell, ())) for cell in cells)))


def _numbers(
    found: Found,
    cells: Sequence[Cell],
    targets: Callable[[Values], Values],
    combine: Callable[[Values], np.ndarray],
) -> dict[str, Any]:
    """Return the contrast over the seeds that all of the cells have."""
    common = _together(found, cells)
    curves = {
        _name(cell): (_grid(found[cell]), np.array([found[cell][seed][1] for seed in common]))
        for cell in cells
    }
    made: Contrast = contrast(curves, targets, combine)
    floor = [name for name, need in made.needs.items() if need == curves[name][0][0]]
    return {
        "value": made.value,
        "low": made.low,
        "high": made.high,
        "needs": made.needs,
        "floor": floor,
        "censored": list(made.censored),
        "seeds": made.seeds,
    }


def draw(cells: Mapping[str, Found], path: Path) -> None:
    """Draw the mean curves of all cells, a panel for each data set."""
    from matplotlib.figure import Figure

    from labeltrain.report.draw import png
    from labeltrain.report.look import GREY, PALETTE, dress

    figure = Figure(figsize=(5.2 * len(cells), 5.6), layout="constrained")
    panels = figure.subplots(1, len(cells), squeeze=False)[0]
    named: dict[str, Any] = {}
    for axes, (data, found) in zip(panels, cells.items(), strict=True):
        for cell in itertools.product(PRETRAINING, LEARNING, ("random", "active")):
            if cell not in found:
                continue
            grid = _grid(found[cell])
            mean = 100 * np.mean([scores for _, scores in found[cell].values()], axis=0)
            (line,) = axes.plot(
                grid, mean, color=PALETTE[PRETRAINING.index(cell[0])],
                linestyle="-" if cell[2] == "active" else (0, (4, 1.5)),
                linewidth=2.4 if cell[1] == "semi-supervised" else 1.1,
                marker="o" if len(grid) < 8 else None, markersize=4,
            )  # fmt: skip
            named.setdefault(", ".join(cell), line)
        dress(axes)
        axes.set_xscale("log")
        ticks = [n for n in (10, 20, 50, 100, 200, 500, 1000) if n <= axes.get_xlim()[1]]
        axes.set_xticks(ticks, [str(n) for n in ticks], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_title(data, loc="left", fontsize=11)
        axes.set_xlabel("labels", color=GREY)
    panels[0].set_ylabel("accuracy (%)", color=GREY)
    columns = len({name.partition(",")[0] for name in named})
    names = sorted(named, key=lambda name: PRETRAINING.index(name.partition(",")[0]))
    figure.legend(
        [named[name] for name in names], names, loc="outside lower center", ncols=columns,
        frameon=False, fontsize=8,
    )  # fmt: skip
    png(figure, path)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _finite(value: Any) -> Any:
    """Return a value with None for what is infinite, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return Markdown: a row for each cell, a column for each number of labels of the reference.

    Examples
    --------
    >>> needs = {"scratch supervised random": 40.0, "frozen supervised random": 10.0}
    >>> row = {"kind": "labels", "data": "News", "cell": "frozen supervised random",
    ...        "reference": 40.0, "value": 4.0, "low": 3.0, "high": 5.0, "needs": needs,
    ...        "floor": [], "censored": []}
    >>> print("\\n".join(table([row])))
    | News | 40 |
    |---|---|
    | frozen, supervised, random | 10, 4.0 x (3.0 to 5.0) |
    """
    found: list[str] = []
    labels = [row for row in rows if row["kind"] == "labels"]
    for data in dict.fromkeys(row["data"] for row in labels):
        here = [row for row in labels if row["data"] == data]
        columns = list(dict.fromkeys(row["reference"] for row in here))
        found += [f"| {data} | {' | '.join(f'{at:.0f}' for at in columns)} |"]
        found += ["|---" * (1 + len(columns)) + "|"]
        for cell in itertools.product(PRETRAINING, LEARNING, ("random", "active")):
            of = {row["reference"]: row for row in here if row["cell"] == _name(cell)}
            if of:
                cells = " | ".join(_entry(of[at]) if at in of else "" for at in columns)
                found.append(f"| {', '.join(cell)} | {cells} |")
    return found


def _entry(row: Mapping[str, Any]) -> str:
    """Return the labels that are needed, and how many times fewer they are."""
    if row["cell"] in row["censored"]:
        return "not reached"
    needed, times = f"{row['needs'][row['cell']]:.0f}", f"{row['value']:.1f}"
    if row["cell"] in row["floor"]:
        return f"at most {needed}, at least {times} x"
    low, high = row["low"], row["high"]
    return f"{needed}, {times} x" + ("" if low is None else f" ({low:.1f} to {high:.1f})")


def _line(row: Mapping[str, Any]) -> str:
    """Return a row as a line of text."""
    interval = "" if row["low"] is None else f" ({row['low']:.2f} to {row['high']:.2f})"
    at = f" at the reference's {row['reference']:.0f}" if "reference" in row else ""
    needs = ", ".join(f"{name} {value:.0f}" for name, value in row["needs"].items())
    return (
        f"{row['kind']:11s} {row['data']:14s} {row['cell']}{at}: {row['value']:.2f}{interval}; "
        f"{needs}; {row['seeds']} seeds"
    )


if __name__ == "__main__":
    main()
