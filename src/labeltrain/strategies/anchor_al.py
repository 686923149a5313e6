"""AnchorAL: choose from a small pool around labelled items of every class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.kernels.d2_sampling import d2_sampling
from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.retrieval import nearest_candidates
from labeltrain.kernels.rows import MEMORY
from labeltrain.strategies.base import Need
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.reducing import PoolReducer
from labeltrain.strategies.view import PoolView


class AnchorAL(PoolReducer):
    """Restrict another strategy to a small, class-balanced pool, drawn anew each time.

    For every class up to `anchors` of its labelled items are chosen by k-means++ seeding, each
    retrieves its `neighbours` nearest unlabelled items (features of length 1), and an item scores
    the mean cosine similarity to the anchors that retrieved it. The `size` items of largest score
    are the candidates of `base`. Multilabel: an item is an anchor of every label it has on. Where
    they are fewer than the batch, the rest is drawn at random.

    Parameters
    ----------
    base : str
        Name of the strategy that chooses.
    options : mapping, optional
        Its parameters.
    size : int
        Items in the reduced pool.
    anchors : int
        Of each class.
    neighbours : int
        Of each anchor.
    memory : int
        Bytes for a copy of the pool.

    Notes
    -----
    Exact neighbours: O(C anchors n d). Rare classes have as many anchors as frequent ones, which
    is what the method is for.

    References
    ----------
    Lesci, Vlachos: AnchorAL: computationally efficient active learning for large and imbalanced
    datasets, NAACL 2024. Checked against small-text's version and the authors'.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0], [-1.0, -1.0]])
    >>> P = np.full((5, 2), 0.5)
    >>> picks = labeltrain.select("anchoral", embeddings=E, probabilities=P, labelled=[0, 1],
    ...                           labels=[0, 1], budget=2, neighbours=1)
    >>> sorted(picks.positions.tolist())
    [2, 3]
    """

    name: ClassVar[str] = "anchoral"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    version: ClassVar[int] = 3
    summary: ClassVar[str] = "another strategy, in a small pool around labelled items of each class"

    def __init__(
        self,
        base: str = "margin",
        options: Mapping[str, Any] | None = None,
        size: int = 1000,
        anchors: int = 10,
        neighbours: int = 50,
        memory: int = MEMORY,
    ) -> None:
        super().__init__(base, options)
        for option, value in (("size", size), ("anchors", anchors), ("neighbours", neighbours)):
            if value < 1:
                raise ValueError(f"{option} must be at least 1")
        self.size = size
        self.anchors = anchors
        self.neighbours = neighbours
        self.memory = memory

    def part(self, view: PoolView, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return the items most similar to the anchors that retrieved them."""
        points = view.memo("unit embeddings", lambda: unit_rows(view.embeddings))
        chosen = []
        for c in range(len(view.classes)):
            on = view.labels[:, c] == 1 if view.kind == "multilabel" else view.labels == c
            members = view.labelled[on]
            if len(members):
                size = min(self.anchors, len(members))
                chosen.append(d2_sampling(points, size, rng, candidates=np.sort(members))[0])
        if not chosen:
            return view.candidates[:0]
        anchors = np.unique(np.concatenate(chosen))
        k = min(self.neighbours, len(view.candidates))
        nearest, distances = nearest_candidates(
            points, anchors, view.candidates, k, memory=self.memory
        )
        found, place = np.unique(nearest, return_inverse=True)
        similarity = 1.0 - 0.5 * distances.ravel() ** 2
        sums = np.bincount(place.ravel(), weights=similarity, minlength=len(found))
        times = np.bincount(place.ravel(), minlength=len(found))
        best = lowest(-(sums / times), min(self.size, len(found)))
        return np.sort(found[best])
