"""What a round of GALAXY and DIRECT costs on a large pool.

    python benchmarks/separation.py [--items 1000000] [--classes 20] [--budget 1000] [--parallel 20]

Random predictions with rare classes, answers drawn from them, 10 % of these wrong. Prints a line of
JSON a strategy: seconds of the whole round and of its first group (which makes the rankings), and
the peak of memory above what the predictions take.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

import labeltrain


def main() -> None:
    """Time a round of each strategy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=20)
    parser.add_argument("--strategies", default="direct,galaxy", help="in a part: seals/direct")
    parser.add_argument("--width", type=int, default=128, help="of the features, for seals/...")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    n, classes = options.items, options.classes
    rarity = np.geomspace(1.0, 0.001, classes)
    logits = rng.normal(scale=2.0, size=(n, classes)) + np.log(rarity)
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    del logits
    truth = (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    wrong = rng.random(n) < 0.1
    truth[wrong] = rng.integers(0, classes, int(wrong.sum()))
    known = rng.choice(n, 2000, replace=False)
    features = None
    if "/" in options.strategies:  # items of a class lie together
        centres = 2.0 * rng.normal(size=(classes, options.width)).astype(np.float32)
        features = rng.standard_normal((n, options.width), dtype=np.float32)
        features += probabilities.astype(np.float32) @ centres
    for name in options.strategies.split(","):
        times: list[float] = []

        def ask(positions: np.ndarray, times: list[float] = times) -> np.ndarray:
            times.append(time.perf_counter())
            return truth[positions]

        reducer, _, base = name.rpartition("/")
        more = {"embeddings": features, "base": base} if reducer else {}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        given = {"probabilities": probabilities, "labelled": known, "labels": truth[known], **more}
        found = labeltrain.select(
            reducer or base, budget=options.budget, classes=classes, ask=ask,
            parallel=options.parallel, **given,
        )  # fmt: skip
        ended = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            json.dumps(
                {
                    "strategy": name,
                    "items": n,
                    "classes": classes,
                    "picks": len(found.positions),
                    "groups": len(times),
                    "seconds": round(ended - started, 2),
                    "first_group": round(times[0] - started, 2),
                    "mib": round((peak - before) / 1024),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
