"""GALAXY: bisect between labels of different classes, then label around the cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.cuts import GAP, OUTWARD, Cuts
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.class_rankings import (
    ClassRankings,
    rankings,
    refuse_unknown_compat,
    signs,
)
from labeltrain.strategies.view import PoolView

CHOICES = ("round-robin", "random", "shortest")


class Galaxy(Strategy):
    """Label where one class ends and the rest begins, in the ranking of each class.

    For every class the pool is ranked by the margin of the class (multilabel: by its probability).
    A gap is a run of unlabelled items between two neighbouring labelled ones of which one is of the
    class and one is not. The next item is the middle of the shortest gap; where all cuts are
    located, the unlabelled item nearest to one. Answers count at once, for the rankings of all
    classes.

    Parameters
    ----------
    choice : {"round-robin", "random", "shortest"}
        Which class is next: in turns, at random, or the one with the shortest gap of all.
    out_of_fold : bool
        Rank labelled items by models that did not see their labels: a model is sure of what it was
        trained on, which puts it at the ends of the ranking. Costs five fits a round.
    rare : name, index, or sequence of these, optional
        The classes to look at, when they are known; all by default.
    compat : {"", "labelbench"}
        "labelbench" does what that code does: classes at random, one ranking of two classes by the
        first one's probability, outwards from inverted cuts only, and else random items.

    Notes
    -----
    With several answers at a time (``parallel``), each question splits its gap for the others of
    its group; so does one of an earlier group while it is pending. While no item of a class is
    labelled, the item that looks most like the class (or ranks first by the zero-shot ``prior``, if
    there is one) is asked in its turn; the authors' code asks a random one. With two classes one
    ranking serves both. Scores are gap sizes or ranks to a cut, NaN of a random draw. Items and
    labels are the only input of the labels' kind: clean labels are never seen. After the rankings,
    O(K n log n) a round, a question costs O(K log m) with m labels.

    References
    ----------
    Zhang, Katz-Samuels, Nowak: GALAXY: graph-based active learning at the extreme, ICML 2022.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> p = np.linspace(0.95, 0.05, 10)
    >>> truth = ["rare"] * 3 + ["other"] * 7
    >>> labeltrain.select(
    ...     "galaxy", probabilities=np.column_stack([p, 1 - p]), classes=["rare", "other"],
    ...     labelled=[0, 9], labels=["rare", "other"], budget=4,
    ...     ask=lambda positions: [truth[i] for i in positions],
    ... ).positions.tolist()
    [4, 2, 3, 1]
    """

    name: ClassVar[str] = "galaxy"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES})
    version: ClassVar[int] = 2
    sequential: ClassVar[bool] = True
    summary: ClassVar[str] = "class imbalance: bisect between classes, label around the cuts"

    def __init__(
        self,
        choice: Literal["round-robin", "random", "shortest"] = "round-robin",
        out_of_fold: bool = False,
        rare: str | int | Sequence[str | int] | None = None,
        compat: Literal["", "labelbench"] = "",
    ) -> None:
        refuse_unknown_compat(compat)
        if choice not in CHOICES:
            raise BadInput(f"choice={choice!r} is unknown", f"known: {', '.join(CHOICES)}")
        self.choice = choice
        self.out_of_fold = out_of_fold
        self.rare = rare
        self.compat = compat
        if out_of_fold:
            own = vars(self)
            own["needs"] = type(self).needs | {Need.OUT_OF_FOLD}

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the next questions of as many classes as it takes."""
        compat = self.compat and f"{self.compat} galaxy"
        ranked = rankings(view, out_of_fold=self.out_of_fold, rare=self.rare, compat=compat)
        lines = view.memo(f"galaxy {self.out_of_fold} {self.rare} {compat}", dict[int, _ClassCuts])
        gone = ranked.gone(view)
        free = np.zeros(view.n, dtype=bool)
        free[view.candidates] = True
        waiting = ranked.waiting(view, gone)
        turn = sum(1 for past in view.history if _is_mine(past.note, view.classes))

        def cuts(k: int) -> _ClassCuts:
            if k not in lines or not lines[k].follows(ranked, view, gone, waiting):
                lines[k] = _ClassCuts(ranked, view, k, gone, waiting, published=bool(compat))
            return lines[k]

        touched = _Group(cuts)
        chosen: list[tuple[int, int, float, bool]] = []
        while len(chosen) < count:
            found = self._next(touched, ranked.classes, turn + len(chosen), rng)
            if found is None:
                k = ranked.classes[(turn + len(chosen)) % len(ranked.classes)]
                position, score, gap = int(rng.choice(np.flatnonzero(free))), float("nan"), False
            else:
                k, position, score, gap = found
            free[position] = False
            touched.drop(position)
            chosen.append((position, k, score, gap))
        return Picks(
            np.array([position for position, *_ in chosen], dtype=np.int64),
            np.array([score for *_, score, _ in chosen]),
            tuple(_reason(view.classes[k], score, gap) for _, k, score, gap in chosen),
            tuple({"galaxy": view.classes[k]} for _, k, *_ in chosen),
        )

    def _next(
        self, group: _Group, classes: list[int], turn: int, rng: np.random.Generator
    ) -> tuple[int, int, float, bool] | None:
        """Return class, position, score and whether it lies in a gap."""
        if self.choice == "shortest":
            options = [(found[1], k) for k in classes if (found := group[k].propose()) is not None]
            order = [min(options)[1]] if options else []
        elif self.compat:
            order = [classes[int(rng.integers(len(classes)))]]
        elif self.choice == "random":
            order = [classes[i] for i in rng.permutation(len(classes))]
        else:
            start = turn % len(classes)
            order = classes[start:] + classes[:start]
        for k in order:
            found = group[k].propose()
            if found is not None:
                position, (stage, size) = found
                return k, position, float(size), stage == GAP
        return None


