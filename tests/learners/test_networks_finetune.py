"""Fine-tuning: what is trained, how heads begin, what is cached, and what is stored."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny_models import (
    QUICK,
    coloured_images,
    coloured_texts,
    save_image_model,
    save_text_model,
    training_of,
)

from labeltrain.encoders import make as make_encoder
from labeltrain.errors import BadInput
from labeltrain.learners import Training, make
from labeltrain.learners.base import Model
from labeltrain.learners.networks import learner as learner_module
from labeltrain.learners.networks import shelf as shelf_module
from labeltrain.learners.networks.backbones import pretrained
from labeltrain.learners.networks.classifier import classifier
from labeltrain.learners.networks.finetune import FineTune
from labeltrain.learners.networks.heads import from_names, from_probe
from labeltrain.learners.networks.shelf import Shelf
from labeltrain.learners.networks.text import TextBackbone
from labeltrain.learners.registry import rebuild
from labeltrain.learners.semi.methods import METHODS
from labeltrain.store import arrays as array_files
from labeltrain.testing import LearnerContract

MODES: dict[str, dict[str, Any]] = {
    "full": {"adapt": "full"},
    "lora": {"adapt": "lora", "rank": 4, "learning_rate": 5e-3},
    "last": {"adapt": "last", "layers": 1},
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_text_model(tmp_path_factory.mktemp("finetune") / "bert"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("finetune") / "dinov2"
    return str(save_image_model(folder, "Dinov2"))


def learner_of(model: str, mode: str = "full", **options: Any) -> FineTune:
    return FineTune(model, **{**QUICK, **MODES[mode], **options})


def fitted(model: str, training: Training, mode: str = "full", **options: Any) -> Any:
    return learner_of(model, mode, **options).fit(training, np.random.default_rng(0))


def network_of(model: Model) -> Any:
    return model.network.classifier  # type: ignore[attr-defined]


def below_of(model: Model) -> dict[str, Any]:
    """Return the weights below the cut."""
    held: dict[str, Any] = model.network.shelf.below.state_dict()  # type: ignore[attr-defined]
    return held


@pytest.fixture(autouse=True)
def _nothing_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a process of its own."""
    monkeypatch.setattr(shelf_module, "_last", [])


def another_process() -> None:
    shelf_module._last.clear()


def same(one: Model, other: Model) -> None:
    """Raise unless two models are equal to the last bit."""
    mine, theirs = one.arrays(), other.arrays()
    assert set(mine) == set(theirs)
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


# -- the contract ------------------------------------------------------------------------------


