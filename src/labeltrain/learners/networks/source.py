"""Views of the items of a pool for the training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.encoders.augment import Strength
from labeltrain.learners.networks.backbone import Backbone


class ItemSource:
    """Views of labelled and unlabelled items, as inputs of the trained part.

    Parameters
    ----------
    backbone : Backbone
    below : torch.nn.Module or None
        Frozen lower part.
    rows : list of ndarray
        Of the pool.
    states : list of ndarray, optional
        Activations of the pool below the cut; then weak views are the items themselves.
    strong : dict of int to list of ndarray, optional
        With `states`: activations of strong views of an item, by position.
    own, others : ndarray of int64
        Positions of the labelled and of the unlabelled items.
    device : str
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        backbone: Backbone,
        below: Any,
        rows: Sequence[np.ndarray],
        states: Sequence[np.ndarray] | None,
        strong: dict[int, list[np.ndarray]],
        own: np.ndarray,
        others: np.ndarray,
        device: str,
        rng: np.random.Generator,
    ) -> None:
        self._backbone, self._below = backbone, below
        self._rows, self._states, self._strong = rows, states, strong
        self._own, self._others = own, others
        self._device, self._rng = device, rng

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
        which = [self._strong[p][int(self._rng.integers(len(self._strong[p])))] for p in positions]
        return self._backbone.together(which, self._device)

    def _weak(self, positions: np.ndarray) -> Any:
        if self._states is not None:
            chosen = [self._states[p] for p in positions.tolist()]
            return self._backbone.together(chosen, self._device)
        if self._backbone.shifts:
            return self._viewed(positions.tolist(), "weak")
        return self._input([self._rows[p] for p in positions.tolist()])

    def _viewed(self, positions: list[int], strength: Strength) -> Any:
        view = self._backbone.view
        return self._input([view(self._rows[p], strength, self._rng) for p in positions])

    def _input(self, rows: list[np.ndarray]) -> Any:
        batch = self._backbone.tensors(rows, self._device)
        if self._below is None:
            return batch
        import torch

        with torch.no_grad():
            return self._below(batch)
