"""Allocation: the numbers of the method card, what always holds, and slow twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput
from labeltrain.multitask.affinity import affinity, mixture_step
from labeltrain.multitask.allocation import (
    allocate,
    mixed,
    moving_average,
    power_shares,
    rounded,
    top_tasks,
)
from labeltrain.multitask.design import _by_turns, least_group, optimal_shares, risk_bound
from labeltrain.multitask.relevance import least_l1, least_norm

SEEDS = st.integers(0, 10**6)


def test_floors_and_rounding_by_hand() -> None:  # D4
    assert allocate(power_shares(np.array([0.5, 0, 1])), 100, floor=10).tolist() == [33, 10, 57]
    nu = np.array([2, 1, 2]) / 3
    assert allocate(power_shares(nu, 2), 100, floor=10).tolist() == [41, 18, 41]
    nu = np.array([0.7, 0.3, *np.zeros(38)])
    found = allocate(power_shares(nu), 2400, floor=12)
    assert found.tolist() == [1356, 588] + [12] * 38
    assert found.sum() == 2400


def test_shares_by_hand() -> None:
    nu = np.array([3.0, -1.0, 0.0])
    np.testing.assert_allclose(power_shares(nu, 0), [0.5, 0.5, 0])
    np.testing.assert_allclose(power_shares(nu, 1), [0.75, 0.25, 0])
    np.testing.assert_allclose(power_shares(nu, 2), [0.9, 0.1, 0])
    np.testing.assert_allclose(power_shares(np.zeros(4)), 0.25)
    np.testing.assert_allclose(power_shares(nu, costs=np.array([9.0, 1, 1])), [0.5, 0.5, 0])
    np.testing.assert_allclose(power_shares(nu, noise=np.array([1.0, 3, 1])), [0.5, 0.5, 0])
    np.testing.assert_allclose(power_shares(np.array([[3.0, 4], [0, 5]])), [0.5, 0.5])
    np.testing.assert_allclose(mixed(power_shares(nu), 0.3), [0.625, 0.275, 0.1])
    np.testing.assert_allclose(moving_average(nu, None, 0.5), nu)
    np.testing.assert_allclose(moving_average(nu, np.ones(3), 0.25), [2.5, -0.5, 0.25])
    assert top_tasks(np.array([1.0, -2, 2, 0.5]), 2).tolist() == [0, -2, 2, 0]
    assert top_tasks(np.array([1.0, 1, 1]), 1).tolist() == [1, 0, 0]
    assert top_tasks(np.array([[1.0, 1], [0, 3]]), 1).tolist() == [[0, 0], [0, 3]]


@st.composite
def situations(draw: Any) -> dict[str, Any]:
    m = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(SEEDS))
    drawn = rng.integers(0, 9, size=m) * rng.integers(0, 2, size=m)
    floor = int(rng.integers(0, 5))
    ends = drawn + rng.integers(0, 30, size=m)
    available = np.where(rng.random(m) < 0.5, ends, np.inf) if draw(st.booleans()) else None
    high = np.full(m, np.inf) if available is None else available
    least = int(np.maximum(drawn, np.minimum(floor, high)).sum())
    shares = rng.random(m) * rng.integers(0, 2, size=m)
    budget = least + int(rng.integers(0, 60))
    return {
        "shares": shares, "budget": budget, "floor": floor, "drawn": drawn, "available": available,
    }  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(situations())
def test_what_always_holds(asked: dict[str, Any]) -> None:
    shares, budget, drawn = asked["shares"], asked["budget"], asked["drawn"]
    high = np.full(len(shares), np.inf) if asked["available"] is None else asked["available"]
    n = allocate(**asked)
    assert n.sum() == min(budget, high.sum())
    assert (n >= drawn).all()
    assert (n <= high).all()
    assert (n >= np.minimum(asked["floor"], high)).all()
    np.testing.assert_array_equal(n, allocate(**asked))
    np.testing.assert_allclose(n, allocate(**{**asked, "shares": 7 * shares}))
    order = np.random.default_rng(budget).permutation(len(shares))
    other = allocate(
        shares[order], budget, floor=asked["floor"], drawn=drawn[order], available=high[order]
    )
    assert np.abs(other - n[order]).max() <= 1  # ties go to the lowest task
    assert other.sum() == n.sum()


def water(asked: dict[str, Any]) -> np.ndarray:
    """Return what `allocate` should come to before rounding, by halving t."""
    m = len(asked["shares"])
    high = np.full(m, np.inf) if asked["available"] is None else asked["available"]
    base = np.minimum(asked["floor"], high)
    least = np.maximum(asked["drawn"], base)

    def level(base: np.ndarray, least: np.ndarray, shares: np.ndarray) -> np.ndarray:
        a, b = 0.0, 1e6
        for _ in range(200):
            t = (a + b) / 2
            spent = np.clip(base + t * shares, least, high).sum()
            a, b = (t, b) if spent < asked["budget"] else (a, t)
        return np.clip(base + b * shares, least, high)

    found = level(base, least, asked["shares"]) if asked["shares"].any() else least
    if found.sum() < asked["budget"] - 1e-6:
        found = level(found, found, np.where(found < high, 1.0, 0.0))
    return found


@settings(max_examples=200, deadline=None)
@given(situations())
def test_the_level_is_that_of_its_slow_twin(asked: dict[str, Any]) -> None:
    assert np.abs(allocate(**asked) - water(asked)).max() < 1 + 1e-3


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_nothing_taken_back_is_done_at_the_least_bound(seed: int, dear: bool) -> None:
    """The shares are the minimum of the bound under what was drawn and what there is."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    m = 5
    nu, drawn = rng.normal(size=m), rng.integers(100, 2000, size=m)
    costs = rng.uniform(0.5, 2, size=m) if dear else np.ones(m)
    high = drawn + rng.integers(500, 5000, size=m)
    budget = float(costs @ drawn) + 5000.0
    n = allocate(power_shares(nu, costs=costs), budget, drawn=drawn, available=high, costs=costs)
    answer = minimize(
        lambda x: 1e3 * float(risk_bound(x, nu)), np.maximum(drawn, 1.0) + 1.0,
        jac=lambda x: -1e3 * nu**2 / x**2, method="SLSQP",
        bounds=[(a, b) for a, b in zip(drawn, high, strict=True)],
        constraints={"type": "ineq", "fun": lambda x: budget - costs @ x, "jac": lambda _: -costs},
        options={"maxiter": 1000, "ftol": 1e-12},
    )  # fmt: skip
    assert costs @ n <= budget + 1e-6
    assert float(risk_bound(n, nu)) <= 1.005 * answer.fun / 1e3


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 8))
def test_rounding(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    amounts = rng.random(m) * 20
    amounts *= int(rng.integers(1, 99)) / amounts.sum()
    total = round(amounts.sum())
    n = rounded(amounts, total)
    assert n.sum() == total
    assert (np.abs(n - amounts) < 1).all()
    up = n > amounts
    if up.any() and not up.all():
        parts = amounts - np.floor(amounts)
        assert parts[up].min() >= parts[~up].max() - 1e-8
    costs = rng.uniform(0.5, 4, size=m)
    budget = float(costs @ amounts)
    bought = rounded(amounts, budget, costs=costs)
    left = budget - float(costs @ bought)
    assert left >= -1e-6
    short = (bought < amounts - 1e-6) & (costs <= left)
    assert not short.any()  # what is left buys none of what was cut off


def test_equal_parts_go_to_the_lowest_task_whatever_the_last_bits() -> None:
    assert rounded(np.full(3, 10 / 3), 10).tolist() == [4, 3, 3]
    assert rounded(np.array([0.1 * 3 + 0.2, 0.5]), 1).tolist() == [1, 0]
    assert rounded(np.array([2.9999999999999996, 1.0]), 4).tolist() == [3, 1]


def test_dear_samples_are_bought_with_a_budget_of_costs() -> None:
    costs = np.array([4.0, 1.0])
    n = allocate(power_shares(np.ones(2), costs=costs), 120, costs=costs)
    assert n.tolist() == [20, 40]  # 1 : 2, as |nu| / sqrt(cost)


# -- designs ---------------------------------------------------------------------------------------


def test_the_bound() -> None:
    assert np.isinf(risk_bound(np.array([0, 5]), np.array([0.1, 1])))
    assert float(risk_bound(np.array([0, 5]), np.array([0.0, 1]))) == pytest.approx(0.2)
    both = risk_bound(np.array([0, 5]), np.array([[0.0, 1], [2, 1]]))
    assert both[0] == pytest.approx(0.8)
    assert np.isinf(both[1])
    noisy = risk_bound(np.array([1, 4]), np.ones(2), noise=np.array([2.0, 4]))
    assert float(noisy) == pytest.approx(4 + 4)


def test_the_best_design_for_one_target_is_the_least_relevance() -> None:  # D24
    w, wanted = np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1.0])
    np.testing.assert_allclose(optimal_shares(w, wanted), [1 / 3, 0, 2 / 3], atol=1e-9)
    nu, gap = _by_turns(w, wanted[:, None], 1e-8, 100_000)
    assert 0 <= gap <= 1e-8
    np.testing.assert_allclose(power_shares(nu), [1 / 3, 0, 2 / 3], atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(0, 12))
