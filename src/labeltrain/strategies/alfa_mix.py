"""ALFA-Mix: items whose prediction flips when a little of another class is mixed in."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.clusters import representatives
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView

BLOCK = 4096  # items mixed at a time


class AlfaMix(Strategy):
    """Mix each item with the mean labelled features of every class; take those that flip first.

    With z an item's hidden features, z*_c the mean over labelled items of class c (over all
    labelled items when the class has none) and ∇ the gradient of the loss of the predicted class
    at z, the paper's closed form mixes α = ε ‖z*_c - z‖ ∇ / (‖∇‖ (z*_c - z)), elementwise, so the
    mixture is z + ε ‖z*_c - z‖ ∇ / ‖∇‖, with ε = cap / √h. Items whose class changes for some c
    are candidates. The cap grows in steps until there are more than `count`; k-means with
    k = count on their features of length 1 gives the batch, and random draws what is missing.

    Parameters
    ----------
    step : float
        By which the cap grows, up to 1.

    Notes
    -----
    The last layer is linear, so a mixture's logits are those of z plus ε ‖z*_c - z‖ W∇ / ‖∇‖:
    O(n C (h + C)) a step. Scores are the caps at which items flip; NaN for random draws.

    References
    ----------
    Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel, Shi: Active learning by feature mixing,
    CVPR 2022. Checked against the authors' code.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[2.0, 0.0], [0.0, 2.0], [1.05, 1.0], [1.0, 1.05], [3.0, 0.0], [0.0, 3.0]])
    >>> W, b = np.eye(2), np.zeros(2)
    >>> picks = labeltrain.select("alfa-mix", embeddings=E, head=(W, b), classes=2,
    ...                           labelled=[0, 1], labels=[0, 1], budget=1)
    >>> int(picks.positions[0]) in (2, 3)  # next to the border
    True
    """

    name: ClassVar[str] = "alfa-mix"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.HEAD})
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    summary: ClassVar[str] = "items that change class when mixed with labelled ones, by k-means"

    def __init__(self, step: float = 0.03125) -> None:
        if not 0.0 < step <= 1.0:
            raise ValueError("step must be above 0 and at most 1")
        self.step = step

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return representatives of the items that flip first, then random draws."""
        caps = np.full(len(view.candidates), np.nan)
        if len(view.labelled):
            caps = self._flips(view, count)
        few = np.flatnonzero(~np.isnan(caps))
        rows, _ = representatives(
            unit_rows(view.hidden, view.candidates[few]), min(count, len(few)), rng
        )
        chosen = few[rows]
        missing = count - len(chosen)
        if missing:
            others = np.setdiff1d(np.arange(len(caps)), chosen)
            chosen = np.concatenate([chosen, rng.choice(others, missing, replace=False)])
        why = tuple(
            "nothing flips it: a random draw" if np.isnan(cap) else "flips when little is mixed in"
            for cap in caps[chosen]
        )
        return Picks(view.candidates[chosen], caps[chosen], why=why)

    def _flips(self, view: PoolView, count: int) -> np.ndarray:
        """Return the cap at which each candidate flips first, NaN for those that did not."""
        weights, bias = (np.asarray(part, dtype=np.float64) for part in view.head)
        known = np.asarray(view.hidden[view.labelled], dtype=np.float64)
        everything = known.mean(axis=0)
        anchors = np.stack(
            [
                known[view.labels == c].mean(axis=0) if (view.labels == c).any() else everything
                for c in range(len(weights))
            ]
        )
        starts = range(0, len(view.candidates), BLOCK)
        blocks = [_directions(view, start, weights, bias, anchors) for start in starts]
        caps = np.full(len(view.candidates), np.nan)
        for number in range(1, int(np.ceil(1.0 / self.step)) + 1):
            cap = number * self.step
            scale = cap / np.sqrt(known.shape[1])
            for start, (logits, towards, lengths) in zip(starts, blocks, strict=True):
                part = caps[start : start + BLOCK]
                open_ = np.flatnonzero(np.isnan(part))
                flips = _flip(logits[open_], towards[open_], scale * lengths[open_])
                part[open_[flips]] = cap
            if (~np.isnan(caps)).sum() > count:
                break
        return caps


def _directions(
    view: PoolView, start: int, weights: np.ndarray, bias: np.ndarray, anchors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits (k, C), their change per unit step up the loss, distances to anchors (k, C)."""
    points = np.asarray(view.hidden[view.candidates[start : start + BLOCK]], dtype=np.float64)
    logits = points @ weights.T + bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    residual = odds / odds.sum(axis=1, keepdims=True)
    residual[np.arange(len(points)), logits.argmax(axis=1)] -= 1.0
    gradient = residual @ weights
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    towards = gradient @ weights.T / np.where(length > 0.0, length, 1.0)
    squares = (points**2).sum(axis=1)[:, None] + (anchors**2).sum(axis=1) - 2.0 * points @ anchors.T
    return logits, towards, np.sqrt(np.maximum(squares, 0.0))


def _flip(logits: np.ndarray, towards: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return which rows change class for at least one of their steps, (k,)."""
    before = logits.argmax(axis=1)
    flips = np.zeros(len(logits), dtype=bool)
    for c in range(steps.shape[1]):
        flips |= (logits + steps[:, c, None] * towards).argmax(axis=1) != before
    return flips
