"""The array files of a project, its items and their features, made again when missing."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain import data, encoders
from labeltrain.data import Dataset
from labeltrain.encoders.augment import Strength, encoded_views
from labeltrain.encoders.base import check_modality
from labeltrain.encoders.registry import fitting
from labeltrain.errors import BadInput, LabelTrainError, StoreDamaged
from labeltrain.learners import registry as learners
from labeltrain.learners.base import Learner
from labeltrain.projects.items import Items, read_items, shown, write_items
from labeltrain.store import Event, Workspace
from labeltrain.store import arrays as array_files


def load_items(workspace: Workspace, spec: Mapping[str, Any]) -> Items:
    """Return the items as they were when the project began.

    Raises
    ------
    StoreDamaged
        The file is damaged; or it is missing, and the data it was made from are no longer there.
    """
    name = spec["items"]
    path = workspace.arrays_folder / f"{name}.npz"
    if not path.exists():
        dataset = _from_source(spec, f"{path}, the items as they were at the start,")
        if write_items(workspace.arrays_folder, dataset) != name:
            raise _another(path, spec)
        warnings.warn(f"{path} was missing: made again from {spec['data']}", stacklevel=2)
    return read_items(workspace.arrays_folder, name)


TARGETS = "targets"  # the query, encoded
LEARNED = "encoder/"  # before the names of the arrays that an encoder learned


def load_features(
    workspace: Workspace,
    spec: Mapping[str, Any],
    items: Items,
    encoded: Mapping[str, Any],
    audit: Sequence[int],
) -> tuple[dict[str, np.ndarray], list[Event]]:
    """Return the features of all items, and the events this makes necessary.

    Parameters
    ----------
    workspace : Workspace
    spec, encoded : mapping
        What was decided when the project began; the event that says where the features are.
    items : Items
    audit : sequence of int
        Positions reserved for the audit: an encoder that learns never saw them.

    Returns
    -------
    arrays : dict of str to ndarray
        ``features``, float32 (n, d); what the encoder learned from the items, if it does; ``weak``
        and ``strong`` views, float32 (count, n, d), and ``targets``, float32 (t, d), the query, if
        the project has some.
    events : list of Event

    Raises
    ------
    StoreDamaged
        The file is damaged; or it is missing and nothing is left to encode.
    BadInput
        The data to encode again are not the ones that were encoded before.
    """
    path = workspace.arrays_folder / f"{encoded['arrays']}.npz"
    if path.exists():
        arrays, _ = workspace.load_arrays(encoded["arrays"])
        return arrays, []
    warnings.warn(f"{path} is missing: the items are encoded again", stacklevel=2)
    dataset = items.dataset() or _from_source(spec, f"{path}, the encoded items,")
    arrays, event = encode(workspace.arrays_folder, spec, dataset, audit)
    if items.dataset() is None and event.body["key"] != encoded["key"]:
        raise BadInput(
            f"{spec['data']} is not what it was when the project began",
            "put the old data back: answers belong to the items as they were",
        )
    return arrays, [] if event.body["arrays"] == encoded["arrays"] else [event]


def write_contents(folder: Path, dataset: Dataset, learner: Learner) -> str | None:
    """Save items that the snapshot does not hold and a learner may read: images as an array.

    Pixels are kept whatever `learner` reads: a final one may read them.

    Returns
    -------
    str or None
        Their name among the arrays of `folder`; None where the snapshot is enough.

    Raises
    ------
    BadInput
        Images of several sizes, which are no array, and `learner` reads them.
    """
    features = learner.reads == "features"
    if shown(dataset) or (features and dataset.modality != "image"):
        return None
    if len({np.shape(item) for item in dataset.items}) > 1:
        if features:
            return None
        raise BadInput(
            f"{dataset.name} holds images of several sizes in memory, which a project cannot keep "
            f"for the learner {learner.name!r} to read",
            "save them as files and give their paths, or use a learner that reads features, "
            "such as linear",
        )
    return array_files.save(folder, {"items": np.asarray(dataset.items)}, {"holds": "contents"})


def load_contents(workspace: Workspace, spec: Mapping[str, Any], items: Items) -> Any:
    """Return the items themselves as a learner reads them: texts, paths of images, an array.

    Raises
    ------
    StoreDamaged
        The file is damaged; or it is missing, and the data it was made from are no longer there.
    BadInput
        They were not kept: images of several sizes in memory, or a project of an earlier version.
    """
    name = spec.get("contents")
    if name is None:
        held = items.dataset()
        if held is None:
            raise BadInput(
                f"{workspace.folder} holds features of its items, not the items that the learner "
                "reads",
                "begin a new project, with images as files or as one array, and tell it what "
                "`labeltrain project export` writes",
            )
        return held.items
    path = workspace.arrays_folder / f"{name}.npz"
    if not path.exists():
        dataset = _from_source(spec, f"{path}, the items that the learner reads,")
        learner = learners.make(spec["learner"], spec["learner_options"])
        if write_contents(workspace.arrays_folder, dataset, learner) != name:
            raise _another(path, spec)
        warnings.warn(f"{path} was missing: made again from {spec['data']}", stacklevel=2)
    return workspace.load_arrays(name)[0]["items"]


def _another(path: Path, spec: Mapping[str, Any]) -> StoreDamaged:
    return StoreDamaged(
        f"{path} is missing, and {spec['data']} is not what it was when it was made",
        "put the file, or the old data, back from a backup",
    )


def encode(
    folder: Path,
    spec: Mapping[str, Any],
    dataset: Dataset,
    audit: Sequence[int],
    progress: Any = None,
) -> tuple[dict[str, np.ndarray], Event]:
    """Encode items, save their features in `folder`, return them and the event that says so.

    What the encoder learned from the items, those of `audit` left out, is saved with them: items
    that come later need it.
    """
    encoder = encoders.make(spec["encoder"], **spec["encoder_options"])
    check_modality(encoder, dataset, fitting(dataset.modality))
    started = time.perf_counter()
    own = np.setdiff1d(np.arange(len(dataset)), np.asarray(audit, dtype=np.int64))
    if encoder.learns:
        encoder = encoder.fitted(data.take(dataset.items, own))
    learning = time.perf_counter() - started
    made = encoders.features(dataset, encoder, progress=progress)
    learned = {LEARNED + name: array for name, array in encoder.state().items()}
    arrays = {"features": np.ascontiguousarray(made.array, dtype=np.float32), **learned}
    seconds = learning + made.seconds
    strengths: tuple[Strength, ...] = ("weak", "strong") if spec.get("views") else ()
    for strength in strengths:
        found = encoded_views(
            dataset, encoder, strength, spec["views"], spec["seed"], positions=own,
            progress=progress,
        )  # fmt: skip
        shape = (spec["views"], len(dataset), found.array.shape[2])
        arrays[strength] = np.zeros(shape, dtype=np.float32)  # audit items have none
        arrays[strength][:, own] = found.array
        seconds += found.seconds
    if spec.get("query"):
        arrays[TARGETS] = encoded_query(spec, spec["query"])
    name = array_files.save(folder, arrays, {"key": made.key})
    body = {"arrays": name, "key": made.key, "seconds": seconds}
    return arrays, Event("", "encoded", body)


def encoded_query(spec: Mapping[str, Any], texts: Sequence[str]) -> np.ndarray:
    """Return the features of texts that say what is looked for, float32 (t, d).

    Raises
    ------
    BadInput
        The project's items are no texts, or its encoder cannot encode others alone.
    """
    encoder = encoders.make(spec["encoder"], **spec["encoder_options"])
    if spec["modality"] != "text" or encoder.learns or encoder.whole:
        raise BadInput(
            f"the query is a text: {spec['name']} with the encoder {spec['encoder']!r} cannot be "
            "compared with it",
            "use texts and an encoder such as minilm; or give some items their label in the data",
        )
    return np.asarray(encoder.encode(list(texts)), dtype=np.float32)


def _from_source(spec: Mapping[str, Any], what: str) -> Dataset:
    backup = "put the file back from a backup"
    if spec["data"] is None:
        raise StoreDamaged(
            f"{what} is missing, and the items were given from Python",
            f"{backup}, or look for it in a folder damaged-* beside it",
        )
    try:
        return data.load(spec["data"], **spec["data_options"])
    except LabelTrainError as error:
        raise StoreDamaged(
            f"{what} is missing and cannot be made again: {error.problem}",
            f"{backup}, or put the data back where they were",
        ) from error
