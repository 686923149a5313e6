"""What active learning saves under class imbalance.

    python benchmarks/imbalance.py runs/imbalance [--out FILE] [--curves FILE] [--plot FILE]
    python benchmarks/imbalance.py studies/results/imbalance/curves.jsonl [--table]

Reads studies, or the curves of some that were kept with `--curves`. An experiment "NAME, long" is
random sampling of "NAME" with larger batches: where the other ends, its curve goes on. For every
experiment and strategy:

- `random`: labels needed for three quarters, 90 % and all of the rise of random sampling, and how
  many times fewer that is;
- `margin`, `badge`, `galaxy`: the same for all of the rise of these;
- `area`: the mean score over all rounds, and its difference from that of each other strategy;
- `macro_f1`: the same in macro-F1, where that is not the metric already;
- `found`: answers of the rare classes at the end: of those with less than a fifth of the items of
  the largest one. Where answers may be wrong (`wrong_answers`), these are not all rare items, and
  not all rare items that were asked: nobody but the evaluator knows the true labels.

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
SHARES = (0.75, 0.9, 1.0)  # of the rise
RIVALS = ("margin", "badge", "galaxy")
SMALL = 0.2  # of the items of the largest class
NEEDED = "random's labels"
DRAWN = ("random", "margin", "badge", "galaxy", "direct", "tailor", "cbal")
MACRO = "macro_f1"
METRICS = ("balanced_accuracy", MACRO, "map")  # of several labels only the last two
BESIDE = ("margin", "badge")  # tables say how many times fewer labels than these


class Line(NamedTuple):
    """The curve of one seed."""

    experiment: str
    strategy: str
    seed: int
    labels: list[int]
    scores: dict[str, list[float]]
    found: list[int]
    wrong: bool | None = None  # whether answers may be; None in files that do not say


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
    macro = {} if options.metric == MACRO else tables_of(lines, MACRO)
    rows = [row for name in found for row in numbers(name, found, macro)]
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
    wrong = _wrong_answers(results.spec)
    return [
        Line(
            curve.experiment,
            curve.strategy,
            curve.seed,
            np.asarray(curve.labels).tolist(),
            {m: np.round(curve.scores[m], 6).tolist() for m in METRICS if m in curve.scores},
            np.asarray(curve.found)[:, rare[curve.experiment]].sum(axis=1).astype(int).tolist(),
            curve.experiment in wrong,
        )
        for curve in results.curves
        if curve.complete and curve.found is not None
    ]


def _wrong_answers(spec: str) -> set[str]:
    """Return the experiments of a study in which answers may be wrong."""
    import yaml

    from labeltrain.studies.spec import StudySpec

    if not spec:
        return set()
    experiments = StudySpec.model_validate(yaml.safe_load(spec)).experiments
    return {e.title for e in experiments if e.oracle.noise or e.oracle.annotators or e.oracle.flips}


class Strategy(NamedTuple):
    """The curves of a strategy; a row a seed."""

    labels: np.ndarray  # (R,)
    scores: np.ndarray  # (S, R)
    found: np.ndarray  # (S, R)
    seeds: list[int]
    wrong: bool = False  # may answers be?


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
            any(map(_may_be_wrong, some)),
        )
    return found


def _may_be_wrong(line: Line) -> bool:
    if line.wrong is not None:
        return line.wrong
    return any(word in line.experiment for word in (", noise", ", annotators"))


def numbers(name: str, tables: Tables, macro: Tables | None = None) -> list[dict[str, Any]]:
    """Return the numbers of one experiment; `macro` are the tables in macro-F1."""
    if name.endswith(LONG):
        return []
    here = tables[name]
    reference = _whole(here.get("random"), tables.get(name + LONG, {}).get("random"))
    rows: list[dict[str, Any]] = []
    for strategy, curve in here.items():
        common = {"experiment": name, "strategy": strategy, "seeds": len(curve.seeds)}
        rows.append({**common, "kind": "area", **_area(strategy, here)})
        if macro and strategy in macro.get(name, {}):
            score = _area(strategy, macro[name])
            rows.append({"metric": MACRO, **common, "kind": MACRO, **score})
        many = float(curve.found[:, -1].mean())
        rows.append({**common, "kind": "found", "value": many, "wrong_answers": curve.wrong})
        if reference is not None:
            for share in SHARES:
                held = _labels(curve, reference, share)
                rows.append({**common, "kind": "random", "share": share, **held})
        for rival in RIVALS:
            if rival in here and rival != strategy:
                rows.append({**common, "kind": rival, **_labels(curve, here[rival], 1.0)})
    return rows


def _whole(short: Strategy | None, long: Strategy | None) -> Strategy | None:
    """Return the curve of random sampling in small batches, then in large ones."""
    if short is None or long is None:
        return short or long
    common = sorted(set(short.seeds) & set(long.seeds))
    later = long.labels > short.labels[-1]
    parts = [(short, np.ones(len(short.labels), dtype=bool)), (long, later)]
    rows = [
        [part.scores[part.seeds.index(seed)][chosen] for part, chosen in parts] for seed in common
    ]
    found = [
        [part.found[part.seeds.index(seed)][chosen] for part, chosen in parts] for seed in common
    ]
    return Strategy(
        np.concatenate([part.labels[chosen] for part, chosen in parts]),
        np.array([np.concatenate(row) for row in rows]),
        np.array([np.concatenate(row) for row in found]),
        common,
    )


def _labels(mine: Strategy, other: Strategy, share: float) -> dict[str, Any]:
    """Return what both need for a share of the rise of the other."""
    common = sorted(set(mine.seeds) & set(other.seeds))
    curves = {
        "mine": (mine.labels, mine.scores[[mine.seeds.index(s) for s in common]]),
        "other": (other.labels, other.scores[[other.seeds.index(s) for s in common]]),
    }

    def targets(means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = means["other"]
        return dict.fromkeys(means, rows[:, 0] + share * (rows[:, -1] - rows[:, 0]))

    found: Contrast = contrast(curves, targets, lambda need: need["other"] / need["mine"])
    first, *_, last = _monotone(curves["other"][1])
    target = float(first + share * (last - first))
    floor = found.needs["mine"] == mine.labels[0]
    return {
        "at": found.needs["other"],
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
    """Return tables, for each group of experiments that have the same strategies."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        mine = tuple(r["strategy"] for r in rows if _is(r, row["experiment"], "area"))
        groups.setdefault(mine, []).append(row)
    text = []
    for strategies, some in groups.items():
        for title, kind, cell, fits in PAGES:
            chosen = [row for row in some if row["kind"] == kind and fits(row)]
            if chosen:
                text += _page(title, strategies, chosen, cell)
        for share in SHARES[1:]:
            chosen = [row for row in some if row["kind"] == "random" and row["share"] == share]
            chosen = [row for row in chosen if row["strategy"] != "random"]
            shown = [strategy for strategy in strategies if strategy != "random"]
            title = f"Times fewer labels than random, for {share:.0%} of its rise"
            if chosen:
                columns = [NEEDED, *shown]
                text += _page(title, columns, [*map(_needed, chosen), *chosen], _times)
        for rival in BESIDE:
            chosen = [row for row in some if row["kind"] == rival and row["strategy"] != "random"]
            shown = [s for s in strategies if s not in (rival, "random")]
            if chosen:
                title = f"Times fewer labels than {rival}, for all of its rise"
                text += _page(title, shown, chosen, _times)
        if set(RIVALS) < set(strategies):
            shown = [s for s in strategies if s not in (*RIVALS, "random")]
            best = "bove the best of " + ", ".join(RIVALS)
            for title, kind in (("A" + best, "area"), ("Macro-F1 a" + best, MACRO)):
                chosen = [row for row in some if row["kind"] == kind]
                text += _page(title, shown, chosen, _above) if chosen else []
    return text


