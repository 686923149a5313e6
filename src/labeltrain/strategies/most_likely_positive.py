"""Most likely positive: items that are most probably of a rare class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.rare import rare_classes
from labeltrain.strategies.view import PoolView


class MostLikelyPositive(Strategy):
    """Pick the largest probability of any rare class, max over rare c of p_c.

    It finds many items of the rare classes, but those that the model knows already: a control for
    strategies that also want to learn from them. Multilabel: the largest probability of any rare
    label. Ties go to the lowest position.

    Parameters
    ----------
    rare : name, index, or sequence of these, optional
        The classes of interest. By default those with fewer labels than classes have on average
        (multilabel: items with the label on); where all have equally many, as when nothing is
        labelled, those with less predicted probability over the pool than classes have on average;
        where that is equal, too, all classes.

    Notes
    -----
    O(n C). Scores are the probabilities.

    References
    ----------
    A baseline of Zhang, Katz-Samuels, Nowak: GALAXY: graph-based active learning at the extreme,
    ICML 2022, whose code takes all classes but the last.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.7, 0.3], [0.8, 0.2]])
    >>> picks = labeltrain.select("most-likely-positive", probabilities=P, labelled=[0, 1, 2],
    ...                           labels=["ham", "ham", "spam"], classes=["ham", "spam"], budget=1)
    >>> picks.positions.tolist(), picks.why
    ([3], ('probability 0.30 of being spam',))
    """

    name: ClassVar[str] = "most-likely-positive"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "largest probability of a rare class"

    def __init__(self, rare: str | int | Sequence[str | int] | None = None) -> None:
        self.rare = rare

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that are most probably of a rare class."""
        classes = rare_classes(view, self.rare)
        p = view.probabilities_of(view.candidates)[:, classes]
        scores = p.max(axis=1)
        best = lowest(-scores, count)
        why = tuple(
            f"probability {score:.2f} of being {view.classes[c]}"
            for score, c in zip(scores[best], classes[p[best].argmax(axis=1)], strict=True)
        )
        return Picks(view.candidates[best], scores[best], why=why)
