"""What going on from the model before saves against retraining from scratch in every round.

    python benchmarks/continual.py runs/continual-mlp [--curves FILE] [--plot FILE]
    python benchmarks/continual.py studies/results/continual/*-curves.jsonl [--out FILE]

Reads studies, or the curves of some that were kept with `--curves`. Experiments are named "DATA,
LEARNER"; the learner "retrain" of the same data is what the others are compared with. Tables for
every data set and strategy, over the seeds that both have:

- `final`, `mean`: percentage points of accuracy, at the end and over all rounds, above retraining,
  with the 95 % t interval of the paired differences;
- `total`: how many times less time than retraining, of training (with what is kept for replay),
  choosing and storing, all rounds; `train`: of training alone; `examples`: processed in training.
  Geometric means over seeds, with t intervals of their logarithms;
- `holds`: both intervals of accuracy lie above -0.5 points; in the tables such learners are bold
  where they take a third of the time or less.

Last, for every data set: how many times less time after a third, two thirds and all of the rounds,
geometric means over strategies and seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labeltrain.metrics import Results, t_interval
from labeltrain.studies import read_results

REFERENCE = "retrain"
MARGIN = -0.5  # points: what is above is no worse
SPENT = ("train", "select", "store")


class Line(NamedTuple):
    """The curve of one seed."""

    data: str
    learner: str
    strategy: str
    seed: int
    labels: list[int]
    scores: list[float]
    seconds: dict[str, list[float]]
    examples: list[int]

    @property
    def total(self) -> np.ndarray:
        """Seconds until the end of each round."""
        return np.cumsum(np.sum([self.seconds[step] for step in SPENT], axis=0))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+", help="workspaces, or files of curves")
    parser.add_argument("--curves", type=Path, help="a line of JSON for each curve")
    parser.add_argument("--out", type=Path, help="a line of JSON for each row of the tables")
    parser.add_argument("--plot", type=Path, help="accuracy against seconds and examples")
    options = parser.parse_args()
    lines = [line for source in options.sources for line in read(source)]
    rows = rows_of(lines)
    print("\n".join([*markdown(rows), *by_rounds(lines)]).strip())
    if options.curves:
        _write(options.curves, [line._asdict() for line in lines])
    if options.out:
        _write(options.out, rows)
    if options.plot:
        draw(lines, options.plot)


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
    metric = {experiment.name: experiment.metric for experiment in results.experiments}
    found = []
    for curve in results.curves:
        if not curve.complete or curve.examples is None:
            continue
        data, _, learner = curve.experiment.rpartition(", ")
        found.append(
            Line(
                data,
                learner,
                curve.strategy,
                curve.seed,
                curve.labels.tolist(),
                np.round(curve.scores[metric[curve.experiment]], 5).tolist(),
                {step: np.round(curve.seconds[step], 5).tolist() for step in curve.seconds},
                curve.examples.tolist(),
            )
        )
    return found


def rows_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return a row for every data set, strategy and learner."""
    rows = []
    for data, strategy in dict.fromkeys((line.data, line.strategy) for line in lines):
        here = [line for line in lines if (line.data, line.strategy) == (data, strategy)]
        by = {
            learner: {line.seed: line for line in here if line.learner == learner}
            for learner in dict.fromkeys(line.learner for line in here)
        }
        if REFERENCE not in by:
            raise SystemExit(f"{data}, {strategy}: no experiment with the learner {REFERENCE}")
        for learner, mine in by.items():
            common = sorted(set(mine) & set(by[REFERENCE]))
            pairs = [(mine[seed], by[REFERENCE][seed]) for seed in common]
            rows.append({"data": data, "strategy": strategy, "learner": learner, **compared(pairs)})
    return rows


def compared(pairs: Sequence[tuple[Line, Line]]) -> dict[str, Any]:
    """Return what a learner gives and takes, beside retraining with the same seeds."""

    def gap(of: Any) -> list[float | None]:
        values = np.array([100.0 * (of(mine) - of(other)) for mine, other in pairs])
        return [float(values.mean()), *(t_interval(values) or (None, None))]

    def times(of: Any) -> list[float | None]:
        values = np.log([of(other) / of(mine) for mine, other in pairs])
        limits = t_interval(values)
        ends = (None, None) if limits is None else np.exp(limits).tolist()
        return [float(np.exp(values.mean())), *ends]

    final, mean = gap(lambda line: line.scores[-1]), gap(lambda line: np.mean(line.scores))
    lows = (final[1], mean[1])
    return {
        "seeds": len(pairs),
        "score": float(np.mean([100.0 * mine.scores[-1] for mine, _ in pairs])),
        "final": final,
        "mean": mean,
        "total": times(lambda line: line.total[-1]),
        "train": times(lambda line: sum(line.seconds["train"])),
        "examples": times(lambda line: sum(line.examples)),
        "seconds": float(np.mean([mine.total[-1] for mine, _ in pairs])),
        "holds": all(low is not None and low > MARGIN for low in lows),
    }


