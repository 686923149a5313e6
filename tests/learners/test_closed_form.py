"""Ridge regression and Laplace: exact updates, left-out labels, posterior variance."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.kernels.rank_updates import inverse_of, with_rows
from labeltrain.learners import Model, Training, make
from labeltrain.learners.closed_form.laplace import Laplace, fitted
from labeltrain.learners.closed_form.model import PosteriorModel
from labeltrain.learners.closed_form.ridge import (
    GAINED,
    PENALTIES,
    SCALES,
    Ridge,
    best_penalty,
    best_scale,
    left_out,
)
from labeltrain.testing import LearnerContract
from labeltrain.testing.pools import blobs


class TestRidge(LearnerContract):
    learner = Ridge
    kinds = ("multiclass",)


class TestLaplace(LearnerContract):
    learner = Laplace
    kinds = ("multiclass",)


def test_two_labels_by_hand() -> None:  # D21
    inverse, products = np.eye(2), np.zeros(2)
    for x, y in (((1.0, 0.0), 1.0), ((1.0, 1.0), 2.0)):
        inverse = with_rows(inverse, np.array([x]), np.ones(1))
        products += np.array(x) * y
    np.testing.assert_allclose(inverse @ products, [0.8, 0.6], atol=1e-12)
    np.testing.assert_allclose(inverse, [[0.4, -0.2], [-0.2, 0.6]], atol=1e-12)
    batch = inverse_of(np.array([[1.0, 0.0], [1.0, 1.0]]), np.ones(2), 1.0)
    np.testing.assert_allclose(inverse, batch, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 200), st.integers(2, 12), st.sampled_from([0, 0.1, 1, 3]),
    st.sampled_from([0.01, 0.3, 1.0]),
)  # fmt: skip
def test_the_scale_is_the_first_that_gains_no_more(
    seed: int, m: int, classes: int, told: float, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, m)
    scores = told * np.eye(classes)[labels] + noise * rng.normal(size=(m, classes))
    losses = [-log_softmax(s * scores, axis=1)[np.arange(m), labels].mean() for s in SCALES]
    stays = [one <= other + GAINED for one, other in itertools.pairwise(losses)]
    expected = SCALES[stays.index(True)] if any(stays) else SCALES[-1]
    assert best_scale(scores, labels) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 12), st.floats(1e-3, 1e3))
def test_rows_that_come_and_go(seed: int, d: int, m: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(m, d)), rng.uniform(0.1, 2.0, size=m)
    slowly = np.linalg.inv(penalty * np.eye(d) + (rows * weights[:, None]).T @ rows)
    close: Any = {"rtol": 1e-6, "atol": 1e-6 * float(np.abs(slowly).max())}
    np.testing.assert_allclose(inverse_of(rows, weights, penalty), slowly, **close)
    cut = int(rng.integers(0, m + 1))
    parts = inverse_of(rows[:cut], weights[:cut], penalty)
    parts = with_rows(parts, rows[cut:], weights[cut:])
    np.testing.assert_allclose(parts, slowly, **close)
    back = with_rows(parts, rows[cut:], -weights[cut:])
    expected = inverse_of(rows[:cut], weights[:cut], penalty)
    size = float(np.abs(expected).max())
    np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-4 * size)


def a_round(labels: int, rows: np.ndarray | None = None) -> Training:
    x, y = blobs(200, d=8)
    rows = np.arange(labels) if rows is None else rows
    return Training(x, rows, y[rows], 3)


def test_label_by_label_is_the_batch() -> None:
    learner = make("ridge", {"penalty": 0.3})
    rng = np.random.default_rng(0)
    model: Model | None = None
    for labels in range(30, 58):  # no label twice: never anew
        model = learner.fit(a_round(labels), rng, model)
        assert model.facts()["begun"] == 30
    assert model is not None
    whole = make("ridge", {"penalty": 0.3}).fit(a_round(57), rng)
    for name in ("weights", "covariance"):
        np.testing.assert_allclose(model.arrays()[name], whole.arrays()[name], atol=1e-9)
    assert model.cost.examples == 1
    x = a_round(1).features
    assert isinstance(model, PosteriorModel)
    same = PosteriorModel(whole.arrays(), {**whole.facts(), "scale": model.facts()["scale"]})
    np.testing.assert_allclose(model.predict_proba(x), same.predict_proba(x), atol=1e-7)


def test_the_scale_is_chosen_again_once_there_is_a_tenth_more_or_a_class_more() -> None:
    rng = np.random.default_rng(0)
    learner = make("ridge", {"penalty": 0.3})
    model = learner.fit(a_round(40), rng)
    scaled = []
    for labels in range(41, 56):
        model = learner.fit(a_round(labels), rng, model)
        scaled.append(model.facts()["scaled"])
        if scaled[-1] == labels:
            whole = make("ridge", {"penalty": 0.3}).fit(a_round(labels), rng)
            assert model.facts()["scale"] == whole.facts()["scale"]
            np.testing.assert_allclose(model.facts()["spread"], whole.facts()["spread"])
    assert scaled == [40] * 3 + [44] * 5 + [49] * 5 + [54] * 2
    x, y = blobs(200, d=8)
    two = np.flatnonzero(y < 2)[:40]
    model = learner.fit(Training(x, two, y[two], 3), rng)
    more = np.append(two, np.flatnonzero(y == 2)[0])
    assert learner.fit(Training(x, more, y[more], 3), rng, model).facts()["scaled"] == 41


def test_the_order_of_the_labels_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rows = rng.permutation(60)
    one, other = (make("ridge").fit(a_round(0, some), rng) for some in (rows, np.sort(rows)))
    np.testing.assert_allclose(one.arrays()["weights"], other.arrays()["weights"], atol=1e-10)


@pytest.mark.parametrize("name", ["ridge", "laplace"])
def test_changed_withdrawn_and_doubled_labels_begin_anew(name: str) -> None:
    learner, rng = make(name), np.random.default_rng(0)
    model = learner.fit(a_round(30), rng)
    more = learner.fit(a_round(40), rng, model)
    assert more.facts()["begun"] == 30
    changed = a_round(40)
    labels = changed.labels.copy()
    labels[3] = (labels[3] + 1) % 3
    for training, begun in (
        (replace(changed, labels=labels), 40),
        (a_round(0, np.arange(1, 45)), 44),
        (a_round(60), 60),
        (replace(a_round(40), classes=4), 40),
    ):
        found = learner.fit(training, rng, more)
        assert found.facts()["begun"] == begun
        fresh = make(name).fit(training, rng)
        for key, value in fresh.arrays().items():
            np.testing.assert_array_equal(value, found.arrays()[key])
    other = make(name, {"penalty": 0.7} if name == "ridge" else {"scale": 3.0})
    assert other.fit(a_round(45), rng, more).facts()["begun"] == 45


def test_left_out_labels_need_no_further_fit() -> None:
    rng = np.random.default_rng(1)
    rows, targets = rng.normal(size=(12, 5)), rng.normal(size=(12, 2))
    inverse = inverse_of(rows, np.ones(12), 0.5)
    found = left_out(rows, targets, inverse, inverse @ rows.T @ targets)
    for i in range(12):
        rest = np.arange(12) != i
        slowly = np.linalg.solve(0.5 * np.eye(5) + rows[rest].T @ rows[rest],
                                 rows[rest].T @ targets[rest])  # fmt: skip
        np.testing.assert_allclose(found[i], rows[i] @ slowly, atol=1e-9)
    errors = []
    for penalty in PENALTIES:
        inverse = inverse_of(rows, np.ones(12), penalty)
        apart = targets - left_out(rows, targets, inverse, inverse @ rows.T @ targets)
        errors.append((apart**2).mean())
    assert best_penalty(rows, targets) == PENALTIES[int(np.argmin(errors))]


def test_the_posterior_is_that_of_the_scores() -> None:
    model = make("ridge", {"penalty": 0.3}).fit(a_round(40), np.random.default_rng(0))
    assert isinstance(model, PosteriorModel)
    x = a_round(1).features[:20]
    vectors, rows = model.posterior(x), model.rows(x)
    spread = model.facts()["spread"]
    slowly = spread**2 * rows @ model.arrays()["covariance"] @ rows.T
    np.testing.assert_allclose(vectors @ vectors.T, slowly, atol=1e-10)
    np.testing.assert_allclose(model.variance(x), np.diag(slowly), atol=1e-12)
    more = make("ridge", {"penalty": 0.3}).fit(a_round(70), np.random.default_rng(0))
    assert isinstance(more, PosteriorModel)
    ratio = (more.variance(x) / more.facts()["spread"] ** 2) / (model.variance(x) / spread**2)
    assert (ratio < 1).all()  # every label takes variance off every item
    members = model.committee(x)
    assert members.shape == (16, 20, 3)
    np.testing.assert_allclose(members.sum(axis=2), 1.0)


def test_laplace_is_logistic_regression_with_the_posterior_as_prior() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    weights = fitted(rows, labels, 3, 0.5)
    from sklearn.linear_model import LogisticRegression

    other = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10, max_iter=5000)
    other.fit(rows, labels)
    np.testing.assert_allclose(
        weights - weights.mean(axis=0), other.coef_ - other.coef_.mean(axis=0), atol=1e-4
    )


def test_updates_of_laplace_come_near_a_whole_fit() -> None:
    learner, rng = make("laplace"), np.random.default_rng(0)
    x, y = blobs(200, d=8)
    model: Model = learner.fit(a_round(40), rng)
    stale = model.predict_proba(x)
    for labels in range(41, 79):
        model = learner.fit(a_round(labels), rng, model)
    assert model.facts()["begun"] == 40
    whole = make("laplace").fit(a_round(78), rng).predict_proba(x)
    updated = model.predict_proba(x)
    assert np.abs(updated - whole).mean() < 0.5 * np.abs(stale - whole).mean()
    assert (updated.argmax(axis=1) == y).mean() > 0.95


def test_a_newton_step_finds_the_quadratic_optimum() -> None:
    """With the same curvature again and again, the steps end where the gradient is 0."""
    learner = Laplace(scale=2.0, steps=200)
    before = learner.fit(a_round(30), np.random.default_rng(0))
    assert isinstance(before, PosteriorModel)
    after = learner.fit(a_round(36), np.random.default_rng(0), before)
    rows = before.rows(a_round(36).features[30:36])
    labels = a_round(36).labels[30:36]
    held = before.arrays()
    weights = after.arrays()["weights"]
    logits = rows @ weights.T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    pull = np.linalg.inv(held["covariance"]) @ (weights - held["weights"]).T
    gradient = pull.T + (p - np.eye(3)[labels]).T @ rows
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ridge", {"penalty": 0}), ("ridge", {"penalty": "best"}), ("laplace", {"scale": -1}),
        ("laplace", {"steps": 0}),
    ],
)  # fmt: skip
def test_bad_options(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(options))):
        make(name, options)


def test_others_have_no_posterior() -> None:
    model = make("linear").fit(a_round(40), np.random.default_rng(0))
    with pytest.raises(MissingNeed, match="no posterior"):
        model.posterior(a_round(1).features)


def test_the_strategy_is_its_slow_twin() -> None:
    import labeltrain

    rng = np.random.default_rng(3)
    z = rng.normal(size=(12, 3)) * [3.0, 1.0, 0.5]
    noise = 0.1 * (z**2).sum(axis=1).mean()
    covariance = z @ z.T
    picks = []
    for _ in range(5):  # condition the Gaussian on each pick
        free = [i for i in range(12) if i not in picks]
        best = max(free, key=lambda i: (round(covariance[i, i], 9), -i))
        picks.append(best)
        column = covariance[:, best]
        covariance = covariance - np.outer(column, column) / (column[best] + noise)
    found = labeltrain.select("posterior-variance", posterior=z, budget=5)
    assert found.positions.tolist() == picks
    for k in range(1, 5):
        part = labeltrain.select("posterior-variance", posterior=z, budget=k)
        assert part.positions.tolist() == picks[:k]
    best_of_all = max(
        itertools.combinations(range(12), 2),
        key=lambda some: np.linalg.slogdet(np.eye(2) * noise + z[list(some)] @ z[list(some)].T)[1],
    )
    assert set(picks[:2]) == set(best_of_all)
