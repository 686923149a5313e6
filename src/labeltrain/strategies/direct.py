"""DIRECT: find the threshold that best separates each class, then label around it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.separation import (
    count_free,
    draw_free,
    shrink,
    shrink_greedily,
    shrunk_size,
    threshold,
    version_interval,
    walk,
)
from labeltrain.strategies.base import Need, Past, Picks, Round, Strategy
from labeltrain.strategies.class_rankings import (
    ClassRankings,
    Line,
    rankings,
    refuse_unknown_compat,
)
from labeltrain.strategies.rare import label_counts
from labeltrain.strategies.view import PoolView

KEPT = ("parallel", "seed")
CAP = 60  # "min_budget_per_class" of LabelBench
FEWEST = 5  # labels that a class gets in the first phase, at least


class Direct(Strategy):
    """Find the optimal separation threshold of each class, and label on both sides of it.

    For every class the pool is ranked by the margin of the class (multilabel: by its probability).
    The optimal separation threshold is where "all above are of the class, all below are not" is
    wrong for the fewest labels. Half of the budget of a round finds it: groups of labels are drawn
    from the interval in which it may be, and the interval shrinks after each. The other half
    is labelled alternately above and below it, nearest first. A label counts for all classes.

    Parameters
    ----------
    shrinking : {"min-max", "greedy"}
        Keep the part of the interval whose worse end has the fewest wrong labels, as in the paper;
        or drop the worse end again and again, as in its code. Neither ever drops a threshold that
        has the fewest wrong labels of all.
    out_of_fold : bool
        Rank labelled items by models that did not see their labels: a model is sure of what it was
        trained on, which puts it at the ends of the ranking. Costs five fits a round.
    rare : name, index, or sequence of these, optional
        The classes to find thresholds of, when they are known; all by default.
    compat : {"", "labelbench"}
        "labelbench" does what that code does: all classes get ``budget // (2 C)`` labels in the
        first phase, at most 60, the most frequent first; the interval shrinks greedily, with a coin
        for ties, also past the minimisers, and not at all once fewer than two groups are
        left; the second phase takes the classes in random order.

    Notes
    -----
    While the first phase lasts, all of ``parallel`` answers search. It serves as many classes as
    can have five labels each, at least one, and shares every group among them, so that their
    intervals shrink as often as there are groups: of the classes that can be searched, with labels
    of both signs, those served least often so far, the rarest first. So a small batch serves many
    classes in turns. What an interval cannot fill, the others do, and then the walk of the second
    phase, so that nobody waits. That takes all classes in turns, too; of a class without a labelled
    item, which has no threshold, what ranks first (by the zero-shot ``prior``, if there is one) is
    asked.
    With two classes one ranking serves both. Scores are how many ranks away from the threshold an
    item is; in the first phase, how many items the interval holds. O(K n log n) a round.

    References
    ----------
    Nuggehalli, Zhang, Jain, Nowak: DIRECT: deep active learning under imbalance and label noise;
    Improved algorithm for deep active learning under imbalance via optimal separation, ICML 2025.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> p = np.linspace(0.95, 0.05, 10)
    >>> truth = ["rare"] * 3 + ["other"] * 7
    >>> picks = labeltrain.select(
    ...     "direct", probabilities=np.column_stack([p, 1 - p]), classes=["rare", "other"],
    ...     labelled=[0, 9], labels=["rare", "other"], budget=6,
    ...     ask=lambda positions: [truth[i] for i in positions],
    ... )
    >>> {2, 3} <= set(picks.positions.tolist())  # on either side of the threshold
    True
    """

    name: ClassVar[str] = "direct"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    version: ClassVar[int] = 2
    sequential: ClassVar[bool] = True
    summary: ClassVar[str] = "class imbalance: find each class's threshold, label on both sides"

    def __init__(
        self,
        shrinking: Literal["min-max", "greedy"] = "min-max",
        out_of_fold: bool = False,
        rare: str | int | Sequence[str | int] | None = None,
        compat: Literal["", "labelbench"] = "",
    ) -> None:
        refuse_unknown_compat(compat)
        if shrinking not in ("min-max", "greedy"):
            raise BadInput(f"shrinking={shrinking!r} is unknown", "known: min-max, greedy")
        self.shrinking = shrinking
        self.out_of_fold = out_of_fold
        self.rare = rare
        self.compat = compat
        if out_of_fold:
            own = vars(self)
            own["needs"] = type(self).needs | {Need.OUT_OF_FOLD}

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the next group of the first phase; once it is over, of the second."""
        compat = self.compat and f"{self.compat} direct"
        ranked = rankings(view, out_of_fold=self.out_of_fold, rare=self.rare, compat=compat)
        state = _Lines(view, ranked)
        schedule = (PublishedSchedule if compat else Schedule)(
            ranked.classes,
            view.classes,
            label_counts(view.opened()),
            searchable(view, ranked.classes),
            view.history,
            view.round,
            count,
            rng,
        )
        search = self._search_one if compat else self._search
        picks = search(state, schedule, count, rng)
        if not (compat and picks):
            for k, quota in schedule.walks(len(picks)):
                picks += state.take(_walk(state, k, min(quota, count - len(picks))))
            for k in schedule.order:  # what is left where others have nothing more to ask
                picks += state.take(_walk(state, k, count - len(picks)))
        positions = np.array([pick.position for pick in picks], dtype=np.int64)
        return Picks(
            positions,
            np.array([pick.score for pick in picks]),
            tuple(_reason(pick) for pick in picks),
            tuple({**pick.note, **schedule.note} for pick in picks),
        )

    def _search(
        self, state: _Lines, schedule: Schedule, count: int, rng: np.random.Generator
    ) -> list[_Pick]:
        """Return a group of the first phase, shared among the classes that it serves."""
        if not (count := min(count, schedule.left)):
            return []
        found = {k: self._interval(state, schedule, k, rng) for k in schedule.served}
        room = {k: count_free(state.line(k).taken, *interval) for k, interval in found.items()}
        picks: list[_Pick] = []
        for k, group in schedule.shares(count, room).items():
            picks += state.take(_drawn(state, k, found[k], group, rng))
        return picks

    def _search_one(
        self, state: _Lines, schedule: Schedule, count: int, rng: np.random.Generator
    ) -> list[_Pick]:
        """Return a group of the first phase, of the first class that has something to ask."""
        for k in schedule.served:
            group = min(count, schedule.note["parallel"], schedule.owed(k))
            if group > 0:
                interval = self._interval(state, schedule, k, rng)
                size = schedule.note["parallel"]
                picks = state.take(_drawn(state, k, interval, group, rng, size))
                if picks:
                    return picks
        return []

    def _interval(
        self, state: _Lines, schedule: Schedule, k: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Return where the threshold of a class may be: what the last group's answers leave."""
        line, asked = state.line(k), schedule.asked(1, k)
        whole = version_interval(line.ranks, line.signs, line.size)
        if not asked:
            return whole
        note = asked[-1].note
        first, last = (state.rank(k, position) for position in note["interval"])
        if first < 0 or last < first:  # of another pool, which a reducer has narrowed
            return whole
        interval, size = (first, last), int(note["size"])
        rounds = (schedule.owed(k) + size) // size  # that were left when it was asked
        if rounds < 2:
            return interval
        target = shrunk_size(count_free(line.taken, *interval), rounds)
        given = line.ranks, line.signs, line.taken
        if self.compat or self.shrinking == "greedy":
            return shrink_greedily(*given, interval, target, rng if self.compat else None)
        return shrink(*given, interval, target)


class _Pick(NamedTuple):
    position: int
    score: float
    note: dict[str, Any]


class _Lines:
    """The lines of the classes as they are now, without what this call has picked already."""

    def __init__(self, view: PoolView, ranked: ClassRankings) -> None:
        self._view, self._ranked = view, ranked
        self._gone = ranked.gone(view)

    def line(self, k: int) -> Line:
        return self._ranked.line(self._view, k, self._gone)

    def position(self, k: int, rank: int) -> int:
        return int(self._ranked.order(k)[rank])

    def name(self, k: int) -> str:
        return self._view.classes[k]

    def rank(self, k: int, position: int) -> int:
        """Return the rank of a position; -1 where it has none."""
        return int(self._ranked.place(k)[position])

    def take(self, picks: list[_Pick]) -> list[_Pick]:
        """Return the picks, which from now on are taken."""
        new = np.array([pick.position for pick in picks], dtype=np.int64)
        self._gone = np.concatenate([self._gone, new])
        return picks


class Schedule:
    """Which class is due: a function of what was asked in this round, and before it.

    Parameters
    ----------
    classes : list of int
    names : sequence of str
        Of all classes, by index; notes hold these, as indices change when a class is dropped.
    counts : ndarray of int, shape (C,)
        Labels of each class when the round was opened.
    searchable : list of int
        Those of `classes` that have a threshold to find: :func:`searchable`.
    history : sequence of Past
    round : Round
    parallel : int
    rng : numpy.random.Generator

    Attributes
    ----------
    order : list of int
        All classes, in the order in which the second phase takes them.
    served : list of int
        Those of the first phase.
    note : dict
        What the picks of this round carry, so that later calls make the same schedule.
    """

    def __init__(
        self,
        classes: list[int],
        names: Sequence[str],
        counts: np.ndarray,
        searchable: list[int],
        history: Sequence[Past],
        round: Round,
        parallel: int,
        rng: np.random.Generator,
    ) -> None:
        index = {name: k for k, name in enumerate(names)}
        self._asked: dict[tuple[int, int], list[Past]] = defaultdict(list)
        now, before = [], set()
        for past in history:
            if not is_direct(past.note, index):
                continue
            phase, k = past.note["phase"], index[past.note["class"]]
            if past.round == round.number:
                now.append(past)
                self._asked[phase, k].append(past)
            else:
                before.add((past.round, phase, k))
        self._searched = sum(past.note["phase"] == 1 for past in now)
        self._planned = int(round.budget)
        self._budget = max(self._planned, len(now))
        # How many are asked at a time is less at the end of a round: the first call knows.
        kept = {key: now[0].note[key] for key in KEPT if key in now[0].note} if now else {}
        self.note: dict[str, Any] = kept or self._begin(parallel, rng)
        times = np.zeros((3, len(counts)), dtype=np.int64)
        for _, phase, k in before:
            times[phase, k] += 1
        self._quota: dict[int, int] = {}
        self._arrange(classes, searchable, counts, times)

    def _begin(self, parallel: int, rng: np.random.Generator) -> dict[str, Any]:
        return {}

    def _arrange(
        self, classes: list[int], searchable: list[int], counts: np.ndarray, times: np.ndarray
    ) -> None:
        half = self._planned // 2
        number = max(1, min(len(searchable), half // FEWEST))
        self.served = sorted(searchable, key=lambda k: (times[1, k], counts[k], k))[:number]
        shares = sorted(split(half, len(self.served)), reverse=True) if self.served else []
        self._quota = dict(zip(self.served, shares, strict=True))
        self.order = sorted(classes, key=lambda k: (times[2, k], counts[k], k))

    def asked(self, phase: int, k: int) -> list[Past]:
        """Return what was asked in this round for a class in a phase."""
        return self._asked.get((phase, k), [])

    @property
    def left(self) -> int:
        """Labels that the first phase has left."""
        return max(0, sum(self._quota.values()) - self._searched)

    def owed(self, k: int) -> int:
        """Return how many labels of the first phase a class has left; 0 or less when none."""
        return self._quota[k] - len(self.asked(1, k))

    def shares(self, count: int, room: Mapping[int, int]) -> dict[int, int]:
        """Return how many of a group each class of the first phase gets.

        Those that have most left come first. What a class has no `room` for, as its interval holds
        no more items, goes to the others.
        """
        shares = dict.fromkeys(self.served, 0)
        for _ in range(count):
            open_ = [k for k in self.served if shares[k] < room[k]]
            if not open_:
                break
            shares[max(open_, key=lambda k: self.owed(k) - shares[k])] += 1
        return shares

    def walks(self, picked: int) -> Iterator[tuple[int, int]]:
        """Yield classes and how many labels the second phase still owes to each."""
        left = self._budget - self._searched - picked
        for k, share in zip(self.order, self._walked(left), strict=True):
            yield k, max(0, share - len(self.asked(2, k)))

    def _walked(self, left: int) -> list[int]:
        return sorted(split(left, len(self.order)), reverse=True)


class PublishedSchedule(Schedule):
    """The schedule of LabelBench: a cap where a floor was meant, and no class left out."""

    def _begin(self, parallel: int, rng: np.random.Generator) -> dict[str, Any]:
        return {"parallel": parallel, "seed": int(rng.integers(2**32))}

    def _arrange(
        self, classes: list[int], searchable: list[int], counts: np.ndarray, times: np.ndarray
    ) -> None:
        self.served = sorted(classes, key=lambda k: (-counts[k], k))
        each = min(self._budget // (2 * len(classes)), CAP)
        self._quota = dict.fromkeys(self.served, each)
        order = np.random.default_rng(self.note["seed"]).permutation(len(classes))
        self.order = [classes[i] for i in order]

    def _walked(self, left: int) -> list[int]:
        return split(left, len(self.order))


def searchable(view: PoolView, classes: Sequence[int]) -> list[int]:
    """Return the classes that have a threshold to find: of which some labels are, and some not.

    As the round was opened; where there were none then, as of now.
    """
    for then in (view.opened(), view):
        counts = label_counts(then)
        found = [k for k in classes if 0 < counts[k] < len(then.labelled)]
        if found:
            break
    return found


def split(total: int, parts: int) -> list[int]:
    """Return shares of `total` that differ by one at most: of 11 in 4 parts 2, 3, 3, 3."""
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


def _drawn(
    state: _Lines,
    k: int,
    interval: tuple[int, int],
    group: int,
    rng: np.random.Generator,
    size: int | None = None,
) -> list[_Pick]:
    """Return picks of the first phase; `size` is that of the groups, to count how many are left."""
    if group < 1:
        return []
    taken = state.line(k).taken
    ends = [state.position(k, rank) for rank in interval]
    note = {"phase": 1, "class": state.name(k), "interval": ends, "size": size or group}
    free = float(count_free(taken, *interval))
    ranks = draw_free(taken, *interval, group, rng).tolist()
    return [_Pick(state.position(k, rank), free, note) for rank in ranks]


def _walk(state: _Lines, k: int, count: int) -> list[_Pick]:
    if count < 1:
        return []
    line = state.line(k)
    cut = threshold(line.ranks, line.signs)
    found = walk(line.taken, line.size, cut, count).tolist()
    return [
        _Pick(
            state.position(k, rank),
            float(cut - rank if rank < cut else rank - cut + 1),
            {"phase": 2, "class": state.name(k)},
        )
        for rank in found
    ]


def is_direct(note: Any, classes: Container[str]) -> bool:
    """Return True for a note of this strategy of one of these classes."""
    return (
        isinstance(note, dict)
        and note.get("phase") in (1, 2)
        and isinstance(note.get("class"), str)
        and note["class"] in classes
    )


def _reason(pick: _Pick) -> str:
    if pick.note["phase"] == 1:
        return f"class {pick.note['class']} may end here"
    return f"where class {pick.note['class']} ends"
