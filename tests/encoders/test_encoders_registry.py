"""Encoders by name, and the raw encoder."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from labeltrain.data import Dataset, Modality, Table, load
from labeltrain.encoders import default_for, describe, features, make, names
from labeltrain.errors import BadInput, MissingExtra


def test_every_modality_has_a_default_that_reads_it() -> None:
    for modality in get_args(Modality):
        assert modality in make(default_for(modality)).modalities
    with pytest.raises(BadInput, match="unknown modality 'sound'"):
        default_for("sound")  # type: ignore[arg-type]


def test_described_names_and_options_are_real() -> None:
    assert [row["name"] for row in describe()] == names()
    for row in describe():
        encoder = make(row["name"])
        assert set(row["modalities"]) == encoder.modalities
        assert encoder.name == row["name"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("minilmm", {}, "did you mean 'minilm'.*hf:NAME"),
        ("minilm", {"max_len": 3}, "no option 'max_len'.*\n.*did you mean 'max_length'"),
        ("minilm", {"max_length": 0}, "max_length is 0"),
        ("minilm", {"max_length": "128"}, "max_length is '128'"),
        ("raw", {"sizes": 3}, "no option 'sizes'"),
        ("raw", {"size": 0}, "size is 0.*\n.*side of a square"),
        ("raw", {"size": True}, "size is True"),
        ("efficientnet-lite0", {"size": 100}, "size is 100.*\n.*multiple of 32"),
    ],
)
def test_wrong_names_and_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=f"(?s){message}"):
        make(name, **options)


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_wrong_devices(device: str) -> None:
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(BadInput, match=f"device '{device}'"):
        make("minilm", device=device).fingerprint()


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"labeltrain\[hf\]"):
        make("efficientnet-lite0").fingerprint()


def test_a_mismatch_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    for name, right in [("minilm", "raw"), ("efficientnet-lite0", "raw")]:
        with pytest.raises(BadInput, match="holds features items") as caught:
            features(load("digits"), make(name))
        assert right in caught.value.remedy
    assert not (tmp_path / "cache").exists()


def test_raw_features_are_unchanged() -> None:
    digits = load("digits")
    result = features(digits, make("raw"))
    assert np.array_equal(result.array, np.asarray(digits.items))
    assert not result.from_cache


def test_raw_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), dtype=np.uint8)
    array = make("raw").encode(images)  # type: ignore[arg-type]
    assert (array.shape, array.dtype) == ((5, 36), np.float32)
    assert np.array_equal(array, images.reshape(5, -1).astype(np.float32) / np.float32(255))
    with pytest.raises(BadInput, match=r"size: 32.*efficientnet-lite0"):
        make("raw").encode(["a.png"])


def test_raw_pixels_of_files_and_of_several_shapes_are_scaled(tmp_path: Path) -> None:
    from PIL import Image

    red = np.zeros((8, 6, 3), dtype=np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    Image.new("RGBA", (5, 5), (0, 0, 0, 0)).save(tmp_path / "nothing.png")
    grey = np.full((4, 4), 51, dtype=np.uint8)
    encoder = make("raw", size=4)
    items = [str(tmp_path / "red.png"), tmp_path / "nothing.png", grey]
    array = encoder.encode(items)
    assert (array.shape, array.dtype) == ((3, 48), np.float32)
    assert np.array_equal(array[0].reshape(16, 3), np.tile(np.float32([1, 0, 0]), (16, 1)))
    assert np.array_equal(array[1], np.ones(48))  # transparent: white
    assert np.array_equal(array[2], np.full(48, np.float32(51) / np.float32(255)))
    assert encoder.encode([]).shape == (0, 48)
    assert encoder.fingerprint() != make("raw").fingerprint()
    for none in (Table({"a": np.array([1.0])}), np.zeros((2, 3))):
        with pytest.raises(BadInput, match="size=4 scales images"):
            encoder.encode(none)  # type: ignore[arg-type]


def test_raw_pixels_of_image_files_in_a_study() -> None:
    emoji, rows = load("emoji"), np.arange(4)
    made = features(emoji, make("raw", size=8), positions=rows)
    assert made.array.shape == (4, 192)
    again = features(emoji, make("raw", size=8), positions=rows)
    assert again.from_cache  # each image alone
    np.testing.assert_array_equal(again.array, made.array)


def test_raw_table() -> None:
    table = Table(
        {
            "n": np.array([1.0, 3.0, np.nan, 5.0]),
            "constant": np.full(4, 7.0),
            "huge": np.array([-1e300, 1e300, -1e300, 1e300]),
            "none": np.full(4, np.nan),
            "c": np.array(["b", "a", "", "b"], dtype=object),
        }
    )
    array = make("raw").encode(table)
    step = np.float32(np.sqrt(1.5))
    wanted = np.array(
        [
            [-step, 0, 0, step],
            [0, 0, 1, 0],
            [0, 0, 0, 0],
            [-1, 1, -1, 1],
            [0, 0, 0, 0],
            [0, 1, 0, 0],
            [1, 0, 0, 1],
        ],
        dtype=np.float32,
    ).T
    np.testing.assert_allclose(array, wanted, atol=1e-6)
    assert array.dtype == np.float32


def test_raw_table_keeps_the_most_frequent_categories() -> None:
    values = np.array([f"v{i:03d}" for i in range(150)] + ["v149"] * 3, dtype=object)
    array = make("raw").encode(Table({"c": values}))
    assert array.shape == (153, 100)
    assert array[-1].sum() == 1
    assert array[120].sum() == 0


def test_raw_table_does_not_depend_on_row_order() -> None:
    rng = np.random.default_rng(0)
    table = Table({"n": rng.normal(size=50), "c": np.array(list("abcde" * 10), dtype=object)})
    order = rng.permutation(50)
    np.testing.assert_allclose(
        make("raw").encode(table)[order], make("raw").encode(table.take(order)), atol=1e-6
    )


def test_a_table_goes_through_features() -> None:
    table = Table({"n": np.arange(6.0)})
    data = Dataset(name="t", modality="table", items=table, ids=tuple("abcdef"))
    whole = features(data, make("raw"))
    some = features(data, make("raw"), positions=np.array([3, 1]))
    assert np.array_equal(some.array, whole.array[[3, 1]])
    assert whole.array.mean() == pytest.approx(0, abs=1e-6)


def test_importing_brings_in_nothing_heavy() -> None:
    code = (
        "import sys, labeltrain.encoders, labeltrain.data\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'pyarrow', 'PIL', 'datasets', 'pandas'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_raw_warns_of_columns_on_different_scales() -> None:
    X = np.random.default_rng(0).normal(size=(50, 70)).astype(np.float32)
    X[:, 5] = 3.1  # constant
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(make("raw").encode(X), X)
        make("raw").encode(X[:1])
        make("raw").encode(X * np.float32(1e-20))
    X[:, 66] *= 1e5
    with pytest.warns(UserWarning, match=r"column 66 has .*e\+0[45], column \d+.*Standardise"):
        assert np.array_equal(make("raw").encode(X), X)


def test_dead_columns_of_an_embedding_are_no_reason_to_warn(
    recwarn: pytest.WarningsRecorder,
) -> None:
    X = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    X[:, 3] *= 1e-30  # MiniLM has such a dimension
    make("raw").encode(X)
    assert not recwarn.list
