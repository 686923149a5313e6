"""What one writes in ten lines of numpy: a pass over the pool for every pick, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Work = Callable[[], np.ndarray]


def k_center(points: np.ndarray, labelled: np.ndarray, k: int) -> np.ndarray:
    """Return the greedy k-center picks."""
    norms = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    picked: list[int] = []
    for turn in range(len(labelled) + k):
        centre = int(labelled[turn] if turn < len(labelled) else nearest.argmax())
        picked.append(centre)
        distances = norms - 2.0 * (points @ points[centre]) + norms[centre]
        np.minimum(nearest, distances, out=nearest)
        nearest[centre] = -np.inf
    return np.array(picked[len(labelled) :])


def badge(
    points: np.ndarray, probabilities: np.ndarray, labelled: np.ndarray, k: int, seed: int
) -> np.ndarray:
    """Return D² draws on gradients that are never built: <a⊗h, b⊗g> = <a, b> <h, g>."""
    rng = np.random.default_rng(seed)
    factors = probabilities.copy()
    factors[np.arange(len(factors)), factors.argmax(axis=1)] -= 1.0
    norms = np.einsum("ij,ij->i", points, points) * np.einsum("ij,ij->i", factors, factors)
    norms[labelled] = 0.0
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    nearest[labelled] = 0.0
    picked = [int(norms.argmax())]
    while len(picked) < k:
        last = picked[-1]
        inner = (points @ points[last]) * (factors @ factors[last])
        np.minimum(nearest, norms - 2.0 * inner + norms[last], out=nearest)
        np.maximum(nearest, 0.0, out=nearest)
        nearest[last] = 0.0
        mass = np.cumsum(nearest, dtype=np.float64)
        picked.append(int(np.searchsorted(mass, rng.random() * mass[-1], side="right")))
    return np.array(picked)


def gaussian_similarities(points: np.ndarray) -> np.ndarray:
    """Return all similarities exp(-d² / mean d²) between rows of length 1, float32 (n, n)."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    mean = unit.mean(axis=0, dtype=np.float64)
    scale = np.float32(2.0 * (1.0 - mean @ mean))  # the mean squared distance
    similarities = unit @ unit.T
    similarities -= 1.0
    similarities *= np.float32(2.0) / scale
    np.minimum(similarities, 0.0, out=similarities)
    return np.exp(similarities, out=similarities)


def sparse_similarities(points: np.ndarray, neighbours: int) -> Any:
    """Return those of each item's nearest, both ways, and 1 to itself; scipy CSR, float64."""
    from scipy.sparse import csr_matrix, identity

    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    mean = unit.mean(axis=0, dtype=np.float64)
    scale = 2.0 * (1.0 - mean @ mean)
    n, k = len(unit), min(neighbours, len(unit) - 1)
    nearest = np.empty((n, k), dtype=np.int32)
    values = np.empty((n, k))
    for start in range(0, n, 1024):
        products = unit[start : start + 1024] @ unit.T
        rows = np.arange(len(products))[:, None]
        products[rows[:, 0], start + rows[:, 0]] = -np.inf
        found = np.argpartition(products, n - k, axis=1)[:, n - k :]
        nearest[start : start + 1024] = found
        gaps = 2.0 * np.maximum(1.0 - products[rows, found], 0.0)
        values[start : start + 1024] = np.exp(-gaps / scale)
    starts = np.arange(0, n * k + 1, k)
    one_way = csr_matrix((values.ravel(), nearest.ravel(), starts), shape=(n, n))
    return csr_matrix(one_way.maximum(one_way.T).maximum(identity(n, format="csr")))


def side(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Return the work of this side, ready to be timed."""
    points, k = arrays["points"], settings["k"]
    labelled = np.arange(settings["labelled"])
    if strategy == "k-center":
        return lambda: k_center(points, labelled, k)
    return lambda: badge(points, arrays["probabilities"], labelled, k, settings["seed"])
