"""The contract of a backbone: a network from items to vectors that a learner trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.augment import Strength
from labeltrain.errors import BadInput


class Backbone(ABC):
    """A network from items to vectors, and what turns items into its inputs.

    Items become rows once (tokens, pixels), which stay in memory; rows become views and tensors
    at every step. A backbone is made cheaply: weights are read when :meth:`body` is called.

    Attributes
    ----------
    modality : str
        Kind of items: "text" or "image".
    pretrained : bool
    shifts : bool
        Labelled items are trained on weak views too, not on themselves; not where only the last
        layers are trained.
    """

    modality: ClassVar[str]
    pretrained: ClassVar[bool] = True
    shifts: ClassVar[bool] = False

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what rebuilds this backbone, JSON values, with a checksum of its weights."""

    def begin(self, items: Sequence[Any]) -> None:  # noqa: B027
        """Learn from the items of the pool what rows need: a vocabulary. Nothing by default."""

    @abstractmethod
    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return what a network reads of each item: tokens or pixels."""

    @abstractmethod
    def view(self, row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented row."""

    @abstractmethod
    def tensors(self, rows: Sequence[np.ndarray], device: str) -> Any:
        """Return the input of the network for a batch of rows."""

    @abstractmethod
    def body(self) -> Any:
        """Return a new network, torch.nn.Module, from :meth:`tensors` to vectors (k, d)."""

    @abstractmethod
    def adaptable(self, body: Any) -> list[str]:
        """Return the names of the layers that get low-rank adapters (LoRA)."""

    def split(self, body: Any, layers: int) -> tuple[Any, Any]:
        """Return the network below the last `layers` layers, and from there on.

        The first maps :meth:`tensors` to a mapping of tensors with the batch first, which the
        second maps to vectors (k, d). `body` is used up.

        Raises
        ------
        BadInput
            A network that cannot be cut, or has not so many layers.
        """
        raise BadInput(
            f"{type(self).__name__} has no layers to be cut at", "use adapt=full or adapt=lora"
        )

    def apart(self, states: Mapping[str, Any], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the activations of each item of a batch, from what the lower part gave."""
        return list(states["states"].cpu().numpy())

    def together(self, states: Sequence[np.ndarray], device: str) -> dict[str, Any]:
        """Return the input of the upper part for a batch of activations."""
        import torch

        return {"states": torch.from_numpy(np.stack(states)).to(device)}


def refuse_layers(layers: int, there: int) -> None:
    """Raise unless the network has more than `layers` layers.

    Raises
    ------
    BadInput
    """
    if layers > there:
        raise BadInput(
            f"layers={layers}: the network has {there}", f"give at most {there}, or adapt=full"
        )