class Contract(LearnerContract):
    """On a tiny BERT; the head is checked on items, which is what the models read."""

    learner = FineTune
    kinds = ("multiclass",)

    @pytest.fixture(autouse=True)
    def _tiny(self, bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
        options = {**QUICK, "steps": 25, "model": bert, **self.parameters}
        monkeypatch.setattr(type(self), "parameters", options)

    def test_the_head_acts_on_the_hidden_layer(self) -> None:
        training = self.training()
        model = self.fit(training)
        weights, bias = model.head
        logits = model.hidden(training.items) @ weights.T + bias
        p = model.predict_proba(training.items)
        assert (logits.argmax(axis=1) == p.argmax(axis=1)).all()


class TestFull(Contract):
    parameters = MODES["full"]


class TestLora(Contract):
    parameters = MODES["lora"]


class TestLast(Contract):
    parameters = MODES["last"]


class TestLastWithMethod(Contract):
    parameters = {**MODES["last"], "method": "flexmatch"}


class TestFullWithMethod(Contract):
    parameters = {**MODES["full"], "method": "pseudo-label", "ratio": 1}


del Contract  # not a test of its own


# -- what is trained ---------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["text", "image"])
def test_every_weight_of_the_body_gets_a_gradient(modality: str, bert: str, vit: str) -> None:
    truth = np.arange(6) % 3
    items: Any = coloured_texts(6)[0] if modality == "text" else coloured_images(truth)
    model = bert if modality == "text" else vit
    backbone = pretrained(model, modality, max_length=24, size=64, device="cpu")
    body = backbone.body().requires_grad_(True)
    network = classifier(body, np.zeros(32, np.float32), np.ones(32, np.float32), 3)
    torch.nn.init.normal_(network.head.weight)
    logits = network(backbone.tensors(backbone.rows(items), "cpu"))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(truth)).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None]
    assert all("pooler" in n or "mask_token" in n for n in without), without
    some = [n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()]
    assert len(some) > 40


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_training_changes_what_it_should_and_nothing_else(
    mode: str, average: float, bert: str
) -> None:
    items, truth = coloured_texts()
    model = fitted(bert, training_of(items, truth), mode, average=average)
    encoder = pretrained(bert, "text", max_length=24, size=64, device="cpu")
    before = {n: p.detach().numpy() for n, p in encoder.body().state_dict().items()}
    after = {n: p.detach().numpy() for n, p in network_of(model).trained.state_dict().items()}
    stored = {n.removeprefix("trained.") for n in model.arrays() if n.startswith("trained.")}
    changed = set()
    for name, value in after.items():
        if "pooler" in name:  # made at random, and never used
            continue
        plain = name.replace(".base_layer", "")
        if mode == "last":  # the layers that are left are counted from 0 again
            plain = plain.replace("layer.0.", "layer.2.")
        if plain not in before or not np.array_equal(value, before[plain]):
            changed.add(name)
    assert changed <= stored
    if mode == "full":
        still = set(after) - changed
        assert all("pooler" in n for n in still), still
    elif mode == "lora":
        assert changed
        assert all("lora_" in n for n in changed)
        assert all("lora_" in n for n in stored)
        assert any(np.any(after[n]) for n in changed if "lora_B" in n)
    else:
        assert all("embeddings" not in n for n in after)
        assert any("layer.0.attention" in n for n in changed)
        for name, value in below_of(model).items():
            if "pooler" not in name:
                np.testing.assert_array_equal(value.numpy(), before[name], err_msg=name)


def test_last_layers_of_efficientnet() -> None:
    truth = np.arange(12) % 3
    training = training_of(coloured_images(truth, 32), truth, 6)
    model = fitted("auto", training, "last", size=32, layers=2, steps=3)
    backbone = pretrained("auto", "image", max_length=24, size=32, device="cpu")
    below, _ = backbone.split(backbone.body(), 2)
    kept = below_of(model)
    for name, value in below.state_dict().items():
        assert torch.equal(value, kept[name])


@pytest.mark.parametrize("adapt", ["full", "lora", "last"])
def test_images_are_learned_end_to_end(adapt: str, vit: str) -> None:
    truth = np.arange(60) % 3
    images = coloured_images(truth)
    model = fitted(vit, training_of(images, truth), adapt, steps=15)
    assert (model.predict_proba(images).argmax(axis=1) == truth)[18:].mean() > 0.9


@pytest.mark.parametrize("adapt", ["full", "lora", "last"])
def test_efficientnet_is_trained(adapt: str) -> None:
    truth = np.arange(18) % 3
    images = coloured_images(truth, 32)
    options: dict[str, Any] = {"size": 32, "steps": 3, "learning_rate": 1e-5}
    model = fitted("auto", training_of(images, truth, 9), adapt, **options)
    assert (model.predict_proba(images).argmax(axis=1) == truth).mean() > 0.7
    data = array_files.to_bytes(model.arrays(), model.facts())
    again = rebuild(model.name, *array_files.from_bytes(data))
    np.testing.assert_array_equal(model.predict_proba(images), again.predict_proba(images))


@pytest.mark.parametrize("mode", list(MODES))
def test_bfloat16_learns_too(mode: str, bert: str) -> None:
    items, truth = coloured_texts()
    for memory in (1.0, 1e-9):
        model = fitted(
            bert, training_of(items, truth), mode, dtype="bfloat16", memory=memory, steps=20,
            method="fixmatch",
        )  # fmt: skip
        assert (model.predict_proba(items).argmax(axis=1) == truth)[18:].mean() > 0.6


