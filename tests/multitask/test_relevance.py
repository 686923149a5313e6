"""Relevance: the numbers of the method card, invariances, and slow twins."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput
from labeltrain.multitask.allocation import power_shares
from labeltrain.multitask.design import risk_bound
from labeltrain.multitask.relevance import (
    elastic_net,
    lasso,
    least_l1,
    least_norm,
    penalty_by_noise,
    penalty_by_residual,
    residual,
)

D1 = (np.array([[1, 0, 1, 0.5], [0, 1, 1, 0.5]]), np.array([1.0, 1.0]))
D2 = (np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1.0]))
SEEDS = st.integers(0, 10**6)


def a_problem(seed: int, k: int = 3, m: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, m)), rng.normal(size=k)


def test_four_tasks_by_hand() -> None:  # D1
    nu2 = least_norm(*D1)
    np.testing.assert_allclose(nu2, [2 / 7, 2 / 7, 4 / 7, 2 / 7], atol=1e-12)
    assert nu2 @ nu2 == pytest.approx(4 / 7)
    assert np.abs(nu2).sum() == pytest.approx(10 / 7)
    np.testing.assert_allclose(least_l1(*D1), [0, 0, 1, 0], atol=1e-12)


def test_three_tasks_by_hand() -> None:  # D2
    nu2, nu1 = least_norm(*D2), least_l1(*D2)
    np.testing.assert_allclose(nu2, [2 / 3, 1 / 3, 2 / 3], atol=1e-12)
    assert nu2 @ nu2 == pytest.approx(1.0)
    np.testing.assert_allclose(nu1, [0.5, 0, 1], atol=1e-12)
    assert np.abs(nu1).sum() == pytest.approx(1.5)
    np.testing.assert_allclose(lasso(*D2, 0.1), [0.5, 0, 0.95], atol=1e-6)
    l2, l1 = 1000 * power_shares(nu2, 2), 1000 * power_shares(nu1, 1)
    np.testing.assert_allclose(l2, [444.4, 111.1, 444.4], atol=0.05)
    np.testing.assert_allclose(l1, [333.3, 0, 666.7], atol=0.05)
    assert float(risk_bound(np.full(3, 1000 / 3), nu2)) == pytest.approx(0.003)
    assert float(risk_bound(l2, nu2)) == pytest.approx(0.003)
    assert float(risk_bound(l1, nu1)) == pytest.approx(0.00225)


def test_one_task_above_all_others() -> None:  # D3
    w, wanted = np.full((1, 100), 0.1), np.array([1.0])
    w[0, 0] = 1.0
    nu2, nu1 = least_norm(w, wanted), least_l1(w, wanted)
    assert (w @ w.T).item() == pytest.approx(1.99)
    np.testing.assert_allclose(nu2[:2], [0.5025, 0.0503], atol=5e-5)
    assert nu2 @ nu2 == pytest.approx(0.5025, abs=5e-5)
    np.testing.assert_allclose(nu1, np.eye(100)[0], atol=1e-12)
    n = 10_000
    uniform = float(risk_bound(np.full(100, n / 100), nu2))
    assert uniform == pytest.approx(5.0251e-3, abs=1e-7)
    assert float(risk_bound(n * power_shares(nu2, 2), nu2)) == pytest.approx(uniform)
    by_size = float(risk_bound(n * power_shares(nu2, 1), nu2))
    assert by_size == pytest.approx(3.0002e-3, abs=1e-7)
    best = float(risk_bound(n * power_shares(nu1, 1), nu1))
    assert best == pytest.approx(1e-4)
    assert uniform / best == pytest.approx(50.25, abs=0.01)


# -- invariances -----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 9))
def test_it_does_not_depend_on_how_heads_are_written(seed: int, k: int, m: int) -> None:  # D5
    rng = np.random.default_rng(seed)
    w, wanted = rng.normal(size=(k, m)), rng.normal(size=k)
    if m < k:
        wanted = w @ rng.normal(size=m)
    q = rng.normal(size=(k, k))
    assume(np.linalg.cond(q) < 1e3)
    close: dict[str, Any] = {"atol": 1e-8, "rtol": 1e-6}
    np.testing.assert_allclose(least_norm(q @ w, q @ wanted), least_norm(w, wanted), **close)
    np.testing.assert_allclose(least_l1(q @ w, q @ wanted), least_l1(w, wanted), **close)
    turn = np.linalg.qr(q)[0]
    penalty = 0.1 * float(np.abs(w.T @ wanted).max())
    np.testing.assert_allclose(
        lasso(turn @ w, turn @ wanted, penalty), lasso(w, wanted, penalty), atol=1e-4
    )


def test_the_lasso_depends_on_more_than_a_turn() -> None:  # D5, what does not hold
    q = np.diag([1.0, 5.0])
    w, wanted = D2
    assert np.abs(lasso(q @ w, q @ wanted, 0.5) - lasso(w, wanted, 0.5)).max() > 0.01


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(0, 6), st.integers(2, 5))
def test_copies_of_a_task(seed: int, j: int, copies: int) -> None:  # D6
    w, wanted = a_problem(seed)
    more = np.hstack([w, np.repeat(w[:, [j]], copies - 1, axis=1)])
    group = [j, *range(7, 7 + copies - 1)]
    nu1, again = least_l1(w, wanted), least_l1(more, wanted)
    assert np.abs(again).sum() == pytest.approx(np.abs(nu1).sum())
    assert again[group].sum() == pytest.approx(nu1[j], abs=1e-9)
    least = float(risk_bound(power_shares(nu1), nu1))
    assert float(risk_bound(power_shares(again), again)) == pytest.approx(least)
    nu2 = least_norm(more, wanted)
    np.testing.assert_allclose(nu2[group], nu2[j], atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 10), SEEDS)
def test_a_longer_head_says_more(factor: float, seed: int) -> None:  # D7
    rng = np.random.default_rng(seed)
    w = 0.01 * rng.normal(size=(3, 6))
    w[:, 2] = rng.normal(size=3)
    wanted = 0.7 * w[:, 2]  # only task 2 is used, as long as it is the longest by far
    nu = least_l1(w, wanted)
    assume(np.flatnonzero(nu).tolist() == [2])
    scaled = w.copy()
    scaled[:, 2] *= factor
    found = least_l1(scaled, wanted)
    assume(np.flatnonzero(found).tolist() == [2])
    assert found[2] == pytest.approx(nu[2] / factor)
    before, after = (float(risk_bound(power_shares(v), v)) for v in (nu, found))
    assert after == pytest.approx(before / factor**2)


SOLVERS: list[Callable[[np.ndarray, np.ndarray], np.ndarray]] = [
    least_norm, least_l1, lambda w, t: lasso(w, t, 0.2), lambda w, t: elastic_net(w, t, 0.2, 0.5),
]  # fmt: skip


@pytest.mark.parametrize("solve", SOLVERS)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_tasks_and_targets_does_not_matter(
    solve: Callable[[np.ndarray, np.ndarray], np.ndarray], seed: int
) -> None:
    w, wanted = a_problem(seed)
    order = np.random.default_rng(seed).permutation(7)
    np.testing.assert_allclose(solve(w[:, order], wanted), solve(w, wanted)[order], atol=1e-4)
    both = np.column_stack([wanted, w[:, 0], np.zeros(3)])
    found = solve(w, both)
    assert found.shape == (7, 3)
    for t in range(3):
        np.testing.assert_allclose(found[:, t], solve(w, both[:, t]), atol=1e-12)
    assert not found[:, 2].any()
    np.testing.assert_array_equal(solve(w, wanted), solve(w, wanted))


# -- slow twins ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(0, 4), st.booleans())
def test_the_vertex_is_the_best_of_all_vertices(seed: int, k: int, more: int, dear: bool) -> None:
    rng = np.random.default_rng(seed)
    w, wanted = rng.normal(size=(k, k + more)), rng.normal(size=k)
    costs = rng.uniform(0.2, 3, size=k + more) if dear else np.ones(k + more)
    best = min(
        float(costs[list(some)] @ np.abs(np.linalg.solve(w[:, some], wanted)))
        for some in itertools.combinations(range(k + more), k)
    )
    found = least_l1(w, wanted, weights=costs if dear else None)
    np.testing.assert_allclose(w @ found, wanted, atol=1e-8)
    assert float(costs @ np.abs(found)) == pytest.approx(best, rel=1e-8)
    assert np.count_nonzero(found) <= k


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.floats(0.01, 2), st.floats(0.1, 1), st.booleans())
def test_the_optimality_conditions_of_the_elastic_net(
    seed: int, penalty: float, share: float, dear: bool
) -> None:
    rng = np.random.default_rng(seed)
    w, wanted = a_problem(seed)
    costs = rng.uniform(0.2, 3, size=7) if dear else np.ones(7)
    nu = elastic_net(w, wanted, penalty, share, weights=costs if dear else None)
    slope = w.T @ (wanted - w @ nu) - penalty * (1 - share) * costs**2 * nu
    slope /= penalty * share * costs
    assert (np.abs(slope) <= 1 + 1e-3).all()
    some = np.abs(nu) > 1e-6
    np.testing.assert_allclose(slope[some], np.sign(nu[some]), atol=1e-3)
    if share == 1:
        np.testing.assert_allclose(nu, lasso(w, wanted, penalty, weights=costs), atol=1e-8)


def test_dear_tasks_are_left_out() -> None:
    w, wanted = np.eye(2)[:, [0, 1, 0, 1]], np.array([1.0, 1.0])
    found = least_l1(w, wanted, weights=np.sqrt([4.0, 1, 1, 9]))
    np.testing.assert_allclose(found, [0, 1, 1, 0], atol=1e-12)
    found = lasso(w, wanted, 0.1, weights=np.sqrt([4.0, 1, 1, 9]))
    np.testing.assert_allclose(found, [0, 0.9, 0.9, 0], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.05, 0.15, 0.5]), st.sampled_from([0.5, 1.0]), st.integers(2, 7))
@example(414838, 0.05, 0.5, 3)  # singular values from 3.5 to 0.003: the floor is the answer
def test_the_penalty_is_the_largest_that_fits(
    seed: int, share: float, l1_share: float, m: int
) -> None:
    w, wanted = a_problem(seed, m=m)
    penalty = penalty_by_residual(w, wanted, share, l1_share=l1_share)
    allowed = share + float(residual(w, wanted, least_norm(w, wanted)))

    def left(at: float) -> float:
        return float(residual(w, wanted, elastic_net(w, wanted, at, l1_share)))

    highest = float(np.abs(w.T @ wanted).max()) / l1_share
    if penalty > 1e-4 * highest:  # else nothing that is tried fits: heads are nearly singular
        assert left(penalty) <= allowed + 1e-9
    grid = [p for p in np.geomspace(penalty * 1.01, highest, 8) if p < highest]
    assert all(left(p) > allowed - 1e-6 for p in grid)


def test_the_penalty_for_noise() -> None:
    w = 2.0 * np.eye(6)
    assert penalty_by_noise(w, 0.3, 200) == pytest.approx(0.3 * 2 * np.sqrt(6 / 200))


def test_a_target_outside_the_span_of_the_sources() -> None:  # D10
    w, wanted = np.array([[1.0, 0, 1], [0, 1, 1], [0, 0, 0]]), np.array([1.0, 1.0, 2.0])
    for solve in SOLVERS[:2]:
        nu = solve(w, wanted)
        np.testing.assert_allclose((w @ nu)[:2], [1, 1], atol=1e-12)
        assert float(residual(w, wanted, nu)) == pytest.approx(2 / np.sqrt(6))
    np.testing.assert_allclose(least_l1(w, wanted), [0, 0, 1], atol=1e-12)
    penalty = penalty_by_residual(w, wanted, 0.1)
    assert float(residual(w, wanted, lasso(w, wanted, penalty))) > 2 / np.sqrt(6)
    assert float(residual(w, wanted, np.zeros(3))) == pytest.approx(1.0)
    assert float(residual(w, np.zeros(3), np.zeros(3))) == 0.0
    assert not least_l1(np.zeros((2, 3)), np.ones(2)).any()
    assert not least_norm(np.zeros((2, 3)), np.ones(2)).any()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: least_norm(np.ones(3), np.ones(3)), "heads of shape"),
        (lambda: least_norm(np.ones((2, 3)), np.ones(3)), "target of shape"),
        (lambda: least_l1(np.array([[1.0, np.nan]]), np.ones(1)), r"nan at \(0, 1\)"),
        (lambda: least_l1(np.ones((1, 2)), np.ones(1), weights=np.ones(3)), "weights of shape"),
        (lambda: least_l1(np.ones((1, 2)), np.ones(1), weights=np.array([1.0, 0])), "task 1"),
        (lambda: lasso(np.ones((1, 2)), np.ones(1), 0.0), "penalty"),
        (lambda: elastic_net(np.ones((1, 2)), np.ones(1), 1.0, 0.0), "l1_share"),
        (lambda: penalty_by_residual(np.ones((1, 2)), np.ones(1), 1.0), "share"),
        (lambda: penalty_by_noise(np.ones((1, 2)), -1.0, 3), "noise"),
    ],
)
def test_bad_input(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()
