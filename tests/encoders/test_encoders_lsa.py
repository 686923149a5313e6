"""Latent semantic analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

import labeltrain
from labeltrain.encoders import make
from labeltrain.errors import BadInput


def texts(n: int = 60) -> list[str]:
    rng = np.random.default_rng(3)
    words = [[f"{name}{k}" for k in range(10)] for name in ("sea", "rose")]
    return [" ".join(rng.choice(words[i % 2], 8)) for i in range(n)]


def test_it_is_the_singular_vectors_of_tf_idf() -> None:
    given = texts()
    rows = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(given).toarray()
    _left, _values, right = np.linalg.svd(rows, full_matrices=False)
    wanted = rows @ right[:5].T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = make("lsa", dimensions=5).encode(given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=5e-3)


def test_it_is_the_same_again_and_follows_the_order() -> None:
    given = texts()
    found = make("lsa").encode(given)
    np.testing.assert_array_equal(found, make("lsa").encode(given))
    order = np.random.default_rng(0).permutation(len(given))
    moved = make("lsa").encode([given[i] for i in order])
    np.testing.assert_allclose(moved @ moved.T, (found @ found.T)[np.ix_(order, order)], atol=5e-3)


def test_fewer_texts_or_words_than_dimensions() -> None:
    assert make("lsa", dimensions=100).encode(texts(12)).shape == (12, 11)
    assert make("lsa").encode(["a red rose", "red rose", ""]).shape[0] == 3


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["one", "two"], "no word is in two"),
        (["", ""], "no word is in two"),
        (["a text", 3], "item 1 is int"),
        ("a text", "given str"),
    ],
)
def test_bad_items_are_refused(items: Any, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        make("lsa").encode(items)


@pytest.mark.parametrize("dimensions", [1, 2.5, True, "9"])
def test_bad_dimensions_are_refused(dimensions: Any) -> None:
    with pytest.raises(BadInput, match="dimensions is"):
        make("lsa", dimensions=dimensions)


def source(folder: Path) -> Path:
    path = folder / "t.csv"
    rows = [f"{text},{'rose' if i % 2 else 'sea'}" for i, text in enumerate(texts())]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_study_runs_on_it_and_resumes(tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "dataset": str(source(tmp_path)), "encoder": "lsa", "encoder_options": {"dimensions": 8},
        "strategies": "margin", "batch": 5, "seeds": 1, "rounds": 2,
    }  # fmt: skip
    results = labeltrain.run(**spec, workspace=tmp_path / "w")
    assert results.curves[0].scores["accuracy"][-1] == 1.0
    assert labeltrain.run(**spec, workspace=tmp_path / "w").complete


def test_a_project_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'lsa' encodes all items together"):
        labeltrain.Project.new(tmp_path / "p", str(source(tmp_path)), encoder="lsa")
