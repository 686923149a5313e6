"""Image models in the layout of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.data import Modality, read_image
from labeltrain.encoders import repository
from labeltrain.encoders.base import Encoder, choose_device, import_torch, major, refuse_no_list
from labeltrain.encoders.loading import import_transformers, load_model, named

_BATCH = 64


class ImageTransformer(Encoder):
    """An image model: its pooled output, the class token where it has no trained pooler.

    Parameters
    ----------
    name : str
    folder : pathlib.Path
    device : {"auto", "cpu", "cuda"}
    """

    modalities: frozenset[Modality] = frozenset({"image"})

    def __init__(self, name: str, folder: Path, *, device: str = "auto") -> None:
        self.name = name
        self.folder = folder
        self._device = device

    def fingerprint(self) -> dict[str, str | int | float]:
        torch = import_torch(f"the encoder {self.name!r}")
        transformers = import_transformers(self.name)
        return {
            "encoder": "transformers-image",
            "version": 1,
            "weights": repository.weights_checksum(self.folder),
            "settings": repository.settings_checksum(self.folder),
            "dtype": "float32",
            "device": choose_device(self._device, torch).partition(":")[0],
            "torch": major(torch.__version__),
            "transformers": major(transformers.__version__),
        }

    @property
    def dimension(self) -> int | None:
        config = repository.read_json(self.folder / "config.json", needed=True)
        sizes = config.get("hidden_sizes") or [None]
        size = config.get("projection_dim") or config.get("hidden_size") or sizes[-1]
        return int(size) if size else None

    @cached_property
    def processor(self) -> Any:
        """What turns images into pixels as the model wants them."""
        transformers = import_transformers(self.name)
        with named(self.folder):
            return transformers.AutoImageProcessor.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )

    def network(self, device: str = "cpu") -> tuple[Any, bool]:
        """Return the model, loaded anew, and whether its pooler was trained."""
        torch = import_torch(f"the encoder {self.name!r}")
        model, missing = load_model(self.folder, torch, import_transformers(self.name), device)
        return model, not missing

    @cached_property
    def _loaded(self) -> tuple[Any, Any, bool, str]:
        torch = import_torch(f"the encoder {self.name!r}")
        device = choose_device(self._device, torch)
        return torch, *self.network(device), device

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        refuse_no_list(self.name, items, "images")
        torch, model, trained_pooler, device = self._loaded
        blocks = []
        with torch.inference_mode():
            for start in range(0, len(items), _BATCH):
                images = [read_image(item) for item in items[start : start + _BATCH]]
                made = self.processor(images=images, return_tensors="pt")
                vectors = image_vectors(model, made["pixel_values"].to(device), trained_pooler)
                blocks.append(vectors.float().cpu().numpy())
        return np.concatenate(blocks)


def image_vectors(model: Any, pixels: Any, trained_pooler: bool) -> Any:
    """Return one vector an image, (k, d), of pixels as the model wants them."""
    if hasattr(model, "get_image_features"):
        output = model.get_image_features(pixel_values=pixels)
        return getattr(output, "pooler_output", output)
    return vectors_of(model(pixel_values=pixels), trained_pooler)


def vectors_of(output: Any, trained_pooler: bool) -> Any:
    """Return one vector an image, (k, d), of the output of a model that reads images only."""
    pooled = getattr(output, "pooler_output", None)
    if pooled is not None and trained_pooler:
        return pooled.flatten(1)
    states = output.last_hidden_state
    return states[:, 0] if states.ndim == 3 else states.flatten(2).mean(dim=2)
