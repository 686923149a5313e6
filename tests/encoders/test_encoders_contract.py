"""The contract of encoders, for those that ship."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.data import Table
from labeltrain.encoders import Encoder, make
from labeltrain.testing import EncoderContract

TEXTS = [
    "a red rose is red", "a blue sea is blue", "the red rose by the sea", "one blue rose, one sea",
    "is the sea red by day", "",
]  # fmt: skip


class TestRawOnATable(EncoderContract):
    def encoder(self) -> Encoder:
        return make("raw")

    def items(self) -> Any:
        colours = np.array(["red", "blue", "", "red"], dtype=object)
        return Table({"size": np.array([1.0, 3.0, np.nan, 2.0]), "colour": colours})


class TestRawOnFeatures(EncoderContract):
    def encoder(self) -> Encoder:
        return make("raw")

    def items(self) -> Any:
        return np.random.default_rng(0).normal(size=(5, 3))


class TestRawOnImages(EncoderContract):
    def encoder(self) -> Encoder:
        return make("raw", size=4)

    def items(self) -> Any:
        return list(np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8))


class TestMiniLM(EncoderContract):
    def encoder(self) -> Encoder:
        return make("minilm", max_length=16)

    def items(self) -> Any:
        return TEXTS


class TestLSA(EncoderContract):
    def encoder(self) -> Encoder:
        return make("lsa", dimensions=3)

    def items(self) -> Any:
        return TEXTS


class TestJoined(EncoderContract):
    def encoder(self) -> Encoder:
        return make("minilm+lsa", max_length=16, dimensions=3)

    def items(self) -> Any:
        return TEXTS


class TestEfficientNet(EncoderContract):
    def encoder(self) -> Encoder:
        return make("efficientnet-lite0", size=32)

    def items(self) -> Any:
        return np.random.default_rng(0).integers(0, 256, size=(4, 20, 20, 3), dtype=np.uint8)