def _reason(name: str, score: float, gap: bool) -> str:
    if np.isnan(score):
        return "no two classes to cut between yet: a random draw"
    return f"between what is {name} and what is not" if gap else f"near the edge of {name}"


def _is_mine(note: Any, classes: Sequence[str]) -> bool:
    return isinstance(note, dict) and note.get("galaxy") in classes


class _ClassCuts:
    """The cuts of one class, kept for a round and told of every answer."""

    def __init__(
        self,
        ranked: ClassRankings,
        view: PoolView,
        k: int,
        gone: np.ndarray,
        waiting: np.ndarray,
        *,
        published: bool,
    ) -> None:
        self._ranked, self._k = ranked, k
        self._order, self._place = ranked.order(k), ranked.place(k)
        self._labelled, self._signs = view.labelled, signs(view, k)
        self.cuts = Cuts(
            len(self._order),
            self._place[view.labelled].tolist(),
            self._signs.tolist(),
            self._place[gone].tolist(),
            waiting=self._place[waiting].tolist(),
            inverted_only=published,
        )
        self._published = published
        self._empty = not published and not (self._signs > 0).any()
        self._first = 0  # no free item ranks above it
        self._asked: set[int] = set(gone.tolist())  # they have an answer by now, or still none

    def follows(
        self, ranked: ClassRankings, view: PoolView, gone: np.ndarray, waiting: np.ndarray
    ) -> bool:
        """Take what is new in a view in; False when this is of other rankings or labels."""
        m, now = len(self._labelled), signs(view, self._k)
        if (
            self._ranked is not ranked
            or len(view.labelled) < m
            or not np.array_equal(view.labelled[:m], self._labelled)
            or not np.array_equal(now[:m], self._signs)
        ):
            return False
        if not self._asked <= {*view.labelled[m:].tolist(), *gone.tolist()}:
            return False  # what was chosen was not asked, or went back
        self.cuts.new_group()
        for position, sign in zip(view.labelled[m:].tolist(), now[m:].tolist(), strict=True):
            self.cuts.tell(int(self._place[position]), sign)
        for rank in self._place[gone].tolist():
            self.cuts.drop(rank)
        self.cuts.new_group(self._place[waiting].tolist())
        self._asked = set(gone.tolist())
        self._labelled, self._signs = view.labelled, now
        self._empty = not self._published and not (now > 0).any()
        return True

    def drop(self, position: int) -> None:
        self._asked.add(position)
        self.cuts.drop(int(self._place[position]))

    def propose(self) -> tuple[int, tuple[int, int]] | None:
        """Return a position and how near it is; while the class is empty, what ranks first."""
        if self._empty:
            self._first = rank = self.cuts.free_from(self._first)
            found = None if rank >= len(self._order) else (rank, (OUTWARD, rank))
        else:
            found = self.cuts.propose()
        return None if found is None else (int(self._order[found[0]]), found[1])


class _Group:
    """The classes that a group of questions touches, so that each knows of all of them."""

    def __init__(self, cuts: Callable[[int], _ClassCuts]) -> None:
        self._cuts = cuts
        self._seen: dict[int, _ClassCuts] = {}
        self._dropped: list[int] = []

    def __getitem__(self, k: int) -> _ClassCuts:
        if k not in self._seen:
            self._seen[k] = self._cuts(k)
            for position in self._dropped:
                self._seen[k].drop(position)
        return self._seen[k]

    def drop(self, position: int) -> None:
        self._dropped.append(position)
        for cuts in self._seen.values():
            cuts.drop(position)
