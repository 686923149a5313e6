"""TF-IDF: the contract, the definition, and studies of texts from scratch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.learners import Training, make
from labeltrain.learners.tfidf import Tfidf
from labeltrain.testing import LearnerContract

WORDS = {
    "sport": "goal match team cup",
    "money": "share profit bank loan",
    "food": "rice fish salt",
}


class TestTfidf(LearnerContract):
    learner = Tfidf
    kinds = ("multiclass",)


def texts(n: int = 90) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 3
    names = list(WORDS)
    return [" ".join(rng.choice(WORDS[names[c]].split(), 5)) for c in truth], truth


@pytest.mark.parametrize("classes", [2, 3])
def test_predictions_are_those_of_scikit_learn(classes: int) -> None:
    items, truth = texts()
    labelled = np.flatnonzero(truth < classes)[:30]
    training = Training(np.zeros((90, 1)), labelled, truth[labelled], classes, items=items)
    model = make("tfidf", {"strength": 3.0}).fit(training, np.random.default_rng(0))
    vectoriser = TfidfVectorizer(sublinear_tf=True, min_df=2)
    rows = vectoriser.fit_transform(items)
    fitted = LogisticRegression(C=3.0, max_iter=1000).fit(rows[labelled], truth[labelled])
    np.testing.assert_allclose(model.predict_proba(items), fitted.predict_proba(rows), atol=1e-5)


def test_a_fit_in_the_span_of_the_labels_is_that_on_all_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    words = [f"word{i}" for i in range(400)]
    items = [" ".join(rng.choice(words, 12)) for _ in range(60)]
    labelled = np.arange(30)
    items[1] = items[0]  # equal rows: the span has fewer dimensions than there are labels
    items[2] = "nothing that another text has"
    training = Training(np.zeros((60, 1)), labelled, labelled % 4, 4, items=items)
    inside = make("tfidf").fit(training, rng).predict_proba(items)
    monkeypatch.setattr("labeltrain.learners.tfidf.SPAN", 0)
    plain = make("tfidf").fit(training, rng).predict_proba(items)
    assert plain.max() > 0.9
    np.testing.assert_allclose(inside, plain, atol=1e-4)


def test_labels_without_a_known_word_leave_the_bias() -> None:
    items = ["alone", "single", "lonely", "same words", "same words"]
    training = Training(np.zeros((5, 1)), np.arange(3), np.array([0, 1, 1]), 2, items=items)
    model = make("tfidf").fit(training, np.random.default_rng(0))
    found = model.predict_proba(items)
    np.testing.assert_allclose(found, np.tile(found[0], (5, 1)))
    assert found[0, 1] > found[0, 0]


def test_vectors_are_kept_by_content_and_the_longest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    transform = TfidfVectorizer.transform

    def counted(self: TfidfVectorizer, raw: list[str]) -> object:
        read.append(len(raw))
        return transform(self, raw)

    items, truth = texts()
    test = [f"{text} goal" for text in items[:50]]
    model = None
    monkeypatch.setattr(TfidfVectorizer, "transform", counted)
    learner = make("tfidf")
    for count in (10, 20, 30):
        training = Training(np.zeros((90, 1)), np.arange(count), truth[:count], 3, items=items)
        model = learner.fit(training, np.random.default_rng(0))
        model.predict_proba(items)
        model.predict_proba(test)
        for start in range(5):  # such as held-out parts
            model.predict_proba(items[start : start + 8])
    assert read.count(90) == read.count(50) == 1
    assert model is not None
    before = model.predict_proba(test)
    test[3] = "rice fish salt rice"
    after = model.predict_proba(test)
    assert after[3].argmax() == 2
    np.testing.assert_array_equal(np.delete(after, 3, axis=0), np.delete(before, 3, axis=0))


@pytest.mark.parametrize("name", ["tfidf", "linear"])
def test_few_labels_of_many_classes_warn_of_nothing(name: str) -> None:
    items, _ = texts()
    features = np.random.default_rng(0).normal(size=(90, 8))
    training = Training(features, np.arange(30), np.arange(30) % 20, 20, items=items)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make(name).fit(training, np.random.default_rng(0))
    assert model.facts()["iterations"] > 0


def test_a_loaded_model_keeps_no_texts() -> None:
    items, truth = texts()
    training = Training(np.zeros((90, 1)), np.arange(30), truth[:30], 3, items=items)
    fitted = make("tfidf").fit(training, np.random.default_rng(0))
    loaded = Tfidf.model.from_arrays(fitted.arrays(), fitted.facts())
    np.testing.assert_array_equal(loaded.predict_proba(items), fitted.predict_proba(items))
    assert loaded._vectors._held == []  # type: ignore[attr-defined]


def test_a_study_of_texts_from_scratch(tmp_path: Path) -> None:
    items, truth = texts()
    names = list(WORDS)
    path = tmp_path / "texts.csv"
    lines = [f"{text} {k},{names[c]}" for k, (text, c) in enumerate(zip(items, truth, strict=True))]
    path.write_text("\n".join(["text,label", *lines]))
    found = {
        workers: labeltrain.run(
            dataset=str(path), learner="tfidf", strategies=["random", "margin", "uherding"],
            batch=9, rounds=2, seeds=2, workers=workers, workspace=str(tmp_path / str(workers)),
        )
        for workers in (1, 2)
    }  # fmt: skip
    first, second = (
        [(c.strategy, c.scores["accuracy"].tolist()) for c in found[w].curves] for w in (1, 2)
    )
    assert first == second
    assert max(np.mean(scores) for _, scores in first) > 0.9


def test_what_it_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="reads text, not features"):
        labeltrain.run(dataset="digits", learner="tfidf", workspace=str(tmp_path / "a"))
    training = Training(np.zeros((4, 1)), np.array([0, 1]), np.array([0, 1]), 2)
    with pytest.raises(BadInput, match="reads texts, and there are none"):
        make("tfidf").fit(training, np.random.default_rng(0))
    lonely = Training(
        np.zeros((2, 1)), np.array([0, 1]), np.array([0, 1]), 2, items=["alone", "single"]
    )
    with pytest.raises(BadInput, match="lower `rarest`"):
        make("tfidf").fit(lonely, np.random.default_rng(0))
