"""`labeltrain.select`: every strategy for people who bring their own arrays and loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, MissingNeed, nearest
from labeltrain.loop import inputs
from labeltrain.loop.as_numpy import as_numpy
from labeltrain.loop.call import Call
from labeltrain.loop.label_codes import label_codes
from labeltrain.loop.pool_arrays import (
    KINDS,
    class_columns,
    pool_size,
    read_arrays,
    refuse_missing,
    refuse_other_columns,
    widen_head,
)
from labeltrain.strategies import registry
from labeltrain.strategies.base import Need, Past, Strategy

SHOWN = 8  # positions in a selection's repr


# What other libraries call it.
ELSEWHERE = {
    "x": "embeddings",
    "x_pool": "embeddings",
    "features": "embeddings",
    "probs": "probabilities",
    "predictions": "probabilities",
    "y": "labels",
    "n_instances": "budget",
    "batch_size": "budget",
    "radius": "delta",
}


@dataclass(frozen=True, eq=False)
class Selection:
    """What `select` returns; ``numpy.asarray(selection)`` gives the positions.

    Attributes
    ----------
    positions : ndarray of int64, shape (k,)
        Rows of the arrays that were given, in the order in which they were picked.
    ids : tuple, length k
        The items' ids when `ids` were given, else the positions.
    scores : ndarray of float64, shape (k,)
        The strategy's own score of each pick, NaN where it has none.
    why : tuple of str, length k
        A short reason for each pick.
    notes : tuple
        What the strategy wants to remember of each pick.
    exhausted : bool
        True when the pool held less than the budget could buy.
    answers : tuple or None
        What `ask` answered to each pick; None when nothing was asked.
    history : tuple of labeltrain.strategies.Past
        The history that was given, and these picks: pass it on in the next call.
    """

    positions: np.ndarray
    ids: tuple[Any, ...]
    scores: np.ndarray
    why: tuple[str, ...]
    notes: tuple[Any, ...]
    exhausted: bool
    answers: tuple[Any, ...] | None = None
    history: tuple[Past, ...] = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the positions."""
        return np.array(self.positions, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[int]:
        """Go through the positions."""
        return iter(self.positions.tolist())

    def __getitem__(self, item: Any) -> Any:
        """Return ``positions[item]``."""
        return self.positions[item]

    def __repr__(self) -> str:
        some = ", ".join(map(str, self.positions[:SHOWN].tolist()))
        more = ", ..." if len(self) > SHOWN else ""
        return f"Selection({len(self)} picks: [{some}{more}], exhausted={self.exhausted})"


def select(
    strategy: str | Strategy,
    *,
    budget: float,
    embeddings: Any = None,
    probabilities: Any = None,
    committee: Any = None,
    labelled: Any = None,
    labels: Any = None,
    groups: Any = None,
    candidates: Any = None,
    ask: Callable[[np.ndarray], Any] | None = None,
    seed: int = 0,
    parallel: int = 1,
    pending: Any = None,
    ids: Any = None,
    kind: str = "multiclass",
    classes: int | Sequence[Any] | None = None,
    history: Sequence[Past] = (),
    **options: Any,
) -> Selection:
    """Choose what to label next from arrays of your own.

    Arrays may be NumPy (memory maps are not copied), torch tensors, SciPy sparse, pandas or
    polars. Positions are row numbers from 0 to n-1; the index of pandas is not read.

    Parameters
    ----------
    strategy : str or Strategy
        A name of :func:`labeltrain.strategies`, or a strategy that was made already.
    budget : int
        How many items to pick; a total cost when `costs` are given.
    embeddings : array-like, shape (n, d)
        Features of the whole pool, labelled items too. A column of vectors is taken as well.
    probabilities : array-like, shape (n, C)
        Predicted classes of the whole pool; rows sum to 1 (multilabel: entries in [0, 1]).
        The mean of the committee when only that is given.
    committee : array-like, shape (S, n, C), or list of (n, C)
        Probabilities of several models.
    labelled : array-like of int, shape (m,), or of bool, shape (n,)
        Positions of the items that have a label, or a mask.
    labels : array-like, shape (m,)
        Their labels, aligned with `labelled` (a mask: in ascending order). Whole numbers are
        columns of `probabilities`; names need `classes`, unless no probabilities are given.
        Multilabel: rows of 0/1, shape (m, C).
    groups : array-like, shape (n,)
        Group of each item, for strategies that draw from groups.
    candidates : array-like of int or bool
        What may be picked; by default all that is neither labelled nor pending.
    ask : callable
        For sequential strategies, which learn from each answer: takes positions, int64 (k,), and
        returns their labels in the same order; None in place of a label skips the item.
    seed : int
        Same arguments and seed, same picks.
    parallel : int
        How many items `ask` gets at once.
    pending : array-like of int or bool
        Items that were asked for and are not answered yet.
    ids : sequence, length n
        Ids to return beside the positions.
    kind : {"multiclass", "multilabel", "none"}
        What labels are.
    classes : int or sequence
        Their number, or their names in the order of the columns of `probabilities`.
    history : sequence of labeltrain.strategies.Past
        Earlier picks, for strategies that remember: ``selection.history`` of the last call.
    **options
        More of what strategies read (``hidden``, ``predict``, ``head``, ``out_of_fold``,
        ``posterior``, ``prior``, ``costs``, ``targets``, ``scores``), and the parameters of the
        strategy.

    Returns
    -------
    Selection
        What there is, with ``exhausted=True``, when the pool holds less than the budget.

    Raises
    ------
    BadInput
        Arrays that do not fit together, NaN, positions outside the pool, unknown options.
    MissingNeed
        The strategy needs what was not given.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.9, 0.05, 0.05]])
    >>> labeltrain.select("margin", probabilities=P, budget=2).positions.tolist()
    [1, 0]
    >>> labeltrain.select("random", embeddings=P, labelled=[0, 2], budget=5).exhausted
    True
    """
    arrays = {name: value for name, value in options.items() if name in set(Need)}
    chosen = resolved(strategy, {k: v for k, v in options.items() if k not in arrays})
    if kind not in KINDS:
        raise BadInput(f"kind={kind!r} is unknown", f"known: {', '.join(KINDS)}")
    arrays |= {
        "embeddings": embeddings,
        "probabilities": probabilities,
        "committee": committee,
        "groups": groups,
    }
    refuse_other_columns(arrays, classes)
    sources = read_arrays(arrays, kind)
    widen_head(sources, classes, labels)
    refuse_missing(chosen, sources, kind)
    _refuse_ask(chosen, ask)
    spend = _budget(budget, "costs" in sources)
    names = _ids(ids)
    masks = {"labelled": labelled, "candidates": candidates}
    n = pool_size(sources, names, masks)
    known = inputs.positions("labelled", labelled, n)
    if labels is not None:
        labels = as_numpy("labels", labels)
        if labels.ndim == 0 or len(labels) != len(known):
            many = 1 if labels.ndim == 0 else len(labels)
            raise BadInput(
                f"{many} labels for {len(known)} labelled items",
                "give labels[labelled]" if many == n else "align them",
            )
    coded = label_codes(labels, classes, class_columns(sources), kind)
    if len(sources.get("out_of_fold", known)) != len(known):
        raise BadInput(
            f"out_of_fold has {len(sources['out_of_fold'])} rows for {len(known)} labelled items",
            "give one row per labelled item, in the order of labelled",
        )
    waiting = inputs.positions("pending", pending, n)
    free = np.full(n, candidates is None)
    if candidates is not None:
        free[inputs.positions("candidates", candidates, n)] = True
    free[known] = False
    free[waiting] = False
    rows = (
        None
        if labels is None and len(known)
        else list(coded.encode(() if labels is None else labels))
    )
    call = Call(chosen, sources, coded, known.tolist(), rows, waiting, free, tuple(history))
    if _integer("parallel", parallel) < 1:
        raise BadInput(f"parallel={parallel!r}", "give an integer of 1 or more")
    call.run(spend, _integer("seed", seed), ask, int(parallel))
    return Selection(
        np.array(call.positions, dtype=np.int64),
        tuple(call.positions if names is None else (names[p] for p in call.positions)),
        np.array(call.scores, dtype=np.float64),
        tuple(call.why),
        tuple(call.notes),
        call.exhausted,
        None if ask is None else tuple(call.answers),
        call.history,
    )


def resolved(strategy: str | Strategy, options: Mapping[str, Any]) -> Strategy:
    """Return the strategy of that name with these parameters, or the strategy itself.

    Raises
    ------
    BadInput
        Unknown name or parameter; parameters beside a strategy that was made already.
    """
    if isinstance(strategy, Strategy):
        if options:
            raise BadInput(
                f"{', '.join(map(repr, options))} given beside a strategy that was made already",
                f"give parameters to {type(strategy).__name__}(...); arrays are "
                f"{', '.join(sorted(Need))}",
            )
        return strategy
    if not isinstance(strategy, str):
        raise BadInput(f"strategy is {strategy!r}", "give a name, such as 'margin', or an instance")
    cls = registry.get(strategy)
    known = [] if cls.__init__ is object.__init__ else list(inspect.signature(cls).parameters)
    taken = list(inspect.signature(select).parameters)[1:-1]
    for name in options:
        if name not in known:
            names = [*known, *(n.value for n in Need), *taken]
            close = ELSEWHERE.get(name.lower())
            if close not in names:
                close = nearest(name, names)
            raise BadInput(
                f"strategy {strategy!r} has no parameter {name!r}, and no array has this name",
                (f"did you mean {close!r}? " if close else "")
                + f"parameters: {', '.join(known) or 'none'}; arrays: {', '.join(sorted(Need))}",
            )
    return registry.make(strategy, options)


def _refuse_ask(strategy: Strategy, ask: Callable[[np.ndarray], Any] | None) -> None:
    if ask is None and strategy.sequential:
        raise MissingNeed(
            f"strategy {strategy.name!r} learns from each answer, and there is no `ask`",
            "give ask, a function from positions to their labels",
        )
    if ask is not None and not strategy.sequential:
        raise BadInput(
            f"strategy {strategy.name!r} picks the whole batch at once and never asks",
            "leave ask out",
        )


def _ids(ids: Any) -> list[Any] | None:
    if ids is None:
        return None
    listed = list(ids) if isinstance(ids, list | tuple) else inputs.column("ids", ids).tolist()
    try:
        set(listed)
    except TypeError as error:
        raise BadInput(f"ids hold what cannot be one: {error}", "give names or numbers") from error
    return listed


def _integer(name: str, value: Any) -> int:
    try:
        if not isinstance(value, bool | np.bool_) and int(value) == value:
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadInput(f"{name}={value!r} is no integer", f"give {name} as an integer")


def _budget(budget: Any, costs: bool) -> float:
    what = "a cost of 0 or more" if costs else "an integer of 0 or more"
    try:
        fits = (
            not isinstance(budget, bool | np.bool_) and budget >= 0 and np.isfinite(float(budget))
        )
        if fits and (costs or int(budget) == budget):
            return float(budget)
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadInput(f"budget={budget!r} is not a number of items", f"give {what}")
