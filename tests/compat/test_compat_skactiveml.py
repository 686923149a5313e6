"""LabelTrain's strategies in scikit-activeml's own loop, beside its own strategies."""

from __future__ import annotations

import builtins
import importlib
import sys
from typing import Any

import numpy as np
import pytest
from skactiveml.base import SingleAnnotatorPoolQueryStrategy
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import SubSamplingWrapper, UncertaintySampling
from skactiveml.utils import MISSING_LABEL, is_unlabeled, unlabeled_indices
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labeltrain.compat.skactiveml import SkactivemlStrategy
from labeltrain.errors import BadInput, MissingExtra, MissingNeed
from labeltrain.strategies.k_center import KCenter

X, TRUTH = make_blobs(120, centers=3, cluster_std=1.5, random_state=0)


def classifier(**options: Any) -> SklearnClassifier:
    return SklearnClassifier(LogisticRegression(), classes=[0, 1, 2], random_state=0, **options)


def loop(strategy: Any, clf: Any, cycles: int = 8, **query: Any) -> tuple[list[int], float]:
    """Run the loop of scikit-activeml's getting-started page."""
    y = np.full(len(X), MISSING_LABEL)
    y[:6] = TRUTH[:6]
    asked: list[int] = []
    for _ in range(cycles):
        more = {} if clf is None else {"clf": clf}
        rows = strategy.query(X=X, y=y, batch_size=3, **more, **query)
        assert is_unlabeled(y[rows]).all()
        y[rows] = TRUTH[rows]
        asked += rows.tolist()
    return asked, classifier().fit(X, y).score(X, TRUTH)


def test_margin_in_their_loop_picks_what_their_margin_picks() -> None:
    ours = loop(SkactivemlStrategy("margin", random_state=0), classifier())
    theirs = loop(UncertaintySampling("margin_sampling", random_state=0), classifier())
    assert ours == theirs


@pytest.mark.parametrize("name", ["random", "k-center", "badge", "typiclust", "entropy"])
def test_strategies_run_in_their_loop(name: str) -> None:
    asked, accuracy = loop(SkactivemlStrategy(name, random_state=1), classifier())
    assert len(set(asked)) == 24
    assert accuracy > 0.7
    assert asked == loop(SkactivemlStrategy(name, random_state=1), classifier())[0]


def test_no_classifier_is_needed_where_no_prediction_is() -> None:
    assert len(loop(SkactivemlStrategy(KCenter(), random_state=0), None)[0]) == 24
    with pytest.raises(MissingNeed, match=r"(?s)probabilities.*clf=\.\.\."):
        loop(SkactivemlStrategy("margin"), None)


def test_utilities_are_ranks_of_the_candidates() -> None:
    y = np.full(len(X), MISSING_LABEL)
    y[:5] = [0, 1, 2, 0, 1]
    strategy = SkactivemlStrategy("margin", random_state=0)
    rows, utilities = strategy.query(X, y, classifier(), batch_size=4, return_utilities=True)
    assert utilities.shape == (4, 120)
    assert np.isnan(utilities[:, :5]).all()
    assert np.nanargmax(utilities, axis=1).tolist() == rows.tolist()
    assert utilities[0, rows].tolist() == [4, 3, 2, 1]
    assert np.isnan(utilities[3, rows[:3]]).all()
    assert (np.isnan(utilities).sum(axis=1) == [5, 6, 7, 8]).all()


def test_candidates_as_indices_and_as_vectors() -> None:
    y = np.full(len(X), MISSING_LABEL)
    y[:5] = [0, 1, 2, 0, 1]
    strategy = SkactivemlStrategy("margin", random_state=0)
    few = np.array([90, 12, 40, 77])
    rows, utilities = strategy.query(
        X, y, classifier(), candidates=few, batch_size=2, return_utilities=True
    )
    assert set(rows) <= set(few)
    assert np.flatnonzero(~np.isnan(utilities[0])).tolist() == sorted(few)
    places, utilities = strategy.query(
        X, y, classifier(), candidates=X[few], batch_size=2, return_utilities=True
    )
    assert few[places].tolist() == rows.tolist()
    assert utilities.shape == (2, 4)
    with pytest.raises(ValueError, match="labeled"):
        strategy.query(X, y, classifier(), candidates=[0, 9])


