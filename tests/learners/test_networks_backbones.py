"""Backbones: cut anywhere they are the whole, they agree with the encoders, and what views are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import COLOURS, coloured_images, coloured_texts, save_image_model, save_text_model

from labeltrain.encoders import make as make_encoder
from labeltrain.encoders.augment import Strength
from labeltrain.errors import BadInput, StoreDamaged
from labeltrain.learners import Training, make
from labeltrain.learners.networks.backbone import Backbone
from labeltrain.learners.networks.backbones import pretrained, rebuilt
from labeltrain.learners.networks.classifier import adapted, set_dropout
from labeltrain.learners.networks.cnn import CNNBackbone
from labeltrain.learners.networks.shelf import Shelf, in_batches
from labeltrain.learners.networks.text import NO_WORD, WORDS
from labeltrain.learners.networks.transformer import PADDING, UNKNOWN, TransformerBackbone

TEXTS = [
    "red1 blue2 red3",
    "",
    "red4",
    " ".join(f"green{k % 12}" for k in range(30)),
    "blue1, blue2 blue3. a b c",
]
MODERN = {
    "num_hidden_layers": 4, "global_attn_every_n_layers": 2, "local_attention": 4,
    "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3,
}  # fmt: skip
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
STAGES = {"embedding_size": 16, "hidden_sizes": [16, 24, 32], "depths": [1, 2, 1]}
#: Families that can be cut, with their options.
CUT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("text", "Bert", {}),
    "roberta": ("text", "Roberta", {}),
    "distilbert": ("text", "DistilBert", {"dim": 32, "n_layers": 3, "n_heads": 4}),
    "modernbert": ("text", "ModernBert", MODERN),
    "mpnet": ("text", "MPNet", {}),
    "deberta": ("text", "DebertaV2", RELATIVE),
    "electra": ("text", "Electra", {"embedding_size": 32}),
    "vit": ("image", "ViT", {}),
    "deit": ("image", "DeiT", {}),
    "dinov2": ("image", "Dinov2", {}),
    "siglip": ("image", "SiglipVision", {}),
    "resnet": ("image", "ResNet", STAGES),
}
#: Families that do something around their layers: to be cut rightly, or refused.
AROUND: dict[str, tuple[str, str, dict[str, Any]]] = {
    "electra-small": ("text", "Electra", {"embedding_size": 16}),
    "albert": ("text", "Albert", {"embedding_size": 16}),
    "rembert": ("text", "RemBert", {"input_embedding_size": 32}),
    "gpt2": ("text", "GPT2", {}),
    "llama": ("text", "Llama", {"num_key_value_heads": 4}),
    "clip": ("image", "CLIPVision", {}),
    "data2vec": ("image", "Data2VecVision", {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where a family's tiny model is; made when it is first asked for."""
    made: dict[str, Path] = {}

    def find(name: str) -> tuple[str, Path]:
        modality, kind, changes = {**CUT, **AROUND}[name]
        if name not in made:
            save = save_text_model if modality == "text" else save_image_model
            made[name] = save(tmp_path_factory.mktemp("models") / name, kind, **changes)
        return modality, made[name]

    return find


def backbone_of(
    modality: str, folder: Path | str, *, size: int = 64, longest: int = 24
) -> Backbone:
    return pretrained(str(folder), modality, max_length=longest, size=64, device="cpu")


def items_of(modality: str) -> Any:
    return TEXTS if modality == "text" else coloured_images(np.arange(5))


def halves(backbone: Backbone, layers: int, rows: list[np.ndarray]) -> tuple[Any, Any]:
    """Return vectors by way of the cut: directly, and by way of kept activations."""
    below, above = backbone.split(backbone.body(), layers)
    above.eval()
    with torch.no_grad():
        states = below(backbone.tensors(rows, "cpu"))
        kept = backbone.apart(states, rows)
        return above(states), above(backbone.together(kept, "cpu"))


# -- the cut -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CUT))
def test_a_model_cut_anywhere_is_the_whole_model(name: str, folder: Any) -> None:
    backbone = backbone_of(*folder(name))
    rows = backbone.rows(items_of(backbone.modality))
    with torch.no_grad():
        whole = backbone.body().eval()(backbone.tensors(rows, "cpu"))
    layers = 4 if name == "modernbert" else 3
    for k in range(1, layers + 1):
        for found in halves(backbone, k, rows):
            torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
    with pytest.raises(BadInput, match=rf"layers={layers + 1}: the network has {layers}"):
        backbone.split(backbone.body(), layers + 1)