# -- activations -------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_activations_that_do_not_fit_give_the_same_predictions(layers: int, bert: str) -> None:
    items, truth = coloured_texts()
    training = training_of(items, truth)
    kept, made = (
        fitted(bert, training, "last", layers=layers, memory=memory).predict_proba(items)
        for memory in (1.0, 1e-9)
    )
    np.testing.assert_allclose(kept, made, atol=1e-4)


@pytest.mark.parametrize("method", ["none", "flexmatch"])
def test_activations_are_made_once_for_all_rounds(
    method: str, bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, truth = coloured_texts(100)
    made: list[int] = []
    whole = Shelf._below

    def counted(self: Shelf, rows: Any) -> Any:
        made.append(len(rows))
        return whole(self, rows)

    monkeypatch.setattr(Shelf, "_below", counted)
    learner = learner_of(bert, "last", method=method)
    first = learner.fit(training_of(items, truth, 20), np.random.default_rng(0))
    first.predict_proba(items)
    assert sum(n for n in made if n > 1) == (100 if method == "none" else 300)
    made.clear()
    second = learner.fit(training_of(items, truth, 40), np.random.default_rng(1))
    second.predict_proba(items)
    assert sum(n for n in made if n > 1) == 0  # at most the longest, to know its size


@pytest.mark.parametrize("method", ["none", "flexmatch"])
def test_a_later_training_says_what_it_would_have_cost_alone(
    method: str, bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, truth = coloured_texts(100)
    whole = Shelf._below

    def slow(self: Shelf, rows: Any) -> Any:
        time.sleep(0.3 if len(rows) > 1 else 0.0)
        return whole(self, rows)

    monkeypatch.setattr(Shelf, "_below", slow)
    learner = learner_of(bert, "last", method=method)
    costs = [
        learner.fit(training_of(items, truth, n), np.random.default_rng(0)).cost for n in (20, 40)
    ]
    calls = 1 if method == "none" else 5  # all items; two views of two blocks
    assert costs[0].prepared == 0.0
    assert costs[0].seconds > 0.3 * calls
    assert 0.3 * calls < costs[1].prepared < costs[0].seconds
    others, _ = coloured_texts(100, seed=5)
    fresh = learner.fit(training_of(others, truth, 20), np.random.default_rng(0)).cost
    assert fresh.prepared == 0.0


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("dropout", [0.0, None])
def test_earlier_rounds_change_nothing(mode: str, dropout: float | None, bert: str) -> None:
    """A study that was killed goes on with a fresh learner."""
    items, truth = coloured_texts()
    options: dict[str, Any] = {"dropout": dropout, "method": "fixmatch"}
    used = learner_of(bert, mode, **options)
    used.fit(training_of(items, truth, 9), np.random.default_rng(3))
    later = training_of(items, truth, 18)
    one = used.fit(later, np.random.default_rng(0))
    another_process()
    same(one, learner_of(bert, mode, **options).fit(later, np.random.default_rng(0)))


def test_a_pool_of_other_items_is_read_anew(bert: str) -> None:
    items, truth = coloured_texts()
    others, _ = coloured_texts(seed=5)
    learner = learner_of(bert, "last", method="fixmatch")
    learner.fit(training_of(items, truth), np.random.default_rng(0))
    one = learner.fit(training_of(others, truth), np.random.default_rng(0))
    another_process()
    same(one, fitted(bert, training_of(others, truth), "last", method="fixmatch"))


@pytest.mark.parametrize("stop", ["steps", "stable"])
@pytest.mark.parametrize("method", ["none", "softmatch"])
@pytest.mark.parametrize("mode", ["full", "last"])
def test_items_of_an_audit_are_never_looked_at(
    mode: str, method: str, stop: str, bert: str
) -> None:
    items, truth = coloured_texts()
    usable = np.ones(60, dtype=bool)
    usable[40:] = False
    changed = [*items[:40], *["green1 red1 other words a a a"] * 20]
    options: dict[str, Any] = {"method": method, "stop": stop, "steps": 30}
    found = []
    for texts in (items, changed):
        another_process()
        found.append(fitted(bert, training_of(texts, truth, 12, usable=usable), mode, **options))
    same(*found)


# -- heads -------------------------------------------------------------------------------------


def test_a_probe_is_the_logistic_regression_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 4):
        codes = np.arange(40) % classes
        vectors = (rng.normal(size=(40, 6)) + 2.0 * np.eye(6)[codes]).astype(np.float32)
        head = torch.nn.Linear(6, classes)
        from_probe(head, vectors, codes)
        with torch.no_grad():
            found = head(torch.from_numpy(vectors)).softmax(dim=1).numpy()
        strength = 1.0 / vectors.var(axis=0, dtype=np.float64).sum()
        wanted = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(vectors, codes)
        np.testing.assert_allclose(found, wanted.predict_proba(vectors), atol=1e-4)
        assert (found.argmax(axis=1) == codes).mean() > 0.8


def test_a_probe_of_separable_vectors_predicts_the_labels() -> None:
    rng = np.random.default_rng(0)
    codes = np.array([0, 1, 2])  # one label each
    vectors = rng.normal(size=(3, 50)).astype(np.float32)
    head = torch.nn.Linear(50, 3)
    from_probe(head, vectors, codes)
    with torch.no_grad():
        assert (head(torch.from_numpy(vectors)).argmax(dim=1).numpy() == codes).all()


def test_a_head_of_names_points_at_the_names() -> None:
    rng = np.random.default_rng(0)
    names = rng.normal(size=(4, 9)).astype(np.float32)
    head = torch.nn.Linear(9, 4)
    from_names(head, names)
    centred = names - names.mean(axis=0)
    with torch.no_grad():
        found = head(torch.from_numpy(centred)).argmax(dim=1).numpy()
    assert (found == np.arange(4)).all()
    np.testing.assert_allclose(head.weight.detach().norm(dim=1), 5.0, rtol=1e-5)
    assert not head.bias.any()
    from_names(head, np.ones((4, 9), dtype=np.float32))  # equal names: no direction, no NaN
    assert torch.isfinite(head.weight).all()


@pytest.mark.parametrize("head", ["probe", "names", "zeros"])
def test_how_a_head_begins_before_the_first_step(head: str, bert: str) -> None:
    items, truth = coloured_texts()
    training = training_of(items, truth, names=("red", "green", "blue"))
    begun: dict[str, np.ndarray] = {}

    def no_training(network: Any, *_args: Any, **_named: Any) -> Any:
        from labeltrain.learners.semi.training import Report

        begun["weight"] = network.head.weight.detach().numpy().copy()
        return network, Report()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner_module, "train", no_training)
        model = fitted(bert, training, "full", head=head)
    right = (model.predict_proba(items).argmax(axis=1) == truth)[:18].mean()
    if head == "zeros":
        assert not begun["weight"].any()
    elif head == "probe":
        assert right == 1.0
    else:
        lengths = np.linalg.norm(begun["weight"], axis=1)
        np.testing.assert_allclose(lengths, 5.0, rtol=1e-4)


