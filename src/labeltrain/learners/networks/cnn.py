"""A small residual network for images, from scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.augment import Strength
from labeltrain.learners.networks import pixels
from labeltrain.learners.networks.backbone import Backbone

GROUPS = 8  # of group normalisation, which needs no batch statistics


class CNNBackbone(Backbone):
    """Convolution, then three residual blocks at a half, a quarter and an eighth of the side.

    Parameters
    ----------
    size : int
        Side of the square that images are scaled to.
    width : int
        Channels of the first convolution, a multiple of 8; the blocks have 2, 4 and 8 times as
        many.
    """

    modality: ClassVar[str] = "image"
    pretrained: ClassVar[bool] = False
    shifts: ClassVar[bool] = True

    def __init__(self, size: int, width: int) -> None:
        self.size, self.width = size, width

    def facts(self) -> dict[str, Any]:
        """Return size and width."""
        return {"scratch": "cnn", "size": self.size, "width": self.width}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> CNNBackbone:
        """Rebuild it."""
        return cls(facts["size"], facts["width"])

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return pixels, uint8 (size, size, 3)."""
        return pixels.squares(items, self.size)

    def view(self, row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
        """Return the image shifted; changed by RandAugment and Cutout too."""
        return pixels.view(row, strength, rng)

    def tensors(self, rows: Sequence[np.ndarray], device: str) -> Any:
        """Return pixels between -1 and 1."""
        return pixels.normalised(rows, device)

    def body(self) -> Any:
        """Return the network, with random weights from torch's generator."""
        import torch
        from torch import nn

        class Block(nn.Module):  # type: ignore[misc]
            """Normalise, act, convolve, twice, beside a shortcut; halves the side."""

            def __init__(self, inside: int, out: int) -> None:
                super().__init__()
                self.layers = nn.Sequential(
                    nn.GroupNorm(GROUPS, inside),
                    nn.ReLU(),
                    nn.Conv2d(inside, out, 3, stride=2, padding=1, bias=False),
                    nn.GroupNorm(GROUPS, out),
                    nn.ReLU(),
                    nn.Conv2d(out, out, 3, padding=1, bias=False),
                )
                self.shortcut = nn.Conv2d(inside, out, 1, stride=2, bias=False)

            def forward(self, x: Any) -> Any:
                return self.shortcut(x) + self.layers(x)

        width = self.width
        return nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            Block(width, 2 * width),
            Block(2 * width, 4 * width),
            Block(4 * width, 8 * width),
            nn.GroupNorm(GROUPS, 8 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ).to(memory_format=torch.channels_last)

    def adaptable(self, body: Any) -> list[str]:
        """Return nothing: all of it is trained."""
        return []
