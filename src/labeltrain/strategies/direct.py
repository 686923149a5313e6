"""DIRECT: find the threshold that best separates each class, then label around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from labeltrain.strategies.base import Need, Past, Picks, Strategy
from labeltrain.strategies.class_rankings import (
    ClassRankings,
    Line,
    rankings,
    refuse_unknown_compat,
)
from labeltrain.strategies.rare import label_counts
from labeltrain.strategies.view import PoolView

GROUPS = 3  # groups that a class gets in the first phase, at least: the interval shrinks between
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
    The first phase serves as many classes as can have three groups of ``parallel`` answers and five
    labels each, at least one: those served least often so far, the rarest first. So a small batch
    serves many classes in turns. The groups of several classes are asked together, and what the
    first phase cannot fill, the walk of the second does, so that nobody waits. A class without a
    labelled item has no threshold: what ranks first (by the zero-shot ``prior``, if there is one)
    is asked. With two classes one ranking serves both. Scores are how many ranks away from the
    threshold an item is; in the first phase, how many items the interval holds. O(K n log n) a
    round.

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
        """Return the next groups of the first phase; what they leave open, the second fills."""
        compat = self.compat and f"{self.compat} direct"
        ranked = rankings(view, out_of_fold=self.out_of_fold, rare=self.rare, compat=compat)
        state = _Lines(view, ranked)
        schedule = (PublishedSchedule if compat else Schedule)(
            ranked.classes,
            label_counts(view.opened()),
            view.history,
            view.round.number,
            int(view.round.budget),
            count,
            rng,
        )
        picks: list[_Pick] = []
        for k in schedule.served:
            group = min(schedule.group, count - len(picks))
            picks += state.take(self._search(state, schedule, k, group, rng))
            if compat and picks:
                break  # one class after the other
        if not (compat and picks):
            for k, quota in schedule.walks(len(picks)):
                picks += state.take(_walk(state, k, min(quota, count - len(picks))))
            for k in schedule.order:  # what is left where others have nothing more to ask
                picks += state.take(_walk(state, k, count - len(picks)))
        positions = np.array([pick.position for pick in picks], dtype=np.int64)
        return Picks(
            positions,
            np.array([pick.score for pick in picks]),
            tuple(_reason(pick, view.classes[pick.note["class"]]) for pick in picks),
            tuple({**pick.note, **schedule.note} for pick in picks),
        )

    def _search(
        self, state: _Lines, schedule: Schedule, k: int, group: int, rng: np.random.Generator
    ) -> list[_Pick]:
        """Return the next group of one class in the first phase."""
        left = schedule.first_phase - len(asked := schedule.asked(1, k))
        if group < 1 or left < 1:
            return []
        line = state.line(k)
        if not asked:
            both = (line.signs > 0).any() and (line.signs < 0).any()
            if not (both or self.compat):
                return []  # no threshold to find yet
            first, last = version_interval(line.ranks, line.signs, line.size)
        else:
            first, last = self._shrunk(state, line, schedule, k, left, rng)
        drawn = draw_free(line.taken, first, last, min(group, left), rng)
        ends = [state.position(k, first), state.position(k, last)]
        note = {"phase": 1, "class": k, "interval": ends, "size": schedule.group}
        size = float(count_free(line.taken, first, last))
        return [_Pick(state.position(k, rank), size, note) for rank in drawn.tolist()]

    def _shrunk(
        self,
        state: _Lines,
        line: Line,
        schedule: Schedule,
        k: int,
        left: int,
        rng: np.random.Generator,
    ) -> tuple[int, int]:
        """Return the interval that the answers to the last group leave of its own."""
        note = schedule.asked(1, k)[-1].note
        first, last = (state.rank(k, position) for position in note["interval"])
        if first < 0 or last < first:  # of another pool, which a reducer has narrowed
            return version_interval(line.ranks, line.signs, line.size)
        interval = first, last
        size = int(note["size"])
        rounds = (left + size) // size  # that were left when it was asked
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

    Attributes
    ----------
    order : list of int
        All classes, those served least often before this round first, then the rarest.
    served : list of int
        Those of the first phase.
    first_phase : int
        Labels that each of these gets.
    group : int
        Labels of one class that are asked together.
    note : dict
        What the picks of this round carry, so that later calls make the same schedule.
    """

    def __init__(
        self,
        classes: list[int],
        counts: np.ndarray,
        history: Sequence[Past],
        now: int,
        budget: int,
        parallel: int,
        rng: np.random.Generator,
    ) -> None:
        mine = [past for past in history if is_direct(past.note)]
        self._now = [past for past in mine if past.round == now]
        self._budget = max(budget, len(self._now))
        # How many are asked at a time is less at the end of a round: the first call knows.
        kept = {k: v for k, v in self._now[0].note.items() if k in KEPT} if self._now else {}
        self.note: dict[str, Any] = kept or self._begin(parallel, rng)
        before = {(p.round, p.note["class"]) for p in mine if p.note["phase"] == 1}
        times = np.zeros(len(counts), dtype=np.int64)
        for number, k in before:
            times[k] += number != now
        self._arrange(classes, counts, times)

    def _begin(self, parallel: int, rng: np.random.Generator) -> dict[str, Any]:
        return {"parallel": parallel}

    def _arrange(self, classes: list[int], counts: np.ndarray, times: np.ndarray) -> None:
        half = self._budget // 2
        group = max(1, min(self.note["parallel"], half // GROUPS))
        number = max(1, min(len(classes), half // max(GROUPS * group, FEWEST)))
        self.order = sorted(classes, key=lambda k: (times[k], counts[k], k))
        self.served = self.order[:number]
        self.first_phase = half // number
        self.group = min(group, max(1, self.first_phase // GROUPS))

    def asked(self, phase: int, k: int) -> list[Past]:
        """Return what was asked in this round for a class in a phase."""
        return [p for p in self._now if p.note["phase"] == phase and p.note["class"] == k]

    def walks(self, picked: int) -> Iterator[tuple[int, int]]:
        """Yield classes and how many labels the second phase still owes to each."""
        left = self._budget - sum(p.note["phase"] == 1 for p in self._now) - picked
        for k, share in zip(self.order, self._shares(left), strict=True):
            yield k, max(0, share - len(self.asked(2, k)))

    def _shares(self, left: int) -> list[int]:
        return sorted(split(left, len(self.order)), reverse=True)


class PublishedSchedule(Schedule):
    """The schedule of LabelBench: a cap where a floor was meant, and no class left out."""

    def _begin(self, parallel: int, rng: np.random.Generator) -> dict[str, Any]:
        return {"parallel": parallel, "seed": int(rng.integers(2**32))}

    def _arrange(self, classes: list[int], counts: np.ndarray, times: np.ndarray) -> None:
        self.served = sorted(classes, key=lambda k: (-counts[k], k))
        self.first_phase = min(self._budget // (2 * len(classes)), CAP)
        self.group = self.note["parallel"]
        order = np.random.default_rng(self.note["seed"]).permutation(len(classes))
        self.order = [classes[i] for i in order]

    def _shares(self, left: int) -> list[int]:
        return split(left, len(self.order))


def split(total: int, parts: int) -> list[int]:
    """Return shares of `total` that differ by one at most: of 11 in 4 parts 2, 3, 3, 3."""
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


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
            {"phase": 2, "class": k},
        )
        for rank in found
    ]


def is_direct(note: Any) -> bool:
    """Return True for a note of this strategy."""
    return isinstance(note, dict) and "phase" in note


def _reason(pick: _Pick, name: str) -> str:
    if pick.note["phase"] == 1:
        return f"class {name} may end here"
    return f"where class {name} ends"
