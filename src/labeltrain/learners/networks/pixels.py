"""Images as rows of pixels, shared by the backbones that read images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeltrain.data import square
from labeltrain.encoders.augment import Strength, augmented_image


def squares(items: Sequence[Any], size: int) -> list[np.ndarray]:
    """Return each image scaled to a square, uint8 (size, size, 3)."""
    return [square(item, size) for item in items]


def view(row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
    """Return an augmented image of the same shape."""
    return augmented_image(row, strength, rng)


def normalised(rows: Sequence[np.ndarray], device: str) -> Any:
    """Return pixels as ``(rgb - 127) / 128``, float32 (k, 3, H, W), channels last in memory."""
    import torch

    pixels = torch.from_numpy(np.stack(rows)).to(device)
    return ((pixels.float() - 127.0) / 128.0).permute(0, 3, 1, 2)