@pytest.mark.parametrize("name", list(AROUND))
def test_a_model_is_cut_rightly_or_refused(name: str, folder: Any) -> None:
    """Never a network that is something else without a word."""
    backbone = backbone_of(*folder(name))
    rows = backbone.rows(items_of(backbone.modality))
    with torch.no_grad():
        whole = backbone.body().eval()(backbone.tensors(rows, "cpu"))
    try:
        found, again = halves(backbone, 1, rows)
    except BadInput as error:
        assert "adapt=full" in error.remedy
        assert str(folder(name)[1]) in error.problem
    else:
        torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
        torch.testing.assert_close(again, whole, atol=1e-5, rtol=0)


def test_the_cut_of_efficientnet() -> None:
    backbone = backbone_of("image", "efficientnet-lite0")
    rows = backbone.rows(coloured_images(np.arange(3), side=40))
    assert all(row.shape == (64, 64, 3) and row.dtype == np.uint8 for row in rows)
    with torch.no_grad():
        whole = backbone.body()(backbone.tensors(rows, "cpu"))
    assert whole.shape == (3, 1280)
    for k in range(1, 17):
        for found in halves(backbone, k, rows):
            torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
    with pytest.raises(BadInput, match="layers=17: the network has 16"):
        backbone.split(backbone.body(), 17)


def test_what_is_below_takes_no_gradient_and_what_is_above_does(folder: Any) -> None:
    for name in ("bert", "vit"):
        backbone = backbone_of(*folder(name))
        below, above = adapted(backbone, "last", 2, 0)
        assert not any(p.requires_grad for p in below.parameters())
        assert all(p.requires_grad for p in above.parameters())
        assert not below.training
        body = backbone.body()
        whole, part = (sum(p.numel() for p in m.parameters()) for m in (body, above))
        assert part < 0.75 * whole


def test_networks_without_layers_are_refused() -> None:
    for backbone in (CNNBackbone(32, 8), TransformerBackbone(8, 8, 2, 10)):
        with pytest.raises(BadInput, match="no layers to be cut at") as caught:
            backbone.split(backbone.body(), 1)
        assert "adapt=full" in caught.value.remedy


# -- low-rank adapters -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "modernbert", "vit", "dinov2"])
def test_adapters_begin_as_nothing(name: str, folder: Any) -> None:
    backbone = backbone_of(*folder(name))
    batch = backbone.tensors(backbone.rows(items_of(backbone.modality)), "cpu")
    _, trained = adapted(backbone, "lora", 0, 4)
    with torch.no_grad():
        torch.testing.assert_close(trained.eval()(batch), backbone.body().eval()(batch))
    free = [n for n, p in trained.named_parameters() if p.requires_grad]
    assert free
    assert all("lora_" in n for n in free)


def test_adapters_of_efficientnet() -> None:
    backbone = backbone_of("image", "efficientnet-lite0")
    batch = backbone.tensors(backbone.rows(coloured_images(np.arange(2))), "cpu")
    _, trained = adapted(backbone, "lora", 0, 4)
    with torch.no_grad():
        torch.testing.assert_close(trained.eval()(batch), backbone.body()(batch))
    free = [n for n, p in trained.named_parameters() if p.requires_grad]
    assert free
    assert all("lora_" in n for n in free)


@pytest.mark.parametrize("name", ["gpt2", "resnet"])
def test_models_without_linear_maps_get_no_adapters(name: str, folder: Any) -> None:
    """GPT-2 has its own kind of map, ResNet convolutions: trained, or refused by name."""
    backbone = backbone_of(*folder(name))
    try:
        _, trained = adapted(backbone, "lora", 0, 4)
    except BadInput as error:
        assert "adapt=full" in error.remedy
    else:
        assert any(p.requires_grad for p in trained.parameters())


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "modernbert", "vit", "dinov2"])
def test_without_dropout_training_is_prediction(name: str, folder: Any) -> None:
    backbone = backbone_of(*folder(name))
    batch = backbone.tensors(backbone.rows(items_of(backbone.modality)), "cpu")
    body = backbone.body()
    with torch.no_grad():
        wanted = body.eval()(batch)
        set_dropout(body, 0.0)
        assert torch.equal(body.train()(batch), wanted)
        set_dropout(body, 0.5)
        assert not torch.allclose(body.train()(batch), wanted)


# -- the same vectors as the encoders ----------------------------------------------------------


