"""Labels selected via a proxy beside labels selected with the expensive model in the loop.

    python benchmarks/fidelity.py runs/fidelity [--json]

Reads a finished study with pairs of experiments "X via proxy" (with a final learner) and "X in the
loop" (the same learner in the loop), and prints for each strategy and number of labels the
difference of the final model's score, in points: a mean over the seeds with its 95 % t interval.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.metrics import Results, t_interval
from labeltrain.studies import read_results

VIA, IN = " via proxy", " in the loop"


def main() -> None:
    """Print a line for each data set, strategy and number of labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for row in differences(read_results(options.folder)):
        if options.json:
            print(json.dumps(row))
            continue
        low, high = row["interval"]
        print(
            f"{row['data']:14s} {row['strategy']:10s} {row['labels']:5d} labels  via proxy "
            f"{row['via']:5.1f}  in the loop {row['loop']:5.1f}  difference "
            f"{row['difference']:+.2f} ({low:+.2f} to {high:+.2f}), {row['seeds']} seeds"
        )


def differences(results: Results) -> list[dict[str, Any]]:
    """Return the paired differences, via proxy minus in the loop, in points of the main score.

    Examples
    --------
    >>> differences(Results("empty", "", {}, (), ()))
    []
    """
    rows = []
    for experiment in results.experiments:
        if VIA + ", final " not in experiment.name:
            continue
        data = experiment.name.partition(VIA)[0]
        via = _scores(results, experiment.name, experiment.metric)
        loop = _scores(results, data + IN, experiment.metric)
        for strategy, labels in sorted({(s, n) for s, _seed, n in via}):
            seeds = sorted(
                seed for s, seed, n in via
                if (s, n) == (strategy, labels) and (s, seed, n) in loop
            )  # fmt: skip
            if not seeds:
                continue
            pairs = 100 * np.array(
                [(via[strategy, s, labels], loop[strategy, s, labels]) for s in seeds]
            )
            gap = pairs[:, 0] - pairs[:, 1]
            rows.append(
                {
                    "data": data, "strategy": strategy, "labels": labels, "seeds": len(seeds),
                    "via": float(pairs[:, 0].mean()), "loop": float(pairs[:, 1].mean()),
                    "difference": float(gap.mean()),
                    "interval": t_interval(gap) or (float("nan"), float("nan")),
                }
            )  # fmt: skip
    return rows


def _scores(results: Results, name: str, metric: str) -> dict[tuple[str, int, int], float]:
    return {
        (curve.strategy, curve.seed, int(labels)): float(score)
        for curve in results.curves
        if curve.experiment == name
        for labels, score in zip(curve.labels, curve.scores[metric], strict=True)
    }


if __name__ == "__main__":
    main()
