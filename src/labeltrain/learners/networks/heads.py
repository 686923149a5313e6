"""How a head begins: from a linear probe, or from the names of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.learners.base import Training
from labeltrain.learners.linear import Linear

PROBE = 1.0  # scale of the probe: chosen on development seeds, docs/learners.md
SHARPNESS = 5.0  # deviation of the logits of a head made of names


def from_probe(head: Any, vectors: np.ndarray, codes: np.ndarray) -> None:
    """Set a head to the logistic regression of labelled vectors (Kumar et al., ICLR 2022).

    Parameters
    ----------
    head : torch.nn.Linear
    vectors : ndarray of float32, shape (m, d)
    codes : ndarray of int64, shape (m,)
        Outputs of the head; each has at least one label.
    """
    import torch

    training = Training(vectors, np.arange(len(codes)), codes, int(codes.max()) + 1)
    weights, bias = Linear(scale=PROBE).fit(training, np.random.default_rng(0)).head
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(np.asarray(weights, dtype=np.float32)))
        head.bias.copy_(torch.from_numpy(np.asarray(bias, dtype=np.float32)))


def from_names(head: Any, vectors: np.ndarray) -> None:
    """Set a head to the directions of the vectors of the class names, without bias.

    Parameters
    ----------
    head : torch.nn.Linear
    vectors : ndarray of float32, shape (C, d)
        Standardised as the head's input is: a direction has about deviation 1 along it.
    """
    import torch

    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    directions = np.where(lengths > 0, centred / np.maximum(lengths, 1e-12), 0.0)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy((SHARPNESS * directions).astype(np.float32)))
        head.bias.zero_()
