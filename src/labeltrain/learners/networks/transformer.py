"""A small transformer for texts, from scratch: its vocabulary comes from the pool."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.augment import Strength, kept_words
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.text import refuse_no_texts

WORD = re.compile(r"\w\w+|[^\w\s]")
PADDING, UNKNOWN = 0, 1
HEADS = 4
DROPOUT = 0.1


class TransformerBackbone(Backbone):
    """Embedded words, two layers of attention, and their mean.

    Parameters
    ----------
    max_length : int
        Words read of a text.
    width : int
        Of the vectors, a multiple of 4.
    layers : int
    vocabulary : int
        Words at most, the most frequent of the pool; a word must be in two texts.
    words : sequence of str, optional
        The vocabulary itself, as :meth:`begin` found it.
    """

    modality: ClassVar[str] = "text"
    pretrained: ClassVar[bool] = False

    def __init__(
        self,
        max_length: int,
        width: int,
        layers: int,
        vocabulary: int,
        words: Sequence[str] | None = None,
    ) -> None:
        self.max_length, self.width, self.layers = max_length, width, layers
        self.vocabulary = vocabulary
        self._words = list(words or [])
        self._codes = {word: code + 2 for code, word in enumerate(self._words)}
        self._begun: Any = None

    def facts(self) -> dict[str, Any]:
        """Return sizes and vocabulary."""
        return {
            "scratch": "transformer",
            "max_length": self.max_length,
            "width": self.width,
            "layers": self.layers,
            "vocabulary": self.vocabulary,
            "words": self._words,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> TransformerBackbone:
        """Rebuild it."""
        return cls(**{key: value for key, value in facts.items() if key != "scratch"})

    def begin(self, items: Sequence[Any]) -> None:
        """Collect the vocabulary from the texts of the pool."""
        if items is self._begun:
            return
        refuse_no_texts(items, "transformer")
        counts: Counter[str] = Counter()
        for text in items:
            counts.update(set(_words(text)))
        frequent = sorted((-count, word) for word, count in counts.items() if count > 1)
        self._words = [word for _count, word in frequent[: self.vocabulary]]
        self._codes = {word: code + 2 for code, word in enumerate(self._words)}
        self._begun = items

    def rows(self, items: Sequence[Any]) -> list[np.ndarray]:
        """Return int32 (1, words) for each text: the codes of its first words."""
        refuse_no_texts(items, "transformer")
        rows = []
        for text in items:
            codes = [self._codes.get(word, UNKNOWN) for word in _words(text)[: self.max_length]]
            rows.append(np.array([codes or [UNKNOWN]], dtype=np.int32))
        return rows

    def view(self, row: np.ndarray, strength: Strength, rng: np.random.Generator) -> np.ndarray:
        """Return the text without some of its words."""
        if row.shape[1] < 2:
            return row
        return np.ascontiguousarray(row[:, kept_words(row.shape[1], strength, rng)])

    def tensors(self, rows: Sequence[np.ndarray], device: str) -> Any:
        """Return padded codes, int64 (k, longest)."""
        import torch

        codes = np.full((len(rows), max(row.shape[1] for row in rows)), PADDING, dtype=np.int64)
        for number, row in enumerate(rows):
            codes[number, : row.shape[1]] = row[0]
        return torch.from_numpy(codes).to(device)

    def body(self) -> Any:
        """Return the network, with random weights from torch's generator."""
        import torch
        from torch import nn

        width, layers, longest = self.width, self.layers, self.max_length
        words = len(self._words) + 2

        class Body(nn.Module):  # type: ignore[misc]
            """Codes to one vector a text."""

            def __init__(self) -> None:
                super().__init__()
                self.words = nn.Embedding(words, width, padding_idx=PADDING)
                self.places = nn.Parameter(0.02 * torch.randn(longest, width))
                nn.init.normal_(self.words.weight, std=0.1)
                layer = nn.TransformerEncoderLayer(
                    width, HEADS, 2 * width, DROPOUT, batch_first=True, norm_first=True
                )
                self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
                self.norm = nn.LayerNorm(width)
                self.drop = nn.Dropout(DROPOUT)

            def forward(self, codes: Any) -> Any:
                missing = codes == PADDING
                states = self.drop(self.words(codes) + self.places[: codes.shape[1]])
                states = self.norm(self.encoder(states, src_key_padding_mask=missing))
                weights = (~missing).unsqueeze(-1).to(states.dtype)
                return (states * weights).sum(dim=1) / weights.sum(dim=1)

        return Body()

    def adaptable(self, body: Any) -> list[str]:
        """Return nothing: all of it is trained."""
        return []


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
