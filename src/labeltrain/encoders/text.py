"""Text models in the layout of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.assets import fetch
from labeltrain.data import Modality
from labeltrain.encoders import repository
from labeltrain.encoders.base import Encoder, choose_device, import_torch, major, refuse_no_texts
from labeltrain.encoders.loading import import_transformers, load_model, named
from labeltrain.errors import BadInput

_BATCH = 64
_BATCH_TOKENS = 8192
# Models that number positions from the padding token on, so two places are never used.
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"})


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
    def settings(self) -> tuple[str, bool, int]:
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
        transformers = import_transformers(self.name)
        pooling, normalise, longest = self.settings
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
    def _tokenizer(self) -> Any:
        transformers = import_transformers(self.name)
        if not repository.has_tokenizer(self.folder):
            raise BadInput(
                f"the model {self.folder} has neither a tokenizer nor an image preprocessor",
                "save both into its folder",
            )
        with named(self.folder):
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def network(self, device: str = "cpu") -> Any:
        """Return the model, loaded anew: torch.nn.Module with ``last_hidden_state``.

        Raises
        ------
        BadInput
            Files that cannot be read, or an encoder-decoder.
        """
        torch = import_torch(f"the encoder {self.name!r}")
        model, _missing = load_model(self.folder, torch, import_transformers(self.name), device)
        if getattr(model.config, "is_encoder_decoder", False):
            raise BadInput(
                f"the model {self.folder} is an encoder-decoder", "use an encoder such as minilm"
            )
        return model

    @cached_property
    def _loaded(self) -> tuple[Any, Any, str]:
        torch = import_torch(f"the encoder {self.name!r}")
        device = choose_device(self._device, torch)
        return torch, self.network(device), device

    def tokens(self, items: Sequence[Any]) -> Any:
        """Return the tokens of texts, as the tokenizer of the model gives them, cut and unpadded.

        Raises
        ------
        BadInput
            An item that is no text.
        """
        refuse_no_texts(self.name, items)
        # Fast tokenizers start threads; each text is independent, so this changes nothing.
        return self._tokenizer(list(items), truncation=True, max_length=self.settings[2])

    @property
    def padding(self) -> int:
        """The token that fills up texts."""
        return int(self._tokenizer.pad_token_id or 0)

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        tokens = self.tokens(items)
        torch, model, device = self._loaded
        tokenizer = self._tokenizer
        lengths = [len(row) for row in tokens["input_ids"]]
        result: np.ndarray | None = None
        with torch.inference_mode():
            for batch in _batches(lengths):
                rows = {name: [column[i] for i in batch] for name, column in tokens.items()}
                padded = tokenizer.pad(rows, padding_side="right", return_tensors="pt").to(device)
                states = model(**padded).last_hidden_state
                vectors = pooled(states, padded["attention_mask"], self)
                block = vectors.float().cpu().numpy()
                if result is None:
                    result = np.empty((len(lengths), block.shape[1]), dtype=np.float32)
                result[batch] = block
        return result if result is not None else np.empty((0, self.dimension or 0), np.float32)


def minilm(*, max_length: int = 128, device: str = "auto") -> TextTransformer:
    """Make the encoder "minilm": all-MiniLM-L6-v2, mean pooling, normalised, 384 dimensions."""
    return TextTransformer("minilm", None, max_length=max_length, device=device)


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


def pooled(states: Any, mask: Any, encoder: TextTransformer) -> Any:
    """Return one vector a text, (k, d), of the token vectors (k, tokens, d) and their mask."""
    import torch

    pooling, normalise, _ = encoder.settings
    weights = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "cls":
        vectors = states[:, 0]
    elif pooling == "max":
        vectors = torch.where(weights > 0, states, -torch.inf).amax(dim=1)
    else:
        vectors = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    return torch.nn.functional.normalize(vectors, dim=1) if normalise else vectors
