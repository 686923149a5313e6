"""Small pools for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.strategies.base import Need, Past, Round
from labeltrain.strategies.view import PoolView


def blobs(
    n: int = 120, d: int = 6, classes: int = 3, seed: int = 0, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian classes: features float32 (n, d) and labels int64 (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    labels[:classes] = np.arange(classes)
    centres = rng.normal(size=(classes, d)) * 2.0
    return (centres[labels] + spread * rng.normal(size=(n, d))).astype(np.float32), labels


def _linear(features: np.ndarray, weights: np.ndarray, kind: str) -> np.ndarray:
    logits = np.asarray(features, dtype=np.float64) @ weights.T
    if kind == "multilabel":
        return 1.0 / (1.0 + np.exp(-logits))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def token_scores(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return made-up scores of a language model's answer to each of n prompts, float64 (n,)."""
    tokens = rng.integers(1, 40, n).astype(np.float64)
    mean_entropy, nll_mean, mean_margin = rng.random((3, n))
    return {
        "token_entropy": mean_entropy,
        "mean_entropy": mean_entropy,
        "max_entropy": mean_entropy + rng.random(n),
        "nll": nll_mean * tokens,
        "nll_mean": nll_mean,
        "mean_margin": mean_margin,
        "min_margin": mean_margin * rng.random(n),
        "tokens": tokens,
    }


def pool_view(
    n: int = 120,
    classes: int = 3,
    *,
    kind: str = "multiclass",
    labelled: int = 12,
    pending: int = 3,
    seed: int = 0,
    features: np.ndarray | None = None,
    only: frozenset[Need] | None = None,
    dtype: Any = np.float64,
    budget: float = 10,
    number: int = 1,
) -> PoolView:
    """Return a view with everything a strategy can ask for, or `only` some of it."""
    rng = np.random.default_rng(seed)
    points, truth = blobs(n, classes=classes, seed=seed)
    if features is not None:
        points = features
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), truth] += 1.0
    order = rng.permutation(n)
    known, waiting = order[:labelled], order[labelled : labelled + pending]
    if kind == "multilabel":
        probabilities = 1.0 / (1.0 + np.exp(-logits))
        labels: np.ndarray = (logits[known] > 0).astype(np.int64)
        answers: list[Any] = [tuple(int(v) for v in row) for row in labels]
    else:
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        labels = truth[known]
        answers = labels.tolist()
    probabilities = probabilities.astype(dtype)
    weights = rng.normal(size=(classes, points.shape[1]))
    committee = np.stack([np.roll(probabilities, s, axis=0) for s in range(3)])
    sources: dict[str, Any] = {
        Need.EMBEDDINGS: points,
        Need.HIDDEN: points[:, ::-1].copy(),
        Need.PROBABILITIES: probabilities,
        Need.COMMITTEE: committee,
        Need.PREDICT: lambda x: _linear(x, weights, kind),
        Need.HEAD: (weights, np.zeros(classes)),
        Need.POSTERIOR: points * np.linspace(0.5, 2.0, points.shape[1]),
        Need.OUT_OF_FOLD: probabilities[known],
        Need.PRIOR: np.full((n, classes), 1.0 / classes),
        Need.GROUPS: np.arange(n) % 4,
        Need.COSTS: 1.0 + (np.arange(n) % 3),
        Need.TARGETS: points[: min(10, n)],
        Need.SCORES: {k: v.astype(dtype) for k, v in token_scores(n, rng).items()},
    }
    if only is not None:
        sources = {k: v for k, v in sources.items() if k in only}
    history = [Past(int(p), 0, a, None, "seed:random") for p, a in zip(known, answers, strict=True)]
    return PoolView(
        n,
        classes,
        kind=kind,
        labelled=known,
        labels=labels,
        pending=waiting,
        round=Round(number, budget),
        history=history,
        sources=sources,
    )
