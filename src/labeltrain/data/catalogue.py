"""One entrance to data: a name in the catalogue, a path, or a Hugging Face name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from labeltrain.assets import ASSETS
from labeltrain.assets.registry import is_cached
from labeltrain.data import arrays, attack_tactics, huggingface, images, readers, shipped
from labeltrain.data.dataset import Dataset, Kind, Modality
from labeltrain.data.roles import Roles, from_columns
from labeltrain.errors import BadInput, nearest, unknown_name


@dataclass(frozen=True)
class _Entry:
    read: Callable[[], Dataset]
    modality: Modality
    items: int
    test_items: int
    classes: int
    description: str
    kind: Kind = "multiclass"


def _reuters(name: str) -> Callable[[], Dataset]:
    files = {part: f"{name}-{part}.tab" for part in ("train", "test")}
    return partial(shipped.read_orange, name, files, "Category", "Text")


_CATALOGUE: dict[str, _Entry] = {
    "digits": _Entry(
        shipped.read_digits, "features", 1797, 0, 10, "handwritten digits, 8 x 8 pixels"
    ),
    "reuters-r8": _Entry(_reuters("reuters-r8"), "text", 7674, 2189, 8, ""),
    "reuters-r52": _Entry(_reuters("reuters-r52"), "text", 9100, 2568, 52, ""),
    "20newsgroups": _Entry(_reuters("20newsgroups"), "text", 18821, 7528, 20, ""),
    "election-tweets-2016": _Entry(
        partial(
            shipped.read_orange,
            "election-tweets-2016",
            {"": "election-tweets-2016.tab"},
            "Author",
            "Content",
        ),
        "text",
        6444,
        0,
        2,
        "",
    ),
    "mnist-5k": _Entry(shipped.read_mnist, "image", 5000, 0, 10, ""),
    "emoji": _Entry(shipped.read_emoji, "image", 1906, 0, 9, ""),
    "shuttle": _Entry(shipped.read_shuttle, "table", 49097, 0, 2, ""),
    "yeast": _Entry(shipped.read_yeast, "features", 2417, 0, 14, "", "multilabel"),
    "attack-tactics": _Entry(
        attack_tactics.read_attack_tactics, "text", 15900, 0, 14, "", "multilabel"
    ),
}

_COLUMN_OPTIONS = frozenset(
    {"text_column", "label_column", "id_column", "image_column", "split_column", "columns"}
)
_HUB_OPTIONS = _COLUMN_OPTIONS | {"config", "train_split", "test_split"}


def names() -> list[str]:
    """Return the names of the data sets in the catalogue, sorted."""
    return sorted(_CATALOGUE)


def describe(name: str) -> dict[str, Any]:
    """Describe a data set of the catalogue without reading or downloading it.

    Parameters
    ----------
    name : str

    Returns
    -------
    dict
        ``name``, ``description``, ``modality``, ``kind`` (multiclass, or multilabel: several
        labels an item), ``items``, ``test_items`` (0: no own test split), ``classes``,
        ``licence``, ``source``, ``cached``.

    Raises
    ------
    BadInput
        Unknown name.

    Examples
    --------
    >>> from labeltrain.data import describe
    >>> describe("digits")["items"]
    1797
    """
    if name not in _CATALOGUE:
        raise unknown_name("data set", name, _CATALOGUE)
    entry = _CATALOGUE[name]
    asset = ASSETS.get(name)
    return {
        "name": name,
        "description": entry.description or (asset.description if asset else ""),
        "modality": entry.modality,
        "kind": entry.kind,
        "items": entry.items,
        "test_items": entry.test_items,
        "classes": entry.classes,
        "licence": asset.licence if asset else "CC BY 4.0 (UCI, E. Alpaydin, C. Kaynak)",
        "source": f"{asset.package} {asset.version} ({asset.source})" if asset else "scikit-learn",
        "cached": is_cached(asset) if asset else True,
    }


def load(
    source: str | Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
    image_column: str | None = None,
    split_column: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    config: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
) -> Dataset:
    """Load a data set of the catalogue, or your own.

    Parameters
    ----------
    source : str or pathlib.Path
        A name of :func:`names`; a path to ``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``, ``.npz``
        or ``.npy``; a folder of images (a subfolder per class, or none); a folder or, written
        ``hf:NAME``, a name of a Hugging Face data set. A name wins over a path: write ``./digits``
        for a folder of that name.
    text_column, image_column : str, optional
        The items. Not given: found if unambiguous, else the file is a table. "" means: none.
    label_column : str, optional
        Not given: a column called label, class, category, target or y. "" means: none; in a folder
        of images subfolders are then no classes. Empty cells are items without a label; lists
        (JSONL, Parquet) make the data multilabel.
    id_column : str, optional
        Not given: a column called id or item_id, else the number of the row.
    split_column : str, optional
        Values train or pool, and test. Not given: a column called split. "" means: none.
    columns : sequence of str, optional
        The columns of a table.
    delimiter, encoding : str, optional
        Of CSV and TSV files; JSONL has an encoding too. UTF-8 unless told otherwise.
    config, train_split, test_split : str, optional
        Of Hugging Face data sets.

    Returns
    -------
    Dataset

    Raises
    ------
    BadInput
        The source is not found, not readable, or ambiguous; the error names what and where.
    AssetUnavailable
        A data set of the catalogue cannot be downloaded.
    MissingExtra
        A Hugging Face data set, without the extra ``hf``.

    Examples
    --------
    >>> from labeltrain.data import load
    >>> digits = load("digits")
    >>> len(digits), digits.modality, digits.classes[:3]
    (1797, 'features', ('0', '1', '2'))
    """
    options = {
        "text_column": text_column,
        "label_column": label_column,
        "id_column": id_column,
        "image_column": image_column,
        "split_column": split_column,
        "columns": columns,
        "delimiter": delimiter,
        "encoding": encoding,
        "config": config,
        "train_split": train_split,
        "test_split": test_split,
    }
    given = {name for name, value in options.items() if value is not None}
    if isinstance(columns, str):
        raise BadInput(f"columns is {columns!r}", "give a list of column names")
    roles = Roles(text_column, label_column, id_column, image_column, split_column, columns)
    name = str(source)
    hub = partial(
        huggingface.read_huggingface,
        config=config,
        train_split=train_split,
        test_split=test_split,
    )
    if name in _CATALOGUE and isinstance(source, str):
        _only(given, frozenset(), f"the data set {name!r} of the catalogue")
        return _CATALOGUE[name].read()
    if name.startswith("hf:"):
        _only(given, _HUB_OPTIONS, "a Hugging Face data set")
        return from_columns(hub(name.removeprefix("hf:")), roles)
    path = Path(name).expanduser()
    if not path.exists():
        raise _not_found(name)
    if path.is_dir():
        if huggingface.is_dataset_folder(path):
            _only(given, _HUB_OPTIONS, "a Hugging Face data set")
            return from_columns(hub(str(path)), roles)
        if label_column:
            raise BadInput(
                f"label_column is {label_column!r}, and a folder of images has no columns",
                "leave it out: the class of an image is its subfolder; or ignore the subfolders "
                "with label_column ''",
            )
        _only(given, frozenset({"label_column"}), "a folder of images")
        return images.read_folder(path, labelled=label_column is None)
    return _read_file(path, roles, given, delimiter, encoding)


def _read_file(
    path: Path, roles: Roles, given: set[str], delimiter: str | None, encoding: str | None
) -> Dataset:
    suffix = path.suffix.lower()
    if suffix in readers.TABULAR:
        own = {
            ".csv": {"delimiter", "encoding"},
            ".tsv": {"delimiter", "encoding"},
            ".jsonl": {"encoding"},
            ".ndjson": {"encoding"},
        }.get(suffix, set())
        _only(given, _COLUMN_OPTIONS | own, f"a {suffix} file")
        columns = readers.read_columns(path, delimiter=delimiter, encoding=encoding)
        return from_columns(columns, roles)
    if suffix in {".npz", ".npy"}:
        _only(given, frozenset(), f"a {suffix} file")
        return arrays.read_npz(path) if suffix == ".npz" else arrays.read_npy(path)
    raise BadInput(
        f"{path}: files with the suffix {suffix or '(none)'} cannot be read",
        "use .csv, .tsv, .jsonl, .parquet, .npz, .npy, or a folder of images",
    )


def _only(given: set[str], allowed: frozenset[str], what: str) -> None:
    wrong = sorted(given - allowed)
    if wrong:
        raise BadInput(
            f"the option {wrong[0]} does not apply to {what}",
            f"leave it out; options that apply: {', '.join(sorted(allowed)) or 'none'}",
        )


def _not_found(name: str) -> BadInput:
    close = nearest(name, _CATALOGUE)
    hint = f"did you mean {close!r}? " if close else ""
    return BadInput(
        f"there is no data set and no file called {name!r}",
        f"{hint}known: {', '.join(names())}; or give a path, or hf:NAME",
    )