@pytest.mark.parametrize("name", list(CUT))
def test_vectors_are_the_features_of_the_encoder(name: str, folder: Any) -> None:
    modality, path = folder(name)
    backbone = backbone_of(modality, path)
    items = items_of(modality)
    options = {"max_length": 24} if modality == "text" else {}
    features = make_encoder(str(path), **options).encode(items)
    rows = backbone.rows(items)
    body = backbone.body().eval()
    with torch.no_grad():
        together = body(backbone.tensors(rows, "cpu")).numpy()
        alone = np.concatenate([body(backbone.tensors([row], "cpu")).numpy() for row in rows])
    np.testing.assert_allclose(together, features, atol=1e-5)
    np.testing.assert_allclose(alone, features, atol=1e-5)


def test_vectors_of_minilm_are_its_features() -> None:
    texts = ["A man is eating food.", "", "Oil", "word " * 100, "Two, three; four? Yes!"]
    backbone = backbone_of("text", "auto", longest=64)
    rows = backbone.rows(texts)
    assert max(row.shape[1] for row in rows) == 64
    with torch.no_grad():
        found = backbone.body().eval()(backbone.tensors(rows, "cpu")).numpy()
    features = make_encoder("minilm", max_length=64).encode(texts)
    np.testing.assert_allclose(found, features, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 64, 64, 3), (5, 20, 30), (5, 100, 70, 3)])
def test_vectors_of_efficientnet_are_its_features(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    backbone = backbone_of("image", "auto")
    rows = backbone.rows(images)  # type: ignore[arg-type]
    with torch.no_grad():
        found = backbone.body().eval()(backbone.tensors(rows, "cpu")).numpy()
    features = make_encoder("efficientnet-lite0", size=64).encode(images)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, features, atol=1e-4)  # sums in another order: 1e-6 of 6


# -- by name, and from what is stored ----------------------------------------------------------


def test_models_that_cannot_be_trained_or_read_other_items(folder: Any) -> None:
    with pytest.raises(BadInput, match="'minilm' does not read images"):
        backbone_of("image", "minilm")
    with pytest.raises(BadInput, match="'efficientnet-lite0' does not read texts"):
        backbone_of("text", "efficientnet-lite0")
    with pytest.raises(BadInput, match="vit"):
        backbone_of("text", folder("vit")[1])
    with pytest.raises(BadInput, match="raw"):
        backbone_of("image", "raw")