def test_names_of_classes_help_a_model_that_knows_words() -> None:
    sport = ["the match was won by the home team", "a goal in the last minute of the game"] * 3
    money = ["the bank raised its interest rate", "shares fell on the stock market"] * 3
    items = [text for pair in zip(sport, money, strict=True) for text in pair]
    truth = np.arange(12) % 2
    training = Training(
        np.zeros((12, 2), np.float32), np.array([0, 1]), truth[:2], 2, items=items,
        names=("sport/football", "money_and.finance"),
    )  # fmt: skip
    model = fitted(
        "auto", training, "last", head="names", steps=1, learning_rate=1e-9, max_length=32
    )
    assert (model.predict_proba(items).argmax(axis=1) == truth).all()


def test_names_are_refused_where_there_are_none(bert: str, vit: str) -> None:
    items, truth = coloured_texts()
    with pytest.raises(BadInput, match="head='names', and the classes have no names"):
        fitted(bert, training_of(items, truth), head="names")
    images = training_of(coloured_images(truth), truth, names=("r", "g", "b"))
    for model in (vit, "auto"):
        with pytest.raises(BadInput, match=r"head='names'.* no texts"):
            fitted(model, images, head="names", size=32)


# -- determinism, and what is stored -----------------------------------------------------------


@pytest.mark.parametrize("mode", list(MODES))
def test_the_same_seed_gives_the_same_arrays(mode: str, bert: str) -> None:
    items, truth = coloured_texts()
    training = training_of(items, truth)
    options: dict[str, Any] = {"method": "flexmatch", "dropout": None}
    state = torch.random.get_rng_state()
    one = fitted(bert, training, mode, **options)
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's generator
    torch.manual_seed(99)
    another_process()
    same(one, fitted(bert, training, mode, **options))
    named = replace(training, names=("x", "y", "z"))
    same(one, fitted(bert, named, mode, **options))
    other = learner_of(bert, mode, **options).fit(training, np.random.default_rng(1))
    assert not np.array_equal(one.head[0], other.head[0])


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("memory", [1.0, 1e-9])
def test_a_stored_model_is_the_model(mode: str, memory: float, bert: str, tmp_path: Path) -> None:
    items, truth = coloured_texts()
    model = fitted(bert, training_of(items, truth), mode, memory=memory)
    name = array_files.save(tmp_path, model.arrays(), model.facts())
    again: Any = rebuild(model.name, *array_files.load(tmp_path, name))
    np.testing.assert_array_equal(model.predict_proba(items), again.predict_proba(items))
    np.testing.assert_array_equal(model.hidden(items), again.hidden(items))
    assert array_files.save(tmp_path, again.arrays(), again.facts()) == name
    new = [*items[:5], "", "never seen words", "red1"]
    p = model.predict_proba(new)
    np.testing.assert_array_equal(p, again.predict_proba(new))
    np.testing.assert_allclose(p[:5], model.predict_proba(items)[:5], atol=1e-5)


