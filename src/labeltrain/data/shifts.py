"""Rarer classes: merging classes, and thinning them out, by a ratio, by counts or to a long tail.

What is merged or thinned is decided on the whole data set, so that it is the same for every seed;
how many items are left follows from the positions that are thinned, such as a pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from labeltrain.data.checks import known_labels, some
from labeltrain.data.dataset import Dataset
from labeltrain.errors import BadInput, unknown_name
from labeltrain.rng import stream

#: The class of all items whose own class is not kept.
REST = "rest"


def merged(dataset: Dataset, keep: Sequence[str]) -> Dataset:
    """Return the data set with some classes kept and all others merged into one, `rest`.

    Parameters
    ----------
    dataset : Dataset
    keep : sequence of str
        Classes. One makes one class against the rest.

    Returns
    -------
    Dataset
        The classes are those of `keep`, in that order, and then ``rest``. Where items have
        several labels, the other labels are dropped, and there is no ``rest``: an item that has
        none of the kept labels has none.

    Raises
    ------
    BadInput
        An unknown class, one that is named twice or called ``rest``, or no class to merge.

    Examples
    --------
    >>> from labeltrain.data import load, merged
    >>> eights = merged(load("digits"), ["8"])
    >>> eights.classes, np.bincount(eights.labels).tolist()
    (('8', 'rest'), [174, 1623])
    """
    kept = _known(dataset, keep, "keep")
    if not len(kept):
        raise BadInput("no class is kept", f"keep some of: {some(dataset.classes)}")
    others = len(dataset.classes) - len(kept)
    if not others:
        raise BadInput(
            f"{dataset.name}: all {len(kept)} classes are kept, so none is merged",
            "leave out those that are to be merged, or leave out keep",
        )
    if dataset.labels is not None and dataset.kind == "multilabel":
        fact = f"{', '.join(keep)}; {others} others are left out"
        labels: np.ndarray | None = dataset.labels[:, kept]
        classes = tuple(keep)
    else:
        if REST in keep:
            raise BadInput(
                f"{dataset.name}: a class that is kept is called {REST!r}, as all others would be",
                "give it another name in the data",
            )
        fact = f"{', '.join(keep)}; {others} others are merged into {REST!r}"
        target = np.full(len(dataset.classes) + 1, len(kept), dtype=np.int64)
        target[kept] = np.arange(len(kept))
        target[-1] = -1  # not labelled
        labels = None if dataset.labels is None else target[dataset.labels]
        classes = (*keep, REST)
    facts = {**dataset.facts, "kept classes": fact}
    return replace(dataset, classes=classes, labels=labels, facts=facts)


def thinned(
    dataset: Dataset,
    among: np.ndarray | None = None,
    *,
    ratio: float | None = None,
    minority: Sequence[str] | None = None,
    counts: Mapping[str, int] | None = None,
    seed: int = 0,
    part: str = "pool",
) -> np.ndarray:
    """Return the positions that are left when some classes are thinned out.

    Parameters
    ----------
    dataset : Dataset
    among : ndarray of int64, optional
        Positions, such as those of a pool; all labelled items if not given.
    ratio : float, optional
        Of every class of `minority` so many items are left that they are to those of the largest
        other class as `ratio` to 1, to the nearest item.
    minority : sequence of str, optional
        The smallest class of the data set if not given (the last of several).
    counts : mapping of str to int, optional
        How many items are left of these classes, in place of a ratio.
    seed, part : int, str
        Name the draw. Of two ratios the smaller leaves a part of what the larger one leaves.

    Returns
    -------
    ndarray of int64
        Sorted. Of all other classes everything is left.

    Raises
    ------
    BadInput
        An unknown class, more items than there are, none at all, or items with several labels.

    Examples
    --------
    >>> from labeltrain.data import load, split, thinned
    >>> digits = load("digits")
    >>> pool, test = split(digits)
    >>> left = thinned(digits, pool, ratio=0.1, minority=["8"])
    >>> np.bincount(digits.labels[left]).tolist()
    [125, 127, 124, 128, 127, 127, 127, 125, 13, 126]
    """
    labels, among = _single(dataset, among)
    have = np.bincount(labels[among], minlength=len(dataset.classes))
    if (ratio is None) == (counts is None):
        raise BadInput("thinning takes either a ratio or counts", "give one of them")
    if ratio is not None:
        chosen = _minority(dataset, labels, minority)
        if not 0.0 < ratio <= 1.0:
            raise BadInput(f"ratio is {ratio}", "give a number above 0, at most 1, such as 0.01")
        largest = max(1, int(np.delete(have, chosen).max()))
        wanted = dict.fromkeys(chosen.tolist(), round(ratio * largest))
    else:
        if minority is not None:
            raise BadInput("minority goes with a ratio", "name the classes in counts alone")
        chosen = _known(dataset, list(counts or {}), "counts")
        wanted = dict(zip(chosen.tolist(), (counts or {}).values(), strict=True))
    for place, count in wanted.items():
        if 1 <= count <= have[place]:
            continue
        asked, remedy = f"counts asks for {count}", f"give 1 to {have[place]}"
        if ratio is not None:
            asked = (
                f"a ratio of {ratio:g} to the {largest} of the largest other class makes {count}"
            )
            remedy = f"give a ratio from {1 / largest:.4g} to {have[place] / largest:.4g}"
        raise BadInput(
            f"{dataset.name}: the {part} has {have[place]} items of "
            f"{dataset.classes[place]!r}, and {asked}",
            remedy if have[place] else "leave that class out",
        )
    return _left(dataset, labels, among, wanted, seed, part)


def long_tailed(
    dataset: Dataset,
    among: np.ndarray | None = None,
    *,
    factor: float,
    seed: int = 0,
    part: str = "pool",
) -> np.ndarray:
    """Return the positions that are left when the classes become an exponential long tail.

    The class at place i of C, the largest class of the data set first (equal ones in the order of
    the classes), keeps ``h * factor ** (-i / (C - 1))`` items, rounded down, as in CIFAR-10-LT; h
    is the largest number for which every class has as many.

    Parameters
    ----------
    dataset : Dataset
    among : ndarray of int64, optional
        Positions, such as those of a pool; all labelled items if not given.
    factor : float
        The imbalance factor: items of the first class by those of the last.
    seed, part : int, str
        Name the draw.

    Returns
    -------
    ndarray of int64
        Sorted.

    Raises
    ------
    BadInput
        A factor below 1, or one that leaves a class without items; items with several labels.

    References
    ----------
    Y. Cui, M. Jia, T.-Y. Lin, Y. Song, S. Belongie: Class-Balanced Loss Based on Effective Number
    of Samples. CVPR 2019.

    Examples
    --------
    >>> from labeltrain.data import load, long_tailed
    >>> digits = load("digits")
    >>> np.bincount(digits.labels[long_tailed(digits, factor=100)]).tolist()
    [5, 109, 3, 183, 39, 65, 23, 8, 1, 14]
    """
    labels, among = _single(dataset, among)
    if not float(factor) >= 1.0 or not np.isfinite(factor):
        raise BadInput(f"a long tail of factor {factor}", "give a number from 1 on, such as 100")
    present = np.bincount(labels[labels >= 0], minlength=len(dataset.classes))
    order = np.argsort(-present, kind="stable")
    have = np.bincount(labels[among], minlength=len(dataset.classes))[order]
    shares = float(factor) ** (-np.arange(len(order)) / max(1, len(order) - 1))
    head = float((have / shares).min())
    counts = np.floor(head * shares * (1.0 + 1e-12)).astype(np.int64)
    if not counts[-1]:
        raise BadInput(
            f"{dataset.name}: a long tail of factor {factor:g} leaves the {part} no item of "
            f"{dataset.classes[order[-1]]!r}: the first class can have {int(head)}",
            f"give a factor of at most {int(head)}" if head >= 1 else "leave that class out",
        )
    return _left(
        dataset, labels, among, dict(zip(order.tolist(), counts.tolist(), strict=True)), seed, part
    )


def _left(
    dataset: Dataset,
    labels: np.ndarray,
    among: np.ndarray,
    counts: Mapping[int, int],
    seed: int,
    part: str,
) -> np.ndarray:
    """Return `among` with so many items of some classes, drawn by class."""
    inside = np.ones(len(among), dtype=bool)
    for place, count in counts.items():
        own = np.flatnonzero(labels[among] == place)
        order = stream(seed, "thinned", part, dataset.classes[place]).permutation(len(own))
        inside[own[order[count:]]] = False
    return among[inside]


def _single(dataset: Dataset, among: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels, one an item, and sorted positions of labelled items."""
    if dataset.kind != "multiclass" or dataset.labels is None:
        why = "have several labels" if dataset.kind == "multilabel" else "have no labels"
        raise BadInput(
            f"{dataset.name}: classes cannot be thinned out, as items {why}",
            "leave out ratio, counts and long_tail; keep also works on several labels",
        )
    known = known_labels(dataset)
    return dataset.labels, known if among is None else np.intersect1d(among, known)


def _known(dataset: Dataset, names: Sequence[str], what: str) -> np.ndarray:
    """Return the places of classes, or raise naming those that are not there or there twice."""
    places = {name: place for place, name in enumerate(dataset.classes)}
    for name in names:
        if name not in places:
            raise unknown_name(f"class in {what}", name, dataset.classes)
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise BadInput(f"{what} names {some(twice)} twice", "name every class once")
    return np.array([places[name] for name in names], dtype=np.int64)


def _minority(dataset: Dataset, labels: np.ndarray, minority: Sequence[str] | None) -> np.ndarray:
    if minority is None:
        present = np.bincount(labels[labels >= 0], minlength=len(dataset.classes))
        return np.array([len(present) - 1 - present[::-1].argmin()], dtype=np.int64)
    chosen = _known(dataset, minority, "minority")
    if not 0 < len(chosen) < len(dataset.classes):
        raise BadInput(
            f"{dataset.name}: {len(chosen)} of {len(dataset.classes)} classes are the minority",
            "leave at least one class to be the majority, and name at least one",
        )
    return chosen
