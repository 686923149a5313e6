"""Shares, agreement and temperature; and the examples in every docstring."""

from __future__ import annotations

import doctest
import importlib
import itertools
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import labeltrain.metrics
from labeltrain.errors import BadInput
from labeltrain.metrics import (
    apply_temperature,
    binomial_interval,
    fit_temperature,
    krippendorff_alpha,
    nll,
    pairwise_agreement,
)


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_binomial_interval_equals_scipy(k, more, level):
    n = k + more
    low, high = binomial_interval(k, n, level)
    if n == 0:
        assert (low, high) == (0.0, 1.0)
        return
    reference = stats.binomtest(k, n).proportion_ci(level, method="exact")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_binomial_interval_covers_at_least_its_level():
    for n in (1, 7, 30):
        limits = [binomial_interval(k, n) for k in range(n + 1)]
        for p in np.linspace(0.01, 0.99, 23):
            held = sum(stats.binom.pmf(k, n, p) for k, (a, b) in enumerate(limits) if a <= p <= b)
            assert held >= 0.95


@pytest.mark.parametrize(("k", "n", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 95)])
def test_binomial_interval_refuses(k, n, level):
    with pytest.raises(BadInput):
        binomial_interval(k, n, level)


def triples(*rows):
    """One row an annotator, '.' where the answer is missing."""
    return [
        (item, annotator, None if label == "." else label)
        for annotator, row in enumerate(rows)
        for item, label in enumerate(row.split())
    ]


# Krippendorff (2011), examples A, B and C.
A = triples("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")
B = triples("a a b b d c c c e d d a", "b a b b b c c c e d d d")
C = triples(
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


@pytest.mark.parametrize(("answers", "published"), [(A, 0.095), (B, 0.692), (C, 0.743)])
def test_alpha_of_the_published_examples(answers, published):
    assert krippendorff_alpha(answers) == pytest.approx(published, abs=5e-4)
    assert alpha_twin(answers) == pytest.approx(published, abs=5e-4)


def alpha_twin(answers):
    """Coincidence matrix, as in the paper."""
    items = {}
    for item, _, label in answers:
        if label is not None:
            items.setdefault(item, []).append(label)
    labels = sorted({x for given in items.values() for x in given}, key=str)
    o = np.zeros((len(labels), len(labels)))
    for given_labels in items.values():
        for a, b in itertools.permutations(given_labels, 2):
            o[labels.index(a), labels.index(b)] += 1 / (len(given_labels) - 1)
    n, n_c = o.sum(), o.sum(axis=1)
    expected = sum(
        n_c[i] * n_c[j] for i in range(len(labels)) for j in range(len(labels)) if i != j
    )
    if not n or not expected:
        return None
    observed = o.sum() - np.trace(o)
    return 1 - (n - 1) * observed / expected


answers_strategy = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from([None, "x", "y", "z"])),
    max_size=30,
    unique_by=lambda t: t[:2],
)


@given(answers_strategy)
@settings(max_examples=80, deadline=None)
def test_agreement_equals_its_twins(answers):
    alpha, twin = krippendorff_alpha(answers), alpha_twin(answers)
    assert (alpha is None) == (twin is None)
    if alpha is not None:
        assert alpha == pytest.approx(twin)
        assert alpha <= 1 + 1e-12
    equal = pairs = 0
    for (i, a, x), (j, b, y) in itertools.combinations(answers, 2):
        if i == j and a != b and x is not None and y is not None:
            pairs += 1
            equal += x == y
    raw = pairwise_agreement(answers)
    assert raw == (pytest.approx(equal / pairs) if pairs else None)


def test_agreement_says_when_it_is_not_known():
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha(triples("a a a", "a a a")) is None
    assert pairwise_agreement(triples("a . b")) is None
    with pytest.raises(BadInput, match="twice"):
        krippendorff_alpha([("i", "ann", 1), ("i", "ann", 2)])


def sharpened(rng, n, classes, power):
    """True probabilities, labels drawn from them, and an over- or under-confident version."""
    true = rng.dirichlet(np.ones(classes), n)
    labels = np.array([rng.choice(classes, p=row) for row in true])
    said = true**power
    return said / said.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("power", [0.4, 1.0, 3.0])
def test_temperature_undoes_what_was_done(power):
    p, y = sharpened(np.random.default_rng(0), 4000, 4, power)
    t = fit_temperature(p, y)
    assert t == pytest.approx(power, rel=0.08)
    assert nll(apply_temperature(p, t), y) <= nll(p, y) + 1e-9


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 4.0))
@settings(max_examples=40, deadline=None)
def test_temperature_is_at_the_minimum_of_a_grid(salt, power):
    p, y = sharpened(np.random.default_rng(salt), 30, 3, power)
    best = nll(apply_temperature(p, fit_temperature(p, y)), y)
    grid = [nll(apply_temperature(p, t), y) for t in np.geomspace(0.05, 20, 200)]
    assert best <= min(grid) + 1e-6


def test_temperature_stops_at_its_limits():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(p, np.array([0, 1])) == pytest.approx(0.05)
    assert fit_temperature(p, np.array([1, 0])) == pytest.approx(20)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20))
def test_applied_temperature_keeps_rows_and_order(salt, t):
    p = np.random.default_rng(salt).dirichlet(np.ones(4), 5)
    got = apply_temperature(p, t)
    np.testing.assert_allclose(got.sum(axis=1), 1)
    np.testing.assert_array_equal(got.argmax(axis=1), p.argmax(axis=1))
    np.testing.assert_allclose(apply_temperature(p, 1.0), p, atol=1e-9)


def test_temperature_refuses():
    for t in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(BadInput, match="temperature"):
            apply_temperature(np.array([[0.5, 0.5]]), t)


MODULES = [m.name for m in pkgutil.iter_modules(labeltrain.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"labeltrain.metrics.{name}")
    assert doctest.testmod(module).failed == 0
