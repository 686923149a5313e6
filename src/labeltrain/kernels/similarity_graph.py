"""A graph of similar items in compressed rows, made from nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.similarity import CUT, Similarity

READ_ROWS = 8192


@dataclass(frozen=True)
class SimilarityGraph:
    """Which items are similar, and how much: symmetric, each item to itself by 1.

    Attributes
    ----------
    starts : ndarray of int64, shape (n + 1,)
        The neighbours of item i are the entries from ``starts[i]`` to ``starts[i + 1]``.
    others : ndarray of int32 (int64 from 2^31 items on)
        Ascending within an item.
    values : ndarray of float32
        Between 0 (not included) and 1.
    """

    starts: np.ndarray
    others: np.ndarray
    values: np.ndarray

    @property
    def n(self) -> int:
        """Return the number of items."""
        return len(self.starts) - 1


def similarity_graph(
    indices: np.ndarray, distances: np.ndarray, similarity: Similarity
) -> SimilarityGraph:
    """Return the graph in which two items are similar when either is a neighbour of the other.

    Parameters
    ----------
    indices : ndarray of int, shape (n, k)
        Neighbours, as :func:`~labeltrain.kernels.neighbours.nearest_neighbours` returns them, in
        any order; an item that stands there twice, or among its own, counts once.
    distances : ndarray of float, shape (n, k)
        For ``cosine``, between rows of length 1.
    similarity : Similarity

    Returns
    -------
    SimilarityGraph
        Where the two directions differ, the larger similarity.

    Notes
    -----
    At its peak 20 bytes an edge beside the neighbours: 1.3 GB for 1,000,000 items of 64.
    """
    from labeltrain.kernels._compiled_graph import (
        close_gaps,
        count_edges,
        fill_edges,
        merge_edges,
    )

    n = len(indices)
    values = similarities(distances, similarity)
    inward = np.zeros(n, dtype=np.int64)
    room = np.zeros(n, dtype=np.int64)
    count_edges(indices, values, inward, room)
    room += inward
    starts = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(room, out=starts[1:])
    others = np.empty(starts[-1], dtype=np.int32 if n < 2**31 else np.int64)
    both = np.empty(starts[-1], dtype=np.float32)
    fill_edges(indices, values, starts, inward, others, both)
    del values
    sizes = room  # not needed any more

    def merge(rows: slice) -> None:
        merge_edges(starts[rows.start : rows.stop + 1], inward[rows], others, both, sizes[rows])

    map_blocks(merge, row_blocks(n, READ_ROWS))
    close_gaps(starts, sizes, others, both)
    return SimilarityGraph(starts, others[: starts[-1]], both[: starts[-1]])


def similarities(distances: np.ndarray, similarity: Similarity) -> np.ndarray:
    """Return the similarities at these distances, computed in float64 and rounded to float32."""
    values = np.empty(distances.shape, dtype=np.float32)

    def fill(rows: slice) -> None:
        squares = np.square(distances[rows], dtype=np.float64)
        if similarity.gaussian:
            powers = squares / similarity.scale
            values[rows] = np.where(powers <= CUT, np.exp(-np.minimum(powers, CUT)), 0.0)
        else:
            values[rows] = np.clip(1.0 - squares / 2.0, 0.0, 1.0)

    map_blocks(fill, row_blocks(len(distances), READ_ROWS))
    return values
