"""Candidates for the nearest neighbours of all items, each pair being multiplied once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import compact, map_blocks, row_blocks
from labeltrain.kernels.similarity import ReadyRows, original_rows

# Fixed, since the last bits of a product may depend on the shape; 4 MB a tile.
BLOCK = 1024
LEAST_ROOM, MOST_ROOM = 32, 128  # beside the k nearest, as many as k otherwise
RANKED = 256  # items whose candidates are read at once


@dataclass(frozen=True)
class Kept:
    """What may be among the k nearest of some items, as far as tiles were seen.

    Attributes
    ----------
    values : ndarray of float32, shape (n, room)
        Squared distances, in no order.
    places : ndarray of int32 (int64 from 2^31 items on), shape (n, room)
        To which items.
    counts : ndarray of int64, shape (n,)
        How many are kept; -1 where there was no room for all.
    limits : ndarray of float32, shape (n,)
        What exceeds these need not be kept.
    """

    values: np.ndarray
    places: np.ndarray
    counts: np.ndarray
    limits: np.ndarray

    @staticmethod
    def nothing(n: int, room: int, items: int) -> Kept:
        """Return room for `n` rows of a pool of `items`."""
        return Kept(
            np.empty((n, room), dtype=np.float32),
            np.empty((n, room), dtype=np.int32 if items < 2**31 else np.int64),
            np.zeros(n, dtype=np.int64),
            np.full(n, np.inf, dtype=np.float32),
        )

    @staticmethod
    def closed(n: int, like: Kept) -> Kept:
        """Return rows that keep nothing."""
        return Kept(
            like.values[:0],
            like.places[:0],
            like.counts[:0],
            np.full(n, -np.inf, dtype=np.float32),
        )

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return all of it, in the order in which compiled code takes it."""
        return self.values, self.places, self.counts, self.limits

    def part(self, rows: slice) -> Kept:
        """Return some rows; writing there writes here."""
        return Kept(self.values[rows], self.places[rows], self.counts[rows], self.limits[rows])


def room_for(k: int, others: int) -> int:
    """Return how many candidates an item keeps at most, of so many other items."""
    return min(others, k + min(max(k, LEAST_ROOM), MOST_ROOM))