def test_predicting_leaves_the_generator_alone(bert: str) -> None:
    items, truth = coloured_texts()
    model = fitted(bert, training_of(items, truth), "lora")
    again = rebuild(model.name, model.arrays(), model.facts())
    state = torch.random.get_rng_state()
    again.predict_proba(items)
    assert torch.equal(state, torch.random.get_rng_state())


def test_adapters_are_far_smaller_than_a_model(bert: str) -> None:
    items, truth = coloured_texts()
    sizes = {}
    for mode in MODES:
        model = fitted(bert, training_of(items, truth), mode, steps=1, rank=1)
        sizes[mode] = sum(a.nbytes for a in model.arrays().values())
    assert sizes["lora"] < sizes["full"] / 5
    assert sizes["last"] < sizes["full"] / 2


def test_a_model_whose_pretrained_weights_changed_is_refused(tmp_path: Path) -> None:
    folder = save_text_model(tmp_path / "model")
    items, truth = coloured_texts()
    model = fitted(str(folder), training_of(items, truth), "lora", steps=1)
    again = rebuild(model.name, model.arrays(), model.facts())
    save_text_model(folder, seed=1)
    with pytest.raises(BadInput, match=f"{folder}.*weights differ"):
        again.predict_proba(items)


def test_a_stored_model_that_lacks_arrays_is_refused(bert: str) -> None:
    """Random weights are never used."""
    items, truth = coloured_texts()
    model = fitted(bert, training_of(items, truth), "lora", steps=1)
    arrays = model.arrays()
    name = next(n for n in arrays if "lora_B" in n)
    renamed = {(n.replace("lora_B", "lora_X") if n == name else n): a for n, a in arrays.items()}
    again = rebuild(model.name, renamed, model.facts())
    with pytest.raises(Exception, match=r"lora_[BX]"):
        again.predict_proba(items)


def test_what_a_caller_does_to_the_vectors_does_not_change_the_model(bert: str) -> None:
    items, truth = coloured_texts()
    model = fitted(bert, training_of(items, truth))
    before = model.predict_proba(items).copy()
    vectors = model.hidden(items)
    if vectors.flags.writeable:
        vectors *= 0.0
    np.testing.assert_array_equal(model.predict_proba(items), before)


