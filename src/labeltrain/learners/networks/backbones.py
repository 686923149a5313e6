"""Backbones by name, and from what a stored model says of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labeltrain.encoders import make as make_encoder
from labeltrain.encoders.efficientnet import EfficientNetLite0
from labeltrain.encoders.image import ImageTransformer
from labeltrain.encoders.text import TextTransformer
from labeltrain.errors import BadInput, StoreDamaged
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.cnn import CNNBackbone
from labeltrain.learners.networks.efficientnet import EfficientNetBackbone
from labeltrain.learners.networks.image import ImageBackbone
from labeltrain.learners.networks.text import TextBackbone
from labeltrain.learners.networks.transformer import TransformerBackbone

SCRATCH: dict[str, type[CNNBackbone] | type[TransformerBackbone]] = {
    "cnn": CNNBackbone,
    "transformer": TransformerBackbone,
}
DEFAULTS = {"text": "minilm", "image": "efficientnet-lite0"}


def pretrained(model: str, modality: str, *, max_length: int, size: int, device: str) -> Backbone:
    """Return the backbone of a pretrained model.

    Parameters
    ----------
    model : str
        "auto": MiniLM for texts, EfficientNet-Lite0 for images; else the name of an encoder,
        ``hf:NAME`` or the folder of a model.
    modality : {"text", "image"}
    max_length : int
        Texts are cut after so many tokens.
    size : int
        Side of images in pixels, for EfficientNet-Lite0.
    device : str

    Raises
    ------
    BadInput
        A model that cannot be trained, or does not read such items.
    """
    if modality not in DEFAULTS:
        raise BadInput(f"no model reads {modality}", f"give {' or '.join(DEFAULTS)}s")
    name = DEFAULTS[modality] if model == "auto" else model
    options: dict[str, Any] = {} if name == "raw" else {"device": device}
    if modality not in make_encoder(name, **options).modalities:
        raise BadInput(f"the model {name!r} does not read {modality}s", "choose another `model`")
    if name == "efficientnet-lite0":
        options["size"] = size
    elif modality == "text":
        options["max_length"] = max_length
    encoder = make_encoder(name, **options)
    if isinstance(encoder, TextTransformer):
        return TextBackbone(encoder)
    if isinstance(encoder, EfficientNetLite0):
        return EfficientNetBackbone(encoder)
    if isinstance(encoder, ImageTransformer):
        return ImageBackbone(encoder)
    raise BadInput(
        f"the model {name!r} is not one that can be trained", "use auto, hf:NAME or a folder"
    )


def rebuilt(facts: Mapping[str, Any], device: str) -> Backbone:
    """Return the backbone whose ``facts()`` these are.

    Raises
    ------
    BadInput
        Its pretrained weights are not there, or not the same.
    StoreDamaged
        There is no such backbone.
    """
    if "scratch" in facts:
        if facts["scratch"] not in SCRATCH:
            raise StoreDamaged(
                f"a stored model is of kind {facts['scratch']!r}, which is unknown",
                "update labeltrain",
            )
        return SCRATCH[facts["scratch"]].from_facts(facts)
    found = pretrained(
        facts["model"],
        facts["modality"],
        max_length=facts.get("max_length", 0),
        size=facts.get("size", 0),
        device=device,
    )
    now = found.facts()
    wrong = sorted(key for key, value in facts.items() if now.get(key) != value)
    if wrong:
        raise BadInput(
            f"the files of the model {facts['model']!r} are not those a stored model was trained "
            f"from: {', '.join(wrong)} differ",
            "restore them, or train again",
        )
    return found