def _is(row: dict[str, Any], experiment: str, kind: str) -> bool:
    return bool(row["experiment"] == experiment and row["kind"] == kind)


def _needed(row: dict[str, Any]) -> dict[str, Any]:
    """Return what random sampling needs, as a column of its own."""
    return {"experiment": row["experiment"], "strategy": NEEDED, "needed": row["at"]}


def _above(row: dict[str, Any]) -> str:
    """Return the difference of the mean score from that of the rival with the highest one."""
    gap, low, high = min(
        (row["against"][rival] for rival in RIVALS if rival in row["against"]),
        key=lambda found: found[0],
    )
    shown = f"{100 * gap:+.1f}"
    return shown if low is None else f"{shown} ({100 * low:.1f} to {100 * high:.1f})"


def _always(row: dict[str, Any]) -> bool:
    return True


Cell = Callable[[dict[str, Any]], str]
PAGES: tuple[tuple[str, str, Cell, Callable[[dict[str, Any]], bool]], ...] = (
    ("Mean over rounds", "area", lambda row: f"{100 * row['value']:.1f}", _always),
    ("At the end", "area", lambda row: f"{100 * row['end']:.1f}", _always),
    ("Macro-F1, mean over rounds", MACRO, lambda row: f"{100 * row['value']:.1f}", _always),
    (
        "Rare items found",
        "found",
        lambda row: f"{row['value']:.0f}",
        lambda row: not row["wrong_answers"],
    ),
    (
        "Answers of rare classes, right or wrong",
        "found",
        lambda row: f"{row['value']:.0f}",
        lambda row: bool(row["wrong_answers"]),
    ),
)


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
    if "needed" in row:
        return f"{row['needed']:,.0f}"
    if row["censored"]:
        return f"< {row['value']:.1f}"
    least = "at least " if row["floor"] else ""
    if row["low"] is None:
        return f"{least}{row['value']:.1f}"
    high = "…" if not np.isfinite(row["high"]) else f"{row['high']:.1f}"
    return f"{least}{row['value']:.1f} ({row['low']:.1f} to {high})"


def draw(tables: Tables, path: Path, metric: str) -> None:
    """Draw the mean curves, a panel for each experiment in which random sampling goes further.

    Where there is none, all experiments.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in tables if name + LONG in tables] or list(tables)
    columns = min(4, len(names))
    height = -(-len(names) // columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(4.2 * columns, 3.1 * height), squeeze=False
    )
    colours = {s: plt.get_cmap("tab10")(i) for i, s in enumerate(DRAWN)}
    for ax, name in zip(axes.flat, names, strict=False):
        for strategy in DRAWN:
            if strategy not in tables[name]:
                continue
            curve = tables[name][strategy]
            thick = 2.2 if strategy in ("direct", "tailor", "random") else 1.2
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
    figure.tight_layout(rect=(0, 0.4 / figure.get_figheight(), 1, 1))
    figure.legend(handles, labels, loc="lower center", ncol=len(labels), fontsize=11)
    figure.savefig(path, dpi=70)
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
