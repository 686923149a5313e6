"""scikit-learn's logistic regression, plainly and in the span of the labels, side by side.

Real EfficientNet-Lite0 features of MNIST 5k (1,280 dimensions). Both must reach the same loss to
1e-4; prints the median seconds of 7 pairs, taken in turn.

    python benchmarks/logistic.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np


def main() -> None:
    """Measure and print."""
    from labeltrain import data, encoders
    from labeltrain.kernels.threads import limited_threads
    from labeltrain.learners import Training, linear, make

    dataset = data.load("mnist-5k")
    X = encoders.features(dataset, encoders.make("efficientnet-lite0")).array
    y = np.asarray(dataset.labels)
    order = np.random.default_rng(0).permutation(len(y))

    def fit(m: int, reduce_from: float) -> tuple[float, float]:
        linear.REDUCE_FROM = reduce_from
        rows = order[:m]
        training = Training(X, rows, y[rows], 10)
        started = time.perf_counter()
        model = make("linear").fit(training, np.random.default_rng(0))
        seconds = time.perf_counter() - started
        logits = X[rows].astype(np.float64) @ model.weights.T + model.bias
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        penalty = 0.5 * (model.weights**2).sum() / model.facts()["C"]
        return seconds, float((penalty - log_p[np.arange(m), y[rows]].sum()) / m)

    with limited_threads(1):
        fit(50, 1.5)
        for m in (50, 100, 200, 400, 650, 800):
            plain, reduced = zip(*((fit(m, np.inf), fit(m, 0.0)) for _ in range(7)), strict=True)
            a, b = (statistics.median(s for s, _ in runs) for runs in (plain, reduced))
            gap = abs(plain[0][1] - reduced[0][1])
            print(
                f"{m:4} labels: plain {a:.4f} s, in the labels' span {b:.4f} s, {a / b:.1f} x; "
                f"mean loss {plain[0][1]:.5f} and {reduced[0][1]:.5f}, gap {gap:.1e}",
                flush=True,
            )
            assert gap < 1e-4


if __name__ == "__main__":
    main()
