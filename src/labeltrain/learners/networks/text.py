"""Text models of the Hugging Face libraries as backbones; MiniLM unless told otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.augment import Strength, kept_words
from labeltrain.encoders.text import TextTransformer, pooled
from labeltrain.errors import BadInput
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.cut import cut, layers_of, linear_names

IDS, WORDS = 0, 1  # lines of a row
NO_WORD = -1  # tokens that the model adds


class TextBackbone(Backbone):
    """A text model with the pooling of its files; rows are tokens and the words they belong to.

    Parameters
    ----------
    encoder : TextTransformer
        The same model as an encoder: files, tokens, pooling.
    """

    modality: ClassVar[str] = "text"

    def __init__(self, encoder: TextTransformer) -> None:
        self._encoder = encoder

    def facts(self) -> dict[str, Any]:
        """Return name, length and the checksums of weights and settings."""
        made = self._encoder.fingerprint()
        kept = ("weights", "settings", "pooling", "normalise", "max_length")
        about = {"model": self._encoder.name, "modality": self.modality}
        return {**about, **{key: made[key] for key in kept}}

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return int32 (2, tokens) for each text: token ids, and the word of each."""
        if not len(items):
            return []
        tokens = self._encoder.tokens(items)
        rows = []
        for number, ids in enumerate(tokens["input_ids"]):
            words = tokens.word_ids(number) if tokens.is_fast else list(range(-1, len(ids) - 1))
            row = np.empty((2, len(ids)), dtype=np.int32)
            row[IDS] = ids
            row[WORDS] = [NO_WORD if word is None else word for word in words]
            if not tokens.is_fast and len(ids):
                row[WORDS, -1] = NO_WORD
            rows.append(row)
        return rows

    def words_of(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return rows for names of classes, written as words."""
        return self.rows([re.sub(r"[._\-/]+", " ", name) for name in names])

    def view(self, row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
        """Return the row without some of its words."""
        words = row[WORDS]
        names, number = np.unique(words[words != NO_WORD], return_inverse=True)
        if len(names) < 2:
            return row
        keep = np.ones(len(words), dtype=bool)
        keep[words != NO_WORD] = kept_words(len(names), strength, rng)[number]
        return np.ascontiguousarray(row[:, keep])

    def tensors(self, rows: Sequence[np.ndarray], device: str) -> Any:
        """Return padded token ids and their mask."""
        import torch

        longest = max(row.shape[1] for row in rows)
        ids = np.full((len(rows), longest), self._encoder.padding, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : row.shape[1]] = row[IDS]
            mask[number, : row.shape[1]] = 1
        return {
            "input_ids": torch.from_numpy(ids).to(device),
            "attention_mask": torch.from_numpy(mask).to(device),
        }

    def body(self) -> Any:
        """Return the model with its pooling."""
        from torch import nn

        encoder = self._encoder

        class Body(nn.Module):  # type: ignore[misc]
            """Tokens to one vector a text."""

            def __init__(self) -> None:
                super().__init__()
                self.model = encoder.network()

            def forward(self, batch: Any) -> Any:
                states = self.model(**batch).last_hidden_state
                return pooled(states, batch["attention_mask"], encoder)

        return Body()

    def adaptable(self, body: Any) -> list[str]:
        """Return the linear maps of the layers."""
        return linear_names(body, layers_of(body.model, self._encoder.name))

    def split(self, body: Any, layers: int) -> tuple[Any, Any]:
        """Return embeddings and lower layers, and the last `layers` with the pooling."""
        encoder = self._encoder
        return cut(
            body,
            encoder.name,
            layers,
            lambda made, batch: pooled(made.last_hidden_state, batch["attention_mask"], encoder),
            self.tensors(self.rows(["one", "and some more words"]), "cpu"),
        )

    def apart(self, states: Any, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the activations of each text, float32 (tokens, h), without padding."""
        held = states["states"].cpu().numpy()
        return [held[i, : row.shape[1]].copy() for i, row in enumerate(rows)]

    def together(self, states: Sequence[np.ndarray], device: str) -> dict[str, Any]:
        """Return activations padded to the longest, and their mask."""
        import torch

        longest = max(len(state) for state in states)
        whole = np.zeros((len(states), longest, states[0].shape[1]), dtype=np.float32)
        mask = np.zeros((len(states), longest), dtype=np.int64)
        for number, state in enumerate(states):
            whole[number, : len(state)] = state
            mask[number, : len(state)] = 1
        return {
            "states": torch.from_numpy(whole).to(device),
            "attention_mask": torch.from_numpy(mask).to(device),
        }


def refuse_no_texts(items: Sequence[Any], reader: str) -> None:
    """Raise unless every item is a text.

    Raises
    ------
    BadInput
    """
    for place, item in enumerate(items):
        if not isinstance(item, str):
            raise BadInput(
                f"the learner {reader!r} reads texts, and item {place} is {type(item).__name__}",
                "leave it out, or give an empty text",
            )
