"""Labels on a graph: conjugate gradients against dense solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labeltrain.kernels.propagation import harmonic, neighbour_graph, spread


def some_graph(n: int, rng: np.random.Generator, density: float = 0.3) -> Any:
    weights = rng.random((n, n)) * (rng.random((n, n)) < density)
    weights = np.triu(weights, 1)
    return scipy.sparse.csr_array(weights + weights.T)


def spread_twin(graph: Any, seeds: np.ndarray, alpha: float) -> np.ndarray:
    weights = graph.toarray()
    degrees = weights.sum(axis=1)
    inverse = np.zeros(len(degrees))
    inverse[degrees > 0] = degrees[degrees > 0] ** -0.5
    smooth = inverse[:, None] * weights * inverse
    return (1 - alpha) * np.linalg.solve(np.eye(len(weights)) - alpha * smooth, seeds)


def harmonic_twin(graph: Any, fixed: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Every item takes the mean of its neighbours, again and again, from zero: 2^50 times."""
    weights = graph.toarray()
    result = np.zeros((len(weights), values.shape[1]))
    result[fixed] = values
    step = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    step[fixed] = np.eye(len(weights))[fixed]
    for _ in range(50):
        step = step @ step
        step /= np.maximum(step.sum(axis=1, keepdims=True), 1e-300)  # rounding adds up
    return np.asarray(step @ result)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6), st.floats(0.01, 0.99))
def test_spreading_equals_the_dense_solution(n: int, seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    graph = some_graph(n, rng)
    seeds = np.zeros((n, 3))
    some = rng.permutation(n)[: max(1, n // 5)]
    seeds[some, rng.integers(0, 3, len(some))] = 1.0
    np.testing.assert_allclose(
        spread(graph, seeds, alpha), spread_twin(graph, seeds, alpha), atol=1e-6
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10**6), st.floats(0.05, 0.6))
@example(26, 229, 0.0625)  # a path of tiny weights: many thousand means
def test_the_harmonic_function_equals_repeated_means(n: int, seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    graph = some_graph(n, rng, density)
    fixed = np.sort(rng.permutation(n)[: max(1, n // 4)])
    values = np.eye(3)[rng.integers(0, 3, len(fixed))]
    np.testing.assert_allclose(
        harmonic(graph, fixed, values), harmonic_twin(graph, fixed, values), atol=1e-5
    )


def test_spreading_by_hand() -> None:
    """A chain of three, the first labelled: S has 1/sqrt(2) beside the diagonal."""
    graph = scipy.sparse.csr_array(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    found = spread(graph, np.array([[1.0], [0], [0]]), 0.5)
    # (I - S/2) f = (1/2, 0, 0): f2 = f1 / 2 sqrt(2) + f3 / 2 sqrt(2), f3 = f2 / 2 sqrt(2)
    a = 0.5 / np.sqrt(2)
    f2 = 0.5 * a / (1 - 2 * a**2)
    np.testing.assert_allclose(found[:, 0], [0.5 + a * f2, f2, a * f2], atol=1e-7)


def test_the_harmonic_function_on_a_chain_is_linear() -> None:
    chain = np.diag(np.ones(10), 1)
    graph = scipy.sparse.csr_array(chain + chain.T)
    found = harmonic(graph, np.array([0, 10]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(found[:, 1], np.linspace(0, 1, 11), atol=1e-6)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_graph_equals_its_definition(normalise: bool) -> None:
    points = np.random.default_rng(0).normal(size=(60, 5))
    graph, scales = neighbour_graph(points, 4, normalise=normalise)
    x = points / np.linalg.norm(points, axis=1, keepdims=True) if normalise else points
    d = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(d, np.inf)
    nearest = np.argsort(d, axis=1)[:, :4]
    own = np.take_along_axis(d, nearest, axis=1).mean(axis=1)
    np.testing.assert_allclose(scales, own, rtol=1e-9)
    expected = np.zeros((60, 60))
    for i in range(60):
        for j in nearest[i]:
            expected[i, j] = expected[j, i] = np.exp(-(d[i, j] ** 2) / (own[i] * own[j]))
    np.testing.assert_allclose(graph.toarray(), expected, rtol=1e-6)
    assert graph.nnz == (expected > 0).sum()
