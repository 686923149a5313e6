"""Networks from scratch: the contract, what they read, what they keep, their options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import coloured_images, coloured_texts, training_of

from labeltrain.errors import BadInput
from labeltrain.learners import make
from labeltrain.learners.base import Model, Training
from labeltrain.learners.networks import shelf as shelf_module
from labeltrain.learners.networks.cnn import CNNBackbone
from labeltrain.learners.networks.scratch import SmallCNN, SmallTransformer
from labeltrain.learners.networks.transformer import PADDING, TransformerBackbone
from labeltrain.learners.registry import rebuild
from labeltrain.learners.semi.methods import METHODS
from labeltrain.store import arrays as array_files
from labeltrain.testing import LearnerContract

CNN: dict[str, Any] = {
    "width": 8, "size": 16, "steps": 25, "batch": 16, "ratio": 2, "dtype": "float32",
    "device": "cpu", "average": 0.9,
}  # fmt: skip
TRANSFORMER: dict[str, Any] = {
    "width": 16, "layers": 1, "max_length": 12, "steps": 60, "batch": 16, "ratio": 2,
    "learning_rate": 5e-3, "dtype": "float32", "device": "cpu", "average": 0.9,
}  # fmt: skip
OPTIONS = {"cnn": CNN, "transformer": TRANSFORMER}


@pytest.fixture(autouse=True)
def _nothing_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a process of its own."""
    monkeypatch.setattr(shelf_module, "_last", [])


def training_for(name: str, n: int = 60, labels: int = 18, **more: Any) -> Training:
    if name == "transformer":
        items, truth = coloured_texts(n)
        return training_of(items, truth, labels, **more)
    truth = np.arange(n) % 3
    return training_of(coloured_images(truth), truth, labels, **more)


def fitted(name: str, training: Training, seed: int = 0, **options: Any) -> Any:
    learner = make(name, {**OPTIONS[name], **options})
    return learner.fit(training, np.random.default_rng(seed))


def same(one: Model, other: Model) -> None:
    mine, theirs = one.arrays(), other.arrays()
    assert set(mine) == set(theirs)
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


# -- the contract ------------------------------------------------------------------------------


class OnItems(LearnerContract):
    """The head is checked on items, which is what these models read."""

    def test_the_head_acts_on_the_hidden_layer(self) -> None:
        training = self.training()
        model = self.fit(training)
        weights, bias = model.head
        logits = model.hidden(training.items) @ weights.T + bias
        p = model.predict_proba(training.items)
        assert (logits.argmax(axis=1) == p.argmax(axis=1)).all()


class TestTransformer(OnItems):
    learner = SmallTransformer
    parameters = TRANSFORMER
    kinds = ("multiclass",)


class TestTransformerWithMethod(OnItems):
    learner = SmallTransformer
    parameters = {**TRANSFORMER, "method": "softmatch"}
    kinds = ("multiclass",)


class OnImages(OnItems):
    """Items are small images of the colour of their class."""

    def texts(self, truth: np.ndarray) -> Any:
        return list(coloured_images(truth))

    def test_items_that_may_not_be_used_change_nothing(self) -> None:
        training = self.training()
        usable = np.ones(200, dtype=bool)
        usable[150:] = False
        images = [*training.items[:150], *coloured_images(np.zeros(50, dtype=int), 16, seed=9)]
        one, other = (
            self.fit(replace(training, items=items, usable=usable)).predict_proba(
                self.inputs(replace(training, items=items), slice(0, 150))
            )
            for items in (training.items, images)
        )
        np.testing.assert_array_equal(one, other)


class TestCNN(OnImages):
    learner = SmallCNN
    parameters = CNN
    kinds = ("multiclass",)


class TestCNNWithMethod(OnImages):
    learner = SmallCNN
    parameters = {**CNN, "method": "fixmatch"}
    kinds = ("multiclass",)


del OnItems, OnImages  # not tests of their own


# -- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(OPTIONS))
@pytest.mark.parametrize("method", ["none", *METHODS])
def test_every_method_learns(name: str, method: str) -> None:
    training = training_for(name)
    model = fitted(name, training, method=method)
    truth = np.arange(60) % 3
    assert (model.predict_proba(training.items).argmax(axis=1) == truth)[18:].mean() > 0.6
    assert model.facts()["rollbacks"] == 0
    assert model.facts()["steps"] == OPTIONS[name]["steps"]