def rounds(count: int) -> Iterator[list[tuple[int, int]]]:
    """Yield every pair ``a < b`` of `count` blocks once, in rounds of disjoint pairs.

    Pairs of one round can be worked on in threads without two of them writing the same rows, and
    what a row sees in which order depends on nothing but `count`. This is the schedule of a
    tournament: one stays, the others turn.
    """
    even = count + count % 2
    ring = list(range(even))
    for _ in range(even - 1):
        pairs = zip(ring[: even // 2], ring[: even // 2 - 1 : -1], strict=True)
        yield [(min(a, b), max(a, b)) for a, b in pairs if max(a, b) < count]
        ring[1:] = [ring[-1], *ring[1:-1]]


def nearest_by_tiles(
    rows: ReadyRows,
    k: int,
    memory: int,
    result: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Write the k nearest of each item, and return the items for which that was not possible.

    Parameters
    ----------
    rows : ReadyRows
        Of a Gaussian similarity of scale 1.
    k : int
        From 1 to n - 1.
    memory : int
        Bytes for candidates. Where those of all items need more, items are taken in groups, and
        only pairs within a group are multiplied once.
    result : tuple of ndarray, shape (n, k)
        Indices and distances, as :func:`~labeltrain.kernels.neighbours.nearest_neighbours`
        returns them.

    Returns
    -------
    ndarray of int64
        Items with too many near-ties at the border; ascending.
    """
    blocks = row_blocks(rows.n, BLOCK)
    room = room_for(k, rows.n - 1)
    fit = max(1, memory // (8 * room * BLOCK))
    size = -(-len(blocks) // -(-len(blocks) // fit))  # groups of about one size
    undecided: list[np.ndarray] = []
    for first in range(0, len(blocks), size):
        group = range(first, min(first + size, len(blocks)))
        start = blocks[group.start].start
        kept = Kept.nothing(blocks[group.stop - 1].stop - start, room, rows.n)
        _collect(rows, k, blocks, group, kept)

        def rank(part: slice, start: int = start, kept: Kept = kept) -> np.ndarray:
            return _rank(rows, k, start + part.start, kept.part(part), result)

        undecided += map_blocks(rank, row_blocks(len(kept.counts), RANKED))
    return np.concatenate(undecided)


def nearest_among_by_tiles(
    rows: ReadyRows, k: int, among: np.ndarray, result: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Do as :func:`nearest_by_tiles` with neighbours from `among` only, ascending positions."""
    from labeltrain.kernels._compiled_tiles import collect

    def search(items: slice) -> np.ndarray:
        n = items.stop - items.start
        kept = Kept.nothing(n, room_for(k, len(among)), rows.n)
        left = rows.read(items)
        for part in row_blocks(len(among), BLOCK):
            inside = among[part]
            product = left @ rows.read(compact(inside)).T
            first, last = np.searchsorted(inside, (items.start, items.stop))
            own = np.arange(first, last)
            product[inside[own] - items.start, own] = np.nan  # an item is not its own neighbour
            closed = Kept.closed(len(inside), kept)
            collect(
                product,
                rows.full_halves[items],
                items.start,
                *kept.arrays(),
                rows.full_halves[inside],
                part.start,
                *closed.arrays(),
                k,
                rows.slack,
            )
        parts = row_blocks(n, RANKED)
        return np.concatenate(
            [_rank(rows, k, items.start + p.start, kept.part(p), result, among) for p in parts]
        )

    return np.concatenate(map_blocks(search, row_blocks(rows.n, BLOCK)))


def _collect(rows: ReadyRows, k: int, blocks: list[slice], group: range, kept: Kept) -> None:
    """Offer every pair with an item of the group to both, or to that one."""
    from labeltrain.kernels._compiled_tiles import collect

    start = blocks[group.start].start
    closed = Kept.closed(BLOCK, kept)

    def mine(block: int) -> Kept:
        if block not in group:
            return closed
        return kept.part(slice(blocks[block].start - start, blocks[block].stop - start))

    def offer(pair: tuple[int, int]) -> None:
        a, b = pair
        left, right = blocks[a], blocks[b]
        # Always the lower block first: the last bits of a product may depend on the order.
        product = rows.read(left) @ rows.read(right).T
        if a == b:
            np.fill_diagonal(product, np.nan)  # an item is not its own neighbour
        ours, theirs = mine(a), closed if a == b else mine(b)
        collect(
            product,
            rows.full_halves[left],
            left.start,
            *ours.arrays(),
            rows.full_halves[right],
            right.start,
            *theirs.arrays(),
            k,
            rows.slack,
        )

    map_blocks(offer, [(block, block) for block in group])
    for pairs in rounds(len(group)):
        map_blocks(offer, [(group.start + a, group.start + b) for a, b in pairs])
    others = [block for block in range(len(blocks)) if block not in group]

    def offer_others(block: int) -> None:
        for other in others:
            offer((min(block, other), max(block, other)))

    if others:
        map_blocks(offer_others, group)


def _rank(
    rows: ReadyRows,
    k: int,
    first: int,
    kept: Kept,
    result: tuple[np.ndarray, np.ndarray],
    among: np.ndarray | None = None,
) -> np.ndarray:
    """Measure in float64 what the items from `first` on keep; return those left undecided."""
    from labeltrain.kernels._compiled_tiles import rank_rows, settle

    halves = rows.full_halves[first : first + len(kept.counts)]
    settle(kept.values, kept.places, kept.counts, halves, k, rows.slack)
    good = np.flatnonzero(kept.counts >= k)
    queries, counts = first + good, kept.counts[good]
    starts = np.concatenate([[0], np.cumsum(counts)])
    members = kept.places[good][np.arange(kept.places.shape[1]) < counts[:, None]]
    if among is not None:
        members = among[members]
    points, factors, own, at = rows.points, rows.factors, queries, members
    known = points.dtype in (np.float32, np.float64) and points.dtype.isnative
    if not (known and points.flags.c_contiguous):  # a copy in a type that compiled code knows
        used, at = np.unique(np.concatenate([queries, members]), return_inverse=True)
        points, factors = original_rows(points, used), factors[used]
        own, at = at[: len(good)], at[len(good) :]
    indices, distances = (np.empty((len(good), k), whole.dtype) for whole in result)
    rank_rows(points, factors, own, members, at, starts, indices, distances)
    result[0][queries], result[1][queries] = indices, distances
    return first + np.flatnonzero(kept.counts < k)
