"""Which classes have few labels: what the strategies for imbalanced data share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, nearest
from labeltrain.strategies.base import Strategy
from labeltrain.strategies.view import PoolView

CLOSE = 1e-9  # relative; sums of probabilities that differ by less are equal


def label_counts(view: PoolView) -> np.ndarray:
    """Return how many labelled items each class has, int64 (C,); multilabel: items with it on."""
    classes = len(view.classes)
    if view.kind == "multilabel":
        return view.labels.reshape(-1, classes).sum(axis=0)
    return np.bincount(view.labels, minlength=classes)


def has_label(view: PoolView, c: int) -> np.ndarray:
    """Return which labelled items are of class c (multilabel: have it on), bool (m,)."""
    if view.kind == "multilabel":
        return view.labels.reshape(-1, len(view.classes))[:, c] == 1
    return view.labels == c


def rare_classes(view: PoolView, rare: str | int | Sequence[str | int] | None = None) -> np.ndarray:
    """Return the indices of the rare classes, int64, ascending; never none.

    Parameters
    ----------
    view : PoolView
    rare : name, index, or sequence of these, optional
        The classes, when they are known. By default: those with fewer labels than classes have on
        average. Where all have equally many, as when nothing is labelled, the sums of their
        predicted probabilities over the pool are compared instead; where these are equal, too, all
        classes are rare.

    Raises
    ------
    BadInput
        Names or indices that are none of the view's classes, or an empty sequence.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.strategies import PoolView
    >>> from labeltrain.strategies.rare import rare_classes
    >>> view = PoolView(9, ["ham", "spam"], labelled=[0, 1, 2], labels=[0, 0, 1])
    >>> rare_classes(view).tolist(), rare_classes(view, "ham").tolist()
    ([1], [0])
    """
    if rare is not None:
        lone = isinstance(rare, str) or not isinstance(rare, Iterable)
        asked: list[Any] = [rare] if lone else list(rare)  # type: ignore[arg-type]
        if not asked:
            raise BadInput("rare=[] names no class", "name one, or leave rare out")
        return np.unique([_index(view, name) for name in asked]).astype(np.int64)
    few = _below_average(label_counts(view))
    if not len(few):
        few = _below_average(view.probabilities.sum(axis=0, dtype=np.float64))
    return few if len(few) else np.arange(len(view.classes))


def refuse_unknown_classes(strategy: Strategy, classes: Sequence[str]) -> None:
    """Raise when a strategy, or one inside it, is told of a rare class that is none.

    Raises
    ------
    BadInput
    """
    rare = getattr(strategy, "rare", None)
    if rare is not None and not any(isinstance(one, Integral) for one in np.ravel(rare).tolist()):
        rare_classes(PoolView(1, classes), rare)
    for inner in strategy.inside():
        refuse_unknown_classes(inner, classes)


def _below_average(amounts: np.ndarray) -> np.ndarray:
    return np.flatnonzero(amounts < amounts.mean() * (1.0 - CLOSE))


def _index(view: PoolView, name: str | int) -> int:
    """Return the index of a class given by name or index."""
    names = [str(c) for c in view.classes]
    if isinstance(name, Integral) and not isinstance(name, bool) and 0 <= name < len(names):
        return int(name)
    if isinstance(name, str) and name in names:
        return names.index(name)
    close = nearest(str(name), names)
    raise BadInput(
        f"rare has {name!r}, which is none of the {len(names)} classes",
        f"did you mean {close!r}?" if close else "give names of classes, or indices from 0",
    )
