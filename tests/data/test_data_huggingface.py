"""Hugging Face data sets made by the test itself; the hub is never reached."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets
import numpy as np
import pytest

from labeltrain.data import load, read_image
from labeltrain.errors import BadInput, MissingExtra


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def texts(rows: list[str], labels: list[int]) -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes", "x"])}
    )
    return datasets.Dataset.from_dict({"text": rows, "label": labels}, features=features)


def test_saved_dictionary_with_train_and_test(tmp_path: Path) -> None:
    splits = {
        "train": texts(["a", "b", "c"], [1, 0, -1]),
        "validation": texts(["v"], [0]),
        "test": texts(["d", "e"], [1, 1]),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "d")
    for source in (str(tmp_path / "d"), f"hf:{tmp_path / 'd'}"):
        data = load(source)
        assert data.items == ["a", "b", "c", "d", "e"]
        assert data.classes == ("no", "yes", "x")
        assert data.labels is not None
        assert data.labels.tolist() == [1, 0, -1, 1, 1]
        assert data.test is not None
        assert data.test.tolist() == [3, 4]
        assert data.facts["left out"] == "splits validation"
    other = load(tmp_path / "d", train_split="validation", test_split="")
    assert (other.items, other.test) == (["v"], None)
    with pytest.raises(BadInput, match=r"no split 'vaildation'.*\n.*did you mean 'validation'"):
        load(tmp_path / "d", test_split="vaildation")


def test_saved_single_data_set(tmp_path: Path) -> None:
    texts(["a", "b"], [0, 1]).save_to_disk(tmp_path / "d")
    data = load(tmp_path / "d")
    assert (data.items, data.test) == (["a", "b"], None)


def test_folder_of_data_files(tmp_path: Path) -> None:
    folder = tmp_path / "repo" / "data"
    folder.mkdir(parents=True)
    texts(["a", "b"], [0, 1]).to_parquet(str(folder / "train-00000-of-00001.parquet"))
    texts(["c"], [1]).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    data = load(tmp_path / "repo")
    assert data.items == ["a", "b", "c"]
    assert data.classes == ("no", "yes", "x")
    assert data.test is not None
    assert data.test.tolist() == [2]


def test_images_are_kept_by_content(tmp_path: Path) -> None:
    pixels = [np.full((5, 4 + i, 3), 50 * i, dtype=np.uint8) for i in range(3)]
    made = datasets.Dataset.from_dict(
        {"img": pixels, "label": [0, 1, 0]},
        features=datasets.Features(
            {"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
        ),
    )
    made.save_to_disk(tmp_path / "d")
    data = load(tmp_path / "d")
    assert data.modality == "image"
    for item, wanted in zip(data.items, pixels, strict=True):
        assert np.array_equal(np.asarray(read_image(item)), wanted)
    assert load(tmp_path / "d").items == data.items


def test_lists_of_classes_are_multilabel(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.List(datasets.ClassLabel(names=["a", "b", "c"])),
        }
    )
    rows = {"text": ["x", "y"], "label": [[0, 2], []]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "d")
    data = load(tmp_path / "d")
    assert (data.kind, data.classes) == ("multilabel", ("a", "b", "c"))
    assert data.labels is not None
    assert data.labels.tolist() == [[1, 0, 1], [0, 0, 0]]


def test_splits_without_a_train(tmp_path: Path) -> None:
    splits = {"one": texts(["a"], [0]), "two": texts(["b"], [1])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "d")
    with pytest.raises(BadInput, match="no split is called train; splits: one, two"):
        load(tmp_path / "d")
    assert load(tmp_path / "d", train_split="one", test_split="two").items == ["a", "b"]


def test_a_name_that_cannot_be_reached() -> None:
    with pytest.raises(BadInput, match="'nobody/nothing' cannot be read") as caught:
        load("hf:nobody/nothing")
    assert "network" in caught.value.remedy


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"labeltrain\[hf\]"):
        load("hf:imdb")
