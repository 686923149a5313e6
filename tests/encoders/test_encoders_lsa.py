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
from labeltrain.projects import load_model


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


def test_what_was_learned_encodes_texts_that_come_later() -> None:
    given = texts()
    encoder = make("lsa", dimensions=8)
    fitted = encoder.fitted(given)
    assert not fitted.whole
    assert encoder.whole
    np.testing.assert_array_equal(fitted.encode(given), encoder.encode(given))
    later = fitted.encode(["sea1 sea2 sea2", "unknown", ""])
    np.testing.assert_allclose(np.linalg.norm(later, axis=1), [1.0, 0.0, 0.0], atol=1e-6)
    one_by_one = np.concatenate([fitted.encode([text]) for text in given])
    np.testing.assert_array_equal(one_by_one, fitted.encode(given))
    again = make("lsa", dimensions=8).restored(fitted.state())
    np.testing.assert_array_equal(again.encode(given), fitted.encode(given))
    assert again.fingerprint() == fitted.fingerprint()
    assert fitted.fingerprint() != encoder.fitted(given[1:]).fingerprint()


def test_words_of_any_alphabet_are_kept() -> None:
    given = ["die blaue Blume", "blaue Blume", "小さな 赤い 花 です", "赤い 花 です"]
    fitted = make("lsa", dimensions=2).fitted(given)
    again = make("lsa").restored(fitted.state())
    np.testing.assert_array_equal(again.encode(given), fitted.encode(given))
    assert np.linalg.norm(again.encode(["Blume", "赤い"]), axis=1).min() > 0.9


@pytest.mark.parametrize("broken", ["words", "idf", "directions"])
def test_a_damaged_state_is_refused(broken: str) -> None:
    state = make("lsa", dimensions=8).fitted(texts()).state()
    with pytest.raises(BadInput, match="learned is damaged"):
        make("lsa").restored({k: v for k, v in state.items() if k != broken})
    with pytest.raises(BadInput, match="learned is damaged"):
        make("lsa").restored({**state, "directions": state["directions"][:, 1:]})
    with pytest.raises(BadInput, match="learned is damaged"):
        make("lsa").restored({**state, "idf": state["idf"][1:]})


def test_an_encoder_that_learns_nothing_refuses_a_state() -> None:
    assert make("minilm").state() == {}
    with pytest.raises(BadInput, match="learns nothing"):
        make("minilm").restored({"words": np.zeros(1)})


def later(name: str) -> list[str]:
    return [f"{name}{k} {name}{k + 1} {name}{k}" for k in range(5)]


@pytest.mark.parametrize("encoder", ["lsa", "minilm+lsa"])
def test_a_project_predicts_texts_that_come_later(tmp_path: Path, encoder: str) -> None:
    options = {"dimensions": 8, **({"max_length": 16} if "+" in encoder else {})}
    folder = tmp_path / "p"
    project = labeltrain.Project.new(
        folder, str(source(tmp_path)), encoder=encoder, encoder_options=options
    )
    with project:
        project.model().save(tmp_path / "m.npz")
        own = [row["label"] for row in project.predict()]
        borrowed = [row["label"] for row in project.predict(model=tmp_path / "m.npz")]
    assert own == borrowed
    saved = load_model(tmp_path / "m.npz")
    assert saved.predict(later("sea")) == ["sea"] * 5
    assert saved.predict(later("rose")) == ["rose"] * 5
    given = texts()
    np.testing.assert_allclose(
        saved.predict_proba(given[:3]), saved.predict_proba(given)[:3], atol=1e-6
    )


def test_a_model_on_features_that_were_learned_elsewhere_is_refused(tmp_path: Path) -> None:
    first = str(source(tmp_path))
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "u.csv").write_text("\n".join(lines[:-4]) + "\n", encoding="utf-8")
    with labeltrain.Project.new(tmp_path / "p", first, encoder="lsa") as project:
        project.model().save(tmp_path / "m.npz")
    other = labeltrain.Project.new(tmp_path / "q", str(tmp_path / "u.csv"), encoder="lsa")
    with other, pytest.raises(BadInput, match="learned from other items"):
        other.predict(model=tmp_path / "m.npz")


def test_features_that_went_missing_are_learned_again(tmp_path: Path) -> None:
    given = str(source(tmp_path))
    with labeltrain.Project.new(tmp_path / "p", given, encoder="lsa") as project:
        before = project.features().copy()
        name = project.state.encoded["arrays"]
    (tmp_path / "p" / "arrays" / f"{name}.npz").unlink()
    with labeltrain.Project.open(tmp_path / "p") as project:
        with pytest.warns(UserWarning, match="encoded again"):
            project.features()
        np.testing.assert_array_equal(project.features(), before)
        assert set(project.encoder_state()) == {"words", "idf", "directions"}
