"""Encoders by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from labeltrain.data import Modality
from labeltrain.encoders.base import Encoder
from labeltrain.encoders.efficientnet import EfficientNetLite0
from labeltrain.encoders.image import ImageTransformer
from labeltrain.encoders.joined import JoinedEncoder
from labeltrain.encoders.lsa import LSAEncoder
from labeltrain.encoders.raw import RawEncoder
from labeltrain.encoders.repository import is_image_model, resolve
from labeltrain.encoders.text import TextTransformer, minilm
from labeltrain.errors import BadInput, nearest, unknown_name


@dataclass(frozen=True)
class _Entry:
    make: Callable[..., Encoder]
    modalities: tuple[Modality, ...]
    options: tuple[str, ...]
    description: str


_REGISTRY: dict[str, _Entry] = {
    "raw": _Entry(
        RawEncoder,
        ("features", "table", "image"),
        ("size",),
        "features as they are, pixels (image files with size), columns of a table",
    ),
    "minilm": _Entry(
        minilm,
        ("text",),
        ("max_length", "device"),
        "all-MiniLM-L6-v2, 384 dimensions, English",
    ),
    "lsa": _Entry(
        LSAEncoder,
        ("text",),
        ("dimensions",),
        "singular vectors of TF-IDF: from scratch, from the texts alone",
    ),
    "efficientnet-lite0": _Entry(
        EfficientNetLite0,
        ("image",),
        ("size", "device"),
        "EfficientNet-Lite0 pretrained on ImageNet, 1280 dimensions",
    ),
}
_DEFAULTS: dict[Modality, str] = {
    "text": "minilm",
    "image": "efficientnet-lite0",
    "table": "raw",
    "features": "raw",
}


def names() -> list[str]:
    """Return the names of the encoders that ship, sorted."""
    return sorted(_REGISTRY)


def fitting(modality: Modality) -> list[str]:
    """Return the names of the encoders that ship and read `modality`."""
    found = sorted(name for name, entry in _REGISTRY.items() if modality in entry.modalities)
    return [*found, "hf:NAME"] if modality in ("text", "image") else found


def default_for(modality: Modality) -> str:
    """Return the name of the encoder that is used if none is named.

    Examples
    --------
    >>> from labeltrain.encoders import default_for
    >>> default_for("text")
    'minilm'
    """
    if modality not in _DEFAULTS:
        raise unknown_name("modality", modality, _DEFAULTS)
    return _DEFAULTS[modality]


def describe() -> list[dict[str, Any]]:
    """Describe the encoders that ship: name, modalities, options, description."""
    return [
        {
            "name": name,
            "modalities": list(entry.modalities),
            "options": list(entry.options),
            "description": entry.description,
        }
        for name, entry in sorted(_REGISTRY.items())
    ]


def make(name: str, **options: Any) -> Encoder:
    """Make an encoder by name.

    Parameters
    ----------
    name : str
        One of :func:`names`, ``hf:NAME`` for a model of the Hugging Face hub, or the folder of a
        model; or several with ``+`` between them, whose vectors are joined. Only safetensors
        weights are read and no code of a repository is run.
    **options
        As listed by :func:`describe`; ``max_length`` and ``device`` for other text models,
        ``device`` for other image models. Of joined encoders each takes those that it has.

    Returns
    -------
    Encoder

    Raises
    ------
    BadInput
        Unknown name or option, or a model that cannot be read.
    MissingExtra
        The model needs packages that are not installed.

    Examples
    --------
    >>> from labeltrain.encoders import make
    >>> make("raw").name
    'raw'
    """
    folder = Path(name.removeprefix("hf:")).expanduser()
    if name not in _REGISTRY and not folder.is_dir() and "+" in name:
        return _joined(name, options)
    known, made = _maker(name)
    _check_options(name, options, known)
    return made(**options)


def _maker(name: str) -> tuple[tuple[str, ...], Callable[..., Encoder]]:
    """Return the options of one encoder, and what makes it."""
    if name in _REGISTRY:
        return _REGISTRY[name].options, _REGISTRY[name].make
    folder = Path(name.removeprefix("hf:")).expanduser()
    if name.startswith("hf:") or folder.is_dir():
        folder = resolve(name.removeprefix("hf:"))
        if is_image_model(folder):
            return ("device",), partial(ImageTransformer, name, folder)
        return ("max_length", "device"), partial(TextTransformer, name, folder)
    error = unknown_name("encoder", name, _REGISTRY)
    raise BadInput(error.problem, f"{error.remedy}, hf:NAME, or the folder of a model")


def _joined(name: str, options: dict[str, Any]) -> Encoder:
    """Return several encoders side by side, each with the options that it knows."""
    parts = [part.strip() for part in name.split("+")]
    if not all(parts):
        raise BadInput(f"a name is missing in the encoder {name!r}", "such as minilm+lsa")
    makers = [_maker(part) for part in parts]
    _check_options(name, options, tuple({option: None for known, _ in makers for option in known}))
    return JoinedEncoder(
        [made(**{k: v for k, v in options.items() if k in known}) for known, made in makers]
    )


def _check_options(name: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    for option in options:
        if option not in known:
            close = nearest(option, known)
            raise BadInput(
                f"the encoder {name!r} has no option {option!r}",
                f"{f'did you mean {close!r}? ' if close else ''}options: "
                f"{', '.join(known) or 'none'}",
            )