def test_turns_end_at_the_vertex_of_the_programme(seed: int, k: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    w, wanted = rng.normal(size=(k, k + more)), rng.normal(size=(k, 1))
    nu, gap = _by_turns(w, wanted, 1e-5, 50_000)
    least = np.abs(least_l1(w, wanted[:, 0])).sum()
    np.testing.assert_allclose(w @ nu, wanted, atol=1e-6)
    assert least <= np.abs(nu).sum() * (1 + 1e-9)
    assert (np.abs(nu).sum() / least) ** 2 <= 1 + gap + 1e-9


def total_bound(w: np.ndarray, targets: np.ndarray, n: np.ndarray) -> float:
    """Return the sum of all targets' bounds for the best relevance of each."""
    return float(np.trace(targets.T @ np.linalg.solve((w * n) @ w.T, targets)))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.booleans())
def test_several_targets_are_served_at_least_cost(seed: int, dear: bool) -> None:
    rng = np.random.default_rng(seed)
    w, targets = rng.normal(size=(3, 8)), rng.normal(size=(3, 4))
    costs = rng.uniform(0.5, 3, size=8) if dear else np.ones(8)
    noise = rng.uniform(0.5, 3, size=8) if dear else np.ones(8)
    weights = rng.uniform(0.5, 3, size=4) if dear else np.ones(4)
    shares = optimal_shares(w, targets, importance=weights, costs=costs, noise=noise)
    assert shares.sum() == pytest.approx(1.0)
    aims, seen = targets * np.sqrt(weights), w / noise

    def value(p: np.ndarray) -> float:
        return total_bound(seen, aims, p / (costs @ p))

    best = value(shares)
    for other in (
        np.ones(8), power_shares(least_norm(w, targets)), power_shares(least_l1(w, targets)),
        *rng.dirichlet(np.ones(8), size=20), *(0.99 * shares + 0.01 * e for e in np.eye(8)),
    ):  # fmt: skip
        assert best <= value(other + 1e-12) * (1 + 1e-5)