@pytest.mark.parametrize("name", ["bert", "vit"])
def test_what_is_stored_rebuilds_the_backbone(name: str, folder: Any) -> None:
    import json

    backbone = backbone_of(*folder(name))
    facts = json.loads(json.dumps(backbone.facts()))
    again = rebuilt(facts, "cpu")
    assert again.facts() == facts
    items = items_of(backbone.modality)
    for mine, theirs in zip(backbone.rows(items), again.rows(items), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(BadInput, match=r"not those .*: weights differ"):
        rebuilt({**facts, "weights": "0" * 64}, "cpu")
    with pytest.raises(StoreDamaged, match="'gru'"):
        rebuilt({"scratch": "gru"}, "cpu")


def test_sizes_and_vocabulary_rebuild_networks_from_scratch() -> None:
    texts, _ = coloured_texts()
    transformer = TransformerBackbone(12, 8, 2, 20)
    transformer.begin(texts)
    again = rebuilt(transformer.facts(), "cpu")
    for mine, theirs in zip(transformer.rows(texts), again.rows(texts), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert again.facts() == transformer.facts()
    assert rebuilt(CNNBackbone(32, 8).facts(), "cpu").facts() == CNNBackbone(32, 8).facts()


# -- rows and views ----------------------------------------------------------------------------


def test_rows_of_texts_are_tokens_and_their_words(folder: Any) -> None:
    backbone = backbone_of(*folder("bert"))
    row, empty, one, long, _ = backbone.rows(TEXTS)
    assert row[WORDS].tolist() == [NO_WORD, 0, 1, 2, NO_WORD]
    assert empty[WORDS].tolist() == [NO_WORD, NO_WORD]
    assert one.shape == (2, 3)
    assert long.shape == (2, 24)
    assert long[WORDS].tolist() == [NO_WORD, *range(22), NO_WORD]


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("strength", ["weak", "strong"])
def test_views_of_texts_keep_order_special_tokens_and_a_word(
    name: str, strength: Strength, folder: Any
) -> None:
    backbone = backbone_of(*folder(name))
    rng = np.random.default_rng(0)
    for row in backbone.rows(TEXTS):
        special = row[:, row[WORDS] == NO_WORD]
        for _ in range(30):
            view = backbone.view(row, strength, rng)
            assert view.dtype == row.dtype
            np.testing.assert_array_equal(view[:, view[WORDS] == NO_WORD], special)
            assert (view[0, 0], view[0, -1]) == (row[0, 0], row[0, -1])
            columns = [tuple(c) for c in row.T.tolist()]
            places = iter(columns)
            assert all(tuple(c) in places for c in view.T.tolist())  # in their order
            if (row[WORDS] != NO_WORD).any():
                assert (view[WORDS] != NO_WORD).any()


def test_views_leave_out_whole_words() -> None:
    backbone = backbone_of("text", "minilm", longest=64)
    text = "antidisestablishmentarianism unbelievably hyperparameters cat dog mouse"
    (row,) = backbone.rows([text])
    assert row.shape[1] > 8 + len(set(row[WORDS].tolist())) - 1  # words of several tokens
    rng = np.random.default_rng(0)
    for _ in range(50):
        view = backbone.view(row, "strong", rng)
        for word in set(view[WORDS].tolist()):
            assert (view[WORDS] == word).sum() == (row[WORDS] == word).sum()


@pytest.mark.parametrize(("strength", "share"), [("weak", 0.1), ("strong", 0.4)])
def test_views_of_texts_leave_out_their_share(
    strength: Strength, share: float, folder: Any
) -> None:
    rng = np.random.default_rng(0)
    text = " ".join(f"{COLOURS[k % 3]}{k % 12}" for k in range(20))
    scratch = TransformerBackbone(40, 8, 1, 100)
    scratch.begin([text, text])
    for backbone in (backbone_of(*folder("bert"), longest=40), scratch):
        (row,) = backbone.rows([text])
        special = 2 if backbone.pretrained else 0
        left = [(backbone.view(row, strength, rng).shape[1] - special) / 20 for _ in range(300)]
        assert np.mean(left) == pytest.approx(1.0 - share, abs=0.03)


@pytest.mark.parametrize("name", ["bert", "vit", "cnn", "transformer", "efficientnet"])
@pytest.mark.parametrize("strength", ["weak", "strong"])
def test_views_depend_on_the_generator_alone(name: str, strength: Strength, folder: Any) -> None:
    backbone: Backbone
    if name == "cnn":
        backbone = CNNBackbone(24, 8)
    elif name == "transformer":
        backbone = TransformerBackbone(24, 8, 1, 100)
        backbone.begin(TEXTS * 2)
    elif name == "efficientnet":
        backbone = backbone_of("image", "auto")
    else:
        backbone = backbone_of(*folder(name))
    rows = backbone.rows(items_of(backbone.modality))
    before = [row.copy() for row in rows]
    found = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        found.append([backbone.view(row, strength, rng) for row in rows for _ in range(4)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    for row, held in zip(rows, before, strict=True):
        np.testing.assert_array_equal(row, held)  # a view is a copy
    if backbone.modality == "image":
        wanted = rows[0]
        assert all((v.shape, v.dtype) == (wanted.shape, wanted.dtype) for v in found[0])
        changed = np.mean([not np.array_equal(found[0][4 * i], row) for i, row in enumerate(rows)])
        assert changed > 0.5
        backbone.tensors(found[0], "cpu")


def test_the_words_of_a_transformer_are_the_frequent_ones_of_the_pool() -> None:
    backbone = TransformerBackbone(4, 8, 1, 2)
    backbone.begin(["the cat the", "the dog", "a Cat!", "dog"])
    assert backbone.facts()["words"] == ["cat", "dog"]  # as often as "the", and before it
    rows = backbone.rows(["Dog cat bird", "", "x", "dog " * 9])
    assert [row.tolist() for row in rows] == [
        [[3, 2, UNKNOWN]],
        [[UNKNOWN]],
        [[UNKNOWN]],
        [[3] * 4],
    ]
    assert backbone.tensors(rows, "cpu")[1].tolist() == [UNKNOWN, PADDING, PADDING, PADDING]
    body = backbone.body().eval()
    with torch.no_grad():
        together = body(backbone.tensors(rows, "cpu"))
        for row, vector in zip(rows, together, strict=True):
            alone = body(backbone.tensors([row], "cpu"))[0]
            torch.testing.assert_close(alone, vector, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bert", "transformer"])
def test_items_that_are_no_texts_are_named(name: str, folder: Any) -> None:
    backbone = (
        TransformerBackbone(4, 8, 1, 9) if name == "transformer" else backbone_of(*folder(name))
    )
    with pytest.raises(BadInput, match="item 1 is NoneType"):
        backbone.rows(["red1", None])


# -- the shelf ---------------------------------------------------------------------------------


def shelf_of(backbone: Backbone, memory: float = 1.0) -> Shelf:
    below, _ = adapted(backbone, "last", 1, 0)
    return Shelf(backbone, below, memory, "cpu")


def test_batches_hold_each_input_once_and_like_sizes_together() -> None:
    rows = [np.full((2, n), k) for k, n in enumerate((3, 9, 9, 1, 5) * 40)]
    sizes: list[list[int]] = []

    def first(some: list[np.ndarray]) -> Any:
        sizes.append([row.size for row in some])
        return torch.tensor([[float(row[0, 0]), float(row.size)] for row in some])

    found = in_batches(rows, first)
    np.testing.assert_array_equal(found[:, 0], np.arange(200))
    np.testing.assert_array_equal(found[:, 1], [row.size for row in rows])
    assert found.dtype == np.float32
    flat = [size for part in sizes for size in part]
    assert flat == sorted(flat, reverse=True)
    assert max(map(len, sizes)) <= 64
    assert len(in_batches([], first)) == 0


def test_a_shelf_makes_rows_and_activations_once(
    folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = shelf_of(backbone_of(*folder("bert")))
    calls = {"rows": 0, "below": 0}
    rows_of, forward = shelf.backbone.rows, shelf.below.forward

    def counted_rows(items: Any) -> Any:
        calls["rows"] += 1
        return rows_of(items)

    def counted_forward(batch: Any) -> Any:
        calls["below"] += len(batch["input_ids"]) > 1  # one alone tells the size
        return forward(batch)

    monkeypatch.setattr(shelf.backbone, "rows", counted_rows)
    monkeypatch.setattr(shelf.below, "forward", counted_forward)
    pool, test = [*TEXTS], [*TEXTS[:3]]
    for _ in range(3):
        first, second = shelf.states(pool), shelf.states(test)
        assert first is not None
        assert second is not None
        assert (len(first), len(second)) == (5, 3)
    assert calls == {"rows": 2, "below": 2}
    assert shelf.states([*TEXTS]) is first  # the same content
    for one, other in zip((first or [])[:3], second or [], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_list_that_was_changed_is_read_again(folder: Any) -> None:
    shelf = shelf_of(backbone_of(*folder("bert")))
    items = [*TEXTS]
    assert len(shelf.rows(items)) == 5
    items.append("red7")
    assert len(shelf.rows(items)) == 6
    wanted = [row.tolist() for row in shelf.rows(items)][::-1]
    items.reverse()
    assert [row.tolist() for row in shelf.rows(items)] == wanted


def test_an_array_that_was_changed_is_read_again() -> None:
    truth = np.arange(12) % 3
    images = np.stack(coloured_images(truth))
    learner = make("cnn", {"steps": 2, "size": 8})
    training = Training(
        np.zeros((len(images), 1)), np.arange(6), truth[:6], 3, items=images, modality="image"
    )
    first = learner.fit(training, np.random.default_rng(0))
    batch = images[:6].copy()
    before = first.predict_proba(batch)
    batch[:] = images[6:12]
    assert np.array_equal(first.predict_proba(batch), first.predict_proba(images[6:12].copy()))
    assert not np.array_equal(first.predict_proba(batch), before)
    images[:] = images[::-1].copy()
    again = learner.fit(training, np.random.default_rng(0))
    fresh = make("cnn", {"steps": 2, "size": 8}).fit(training, np.random.default_rng(0))
    assert np.array_equal(again.predict_proba(batch), fresh.predict_proba(batch))
    assert not np.array_equal(again.predict_proba(batch), first.predict_proba(batch))


@pytest.mark.parametrize("memory", [1e-9, 1.0])
def test_activations_are_kept_where_they_fit(memory: float, folder: Any) -> None:
    shelf = shelf_of(backbone_of(*folder("bert")), memory)
    states = shelf.states(TEXTS)
    assert (states is None) == (memory < 1.0)
    assert shelf.states([]) == []
    if states is not None:
        needed = sum(s.nbytes for s in states) / 2**30
        for factor, copies, fits in ((1.01, 1, True), (0.99, 1, False), (1.01, 2, False)):
            small = shelf_of(shelf.backbone, needed * factor)
            assert (small.states(TEXTS, copies) is not None) == fits


def test_files_of_other_content_are_other_items(tmp_path: Path) -> None:
    import os

    from PIL import Image

    backbone = CNNBackbone(8, 8)
    shelf = Shelf(backbone, None, 1.0, "cpu")
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    assert shelf.rows([path])[0].max() == 0
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(path)
    os.utime(path, ns=(1, 1))
    assert shelf.rows([path])[0].max() == 200
    for items in (np.zeros((2, 8, 8), np.uint8), np.ones((2, 8, 8), np.uint8)):
        assert shelf.rows(items)[0].max() == items.max()  # type: ignore[arg-type]
