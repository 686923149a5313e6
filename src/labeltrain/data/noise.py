"""Wrong labels: which share of each class is mistaken, and for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labeltrain.errors import BadInput, unknown_name

#: For a class: the share that is wrong, or the share for each class it is mistaken for.
Flips = Mapping[str, float | Mapping[str, float]]


def confusion(flips: Flips, classes: Sequence[str]) -> np.ndarray:
    """Return the matrix of shares: what items of a class (row) are taken for (column).

    Parameters
    ----------
    flips : mapping
        Class to the share of its items whose label is wrong, spread evenly over the other classes;
        or to a mapping of wrong classes to shares. Classes that are left out have no wrong labels.
    classes : sequence of str, length C

    Returns
    -------
    ndarray of float64, shape (C, C)
        Rows sum to 1.

    Raises
    ------
    BadInput
        An unknown class, a class that is mistaken for itself, shares that are none.

    Examples
    --------
    >>> confusion({"ham": 0.2, "spam": {"ham": 0.5}}, ["ham", "spam", "other"]).tolist()
    [[0.8, 0.1, 0.1], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    matrix = np.eye(len(classes))
    for name, wrong in flips.items():
        row = _place(name, classes)
        if not isinstance(wrong, Mapping):
            others = [other for other in classes if other != name]
            if not others:
                raise BadInput("wrong labels need at least two classes", "leave flips out")
            wrong = dict.fromkeys(others, float(wrong) / len(others))
        for other, share in wrong.items():
            column = _place(other, classes)
            if column == row:
                raise BadInput(
                    f"flips mistakes {name!r} for itself",
                    "give the shares of wrong labels only; the rest is right",
                )
            matrix[row, column] = share
        total = float(sum(wrong.values()))
        if min(wrong.values(), default=0.0) < 0 or total > 1 + 1e-9 or np.isnan(total):
            raise BadInput(
                f"flips of {name!r} are {total:g} of its items",
                "give shares from 0 to 1, at most 1 together",
            )
        matrix[row, row] = max(0.0, 1.0 - total)
    return matrix


def rates(flips: Flips, classes: Sequence[str]) -> np.ndarray:
    """Return the share of wrong answers on each label, where items have several labels.

    Parameters
    ----------
    flips : mapping
        Label to the share of items on which it is wrong, there or not there.
    classes : sequence of str, length C

    Returns
    -------
    ndarray of float64, shape (C,)

    Raises
    ------
    BadInput
        An unknown label, a mapping to other labels, a number that is no share.

    Examples
    --------
    >>> rates({"b": 0.2}, ["a", "b"]).tolist()
    [0.0, 0.2]
    """
    shares = np.zeros(len(classes))
    for name, wrong in flips.items():
        if isinstance(wrong, Mapping):
            raise BadInput(
                f"flips mistakes {name!r} for {', '.join(map(repr, wrong))}, and items have "
                "several labels: each is right or wrong by itself",
                f"give one share, such as {{{name}: 0.1}}",
            )
        if not 0.0 <= float(wrong) <= 1.0:
            raise BadInput(f"flips of {name!r} are {wrong}", "give a share from 0 to 1")
        shares[_place(name, classes)] = wrong
    return shares


def flipped(labels: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels of which exact shares are wrong.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    matrix : ndarray, shape (C, C)
        See :func:`confusion`. Of n items of a class the share p is n p of them, to the nearest
        item, rounded so that no share of a class is off by more than one item.
    rng : Generator

    Returns
    -------
    ndarray of int64, shape (n,)

    Examples
    --------
    >>> labels = np.zeros(10, dtype=np.int64)
    >>> np.bincount(flipped(labels, np.array([[0.7, 0.3], [0, 1]]), np.random.default_rng(0)))
    array([7, 3])
    """
    found = np.array(labels, dtype=np.int64)
    for place in range(len(matrix)):
        own = rng.permutation(np.flatnonzero(labels == place))
        others = np.delete(np.arange(len(matrix)), place)
        ends = np.rint(np.cumsum(matrix[place, others]) * len(own)).astype(np.int64)
        for other, start, end in zip(others, [0, *ends[:-1]], ends, strict=True):
            found[own[start:end]] = other
    return found


def _place(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise unknown_name("class in flips", name, classes)
    return list(classes).index(name)
