"""BAIT's search against explicit Kronecker products and direct inverses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels.fisher import (
    FisherSearch,
    fisher_sum,
    forward_backward,
    item_factors,
    swap,
)


def slow_fisher(z: np.ndarray, p: np.ndarray, labels: bool) -> np.ndarray:
    middle = np.diag(p * (1 - p)) if labels else np.diag(p) - np.outer(p, p)
    return np.kron(middle, np.outer(z, z))


def problem(
    seed: int, n: int = 14, d: int = 3, classes: int = 3, labels: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d))
    p = rng.random((n, classes)) if labels else rng.dirichlet(np.ones(classes), n)
    target = sum(slow_fisher(z[i], p[i], labels) for i in range(n)) / n
    return z, p, target, 0.1 * np.eye(classes * d)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_sums_and_factors_are_the_explicit_ones(seed: int, labels: bool) -> None:
    z, p, target, _ = problem(seed, labels=labels)
    np.testing.assert_allclose(fisher_sum(z, p, labels=labels) / len(z), target, atol=1e-12)
    factors = item_factors(p, 9, labels=labels)
    for i in range(len(z)):
        v = np.kron(factors[i], z[i][:, None])
        np.testing.assert_allclose(v @ v.T, slow_fisher(z[i], p[i], labels), atol=1e-12)


def test_fewer_directions_keep_the_largest_eigenvalues() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(6), 5)
    for rank in range(1, 6):
        factors = item_factors(p, rank)
        for i in range(5):
            whole = np.linalg.eigvalsh(np.diag(p[i]) - np.outer(p[i], p[i]))[::-1]
            kept = np.linalg.eigvalsh(factors[i] @ factors[i].T)[::-1]
            np.testing.assert_allclose(kept[:rank], whole[:rank], atol=1e-12)
            np.testing.assert_allclose(kept[rank:], 0.0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_gains_and_losses_are_those_of_direct_inversion(seed: int, labels: bool) -> None:
    z, p, target, start = problem(seed, labels=labels)
    search = FisherSearch(z, item_factors(p, 9, labels=labels), start.copy(), target)
    matrix = start.copy()
    rng = np.random.default_rng(seed)
    held: list[int] = []
    for _ in range(8):
        take = bool(held) and rng.random() < 0.4
        item = int(rng.choice(held) if take else rng.integers(len(z)))
        if not take and item in held:
            continue
        now = np.trace(np.linalg.solve(matrix, target))
        gains, losses = search.gains(), search.losses()
        for i in range(len(z)):
            more = matrix + slow_fisher(z[i], p[i], labels)
            assert gains[i] == pytest.approx(
                now - np.trace(np.linalg.solve(more, target)), abs=1e-8
            )
        for i in held:
            less = matrix - slow_fisher(z[i], p[i], labels)
            assert losses[i] == pytest.approx(
                np.trace(np.linalg.solve(less, target)) - now, rel=1e-6, abs=1e-7
            )
        search.move(item, -1.0 if take else 1.0)
        matrix += (-1.0 if take else 1.0) * slow_fisher(z[item], p[item], labels)
        held.remove(item) if take else held.append(item)
        assert search.objective == pytest.approx(
            np.trace(np.linalg.solve(matrix, target)), rel=1e-8
        )


def slow_forward_backward(
    z: np.ndarray, p: np.ndarray, target: np.ndarray, matrix: np.ndarray, count: int, size: int
) -> list[int]:
    chosen: list[int] = []
    for _ in range(size):
        options = [
            np.inf
            if i in chosen
            else np.trace(np.linalg.solve(matrix + slow_fisher(z[i], p[i], False), target))
            for i in range(len(z))
        ]
        best = int(np.argmin(options))
        chosen.append(best)
        matrix = matrix + slow_fisher(z[best], p[best], False)
    while len(chosen) > count:
        options = [
            np.trace(np.linalg.solve(matrix - slow_fisher(z[i], p[i], False), target))
            for i in chosen
        ]
        worst = chosen[int(np.argmin(options))]
        chosen.remove(worst)
        matrix = matrix - slow_fisher(z[worst], p[worst], False)
    return chosen


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_greedy_search_is_that_of_its_slow_twin(seed: int, count: int) -> None:
    z, p, target, start = problem(seed)
    search = FisherSearch(z, item_factors(p, 9), start.copy(), target)
    found = forward_backward(search, count, 2.0)
    assert found.tolist() == slow_forward_backward(z, p, target, start, count, 2 * count)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_swapping_never_makes_it_worse(seed: int) -> None:
    z, p, target, start = problem(seed)

    def value(rows: np.ndarray) -> float:
        matrix = start + sum(slow_fisher(z[i], p[i], False) for i in rows)
        return float(np.trace(np.linalg.solve(matrix, target)))

    values = []
    for sweeps in (0, 1, 3):
        search = FisherSearch(z, item_factors(p, 9), start.copy(), target)
        rows = swap(search, 4, 5, sweeps, np.random.default_rng(seed))
        assert len(set(rows.tolist())) == 4
        assert search.objective == pytest.approx(value(rows), rel=1e-7)
        values.append(value(rows))
    assert values[0] >= values[1] - 1e-9
    assert values[1] >= values[2] - 1e-9


def test_of_many_classes_the_leading_ones_make_the_factor() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(300, 0.02), 40)
    factors = item_factors(p, 4)
    for i in range(len(p)):
        whole = np.linalg.eigvalsh(np.diag(p[i]) - np.outer(p[i], p[i]))[::-1]
        kept = np.linalg.eigvalsh(factors[i] @ factors[i].T)[::-1]
        np.testing.assert_allclose(kept[:4], whole[:4], atol=1e-6)
        assert (kept[:4] <= whole[:4] + 1e-12).all()  # it claims no more than there is


def test_of_equal_items_the_one_added_last_is_taken_away() -> None:
    z, p = np.ones((3, 2)), np.full((3, 2), 0.5)
    target = fisher_sum(z, p) / 3
    search = FisherSearch(z, item_factors(p, 3), 0.1 * np.eye(4), target)
    assert forward_backward(search, 1, 3.0).tolist() == [0]


def test_labels_of_their_own_have_their_own_information() -> None:
    import labeltrain
    from labeltrain.strategies.bait import reduced

    for seed in range(5):
        z, p, _, _ = problem(seed, labels=True)
        points = reduced(z, 3)
        target = sum(slow_fisher(points[i], p[i], True) for i in range(len(z))) / len(z)
        matrix, picks = 0.01 * np.eye(9), []
        for _ in range(4):
            values = [
                np.trace(np.linalg.solve(matrix + slow_fisher(points[i], p[i], True), target))
                if i not in picks
                else np.inf
                for i in range(len(z))
            ]
            picks.append(int(np.argmin(values)))
            matrix += slow_fisher(points[picks[-1]], p[picks[-1]], True)
        found = labeltrain.select(
            "bait", embeddings=z, probabilities=p, kind="multilabel", budget=4, oversample=1.0
        )
        assert found.positions.tolist() == picks