@pytest.mark.parametrize("name", list(OPTIONS))
def test_every_weight_gets_a_gradient(name: str) -> None:
    training = training_for(name)
    backbone: Any = CNNBackbone(16, 8) if name == "cnn" else TransformerBackbone(12, 16, 2, 99)
    backbone.begin(training.items)
    body = backbone.body()
    vectors = body(backbone.tensors(backbone.rows(training.items), "cpu"))
    assert vectors.shape == (60, 64 if name == "cnn" else 16)
    vectors.square().sum().backward()
    for weight, p in body.named_parameters():
        assert p.requires_grad
        assert p.grad is not None, weight
        if weight != "places":  # but of the places beyond the longest text
            assert p.grad.any(), weight
    if name == "transformer":
        assert not body.words.weight.grad[PADDING].any()


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_same_seed_gives_the_same_arrays(name: str) -> None:
    training = training_for(name)
    state = torch.random.get_rng_state()
    one = fitted(name, training, method="fixmatch")
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(99)
    shelf_module._last.clear()
    same(one, fitted(name, training, method="fixmatch"))
    same(one, fitted(name, replace(training, names=("z", "y", "x")), method="fixmatch"))
    other = fitted(name, training, seed=1, method="fixmatch")
    assert not np.array_equal(one.head[0], other.head[0])


@pytest.mark.parametrize("name", list(OPTIONS))
def test_earlier_rounds_change_nothing(name: str) -> None:
    few, many = training_for(name, labels=9), training_for(name, labels=18)
    many = replace(many, items=few.items)
    learner = make(name, OPTIONS[name])
    learner.fit(few, np.random.default_rng(5))
    one = learner.fit(many, np.random.default_rng(0))
    shelf_module._last.clear()
    same(one, fitted(name, many))


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_stored_model_is_the_model(name: str, tmp_path: Path) -> None:
    training = training_for(name)
    model = fitted(name, training)
    stored = array_files.save(tmp_path, model.arrays(), model.facts())
    again = rebuild(model.name, *array_files.load(tmp_path, stored))
    state = torch.random.get_rng_state()
    found = again.predict_proba(training.items)
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(model.predict_proba(training.items), found)
    np.testing.assert_array_equal(model.hidden(training.items), again.hidden(training.items))
    assert array_files.save(tmp_path, again.arrays(), again.facts()) == stored


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_stable_training_ends_earlier(name: str) -> None:
    training = training_for(name, 90, 30)
    one = fitted(name, training, stop="stable", steps=200)
    assert one.facts()["steps"] < 200
    truth = np.arange(90) % 3
    assert (one.predict_proba(training.items).argmax(axis=1) == truth).mean() > 0.9
    same(one, fitted(name, training, stop="stable", steps=200))


@pytest.mark.parametrize("name", list(OPTIONS))
@pytest.mark.parametrize("method", ["none", "fixmatch", "mean-teacher"])
def test_no_unlabelled_items_and_one_label_a_class(name: str, method: str) -> None:
    for labels in (9, 3, 2):
        training = training_for(name, 9, labels)
        p = fitted(name, training, method=method, steps=3).predict_proba(training.items)
        assert p.shape == (9, 3)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        if labels == 2:
            np.testing.assert_allclose(p[:, 2], 1 / 3)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_without_items_there_is_nothing_to_read(name: str) -> None:
    with pytest.raises(BadInput, match="and there are none"):
        fitted(name, replace(training_for(name), items=None))


# -- what they read ----------------------------------------------------------------------------


def test_empty_texts_single_words_and_words_never_seen() -> None:
    training = training_for("transformer", 24, 6)
    items = training.items
    items[0], items[1], items[20], items[21], items[22] = "", "green1", "", "red1", "?"
    model = fitted("transformer", training, method="fixmatch")
    assert np.isfinite(model.predict_proba(items)).all()
    assert np.isfinite(model.predict_proba(["", "never seen", "red1 " * 50])).all()
    assert model.predict_proba([]).shape == (0, 3)


def test_a_pool_without_a_repeated_word_trains() -> None:
    items = [f"w{k}x v{k}y" for k in range(12)]
    model = fitted("transformer", training_of(items, np.arange(12) % 3, 6), steps=2)
    assert np.isfinite(model.predict_proba(items)).all()


