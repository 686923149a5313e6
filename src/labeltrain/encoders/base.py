"""What an encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from labeltrain.data import Dataset, Modality
from labeltrain.errors import BadInput, missing_extra


class Encoder(ABC):
    """Turns items into feature vectors, one row per item.

    An encoder is made cheaply: models and files are loaded when they are first used.
    """

    name: str
    modalities: frozenset[Modality]
    #: Features depend on all items at once (their mean, say), so they are never cached in parts.
    whole: bool = False
    #: What `whole` features depend on can be kept: see :meth:`fitted`.
    learns: bool = False
    #: Features are worth keeping in the cache.
    cached: bool = True

    @abstractmethod
    def fingerprint(self) -> dict[str, str | int | float]:
        """Return everything that decides the features of an item, as a flat JSON object.

        Two encoders with the same fingerprint share cached features.
        """

    @property
    @abstractmethod
    def dimension(self) -> int | None:
        """Length of a feature vector; None if the items decide it."""

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> np.ndarray:
        """Return float32 features (n, d) of the items, in their order.

        Parameters
        ----------
        items : sequence of length n
            In the form of :class:`labeltrain.data.Dataset`. The rows must not depend on other
            calls; within a call they may depend on each other only if ``whole`` is set.
        """

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; models and files are loaded there when first used."""
        loaded = {
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, cached_property)
        }
        return {key: value for key, value in vars(self).items() if key not in loaded}

    def fitted(self, items: Sequence[Any]) -> Encoder:
        """Return an encoder that gives any item what it would get among `items`.

        Itself, unless `learns` is set. Test and audit items are left out of `items`.
        """
        return self

    def state(self) -> dict[str, np.ndarray]:
        """Return what a fitted encoder learned, for :meth:`restored`; otherwise nothing."""
        return {}

    def restored(self, state: Mapping[str, np.ndarray]) -> Encoder:
        """Return the fitted encoder that gave this `state`.

        Raises
        ------
        BadInput
            It is of another encoder.
        """
        if state:
            raise BadInput(
                f"the encoder {self.name!r} learns nothing, and was given {', '.join(state)}",
                "use the encoder that it is of",
            )
        return self


def check_modality(encoder: Encoder, dataset: Dataset, fitting: Sequence[str]) -> None:
    """Raise BadInput if the encoder cannot read the data set's items.

    Parameters
    ----------
    encoder : Encoder
    dataset : Dataset
    fitting : sequence of str
        Names of encoders that can.
    """
    if dataset.modality not in encoder.modalities:
        raise BadInput(
            f"the encoder {encoder.name!r} reads {' or '.join(sorted(encoder.modalities))}, and "
            f"{dataset.name!r} holds {dataset.modality} items",
            f"use one for {dataset.modality}: {', '.join(fitting)}",
        )


def refuse_no_list(name: str, items: Any, what: str) -> None:
    """Raise unless `items` is a sequence of items: a text is one of letters, a frame of columns.

    Raises
    ------
    BadInput
    """
    if isinstance(items, str | bytes | PurePath) or hasattr(items, "columns"):
        raise BadInput(
            f"the encoder {name!r} was given {type(items).__name__}, not a list of {what}",
            f"give a list, also of one: [{what[:-1]}]",
        )


def refuse_no_texts(name: str, items: Any) -> None:
    """Raise unless `items` is a sequence of texts.

    Raises
    ------
    BadInput
    """
    refuse_no_list(name, items, "texts")
    for place, item in enumerate(items):
        if not isinstance(item, str):
            raise BadInput(
                f"item {place} is {type(item).__name__}, not a text",
                "leave it out, or give an empty text",
            )


def import_torch(purpose: str) -> Any:
    """Return the module torch, or raise MissingExtra."""
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", "hf", purpose) from error
    return torch


def choose_device(device: str, torch: Any) -> str:
    """Return "cpu" or "cuda" for a device option, "auto" meaning cuda where there is one.

    Raises
    ------
    BadInput
        Unknown device, or cuda where there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.partition(":")[0]
    if kind not in {"cpu", "cuda"}:
        raise BadInput(f"unknown device {device!r}", "use auto, cpu, cuda or cuda:NUMBER")
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadInput("the device 'cuda' is not available", "use the device auto or cpu")
    return device


def major(version: str) -> str:
    """Return the first part of a library version, such as "2" of "2.13.0"."""
    return version.partition(".")[0]
