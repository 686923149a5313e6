"""Scores against slow obvious twins and scikit-learn."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from labeltrain import metrics
from labeltrain.errors import BadInput


@st.composite
def multiclass(draw):
    """Coarse probabilities, so that ties and bin borders occur, and classes may be absent."""
    n, classes = draw(st.integers(1, 25)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(0, 6, size=(n, classes)) + (np.arange(classes) == 0)
    used = draw(st.integers(1, classes))
    return counts / counts.sum(axis=1, keepdims=True), rng.integers(0, used, size=n)


@st.composite
def multilabel(draw):
    n, classes = draw(st.integers(1, 25)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = rng.integers(0, 11, size=(n, classes)) / 10
    return p, (rng.random((n, classes)) < draw(st.sampled_from([0.0, 0.2, 0.6]))).astype(int)


def argmax_twin(row):
    best = 0
    for c in range(len(row)):
        if row[c] > row[best]:
            best = c
    return best


def ece_twin(pairs):
    edges = np.linspace(0, 1, 16)
    total, n = 0.0, len(pairs)
    for k in range(15):
        inside = [(c, ok) for c, ok in pairs if edges[k] < c <= edges[k + 1] or (k == 0 and c == 0)]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            right = sum(ok for _, ok in inside) / len(inside)
            total += len(inside) / n * abs(right - confidence)
    return total


@given(multiclass())
@settings(max_examples=80, deadline=None)
def test_multiclass_scores_equal_their_twins(case):
    p, y = case
    got = metrics.score(p, y)
    predicted = [argmax_twin(row) for row in p]
    recalls, recalls5, f1 = [], [], []
    for c in range(p.shape[1]):
        items = [i for i in range(len(y)) if y[i] == c]
        hit = sum(predicted[i] == c for i in items)
        if items:
            recalls.append(hit / len(items))
            f1.append(2 * hit / (len(items) + predicted.count(c)))
        if len(items) >= 5:
            recalls5.append(hit / len(items))
    assert got["accuracy"] == pytest.approx(
        sum(a == b for a, b in zip(predicted, y, strict=True)) / len(y)
    )
    assert got["balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))
    if recalls5:
        assert got["balanced_accuracy_min5"] == pytest.approx(sum(recalls5) / len(recalls5))
    else:
        assert math.isnan(got["balanced_accuracy_min5"])
    assert got["macro_f1"] == pytest.approx(sum(f1) / len(f1))
    assert got["nll"] == pytest.approx(
        -sum(math.log(max(p[i, y[i]], 1e-12)) for i in range(len(y))) / len(y)
    )
    pairs = [(max(row), k == t) for row, k, t in zip(p, predicted, y, strict=True)]
    assert got["ece"] == pytest.approx(ece_twin(pairs), abs=1e-12)
    assert list(got) == [k for k, m in metrics.METRICS.items() if "multiclass" in m.kinds]


@given(multiclass())
@settings(max_examples=60, deadline=None)
def test_multiclass_scores_equal_scikit_learn(case):
    p, y = case
    got, predicted, present = metrics.score(p, y), p.argmax(axis=1), np.unique(y)
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(y, predicted))
    recall = sk.recall_score(y, predicted, labels=present, average=None, zero_division=0)
    assert got["balanced_accuracy"] == pytest.approx(recall.mean())
    f1 = sk.f1_score(y, predicted, labels=present, average="macro", zero_division=0)
    assert got["macro_f1"] == pytest.approx(f1)
    np.testing.assert_allclose(metrics.recall_per_class(p, y)[present], recall)
    absent = np.setdiff1d(np.arange(p.shape[1]), present)
    assert np.isnan(metrics.recall_per_class(p, y)[absent]).all()


def test_nll_equals_scikit_learn_log_loss():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(4), 200), rng.integers(0, 4, 200)
    assert metrics.nll(p, y) == pytest.approx(sk.log_loss(y, p))


@given(multilabel())
@settings(max_examples=80, deadline=None)
def test_multilabel_scores_equal_their_twins_and_scikit_learn(case):
    p, y = case
    got, said = metrics.score(p, y, "multilabel"), (p >= 0.5).astype(int)
    present = np.flatnonzero(y.sum(axis=0))
    assert got["accuracy"] == pytest.approx((said == y).mean(axis=0).mean())
    assert got["exact_match"] == pytest.approx(
        sum(all(a == b) for a, b in zip(said, y, strict=True)) / len(y)
    )
    if present.size:
        ap = [sk.average_precision_score(y[:, c], p[:, c]) for c in present]
        assert got["map"] == pytest.approx(np.mean(ap))
        f1 = [sk.f1_score(y[:, c], said[:, c], zero_division=0) for c in present]
        assert got["macro_f1"] == pytest.approx(np.mean(f1))
    else:
        assert math.isnan(got["map"])
    if y.sum() + said.sum():
        micro = sk.f1_score(y.ravel(), said.ravel(), zero_division=0)
        assert got["micro_f1"] == pytest.approx(micro)
    else:
        assert math.isnan(got["micro_f1"])
    true = [q if t else 1 - q for q, t in zip(p.ravel(), y.ravel(), strict=True)]
    assert got["nll"] == pytest.approx(-sum(math.log(max(t, 1e-12)) for t in true) / len(true))
    pairs = [
        (max(q, 1 - q), s == t) for q, s, t in zip(p.ravel(), said.ravel(), y.ravel(), strict=True)
    ]
    assert got["ece"] == pytest.approx(ece_twin(pairs), abs=1e-12)


def test_average_precision_of_ties_is_that_of_the_whole_tie():
    # Slow twin: with both items tied, precision at the one threshold is 1/2.
    assert metrics.mean_average_precision([[0.4], [0.4]], [[1], [0]]) == 0.5


def test_single_functions_agree_with_score():
    rng = np.random.default_rng(1)
    p, y = rng.dirichlet(np.ones(3), 50), rng.integers(0, 3, 50)
    every = metrics.score(p, y)
    for name, value in every.items():
        assert getattr(metrics, name)(p, y) == value
    q, z = rng.random((50, 3)), rng.integers(0, 2, (50, 3))
    every = metrics.score(q, z, "multilabel")
    assert metrics.mean_average_precision(q, z) == every["map"]
    assert metrics.micro_f1(q, z) == every["micro_f1"]
    assert metrics.exact_match(q, z) == every["exact_match"]
    for name in ("accuracy", "macro_f1", "nll", "ece"):
        assert getattr(metrics, name)(q, z, "multilabel") == every[name]


def test_float32_probabilities_are_fine():
    p = np.random.default_rng(2).dirichlet(np.ones(5), 100)
    y = np.arange(100) % 5
    a, b = metrics.score(p, y), metrics.score(p.astype(np.float32), y)
    assert a == pytest.approx(b, rel=1e-4)


def test_certain_and_wrong_is_finite():
    assert metrics.nll([[1.0, 0.0]], [1]) == pytest.approx(-math.log(1e-12))


P, Y = np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([0, 1])


@pytest.mark.parametrize(
    ("p", "y", "kind", "names", "says"),
    [
        (P, Y[:1], "multiclass", None, "shape"),
        (P[0], Y, "multiclass", None, "shape"),
        (P[:0], Y[:0], "multiclass", None, "shape"),
        (P, np.array([0, 2]), "multiclass", None, "label 2 of item 1"),
        (P, np.array([0, -1]), "multiclass", None, "label -1 of item 1"),
        (P, np.array([0.0, 1.0]), "multiclass", None, "dtype"),
        (P * 3, Y, "multiclass", None, "not between 0 and 1"),
        (P / 2, Y, "multiclass", None, "sum to"),
        (np.array([[0.7, np.nan], [0.5, 0.5]]), Y, "multiclass", None, "item 0, class 1"),
        (P, Y, "multilabel", None, "shape"),
        (P, np.array([[1, 0], [-1, -1]]), "multilabel", None, "item 1, class 0"),
        (P, Y, "multi", None, "multiclass"),
        (P, Y, "multiclass", ["acuracy"], "did you mean 'accuracy'"),
        (P, Y, "multiclass", ["map"], "not defined for multiclass"),
    ],
)
def test_bad_input_is_named(p, y, kind, names, says):
    with pytest.raises(BadInput, match=says):
        metrics.score(p, y, kind, names)


def test_registry_says_what_each_score_is():
    for description, kinds, higher in metrics.METRICS.values():
        assert description
        assert set(kinds) <= {"multiclass", "multilabel"}
        assert isinstance(higher, bool)
    assert not metrics.METRICS["nll"].higher_is_better


def test_eleven_thousand_items_take_milliseconds():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(20), 11_000), rng.integers(0, 20, 11_000)
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        metrics.score(p, y)
        best = min(best, time.perf_counter() - start)
    assert best < 0.05  # about 3 ms on an idle core
