"""Views of the items of a pool for the training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.encoders.augment import Strength
from labeltrain.learners.networks.shelf import Shelf


class ItemSource:
    """Views of labelled and unlabelled items, as inputs of the trained part.

    Parameters
    ----------
    shelf : Shelf
    rows : list of ndarray
        Of the pool.
    states : list of ndarray, optional
        Activations of the pool below the cut; then weak views are the items themselves.
    strong : dict of int to list of ndarray
        With `states`: activations of strong views of an item, by position.
    own, others : ndarray of int64
        Positions of the labelled and of the unlabelled items.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        shelf: Shelf,
        rows: Sequence[np.ndarray],
        states: Sequence[np.ndarray] | None,
        strong: dict[int, list[np.ndarray]],
        own: np.ndarray,
        others: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        self._shelf = shelf
        self._rows, self._states, self._strong = rows, states, strong
        self._own, self._others = own, others
        self._rng = rng

    def labelled(self, rows: np.ndarray) -> Any:
        """Return weak views of labelled items."""
        return self._weak(self._own[rows])

    def weak(self, rows: np.ndarray) -> Any:
        """Return weak views of unlabelled items."""
        return self._weak(self._others[rows])

    def strong(self, rows: np.ndarray) -> Any:
        """Return strong views of unlabelled items."""
        positions = self._others[rows].tolist()
        if self._states is None:
            return self._viewed(positions, "strong")
        views = [self._strong[p] for p in positions]
        return self._shelf.together([some[int(self._rng.integers(len(some)))] for some in views])

    def _weak(self, positions: np.ndarray) -> Any:
        if self._states is not None:
            return self._shelf.together([self._states[p] for p in positions.tolist()])
        if self._shelf.backbone.shifts and self._shelf.below is None:
            return self._viewed(positions.tolist(), "weak")
        return self._shelf.input_of([self._rows[p] for p in positions.tolist()])

    def _viewed(self, positions: list[int], strength: Strength) -> Any:
        view = self._shelf.backbone.view
        return self._shelf.input_of([view(self._rows[p], strength, self._rng) for p in positions])
