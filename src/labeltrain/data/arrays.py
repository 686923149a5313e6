"""Arrays in .npz and .npy files; pickled objects are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.data.checks import check_finite, check_ids, some
from labeltrain.data.dataset import Dataset, Modality
from labeltrain.data.labels import Labels, class_names, encode_labels
from labeltrain.errors import BadInput, nearest

_KEYS = ("X", "y", "ids", "classes", "test")


def read_npz(path: Path) -> Dataset:
    """Read an .npz file of arrays ``X`` and, optionally, ``y``, ``ids``, ``classes``, ``test``.

    Parameters
    ----------
    path : pathlib.Path
        ``X``: numbers (n, d), or uint8 images (n, H, W) or (n, H, W, 3). ``y``: whole numbers or
        str (n,), -1 or "" where not labelled; or 0/1 (n, C) for multilabel, a row of -1 where not
        labelled. Whole numbers that are only -1 and 1, or -1, 0 and 1, are refused unless
        ``classes`` are named, since -1 may be meant as a class. ``ids``: str or whole numbers
        (n,). ``classes``: str (C,). ``test``: bool (n,) or positions of the test items.

    Returns
    -------
    Dataset

    Raises
    ------
    BadInput
        The file is no sound .npz, holds pickled objects or unknown arrays, shapes do not fit, or
        features are not finite.
    """
    arrays = _open(path)
    unknown = [name for name in arrays if name not in _KEYS]
    if "X" not in arrays or unknown:
        close = nearest("X" if "X" not in arrays else unknown[0], unknown or _KEYS)
        raise BadInput(
            f"{path}: " + (f"unknown arrays {some(unknown)}" if unknown else "there is no array X"),
            f"arrays are X, y, ids, classes, test{f'; rename {close!r}' if close else ''}",
        )
    ids = _ids(arrays, len(arrays["X"]) if arrays["X"].ndim else 0, path)
    labels = _labels(arrays, ids, path)
    modality, items = _items(arrays["X"], ids, path)
    facts = {"source": str(path)}
    if labels.values is not None:
        unlabelled = int((labels.values.reshape(len(ids), -1) < 0).any(axis=1).sum())
        if unlabelled:
            facts["without a label"] = f"{unlabelled} of {len(ids)} items"
    return Dataset(
        name=str(path),
        modality=modality,
        items=items,
        ids=ids,
        kind=labels.kind,
        classes=labels.classes,
        labels=labels.values,
        test=_test(arrays, len(ids), path),
        facts=facts,
    )


def read_npy(path: Path) -> Dataset:
    """Read one array of features (n, d) or images from an .npy file; no labels."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _unsound(path, error) from error
    ids = tuple(str(i) for i in range(len(array) if array.ndim else 0))
    modality, items = _items(array, ids, path)
    return Dataset(
        name=str(path), modality=modality, items=items, ids=ids, facts={"source": str(path)}
    )


def _open(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, since numpy leaves a file it cannot read open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, TypeError) as error:
        raise _unsound(path, error) from error


def _unsound(path: Path, error: Exception) -> BadInput:
    if "allow_pickle" in str(error):
        return BadInput(
            f"{path} holds pickled objects, which are never read",
            "save plain arrays: numbers, or strings as arrays of dtype str",
        )
    return BadInput(f"{path} is no sound NumPy file: {error}", "save it again with numpy.savez")


def _items(array: np.ndarray, ids: tuple[str, ...], path: Path) -> tuple[Modality, Any]:
    if not array.size:
        raise BadInput(f"{path} holds no items (shape {array.shape})", "save at least one row")
    picture = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if picture and array.dtype == np.uint8:
        return "image", array
    if array.ndim == 2 and array.dtype.kind in "fiub":
        return "features", check_finite(array, ids, str(path))
    raise BadInput(
        f"{path}: items of dtype {array.dtype} and shape {array.shape}",
        "features are numbers (n, d); images are uint8 (n, height, width) or (n, height, width, 3)",
    )


def _ids(arrays: dict[str, np.ndarray], n: int, path: Path) -> tuple[str, ...]:
    if "ids" not in arrays:
        return tuple(str(i) for i in range(n))
    _check_length(arrays["ids"], n, "ids", path)
    return check_ids([str(item).strip() for item in arrays["ids"].tolist()], str(path))


def _check_length(array: np.ndarray, n: int, name: str, path: Path) -> None:
    if array.ndim == 0 or len(array) != n:
        raise BadInput(
            f"{path}: {name} has shape {array.shape}, X has {n} items",
            f"{name} must have one row per item",
        )


def _labels(arrays: dict[str, np.ndarray], ids: tuple[str, ...], path: Path) -> Labels:
    y = arrays.get("y")
    if y is None:
        return Labels()
    _check_length(y, len(ids), "y", path)
    named = [str(name) for name in arrays["classes"].tolist()] if "classes" in arrays else None
    if y.ndim == 2 and y.dtype.kind in "iub" and np.isin(y, (-1, 0, 1)).all():
        classes = tuple(
            class_names(named, str(path)) if named else (str(i) for i in range(y.shape[1]))
        )
        if len(classes) != y.shape[1]:
            raise BadInput(
                f"{path}: {len(classes)} class names for {y.shape[1]} columns of y",
                "give one name per column of y",
            )
        rows = y.astype(np.int8)
        rows[(rows == -1).any(axis=1)] = -1
        return Labels("multilabel", classes, rows)
    if y.ndim != 1:
        raise BadInput(
            f"{path}: y of dtype {y.dtype} and shape {y.shape}",
            "y is one class per item (n,), or 0/1 per item and class (n, C)",
        )
    values = y.tolist()
    if named is None and y.dtype.kind == "i":
        if set(values) in ({-1, 1}, {-1, 0, 1}):
            raise BadInput(
                f"{path}: y holds only {', '.join(map(str, sorted(set(values))))}, and -1 means "
                "that an item has no label: is -1 a class here?",
                "if it is, write the classes as strings, such as y.astype(str); if it is not, "
                "write strings with '' where there is no label, or name the classes in an array "
                "`classes`",
            )
        values = [None if value == -1 else value for value in values]
    return encode_labels(values, ids, str(path), classes=named)


def _test(arrays: dict[str, np.ndarray], n: int, path: Path) -> np.ndarray | None:
    test = arrays.get("test")
    if test is None:
        return None
    if test.dtype == bool and test.shape == (n,):
        return np.flatnonzero(test).astype(np.int64)
    sound = test.dtype.kind in "iu" and test.ndim == 1 and len(np.unique(test)) == len(test)
    if not sound or (len(test) and not (test.min() >= 0 and test.max() < n)):
        raise BadInput(
            f"{path}: test has dtype {test.dtype} and shape {test.shape}",
            f"test is bool ({n},), or different positions from 0 to {n - 1}",
        )
    return np.sort(test.astype(np.int64))
