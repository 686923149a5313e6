"""How long one round of a learner takes, and how long `labeltrain --help`.

Fit on about 1,000 labels, predict a pool of 11,293 x 384 with 20 classes, select by margin,
commit: 20 Newsgroups with MiniLM features. Prints the median of each part.

    python benchmarks/round_speed.py [--learner flexmatch] [--synthetic]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BATCH = 50


def material(synthetic: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """Return pool features and labels, test features and labels, and where they come from."""
    if synthetic:
        rng = np.random.default_rng(0)
        y = rng.integers(0, 20, 18821)
        centres = rng.normal(size=(20, 384))
        X = centres[y] + rng.normal(size=(18821, 384)) * 6
        X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
        return X[:11293], y[:11293], X[11293:], y[11293:], "synthetic"
    from labeltrain import data, encoders

    dataset = data.load("20newsgroups")
    X = encoders.features(dataset, encoders.make("minilm")).array
    pool, test = data.split(dataset)
    y = np.asarray(dataset.labels)
    return X[pool], y[pool], X[test], y[test], "20 Newsgroups, MiniLM"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--learner", default="linear")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    from labeltrain.kernels.threads import limited_threads
    from labeltrain.learners import make
    from labeltrain.loop import Plan, Pool, SimulatedOracle, Trajectory
    from labeltrain.loop.evaluate import Evaluator
    from labeltrain.loop.journal import StoreJournal
    from labeltrain.store import Workspace
    from labeltrain.strategies.margin import Margin

    X, y, X_test, y_test, source = material(options.synthetic)
    classes = tuple(str(c) for c in range(20))
    pool = Pool(X, [f"item-{k}" for k in range(len(X))], classes)
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir=".") as folder, limited_threads(options.threads):
        workspace = Workspace.create(Path(folder) / "w", "study", {})
        with workspace:
            trajectory = Trajectory(
                pool,
                make(options.learner),
                Margin(),
                SimulatedOracle(y, 20),
                Evaluator(X_test, y_test, y, 20),
                Plan(batch=BATCH, rounds=12, seed_size=700),
                StoreJournal(workspace, "r"),
                "r",
            )
            while not trajectory.finished:
                started = time.perf_counter()
                body = trajectory.step()
                total = time.perf_counter() - started
                if body["round"] > 0:
                    rows.append({**body["seconds"], "round": total, "labels": body["labels"]})
    print(
        f"{source}: pool {X.shape}, 20 classes, {options.learner}, "
        f"{options.threads} thread(s), {len(rows)} rounds"
    )
    print(f"labels {rows[0]['labels']:.0f} to {rows[-1]['labels']:.0f}; median seconds:")
    for name in ("train", "select", "evaluate", "store", "round"):
        print(f"  {name:9}{statistics.median(r[name] for r in rows):8.4f}")
    each = 1e6 * statistics.median(r["train"] for r in rows) / BATCH
    print(f"a new label: {each:.0f} microseconds of training")
    times = []
    for _ in range(7):
        started = time.perf_counter()
        command = [sys.executable, "-c", "from labeltrain.cli import main; main()", "--help"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    print(f"labeltrain --help: median {statistics.median(times):.3f} s")


if __name__ == "__main__":
    main()
