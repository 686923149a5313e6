"""Folders of Hugging Face models: finding them, and what their files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labeltrain.assets import sha256_of
from labeltrain.errors import AssetUnavailable, BadInput, missing_extra

_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")
_UNWANTED = ("onnx/*", "openvino/*", "*adapter*")


def resolve(name: str) -> Path:
    """Return the folder of a model, downloading it from the hub if `name` is no folder.

    Raises
    ------
    MissingExtra
        The hub's library is not installed.
    AssetUnavailable
        The hub has no such model, or cannot be reached.
    BadInput
        The folder holds no model with safetensors weights.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        try:
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import HFValidationError
        except ImportError as error:
            raise missing_extra("huggingface_hub", "hf", f"the model {name!r}") from error
        try:
            folder = Path(
                snapshot_download(
                    name, allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED)
                )
            )
        except (OSError, HFValidationError, RuntimeError) as error:
            first = str(error).strip().splitlines()
            raise AssetUnavailable(
                f"the model {name!r} cannot be downloaded from the Hugging Face hub: "
                f"{first[0] if first else type(error).__name__}",
                "check the name and the network, or name the folder of a downloaded model",
            ) from error
    read_json(folder / "config.json", needed=True)
    if not weight_files(folder):
        raise BadInput(
            f"{folder} holds no safetensors weights, and pickled weights are never read",
            "save the model again with safetensors (save_pretrained does)",
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model's folder, sorted."""
    return sorted(path for path in folder.glob("model*.safetensors") if path.is_file())


def weights_checksum(folder: Path) -> str:
    """Return one checksum for a model's weights."""
    return "+".join(sha256_of(path) for path in weight_files(folder))


def settings_checksum(folder: Path) -> str:
    """Return one checksum for everything beside the weights that a model's output depends on."""
    paths = sorted(
        path
        for pattern in ("*.json", "*.txt", "*.model", "1_Pooling/*.json")
        for path in folder.glob(pattern)
        if path.name.lower() != "readme.txt"
    )
    return "+".join(f"{path.name}:{sha256_of(path)[:16]}" for path in paths)


def read_json(path: Path, *, needed: bool = False) -> Any:
    """Return the content of a JSON file; None if it is not there and not needed.

    Raises
    ------
    BadInput
        The file is needed and missing, or no JSON.
    """
    if not path.is_file():
        if needed:
            raise BadInput(f"{path.parent} is no model: there is no {path.name}", "check the path")
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no JSON: {error}", "download the model again") from error


def is_image_model(folder: Path) -> bool:
    """Tell an image model, which has a preprocessor and no tokenizer, from a text model."""
    processor = (folder / "preprocessor_config.json").is_file()
    config = read_json(folder / "config.json", needed=True)
    # Models of images and text, such as CLIP, have both; their image half is meant.
    return processor and ("vision_config" in config or not has_tokenizer(folder))


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds the files of a tokenizer."""
    files = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")
    return any((folder / name).is_file() for name in files)


def sentence_settings(folder: Path) -> tuple[str, bool, int | None]:
    """Return pooling, normalisation and length limit as sentence-transformers files say.

    Returns
    -------
    pooling : {"mean", "cls", "max"}
        "mean" if the folder does not say.
    normalise : bool
    longest : int or None

    Raises
    ------
    BadInput
        A kind of pooling or a further layer that is not supported.
    """
    pooling, normalise = "mean", False
    modules = read_json(folder / "modules.json") or []
    for module in modules:
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Normalize":
            normalise = True
        elif kind == "Pooling":
            pooling = _pooling(folder, str(module.get("path") or "1_Pooling"))
        elif kind != "Transformer":
            raise BadInput(
                f"{folder} has a layer of kind {kind!r} after the transformer",
                "use a model with pooling and normalisation only",
            )
    if not modules and (folder / "1_Pooling" / "config.json").is_file():
        pooling = _pooling(folder, "1_Pooling")
    settings = read_json(folder / "sentence_bert_config.json") or {}
    longest = settings.get("max_seq_length")
    return pooling, normalise, int(longest) if longest else None


def _pooling(folder: Path, subfolder: str) -> str:
    settings = read_json(folder / subfolder / "config.json", needed=True)
    if isinstance(settings.get("pooling_mode"), str):
        modes = [settings["pooling_mode"]]
    else:
        known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        known["pooling_mode_max_tokens"] = "max"
        on = [key for key, value in settings.items() if key.startswith("pooling_mode") and value]
        modes = [known.get(key, key) for key in on]
    if len(modes) != 1 or modes[0] not in {"mean", "cls", "max"}:
        raise BadInput(
            f"{folder}: pooling {', '.join(modes) or 'none'} is not supported",
            "use a model with mean, cls or max pooling",
        )
    return str(modes[0])
