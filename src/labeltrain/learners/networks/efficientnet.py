"""EfficientNet-Lite0 as a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.augment import Strength
from labeltrain.encoders.efficientnet import EfficientNetLite0, build, load_weights
from labeltrain.learners.networks import pixels
from labeltrain.learners.networks.backbone import Backbone, refuse_layers


class EfficientNetBackbone(Backbone):
    """EfficientNet-Lite0; batch normalisation is part of the convolutions and stays as it is.

    Parameters
    ----------
    encoder : EfficientNetLite0
    """

    modality: ClassVar[str] = "image"
    shifts: ClassVar[bool] = True

    def __init__(self, encoder: EfficientNetLite0) -> None:
        self._encoder = encoder

    def facts(self) -> dict[str, Any]:
        """Return name, size and the checksum of the weights."""
        made = self._encoder.fingerprint()
        about = {"model": self._encoder.name, "modality": self.modality}
        return {**about, "weights": made["weights"], "size": made["size"]}

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return pixels, uint8 (size, size, 3)."""
        return pixels.squares(items, self._encoder.size)

    def view(self, row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
        """Return the image shifted; changed by RandAugment and Cutout too."""
        return pixels.view(row, strength, rng)

    def tensors(self, rows: Sequence[np.ndarray], device: str) -> Any:
        """Return pixels between -1 and 1."""
        return pixels.normalised(rows, device)

    def body(self) -> Any:
        """Return the network up to its global average."""
        import torch

        return build(load_weights()).to(memory_format=torch.channels_last)

    def adaptable(self, body: Any) -> list[str]:
        """Return the convolutions that mix channels."""
        from torch import nn

        return [
            name
            for name, module in body.named_modules()
            if isinstance(module, nn.Conv2d) and module.groups == 1
        ]

    def split(self, body: Any, layers: int) -> tuple[Any, Any]:
        """Return all before the last `layers` blocks, and these with the last convolution."""
        from torch import nn

        blocks = [i for i, part in enumerate(body) if hasattr(part, "residual")]
        refuse_layers(layers, len(blocks))

        class Below(nn.Module):  # type: ignore[misc]
            """Pixels to activations."""

            def __init__(self, part: Any) -> None:
                super().__init__()
                self.part = part

            def forward(self, batch: Any) -> Mapping[str, Any]:
                return {"states": self.part(batch)}

        class Above(nn.Module):  # type: ignore[misc]
            """Activations to vectors."""

            def __init__(self, part: Any) -> None:
                super().__init__()
                self.part = part

            def forward(self, batch: Mapping[str, Any]) -> Any:
                return self.part(batch["states"])

        at = blocks[-layers]
        return Below(body[:at]).eval().requires_grad_(False), Above(body[at:])
