"""TF-IDF: the contract, the definition, and studies of texts from scratch."""

from __future__ import annotations

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
