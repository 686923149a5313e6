"""The committee beside the linear learner: it changes no prediction, and comes when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain import Dataset
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.learners import Training, make
from labeltrain.learners.linear import COMMITTEE, Linear, LinearModel
from labeltrain.needs import Need
from labeltrain.projects import Project
from labeltrain.strategies import registry
from labeltrain.testing import LearnerContract, blobs

ASKING = [n for n in registry.names() if Need.COMMITTEE in registry.get(n).needs]


class TestLinearCommittee(LearnerContract):
    learner = Linear
    parameters = {"committee": 3}


class TestBalancedLinearCommittee(LearnerContract):
    learner = Linear
    parameters = {"committee": 3, "class_weight": "balanced"}


def training(
    m: int = 30, *, n: int = 120, d: int = 6, classes: int = 3, kind: str = "multiclass"
) -> Training:
    """Return m labels of n items."""
    features, truth = blobs(n, d=d, classes=classes, spread=2.0)
    labels: np.ndarray = truth[:m]
    if kind == "multilabel":
        rng = np.random.default_rng(1)
        labels = (features[:m, :classes] + rng.normal(size=(m, classes)) > 0).astype(np.int64)
    return Training(features, np.arange(m), labels, classes=classes, kind=kind)


def fitted(given: Training, seed: int = 0, previous: Any = None, **parameters: Any) -> LinearModel:
    model = make("linear", parameters).fit(given, np.random.default_rng(seed), previous)
    assert isinstance(model, LinearModel)
    return model


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("d", [6, 80])  # 80: fitted in the span of the labels
def test_the_model_itself_is_the_same_to_the_last_bit(kind: str, class_weight: str, d: int) -> None:
    plain = wide = None
    for m in (20, 30):  # the second starts from the first
        given = training(m, kind=kind, d=d)
        plain = fitted(given, previous=plain, class_weight=class_weight)
        wide = fitted(given, previous=wide, class_weight=class_weight, committee=4)
        np.testing.assert_array_equal(plain.weights, wide.weights)
        np.testing.assert_array_equal(plain.bias, wide.bias)
        np.testing.assert_array_equal(
            plain.predict_proba(given.features), wide.predict_proba(given.features)
        )


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("classes", [2, 3])
def test_members_are_distributions_that_differ_and_whose_mean_is_near_the_model(
    kind: str, classes: int
) -> None:
    given = training(60, classes=classes, kind=kind)
    model = fitted(given, committee=12, scale=1.0)
    members = model.committee(given.features)
    assert members.shape == (12, 120, classes)
    assert members.min() >= 0.0
    assert members.max() <= 1.0
    if kind == "multiclass":
        np.testing.assert_allclose(members.sum(axis=2), 1.0, rtol=1e-9)
    assert all(np.abs(members[0] - other).max() > 1e-3 for other in members[1:])
    p = model.predict_proba(given.features)
    assert np.abs(members.mean(axis=0) - p).mean() < 0.5 * np.abs(members - p).mean()


def test_each_member_is_the_fit_with_exponential_weights() -> None:
    from sklearn.linear_model import LogisticRegression

    given = training(40)
    model = fitted(given, committee=3, seed=7)
    rng = np.random.default_rng(7)
    facts = model.facts()
    X = given.features[:40].astype(np.float64)
    for weights, bias in zip(*model.members, strict=True):  # type: ignore[misc]
        exact = LogisticRegression(C=facts["C"], tol=1e-10, max_iter=10_000)
        exact.fit(X, given.labels, sample_weight=rng.exponential(size=40))
        expected = exact.predict_proba(given.features)
        logits = given.features @ weights.T + bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), expected, atol=0.02)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_arrays_and_facts_make_the_same_model(kind: str) -> None:
    given = training(kind=kind)
    model = fitted(given, committee=3)
    arrays, facts = model.arrays(), model.facts()
    assert {"member_weights", "member_bias"} <= set(arrays)
    assert all(a.dtype.kind in "fiub" for a in arrays.values())
    again = LinearModel.from_arrays(arrays, facts)
    for one, two in (
        (model.predict_proba(given.features), again.predict_proba(given.features)),
        (model.committee(given.features), again.committee(given.features)),
    ):
        np.testing.assert_array_equal(one, two)


def test_a_class_that_comes_late() -> None:
    given = training(40)
    seen = given.labels < 2
    early = Training(given.features, given.labelled[seen], given.labels[seen], classes=3)
    first = fitted(early, committee=4)
    members = first.committee(given.features)
    # The class without a label has the same small chance everywhere, in the model and its members.
    m = int(seen.sum())
    np.testing.assert_allclose(members[:, :, 2], 1.0 / (m + 1.0))
    np.testing.assert_allclose(first.predict_proba(given.features)[:, 2], 1.0 / (m + 1.0))
    later = fitted(given, previous=first, committee=4)
    assert later.committee(given.features)[:, :, 2].std() > 0.01
    cold = fitted(given, committee=4)
    np.testing.assert_allclose(
        later.predict_proba(given.features), cold.predict_proba(given.features), atol=0.03
    )


def test_every_member_knows_every_class_that_has_a_label() -> None:
    # One label of class 2: drawing labels with replacement would lose it in a third of the members.
    features, truth = blobs(60, spread=0.2)
    rows = np.array([*np.flatnonzero(truth < 2)[:20], np.flatnonzero(truth == 2)[0]])
    model = fitted(Training(features, rows, truth[rows], classes=3), committee=20)
    p = model.committee(features)
    assert (p[:, truth == 2].mean(axis=1).argmax(axis=1) == 2).all()


@pytest.mark.parametrize("m", [0, 1])
def test_without_two_classes_there_is_the_prior_and_members_that_agree(m: int) -> None:
    given = training(m)
    model = make("linear", {"committee": 3}).fit(given, np.random.default_rng(0))
    members = model.committee(given.features)
    assert members.ndim == 3
    np.testing.assert_array_equal(members[0], model.predict_proba(given.features))
    for name in ASKING:
        found = labeltrain.select(name, committee=members, budget=5)
        assert len(found) == 5
        assert np.abs(found.scores).max() == pytest.approx(0.0, abs=1e-9)


def test_a_learner_without_a_committee_says_so() -> None:
    with pytest.raises(MissingNeed, match="is no committee"):
        fitted(training()).committee(training().features)
    assert Need.COMMITTEE not in Linear().gives
    assert Need.COMMITTEE in Linear(committee=2).gives
    assert Need.COMMITTEE not in Linear.gives


def test_serving_switches_a_committee_on_only_where_one_is_needed() -> None:
    plain = Linear(scale=3.0, class_weight="balanced")
    assert plain.serving(frozenset({Need.PROBABILITIES})) is plain
    served = plain.serving(frozenset({Need.COMMITTEE}))
    assert served.committee == COMMITTEE
    assert (served.scale, served.class_weight) == (3.0, "balanced")
    assert Need.COMMITTEE in served.gives
    mine = Linear(committee=4)
    assert mine.serving(frozenset({Need.COMMITTEE})) is mine


@pytest.mark.parametrize("committee", [1, -1, True, 2.5, "3"])
def test_what_is_no_committee_is_refused(committee: Any) -> None:
    with pytest.raises(BadInput, match="committee"):
        make("linear", {"committee": committee})


# -- without asking for it -----------------------------------------------------------------------


def test_strategies_that_ask_a_committee_run_in_a_study() -> None:
    assert ASKING
    results = labeltrain.run(
        dataset="digits", strategies=[*ASKING, "margin"], batch=8, rounds=2, seeds=1
    )
    assert len(results.curves) == len(ASKING) + 1
    # The seed set is drawn before any committee, and the model is the same with and without one.
    assert len({curve.scores["accuracy"][0] for curve in results.curves}) == 1


def test_they_are_refused_before_the_run_where_no_committee_can_be_had() -> None:
    with pytest.raises(MissingNeed, match=r"committee.*'mlp'"):
        labeltrain.run(
            dataset="digits", learner="mlp", strategies=["bald"], batch=8, rounds=1, seeds=1
        )


@pytest.mark.parametrize("strategy", ASKING)
def test_they_run_in_a_project(tmp_path: Path, strategy: str) -> None:
    features, truth = blobs(80)
    ids = tuple(f"i{k}" for k in range(80))
    names = dict(zip(ids, (("a", "b", "c")[t] for t in truth), strict=True))
    items: Any = features
    project = Project.new(
        tmp_path / "project",
        Dataset("points", "features", items, ids),
        classes=("a", "b", "c"),
        strategy=strategy,
        audit_share=0.0,
    )
    try:
        for _ in range(3):
            rows = project.next(12)
            assert len(rows) == 12
            project.tell({row["id"]: names[row["id"]] for row in rows})
        chosen = {pick["strategy"] for pick in project.state.asked.values()}
        assert strategy in chosen
        assert project.fitted().committee(features).shape == (COMMITTEE, 80, 3)
    finally:
        project.close()
