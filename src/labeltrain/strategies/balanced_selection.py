"""BASE: as many items near the borders of every class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.rows import READ_ROWS
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class BalancedSelection(Strategy):
    """Share the batch among the classes; for each take the items closest to its border.

    With logits z = W h + b and p the predicted class, the border between p and another class c is
    |z_p - z_c| / ‖W_p - W_c‖ away in the features. The distance of an item to the border of class c
    is this where p ≠ c, and where p = c the smallest of its distances to other classes. Class after
    class takes its count / C items of smallest distance that are left, one more for the first
    count mod C classes.

    Notes
    -----
    O(n C h) for the logits, O(n C) for all else, with n x C logits in memory. Distances are
    compared in float32, so that equal items tie, and ties go to the lowest position. Two classes of
    equal weights have no border, and no distance (one class alone: 0). Scores are the distances,
    NaN for a pick that has none. As published, batches smaller than C leave out the last classes,
    and balance is that of the model's borders, not that of the labels.

    References
    ----------
    Emam, Chu, Chiang, Czaja, Leapman, Goldblum, Goldstein: Active learning at the ImageNet scale,
    2021. Checked against the authors' code.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[9.0, 0.0], [3.0, 0.0], [0.0, 9.0], [0.0, 4.0], [2.0, 1.0]])
    >>> picks = labeltrain.select("base", embeddings=E, head=(np.eye(2), np.zeros(2)), budget=3)
    >>> picks.positions.tolist()  # two near the border of class 0, then one near that of class 1
    [4, 1, 3]
    """

    name: ClassVar[str] = "base"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.HEAD})
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    deterministic: ClassVar[bool] = True
    summary: ClassVar[str] = "as many items near the borders of every class"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the items closest to the border of each class, class after class."""
        borders = _Borders(view)
        free = np.ones(len(view.candidates), dtype=bool)
        chosen: list[int] = []
        scores: list[float] = []
        why: list[str] = []
        for c in range(borders.classes):
            quota = count // borders.classes + int(c < count % borders.classes)
            if quota == 0:
                break
            distances = borders.of(c)
            left = np.flatnonzero(free)
            rows = left[lowest(distances[left], quota)]
            free[rows] = False
            chosen.extend(rows.tolist())
            scores.extend(distances[rows].tolist())
            why.extend([f"close to the border of {view.classes[c]}"] * quota)
        known = np.where(np.isfinite(scores), scores, np.nan)
        return Picks(view.candidates[chosen], known, why=tuple(why))


class _Borders:
    """Distances of the candidates to the border of a class, float32 (n,)."""

    def __init__(self, view: PoolView) -> None:
        weights, bias = (np.asarray(part, dtype=np.float64) for part in view.head)
        hidden, candidates = view.hidden, view.candidates
        self.classes = len(weights)
        self._logits = np.empty((len(candidates), self.classes))

        def fill(rows: slice) -> None:
            points = np.asarray(hidden[candidates[rows]], dtype=np.float64)
            self._logits[rows] = points @ weights.T + bias

        map_blocks(fill, row_blocks(len(candidates), READ_ROWS))
        self._predicted = self._logits.argmax(axis=1)
        self._top = self._logits.max(axis=1)
        self._lengths = np.stack([np.linalg.norm(weights - row, axis=1) for row in weights])
        self._nearest = np.full(len(candidates), 0.0 if self.classes == 1 else np.inf, np.float32)
        for c in range(self.classes):
            np.minimum(self._nearest, self._to(c), out=self._nearest)

    def _to(self, c: int) -> np.ndarray:
        """Return the distance to where class c takes over; infinite for items predicted c."""
        lengths = self._lengths[self._predicted, c]
        gaps = self._top - self._logits[:, c]
        distances = np.full(len(gaps), np.inf, dtype=np.float32)
        with np.errstate(over="ignore"):
            np.divide(gaps, lengths, out=distances, where=lengths > 0.0, casting="same_kind")
        return distances

    def of(self, c: int) -> np.ndarray:
        """Return the distance to the border of class c, whatever is predicted."""
        return np.where(self._predicted == c, self._nearest, self._to(c))
