"""Models in the layout of the Hugging Face hub, from a folder made by the test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from labeltrain.encoders import make
from labeltrain.errors import AssetUnavailable, BadInput

TEXTS = ["the cat sat", "a", "the dogs ran fast on the mat", "the cat sat", "zzz unknown"]


def copy(model: Path, to: Path) -> Path:
    return Path(shutil.copytree(model, to / "model"))


def reference(folder: Path, texts: list[str], pooling: str, longest: int = 32) -> np.ndarray:
    """One text at a time, without padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)
            states = model(**tokens).last_hidden_state[0]
            rows.append({"mean": states.mean(0), "cls": states[0], "max": states.amax(0)}[pooling])
    return torch.stack(rows).numpy()


def sentence_files(folder: Path, pooling: str, *, normalise: bool, longest: int) -> None:
    layers = ["Transformer", "Pooling"] + ["Normalize"] * normalise
    modules = [
        {"idx": i, "name": str(i), "path": "1_Pooling" if i == 1 else "", "type": f"st.models.{k}"}
        for i, k in enumerate(layers)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    key = {"cls": "pooling_mode_cls_token"}.get(pooling, f"pooling_mode_{pooling}_tokens")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({key: True}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest}))


def test_plain_model_takes_the_mean_over_tokens(text_model: Path) -> None:
    for name in (str(text_model), f"hf:{text_model}"):
        encoder = make(name)
        array = encoder.encode(TEXTS)
        assert (array.dtype, array.shape, encoder.dimension) == (np.float32, (5, 16), 16)
        np.testing.assert_allclose(array, reference(text_model, TEXTS, "mean"), atol=1e-5)
        assert np.array_equal(array[0], array[3])


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalise", [True, False])
def test_sentence_files_are_honoured(
    text_model: Path, tmp_path: Path, pooling: str, normalise: bool
) -> None:
    folder = copy(text_model, tmp_path)
    sentence_files(folder, pooling, normalise=normalise, longest=5)
    wanted = reference(text_model, TEXTS, pooling, longest=5)
    if normalise:
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    encoder = make(str(folder))
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted, atol=1e-5)
    assert encoder.fingerprint()["max_length"] == 5


def test_the_model_limits_the_length(text_model: Path) -> None:
    long = "cat " * 100
    encoder = make(str(text_model), max_length=1000)
    assert encoder.fingerprint()["max_length"] == 32
    np.testing.assert_allclose(
        encoder.encode([long]), reference(text_model, [long], "mean"), atol=1e-5
    )
    short = make(str(text_model), max_length=4)
    np.testing.assert_allclose(
        short.encode([long]), reference(text_model, [long], "mean", longest=4), atol=1e-5
    )
    assert short.fingerprint() != encoder.fingerprint()


def test_many_texts_of_many_lengths_stay_in_order(text_model: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "mat", "red", "blue", "fast"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 30))) for _ in range(80)]
    np.testing.assert_allclose(
        make(str(text_model)).encode(texts), reference(text_model, texts, "mean"), atol=1e-5
    )


def test_image_model_uses_the_class_token_and_no_random_pooler(image_model: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    encoder = make(f"hf:{image_model}")
    array = encoder.encode(images)
    assert (array.dtype, array.shape, encoder.dimension) == (np.float32, (3, 16), 16)

    import torch
    from transformers import ViTForImageClassification

    model = ViTForImageClassification.from_pretrained(image_model).eval()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    with torch.no_grad():
        states = model(pixels, output_hidden_states=True).hidden_states[-1]
        wanted = model.vit.layernorm(states)[:, 0].numpy()
    np.testing.assert_allclose(array, wanted, atol=1e-4)
    assert np.array_equal(make(str(image_model)).encode(images), array)


def test_a_trained_pooler_is_used(image_model: Path, tmp_path: Path) -> None:
    from transformers import ViTModel

    folder = copy(image_model, tmp_path)
    ViTModel.from_pretrained(folder).save_pretrained(folder)
    images = np.zeros((2, 20, 10), dtype=np.uint8)
    assert not np.allclose(make(str(folder)).encode(images), make(str(image_model)).encode(images))


def test_pickled_weights_are_refused(text_model: Path, tmp_path: Path) -> None:
    import torch

    folder = copy(text_model, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="no safetensors weights"):
        make(str(folder))


def test_damaged_weights_are_named(text_model: Path, tmp_path: Path) -> None:
    folder = copy(text_model, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"model .* cannot be loaded"):
        make(str(folder)).encode(TEXTS)


def test_missing_weights_are_never_random(text_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(text_model, tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "layer.1" in name)]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match="lack 1 tensors"):
        make(str(folder)).encode(TEXTS)


def test_code_in_a_repository_is_never_run(text_model: Path, tmp_path: Path) -> None:
    folder = copy(text_model, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(BadInput, match="cannot be loaded"):
        make(str(folder)).encode(TEXTS)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", [{"type": "st.models.Dense"}], "layer of kind 'Dense'"),
        ("modules.json", [{"type": "st.models.Pooling", "path": "none"}], "no config.json"),
        ("config.json", None, "no JSON"),
    ],
)
def test_layouts_that_are_not_supported(
    text_model: Path, tmp_path: Path, file: str, content: object, message: str
) -> None:
    folder = copy(text_model, tmp_path)
    (folder / file).write_text(json.dumps(content) if content else "{")
    with pytest.raises(BadInput, match=message):
        make(str(folder)).encode(TEXTS)


def test_pooling_that_is_not_supported(text_model: Path, tmp_path: Path) -> None:
    folder = copy(text_model, tmp_path)
    sentence_files(folder, "mean", normalise=False, longest=9)
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps({"pooling_mode": "lasttoken"}))
    with pytest.raises(BadInput, match="pooling lasttoken is not supported"):
        make(str(folder)).encode(TEXTS)
    path.write_text(json.dumps({"pooling_mode": "cls"}))
    np.testing.assert_allclose(
        make(str(folder)).encode(TEXTS), reference(text_model, TEXTS, "cls", longest=9), atol=1e-5
    )


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no config\.json"):
        make(str(tmp_path))


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(AssetUnavailable, match="nobody/nothing") as caught:
        make("hf:nobody/nothing")
    assert "network" in caught.value.remedy
    with pytest.raises(AssetUnavailable):
        make("hf:no such name!")


def test_weights_and_settings_are_in_the_fingerprint(text_model: Path, tmp_path: Path) -> None:
    folder = copy(text_model, tmp_path)
    before = make(str(folder)).fingerprint()
    assert before == make(str(text_model)).fingerprint()
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"cat"', '"cow"'))
    assert make(str(folder)).fingerprint() != before
