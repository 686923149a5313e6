"""The rankings of a round, one a class: what GALAXY and DIRECT look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.separation import class_order, label_order
from labeltrain.strategies.base import Need
from labeltrain.strategies.rare import has_label, label_counts, rare_classes
from labeltrain.strategies.view import PoolView

Rare = str | int | Sequence[str | int] | None


class Line(NamedTuple):
    """One class against the rest, as :mod:`labeltrain.kernels.separation` takes it.

    Attributes
    ----------
    size : int
    ranks : ndarray of int64, shape (m,)
        Of the labelled items, ascending.
    signs : ndarray of int64, shape (m,)
        +1 for the class, -1 for any other.
    taken : ndarray of int64
        Ranks that may not be picked, the labelled ones among them, ascending.
    """

    size: int
    ranks: np.ndarray
    signs: np.ndarray
    taken: np.ndarray


class ClassRankings:
    """Ranks of what is labelled or may be picked, from most to least like each class.

    They are made once a round, of the model in force when it opens, and only for the classes that
    are looked at. With two classes there is one ranking, of the class with fewer labels (equally
    many: less predicted probability): the other is its mirror image.

    Parameters
    ----------
    view : PoolView
    out_of_fold : bool
        Rank labelled items by predictions of models that did not see their labels.
    rare : name, index, or sequence of these, optional
        The classes to rank for; all by default.
    compat : {"", "labelbench galaxy", "labelbench direct"}
        Rank as LabelBench does: ties by adding 1e-8 of the maximum to the margin; with two classes,
        GALAXY by the probability of the first alone, DIRECT with ties by it in both rankings.
    """

    def __init__(
        self, view: PoolView, *, out_of_fold: bool = False, rare: Rare = None, compat: str = ""
    ) -> None:
        self._compat = compat
        self._held = held = _held(view)
        self._items = np.flatnonzero(held)
        self._multilabel = view.kind == "multilabel"
        rows = view.probabilities_of(self._items)
        if out_of_fold and len(view.labelled):
            rows = np.array(rows)
            rows[np.searchsorted(self._items, view.labelled)] = view.out_of_fold
        self._rows = rows
        self._largest = None if self._multilabel else rows.max(axis=1)
        self._orders: dict[int, np.ndarray] = {}
        self._places: dict[int, np.ndarray] = {}
        counts = label_counts(view.opened())  # the same however late in the round this is made
        self.classes = list(range(len(view.classes)))
        if rare is not None:
            self.classes = rare_classes(view, rare).tolist()
        elif not self._multilabel and len(self.classes) == 2:
            amounts = counts if counts[0] != counts[1] else rows.sum(axis=0, dtype=np.float64)
            both = {"": [int(np.argmin(amounts))], "labelbench galaxy": [0]}
            self.classes = both.get(compat, [0, 1])
        self._prior = {
            k: view.prior[self._items, k]
            for k in self.classes
            if counts[k] == 0 and view.has(Need.PRIOR) and not compat
        }

    def fits(self, view: PoolView) -> bool:
        """Return True when they are the rankings of this view: of the very same items."""
        return np.array_equal(self._held, _held(view))

    def order(self, k: int) -> np.ndarray:
        """Return pool positions by rank, int64 (size,)."""
        if k not in self._orders:
            if k in self._prior:  # nobody has seen one: by what the encoder knows of its name
                order = label_order(self._prior[k][:, None], 0)
            elif self._compat and not self._multilabel:
                order = self._as_labelbench(k)
            elif self._multilabel:
                order = label_order(self._rows, k)
            else:
                order = class_order(self._rows, k, self._largest)
            self._orders[k] = self._items[order]
        return self._orders[k]

    def _as_labelbench(self, k: int) -> np.ndarray:
        own, largest = self._rows[:, k], self._largest
        if self._rows.shape[1] == 2 and self._compat == "labelbench galaxy":
            return np.argsort(-own, kind="stable")
        tie = self._rows[:, 0] if self._rows.shape[1] == 2 else self._rows.max(axis=1)
        return np.argsort(-(own - largest + 1e-8 * tie), kind="stable")

    def place(self, k: int) -> np.ndarray:
        """Return the rank of each pool position, int32 (n,); -1 where there is none."""
        if k not in self._places:
            place = np.full(len(self._held), -1, dtype=np.int32)
            order = self.order(k)
            place[order] = np.arange(len(order), dtype=np.int32)
            self._places[k] = place
        return self._places[k]

    def gone(self, view: PoolView) -> np.ndarray:
        """Return ranked positions that have no label and may not be picked."""
        known = np.zeros(view.n, dtype=bool)
        known[view.candidates] = True
        known[view.labelled] = True
        return self._items[~known[self._items]]

    def waiting(self, view: PoolView, gone: np.ndarray) -> np.ndarray:
        """Return those of `gone` whose answers may still come; the others were skipped."""
        open_ = np.zeros(view.n, dtype=bool)
        open_[view.pending] = True
        return gone[open_[gone]]

    def line(self, view: PoolView, k: int, gone: np.ndarray) -> Line:
        """Return what is known of one class now; `gone` is :meth:`gone`."""
        place = self.place(k)
        ranks = place[view.labelled].astype(np.int64)
        order = np.argsort(ranks)
        taken = ranks if len(gone) == 0 else np.concatenate([ranks, place[gone]])
        return Line(len(self._items), ranks[order], signs(view, k)[order], np.sort(taken))


def _held(view: PoolView) -> np.ndarray:
    """Return which items have a rank, bool (n,): what was asked in this round keeps its own."""
    held = np.zeros(view.n, dtype=bool)
    for positions in (view.labelled, view.candidates, view.pending, view.asked_now()):
        held[positions] = True
    return held


def rankings(
    view: PoolView, *, out_of_fold: bool = False, rare: Rare = None, compat: str = ""
) -> ClassRankings:
    """Return the rankings of the round of a view, made once where that is possible."""
    kept = view.memo(f"class rankings {out_of_fold} {rare} {compat}", dict[str, ClassRankings])
    if "now" not in kept or not kept["now"].fits(view):
        kept["now"] = ClassRankings(view, out_of_fold=out_of_fold, rare=rare, compat=compat)
    return kept["now"]


def signs(view: PoolView, k: int) -> np.ndarray:
    """Return +1 for labelled items of class k and -1 for the others, int64 (m,)."""
    return np.where(has_label(view, k), 1, -1)


def refuse_unknown_compat(compat: str) -> None:
    """Raise unless `compat` is "" or "labelbench"."""
    if compat not in ("", "labelbench"):
        raise BadInput(f"compat={compat!r} is unknown", "leave it out, or give labelbench")