# -- when a training ends ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(MODES))
def test_a_stable_training_ends_earlier(mode: str, bert: str) -> None:
    items, truth = coloured_texts(120)
    training = training_of(items, truth, 30)
    options: dict[str, Any] = {"stop": "stable", "steps": 400, "learning_rate": 1e-2}
    one = fitted(bert, training, mode, **options)
    assert one.facts()["steps"] < 400
    assert (one.predict_proba(items).argmax(axis=1) == truth).mean() > 0.8
    same(one, fitted(bert, training, mode, **options))


# -- few labels, odd items ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("method", ["none", "fixmatch", "mean-teacher"])
def test_no_unlabelled_items_and_one_label_a_class(mode: str, method: str, bert: str) -> None:
    items, truth = coloured_texts(9)
    for labels in (9, 3, 2):
        model = fitted(bert, training_of(items, truth, labels), mode, method=method, steps=3)
        p = model.predict_proba(items)
        assert p.shape == (9, 3)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        assert model.cost.examples > 0
        if labels == 2:
            np.testing.assert_allclose(p[:, 2], 1 / 3)


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("method", ["none", "fixmatch"])
def test_empty_texts_and_single_words(mode: str, method: str, bert: str) -> None:
    items, truth = coloured_texts(24)
    items[0], items[1], items[20], items[21], items[22] = "", "green1", "", "red1", "?"
    model = fitted(bert, training_of(items, truth, 6), mode, method=method)
    assert np.isfinite(model.predict_proba(items)).all()
    assert model.predict_proba([""]).shape == (1, 3)
    assert model.predict_proba([]).shape == (0, 3)
    assert model.hidden([]).shape == (0, 32)


def test_texts_in_an_array_are_texts(bert: str) -> None:
    items, truth = coloured_texts(24)
    plain = fitted(bert, training_of(items, truth, 6)).predict_proba(items)
    for array in (np.array(items), np.array(items, dtype=object)):
        model = fitted(bert, training_of(array, truth, 6))
        np.testing.assert_array_equal(model.predict_proba(array), plain)


def test_arrays_and_paths_of_images_are_the_same(vit: str, tmp_path: Path) -> None:
    from PIL import Image

    truth = np.arange(12) % 3
    images = coloured_images(truth, 20)
    paths = [tmp_path / f"{k}.png" for k in range(12)]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    wanted = fitted(vit, training_of(images, truth, 6)).predict_proba(images)
    for items in (list(images), paths):
        found = fitted(vit, training_of(items, truth, 6)).predict_proba(items)
        np.testing.assert_array_equal(found, wanted)
    named = training_of([str(p) for p in paths], truth, 6, modality="image")
    np.testing.assert_array_equal(fitted(vit, named).predict_proba(named.items), wanted)
    grey = images.mean(axis=3).astype(np.uint8)
    assert np.isfinite(fitted(vit, training_of(grey, truth, 6)).predict_proba(grey)).all()


