"""Label saving: hand-computed examples, censoring, twins, intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn.isotonic import IsotonicRegression

from labeltrain.errors import BadInput
from labeltrain.metrics import area_under_curve, isotonic, label_saving, labels_needed
from labeltrain.metrics.bootstrap import bca_limits, resample_weights

LABELS = np.array([10, 20, 30, 40, 50])
LINE = np.array([[0.5, 0.6, 0.7, 0.8, 0.9]])  # needs 20 labels for every 0.2

scores = st.integers(0, 12).map(lambda k: k / 12)


def pava_twin(values):
    """Pool adjacent violators, one curve."""
    blocks = []
    for v in values:
        blocks.append([v, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, m), (a, n) = blocks.pop(), blocks.pop()
            blocks.append([(a * n + b * m) / (n + m), n + m])
    return [v for v, n in blocks for _ in range(n)]


def needed_twin(labels, curve, target):
    for k in range(len(labels)):
        if curve[k] >= target - 1e-9:
            if k == 0:
                return labels[0]
            part = (target - curve[k - 1]) / (curve[k] - curve[k - 1])
            return labels[k - 1] + min(max(part, 0), 1) * (labels[k] - labels[k - 1])
    return math.inf


@given(st.lists(st.lists(scores, min_size=7, max_size=7), min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_isotonic_equals_three_other_implementations(rows):
    got = isotonic(np.array(rows))
    assert (np.diff(got, axis=1) >= 0).all()
    for row, fit in zip(rows, got, strict=True):
        np.testing.assert_allclose(fit, pava_twin(row), atol=1e-12)
        np.testing.assert_allclose(fit, optimize.isotonic_regression(row).x, atol=1e-12)
        sklearn = IsotonicRegression().fit_transform(np.arange(len(row)), row)
        np.testing.assert_allclose(fit, sklearn, atol=1e-12)


def test_isotonic_in_blocks_is_the_same():
    curves = np.random.default_rng(0).random((3000, 60))  # 3000 * 60 * 60 > one block
    got = isotonic(curves)
    np.testing.assert_allclose(
        got[[0, 1500, 2999]], [pava_twin(curves[i]) for i in (0, 1500, 2999)]
    )


@given(
    st.lists(scores, min_size=1, max_size=8).map(sorted),
    st.floats(-0.2, 1.2, allow_nan=False),
    st.integers(0, 10**6),
)
@settings(max_examples=80, deadline=None)
def test_labels_needed_equals_its_twin(curve, target, salt):
    labels = np.cumsum(np.random.default_rng(salt).integers(1, 50, len(curve)))
    got = labels_needed(labels, np.array([curve]), np.array([[target]]))[0, 0]
    assert got == pytest.approx(needed_twin(labels, curve, target))


def test_hand_computed_saving():
    # Random rises 0.5 to 0.9: targets 0.7, 0.8, 0.86, 0.9 need 30, 40, 46, 50 labels.
    # The method is at 0.9 with 30 labels: 0.7 at 20, 0.8 at 25, 0.86 at 28, 0.9 at 30.
    method = np.array([[0.5, 0.7, 0.9, 0.9, 0.9]])
    got = label_saving(LABELS, method, LINE)
    assert [g.share for g in got] == [0.5, 0.75, 0.9, 1.0]
    np.testing.assert_allclose([g.target for g in got], [0.7, 0.8, 0.86, 0.9])
    np.testing.assert_allclose([g.labels_baseline for g in got], [30, 40, 46, 50])
    np.testing.assert_allclose([g.labels_method for g in got], [20, 25, 28, 30])
    np.testing.assert_allclose([g.value for g in got], [1 / 3, 15 / 40, 18 / 46, 0.4])
    assert {g.status for g in got} == {"reached"}
    assert all(g.low is None and g.high is None and "1 seed" in g.reason for g in got)


def test_a_method_that_needs_more_saves_less_than_nothing():
    method = np.array([[0.5, 0.5, 0.6, 0.7, 0.9]])
    half = label_saving(LABELS, method, LINE, shares=[0.5])[0]
    assert half.labels_method == pytest.approx(40)
    assert half.value == pytest.approx(1 - 40 / 30)


def test_a_dip_is_pooled_not_skipped():
    # 0.9, 0.5 pools to 0.7, 0.7: a running maximum would claim 0.9 at 20 labels.
    method = np.array([[0.5, 0.9, 0.5, 0.8, 0.9]])
    got = label_saving(LABELS, method, LINE, shares=[0.5, 1.0])
    assert got[0].labels_method == pytest.approx(20)
    assert got[1].labels_method == pytest.approx(50)


def test_a_plateau_is_reached_where_it_begins():
    baseline = np.array([[0.5, 0.7, 0.9, 0.9, 0.9]])
    full = label_saving(LABELS, LINE, baseline, shares=[1.0])[0]
    assert full.labels_baseline == pytest.approx(30)
    assert full.labels_method == pytest.approx(50)


def test_never_reached_is_censored():
    method = np.array([[0.5, 0.6, 0.7, 0.8, 0.85]])
    reached, never = label_saving(LABELS, method, LINE, shares=[0.75, 1.0])
    assert reached.status == "reached"
    assert reached.value == pytest.approx(0)
    assert never.status == "never"
    assert never.value is None
    assert math.isinf(never.labels_method)
    assert never.bound == pytest.approx(1 - 50 / 50)


def test_reached_at_the_first_point_is_censored_on_the_other_side():
    method = np.array([[0.75, 0.8, 0.8, 0.8, 0.9]])
    half, most = label_saving(LABELS, method, LINE, shares=[0.5, 0.75])
    assert half.status == "at_start"
    assert half.value is None
    assert half.labels_method == 10
    assert half.bound == pytest.approx(1 - 10 / 30)
    assert most.status == "reached"


def test_a_flat_baseline_has_no_target():
    flat = np.full((6, 5), 0.7)
    got = label_saving(LABELS, np.tile(LINE, (6, 1)), flat)
    assert {g.status for g in got} == {"no_rise"}
    assert all(g.value is None and g.low is None and g.bound is None for g in got)
    falling = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    assert label_saving(LABELS, LINE, falling)[0].status == "no_rise"


def paths(rng, seeds, tau, noise=0.01):
    x = np.arange(1, 14) * 20.0
    steps = rng.normal(0, noise, (seeds, 13)).cumsum(axis=1) * 0.5
    return x, 0.9 - 0.4 * np.exp(-x / tau) + steps + rng.normal(0, noise, (seeds, 1))


def test_a_method_that_is_random_saves_exactly_nothing():
    x, curve = paths(np.random.default_rng(3), 8, 90)
    for g in label_saving(x, curve, curve.copy()):
        assert (g.value, g.low, g.high) == (0.0, 0.0, 0.0)


def test_interval_covers_the_estimate_and_shrinks_with_seeds():
    rng = np.random.default_rng(4)
    widths = []
    for seeds in (8, 64):
        x, b = paths(rng, seeds, 110)
        _, m = paths(rng, seeds, 60)
        g = label_saving(x, m, b, shares=[0.9])[0]
        assert g.low < g.value < g.high
        assert g.interval == "bca"
        assert g.never_share == 0
        widths.append(g.high - g.low)
    assert widths[1] < widths[0] / 2


def test_same_seed_same_interval():
    rng = np.random.default_rng(5)
    (x, b), (_, m) = paths(rng, 10, 110), paths(rng, 10, 60)
    assert label_saving(x, m, b) == label_saving(x, m, b)
    assert label_saving(x, m, b) != label_saving(x, m, b, seed=1)


def test_seeds_are_resampled_jointly():
    # A shift common to both curves of a seed moves the target too, so it adds no width.
    rng = np.random.default_rng(6)
    (x, b), (_, m) = paths(rng, 10, 110, 0.002), paths(rng, 10, 60, 0.002)
    shift = rng.normal(0, 0.1, (10, 1))
    narrow = label_saving(x, m + shift, b + shift, shares=[0.9])[0]
    apart = label_saving(x, m + shift, b - shift, shares=[0.9])[0]
    assert narrow.high - narrow.low < 0.2
    assert apart.low == -math.inf or apart.high - apart.low > 0.5


def test_often_never_reached_opens_the_interval_below():
    # Half of the seeds end below random's last score.
    rng = np.random.default_rng(7)
    x, b = paths(rng, 10, 60, 0.001)
    m = b.copy()
    m[:5, 4:] -= 0.05
    m[5:, 4:] += 0.06
    g = label_saving(x, m, b, shares=[1.0])[0]
    assert g.status == "reached"
    assert 0.025 < g.never_share < 0.6
    assert g.low == -math.inf
    assert math.isfinite(g.high)


def test_never_reached_still_says_how_high_the_saving_may_be():
    rng = np.random.default_rng(8)
    x, b = paths(rng, 10, 60, 0.001)
    m = b.copy()
    m[:, 4:] -= np.linspace(-0.01, 0.03, 10)[:, None]
    g = label_saving(x, m, b, shares=[1.0])[0]
    assert (g.status, g.low) == ("never", -math.inf)
    assert g.high is not None
    assert g.interval == "percentile"


def test_already_there_at_the_first_point_opens_the_interval_above():
    x, b = paths(np.random.default_rng(9), 10, 200, 0.001)
    m = b.copy()
    m[:, 0] = b[:, 0] + np.linspace(0.05, 0.35, 10)
    m[:, 1:] = np.maximum(m[:, 1:], m[:, :1])
    g = label_saving(x, m, b, shares=[0.5])[0]
    assert g.high == math.inf
    assert math.isfinite(g.low)


def test_fewer_than_five_seeds_get_no_interval():
    x, b = paths(np.random.default_rng(10), 4, 90)
    g = label_saving(x, b, b)[0]
    assert (g.low, g.high, g.reason) == (None, None, "4 seeds, an interval needs 5")


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_saving_equals_a_twin_on_any_curves(salt, seeds, rounds):
    rng = np.random.default_rng(salt)
    x = np.cumsum(rng.integers(1, 30, rounds))
    m, b = rng.integers(0, 9, (2, seeds, rounds)) / 8
    got = label_saving(x, m, b, resamples=50)
    fit_m, fit_b = pava_twin(m.mean(axis=0)), pava_twin(b.mean(axis=0))
    for g in got:
        if fit_b[-1] - fit_b[0] <= 1e-9:
            assert g.status == "no_rise"
            continue
        target = fit_b[0] + g.share * (fit_b[-1] - fit_b[0])
        need_m, need_b = needed_twin(x, fit_m, target), needed_twin(x, fit_b, target)
        assert g.target == pytest.approx(target)
        assert g.labels_baseline == pytest.approx(need_b)
        assert g.labels_method == pytest.approx(need_m)
        if math.isinf(need_m):
            assert g.status == "never"
        elif fit_m[0] >= target - 1e-9:
            assert g.status == "at_start"
        else:
            assert g.value == pytest.approx(1 - need_m / need_b)
        if g.low is not None:
            assert g.low <= g.high


def test_bca_limits_equal_scipy():
    rng = np.random.default_rng(11)
    values = rng.exponential(size=12)
    for level in (0.9, 0.95):
        reference = stats.bootstrap(
            (values,), np.mean, confidence_level=level, n_resamples=1999, rng=rng, method="BCa"
        )
        left_out = (values.sum() - values) / 11
        got = bca_limits(values.mean(), reference.bootstrap_distribution, left_out, level=level)
        assert got.kind == "bca"
        np.testing.assert_allclose(got[:2], reference.confidence_interval, rtol=1e-6)


def test_bca_of_a_mean_agrees_with_scipy_on_own_draws():
    values = np.random.default_rng(12).normal(size=15)
    ours = bca_limits(
        values.mean(), resample_weights(15, 20_000, 0) @ values, (values.sum() - values) / 14
    )
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=1).confidence_interval
    np.testing.assert_allclose(ours[:2], theirs, atol=0.03)


def test_expanded_limits_are_wider_and_close_to_t():
    values = stats.norm.ppf((np.arange(10) + 0.5) / 10)
    draws, left_out = resample_weights(10, 40_000, 0) @ values, (values.sum() - values) / 9
    plain = bca_limits(values.mean(), draws, left_out)
    wide = bca_limits(values.mean(), draws, left_out, expand=True)
    t = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert wide.low < plain.low < plain.high < wide.high
    assert (wide.high - wide.low) == pytest.approx(t[1] - t[0], rel=0.06)


def test_limits_with_infinities_are_never_nan():
    draws = np.array([-np.inf] * 10 + list(np.linspace(0, 1, 90)))
    left_out = np.array([0.3, 0.4, 0.5, 0.6, -np.inf])
    got = bca_limits(0.5, draws, left_out)
    assert got == (-np.inf, got.high, "bc")
    assert 0.9 < got.high <= 1
    assert bca_limits(-np.inf, draws, left_out).kind == "percentile"
    assert bca_limits(2.0, draws, left_out).kind == "percentile"


def test_resample_weights_are_a_bootstrap():
    w = resample_weights(10, 4000, 0)
    np.testing.assert_allclose(w.sum(axis=1), 1)
    np.testing.assert_allclose(w.mean(axis=0), 0.1, atol=0.01)
    np.testing.assert_array_equal(w, resample_weights(10, 4000, 0))


def coverage(seeds, repeats=200):
    """How often the interval holds the truth, on curves with shared splits and drift."""
    x = np.arange(20, 280, 20)
    true_m, true_b = 0.9 - 0.4 * np.exp(-x / 60), 0.9 - 0.4 * np.exp(-x / 110)
    truth = label_saving(x, true_m[None], true_b[None], shares=[0.9])[0].value
    held = 0
    for k in range(repeats):
        rng = np.random.default_rng(k)
        shared = rng.normal(0, 0.008, (seeds, 1))
        noise = rng.normal(0, 0.008, (2, seeds, 13)).cumsum(axis=2) / np.sqrt(np.arange(1, 14))
        m, b = noise + shared + np.array([true_m, true_b])[:, None]
        g = label_saving(x, m, b, shares=[0.9], resamples=1000, seed=k)[0]
        held += g.low <= truth <= g.high
    return held / repeats


def test_the_interval_covers_about_as_often_as_it_says():
    assert coverage(10) >= 0.91
    assert coverage(5) >= 0.87


@given(st.lists(scores, min_size=1, max_size=9), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_area_equals_a_sum_of_trapezoids(values, salt):
    x = np.cumsum(np.random.default_rng(salt).integers(1, 50, len(values)))
    total = 0.0
    for k in range(1, len(x)):
        total += (x[k] - x[k - 1]) * (values[k] + values[k - 1]) / 2
    expected = total / (x[-1] - x[0]) if len(x) > 1 else values[0]
    assert area_under_curve(x, np.array(values)) == pytest.approx(expected)
    assert min(values) - 1e-12 <= area_under_curve(x, np.array(values)) <= max(values) + 1e-12


def test_area_of_many_curves_at_once():
    got = area_under_curve(LABELS, np.tile(LINE, (3, 1)))
    np.testing.assert_allclose(got, [0.7, 0.7, 0.7])


@pytest.mark.parametrize(
    ("labels", "method", "baseline", "says"),
    [
        ([10, 10, 30, 40, 50], LINE, LINE, "increase"),
        (LABELS, LINE[0], LINE, "shape"),
        (LABELS, np.tile(LINE, (2, 1)), LINE, "2 seeds, baseline 1"),
        (LABELS, LINE * np.nan, LINE, "method score of row 0 at 10 labels"),
        (LABELS, LINE, np.where(LINE > 0.85, np.inf, LINE), "baseline score of row 0 at 50 labels"),
        (LABELS[:3], LINE, LINE, "3 rounds"),
    ],
)
def test_bad_curves_are_named(labels, method, baseline, says):
    with pytest.raises(BadInput, match=says):
        label_saving(np.asarray(labels), method, baseline)


def test_bad_shares_are_named():
    with pytest.raises(BadInput, match="shares"):
        label_saving(LABELS, LINE, LINE, shares=[0.0])
    with pytest.raises(BadInput, match="one score per round"):
        area_under_curve(LABELS, np.ones(3))
