"""Image models of the Hugging Face libraries as backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.data import read_image
from labeltrain.encoders.augment import Strength
from labeltrain.encoders.image import ImageTransformer, image_vectors, vectors_of
from labeltrain.errors import BadInput
from labeltrain.learners.networks import pixels
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.cut import cut, layers_of, linear_names

BATCH = 64


class ImageBackbone(Backbone):
    """An image model with its own preprocessing; rows are the scaled pixels.

    Parameters
    ----------
    encoder : ImageTransformer
        The same model as an encoder.
    """

    modality: ClassVar[str] = "image"
    shifts: ClassVar[bool] = True

    def __init__(self, encoder: ImageTransformer) -> None:
        self._encoder = encoder

    def facts(self) -> dict[str, Any]:
        """Return name and the checksums of weights and settings."""
        made = self._encoder.fingerprint()
        about = {"model": self._encoder.name, "modality": self.modality}
        return {**about, "weights": made["weights"], "settings": made["settings"]}

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return scaled and cropped pixels, uint8 (H, W, 3)."""
        processor = self._encoder.processor
        rows: list[np.ndarray] = []
        for start in range(0, len(items), BATCH):
            images = [read_image(item) for item in items[start : start + BATCH]]
            made = processor(
                images=images, do_rescale=False, do_normalize=False, return_tensors="np"
            )["pixel_values"]
            whole = np.clip(np.rint(made), 0, 255).astype(np.uint8)
            rows += list(np.ascontiguousarray(whole.transpose(0, 2, 3, 1)))
        return rows

    def view(self, row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
        """Return the image shifted; changed by RandAugment and Cutout too."""
        return pixels.view(row, strength, rng)

    def tensors(self, rows: Sequence[np.ndarray], device: str) -> Any:
        """Return pixels brought to the range of the model."""
        made = self._encoder.processor(
            images=list(rows), do_resize=False, do_center_crop=False, return_tensors="pt"
        )
        return {"pixel_values": made["pixel_values"].to(device)}

    def body(self) -> Any:
        """Return the model with what its encoder takes of its output."""
        from torch import nn

        encoder = self._encoder

        class Body(nn.Module):  # type: ignore[misc]
            """Pixels to one vector an image."""

            def __init__(self) -> None:
                super().__init__()
                self.model, self.pools = encoder.network()

            def forward(self, batch: Any) -> Any:
                return image_vectors(self.model, batch["pixel_values"], self.pools)

        return Body()

    def adaptable(self, body: Any) -> list[str]:
        """Return the linear maps of the layers."""
        return linear_names(body, layers_of(body.model, self._encoder.name))

    def split(self, body: Any, layers: int) -> tuple[Any, Any]:
        """Return embeddings and lower layers, and the last `layers`."""
        if hasattr(body.model, "get_image_features"):
            raise BadInput(
                f"{self._encoder.name!r} reads images and texts and is not cut",
                "use adapt=full or adapt=lora",
            )
        pools = body.pools
        noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
        return cut(
            body,
            self._encoder.name,
            layers,
            lambda made, batch: vectors_of(made, pools),
            self.tensors(self.rows(list(noise)), "cpu"),
        )
