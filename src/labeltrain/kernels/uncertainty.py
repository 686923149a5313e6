"""Uncertainty of predicted class probabilities: confidence, margin, entropy."""

from __future__ import annotations

import numpy as np

TINY = 1e-10  # probabilities below this count as this inside logarithms


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """Return the largest probability of each row: (n, C) -> (n,). Low means uncertain."""
    return probabilities.max(axis=1)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """Return the gap between the two largest probabilities: (n, C) -> (n,). Low means uncertain."""
    probabilities = _no_halves(probabilities)
    n, classes = probabilities.shape
    if classes == 1:
        return probabilities[:, 0].copy()
    rows = np.arange(n)
    top = probabilities.argmax(axis=1)
    best = probabilities[rows, top]
    rest = probabilities.copy()
    rest[rows, top] = -np.inf
    return best - rest.max(axis=1)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return -sum p log2 p of each row, in bits: (n, C) -> (n,). High means uncertain."""
    probabilities = _no_halves(probabilities)
    return -(probabilities * np.log2(np.maximum(probabilities, TINY))).sum(axis=1)


def binary_confidence(probabilities: np.ndarray) -> np.ndarray:
    """Return, for independent labels, the mean over labels of max(p, 1-p): (n, C) -> (n,)."""
    probabilities = _no_halves(probabilities)
    return np.maximum(probabilities, 1.0 - probabilities).mean(axis=1)


def binary_margin(probabilities: np.ndarray) -> np.ndarray:
    """Return, for independent labels, the smallest \\|2p-1\\| of a row: (n, C) -> (n,)."""
    return np.abs(2.0 * _no_halves(probabilities) - 1.0).min(axis=1)


def binary_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return, for independent labels, the summed binary entropies in bits: (n, C) -> (n,)."""
    probabilities = _no_halves(probabilities)
    return entropy(probabilities) + entropy(1.0 - probabilities)


def _no_halves(probabilities: np.ndarray) -> np.ndarray:
    """Return float16 as float32: in half precision `TINY` is 0, and close scores become equal."""
    return probabilities.astype(np.float32) if probabilities.itemsize < 4 else probabilities
