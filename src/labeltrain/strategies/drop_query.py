"""DropQuery: items whose prediction flips when features are dropped, spread by k-means."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.clusters import representatives
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView

BLOCK = 8192  # items whose features are dropped at a time


class DropQuery(Strategy):
    """Pick cluster representatives among the items whose prediction does not survive dropout.

    Features are dropped `passes` times with probability `rate` (what stays is scaled by
    1 / (1 - rate), as dropout does) and predicted again. mismatch_i counts the passes whose class
    differs from that without dropout; multilabel: whose set of labels differs. Candidates are the
    items with mismatch above half of the passes; while they are fewer than `enough` x count, the
    threshold is lowered. k-means with k = count on their features of length 1 gives the batch.

    Parameters
    ----------
    passes : int
    rate : float
        In [0, 1).
    enough : float
        At least 1: the candidates fill the batch.

    Notes
    -----
    O(n passes d C) for a linear head, then k-means on the candidates. Scores are the mismatches.

    References
    ----------
    Gupte, Aklilu, Nirschl, Yeung-Levy: Revisiting active learning in the era of vision foundation
    models, TMLR 2024.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[3.0, 0.1], [0.1, 0.1], [3.0, 0.2], [0.1, 2.9]])
    >>> def predict(x):  # class 1 when the second feature is the larger one
    ...     return np.stack([x[:, 0] >= x[:, 1], x[:, 0] < x[:, 1]], axis=1).astype(float)
    >>> len(labeltrain.select("dropquery", embeddings=E, predict=predict, budget=2).positions)
    2
    """

    name: ClassVar[str] = "dropquery"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS, Need.PREDICT})
    summary: ClassVar[str] = "items whose prediction flips under feature dropout, by k-means"

    def __init__(self, passes: int = 3, rate: float = 0.75, enough: float = 25.0) -> None:
        if passes < 1:
            raise ValueError("passes must be at least 1")
        if not 0.0 <= rate < 1.0:
            raise ValueError("rate must be at least 0 and below 1")
        if not enough >= 1.0:
            raise ValueError("enough must be at least 1")
        self.passes = passes
        self.rate = rate
        self.enough = enough

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return representatives of the items that flip."""
        n = len(view.candidates)
        mismatch = np.empty(n, dtype=np.int64)
        for start in range(0, n, BLOCK):
            rows = view.candidates[start : start + BLOCK]
            points = np.asarray(view.embeddings[rows], dtype=np.float32)
            plain = _decision(view.predict(points), view.kind)
            flips = np.zeros(len(rows), dtype=np.int64)
            for _ in range(self.passes):
                kept = rng.random(points.shape, dtype=np.float32) >= self.rate
                dropped = np.where(kept, points / np.float32(1.0 - self.rate), np.float32(0.0))
                differs = _decision(view.predict(dropped), view.kind) != plain
                flips += differs.any(axis=1)
            mismatch[start : start + BLOCK] = flips
        threshold = self.passes // 2 + 1
        while threshold > 0 and (mismatch >= threshold).sum() < self.enough * count:
            threshold -= 1
        few = np.flatnonzero(mismatch >= threshold)
        points = unit_rows(view.embeddings, view.candidates[few])
        rows, sizes = representatives(points, count, rng)
        chosen = few[rows]
        why = tuple(
            f"prediction flips in {mismatch[c]} of {self.passes} passes; central to {size} items"
            for c, size in zip(chosen.tolist(), sizes.tolist(), strict=True)
        )
        return Picks(view.candidates[chosen], mismatch[chosen].astype(np.float64), why=why)


def _decision(probabilities: np.ndarray, kind: str) -> np.ndarray:
    """Return the predicted class, or labels, as an array (k, 1 or C)."""
    if kind == "multilabel":
        return probabilities > 0.5
    return probabilities.argmax(axis=1)[:, None]