def test_arrays_and_paths_of_images_are_the_same(tmp_path: Path) -> None:
    from PIL import Image

    training = training_for("cnn", 12, 6)
    paths = [tmp_path / f"{k}.png" for k in range(12)]
    for image, path in zip(training.items, paths, strict=True):
        Image.fromarray(image).save(path)
    wanted = fitted("cnn", training).predict_proba(training.items)
    for items in (list(training.items), paths, [str(path) for path in paths]):
        found = fitted("cnn", replace(training, items=items)).predict_proba(items)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("shape", [(12, 28, 28), (12, 9, 31, 3), (12, 1, 1)])
def test_images_of_any_shape(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    training = training_of(images, np.arange(12) % 3, 6)
    for method in ("none", "fixmatch"):
        model = fitted("cnn", training, method=method, steps=2)
        assert np.isfinite(model.predict_proba(images)).all()
    assert model.predict_proba(images[:0]).shape == (0, 3)


def test_other_items_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match="reads texts, and item 0 is ndarray"):
        fitted("transformer", training_for("cnn"))
    with pytest.raises(BadInput):
        fitted("cnn", training_for("transformer"))
    training = training_for("transformer")
    training.items[50] = None
    with pytest.raises(BadInput, match="item 50 is NoneType"):
        fitted("transformer", training)
    model = fitted("transformer", training_for("transformer"), steps=1)
    with pytest.raises(BadInput, match="item 1 is NoneType"):
        model.predict_proba(["red1", None])


# -- options -----------------------------------------------------------------------------------

COMMON: list[tuple[str, Any]] = [
    ("method", "fixmach"), ("method", 3), ("method_options", {"threshold": 1}),
    ("steps", 0), ("steps", 1.5), ("steps", True), ("batch", 0), ("ratio", 0),
    ("learning_rate", 0), ("learning_rate", "fast"), ("weight_decay", -1), ("weight", -0.5),
    ("average", 1.0), ("average", 2), ("alignment", "no"), ("class_weight", "auto"),
    ("stop", "soon"), ("dtype", "int8"), ("device", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *(("cnn", *pair) for pair in COMMON),
        *(("transformer", *pair) for pair in COMMON),
        ("cnn", "width", 0), ("cnn", "width", 12), ("cnn", "width", "8"), ("cnn", "size", 7),
        ("cnn", "size", 16.0), ("transformer", "width", 6), ("transformer", "width", 3),
        ("transformer", "layers", 0), ("transformer", "vocabulary", 0),
        ("transformer", "max_length", 0), ("transformer", "max_length", None),
    ],
)  # fmt: skip
def test_a_bad_option_is_refused_by_name(name: str, option: str, value: Any) -> None:
    with pytest.raises(BadInput, match=option):
        make(name, {option: value})


@pytest.mark.parametrize("name", list(OPTIONS))
def test_unknown_names_get_the_nearest(name: str) -> None:
    with pytest.raises(BadInput, match="did you mean 'fixmatch'"):
        make(name, {"method": "fixmach"})
    with pytest.raises(BadInput, match="did you mean 'width'"):
        make(name, {"widht": 8})
    with pytest.raises(BadInput, match="did you mean 'threshold'"):
        make(name, {"method": "uda", "method_options": {"treshold": 0.5}})


@pytest.mark.parametrize("name", list(OPTIONS))
def test_options_reach_the_training(name: str) -> None:
    training = training_for(name)
    plain = fitted(name, training, steps=5)
    changes: tuple[dict[str, Any], ...] = (
        {"class_weight": "balanced", "method": "none"}, {"learning_rate": 1e-4}, {"average": 0.0},
        {"weight_decay": 1.0}, {"batch": 4}, {"method": "softmatch"},
    )  # fmt: skip
    for options in changes:
        few = training if options.get("class_weight") is None else _unequal(training)
        other = fitted(name, few, steps=5, **options)
        base = plain if few is training else fitted(name, few, steps=5)
        assert not np.array_equal(base.head[0], other.head[0]), options
    heads = [
        fitted(name, training, steps=5, method="mean-teacher", **more).head[0]
        for more in ({}, {"alignment": "uniform"}, {"weight": 5.0})
    ]
    assert not np.array_equal(heads[0], heads[1])
    assert not np.array_equal(heads[0], heads[2])


def _unequal(training: Training) -> Training:
    """Return the training with fewer labels of the first class."""
    kept = np.flatnonzero((training.labels != 0) | (np.arange(len(training.labels)) == 0))
    return replace(training, labelled=training.labelled[kept], labels=training.labels[kept])
