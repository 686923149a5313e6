"""What active learning saves under class imbalance.

    python benchmarks/imbalance.py runs/imbalance [--out FILE] [--curves FILE] [--plot FILE]
    python benchmarks/imbalance.py studies/results/imbalance/curves.jsonl [--table]

Reads studies, or the curves of some that were kept with `--curves`. An experiment "NAME, long" is
random sampling of "NAME", further on and with larger batches. For every experiment and strategy:

- `random`: labels needed for the score that random sampling has with all labels of its long curve,
  with half, and with a quarter of them, and how many times fewer that is;
- `margin`, `badge`, `galaxy`: the same for the score with which these end;
- `area`: the mean score over all rounds, and its difference from that of each other strategy;
- `found`: labels of the rare classes at the end: of those with less than a fifth of the items of
  the largest one.

Intervals are 95 %, seeds resampled jointly; those of `area` are t intervals of paired differences.
A curve that never gets there counts with its last number of labels, so that the value is a bound,
and is named in `censored`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labeltrain.metrics import Contrast, Results, contrast, t_interval
from labeltrain.studies import read_results

LONG = ", long"
SHARES = (1.0, 0.5, 0.25)
RIVALS = ("margin", "badge", "galaxy")
SMALL = 0.2  # of the items of the largest class
METRICS = ("balanced_accuracy", "macro_f1", "map")  # of several labels only the last two


class Line(NamedTuple):
    """The curve of one seed."""

    experiment: str
    strategy: str
    seed: int
    labels: list[int]
    scores: dict[str, list[float]]
    found: list[int]


def main() -> None:
    """Print a line for each number."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+", help="workspaces, or files of curves")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0])
    parser.add_argument("--out", type=Path, help="a line of JSON for each number")
    parser.add_argument("--curves", type=Path, help="a line of JSON for each curve")
    parser.add_argument("--plot", type=Path, help="a picture of the mean curves")
    parser.add_argument("--table", action="store_true", help="tables in Markdown, instead")
    options = parser.parse_args()
    lines = [line for source in options.sources for line in read(source)]
    found = tables_of(lines, options.metric)
    rows = [row for name in found for row in numbers(name, found)]
    for text in markdown(rows) if options.table else map(_line, rows):
        print(text)
    if options.out:
        _write(options.out, [{"metric": options.metric, **_finite(row)} for row in rows])
    if options.curves:
        _write(options.curves, [line._asdict() for line in lines])
    if options.plot:
        draw(found, options.plot, options.metric)


def read(source: Path) -> list[Line]:
    """Return the whole curves of a workspace, or of a file of them."""
    if source.is_dir():
        return lines_of(read_results(source))
    texts = source.read_text(encoding="utf-8").splitlines()
    return [Line(**json.loads(text)) for text in texts]


def lines_of(results: Results) -> list[Line]:
    """Return the curves that are whole.

    Examples
    --------
    >>> lines_of(Results("empty", "", {}, (), ()))
    []
    """
    rare = {e.name: e.test_counts < SMALL * e.test_counts.max() for e in results.experiments}
    return [
        Line(
            curve.experiment,
            curve.strategy,
            curve.seed,
            np.asarray(curve.labels).tolist(),
            {m: np.round(curve.scores[m], 6).tolist() for m in METRICS if m in curve.scores},
            np.asarray(curve.found)[:, rare[curve.experiment]].sum(axis=1).astype(int).tolist(),
        )
        for curve in results.curves
        if curve.complete and curve.found is not None
    ]


class Strategy(NamedTuple):
    """The curves of a strategy; a row a seed."""

    labels: np.ndarray  # (R,)
    scores: np.ndarray  # (S, R)
    found: np.ndarray  # (S, R)
    seeds: list[int]


Tables = dict[str, dict[str, Strategy]]


def tables_of(lines: Sequence[Line], metric: str = METRICS[0]) -> Tables:
    """Return the curves by experiment and strategy; the long ones are their own experiments.

    Examples
    --------
    >>> line = Line("R8", "random", 3, [10, 20], {"balanced_accuracy": [0.5, 0.75]}, [1, 2])
    >>> tables_of([line])["R8"]["random"].scores
    array([[0.5 , 0.75]])
    """
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(lines, key=lambda line: line.seed):
        if metric not in line.scores:
            continue
        groups.setdefault((line.experiment, line.strategy), []).append(line)
    found: Tables = {}
    for (experiment, strategy), some in groups.items():
        if any(line.labels != some[0].labels for line in some):
            raise SystemExit(f"{experiment}, {strategy}: seeds with different numbers of labels")
        found.setdefault(experiment, {})[strategy] = Strategy(
            np.array(some[0].labels),
            np.array([line.scores[metric] for line in some]),
            np.array([line.found for line in some]),
            [line.seed for line in some],
        )
    return found


def numbers(name: str, tables: Tables) -> list[dict[str, Any]]:
    """Return the numbers of one experiment."""
    if name.endswith(LONG):
        return []
    here = tables[name]
    reference = tables.get(name + LONG, {}).get("random") or here.get("random")
    rows: list[dict[str, Any]] = []
    for strategy, curve in here.items():
        common = {"experiment": name, "strategy": strategy, "seeds": len(curve.seeds)}
        rows.append({**common, "kind": "area", **_area(strategy, here)})
        rows.append({**common, "kind": "found", "value": float(curve.found[:, -1].mean())})
        if reference is not None:
            for share in SHARES:
                held = _labels(curve, reference, share)
                rows.append({**common, "kind": "random", "share": share, **held})
        for rival in RIVALS:
            if rival in here and rival != strategy:
                rows.append({**common, "kind": rival, **_labels(curve, here[rival], 1.0)})
    return rows


