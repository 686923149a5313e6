"""Upper bounds of coverage gains from float32 products, dense or in blocks.

A gain of an earlier turn bounds the present one, since coverage only rises. Where bounds have grown
loose there are two ways on: measure the leading candidates anew, one column of similarities each,
or take off all gains what was lost on the items that are better covered by now, one row each. Every
changed item costs its row once, sooner or later, so what counts is which way costs less a turn.
Once rows have turned out to be the cheaper way they are taken in every turn, since columns would
come on top of them; now and then the other way is tried again. When so much has been spent that
all pairs could have been looked at once more, and the pairs that still matter fit the memory, they
are kept, and bounds are up to date in every turn without further products.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from labeltrain.kernels.blocks import compact, map_blocks, row_blocks
from labeltrain.kernels.similarity import ReadyRows, Similarity
from labeltrain.kernels.sparse_bounds import ENTRY, SPARE, Pairs
from labeltrain.kernels.threads import available_threads

ROUNDING = 4e-6  # above the relative error of the float32 exponential and sums
UP = np.float32(1.0 + ROUNDING)
DOWN = np.float32(1.0 - ROUNDING)
ULP = np.float32(1.2e-7)  # coverage may be above `below` by so much
TILE = 512
CHUNK = 1024
WIDTH = 64  # columns of products that are kept for exact measurement
FIRST = 16  # columns looked at first in a turn
FEW = 4  # the same, where bounds are tight
RECENT = 0.2  # weight of the last turn in what a way costs
HORIZON = 16  # turns over which going over to rows must pay
OFTEN = 8  # turns within which rows are taken again when they are the cheaper way for good
EAGER = 64  # turns in which they are then taken at once, until columns are tried again
INSIDE = 4096  # changed items whose rows are held at a time
AGAIN = 1.2  # turns grow by so much until the pairs that are left are estimated again
WORTH = 1.5  # times what they cost, pairs must save to be kept
Leaders = list[tuple[int, np.ndarray]]


class Bounds:
    """Bounds of the gains of all candidates, and the similarities of the leading ones.

    Parameters
    ----------
    rows : ReadyRows
    similarity : Similarity
    below : ndarray of float32, shape (n,)
        The coverage, rounded down; shared with the search, which raises it.
    weights : ndarray of float, shape (n,)
    memory : int
    """

    def __init__(
        self,
        rows: ReadyRows,
        similarity: Similarity,
        below: np.ndarray,
        weights: np.ndarray,
        memory: int,
    ) -> None:
        self.rows, self.similarity, self.below = rows, similarity, below
        self.exact_weights = weights
        self.weights = weights.astype(np.float32)
        self.memory = memory
        self.width = int(max(1, min(WIDTH, memory // (16 * max(rows.n, 1)))))
        share = memory // (32 * max(rows.d, 1))
        self.read_rows = int(max(64, min(4096, share)))
        self.tile = TILE if rows.resident else int(max(64, min(16384, share)))
        self._kept: np.ndarray | None = None
        self.base = np.empty(0)
        self.base_below = below
        self.measured = 0  # columns looked at in this turn
        self.turn_below = below
        self.column_rate = self.row_rate = 0.0  # pairs a turn that either way costs, of late
        self.eager = 0  # turns that rows are still taken at once
        self.since = EAGER  # turns since rows were taken
        self.pairs: Pairs | None = None
        self.turn = self.next_estimate = 0
        self.spent = 0.0  # pairs looked at since the start

    def start(self, candidates: np.ndarray, modular: np.ndarray, turns: int) -> np.ndarray:
        """Return a bound of the gain of each candidate; `turns` picks will be made."""
        self.candidates, self.modular, self.turns = candidates, modular, turns
        self._renew()
        return self.base.copy()

    def leaders(self, upper: np.ndarray, settled: np.ndarray, threshold: float) -> Leaders:
        """Return some leading candidates with their similarities, or none when none may lead.

        Parameters
        ----------
        upper : ndarray of float64, shape (m,)
            A bound of each gain; may be brought up to date here.
        settled : ndarray of bool, shape (m,)
            Candidates that are measured already, or picked.
        threshold : float
            The gain to beat or equal.
        """
        wanted = self._wanted(upper, settled, threshold)
        if threshold > 0.0 and len(wanted) > WIDTH and self._rows_are_cheaper(upper, len(wanted)):
            wanted = self._wanted(upper, settled, threshold)
        if not len(wanted):
            return []
        first = FIRST if self.pairs is None else FEW
        width = min(self.width, WIDTH if self.measured else first)
        top = wanted
        if len(wanted) > width:
            top = wanted[np.argpartition(-upper[wanted], width - 1)[:width]]
        self.measured += len(top)
        return self._lead(top, upper)

    def bounds_of(self, rank: int) -> np.ndarray:
        """Return bounds of the similarities of one candidate to all items, (n,)."""
        return self.columns(self.candidates[[rank]])[0]

    @staticmethod
    def _wanted(upper: np.ndarray, settled: np.ndarray, threshold: float) -> np.ndarray:
        return np.flatnonzero((upper > 0.0) & (upper >= threshold) & ~settled)

    def columns(self, positions: np.ndarray) -> np.ndarray:
        """Return bounds of the similarities of at most `width` items to all: (k, n)."""
        rows = self.rows
        if self._kept is None:
            self._kept = np.empty((self.width, rows.n), dtype=np.float32)
        kept = self._kept[: len(positions)]
        left = rows.read(positions)

        def fill(block: slice) -> None:
            kept[:, block] = self._similarities(positions, left, block)

        map_blocks(fill, row_blocks(rows.n, self.read_rows))
        return kept

    def _similarities(
        self, some: slice | np.ndarray, left: np.ndarray, others: slice | np.ndarray
    ) -> np.ndarray:
        """Return bounds of the similarities of `some` items, whose ready rows are `left`."""
        from labeltrain.kernels._compiled_coverage import to_bounds

        halves, rows = self.rows.halves, self.rows
        product = left @ rows.read(others).T
        to_bounds(product, halves[some], halves[others], self.similarity.gaussian, rows.slack, UP)
        return product

    def _lead(self, top: np.ndarray, upper: np.ndarray) -> Leaders:
        from labeltrain.kernels._compiled_coverage import row_gains

        kept = self.columns(self.candidates[top])
        fresh = np.zeros(len(top))
        row_gains(kept, self.below, self.weights, fresh)
        upper[top] = np.minimum(upper[top], fresh * UP + self.modular[top])
        order = np.argsort(-upper[top], kind="stable")
        return [(int(top[o]), kept[o]) for o in order]

    def begin_turn(self, upper: np.ndarray) -> None:
        """Bring the bounds up to date where that is known to pay; to be called before each pick.

        Parameters
        ----------
        upper : ndarray of float64, shape (m,)
            A bound of each gain.
        """
        self.turn += 1
        if self.pairs is None:
            self._note_costs()
            self.pairs = self._pairs()
        self.measured = 0
        if self.pairs is not None:
            np.minimum(upper, self.pairs.update(self.below) + self.modular, out=upper)
        elif self.eager > 0:
            self.eager -= 1
            self._bring_up_to_date(upper)

    def _pairs(self) -> Pairs | None:
        """Return the pairs that still matter, where it is time to keep them and they fit."""
        rows, m = self.rows, len(self.candidates)
        price = float(rows.n) * m
        if (
            self.turn < self.next_estimate
            or self.spent < price
            or self._ahead() < WORTH * price
            or not rows.resident
        ):
            return None
        self.next_estimate = int(AGAIN * self.turn) + 1
        part = compact(self.candidates)
        copies = 1 if isinstance(part, slice) else 2
        taken = self.memory // 8 + 4 * rows.n * (copies * rows.d + self.width)
        room = (self.memory - taken) // ENTRY
        if room <= 0:
            return None
        right, halves = rows.read(part), rows.halves[part]

        def products(items: slice | np.ndarray, chunk: slice) -> np.ndarray:
            from labeltrain.kernels._compiled_coverage import to_bounds

            product = rows.read(items) @ right[chunk].T
            own = rows.halves[items]
            to_bounds(product, own, halves[chunk], self.similarity.gaussian, rows.slack, UP)
            return product

        pairs = Pairs(products, m, self.below, self.exact_weights)
        if SPARE * pairs.estimate() > room:
            return None
        at_once = self.memory // (16 * ENTRY * available_threads())
        if pairs.fill(int(min(room, price)), at_once):
            return pairs
        self.next_estimate = 2 * self.turn
        return None

    def _ahead(self) -> float:
        """Return about how many pairs the turns that are left would look at: rates fall as 1/t."""
        turn = max(self.turn, 1)
        return (self.column_rate + self.row_rate) * turn * math.log(max(self.turns, turn) / turn)

    def _note_costs(self) -> None:
        """Note what either way has cost of late."""
        self.since += 1
        changed = np.count_nonzero(self.below != self.turn_below)
        self.turn_below = self.below.copy()
        columns = max(self.measured - FIRST, 0)  # the first ones are needed either way
        self.spent += self.measured * float(self.rows.n)
        self.column_rate += RECENT * (columns * float(self.rows.n) - self.column_rate)
        self.row_rate += RECENT * (changed * float(len(self.candidates)) - self.row_rate)

    def _rows_are_cheaper(self, upper: np.ndarray, wanted: int) -> bool:
        """Bring the bounds of all candidates up to date, where that is the cheaper way."""
        if self.pairs is not None:
            return False
        changed = int(np.count_nonzero(self.below != self.base_below))
        price = min(self._whole(), float(len(self.candidates)) * changed)
        saves = self.column_rate - self.row_rate
        if not changed or (wanted * float(self.rows.n) <= price and HORIZON * saves <= price):
            return False
        if self.since <= OFTEN:
            self.eager = EAGER
        self._bring_up_to_date(upper)
        return True

    def _whole(self) -> float:
        """Return how many pairs all bounds take from scratch."""
        m, n = len(self.candidates), self.rows.n
        return m * n * (0.5 if 2 * m > n else 1.0)

    def _bring_up_to_date(self, upper: np.ndarray) -> None:
        self.since = 0
        changed = np.flatnonzero(self.below != self.base_below)
        if len(self.candidates) * len(changed) >= self._whole():
            self.spent += self._whole()
            self._renew()
        elif len(changed):
            self.spent += len(self.candidates) * float(len(changed))
            before, now = self.base_below[changed], self.below[changed]
            self.base -= self._drops(changed, before, now)
            self.base_below = self.below.copy()
        np.minimum(upper, self.base, out=upper)

    def _renew(self) -> None:
        """Compute all bounds from scratch; they become the common state."""
        if 2 * len(self.candidates) > self.rows.n:
            gains = self._all_gains()[self.candidates]
        else:
            gains = self._gains(self.candidates)
        self.base = gains * UP + self.modular
        self.base_below = self.below.copy()

    def _drops(self, changed: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Return a lower bound of what each candidate lost by some changes."""
        from labeltrain.kernels._compiled_coverage import row_drops, to_bounds

        rows, m = self.rows, len(self.candidates)
        before = before + ULP
        weights = self.weights[changed]
        total = np.zeros(m)
        for held in row_blocks(len(changed), min(INSIDE, 4 * self.read_rows)):
            inside = rows.read(changed[held])
            halves = rows.full_halves[changed[held]]
            start = held.start

            def add(
                block: slice, inside: np.ndarray = inside, halves: np.ndarray = halves,
                start: int = start,
            ) -> None:  # fmt: skip
                part = compact(self.candidates[block])
                left, own = rows.read(part), rows.full_halves[part]
                for chunk in row_blocks(len(inside), CHUNK):
                    product = left @ inside[chunk].T
                    to_bounds(
                        product, own, halves[chunk], self.similarity.gaussian, -rows.slack, DOWN
                    )
                    there = slice(start + chunk.start, start + chunk.stop)
                    row_drops(product, before[there], now[there], weights[there], total[block])

            map_blocks(add, row_blocks(m, self.tile))
        return total * DOWN

    def _gains(self, positions: np.ndarray) -> np.ndarray:
        from labeltrain.kernels._compiled_coverage import row_gains

        rows = self.rows
        total = np.zeros(len(positions))

        def add(block: slice) -> None:
            part = compact(positions[block])
            left = rows.read(part)
            for chunk in row_blocks(rows.n, CHUNK):
                bounds = self._similarities(part, left, chunk)
                row_gains(bounds, self.below[chunk], self.weights[chunk], total[block])

        tile = min(self.tile, max(16, -(-len(positions) // 4)))
        map_blocks(add, row_blocks(len(positions), tile))
        return total

    def _all_gains(self) -> np.ndarray:
        """Return the gains of all items, each product used for both of its items."""
        from labeltrain.kernels._compiled_coverage import column_gains, row_gains

        rows, below, weights = self.rows, self.below, self.weights
        total = np.zeros(rows.n)
        lock = threading.Lock()

        def add(tile: slice) -> None:
            left = rows.read(tile)
            mine = np.zeros(rows.n)
            later = row_blocks(rows.n - tile.stop, CHUNK)
            for chunk in [tile, *(slice(c.start + tile.stop, c.stop + tile.stop) for c in later)]:
                bounds = self._similarities(tile, left, chunk)
                row_gains(bounds, below[chunk], weights[chunk], mine[tile])
                if chunk is not tile:
                    column_gains(bounds, below[tile], weights[tile], mine[chunk])
            with lock:
                np.add(total[tile.start :], mine[tile.start :], out=total[tile.start :])

        map_blocks(add, row_blocks(rows.n, self.tile))
        return total
