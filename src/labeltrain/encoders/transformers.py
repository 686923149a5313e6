"""Text and image models in the layout of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.assets import fetch
from labeltrain.data import Modality, read_image
from labeltrain.encoders import repository
from labeltrain.encoders.base import Encoder, choose_device, import_torch, major
from labeltrain.errors import BadInput, missing_extra

_BATCH = 64
_BATCH_TOKENS = 8192


class TextTransformer(Encoder):
    """A text model: the last layer's token vectors, pooled into one vector per text.

    Pooling, normalisation and the length limit are read from the files of sentence-transformers
    where there are any; otherwise the mean over tokens is taken, not normalised.

    Parameters
    ----------
    name : str
    folder : pathlib.Path or None
        The model; None: the asset "minilm", fetched when it is first needed.
    max_length : int
        Texts are cut after this many tokens, or earlier if the model says so.
    device : {"auto", "cpu", "cuda"}
    """

    modalities: frozenset[Modality] = frozenset({"text"})

    def __init__(
        self, name: str, folder: Path | None, *, max_length: int = 128, device: str = "auto"
    ) -> None:
        if not isinstance(max_length, int) or isinstance(max_length, bool) or max_length < 3:
            raise BadInput(f"max_length is {max_length!r}", "use a whole number of at least 3")
        self.name = name
        self._given = folder
        self._max_length = max_length
        self._device = device

    @cached_property
    def folder(self) -> Path:
        """The folder of the model."""
        return self._given if self._given is not None else fetch("minilm")

    @cached_property
    def _settings(self) -> tuple[str, bool, int]:
        """Pooling, normalisation, and the number of tokens kept."""
        pooling, normalise, longest = repository.sentence_settings(self.folder)
        config = repository.read_json(self.folder / "config.json", needed=True)
        tokenizer = repository.read_json(self.folder / "tokenizer_config.json") or {}
        places = config.get("max_position_embeddings")
        if places is not None and config.get("model_type") in _OFFSET_POSITIONS:
            places -= int(config.get("pad_token_id") or 0) + 1
        limits = (self._max_length, longest, places, tokenizer.get("model_max_length"))
        return pooling, normalise, int(min(limit for limit in limits if limit))

    def fingerprint(self) -> dict[str, str | int | float]:
        torch = import_torch(f"the encoder {self.name!r}")
        transformers = _import_transformers(self.name)
        pooling, normalise, longest = self._settings
        return {
            "encoder": "transformers-text",
            "version": 1,
            "weights": repository.weights_checksum(self.folder),
            "settings": repository.settings_checksum(self.folder),
            "pooling": pooling,
            "normalise": int(normalise),
            "max_length": longest,
            "dtype": "float32",
            "device": choose_device(self._device, torch).partition(":")[0],
            "torch": major(torch.__version__),
            "transformers": major(transformers.__version__),
        }

    @cached_property
    def dimension(self) -> int | None:
        config = repository.read_json(self.folder / "config.json", needed=True)
        size = config.get("hidden_size") or config.get("dim") or config.get("d_model")
        return int(size) if size else None

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any, str]:
        torch = import_torch(f"the encoder {self.name!r}")
        transformers = _import_transformers(self.name)
        if not repository.has_tokenizer(self.folder):
            raise BadInput(
                f"the model {self.folder} has neither a tokenizer nor an image preprocessor",
                "save both into its folder",
            )
        device = choose_device(self._device, torch)
        with _named(self.folder):
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False
            )
        model, _missing = _load_model(self.folder, torch, transformers, device)
        if getattr(model.config, "is_encoder_decoder", False):
            raise BadInput(
                f"the model {self.folder} is an encoder-decoder", "use an encoder such as minilm"
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return torch, tokenizer, model, device

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        torch, tokenizer, model, device = self._loaded
        pooling, normalise, longest = self._settings
        # Fast tokenizers start threads; each text is independent, so this changes nothing.
        tokens = tokenizer(list(items), truncation=True, max_length=longest)
        lengths = [len(row) for row in tokens["input_ids"]]
        result: np.ndarray | None = None
        with torch.inference_mode():
            for batch in _batches(lengths):
                rows = {name: [column[i] for i in batch] for name, column in tokens.items()}
                padded = tokenizer.pad(rows, padding_side="right", return_tensors="pt").to(device)
                states = model(**padded).last_hidden_state
                vectors = _pool(states, padded["attention_mask"], pooling, torch)
                if normalise:
                    vectors = torch.nn.functional.normalize(vectors, dim=1)
                block = vectors.float().cpu().numpy()
                if result is None:
                    result = np.empty((len(lengths), block.shape[1]), dtype=np.float32)
                result[batch] = block
        return result if result is not None else np.empty((0, self.dimension or 0), np.float32)


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
        transformers = _import_transformers(self.name)
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
    def _loaded(self) -> tuple[Any, Any, Any, bool, str]:
        torch = import_torch(f"the encoder {self.name!r}")
        transformers = _import_transformers(self.name)
        device = choose_device(self._device, torch)
        with _named(self.folder):
            processor = transformers.AutoImageProcessor.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )
        model, missing = _load_model(self.folder, torch, transformers, device)
        return torch, processor, model, not missing, device

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        torch, processor, model, trained_pooler, device = self._loaded
        blocks = []
        with torch.inference_mode():
            for start in range(0, len(items), _BATCH):
                images = [read_image(item) for item in items[start : start + _BATCH]]
                pixels = processor(images=images, return_tensors="pt")["pixel_values"].to(device)
                vectors = _image_vectors(model, pixels, trained_pooler)
                blocks.append(vectors.float().cpu().numpy())
        return np.concatenate(blocks)


def minilm(*, max_length: int = 128, device: str = "auto") -> TextTransformer:
    """Make the encoder "minilm": all-MiniLM-L6-v2, mean pooling, normalised, 384 dimensions."""
    return TextTransformer("minilm", None, max_length=max_length, device=device)


# Models that number positions from the padding token on, so two places are never used.
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"})


def _import_transformers(name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "hf", f"the encoder {name!r}") from error
    return transformers


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn what the library raises on a broken model into an error that names its folder."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # safetensors and tokenizers raise plain Exceptions too
        first = str(error).strip().splitlines()
        raise BadInput(
            f"the model {folder} cannot be loaded: {first[0] if first else repr(error)}",
            "check its files, or download it again; models that need their own code, and weights "
            "other than safetensors, are not loaded",
        ) from error


def _load_model(
    folder: Path, torch: Any, transformers: Any, device: str
) -> tuple[Any, frozenset[str]]:
    """Return the model in float32 and which weights of its pooler the files lack."""
    with _named(folder), _quiet(transformers.logging):
        model, info = transformers.AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    missing = frozenset(info["missing_keys"])
    lost = sorted(key for key in missing if "pooler" not in key.split("."))
    if lost:
        raise BadInput(
            f"the weights of {folder} lack {len(lost)} tensors, such as {lost[0]}",
            "download the model again; random weights are never used",
        )
    return model.eval().to(device), missing


def _batches(lengths: list[int]) -> list[list[int]]:
    """Group positions by length, so that little padding is computed."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    for i in order:
        if batches:
            longest = lengths[batches[-1][0]]
            room = min(_BATCH, max(1, _BATCH_TOKENS // max(longest, 1)))
            if len(batches[-1]) < room:
                batches[-1].append(i)
                continue
        batches.append([i])
    return batches


def _pool(states: Any, mask: Any, pooling: str, torch: Any) -> Any:
    if pooling == "cls":
        return states[:, 0]
    weights = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "max":
        return torch.where(weights > 0, states, -torch.inf).amax(dim=1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def _image_vectors(model: Any, pixels: Any, trained_pooler: bool) -> Any:
    if hasattr(model, "get_image_features"):
        output = model.get_image_features(pixel_values=pixels)
        return getattr(output, "pooler_output", output)
    output = model(pixel_values=pixels)
    pooled = getattr(output, "pooler_output", None)
    if pooled is not None and trained_pooler:
        return pooled.flatten(1)
    states = output.last_hidden_state
    return states[:, 0] if states.ndim == 3 else states.flatten(2).mean(dim=2)
