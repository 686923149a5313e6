"""Rows of items, and their activations below the trained layers, made once for all rounds."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labeltrain.kernels import clock
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.rng import stream

BATCH = 64
KEPT = 3  # sequences of items, used last: those of the pool, of the test, and some others


@dataclass
class Held:
    """What is kept of one sequence of items.

    Attributes
    ----------
    texts : tuple of str, or None
        The items, if they are texts, which cannot change: equal ones need not be hashed.
    key : bytes
        Of its content.
    rows : list of ndarray
    bytes : float, optional
        Size of the activations of all rows, estimated from the longest.
    states : list of ndarray, optional
        Activations below the cut.
    strong : dict
        Activations of strong views: block -> position -> one for each copy.
    seconds : float
        Spent on all of these.
    """

    texts: tuple[str, ...] | None
    key: bytes
    rows: list[np.ndarray]
    bytes: float | None = None
    states: list[np.ndarray] | None = None
    strong: dict[int, dict[int, list[np.ndarray]]] = field(default_factory=dict)
    seconds: float = 0.0


class Shelf:
    """Keeps what a backbone makes of sequences of items, by their content.

    Activations are made in fixed batches, so that they do not depend on who asks first.

    Parameters
    ----------
    backbone : Backbone
    below : torch.nn.Module or None
        The frozen lower part; None: all of the network is trained.
    memory : float
        GiB that activations of one sequence may take; beyond, they are made again for every batch.
    device : str
    """

    def __init__(self, backbone: Backbone, below: Any, memory: float, device: str) -> None:
        self.backbone, self.below = backbone, below
        self.memory, self.device = memory, device
        self._held: list[Held] = []
        self._vectors: list[tuple[bytes, Any, np.ndarray]] = []

    def _of(self, items: Sequence[Any]) -> Held:
        found, key = self._known(items)
        if found is None:
            started = clock.seconds()
            found = Held(self._texts(items), key, self.backbone.rows(items))
            found.seconds = clock.seconds() - started
        others = [held for held in self._held if held is not found]
        self._held = [*others[1 - KEPT :], found]
        return found

    def _known(self, items: Sequence[Any]) -> tuple[Held | None, bytes]:
        """Return what is kept of the items, if anything is, and a hash of their content."""
        texts = self._texts(items)
        for held in self._held:
            if texts is not None and held.texts == texts:
                return held, held.key
        key = content_of(items)
        return next((held for held in self._held if held.key == key), None), key

    def _texts(self, items: Sequence[Any]) -> tuple[str, ...] | None:
        """Return the items if they are texts: whoever holds the list may change it, not these."""
        if self.backbone.modality != "text" or isinstance(items, np.ndarray):
            return None
        found = tuple(items)
        return found if all(type(item) is str for item in found) else None

    def seconds(self, items: Sequence[Any]) -> float:
        """Return the seconds spent so far on what is kept of the items."""
        held, _ = self._known(items)
        return 0.0 if held is None else held.seconds

    def key(self, items: Sequence[Any]) -> bytes:
        """Return a hash of the content of the items."""
        return self._of(items).key

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return the rows of the items."""
        return self._of(items).rows

    def states(self, items: Sequence[Any], copies: int = 1) -> list[np.ndarray] | None:
        """Return the activations of the items below the cut; None where there is none.

        Parameters
        ----------
        items : sequence
        copies : int
            With so many views of each item they must fit the memory, or None is returned too.
        """
        held = self._of(items)
        if self.below is None or not self._fits(held, copies):
            return None
        if held.states is None:
            started = clock.seconds()
            held.states = self._below(held.rows)
            held.seconds += clock.seconds() - started
        return held.states

    def strong(
        self, items: Sequence[Any], free: np.ndarray, sample: int, copies: int
    ) -> dict[int, list[np.ndarray]]:
        """Return activations of strong views of some items, at least `sample` where there are.

        Items are taken along one fixed random order, in whole blocks, so that the views and their
        last bits are the same in every round and after a resume.

        Parameters
        ----------
        items : sequence of length n
        free : ndarray of bool, shape (n,)
            Items to choose from.
        sample, copies : int

        Returns
        -------
        dict of int to list of ndarray
            By position, one for each copy.
        """
        held = self._of(items)
        started = clock.seconds()
        order = stream(0, "strong views").permutation(len(free))
        last = int(np.flatnonzero(free[order])[:sample][-1])
        blocks = range(last // BATCH + 1)
        for block in blocks:
            positions = order[block * BATCH : (block + 1) * BATCH].tolist()
            made = held.strong.setdefault(block, {p: [] for p in positions})
            for copy in range(len(made[positions[0]]), copies):
                # A generator for each item: no view depends on another item.
                views = [
                    self.backbone.view(held.rows[p], "strong", stream(0, "strong views", p, copy))
                    for p in positions
                ]
                for p, states in zip(positions, self._below(views), strict=True):
                    made[p].append(states)
        held.seconds += clock.seconds() - started
        return {
            p: views[:copies]
            for block in blocks
            for p, views in held.strong[block].items()
            if free[p]
        }

    def vectors(self, items: Sequence[Any], network: Any) -> np.ndarray:
        """Return the standardised vectors, float32 (k, d), of items by a trained network."""
        _, key = self._known(items)
        for known, by, vectors in self._vectors:
            if known == key and by is network:
                return vectors
        states = self.states(items)
        network.eval()
        if states is not None:
            vectors = in_batches(states, lambda rows: network.vectors(self.together(rows)))
        else:
            vectors = in_batches(
                self.rows(items), lambda rows: network.vectors(self.input_of(rows))
            )
        if not len(vectors):
            vectors = np.empty((0, len(network.mean)), np.float32)
        vectors.setflags(write=False)
        self._vectors = [*self._vectors[1 - KEPT :], (key, network, vectors)]
        return vectors

    def together(self, states: Sequence[np.ndarray]) -> Any:
        """Return the input of the trained part for a batch of activations."""
        return self.backbone.together(states, self.device)

    def input_of(self, rows: Sequence[np.ndarray]) -> Any:
        """Return the input of the trained part for a batch of rows."""
        import torch

        batch = self.backbone.tensors(rows, self.device)
        if self.below is None:
            return batch
        with torch.no_grad():
            return self.below(batch)

    def _fits(self, held: Held, copies: int) -> bool:
        if held.bytes is None and held.rows:
            longest = max(held.rows, key=lambda row: row.size)
            share = sum(row.size for row in held.rows) / longest.size
            held.bytes = share * self._below([longest])[0].nbytes
        return copies * (held.bytes or 0.0) <= self.memory * 2**30

    def _below(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the activations of rows below the cut."""
        found: list[Any] = [None] * len(rows)
        for places in _grouped(rows):
            chosen = [rows[i] for i in places]
            made = self.backbone.apart(self.input_of(chosen), chosen)
            for place, states in zip(places, made, strict=True):
                found[place] = states
        return found


def in_batches(
    inputs: Sequence[np.ndarray], apply: Callable[[list[np.ndarray]], Any]
) -> np.ndarray:
    """Return what `apply` gives for each input, float32 (k, d), in batches of like size."""
    import torch

    result: np.ndarray | None = None
    with torch.no_grad():
        for places in _grouped(inputs):
            block = apply([inputs[i] for i in places]).float().cpu().numpy()
            if result is None:
                result = np.empty((len(inputs), block.shape[1]), dtype=np.float32)
            result[places] = block
    return result if result is not None else np.empty((0, 0), np.float32)


def _grouped(rows: Sequence[np.ndarray]) -> list[list[int]]:
    """Group rows of like size, longest first."""
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].size, i))
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def content_of(items: Sequence[Any]) -> bytes:
    """Return a hash of texts, of arrays of pixels, or of the names and dates of image files."""
    from os import PathLike, fspath, stat

    digest = hashlib.blake2b(digest_size=32)
    for item in items:
        if isinstance(item, np.ndarray):
            part = f"{item.dtype.str}{item.shape}".encode() + np.ascontiguousarray(item).tobytes()
        elif not isinstance(item, str | PathLike):
            part = repr(item).encode()  # refused by name when rows are made
        else:
            text = fspath(item)
            part = text.encode("utf-8", "surrogatepass")
            with contextlib.suppress(OSError, ValueError):  # a text is no file
                part += str(stat(text).st_mtime_ns).encode() if len(text) < 1000 else b""
        digest.update(str(len(part)).encode() + b":" + part)
    return digest.digest()


_last: list[tuple[Any, Shelf]] = []


def shared(key: Any, make: Callable[[], Shelf]) -> Shelf:
    """Return the shelf made last in this process if its key is the same, else a new one.

    Trajectories of one study follow each other on the same items.
    """
    if not _last or _last[0][0] != key:
        _last[:] = [(key, make())]
    return _last[0][1]
