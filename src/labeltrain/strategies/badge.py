"""BADGE: diverse and uncertain by D² sampling on the gradients of the last layer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.d2_sampling import d2_sampling
from labeltrain.kernels.rows import MEMORY
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Badge(Strategy):
    """Draw a batch by D² sampling (k-means++ seeding) on hallucinated gradients.

    The gradient of the last layer, if the predicted class were right, is g_i = (p_i - y_i) ⊗ h_i
    with y_i the one-hot predicted class; multilabel: y_i the labels with p > 0.5. Its length says
    how uncertain the item is. The first pick is the longest gradient (ties to the lowest
    position); each next one is drawn with probability proportional to the squared distance of its
    gradient to the nearest one picked. Pending items count as picked, labelled ones do not.

    Parameters
    ----------
    memory : int
        Bytes for a copy of the pool.

    Notes
    -----
    The C x d gradients are never built: <a⊗h, b⊗g> = <a,b><h,g>. O(n k (C + d)) in few passes over
    the pool, O(n) memory beside the inputs. The law of the draws is exact. Scores are the squared
    distances at the time of the draw.

    References
    ----------
    Ash, Zhang, Krishnamurthy, Langford, Agarwal: Deep batch active learning by diverse, uncertain
    gradient lower bounds, ICLR 2020.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> P = np.array([[0.5, 0.5], [0.9, 0.1], [0.4, 0.6], [0.1, 0.9]])
    >>> labeltrain.select("badge", embeddings=E, probabilities=P, budget=2).positions.tolist()
    [0, 2]
    """

    name: ClassVar[str] = "badge"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.PROBABILITIES})
    summary: ClassVar[str] = "D² sampling on gradients of the last layer: uncertain and diverse"

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` draws."""
        positions, d2 = d2_sampling(
            view.hidden,
            count,
            rng,
            candidates=view.candidates,
            factors=residuals(view.probabilities, view.kind),
            centres=view.pending,
            largest_first=True,
            memory=self.memory,
        )
        why = tuple(
            "would change the model, and unlike the other picks"
            if gap > 0.0
            else "nothing left is unlike the other picks"
            for gap in d2
        )
        return Picks(positions, d2, why=why)


def residuals(probabilities: np.ndarray, kind: str) -> np.ndarray:
    """Return p - y with y the predicted class (multilabel: labels), float32 (n, C)."""
    factors = np.array(probabilities, dtype=np.float32)
    if kind == "multilabel":
        factors -= factors > 0.5
    elif len(factors):
        factors[np.arange(len(factors)), factors.argmax(axis=1)] -= 1.0
    return factors
