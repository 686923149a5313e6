"""CLUE: k-means weighted by uncertainty."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.clusters import representatives
from labeltrain.kernels.uncertainty import binary_entropy, entropy
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Clue(Strategy):
    """Pick the items nearest to the centres of k-means weighted by predictive entropy.

    The weights w_i = H(p_i^(1/T) / sum) draw the centres to where the model is unsure; k = count.
    Multilabel: the summed entropies of the labels. More than 256 questions take several items of a
    cluster, since k-means costs n k.

    Parameters
    ----------
    temperature : float
        T of the softmax behind the entropy; above 1 the weights are more even. The paper uses 1
        for most of its data.

    Notes
    -----
    O(n k d) an iteration of k-means. Scores are the entropies in bits.

    References
    ----------
    Prabhu, Chandrasekaran, Saenko, Hoffman: Active domain adaptation via clustering
    uncertainty-weighted embeddings, ICCV 2021.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]])
    >>> P = np.array([[0.5, 0.5], [0.99, 0.01], [0.5, 0.5], [0.99, 0.01]])
    >>> picks = labeltrain.select("clue", embeddings=E, probabilities=P, budget=2)
    >>> sorted(picks.positions.tolist())
    [0, 2]
    """

    name: ClassVar[str] = "clue"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.PROBABILITIES})
    summary: ClassVar[str] = "items nearest to the centres of k-means weighted by entropy"

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0.0:
            raise ValueError("temperature must be above 0")
        self.temperature = temperature

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the representatives of `count` weighted clusters."""
        p = np.asarray(view.probabilities_of(view.candidates), dtype=np.float64)
        if view.kind == "multilabel":
            weights = binary_entropy(_softened_labels(p, self.temperature))
        else:
            weights = entropy(_softened(p, self.temperature))
        weights = np.maximum(weights, 0.0)
        points = view.hidden[view.candidates]
        rows, sizes = representatives(points, count, rng, weights=weights)
        why = tuple(f"unsure, and central to {size} similar items" for size in sizes)
        return Picks(view.candidates[rows], weights[rows], why=why)


def _softened(p: np.ndarray, temperature: float) -> np.ndarray:
    if temperature == 1.0:
        return p
    odds = (p / np.maximum(p.max(axis=1, keepdims=True), 1e-300)) ** (1.0 / temperature)
    return odds / odds.sum(axis=1, keepdims=True)


def _softened_labels(p: np.ndarray, temperature: float) -> np.ndarray:
    on, off = p ** (1.0 / temperature), (1.0 - p) ** (1.0 / temperature)
    return on / (on + off)
