"""Balanced entropy: uncertainty that counts for more where labels are few."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.uncertainty import entropy
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.rare import label_counts
from labeltrain.strategies.view import PoolView


class BalancedEntropy(Strategy):
    """Pick the highest entropy divided by 1 + the number of labels of the predicted class.

    The plain control that every strategy for imbalanced data has to beat. The numbers are those of
    the labels that there are: picks of the same batch, and pending items, do not change them. Ties
    go to the lowest position; of two classes predicted alike, the first is the predicted one.

    Notes
    -----
    O(n C). Scores are the weighted entropies, in bits. Folklore, with no paper of its own that we
    know of; it is not the balanced entropy of Woo (ICLR 2023), which needs a Bayesian model.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    >>> picks = labeltrain.select("balanced-entropy", probabilities=P, labelled=[0, 1],
    ...                           labels=[0, 0], budget=2)
    >>> picks.positions.tolist()  # class 0 has two labels, class 1 none
    [3, 2]
    """

    name: ClassVar[str] = "balanced-entropy"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "entropy, divided by the labels that the predicted class has"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates with the highest weighted entropy."""
        p = view.probabilities_of(view.candidates)
        predicted = p.argmax(axis=1)
        known = label_counts(view)
        scores = np.asarray(entropy(p), dtype=np.float64) / (1 + known[predicted])
        best = lowest(-scores, count)
        why = tuple(
            f"uncertain; looks like {view.classes[c]} (labels so far: {known[c]})"
            for c in predicted[best]
        )
        return Picks(view.candidates[best], scores[best], why=why)
