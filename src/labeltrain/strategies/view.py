"""PoolView: all that a strategy may see of the pool, read-only, computed on first use."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from labeltrain.errors import HiddenLabel, MissingNeed
from labeltrain.strategies.base import Memo, Past, Round

T = TypeVar("T")


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    elif isinstance(value, tuple):
        return tuple(_frozen(v) for v in value)
    return value


class PoolView:
    """All that a strategy may see.

    Parameters
    ----------
    n : int
        Items in the pool; positions run from 0 to n-1 and are never renumbered.
    classes : int or sequence of str
        Names (or number) of the classes.
    kind : {"multiclass", "multilabel", "none"}
    labelled : ndarray of int64, shape (m,)
        Positions of the labelled items, in the order in which they were labelled.
    labels : ndarray, shape (m,) or (m, C)
        Their labels, aligned with `labelled`. Labels of other items are not here.
    pending : ndarray of int64
        Positions that were asked for and not answered yet.
    candidates : ndarray of int64, optional
        Picks come from these; by default all that are neither labelled nor pending.
    round : Round, optional
    history : sequence of Past
    sources : mapping of str to array or zero-argument callable
        ``embeddings`` (n, d), ``hidden`` (n, h), ``probabilities`` (n, C), ``committee``
        (S, n, C), ``predict`` (a function: features -> probabilities), ``head`` (weights, bias),
        ``posterior`` (n, r), ``out_of_fold`` (m, C), ``prior`` (n, C), ``groups`` (n,), ``costs``
        (n,), ``targets``, ``scores`` (mapping of named arrays (n, ...)). A callable is called on
        first use.
    memo : Memo, optional
        Shared by the views of one round.
    """

    def __init__(
        self,
        n: int,
        classes: int | Sequence[str],
        *,
        kind: str = "multiclass",
        labelled: np.ndarray | Sequence[int] = (),
        labels: np.ndarray | Sequence[Any] = (),
        pending: np.ndarray | Sequence[int] = (),
        candidates: np.ndarray | Sequence[int] | None = None,
        round: Round | None = None,
        history: Sequence[Past] = (),
        sources: Mapping[str, Any] | None = None,
        memo: Memo | None = None,
    ) -> None:
        self.n = int(n)
        self.kind = kind
        self.classes = (
            tuple(str(c) for c in range(classes)) if isinstance(classes, int) else tuple(classes)
        )
        self.labelled = _frozen(np.array(labelled, dtype=np.int64).reshape(-1))
        self.labels = _frozen(np.array(labels, dtype=np.int64))
        self.pending = _frozen(np.array(pending, dtype=np.int64).reshape(-1))
        self.round = round or Round(0, float(n))
        self.history = tuple(history)
        self._sources = dict(sources or {})
        self._computed: dict[str, Any] = {}
        self._memo = memo or Memo()
        self._space = ""
        self._was: Mapping[int, Any] = {}
        if candidates is None:
            free = np.ones(self.n, dtype=bool)
            free[self.labelled] = False
            free[self.pending] = False
            candidates = np.flatnonzero(free)
        self.candidates = _frozen(np.asarray(candidates, dtype=np.int64))

    def narrowed(self, candidates: np.ndarray) -> PoolView:
        """Return this view with fewer candidates; all that is computed is shared."""
        view = copy.copy(self)
        view.candidates = _frozen(np.asarray(candidates, dtype=np.int64))
        return view

    def apart(self, name: str) -> PoolView:
        """Return this view with a part of the memo that nobody else uses.

        For views of a part of the pool: what is derived from it is not derived from the whole.
        """
        view = copy.copy(self)
        view._space = f"{self._space}{name}: "
        return view

    @property
    def choice(self) -> str:
        """A short name of the set of candidates, for what is derived from it."""
        return hashlib.blake2b(self.candidates.tobytes(), digest_size=8).hexdigest()

    def after(
        self,
        history: Sequence[Past],
        candidates: np.ndarray,
        *,
        pending: np.ndarray | None = None,
        round: Round | None = None,
        was: Mapping[int, Any] | None = None,
    ) -> PoolView:
        """Return this view with another history and other candidates, and what else is given.

        `was` has the labels, as :attr:`labels` has them, that items had when the round was opened.
        """
        view = self.narrowed(candidates)
        view.history = tuple(history)
        view._was = self._was if was is None else was
        if pending is not None:
            view.pending = _frozen(np.asarray(pending, dtype=np.int64))
        if round is not None:
            view.round = round
        return view

    def asked_now(self) -> np.ndarray:
        """Return the positions asked in this round, in order, int64."""
        found = [past.position for past in self.history if past.round == self.round.number]
        return np.array(found, dtype=np.int64)

    def opened(self) -> PoolView:
        """Return this view as it was when the round was opened, before its first answer.

        What was asked in this round is a candidate again and has no label, unless it had one
        before.
        """
        now = set(self.asked_now().tolist())
        before = [past for past in self.history if past.round != self.round.number]
        now -= {past.position for past in before if past.answer is not None}
        old = np.array([p not in now for p in self.labelled.tolist()], dtype=bool)
        free = np.zeros(self.n, dtype=bool)
        free[self.candidates] = True
        free[list(now)] = True
        view = self.after(before, np.flatnonzero(free))
        labels = self.labels
        if self._was:
            labels = np.array(labels)
            for row, position in enumerate(self.labelled.tolist()):
                if position in self._was:
                    labels[row] = self._was[position]
            view._was = {}
        view.labelled, view.labels = _frozen(self.labelled[old]), _frozen(labels[old])
        view.pending = _frozen(self.pending[[p not in now for p in self.pending.tolist()]])
        view.round = Round(self.round.number, self.round.budget)
        if self.has("out_of_fold") and not old.all():
            view._sources = {**self._sources, "out_of_fold": lambda: self.out_of_fold[old]}
            view._computed = {k: v for k, v in self._computed.items() if k != "out_of_fold"}
        return view

    def has(self, name: str) -> bool:
        """Return True when this view can give `name`."""
        return name in self._sources

    def _get(self, name: str) -> Any:
        if name not in self._computed:
            if name not in self._sources:
                raise MissingNeed(
                    f"the view has no {name!r}",
                    f"give {name}=..., or use a learner that provides it",
                )
            source = self._sources[name]
            value = source() if callable(source) and name != "predict" else source
            self._computed[name] = _frozen(value)
        return self._computed[name]

    @property
    def embeddings(self) -> np.ndarray:
        """Features of the encoder, float32 (n, d)."""
        return self._get("embeddings")

    @property
    def hidden(self) -> np.ndarray:
        """The learner's last hidden layer (n, h); the embeddings when it has none."""
        return self._get("hidden" if self.has("hidden") else "embeddings")

    @property
    def probabilities(self) -> np.ndarray:
        """Predicted class probabilities of the whole pool, float64 (n, C)."""
        return self._get("probabilities")

    def probabilities_of(self, positions: np.ndarray) -> np.ndarray:
        """Predicted class probabilities of some items, (k, C)."""
        return self.probabilities[positions]

    @property
    def committee(self) -> np.ndarray:
        """Probabilities of several models, (S, n, C)."""
        return self._get("committee")

    @property
    def predict(self) -> Callable[[np.ndarray], np.ndarray]:
        """The model in force as a function: features (k, d) -> probabilities (k, C)."""
        return self._get("predict")

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, h) and bias (C,) of the last layer."""
        return self._get("head")

    @property
    def posterior(self) -> np.ndarray:
        """Vectors (n, r) whose inner products are the posterior covariances of the scores."""
        return self._get("posterior")

    @property
    def out_of_fold(self) -> np.ndarray:
        """Probabilities of the labelled items by models that did not see them, (m, C)."""
        return self._get("out_of_fold")

    @property
    def prior(self) -> np.ndarray:
        """Zero-shot probabilities, (n, C)."""
        return self._get("prior")

    @property
    def groups(self) -> np.ndarray:
        """Group (source task) of each item, (n,)."""
        return self._get("groups")

    @property
    def costs(self) -> np.ndarray:
        """Cost of labelling each item, (n,)."""
        return self._get("costs")

    @property
    def targets(self) -> np.ndarray:
        """Features of the items that the model is meant for, (t, d)."""
        return self._get("targets")

    @property
    def scores(self) -> Mapping[str, np.ndarray]:
        """Named arrays, such as token entropies."""
        return self._get("scores")

    def label_of(self, position: int) -> Any:
        """Return the label of one labelled item; for any other the label does not exist here.

        Raises
        ------
        HiddenLabel
            When the item is not labelled.
        """
        where = np.flatnonzero(self.labelled == position)
        if len(where) == 0:
            raise HiddenLabel(
                f"the label of pool position {position} is hidden: the item is not labelled",
                "pick the item, and read its answer in the next call",
            )
        return self.labels[where[-1]]

    def memo(self, key: str, make: Callable[[], T]) -> T:
        """Return a derivation of this round, made once; the cache may be dropped at any time."""
        key = self._space + key
        if key not in self._memo.held:
            self._memo.held[key] = make()
        return self._memo.held[key]