def test_the_relevance_to_several_targets_is_the_best_for_its_own_shares() -> None:
    rng = np.random.default_rng(0)
    w, targets = rng.normal(size=(3, 8)), rng.normal(size=(3, 4))
    nu, gap = least_group(w, targets)
    assert gap <= 1e-6
    np.testing.assert_allclose(w @ nu, targets, atol=1e-8)
    lengths = np.linalg.norm(nu, axis=1)
    n = 1000 * power_shares(nu)
    value = float(risk_bound(n, nu).sum())
    assert value == pytest.approx(lengths.sum() ** 2 / 1000)
    assert value == pytest.approx(total_bound(w, targets, n), rel=1e-5)
    one, gap = least_group(w, targets[:, :1])
    assert gap == 0
    np.testing.assert_allclose(one, least_l1(w, targets[:, :1]))
    flat = np.vstack([w, w[0]])  # heads that do not span their space
    again, _ = least_group(flat, np.vstack([targets, targets[0]]))
    np.testing.assert_allclose(again, nu, atol=2e-3)


def test_a_target_that_sources_do_not_span_has_no_design() -> None:
    with pytest.raises(BadInput, match=r"44\.7% of target 1 unexplained"):
        optimal_shares(np.array([[1.0], [0.0]]), np.array([[1.0, 2.0], [0.0, 1.0]]))


# -- other weights ---------------------------------------------------------------------------------


def test_affinity_by_hand() -> None:  # D22
    np.testing.assert_allclose(affinity(np.array(2.0), np.array([1.5, 2.2])), [0.25, -0.10])
    steps = affinity(np.array([[2.0], [1.0]]), np.array([[1.5, 2.2], [0.5, 1.0]]))
    np.testing.assert_allclose(steps, [0.375, -0.05])
    with pytest.raises(BadInput, match="losses"):
        affinity(np.array(0.0), np.ones(2))


def test_a_step_of_a_mixture_by_hand() -> None:  # D23
    half = np.array([0.5, 0.5])
    found = mixture_step(half, np.array([1.0, 0.0]), smoothing=0.0)
    np.testing.assert_allclose(found, [0.73106, 0.26894], atol=1e-5)
    np.testing.assert_allclose(mixture_step(half, np.array([1.0, -9.0]), smoothing=0.0), found)
    smooth = mixture_step(half, np.array([1.0, 0.0]), smoothing=0.1)
    np.testing.assert_allclose(smooth, 0.9 * found + 0.05)
    np.testing.assert_allclose(mixture_step(half, np.array([2e3, 0.0]), smoothing=0.0), [1, 0])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: power_shares(np.array([np.inf])), "relevance"),
        (lambda: power_shares(np.ones(2), -1), "power"),
        (lambda: power_shares(np.ones(2), costs=np.array([1.0, -1])), "costs of task 1"),
        (lambda: mixed(np.ones(2) / 2, 1.5), "uniform"),
        (lambda: moving_average(np.ones(2), None, 1.0), "keep"),
        (lambda: top_tasks(np.ones(2), 0), "count"),
        (lambda: allocate(np.array([-1.0]), 3), "shares"),
        (lambda: allocate(np.ones(2), 3, floor=2), "floor of 2"),
        (lambda: allocate(np.ones(2), 3, floor=-1), "floor"),
        (lambda: allocate(np.ones(2), 3, drawn=np.array([2, 2])), "smaller floor"),
        (lambda: allocate(np.ones(2), 9, drawn=np.array([2, 2]), available=np.ones(2)), "task 0"),
        (lambda: allocate(np.ones(2), 9, drawn=np.ones(3)), "drawn"),
        (lambda: risk_bound(np.ones(2), np.ones(3)), "counts of shape"),
        (lambda: mixture_step(np.ones(2), np.ones(3)), "weights of shape"),
        (lambda: mixture_step(np.zeros(2), np.ones(2)), "no shares"),
        (lambda: mixture_step(np.ones(2), np.ones(2), smoothing=2), "smoothing"),
    ],
)
def test_bad_input(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()