def test_a_fitted_classifier_is_used_as_it_is() -> None:
    y = np.full(len(X), MISSING_LABEL)
    y[:6] = TRUTH[:6]
    strategy = SkactivemlStrategy("margin", random_state=0)
    fitted = classifier().fit(X, TRUTH)
    ours = strategy.query(X, y, fitted, fit_clf=False, batch_size=5)
    theirs = UncertaintySampling("margin_sampling", random_state=0).query(
        X, y, fitted, fit_clf=False, batch_size=5
    )
    assert ours.tolist() == theirs.tolist()
    heavy = np.where(np.arange(len(X)) < 3, 50.0, 1.0)
    assert len(strategy.query(X, y, classifier(), sample_weight=heavy, batch_size=5)) == 5


def test_names_as_labels_and_another_missing_label() -> None:
    names = np.array(["ant", "bee", "cow"], dtype=object)
    y = np.full(len(X), None, dtype=object)
    y[:6] = names[TRUTH[:6]]
    clf = SklearnClassifier(LogisticRegression(), classes=names, missing_label=None)
    rows = SkactivemlStrategy("badge", missing_label=None, random_state=0).query(
        X, y, clf, batch_size=4
    )
    assert len(set(rows) - set(range(6))) == 4


def test_a_cold_start_and_a_batch_larger_than_the_pool() -> None:
    y = np.full(len(X), MISSING_LABEL)
    assert len(SkactivemlStrategy("margin").query(X, y, classifier(), batch_size=2)) == 2
    y[2:] = TRUTH[2:]
    with pytest.warns(UserWarning, match="batch_size"):
        rows = SkactivemlStrategy("margin").query(X, y, classifier(), batch_size=9)
    assert sorted(rows) == unlabeled_indices(y).tolist() == [0, 1]


def test_the_committee_of_a_wrapped_forest() -> None:
    y = np.full(len(X), MISSING_LABEL)
    y[:12] = TRUTH[:12]
    clf = SklearnClassifier(RandomForestClassifier(5, random_state=0), classes=[0, 1, 2])
    strategy = SkactivemlStrategy("bald", random_state=0)
    assert len(strategy.query(X, y, clf, batch_size=3)) == 3


def test_it_is_one_of_their_strategies() -> None:
    strategy = SkactivemlStrategy("typiclust", random_state=3)
    assert isinstance(strategy, SingleAnnotatorPoolQueryStrategy)
    wrapped = SubSamplingWrapper(strategy, max_candidates=30, random_state=0)
    assert len(loop(wrapped, None, cycles=2)[0]) == 6


def test_parameters_survive_a_clone() -> None:
    strategy = SkactivemlStrategy("dropquery", random_state=3, passes=5)
    copy = clone(strategy)
    assert copy.get_params()["passes"] == 5
    assert copy.set_params(passes=7, random_state=4).get_params()["passes"] == 7
    assert strategy.options == {"passes": 5}
    with pytest.raises(BadInput, match="did you mean 'passes'"):
        loop(SkactivemlStrategy("dropquery", pases=3), classifier())


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("skactiveml"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "labeltrain.compat.skactiveml")
    with pytest.raises(MissingExtra, match="pip install"):
        importlib.import_module("labeltrain.compat.skactiveml")


def test_a_pipeline_begins_without_labels_and_has_its_head_later() -> None:
    X = np.random.default_rng(0).normal(size=(30, 4))
    y = np.full(30, np.nan)
    clf = SklearnClassifier(make_pipeline(StandardScaler(), LogisticRegression()), classes=[0, 1])
    for name in ("badge", "k-center", "clue"):
        assert len(SkactivemlStrategy(name, random_state=0).query(X, y, clf, batch_size=3)) == 3
    y[:3] = 1
    with pytest.raises(MissingNeed):
        SkactivemlStrategy("alfa-mix").query(X, y, clf)
    y[3:6] = 0
    assert len(SkactivemlStrategy("alfa-mix", random_state=0).query(X, y, clf, batch_size=3)) == 3


def test_a_strategy_that_asks_again_is_refused() -> None:
    y = np.full(len(X), MISSING_LABEL)
    y[:6] = TRUTH[:6]
    with pytest.raises(BadInput, match="asks labelled items again"):
        SkactivemlStrategy("second-opinion").query(X=X, y=y, clf=classifier())
