"""GALAXY on a line: bisect the shortest gap between labels of different sign, then go outwards."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from heapq import heappop, heappush

GAP, OUTWARD = 0, 1


class Cuts:
    """One ranked line of items, labelled +1 or -1 one after the other.

    A gap is a run of free items between two neighbouring labelled ones of different sign; without a
    free item it is a located cut. :meth:`propose` names the item to ask next:

    1. the middle of the shortest gap (ties to the first; of two middles, the one nearer the top);
    2. without a gap, the free item nearest to a located cut: by the number of ranks from it to the
       far side of the cut, then above before below, then the lower rank.

    This is the shortest shortest path of the GALAXY paper in a linear graph, order after order.

    Parameters
    ----------
    size : int
        Length of the line; rank 0 is the item most like the class.
    ranks, signs : iterable of int
        What is labelled, in any order.
    dropped : iterable of int
        Ranks without a label that may not be asked.
    waiting : iterable of int
        Those of them whose answers may still come: they split their gaps.
    inverted_only : bool
        Go outwards from a -1 above a +1 only, as LabelBench does.

    Notes
    -----
    A heap of gaps and a lazy heap of neighbours: a question or an answer is O(log m) with m labels,
    beside an insertion into a sorted list; nothing depends on `size`. What is proposed depends on
    what is labelled and dropped, not on the order in which it came.

    References
    ----------
    Zhang, Katz-Samuels, Nowak: GALAXY: graph-based active learning at the extreme, ICML 2022.
    """

    def __init__(
        self,
        size: int,
        ranks: Iterable[int] = (),
        signs: Iterable[int] = (),
        dropped: Iterable[int] = (),
        *,
        waiting: Iterable[int] = (),
        inverted_only: bool = False,
    ) -> None:
        self.size = size
        self.inverted_only = inverted_only
        self._sign: dict[int, int] = {}
        self._labelled: list[int] = []
        self._dropped: list[int] = []
        self._up: dict[int, int] = {}  # a taken rank: somewhere nearer a free one above
        self._down: dict[int, int] = {}
        self._gaps: list[tuple[int, int, int]] = []  # free items, first and last labelled rank
        self._beside: list[tuple[int, int, int, int, int]] = []  # ranks away, side, rank, its cut
        self._split: dict[int, list[int]] = {}  # gaps with open questions in them
        for rank in dropped:
            self._take(int(rank))
            insort(self._dropped, int(rank))
        first = sorted((int(rank), int(sign)) for rank, sign in zip(ranks, signs, strict=True))
        self._sign = dict(first)
        self._labelled = [rank for rank, _ in first]
        for rank in self._labelled:
            self._take(rank)
        for above, below in zip(self._labelled, self._labelled[1:], strict=False):
            self._join(above, below)
        self.new_group(waiting)

    def tell(self, rank: int, sign: int) -> None:
        """Take the answer to one item in."""
        if rank in self._sign:
            raise ValueError(f"rank {rank} is labelled already")
        place = bisect_left(self._dropped, rank)
        if place < len(self._dropped) and self._dropped[place] == rank:
            del self._dropped[place]
        self._take(rank)
        at = bisect_left(self._labelled, rank)
        self._labelled.insert(at, rank)
        self._sign[rank] = sign
        if at > 0:
            self._split.pop(self._labelled[at - 1], None)
            self._join(self._labelled[at - 1], rank)
        if at + 1 < len(self._labelled):
            self._join(rank, self._labelled[at + 1])

    def drop(self, rank: int) -> None:
        """Take one item out that has no label: it was asked in this group, or skipped.

        Until :meth:`new_group`, it splits its gap in two.
        """
        if rank in self._up:
            return
        self._take(rank)
        insort(self._dropped, rank)
        if (gap := self._mark(rank)) is not None:
            self._join(*gap)  # with one free item less

    def new_group(self, waiting: Iterable[int] = ()) -> None:
        """Forget which gaps have questions of the last group in them, but for those that wait.

        Parameters
        ----------
        waiting : iterable of int
            Dropped ranks whose answers may still come.
        """
        for above in self._split:
            at = bisect_right(self._labelled, above)
            self._join(above, self._labelled[at])
        self._split = {}
        for rank in waiting:
            self._mark(int(rank))

    def propose(self) -> tuple[int, tuple[int, int]] | None:
        """Return the rank to ask next and how near it is: (GAP, free items) or (OUTWARD, ranks).

        Gaps in which a question waits for its answer, of this group or an earlier one, come after
        the others: there the longest part is halved, as the answers of a group come together. None
        when no two labels of different sign have a free item between or beside them.
        """
        while self._gaps:
            free, above, below = self._gaps[0]
            if self._stale(free, above, below) or above in self._split:
                heappop(self._gaps)  # new_group brings back those that are split
                continue
            return self._middle(above, below), (GAP, free)
        parts = [
            (-self._free_between(a, b), a, b)
            for above, inside in self._split.items()
            for a, b in self._parts(above, inside)
        ]
        if parts and (longest := min(parts))[0] < 0:
            free, above, below = longest
            return self._middle(above, below), (GAP, -free)
        while self._beside:
            away, side, rank, above, below = self._beside[0]
            if rank not in self._up:
                return rank, (OUTWARD, away)
            heappop(self._beside)
            self._look_beside(above, below, side)
        return None

    def free_from(self, rank: int) -> int:
        """Return the first free rank at or below one; `size` when there is none."""
        return min(self._nearest(self._down, rank), self.size)

    # -- inside --------------------------------------------------------------------------------

    def _mark(self, rank: int) -> tuple[int, int] | None:
        """Let an open question split its gap; return that gap, None where it is in none."""
        at = bisect_left(self._labelled, rank)
        if not 0 < at < len(self._labelled):
            return None
        above, below = self._labelled[at - 1], self._labelled[at]
        if self._sign[above] == self._sign[below]:
            return None
        self._split.setdefault(above, []).append(rank)
        return above, below

    def _take(self, rank: int) -> None:
        self._up.setdefault(rank, rank - 1)
        self._down.setdefault(rank, rank + 1)

    def _nearest(self, links: dict[int, int], rank: int) -> int:
        """Return the free rank at or beyond `rank` in one direction; it may be off the line."""
        passed = []
        while rank in links:
            passed.append(rank)
            rank = links[rank]
        for one in passed:
            links[one] = rank
        return rank

    def _free_between(self, above: int, below: int) -> int:
        dropped = bisect_left(self._dropped, below) - bisect_right(self._dropped, above)
        return below - above - 1 - dropped

    def _stale(self, free: int, above: int, below: int) -> bool:
        at = bisect_right(self._labelled, above)
        neighbours = at < len(self._labelled) and self._labelled[at] == below
        return not neighbours or free != self._free_between(above, below)

    def _join(self, above: int, below: int) -> None:
        if self._sign[above] == self._sign[below]:
            return
        free = self._free_between(above, below)
        if free:
            heappush(self._gaps, (free, above, below))
        elif not (self.inverted_only and self._sign[above] > 0):
            self._look_beside(above, below, 0)
            self._look_beside(above, below, 1)

    def _look_beside(self, above: int, below: int, side: int) -> None:
        """Queue the free item nearest to a located cut on one side of it."""
        if side == 0:
            rank = self._nearest(self._up, above)
            if rank >= 0:
                heappush(self._beside, (below - rank, 0, rank, above, below))
        else:
            rank = self._nearest(self._down, below)
            if rank < self.size:
                heappush(self._beside, (rank - above, 1, rank, above, below))

    def _middle(self, above: int, below: int) -> int:
        """Return the free rank nearest to the middle of a gap; of two, the one nearer the top."""
        middle = (above + below) // 2
        up = self._nearest(self._up, middle)
        down = self._nearest(self._down, middle)
        return up if up > above and (down >= below or middle - up <= down - middle) else down

    def _parts(self, above: int, inside: list[int]) -> list[tuple[int, int]]:
        at = bisect_right(self._labelled, above)
        ends = [above, *sorted(inside), self._labelled[at]]
        return list(itertools.pairwise(ends))
