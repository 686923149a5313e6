"""Hugging Face data sets, by name or from a folder."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from labeltrain.assets import cache_dir, write_atomically
from labeltrain.data.images import SUFFIXES
from labeltrain.data.readers import Columns
from labeltrain.errors import BadInput, missing_extra, nearest

_FILES = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json", "*.arrow")


def is_dataset_folder(folder: Path) -> bool:
    """Tell whether a folder holds a Hugging Face data set rather than images."""
    if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return True
    if any(folder.glob("metadata.*")) or any(folder.glob("*/metadata.*")):
        return True
    # Notes and tables beside images do not make a folder of images something else.
    inside = (path for depth in ("*", "*/*", "*/*/*") for path in folder.glob(depth))
    if any(path.suffix.lower() in SUFFIXES for path in inside):
        return False
    return any(next(folder.glob(at + kind), None) for kind in _FILES for at in ("", "data/"))


def read_huggingface(
    name: str,
    *,
    config: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
) -> Columns:
    """Read a data set with the library ``datasets``; code in repositories is never run.

    Parameters
    ----------
    name : str
        A name on the hub, or a folder: written by ``save_to_disk``, or holding data files.
    config : str, optional
        The configuration, if there are several.
    train_split, test_split : str, optional
        Which splits to read; found by the names "train" and "test". A data set without a "train"
        split and with only one is read whole. "" as `test_split`: none.

    Returns
    -------
    Columns
        Images are written to the cache, named by their content.

    Raises
    ------
    MissingExtra
        ``datasets`` is not installed.
    BadInput
        It cannot be reached or read, or its splits are unclear.
    """
    folder = Path(name).expanduser()
    splits = loaded_splits(name, config)
    train, test = _choose(name, list(splits), train_split, test_split)
    parts = [_columns(splits[part]) for part in (train, test) if part]
    if any(set(part[0]) != set(parts[0][0]) for part in parts):
        raise BadInput(
            f"{name}: the splits {train!r} and {test!r} differ in their columns",
            "set test_split to '' to read only one of them",
        )
    values = {column: [v for part in parts for v in part[0][column]] for column in parts[0][0]}
    unread = sorted(set(splits) - {train, test})
    facts = {"source": f"Hugging Face: {name}", "splits": f"{train} and {test or 'none'}"}
    if unread:
        facts["left out"] = f"splits {', '.join(unread)}"
    if not len(next(iter(values.values()), [])):
        raise BadInput(f"{name} has no rows", "name another split with train_split")
    return Columns(
        name,
        values,
        folder=folder if folder.is_dir() else None,
        classes=parts[0][1],
        pictures=parts[0][2],
        facts=facts,
        test_from=len(next(iter(parts[0][0].values()))) if test else None,
    )


def loaded_splits(name: str, config: str | None = None) -> dict[str, Any]:
    """Return the splits of a data set by name; one without splits is its "train".

    Raises
    ------
    MissingExtra
        ``datasets`` is not installed.
    BadInput
        It cannot be reached or read.
    """
    try:
        import datasets
    except ImportError as error:
        raise missing_extra("datasets", "hf", f"the Hugging Face data set {name!r}") from error
    folder = Path(name).expanduser()
    saved = any((folder / file).is_file() for file in ("state.json", "dataset_dict.json"))
    try:
        if saved:
            loaded: Any = datasets.load_from_disk(str(folder))
        else:
            loaded = datasets.load_dataset(str(folder) if folder.is_dir() else name, config)
    except Exception as error:  # the library raises whatever its readers raise
        hint = "" if folder.is_dir() else "check the path, or the name and the network, or "
        raise BadInput(
            f"{name!r} cannot be read as a Hugging Face data set: {_first_line(error)}",
            f"{hint}name a folder written by save_to_disk; see also the option config",
        ) from error
    return loaded if isinstance(loaded, dict) else {"train": loaded}


def _choose(name: str, splits: list[str], train: str | None, test: str | None) -> tuple[str, str]:
    for option, value in (("train_split", train), ("test_split", test)):
        if value and value not in splits:
            close = nearest(value, splits)
            raise BadInput(
                f"{name}: no split {value!r} (option {option})",
                f"{f'did you mean {close!r}? ' if close else ''}splits: {', '.join(splits)}",
            )
    if not train:
        if "train" not in splits and len(splits) > 1:
            raise BadInput(
                f"{name}: no split is called train; splits: {', '.join(splits)}",
                "name one with train_split",
            )
        train = "train" if "train" in splits else splits[0]
    if test is None:
        test = "test" if "test" in splits and train != "test" else ""
    if train == test:
        raise BadInput(f"{name}: {train!r} is both train_split and test_split", "name two splits")
    return train, test


def _columns(
    part: Any,
) -> tuple[dict[str, list[Any]], dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return values, class names and image columns of one split."""
    import datasets

    classes: dict[str, tuple[str, ...]] = {}
    pictures = []
    for column, feature in part.features.items():
        inner = getattr(feature, "feature", feature)
        if isinstance(inner, datasets.ClassLabel):
            classes[column] = tuple(inner.names)
        elif isinstance(feature, datasets.Image):
            pictures.append(column)
            part = part.cast_column(column, datasets.Image(decode=False))
    plain = part.with_format(None)
    values = {column: list(plain[column]) for column in part.column_names}
    for column in pictures:
        values[column] = [_picture(cell) for cell in values[column]]
    return values, classes, tuple(pictures)


def _picture(cell: Any) -> str | None:
    """Return the path of an image cell, writing its bytes to the cache if it is not a file."""
    if cell is None:
        return None
    content = cell.get("bytes")
    if content is None:
        return str(cell["path"])
    key = sha256(content).hexdigest()
    suffix = Path(cell.get("path") or "image.png").suffix.lower()
    path = cache_dir() / "images" / key[:2] / f"{key}{suffix}"
    if not path.is_file() or path.stat().st_size != len(content):
        write_atomically(path, content)
    return str(path)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
