"""The contract of a query strategy: what it may see, and what it returns.

A strategy is a pure function of its view. It keeps nothing between calls: what it must
remember it puts into ``Picks.notes``, which is stored with the pick and comes back in
``view.history``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labeltrain.needs import OF_A_TRAINED_MODEL, Need

__all__ = ["Memo", "Need", "Past", "Picks", "Round", "Strategy"]

if TYPE_CHECKING:
    from labeltrain.strategies.view import PoolView


@dataclass(frozen=True)
class Picks:
    """What a strategy chose.

    Attributes
    ----------
    positions : ndarray of int64, shape (k,)
        Global positions into the pool: unique, not labelled, not pending, among the candidates.
    scores : ndarray of float64, shape (k,)
        The strategy's own score of each pick; NaN where it has none.
    why : tuple of str, length k, or str
        One short reason per pick, or one for all, shown to the person who labels.
    notes : tuple of JSON values, length k
        Stored with each pick and given back in ``view.history``; None where there is none.
    asks_again : bool
        True marks a re-ask: the picks may then be labelled already.
    """

    positions: np.ndarray
    scores: np.ndarray | None = None
    why: tuple[str, ...] | str = ""
    notes: tuple[Any, ...] | None = None
    asks_again: bool = False


@dataclass(frozen=True)
class Round:
    """Where the loop stands: round number, its budget, and what of it is spent."""

    number: int
    budget: float
    spent: float = 0.0


@dataclass(frozen=True)
class Past:
    """One earlier pick with its answer: what ``view.history`` holds, oldest first.

    Attributes
    ----------
    position : int
    round : int
    answer : int, tuple of int or None
        The class (multilabel: the row of 0/1); None while pending, or when skipped.
    note : JSON value
    strategy : str
        Who picked it; ``"seed"`` for the seed set.
    """

    position: int
    round: int
    answer: int | tuple[int, ...] | None
    note: Any = None
    strategy: str = ""


class Strategy(ABC):
    """A query strategy: which items should be labelled next?

    Subclasses declare what they read (`needs`), whether they learn from answers inside a round
    (`sequential`), which laws their picks keep (`deterministic`, `nested`: the contract suite
    tests what is declared), and implement :meth:`select`. Parameters are keyword arguments of
    ``__init__`` stored under their own names.

    See ``strategies/margin.py`` for a whole strategy, and docs/add-a-strategy.md.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[frozenset[Need]] = frozenset()
    sequential: ClassVar[bool] = False
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass", "multilabel"})
    deterministic: ClassVar[bool] = False  # True: rng is not used, permuting rows permutes picks
    nested: ClassVar[bool] = False  # True: k picks, then k2 with those pending, are k + k2 picks
    asks_again: ClassVar[bool] = False  # True: picks may be labelled items, and then say so
    version: ClassVar[int] = 1  # raise it when the same view would give other picks
    summary: ClassVar[str] = ""

    def parameters(self) -> Mapping[str, Any]:
        """Return the parameters that, with the class, make this strategy."""
        declared = vars(Strategy)  # `needs` and its like may follow from the parameters
        return {k: v for k, v in vars(self).items() if not (k.startswith("_") or k in declared)}

    def inside(self) -> Sequence[Strategy]:
        """Return the strategies that this one is made of; none for most."""
        return ()

    def works_on(self, kind: str) -> bool:
        """Return True for data of this kind; without classes, for all that reads no predictions."""
        return kind in self.kinds or (kind == "none" and not self.needs & OF_A_TRAINED_MODEL)

    @abstractmethod
    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Choose up to `count` of ``view.candidates``.

        Called once a round with the whole budget, or, when `sequential`, again and again with as
        many items as can be answered in parallel, each time with a view that holds all answers
        so far.

        Parameters
        ----------
        view : PoolView
            Read-only; everything the strategy may know.
        count : int
            How many to pick; at least 1, at most ``len(view.candidates)``.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        Picks
            Exactly `count` picks unless the strategy has a reason to stop early.
        """


@dataclass
class Memo:
    """A cache of the round's expensive derivations; it may be dropped at any time."""

    held: dict[str, Any] = field(default_factory=dict)
