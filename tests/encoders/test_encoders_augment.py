"""Augmented views: what may change, what may not, and that nothing else decides them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data import Dataset
from labeltrain.encoders import Encoder
from labeltrain.encoders.augment import (
    AugmentedItems,
    augmented_image,
    augmented_text,
    encoded_views,
)
from labeltrain.errors import BadInput


class Lengths(Encoder):
    """Counts words, or grey pixels; no model."""

    name = "lengths"
    modalities = frozenset({"text", "image"})
    dimension = 1

    def fingerprint(self) -> dict[str, str | int | float]:
        return {"encoder": "lengths"}

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        sizes = [len(i.split()) if isinstance(i, str) else float(np.mean(i)) for i in items]
        return np.array(sizes, dtype=np.float32)[:, None]


TEXTS = ["one two three four five six seven eight nine ten"] * 3 + ["alone", ""]


def texts() -> Dataset:
    return Dataset("t", "text", TEXTS, tuple(f"i{k}" for k in range(len(TEXTS))))


def images() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
    return Dataset("p", "image", pixels, tuple(f"i{k}" for k in range(6)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=4), max_size=30), st.integers(0, 10**6))
def test_words_are_left_out_in_order(words: list[str], seed: int) -> None:
    text = " ".join(words)
    for strength in ("weak", "strong"):
        found = augmented_text(text, strength, np.random.default_rng(seed)).split()
        assert found or not words
        rest = iter(words)
        assert all(word in rest for word in found)  # a subsequence
        if strength == "strong" and len(words) > 1:
            assert len(found) == len(words) - min(len(words) - 1, -(-len(words) * 2 // 5))


def test_strong_views_lose_spans_and_weak_ones_single_words() -> None:
    words = [str(k) for k in range(1000)]
    weak = augmented_text(" ".join(words), "weak", np.random.default_rng(0)).split()
    strong = augmented_text(" ".join(words), "strong", np.random.default_rng(0)).split()
    assert 860 < len(weak) < 940
    assert len(strong) == 600
    gaps = np.diff([int(w) for w in strong])
    assert (gaps[gaps > 1] - 1).mean() > 2  # several words each


@pytest.mark.parametrize("strength", ["weak", "strong"])
@pytest.mark.parametrize("shape", [(28, 28), (20, 30, 3), (1, 1), (3, 50, 3)])
def test_images_keep_their_size(shape: tuple[int, ...], strength: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for seed in range(40):
        view = augmented_image(pixels, strength, np.random.default_rng(seed))
        assert view.dtype == np.uint8
        assert view.shape == shape


def test_a_weak_view_is_a_shift() -> None:
    pixels = np.zeros((16, 16), dtype=np.uint8)
    pixels[8, 8] = 200
    places = set()
    for seed in range(200):
        view = augmented_image(pixels, "weak", np.random.default_rng(seed))
        assert (view == 200).sum() == 1
        places.add(tuple(np.argwhere(view == 200)[0].tolist()))
    assert places == {(a, b) for a in range(6, 11) for b in range(6, 11)}


def test_a_strong_view_is_another_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    views = [augmented_image(pixels, "strong", np.random.default_rng(s)) for s in range(30)]
    assert len({v.tobytes() for v in views}) == 30
    assert sum((v == 127).all(axis=2).any() for v in views) > 20  # grey squares


@pytest.mark.parametrize("dataset", [texts(), images()], ids=["text", "image"])
def test_a_view_depends_on_seed_number_and_item_alone(dataset: Dataset) -> None:
    def views(number: int, seed: int, positions: list[int]) -> list[Any]:
        return AugmentedItems(dataset, "strong", number, seed).take(np.array(positions))

    first = views(0, 0, [0, 1, 2])
    np.testing.assert_array_equal(first[2], views(0, 0, [2])[0])
    assert any(not np.array_equal(a, b) for a, b in zip(first, views(1, 0, [0, 1, 2]), strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, views(0, 1, [0, 1, 2]), strict=True))
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("dataset", [texts(), images()], ids=["text", "image"])
def test_views_are_encoded_once(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path))
    told: list[tuple[int, int]] = []
    found = encoded_views(
        dataset, Lengths(), "strong", 2, 7, progress=lambda *now: told.append(now)
    )
    assert found.array.shape == (2, len(dataset), 1)
    assert (found.from_cache, found.fresh) == (False, 1.0)
    assert told[-1] == (2 * len(dataset), 2 * len(dataset))
    again = encoded_views(dataset, Lengths(), "strong", 2, 7)
    assert (again.from_cache, again.fresh) == (True, 0.0)
    np.testing.assert_array_equal(found.array, again.array)
    some = encoded_views(dataset, Lengths(), "strong", 2, 7, positions=np.array([2, 0]))
    np.testing.assert_array_equal(some.array, found.array[:, [2, 0]])
    assert encoded_views(dataset, Lengths(), "strong", 4, 7).fresh == 0.5


def test_features_have_no_encoded_views() -> None:
    dataset = Dataset("f", "features", np.zeros((3, 2), np.float32), ("a", "b", "c"))
    with pytest.raises(BadInput, match="only texts and images"):
        encoded_views(dataset, Lengths(), "weak", 1, 0)
