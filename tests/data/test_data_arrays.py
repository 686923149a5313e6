"""Arrays in .npz and .npy files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeltrain.data import load
from labeltrain.errors import BadInput

X = np.arange(12.0).reshape(4, 3)


def save(folder: Path, **arrays: Any) -> Path:
    path = folder / "a.npz"
    np.savez(path, **arrays)
    return path


def test_features_with_everything(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        X=X,
        y=np.array(["b", "a", "", "b"]),
        ids=np.array(["p", "q", "r", "s"]),
        test=np.array([False, True, False, True]),
    )
    data = load(path)
    assert (data.modality, data.kind, data.classes) == ("features", "multiclass", ("a", "b"))
    assert data.ids == ("p", "q", "r", "s")
    assert isinstance(data.items, np.ndarray)
    assert data.items.dtype == np.float32
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0, -1, 1]
    assert data.test is not None
    assert data.test.tolist() == [1, 3]


def test_class_names_for_whole_numbers(tmp_path: Path) -> None:
    path = save(tmp_path, X=X, y=[2, -1, 0, 2], classes=["cat", "dog", "eel"], test=[3, 0])
    data = load(path)
    assert data.classes == ("cat", "dog", "eel")
    assert data.labels is not None
    assert data.labels.tolist() == [2, -1, 0, 2]
    assert data.test is not None
    assert data.test.tolist() == [0, 3]


def test_without_class_names_minus_one_is_no_class(tmp_path: Path) -> None:
    data = load(save(tmp_path, X=X, y=[5, -1, 7, 5]))
    assert data.classes == ("5", "7")
    assert data.labels is not None
    assert data.labels.tolist() == [0, -1, 1, 0]


def test_multilabel(tmp_path: Path) -> None:
    data = load(save(tmp_path, X=X, y=np.array([[1, 0], [0, 0], [-1, -1], [1, 1]])))
    assert (data.kind, data.classes) == ("multilabel", ("0", "1"))
    assert data.labels is not None
    assert data.labels.dtype == np.int8
    assert data.labels[2].tolist() == [-1, -1]


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 3)])
def test_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = load(save(tmp_path, X=np.zeros(shape, dtype=np.uint8)))
    assert (data.modality, data.kind, len(data)) == ("image", "none", 5)


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    data = load(tmp_path / "a.npy")
    assert np.array_equal(np.asarray(data.items), X.astype(np.float32))
    assert (data.ids, data.labels) == (("0", "1", "2", "3"), None)
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match="pickled objects"):
        load(tmp_path / "o.npy")


NAN = X.copy()
NAN[1, 2], NAN[3, 0] = np.nan, np.inf

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"Y": X}, "unknown arrays 'Y'"),
    ({"X": X, "labels": [1, 2, 3, 4]}, "unknown arrays 'labels'"),
    ({"y": [1, 2]}, "no array X"),
    ({"X": NAN, "ids": ["a", "b", "c", "d"]}, "features of items 'b', 'd' hold NaN or infinity"),
    ({"X": np.full((2, 2), 1e300)}, "items '0', '1' hold NaN or infinity"),
    ({"X": X, "ids": ["a", "b", "a", "b"]}, "repeated: 'a', 'b'"),
    ({"X": X, "ids": ["a"]}, r"ids has shape \(1,\), X has 4 items"),
    ({"X": X, "y": [1, 2]}, r"y has shape \(2,\)"),
    ({"X": X, "y": [0, 1, 2, 3], "classes": ["a", "b"]}, "item '2' has the label 2, outside the 2"),
    ({"X": X, "y": [0.5, 1, 2, 3]}, "item '0' has the label 0.5"),
    ({"X": X, "y": X}, "y of dtype float64"),
    ({"X": X, "y": np.eye(4, dtype=int), "classes": ["a"]}, "1 class names for 4 columns"),
    ({"X": X, "y": [0, 1, 0, 1], "test": [0, 9]}, "different positions from 0 to 3"),
    ({"X": X, "y": [0, 1, 0, 1], "test": [0, 0]}, "different positions from 0 to 3"),
    ({"X": np.zeros((0, 3))}, "no items"),
    ({"X": np.array(["a", "b"])}, "items of dtype <U1"),
    ({"X": np.zeros((2, 3, 4))}, "images are uint8"),
    ({"X": np.float64(3)}, "shape"),
    ({"X": X + 1j}, "complex128"),
    ({"X": np.array([[1, None]], dtype=object)}, "pickled objects, which are never read"),
]


@pytest.mark.parametrize(("arrays", "message"), BROKEN)
def test_broken_arrays_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load(save(tmp_path, **arrays))
    assert "a.npz" in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path, X=X)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="no sound NumPy file"):
        load(path)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_npz_round_trip(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    d = data.draw(st.integers(1, 5))
    finite = st.floats(-(2.0**99), 2.0**99, width=32)
    features = data.draw(hnp.arrays(np.float32, (n, d), elements=finite))
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(-1, 20)))
    assume(set(labels.tolist()) not in ({-1, 1}, {-1, 0, 1}))  # refused: -1 may be a class
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(save(Path(folder), X=features, y=labels))
    assert np.array_equal(np.asarray(loaded.items), features)
    codes = np.full(n, -1) if loaded.labels is None else loaded.labels
    assert [int(loaded.classes[c]) if c >= 0 else -1 for c in codes] == labels.tolist()


def test_an_npy_file_under_the_wrong_suffix(tmp_path: Path) -> None:
    with open(tmp_path / "a.npz", "wb") as stream:
        np.save(stream, X)
    with pytest.raises(BadInput, match="no sound NumPy file"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("y", [[-1, 1, 1, -1], [-1, 0, 1, 0]])
def test_minus_one_that_may_be_a_class_is_refused(tmp_path: Path, y: list[int]) -> None:
    with pytest.raises(BadInput, match=r"-1 means .* no label.*\n.*strings"):
        load(save(tmp_path, X=X, y=y))
    strings = load(save(tmp_path, X=X, y=np.array(y).astype(str)))
    assert "-1" in strings.classes
    named = load(save(tmp_path, X=X, y=y, classes=["no", "yes"]))
    assert named.facts["without a label"] == f"{y.count(-1)} of 4 items"


def test_unlabelled_items_are_counted(tmp_path: Path) -> None:
    assert load(save(tmp_path, X=X, y=[5, -1, 7, -1])).facts["without a label"] == "2 of 4 items"
    assert "without a label" not in load(save(tmp_path, X=X, y=[5, 1, 7, 1])).facts


def test_ids_are_stripped_and_on_one_line(tmp_path: Path) -> None:
    assert load(save(tmp_path, X=X, ids=[" a", "b ", "c", "d d"])).ids == ("a", "b", "c", "d d")
    with pytest.raises(BadInput, match="repeated: 'a'"):
        load(save(tmp_path, X=X, ids=[" a", "a ", "c", "d"]))
    for mark in ("\n", "\t", "\r", "\u2028"):
        with pytest.raises(BadInput, match="line break or a tab"):
            load(save(tmp_path, X=X, ids=[f"a{mark}b", "b", "c", "d"]))


def test_class_names_are_one_in_either_normal_form(tmp_path: Path) -> None:
    data = load(save(tmp_path, X=X, y=["\u00e9", "e\u0301", "a", "a"]))
    assert data.classes == ("a", "\u00e9")
    data = load(save(tmp_path, X=X, y=["e\u0301", "\u00e9", "a", "a"], classes=["a", "e\u0301"]))
    assert data.labels is not None
    assert (data.classes, data.labels.tolist()) == (("a", "\u00e9"), [1, 1, 0, 0])
    for y in ([0, 1, 0, 1], np.eye(4, 2, dtype=int)):
        with pytest.raises(BadInput, match="given twice"):
            load(save(tmp_path, X=X, y=y, classes=["e\u0301", "\u00e9"]))
