"""`labeltrain.select`: every strategy for people who bring their own arrays and loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.loop.checks import checked, refuse_unmet_needs
from labeltrain.rng import stream
from labeltrain.strategies.base import Need, Past, Round
from labeltrain.strategies.registry import make
from labeltrain.strategies.view import PoolView


@dataclass(frozen=True)
class Selection:
    """What `select` returns.

    Attributes
    ----------
    positions : ndarray of int64, shape (k,)
    ids : tuple, length k
        The items' ids when `ids` were given, else the positions.
    scores : ndarray of float64, shape (k,)
    why : tuple of str, length k
    notes : tuple
    exhausted : bool
        True when the pool held fewer items than the budget asked for.
    """

    positions: np.ndarray
    ids: tuple[Any, ...]
    scores: np.ndarray
    why: tuple[str, ...]
    notes: tuple[Any, ...]
    exhausted: bool


def select(
    strategy: str,
    *,
    budget: int,
    seed: int = 0,
    embeddings: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    labelled: np.ndarray | Sequence[int] = (),
    labels: np.ndarray | Sequence[Any] | None = None,
    pending: np.ndarray | Sequence[int] = (),
    candidates: np.ndarray | Sequence[int] | None = None,
    ids: Sequence[Any] | None = None,
    kind: str = "multiclass",
    classes: int | Sequence[str] | None = None,
    history: Sequence[Past] = (),
    parameters: Mapping[str, Any] | None = None,
    **more: Any,
) -> Selection:
    """Choose what to label next from arrays of your own.

    Parameters
    ----------
    strategy : str
        A name of ``labeltrain list strategies``.
    budget : int
        How many items to pick.
    seed : int
    embeddings : ndarray of float, shape (n, d)
    probabilities : ndarray of float, shape (n, C)
        Of the whole pool; rows sum to 1 (multilabel: each entry in [0, 1]).
    labelled : sequence of int, or ndarray of bool, shape (n,)
        Positions of the items that have a label, or a mask.
    labels : sequence
        Their labels, aligned with `labelled`; only some strategies read them.
    pending, candidates : sequence of int
        Items that were asked already; items that may be picked (all others by default).
    ids : sequence, length n
        Ids to return instead of positions.
    kind : {"multiclass", "multilabel"}
    classes : int or sequence of str
        Needed only when there are no probabilities.
    history : sequence of labeltrain.strategies.Past
    parameters : mapping
        Parameters of the strategy.
    **more
        Whatever else the strategy reads of its view: ``hidden``, ``committee``, ``predict``,
        ``head``, ``out_of_fold``, ``prior``, ``groups``, ``costs``, ``targets``, ``scores``.

    Returns
    -------
    Selection
        At most `budget` items; what there is, with ``exhausted=True``, when the pool holds fewer.

    Raises
    ------
    BadInput
        Arrays that do not fit together, NaN, positions outside the pool.
    MissingNeed
        The strategy needs an array that was not given.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> P = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.9, 0.05, 0.05]])
    >>> labeltrain.select("margin", probabilities=P, budget=2).positions.tolist()
    [1, 0]
    """
    if isinstance(budget, bool) or int(budget) != budget or budget < 0:
        raise BadInput(
            f"budget={budget!r} is not a number of items", "give an integer of 0 or more"
        )
    for name in more:
        if name not in set(Need):
            raise unknown_name(
                "array", name, [*(n.value for n in Need), "labelled", "labels", "pending", "ids"]
            )
    chosen = make(strategy, parameters)
    sources = dict(more)
    if embeddings is not None:
        sources["embeddings"] = _matrix("embeddings", embeddings)
    if probabilities is not None:
        sources["probabilities"] = _probabilities(probabilities, kind)
    n = _pool_size(sources, ids)
    if classes is None:
        classes = sources["probabilities"].shape[1] if probabilities is not None else 0
    known = _positions("labelled", labelled, n)
    given = np.asarray([] if labels is None else labels)
    if labels is not None and len(given) != len(known):
        raise BadInput(f"{len(given)} labels for {len(known)} labelled items", "align them")
    refuse_unmet_needs(chosen, "none (arrays of your own)", sources, kind)
    view = PoolView(
        n,
        classes,
        kind=kind,
        labelled=known,
        labels=given if labels is not None else (),
        pending=_positions("pending", pending, n),
        candidates=None if candidates is None else _candidates(candidates, known, pending, n),
        round=Round(1, float(budget)),
        history=history,
        sources=sources,
    )
    count = min(int(budget), len(view.candidates))
    exhausted = count < budget
    if count == 0:
        empty = np.empty(0)
        return Selection(empty.astype(np.int64), (), empty, (), (), exhausted)
    picks = checked(
        chosen.select(view, count, stream(seed, "select", strategy)), view, count, strategy
    )
    positions = picks.positions
    return Selection(
        positions,
        tuple(positions.tolist() if ids is None else (ids[p] for p in positions)),
        picks.scores,
        picks.why,
        picks.notes,
        exhausted,
    )


def _matrix(name: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2:
        raise BadInput(f"{name} has shape {array.shape}", "give one row per item: (n, d)")
    if array.dtype.kind not in "fiub":
        raise BadInput(f"{name} has dtype {array.dtype}", "give numbers")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise BadInput(
            f"{name} is NaN or infinite in row(s) {bad[:5].tolist()} ({len(bad)} in all)",
            "remove or repair these items",
        )
    return array


def _probabilities(values: np.ndarray, kind: str) -> np.ndarray:
    array = _matrix("probabilities", values)
    outside = (array < -1e-6).any(axis=1) | (array > 1 + 1e-6).any(axis=1)
    if kind == "multiclass":
        outside |= np.abs(array.sum(axis=1) - 1.0) > 1e-3
    bad = np.flatnonzero(outside)
    if len(bad):
        raise BadInput(
            f"probabilities are no distribution in row(s) {bad[:5].tolist()} ({len(bad)} in all)",
            "rows must be within [0, 1] and sum to 1; use kind='multilabel' for independent labels",
        )
    return array


def _pool_size(sources: Mapping[str, Any], ids: Sequence[Any] | None) -> int:
    sizes = {
        name: len(sources[name])
        for name in ("embeddings", "probabilities", "hidden", "prior", "groups", "costs")
        if name in sources
    }
    if ids is not None:
        sizes["ids"] = len(ids)
        if len(set(ids)) != len(ids):
            raise BadInput("ids are not unique", "give every item its own id")
    if not sizes:
        raise BadInput("the size of the pool is unknown", "give embeddings, probabilities or ids")
    if len(set(sizes.values())) > 1:
        raise BadInput(f"arrays disagree on the size of the pool: {sizes}", "one row per item")
    return next(iter(sizes.values()))


def _positions(name: str, values: np.ndarray | Sequence[int], n: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype == bool:
        if array.shape != (n,):
            raise BadInput(f"{name} is a mask of shape {array.shape}", f"give shape ({n},)")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise BadInput(f"{name} has dtype {array.dtype}, shape {array.shape}", "give positions")
    outside = array[(array < 0) | (array >= n)]
    if len(outside):
        raise BadInput(
            f"{name} has position(s) {outside[:5].tolist()} outside the pool of {n}",
            "positions run from 0 to n-1",
        )
    if len(np.unique(array)) != len(array):
        raise BadInput(f"{name} names an item twice", "give each position once")
    return array.astype(np.int64)


def _candidates(
    values: np.ndarray | Sequence[int],
    labelled: np.ndarray,
    pending: np.ndarray | Sequence[int],
    n: int,
) -> np.ndarray:
    chosen = _positions("candidates", values, n)
    taken = np.zeros(n, dtype=bool)
    taken[labelled] = True
    taken[_positions("pending", pending, n)] = True
    return np.sort(chosen[~taken[chosen]])
