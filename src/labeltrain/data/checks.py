"""Checks that name the offending items, shared by all readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from labeltrain.data.dataset import Dataset
from labeltrain.errors import BadInput, nearest

_SHOWN = 5


def some(values: Iterable[object]) -> str:
    """Write out up to five values, and how many more there are.

    Examples
    --------
    >>> some(["a", "b"])
    "'a', 'b'"
    >>> some(range(8))
    '0, 1, 2, 3, 4 and 3 more'
    """
    listed = list(values)
    text = ", ".join(repr(value) for value in listed[:_SHOWN])
    more = len(listed) - _SHOWN
    return f"{text} and {more} more" if more > 0 else text


def check_utf8(words: Iterable[str], owners: Sequence[object], where: str, what: str) -> None:
    """Raise BadInput naming the owners of words that UTF-8 cannot hold (lone surrogates)."""
    wrong = [owner for owner, word in zip(owners, words, strict=True) if not _is_utf8(word)]
    if wrong:
        raise BadInput(
            f"{printable(where)}: the {what} of {some(wrong)} cannot be written as UTF-8",
            "repair the characters (lone surrogates), or rename the files with UTF-8 names",
        )


def printable(text: str) -> str:
    """Return text with what UTF-8 cannot hold written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_utf8(word: str) -> bool:
    if word.isascii():
        return True
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_ids(ids: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the ids as a tuple, or raise BadInput naming those that cannot serve.

    An id is not empty, UTF-8, on one line, without tabs, and no other item's.
    """
    check_utf8(ids, [f"item {i}: {item}" for i, item in enumerate(ids)], where, "id")
    broken = [item for item in ids if item and (item.splitlines() != [item] or "\t" in item)]
    if broken:
        raise BadInput(
            f"{where}: the ids {some(broken)} contain a line break or a tab",
            "write every id on one line, without tabs",
        )
    empty = [position for position, item in enumerate(ids) if not item]
    if empty:
        raise BadInput(
            f"{where}: items at positions {some(empty)} have no id",
            "give every item an id, or leave the id column out",
        )
    if len(set(ids)) < len(ids):
        repeated = [item for item, times in Counter(ids).items() if times > 1]
        raise BadInput(
            f"{where}: the ids of items must be unique; repeated: {some(repeated)}",
            "make them unique, or leave the id column out to number the items",
        )
    return tuple(ids)


def check_finite(features: np.ndarray, ids: Sequence[str], where: str) -> np.ndarray:
    """Return float32 features (n, d), or raise BadInput naming the items with NaN or infinity."""
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(features, dtype=np.float32)
    wrong = np.flatnonzero(~np.isfinite(narrow).all(axis=1))
    if len(wrong):
        items = some(ids[i] for i in wrong.tolist())
        raise BadInput(
            f"{where}: the features of items {items} hold NaN or infinity (as float32)",
            "fill in or remove the values, or remove the items",
        )
    return narrow


def check_texts(texts: Sequence[object], ids: Sequence[str], where: str) -> list[str]:
    """Return the texts, or raise BadInput naming the items that are empty or not text."""
    not_text = [
        ids[i] for i, text in enumerate(texts) if text is not None and type(text) is not str
    ]
    if not_text:
        raise BadInput(
            f"{where}: the text of items {some(not_text)} is not a string",
            "name another text column, or store the column as strings",
        )
    empty = [ids[i] for i, text in enumerate(texts) if text is None or not str(text).strip()]
    if empty:
        raise BadInput(
            f"{where}: the text of items {some(empty)} is empty",
            "remove these items or fill in their text",
        )
    written = [str(text) for text in texts]
    check_utf8(written, [f"item {item}" for item in ids], where, "text")
    return written


def missing_column(name: str, known: Sequence[str], where: str, option: str) -> BadInput:
    """Build the error for a column that is not there, with the nearest one."""
    close = nearest(name, known)
    hint = f"did you mean {close!r}? " if close else ""
    return BadInput(
        f"{where}: no column {name!r} (option {option})",
        f"{hint}columns: {', '.join(known)}",
    )


def require_trainable(dataset: Dataset) -> None:
    """Raise unless the data set's labels can train and test a classifier.

    Parameters
    ----------
    dataset : Dataset

    Raises
    ------
    BadInput
        No labels are known, or all known labels are the same class.

    Examples
    --------
    >>> from labeltrain.data import load, require_trainable
    >>> require_trainable(load("digits"))
    """
    if dataset.labels is None or not len(known_labels(dataset)):
        raise BadInput(
            f"{dataset.name}: no item has a label, so nothing can be simulated or scored",
            "name the label column (label_column), or label items in a project first",
        )
    if dataset.kind == "multilabel":
        rows = dataset.labels[known_labels(dataset)]
        if not (rows.min(axis=0) < rows.max(axis=0)).any():
            raise BadInput(
                f"{dataset.name}: every class is either always or never present",
                "check the label columns: a classifier needs at least one class that varies",
            )
        return
    present = np.unique(dataset.labels[dataset.labels >= 0])
    if len(present) < 2:
        raise BadInput(
            f"{dataset.name}: all labels are the same class, {dataset.classes[present[0]]!r}",
            "check the label column: a classifier needs at least two classes",
        )


def known_labels(dataset: Dataset) -> np.ndarray:
    """Return the positions (int64, sorted) of the items whose label is known."""
    if dataset.labels is None:
        return np.empty(0, dtype=np.int64)
    known = dataset.labels >= 0
    return np.flatnonzero(known.all(axis=1) if known.ndim == 2 else known)
