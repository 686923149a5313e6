"""A trained model in one file, without pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from labeltrain.data import Dataset
from labeltrain.encoders.base import refuse_no_texts
from labeltrain.errors import BadInput, StoreDamaged
from labeltrain.learners import Model, rebuild
from labeltrain.metrics import apply_temperature
from labeltrain.projects.content import LEARNED
from labeltrain.store import arrays as array_files
from labeltrain.store.files import replace_bytes

FORMAT = "labeltrain-model-1"


@dataclass(frozen=True)
class SavedModel:
    """A model with its classes, its encoder and its calibration.

    A model that reads items predicts from them as they are; its encoder is only a fact then.

    Attributes
    ----------
    model : Model
    classes : tuple of str
    encoder : str
    encoder_options : dict
    temperature : float
        Divides the logits; 1 when too few labels were there to fit it.
    facts : dict
        Where the model comes from: labels, audited score.
    reads : {"features", "items"}
        What the model predicts from.
    encoder_state : dict of str to ndarray
        What the encoder learned from the items of the project; nothing for most.
    """

    model: Model
    classes: tuple[str, ...]
    encoder: str
    encoder_options: dict[str, Any]
    temperature: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)
    reads: str = "features"
    encoder_state: dict[str, np.ndarray] = field(default_factory=dict)

    def probabilities_of_inputs(self, inputs: Any) -> np.ndarray:
        """Return calibrated probabilities, float64 (k, C), of k items in the form it reads."""
        return apply_temperature(self.model.predict_proba(inputs), self.temperature)

    def probabilities_of_features(self, features: Any) -> np.ndarray:
        """Return calibrated probabilities, float64 (k, C), of encoded features (k, d).

        Raises
        ------
        BadInput
            Features of another shape; or a model that reads items.
        """
        if self.reads == "items":
            raise BadInput(
                f"the model {self.model.name!r} reads {self._plural}, not features",
                f"give {self._plural} to predict or predict_proba",
            )
        try:
            given = np.asarray(features, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"the model reads rows of numbers, and was given others: {error}",
                "give one row of numbers per item, encoded as the model's training items were",
            ) from error
        try:
            return self.probabilities_of_inputs(given)
        except (ValueError, IndexError) as error:
            raise BadInput(
                f"features of shape {given.shape} do not fit the model: {error}",
                "give one row per item, encoded as the model's training items were",
            ) from error

    @property
    def _plural(self) -> str:
        modality = self.facts.get("modality")
        return f"{modality}s" if modality in ("text", "image", "table") else "items"

    def predict_proba(self, items: Sequence[Any]) -> np.ndarray:
        """Return probabilities (k, C) of items: texts, images (path, pixels, PIL), feature rows.

        They are encoded first, unless the model reads the items themselves.

        Raises
        ------
        BadInput
            Items of another kind than the model was trained on; rows of a table, whose columns
            were standardised over the rows of the project, which a model file does not hold.
        """
        from labeltrain import encoders

        modality = self.facts.get("modality")
        if modality == "table" and self.reads == "features":
            raise BadInput(
                "rows of a table are encoded together with the project's own rows",
                "put new rows into the project's data; Project.predict labels all of them",
            )
        _refuse_no_list(items)
        if len(items) == 0:
            return np.zeros((0, len(self.classes)))
        if self.reads == "items":
            return self.probabilities_of_inputs(_listed(items, modality))
        encoder = encoders.make(self.encoder, **self.encoder_options).restored(self.encoder_state)
        if modality == "features":
            return self.probabilities_of_features(items)
        return self.probabilities_of_features(encoder.encode(items))

    def predict(self, items: Sequence[Any]) -> list[str]:
        """Return the most likely class of each item."""
        return [self.classes[c] for c in self.predict_proba(items).argmax(axis=1)]

    def save(self, path: str | Path) -> None:
        """Write the model to one `.npz` file: plain arrays and JSON, no pickle."""
        facts = {
            "format": FORMAT,
            "kind": self.model.name,
            "model": self.model.facts(),
            "classes": list(self.classes),
            "encoder": self.encoder,
            "encoder_options": self.encoder_options,
            "temperature": self.temperature,
            "facts": self.facts,
            "reads": self.reads,
        }
        learned = {LEARNED + name: array for name, array in self.encoder_state.items()}
        arrays = {**self.model.arrays(), **learned}
        replace_bytes(Path(path), array_files.to_bytes(arrays, facts))


def _refuse_no_list(items: Any) -> None:
    if isinstance(items, Dataset):
        raise BadInput("items is a Dataset", "give its items: dataset.items")
    if isinstance(items, str | bytes | PurePath):
        one = "text" if isinstance(items, str) else type(items).__name__
        raise BadInput(f"items is one {one}", "give a list of items")
    if not hasattr(items, "__len__"):  # an image of PIL, a generator
        raise BadInput(f"items is {type(items).__name__}, not a list", "give a list of items")


def _listed(items: Any, modality: str | None) -> Any:
    """Return items as a model that reads them takes them, refusing what is none."""
    if modality in ("text", "image") and hasattr(items, "columns"):  # a frame: its column names
        raise BadInput(f"items is {type(items).__name__}", f"give a list of {modality}s")
    if modality != "text":
        return items
    texts = list(items)
    refuse_no_texts("items", texts)
    return texts


def load_model(path: str | Path) -> SavedModel:
    """Load a model that a project saved.

    Raises
    ------
    BadInput
        The file is missing, damaged, or not a model of LabelTrain.

    Examples
    --------
    >>> from labeltrain.projects import load_model
    >>> model = load_model("model.npz")  # doctest: +SKIP
    >>> model.predict(["a text"])  # doctest: +SKIP
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", "check the path") from error
    if not zipfile.is_zipfile(path):
        raise BadInput(
            f"{path} is not a model of labeltrain: it is no .npz file",
            "give a file of: labeltrain project save-model DIR --out FILE",
        )
    try:
        arrays, held = array_files.from_bytes(content)
        if held["format"] != FORMAT:
            raise ValueError(f"its format is {held['format']!r}, not {FORMAT!r}")
        learned = {k: arrays.pop(k) for k in list(arrays) if k.startswith(LEARNED)}
        return SavedModel(
            rebuild(held["kind"], arrays, held["model"]),
            tuple(held["classes"]),
            held["encoder"],
            held["encoder_options"],
            float(held["temperature"]),
            held["facts"],
            held.get("reads", "features"),  # files of earlier versions do not say
            {name.removeprefix(LEARNED): array for name, array in learned.items()},
        )
    except StoreDamaged as error:
        raise BadInput(error.problem, error.remedy) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise BadInput(
            f"{path} is not a model of labeltrain, or is damaged: {error}",
            "save it again: labeltrain project save-model DIR --out FILE",
        ) from error
