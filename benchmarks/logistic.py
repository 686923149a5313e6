"""The linear learner, plainly and in the span of the labels, side by side, and the optimum.

Real EfficientNet-Lite0 features of MNIST 5k (1,280 dimensions). Both must come within 1e-4 of the
optimal mean loss (scikit-learn, float64, tolerance 1e-9); prints the median seconds of 5 pairs,
taken in turn.

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

    def optimum(m: int) -> float:
        from sklearn.linear_model import LogisticRegression

        rows = order[:m]
        scaled = X[rows] / np.sqrt(X[rows].astype(np.float64).var(axis=0).sum())
        best = LogisticRegression(C=100.0, tol=1e-9, max_iter=20000).fit(scaled, y[rows])
        logits = scaled @ best.coef_.T + best.intercept_
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        penalty = 0.5 * (best.coef_**2).sum() / 100.0
        return float((penalty - log_p[np.arange(m), y[rows]].sum()) / m)

    with limited_threads(1):
        fit(50, 1.5)
        for m in (50, 100, 200, 400, 650, 800):
            plain, reduced = zip(*((fit(m, np.inf), fit(m, 0.0)) for _ in range(5)), strict=True)
            a, b = (statistics.median(s for s, _ in runs) for runs in (plain, reduced))
            best = optimum(m)
            gaps = [runs[0][1] - best for runs in (plain, reduced)]
            print(
                f"{m:4} labels: plain {a:.4f} s, in the labels' span {b:.4f} s, {a / b:.1f} x; "
                f"mean loss {best:.5f} at the optimum, above it by {gaps[0]:.1e} and {gaps[1]:.1e}",
                flush=True,
            )
            assert max(gaps) < 1e-4


if __name__ == "__main__":
    main()
