"""SIMILAR: items that change the model as labelled items of the rare classes do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.lazy_greedy import TIE, lazy_greedy
from labeltrain.kernels.rows import MEMORY, READ_ROWS
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.most_likely_positive import MostLikelyPositive
from labeltrain.strategies.rare import has_label, rare_classes
from labeltrain.strategies.view import PoolView


class Similar(Strategy):
    """Greedily maximise ``sum_q max_b s(b, q) + eta * sum_b max_q s(b, q)``, known as FLQMI.

    q runs over the queries, labelled items of the rare classes, and b over the batch. s is
    (1 + cosine) / 2 of the last layer's gradients g = (p - y) ⊗ h, with y the one-hot label: a
    query's is known, any other item is taken for its predicted class. Multilabel: y is the row of
    labels, predicted on where p > 0.5. Pending items count as picked. Equal gains go to the lowest
    position.

    Parameters
    ----------
    rare : name, index, or sequence of these, optional
        The rare classes; by default those with fewer labels than classes have on average, as in
        :class:`~labeltrain.strategies.most_likely_positive.MostLikelyPositive`.
    queries : int
        At most so many of each rare class, those labelled first. A rare class without labels has
        none; when no rare class has any, the picks are those of most-likely-positive, and say so.
    eta : float
        Weight of being like any query, beside covering all of them.
    memory : int
        Bytes for the similarities of candidates and queries; where they do not fit they are
        computed again when they are needed. The picks do not depend on it.

    Notes
    -----
    Without the bias part of the gradients that the authors' toolkit adds by default. The C x h
    gradients are never built: the cosine of a⊗h and b⊗g is that of a and b times that of
    h and g. A gradient of length 0 has cosine 0. (1 + cosine) / 2 makes the picks that the cosine
    itself would make. Lazy and exact, O(n q (C + h)) for q queries, then a few rows of similarities
    a pick, and all of them again for the first picks, which lower most gains. Scores are the gains.

    References
    ----------
    Kothawade, Beck, Killamsetty, Iyer: SIMILAR: submodular information measures based active
    learning in realistic scenarios, NeurIPS 2021. Checked against the authors' code, whose queries
    are a set of their own.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [0.7, 0.7]])
    >>> P = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.9, 0.1]])
    >>> picks = labeltrain.select("similar", embeddings=E, probabilities=P, labelled=[0, 1, 2],
    ...                           labels=["ham", "ham", "spam"], classes=["ham", "spam"], budget=1)
    >>> picks.positions.tolist(), picks.why
    ([3], ('like a labelled item of spam',))
    """

    name: ClassVar[str] = "similar"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.PROBABILITIES})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "items whose gradients are like those of labelled rare ones"

    def __init__(
        self,
        rare: str | int | Sequence[str | int] | None = None,
        queries: int = 5,
        eta: float = 1.0,
        memory: int = MEMORY,
    ) -> None:
        if queries < 1:
            raise ValueError("queries must be at least 1")
        if not 0.0 <= eta <= 1e9:
            raise ValueError(f"eta is {eta}, expected a number from 0 to 1e9")
        self.rare = rare
        self.queries = queries
        self.eta = eta
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily raise the objective most."""
        places, classes = self._queries(view)
        if not len(places):
            picks = MostLikelyPositive(self.rare).select(view, count, rng)
            why = tuple(f"no labelled item of a rare class yet: {reason}" for reason in picks.why)
            return Picks(picks.positions, picks.scores, why=why)
        kernel = _Similarity(view, places, self.memory)
        covered = np.zeros(len(places))
        for part in row_blocks(len(view.pending), kernel.step):
            np.maximum(covered, kernel.measure(view.pending[part]).max(axis=0), out=covered)
        why_each: list[str] = []

        def gains(rows: np.ndarray) -> np.ndarray:
            found = np.empty(len(rows))

            def fill(part: slice) -> None:
                s = kernel.of(rows[part])
                found[part] = np.maximum(s - covered, 0.0).sum(axis=1) + self.eta * s.max(axis=1)

            map_blocks(fill, row_blocks(len(rows), kernel.step))
            return found

        def take(row: int) -> bool:
            s = kernel.of(np.array([row]))[0]
            why_each.append(f"like a labelled item of {view.classes[classes[s.argmax()]]}")
            rises = bool((s > covered).any())
            np.maximum(covered, s, out=covered)
            return rises

        tie = TIE * max(1.0, self.eta)
        rows, values = lazy_greedy(len(view.candidates), count, gains, take, tie=tie)
        return Picks(view.candidates[rows], values, why=tuple(why_each))

    def _queries(self, view: PoolView) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the queries among the labelled items, and their classes."""
        places: list[int] = []
        classes: list[int] = []
        for c in rare_classes(view, self.rare):
            few = np.flatnonzero(has_label(view, c))[: self.queries]
            new = few[~np.isin(few, places)]
            places.extend(new.tolist())
            classes.extend([int(c)] * len(new))
        return np.array(places, dtype=np.int64), np.array(classes, dtype=np.int64)


class _Similarity:
    """(1 + cosine) / 2 of the gradients of items and queries, float64."""

    def __init__(self, view: PoolView, places: np.ndarray, memory: int) -> None:
        self._view = view
        positions = view.labelled[places]
        p = np.asarray(view.probabilities_of(positions), dtype=np.float64)
        if view.kind == "multilabel":
            truth = np.asarray(view.labels[places], dtype=np.float64)
        else:
            truth = np.eye(p.shape[1])[view.labels[places]]
        self._factors = _unit(p - truth)
        self._points = _unit(view.hidden[positions])
        width = p.shape[1] + self._points.shape[1] + 2 * len(places)
        self.step = int(np.clip(memory // (32 * width), 64, READ_ROWS))
        self._held: np.ndarray | None = None
        n = len(view.candidates)
        if 8 * n * len(places) <= memory:
            held = np.empty((n, len(places)))

            def fill(rows: slice) -> None:
                held[rows] = self.measure(view.candidates[rows])

            map_blocks(fill, row_blocks(n, self.step))
            self._held = held

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the similarities of some candidates, by their rows, to the queries, (k, q)."""
        if self._held is not None:
            return self._held[rows]
        return self.measure(self._view.candidates[rows])

    def measure(self, positions: np.ndarray) -> np.ndarray:
        """Return the similarities of unlabelled items of the pool to the queries, (k, q)."""
        residuals = np.array(self._view.probabilities_of(positions), dtype=np.float64)
        if self._view.kind == "multilabel":
            residuals -= residuals > 0.5
        else:
            residuals[np.arange(len(residuals)), residuals.argmax(axis=1)] -= 1.0
        cosines = _unit(residuals) @ self._factors.T
        cosines *= _unit(self._view.hidden[positions]) @ self._points.T
        return 0.5 + 0.5 * cosines


def _unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1, float64; a row of zeros stays one."""
    rows = np.asarray(rows, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0.0, length, 1.0)
