"""SEALS: choose among the nearest neighbours of what is labelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.kernels.retrieval import nearest_candidates
from labeltrain.kernels.rows import MEMORY
from labeltrain.strategies.base import Need
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.reducing import PoolReducer
from labeltrain.strategies.view import PoolView


class Seals(PoolReducer):
    """Restrict another strategy to the nearest neighbours of the labelled items.

    The candidates of `base` are the union of the `neighbours` nearest unlabelled items of every
    labelled and pending one, on features of length 1. Made for very large pools and rare classes:
    the strategy's cost depends on the labels, not on the pool. Where the union is smaller than the
    batch, the rest is drawn at random.

    Parameters
    ----------
    base : str
        Name of the strategy that chooses.
    options : mapping, optional
        Its parameters.
    neighbours : int
    memory : int
        Bytes for a copy of the pool.

    Notes
    -----
    Exact neighbours: O(m n d) for m labelled items. The paper uses an approximate index and keeps
    the union from round to round; here it is made anew, which gives the same set while neighbours
    do not change.

    References
    ----------
    Coleman, Chou, Katz-Samuels, Culatana, Bailis, Berg, Nowak, Sumbaly, Zaharia, Yalniz:
    Similarity search for efficient active learning and search of rare concepts, AAAI 2022.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.2]])
    >>> P = np.array([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.7, 0.3]])
    >>> labeltrain.select("seals", embeddings=E, probabilities=P, labelled=[0], budget=1,
    ...                   base="margin", neighbours=2).positions.tolist()
    [3]
    """

    name: ClassVar[str] = "seals"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    version: ClassVar[int] = 3
    summary: ClassVar[str] = "another strategy, among the neighbours of what is labelled"

    def __init__(
        self,
        base: str = "margin",
        options: Mapping[str, Any] | None = None,
        neighbours: int = 100,
        memory: int = MEMORY,
    ) -> None:
        super().__init__(base, options)
        if neighbours < 1:
            raise ValueError("neighbours must be at least 1")
        self.neighbours = neighbours
        self.memory = memory

    def part(self, view: PoolView, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the neighbours of what is labelled or pending."""
        known = np.concatenate([view.labelled, view.pending])
        k = min(self.neighbours, len(view.candidates))
        if len(known) == 0 or k == len(view.candidates):
            return view.candidates if len(known) else view.candidates[:0]
        points = view.memo("unit embeddings", lambda: unit_rows(view.embeddings))
        nearest, _ = nearest_candidates(points, known, view.candidates, k, memory=self.memory)
        return np.unique(nearest)
