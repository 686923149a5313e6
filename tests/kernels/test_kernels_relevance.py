"""Non-negative relevance against all supports, its optimality conditions, and invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labeltrain.kernels.relevance import largest_penalty, non_negative, sparse_non_negative

SEEDS = st.integers(0, 10**6)


def a_problem(seed: int, k: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, m)), rng.normal(size=k)


def cost(heads: np.ndarray, target: np.ndarray, nu: np.ndarray, penalty: float) -> float:
    left = heads @ nu - target
    return float(0.5 * left @ left + penalty * nu.sum())


def slow_non_negative(heads: np.ndarray, target: np.ndarray, penalty: float) -> np.ndarray:
    """The best of all supports whose plain minimum is non-negative."""
    m = heads.shape[1]
    best, found = cost(heads, target, np.zeros(m), penalty), np.zeros(m)
    for size in range(1, min(heads.shape) + 1):
        for some in itertools.combinations(range(m), size):
            part = heads[:, some]
            nu = np.zeros(m)
            nu[list(some)] = np.linalg.solve(part.T @ part, part.T @ target - penalty)
            if nu.min() >= 0 and cost(heads, target, nu, penalty) < best:
                best, found = cost(heads, target, nu, penalty), nu
    return found


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 7), st.sampled_from([0.0, 0.05, 0.4, 2.0]))
def test_it_is_the_best_of_all_supports(seed: int, k: int, m: int, penalty: float) -> None:
    w, wanted = a_problem(seed, k, m)
    found, slow = non_negative(w, wanted, penalty), slow_non_negative(w, wanted, penalty)
    assert found.min() >= 0
    assert cost(w, wanted, found, penalty) == pytest.approx(cost(w, wanted, slow, penalty))
    if penalty or m <= k:  # else several are as good
        np.testing.assert_allclose(found, slow, atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 60), st.integers(1, 40), st.sampled_from([0.0, 0.1, 1.0]))
def test_the_optimality_conditions(seed: int, k: int, m: int, penalty: float) -> None:
    w, wanted = a_problem(seed, k, m)
    nu = non_negative(w, wanted, penalty)
    slope = w.T @ (wanted - w @ nu) - penalty
    size = float(np.abs(w.T @ wanted).max())
    assert nu.min() >= 0
    assert slope.max() <= 1e-8 * size
    np.testing.assert_allclose(slope[nu > 0], 0.0, atol=1e-8 * size)


def test_it_is_that_of_scipy() -> None:
    from scipy.optimize import nnls

    for seed in range(20):
        w, wanted = a_problem(seed, 50, 20)
        np.testing.assert_allclose(non_negative(w, wanted), nnls(w, wanted)[0], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.3]))
def test_a_turn_an_order_and_a_unit_do_not_matter(seed: int, penalty: float) -> None:
    w, wanted = a_problem(seed, 6, 5)
    rng = np.random.default_rng(seed)
    nu = non_negative(w, wanted, penalty)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    np.testing.assert_allclose(non_negative(turn @ w, turn @ wanted, penalty), nu, atol=1e-9)
    order = rng.permutation(5)
    np.testing.assert_allclose(non_negative(w[:, order], wanted, penalty), nu[order], atol=1e-9)
    np.testing.assert_allclose(non_negative(3 * w, 3 * wanted, 9 * penalty), nu, atol=1e-9)
    twice = non_negative(np.hstack([w, w]), wanted, penalty)  # the first of copies has all
    np.testing.assert_allclose(twice[:5] + twice[5:], nu, atol=1e-9)
    assert np.count_nonzero(twice) == np.count_nonzero(nu)


def test_where_no_task_points_towards_the_target() -> None:
    assert not non_negative(-np.eye(3), np.ones(3)).any()
    assert not non_negative(np.eye(3), np.zeros(3)).any()
    assert not non_negative(np.zeros((3, 2)), np.ones(3), 0.1).any()
    assert non_negative(np.zeros((3, 0)), np.ones(3)).shape == (0,)
    sparse, whole = sparse_non_negative(-np.eye(3), np.ones(3), 0.15)
    assert not sparse.any()
    assert not whole.any()


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 9), st.sampled_from([0.05, 0.15, 0.5]))
def test_the_sparse_one_misses_little_and_no_larger_penalty_does(
    seed: int, k: int, m: int, share: float
) -> None:
    w, wanted = a_problem(seed, k, m)
    sparse, whole = sparse_non_negative(w, wanted, share)
    np.testing.assert_allclose(whole, non_negative(w, wanted), atol=1e-12)
    assume(whole.any())
    explained = float(np.linalg.norm(w @ whole))

    def missed(nu: np.ndarray) -> float:
        return 2 * (cost(w, wanted, nu, 0.0) - cost(w, wanted, whole, 0.0))

    assert missed(sparse) <= (share * explained) ** 2 + 1e-9
    assert np.linalg.norm(w @ (sparse - whole)) <= share * explained + 1e-6
    highest = float((w.T @ wanted).max())
    used = float((w.T @ (wanted - w @ sparse)).max())  # the penalty, by the conditions
    for penalty in np.geomspace(used * 1.01, highest, 6):
        assert missed(non_negative(w, wanted, float(penalty))) >= (share * explained) ** 2 - 1e-6
    assert sparse.sum() <= whole.sum() + 1e-9


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.1, 30.0))
def test_what_no_task_has_does_not_matter(seed: int, more: float) -> None:
    w, wanted = a_problem(seed, 5, 4)
    tall, beside = np.vstack([w, np.zeros(4)]), np.append(wanted, more)
    for a, b in zip(
        sparse_non_negative(w, wanted, 0.15), sparse_non_negative(tall, beside, 0.15), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_halving_finds_the_largest_penalty() -> None:
    tried: list[float] = []

    def fits(penalty: float) -> bool:
        tried.append(penalty)
        return penalty <= 0.3

    assert 0.3 / 1.001 <= largest_penalty(fits, 8.0) <= 0.3
    assert len(tried) < 25
    assert largest_penalty(lambda _: False, 1.0) == pytest.approx(1e-4, rel=0.5)
