"""Paired comparisons: against scipy, by hand, and on simulated null pairs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labeltrain.errors import BadInput
from labeltrain.metrics import (
    area_under_curve,
    compare,
    compare_all,
    holm,
    mean_ranks,
    paired_t,
    sign_flip,
    t_interval,
    win_matrix,
)

numbers = st.lists(st.integers(-9, 9), min_size=2, max_size=9)


@given(st.integers(0, 2**32 - 1), st.integers(6, 30))
@settings(max_examples=60, deadline=None)
def test_paired_t_and_its_interval_equal_scipy(salt, seeds):
    a, b = np.random.default_rng(salt).normal(size=(2, seeds))
    reference = stats.ttest_rel(a, b)
    got = compare(a, b)
    assert got.p == pytest.approx(reference.pvalue)
    ci = reference.confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((ci.low, ci.high))
    assert got.difference == pytest.approx((a - b).mean())
    assert got.wins == sum(a > b)


@given(numbers)
@settings(max_examples=80, deadline=None)
def test_exact_sign_flip_equals_full_enumeration(values):
    observed = abs(sum(values))
    hits = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) >= observed
        for signs in itertools.product([-1, 1], repeat=len(values))
    ]
    assert sign_flip(np.array(values, dtype=float)) == pytest.approx(sum(hits) / len(hits))


def test_sign_flip_agrees_with_scipy():
    d = np.random.default_rng(0).normal(0.4, 1, 10)
    reference = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(d) == pytest.approx(reference.pvalue)


def test_drawn_sign_flip_approaches_the_exact_one_and_is_never_zero():
    d = np.random.default_rng(1).normal(0.5, 1, 14)
    bits = (np.arange(2**14)[:, None] >> np.arange(14)) & 1
    exact = (np.abs((2.0 * bits - 1) @ d) >= abs(d.sum()) - 1e-12).mean()
    assert sign_flip(d) == pytest.approx(exact, abs=0.01)
    assert sign_flip(d) == sign_flip(d)
    assert sign_flip(np.ones(40)) == pytest.approx(1 / 10_001)


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, then never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None, 0.04, None]) == [None, 0.04, None]
    assert holm([]) == []


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_equals_its_definition(p):
    known = sorted(x for x in p if x is not None)
    for before, after in zip(p, holm(p), strict=True):
        if before is None:
            assert after is None
            continue
        steps = [min(1.0, (len(known) - k) * q) for k, q in enumerate(known) if q <= before]
        assert after == pytest.approx(max(steps))
        assert after >= before


def test_few_seeds_have_intervals_but_no_tests():
    a = np.array([0.8, 0.9, 0.7, 0.8, 0.75])
    got = compare(a, a - np.array([0.1, 0.2, 0.1, 0.1, 0.2]))
    assert got.p is None
    assert got.test == ""
    assert got.reason == "5 seeds, a test needs 6"
    assert got.low < got.difference < got.high


def test_one_seed_has_neither():
    got = compare(np.array([0.8]), np.array([0.7]))
    assert (got.low, got.high, got.p) == (None, None, None)
    assert "1 seed, a test needs 6" in got.reason
    assert t_interval(np.array([1.0])) is None


def test_no_spread_is_said_not_hidden():
    a = np.linspace(0.6, 0.7, 8)
    same = compare(a + 0.1, a)
    assert same.p is None
    assert "same in every seed" in same.reason
    assert compare(a + 0.1, a, test="sign-flip").p == pytest.approx(2 / 2**8)
    assert compare(a, a).p == 1.0
    assert paired_t(np.zeros(7)) == 1.0


def test_bca_interval_is_an_option():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.8, 0.02, 12), rng.normal(0.7, 0.02, 12)
    t, bca = compare(a, b), compare(a, b, interval="bca")
    assert (bca.low, bca.high) == pytest.approx((t.low, t.high), abs=0.01)
    assert compare(a[:4], b[:4], interval="bca").low is None
    assert compare(a, b, test="sign-flip").test == "sign-flip (exact)"
    assert compare(np.tile(a, 2), np.tile(b, 2), test="sign-flip").test == "sign-flip (10000 draws)"


def test_compare_all_corrects_within_the_experiment_and_pairs_by_seed():
    rng = np.random.default_rng(3)
    base = rng.normal(0.7, 0.05, 10)
    values = {
        "random": base,
        "good": base + rng.normal(0.05, 0.01, 10),
        "same": base + rng.normal(0, 0.01, 10),
        "late": np.where(np.arange(10) < 4, base + 0.01, np.nan),
        "absent": np.full(10, np.nan),
    }
    got = compare_all(values, "random")
    assert set(got) == {"good", "same", "late"}
    assert got["late"].seeds == 4
    assert got["late"].p is None
    raw = [got["good"].p, got["same"].p]
    assert [got["good"].p_holm, got["same"].p_holm] == pytest.approx(holm(raw))
    with pytest.raises(BadInput, match="known"):
        compare_all(values, "rnd")


def test_win_matrix_by_hand():
    values = {
        "a": np.array([3.0, 3.0, 1.0, np.nan]),
        "b": np.array([1.0, 3.0, 2.0, 5.0]),
        "c": np.array([0.0, 0.0, 0.0, 0.0]),
    }
    got = win_matrix(values)
    assert got.names == ("a", "b", "c")
    assert got.wins.tolist() == [[0, 1, 3], [1, 0, 4], [0, 0, 0]]
    assert got.seeds.tolist() == [[0, 3, 3], [3, 0, 4], [3, 4, 0]]
    assert not got.significant.any()
    assert np.isnan(got.p_holm).all()


def test_win_matrix_marks_sure_wins_one_way_only():
    rng = np.random.default_rng(4)
    base = rng.normal(0.7, 0.05, 10)
    got = win_matrix({"low": base, "high": base + rng.normal(0.1, 0.01, 10)})
    assert got.significant.tolist() == [[False, False], [True, False]]
    assert got.p_holm[0, 1] == got.p_holm[1, 0] < 0.001


def null_pairs(pairs, seeds=10, rounds=13):
    """Areas under curves of two equal methods: shared split, own drift and noise."""
    rng = np.random.default_rng(2024)
    x = np.arange(1, rounds + 1) * 20
    mean = 0.9 - 0.4 * np.exp(-x / 90)
    split = rng.normal(0, 0.02, (pairs, 1, seeds, 1))
    drift = rng.normal(0, 0.006, (pairs, 2, seeds, rounds)).cumsum(axis=3)
    noise = rng.normal(0, 0.01, (pairs, 2, seeds, rounds))
    return area_under_curve(x, mean + split + drift + noise)


@pytest.mark.parametrize("test", ["t", "sign-flip"])
def test_a_thousand_null_pairs_give_five_percent(test):
    areas = null_pairs(1000)
    rate = np.mean([compare(a, b, test=test).p < 0.05 for a, b in areas])
    assert abs(rate - 0.05) <= 0.014


@pytest.mark.parametrize(
    ("a", "b", "options", "says"),
    [
        (np.ones(3), np.ones(4), {}, "shape"),
        (np.ones(0), np.ones(0), {}, "shape"),
        (np.array([1.0, math.nan]), np.ones(2), {}, "not finite"),
        (np.ones(3), np.ones(3), {"test": "wilcoxon"}, "unknown test"),
        (np.ones(3), np.ones(3), {"interval": "normal"}, "unknown interval"),
    ],
)
def test_bad_comparisons_are_named(a, b, options, says):
    with pytest.raises(BadInput, match=says):
        compare(a, b, **options)


def test_mean_ranks_by_hand():
    values = {
        "a": np.array([3.0, 1.0, 5.0]),
        "b": np.array([2.0, 1.0, np.nan]),
        "c": np.array([1.0, 4.0, 6.0]),
        "none": np.full(3, np.nan),
    }
    assert mean_ranks(values) == {"a": 1.75, "b": 2.25, "c": 2.0}
    assert mean_ranks({}) == {}
    apart = {"a": np.array([1.0, np.nan]), "b": np.array([np.nan, 1.0])}
    assert all(np.isnan(rank) for rank in mean_ranks(apart).values())
