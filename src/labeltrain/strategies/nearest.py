"""Nearest: items most similar to given ones, or to a query, before anything is labelled."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.clusters import in_turns
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView

BLOCK = 8192  # candidates compared at a time


class Nearest(Strategy):
    """Pick the items most similar to the targets, which take turns.

    Targets are features in the space of the embeddings: of known examples of what is looked for,
    or of words that describe it. Similarity is the cosine; an item belongs to the target that it is
    most similar to, and each target in its turn gives its most similar item, until none is left.
    Made for rare classes without a label: chance finds none of them.

    Notes
    -----
    O(n t d) for t targets. Scores are the cosines. Ties go to the lowest position.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.2], [0.0, 1.0], [0.7, 0.7]])
    >>> picks = labeltrain.select("nearest", embeddings=E, targets=[[0.0, 2.0]], budget=2)
    >>> picks.positions.tolist()
    [2, 3]
    """

    name: ClassVar[str] = "nearest"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS, Need.TARGETS})
    deterministic: ClassVar[bool] = True
    summary: ClassVar[str] = "most similar to given examples or a query"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that the targets give in turn."""
        targets = unit_rows(np.asarray(view.targets))
        if len(targets) == 0:
            raise BadInput("targets has no rows", "give at least one example, or words")
        owner = np.empty(len(view.candidates), dtype=np.int64)
        cosine = np.empty(len(view.candidates))

        def compare(rows: slice) -> None:
            found = unit_rows(view.embeddings, view.candidates[rows]) @ targets.T
            owner[rows] = found.argmax(axis=1)
            cosine[rows] = found.max(axis=1)

        map_blocks(compare, row_blocks(len(view.candidates), BLOCK))
        used, owner = np.unique(owner, return_inverse=True)
        picks = in_turns(owner, -cosine, np.arange(len(used)))[:count]
        return Picks(view.candidates[picks], cosine[picks], why="like what is looked for")
