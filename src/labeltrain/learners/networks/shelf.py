"""Rows of items, and their activations below the trained layers, made once for all rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.learners.networks.backbone import Backbone

BATCH = 64
KEPT = 2  # sequences of items: those of the pool, and those of the test


class Shelf:
    """Keeps what a backbone makes of sequences of items, by the identity of the sequence.

    Parameters
    ----------
    backbone : Backbone
    memory : float
        GiB that activations of one sequence may take; beyond, they are made again for every batch.
    """

    def __init__(self, backbone: Backbone, memory: float) -> None:
        self.backbone = backbone
        self.memory = memory
        self._rows: list[tuple[Any, list[np.ndarray]]] = []
        self._states: list[tuple[Any, list[np.ndarray]]] = []
        self._vectors: list[tuple[Any, Any, np.ndarray]] = []
        #: Activations of strong views of the pool: block -> position -> one for each copy.
        self.strong: dict[int, dict[int, list[np.ndarray]]] = {}

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return the rows of the items."""
        for held, rows in self._rows:
            if held is items:
                return rows
        rows = self.backbone.rows(items)
        self._rows = [*self._rows[1 - KEPT :], (items, rows)]
        return rows

    def inputs(self, items: Sequence[Any], below: Any, device: str) -> list[np.ndarray]:
        """Return what the trained part reads of each item: rows, or activations where they fit.

        Activations are made in fixed batches, so that they do not depend on who asks first.
        """
        rows = self.rows(items)
        if below is None:
            return rows
        for held, states in self._states:
            if held is items:
                return states
        states = states_of(self.backbone, below, rows, device)
        self._states = [*self._states[1 - KEPT :], (items, states)]
        return states

    def fits(self, below: Any, rows: Sequence[np.ndarray], copies: int, device: str) -> bool:
        """Tell whether activations of `copies` views of each row fit the memory."""
        if not rows:
            return True
        longest = max(rows, key=lambda row: row.size)
        size = states_of(self.backbone, below, [longest], device)[0].nbytes
        share = sum(row.size for row in rows) / longest.size
        return copies * share * size <= self.memory * 2**30

    def vectors(self, items: Any, network: Any, make: Any) -> np.ndarray:
        """Return the vectors of the items by this network, made once."""
        for held, by, vectors in self._vectors:
            if held is items and by is network:
                return vectors
        vectors = make()
        self._vectors = [*self._vectors[1 - KEPT :], (items, network, vectors)]
        return vectors


def in_batches(rows: Sequence[np.ndarray]) -> list[list[int]]:
    """Group rows of like size, longest first."""
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].size, i))
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def states_of(
    backbone: Backbone, below: Any, rows: Sequence[np.ndarray], device: str
) -> list[np.ndarray]:
    """Return the activations of rows below the cut."""
    import torch

    found: list[Any] = [None] * len(rows)
    with torch.no_grad():
        for places in in_batches(rows):
            chosen = [rows[i] for i in places]
            made = backbone.apart(below(backbone.tensors(chosen, device)), chosen)
            for place, states in zip(places, made, strict=True):
                found[place] = states
    return found


def vectors_of(
    backbone: Backbone, network: Any, inputs: Sequence[np.ndarray], below: Any, device: str,
    *, states: bool,
) -> np.ndarray:  # fmt: skip
    """Return the standardised vectors, float32 (k, d), of rows or of activations."""
    import torch

    result: np.ndarray | None = None
    network.eval()
    with torch.no_grad():
        for places in in_batches(inputs):
            chosen = [inputs[i] for i in places]
            if states:
                batch = backbone.together(chosen, device)
            else:
                batch = backbone.tensors(chosen, device)
                if below is not None:
                    batch = below(batch)
            block = network.vectors(batch).cpu().numpy()
            if result is None:
                result = np.empty((len(inputs), block.shape[1]), dtype=np.float32)
            result[places] = block
    return result if result is not None else np.empty((0, len(network.mean)), np.float32)
