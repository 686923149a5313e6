"""Encoders side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.data import Dataset
from labeltrain.encoders import features, make
from labeltrain.encoders.augment import AugmentedItems, encoded_views
from labeltrain.encoders.base import Encoder
from labeltrain.encoders.joined import JoinedEncoder
from labeltrain.errors import BadInput

TEXTS = ["a red rose", "the rose is red", "a blue sea", "the sea is blue", ""]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


def test_each_part_has_length_one_and_its_own_options() -> None:
    encoder = make("minilm+lsa", max_length=8, dimensions=3)
    found = encoder.encode(TEXTS)
    wanted = np.hstack(
        [
            unit(make("minilm", max_length=8).encode(TEXTS)),
            unit(make("lsa", dimensions=3).encode(TEXTS)),
        ]
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert encoder.name == "minilm+lsa"
    assert encoder.whole
    assert encoder.learns
    assert encoder.fitted(TEXTS).dimension == 384 + 3


def test_what_the_parts_gave_is_not_changed() -> None:
    given = np.array([[3.0, 4.0]], np.float32)
    encoder = JoinedEncoder([make("minilm"), make("lsa")])
    found = encoder.joined([given, np.zeros((1, 2), np.float32)])
    np.testing.assert_allclose(found, [[0.6, 0.8, 0.0, 0.0]])
    np.testing.assert_array_equal(given, [[3.0, 4.0]])


def test_what_was_learned_encodes_texts_that_come_later() -> None:
    encoder = make("minilm+lsa", max_length=8, dimensions=3)
    fitted = encoder.fitted(TEXTS)
    np.testing.assert_allclose(fitted.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert not fitted.whole
    again = make("minilm+lsa", max_length=8, dimensions=3).restored(fitted.state())
    np.testing.assert_array_equal(again.encode(["red sea"]), fitted.encode(["red sea"]))
    assert again.fingerprint() == fitted.fingerprint() != encoder.fingerprint()


class Counting(Encoder):
    """The length of a text; counts how many were asked for."""

    name = "counting"
    modalities = frozenset({"text"})
    dimension = 2

    def __init__(self) -> None:
        self.seen = 0

    def fingerprint(self) -> dict[str, str | int | float]:
        return {"encoder": "counting", "version": 1}

    def encode(self, items: Any) -> np.ndarray:
        self.seen += len(items)
        return np.array([[len(item), 1.0] for item in items], np.float32)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path))


@pytest.mark.usefixtures("own_cache")
def test_parts_that_can_be_cached_are() -> None:
    texts = few()
    counting = Counting()
    first = features(texts, JoinedEncoder([counting, make("lsa", dimensions=5)]))
    second = features(texts, JoinedEncoder([counting, make("lsa", dimensions=5)]))
    assert counting.seen == len(texts)
    assert first.key == second.key
    np.testing.assert_array_equal(first.array, second.array)
    whole = features(texts, make("lsa", dimensions=5)).array
    np.testing.assert_allclose(first.array[:, 2:], whole, atol=1e-6)
    chosen = np.array([7, 3])
    part = features(texts, JoinedEncoder([counting, make("lsa", dimensions=5)]), positions=chosen)
    np.testing.assert_array_equal(part.array, first.array[chosen])


@pytest.mark.usefixtures("own_cache")
def test_views_are_seen_with_what_was_learned_from_the_items() -> None:
    texts = few()
    for encoder in (make("lsa", dimensions=5), JoinedEncoder([Counting(), make("lsa")])):
        views = encoded_views(texts, encoder, "strong", 1, 3).array
        items = AugmentedItems(texts, "strong", 0, 3)
        wanted = encoder.fitted(texts.items).encode(list(items))
        np.testing.assert_allclose(views[0], wanted, atol=1e-6)


def few() -> Dataset:
    rng = np.random.default_rng(3)
    words = np.array([f"word{k}" for k in range(20)])
    items = [" ".join(rng.choice(words, 6)) for _ in range(40)]
    return Dataset(
        "few", "text", items, tuple(f"t{i}" for i in range(40)), "multiclass", ("a", "b"),
        rng.integers(2, size=40),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("minilm+minilm", {}, "joins no two"),
        ("minilm+efficientnet-lite0", {}, "read different items"),
        ("minilm+nothing", {}, "unknown encoder 'nothing'"),
        ("minilm+", {}, "a name is missing"),
        ("minilm+lsa", {"size": 64}, "no option 'size'"),
        ("minilm+lsa", {"dimensions": 0}, "dimensions is 0"),
    ],
)
def test_what_cannot_be_joined_is_refused(name: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        make(name, **options)
