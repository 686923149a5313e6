"""What a committee knows that its members do not agree on."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.uncertainty import TINY


def bald(committee: np.ndarray, *, labels: bool = False) -> np.ndarray:
    """Return the mutual information of label and member, in bits: (S, n, C) -> (n,).

    I = H(mean_s p_s) - mean_s H(p_s); never below 0.

    Parameters
    ----------
    committee : ndarray of float, shape (S, n, C)
    labels : bool
        True for independent labels: the sum over labels of the information about each.
    """
    mean = committee.mean(axis=0, dtype=np.float64)
    total = _entropy(mean, labels)
    expected = np.zeros(len(mean))
    for member in committee:  # one member at a time: memory stays that of one
        expected += _entropy(np.asarray(member, dtype=np.float64), labels)
    return np.maximum(total - expected / len(committee), 0.0)


def _entropy(p: np.ndarray, labels: bool) -> np.ndarray:
    bits = -(p * np.log2(np.maximum(p, TINY))).sum(axis=1)
    if labels:
        q = 1.0 - p
        bits -= (q * np.log2(np.maximum(q, TINY))).sum(axis=1)
    return bits