def test_vectors_of_proxies_are_those_of_the_network(bert: str) -> None:
    """Before a step is taken, the hidden layer is the encoder's features, standardised."""
    items, truth = coloured_texts()
    with pytest.MonkeyPatch.context() as patch:
        from labeltrain.learners.semi.training import Report

        patch.setattr(learner_module, "train", lambda network, *_a, **_k: (network, Report()))
        model = fitted(bert, training_of(items, truth))
    features = make_encoder(bert, max_length=24).encode(items)
    arrays = model.arrays()
    wanted = (features - arrays["mean"]) / arrays["deviation"]
    np.testing.assert_allclose(model.hidden(items), wanted, atol=1e-4)
    np.testing.assert_allclose(arrays["mean"], features.mean(axis=0), atol=1e-5)


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("model", ""), ("model", None), ("model", 3), ("adapt", "most"), ("adapt", None),
        ("head", "random"), ("method", "none "), ("method", None), ("method", ["fixmatch"]),
        ("layers", 0), ("layers", 1.5), ("layers", True), ("rank", 0), ("rank", "8"),
        ("method_options", {"threshold": 0.5}), ("method_options", [1]),
        ("method_options", "threshold"), ("method_options", 1),
        ("max_length", 2), ("max_length", None), ("size", 31), ("size", 100), ("size", 64.0),
        ("steps", 0), ("steps", -1), ("steps", 1e3), ("batch", 0), ("ratio", 0),
        ("learning_rate", 0.0), ("learning_rate", -1.0), ("learning_rate", float("nan")),
        ("learning_rate", float("inf")), ("learning_rate", "1e-4"), ("head_rate", -1.0),
        ("weight_decay", -0.1), ("weight_decay", None), ("warmup", 1.1), ("warmup", -0.1),
        ("stop", "never"), ("weight", -1.0), ("weight", "a"), ("average", 1.0),
        ("average", -0.1), ("alignment", "classes"), ("class_weight", "auto"), ("copies", 0),
        ("sample", 0), ("dtype", "float16"), ("dtype", torch.bfloat16), ("dropout", 1.5),
        ("dropout", True), ("memory", 0.0), ("memory", float("nan")), ("device", 0),
        ("device", None),
    ],
)  # fmt: skip
def test_a_bad_option_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(BadInput, match=option):
        make("finetune", {option: value})


@pytest.mark.parametrize(
    ("given", "near"),
    [("fixmach", "fixmatch"), ("flex-match", "flexmatch"), ("meanteacher", "mean-teacher")],
)
def test_an_unknown_method_gets_the_nearest_name(given: str, near: str) -> None:
    with pytest.raises(BadInput, match=f"did you mean '{near}'"):
        make("finetune", {"method": given})


def test_options_of_a_method_are_checked() -> None:
    with pytest.raises(BadInput, match="did you mean 'threshold'"):
        make("finetune", {"method": "fixmatch", "method_options": {"treshold": 0.9}})
    with pytest.raises(BadInput, match="threshold"):
        make("finetune", {"method": "fixmatch", "method_options": {"threshold": 2}})
    made = make("finetune", {"method": "fixmatch", "method_options": {"threshold": 0.5}})
    assert made.options.weighting().threshold == 0.5  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="did you mean 'adapt'"):
        make("finetune", {"adap": "full"})


def test_what_only_shows_at_the_fit_is_refused_by_name(bert: str) -> None:
    items, truth = coloured_texts(9)
    training = training_of(items, truth, 6)
    with pytest.raises(BadInput, match="layers=4: the network has 3"):
        fitted(bert, training, "last", layers=4)
    with pytest.raises(BadInput, match="there are none"):
        fitted(bert, replace(training, items=None))
    with pytest.raises(BadInput, match="tpu"):
        fitted(bert, training, device="tpu")
    with pytest.raises(BadInput, match="item 8"):
        fitted(bert, replace(training, items=[*items[:8], 5]))


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_trains_on_cached_activations(method: str, bert: str) -> None:
    items, truth = coloured_texts()
    model = fitted(bert, training_of(items, truth), "last", method=method, steps=20)
    assert (model.predict_proba(items).argmax(axis=1) == truth)[18:].mean() > 0.5
    facts = model.facts()
    assert facts["rollbacks"] == 0
    assert 0.0 <= facts["used"] <= 1.0


@pytest.mark.parametrize("sample", [1, 10, 64, 65, 10_000])
def test_a_sample_of_the_unlabelled_items_is_enough(sample: int, bert: str) -> None:
    items, truth = coloured_texts(150)
    made: list[int] = []

    def counted(backbone: Any, row: Any, strength: str, rng: Any) -> Any:
        made.append(1)
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextBackbone, "view", counted)
        training = training_of(items, truth, 30)
        model = fitted(bert, training, "last", method="fixmatch", sample=sample, steps=2, copies=1)
    assert np.isfinite(model.predict_proba(items)).all()
    assert min(sample, 120) <= len(made) <= min(sample + 30 + 64, 150)
