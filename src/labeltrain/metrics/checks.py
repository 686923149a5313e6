"""Validation of probabilities and labels before they are scored."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput


def as_multiclass(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float probabilities (n, C) and int64 labels (n,), or say what is wrong."""
    p = _as_probabilities(probabilities)
    y = np.asarray(labels)
    if y.ndim != 1 or len(y) != len(p):
        raise BadInput(
            f"labels have shape {y.shape}, but probabilities have shape {p.shape}",
            "multiclass labels are one class position per item: shape (n,)",
        )
    if y.dtype.kind not in "iu":
        raise BadInput(
            f"labels have dtype {y.dtype}", "multiclass labels are class positions: integers"
        )
    bad = np.flatnonzero((y < 0) | (y >= p.shape[1]))
    if bad.size:
        raise BadInput(
            f"label {y[bad[0]]} of item {bad[0]} is not a class",
            f"labels lie between 0 and {p.shape[1] - 1}; leave unlabelled items out",
        )
    off = np.flatnonzero(np.abs(p.sum(axis=1, dtype=np.float64) - 1.0) > 1e-2)
    if off.size:
        raise BadInput(
            f"probabilities of item {off[0]} sum to {float(p[off[0]].sum()):.4g}",
            'multiclass rows sum to 1; for independent classes use kind="multilabel"',
        )
    return p, y.astype(np.int64, copy=False)


def as_multilabel(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float probabilities (n, C) and bool labels (n, C), or say what is wrong."""
    p = _as_probabilities(probabilities)
    y = np.asarray(labels)
    if y.shape != p.shape:
        raise BadInput(
            f"labels have shape {y.shape}, but probabilities have shape {p.shape}",
            "multilabel labels are a 0/1 matrix of the same shape as the probabilities",
        )
    bad = np.argwhere((y != 0) & (y != 1))
    if bad.size:
        item, column = bad[0]
        raise BadInput(
            f"label {y[item, column]} of item {item}, class {column} is neither 0 nor 1",
            "leave unlabelled items out",
        )
    return p, y.astype(bool)


def _as_probabilities(probabilities: np.ndarray) -> np.ndarray:
    p = np.asarray(probabilities)
    if p.ndim != 2 or 0 in p.shape:
        raise BadInput(
            f"probabilities have shape {p.shape}", "expected (items, classes), at least 1 x 1"
        )
    if p.dtype.kind != "f":
        p = p.astype(np.float64)
    # NaN fails both comparisons, so it is caught here too.
    fine = (p >= 0.0) & (p <= 1.0 + 1e-6)
    if not fine.all():
        item, column = np.argwhere(~fine)[0]
        raise BadInput(
            f"probability {p[item, column]} of item {item}, class {column} is not between 0 and 1",
            "give probabilities, not logits; a NaN means that training diverged",
        )
    return p