def _labels(mine: Strategy, other: Strategy, share: float) -> dict[str, Any]:
    """Return what both need for the score that the other has with a share of its labels."""
    common = sorted(set(mine.seeds) & set(other.seeds))
    curves = {
        "mine": (mine.labels, mine.scores[[mine.seeds.index(s) for s in common]]),
        "other": (other.labels, other.scores[[other.seeds.index(s) for s in common]]),
    }
    at = share * other.labels[-1]

    def targets(means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = means["other"]
        wanted = np.array([np.interp(at, other.labels, row) for row in rows])
        return dict.fromkeys(means, wanted)

    found: Contrast = contrast(curves, targets, lambda need: need["other"] / need["mine"])
    target = float(np.interp(at, other.labels, _monotone(curves["other"][1])))
    floor = found.needs["mine"] == mine.labels[0]
    return {
        "at": float(at),
        "target": target,
        "labels": found.needs["mine"],
        "value": found.value,
        "low": found.low,
        "high": np.inf if floor and found.high is not None else found.high,
        "censored": [name for name in found.censored if name == "mine"],
        "floor": bool(floor),
    }


def _monotone(scores: np.ndarray) -> np.ndarray:
    from labeltrain.metrics.monotone import isotonic

    return np.asarray(isotonic(scores.mean(axis=0, keepdims=True))[0])


def _area(strategy: str, here: dict[str, Strategy]) -> dict[str, Any]:
    """Return the mean score over rounds, and its differences from the other strategies."""
    mine = here[strategy]
    found: dict[str, Any] = {
        "value": float(mine.scores.mean()),
        "end": float(mine.scores[:, -1].mean()),
        "against": {},
    }
    for other, theirs in here.items():
        if other == strategy:
            continue
        common = sorted(set(mine.seeds) & set(theirs.seeds))
        gaps = np.array([
            mine.scores[mine.seeds.index(s)].mean() - theirs.scores[theirs.seeds.index(s)].mean()
            for s in common
        ])  # fmt: skip
        found["against"][other] = [float(gaps.mean()), *(t_interval(gaps) or (None, None))]
    return found


def markdown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return tables: scores, and how many times fewer labels than random, by experiment."""
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    pages: list[tuple[str, str, Callable[[dict[str, Any]], str]]] = [
        ("Mean over rounds", "area", lambda row: f"{100 * row['value']:.1f}"),
        ("At the end", "area", lambda row: f"{100 * row['end']:.1f}"),
        ("Labels of rare classes", "found", lambda row: f"{row['value']:.0f}"),
    ]
    text = []
    for title, kind, cell in pages:
        text += _page(title, strategies, [row for row in rows if row["kind"] == kind], cell)
    for share in SHARES:
        some = [row for row in rows if row["kind"] == "random" and row["share"] == share]
        title = f"Times fewer labels than random, at {share:.0%} of its labels"
        text += _page(title, strategies, some, _times)
    return text


def _page(
    title: str,
    strategies: Sequence[str],
    rows: Sequence[dict[str, Any]],
    cell: Callable[[dict[str, Any]], str],
) -> list[str]:
    held = {(row["experiment"], row["strategy"]): cell(row) for row in rows}
    experiments = list(dict.fromkeys(row["experiment"] for row in rows))
    text = ["", f"| {title} | {' | '.join(strategies)} |", "|---" * (1 + len(strategies)) + "|"]
    for name in experiments:
        cells = [held.get((name, strategy), "") for strategy in strategies]
        text.append(f"| {name} | {' | '.join(cells)} |")
    return text


def _times(row: dict[str, Any]) -> str:
    if row["censored"]:
        return f"< {row['value']:.1f}"
    least = "at least " if row["floor"] else ""
    if row["low"] is None:
        return f"{least}{row['value']:.1f}"
    high = "…" if not np.isfinite(row["high"]) else f"{row['high']:.1f}"
    return f"{least}{row['value']:.1f} ({row['low']:.1f} to {high})"


def draw(tables: Tables, path: Path, metric: str) -> None:
    """Draw the mean curves, an experiment a panel."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in tables if not name.endswith(LONG)]
    columns = min(4, len(names))
    height = -(-len(names) // columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(4.2 * columns, 3.1 * height), squeeze=False
    )
    strategies = list(dict.fromkeys(s for name in names for s in tables[name]))
    colours = {s: plt.get_cmap("tab20")(i % 20) for i, s in enumerate(strategies)}
    for ax, name in zip(axes.flat, names, strict=False):
        for strategy, curve in tables[name].items():
            thick = 2.0 if strategy in ("direct", "galaxy", "random") else 1.2
            mean = 100 * curve.scores.mean(axis=0)
            ax.plot(curve.labels, mean, color=colours[strategy], label=strategy, linewidth=thick)
        if name + LONG in tables:
            further = tables[name + LONG]["random"]
            mean = 100 * further.scores.mean(axis=0)
            ax.plot(further.labels, mean, color=colours["random"], linestyle=":")
        ax.set_xscale("log")
        ax.set_title(name, fontsize=10)
        ax.grid(alpha=0.3)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    for row in axes:
        row[0].set_ylabel(f"{metric.replace('_', ' ')}, %")
    for ax in axes[-1]:
        ax.set_xlabel("labels")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=min(8, len(labels)), fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(_finite(row))


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without infinities, which JSON has not, in five digits."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 5) if np.isfinite(value) else None
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return {key: plain(value) for key, value in row.items()}


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