def markdown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table for every data set and strategy."""
    text = []
    for data, strategy in dict.fromkeys((row["data"], row["strategy"]) for row in rows):
        mine = [r for r in rows if (r["data"], r["strategy"]) == (data, strategy)]
        text += [
            "",
            f"| {data}, {strategy} | final, % | final above retraining | mean above retraining | "
            "seconds | times less in all | in training | in examples |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in sorted(mine, key=lambda row: row["seconds"]):
            same = row["learner"] == REFERENCE
            mark = "**" if row["holds"] and row["total"][0] >= 3.0 else ""
            cells = [
                f"{mark}{row['learner']}{mark}",
                f"{row['score']:.1f}",
                "" if same else _points(row["final"]),
                "" if same else _points(row["mean"]),
                f"{row['seconds']:.2f}",
                *("" if same else _times(row[kind]) for kind in ("total", "train", "examples")),
            ]
            text.append(f"| {' | '.join(cells)} |")
    return text


def by_rounds(lines: Sequence[Line]) -> list[str]:
    """Return a table for every data set: how the gain grows with the rounds."""
    text = []
    for data in dict.fromkeys(line.data for line in lines):
        mine = [line for line in lines if line.data == data]
        last = min(len(line.labels) for line in mine) - 1
        ends = sorted({max(1, round(last * part / 3)) for part in (1, 2, 3)})
        shown = " | ".join(f"{end} rounds" for end in ends)
        text += [
            "",
            f"| {data}, times less in all after | {shown} |",
            "|---" * (len(ends) + 1) + "|",
        ]
        base = {(line.strategy, line.seed): line for line in mine if line.learner == REFERENCE}
        for learner in dict.fromkeys(line.learner for line in mine):
            pairs = [
                (line, base[line.strategy, line.seed]) for line in mine
                if line.learner == learner and (line.strategy, line.seed) in base
            ]  # fmt: skip
            if learner == REFERENCE or not pairs:
                continue
            gains = np.log([[other.total[e] / own.total[e] for e in ends] for own, other in pairs])
            cells = (f"{value:.1f}" for value in np.exp(gains.mean(axis=0)))
            text.append(f"| {learner} | {' | '.join(cells)} |")
    return text


def _points(found: Sequence[float | None]) -> str:
    value, low, high = found
    shown = f"{value:+.1f}"
    return shown if low is None else f"{shown} ({low:+.1f} to {high:+.1f})"


def _times(found: Sequence[float | None]) -> str:
    value, low, high = found
    shown = f"{value:.1f}"
    return shown if low is None else f"{shown} ({low:.1f} to {high:.1f})"


SPENDING: dict[str, Callable[[Line], np.ndarray]] = {
    "seconds of training, choosing and storing": lambda line: line.total,
    "seconds of training alone": lambda line: np.cumsum(line.seconds["train"]),
    "examples trained on": lambda line: np.cumsum(line.examples),
}


def draw(lines: Sequence[Line], path: Path) -> None:
    """Draw accuracy against what was spent so far, means over seeds.

    A row of panels for each data set and strategy, a column for each way to count.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((line.data, line.strategy) for line in lines))
    learners = list(dict.fromkeys(line.learner for line in lines))
    figure, axes = plt.subplots(
        len(panels), len(SPENDING), figsize=(5.0 * len(SPENDING), 3.6 * len(panels)), squeeze=False
    )
    for row, (data, strategy) in zip(axes, panels, strict=True):
        here = [line for line in lines if (line.data, line.strategy) == (data, strategy)]
        for i, learner in enumerate(learners):
            mine = [line for line in here if line.learner == learner]
            if not mine:
                continue
            scores = 100 * np.mean([line.scores for line in mine], axis=0)
            for ax, spent in zip(row, SPENDING.values(), strict=True):
                ax.plot(
                    np.mean([spent(line) for line in mine], axis=0),
                    scores,
                    color=plt.get_cmap("tab20")(i % 20),
                    marker=".",
                    label=learner,
                    linestyle="-" if learner.startswith("cal-") else "--",
                    linewidth=2.2 if learner == REFERENCE else 1.3,
                )
        for ax in row:
            ax.set_xscale("log")
            ax.set_title(f"{data}, {strategy}", fontsize=10)
            ax.grid(alpha=0.3)
        row[0].set_ylabel("accuracy, %")
    for ax, what in zip(axes[-1], SPENDING, strict=True):
        ax.set_xlabel(what)
    named = {}  # a panel may lack some
    for ax in axes[:, -1]:
        lines_of_panel, labels = ax.get_legend_handles_labels()
        named |= dict(zip(labels, lines_of_panel, strict=True))
    axes[0, -1].legend(
        named.values(), named.keys(), fontsize=7, bbox_to_anchor=(1.02, 1.0), loc="upper left"
    )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
