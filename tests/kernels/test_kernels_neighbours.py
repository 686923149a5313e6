"""Nearest neighbours and greedy search on their graph against slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.graph_coverage import greedy_coverage_on_graph
from labeltrain.kernels.neighbours import (
    approximate_neighbours,
    nearest_neighbours,
)
from labeltrain.kernels.similarity import Similarity


def squared_distances(points: np.ndarray, normalise: bool) -> np.ndarray:
    x = np.asarray(points, dtype=np.float64)
    if normalise:
        lengths = np.sqrt((x**2).sum(axis=1, keepdims=True))
        x = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    return squares


@pytest.mark.parametrize("block", range(4))
def test_neighbours_are_those_of_brute_force(block: int) -> None:
    for trial in range(60 * block, 60 * (block + 1)):
        rng = np.random.default_rng(trial)
        n, d, k = int(rng.integers(1, 70)), int(rng.integers(1, 12)), int(rng.integers(1, 12))
        points = [
            rng.normal(size=(n, d)),
            rng.integers(-1, 2, size=(n, d)).astype(float),
            rng.normal(size=(n, d)) + 1000.0,
        ][trial % 3].astype([np.float16, np.float32, np.float64][trial // 3 % 3])
        normalise = bool(trial % 2)
        found, gaps = nearest_neighbours(
            points, k, normalise=normalise, memory=[1, 2**30][trial // 9 % 2]
        )
        slow = squared_distances(points, normalise)
        order = np.argsort(slow, axis=1, kind="stable")[:, : min(k, n - 1)]
        assert found.shape == order.shape
        expected = np.take_along_axis(slow, order, axis=1)
        np.testing.assert_allclose(gaps**2, expected, rtol=1e-9, atol=1e-12)
        if not normalise:  # else rounding decides ties of the twin
            assert found.tolist() == order.tolist(), trial


def test_duplicates_are_neighbours_in_the_order_of_their_positions() -> None:
    points = np.zeros((700, 3), dtype=np.float32)
    found, gaps = nearest_neighbours(points, 3)
    assert found[0].tolist() == [1, 2, 3]
    assert found[699].tolist() == [0, 1, 2]
    assert (gaps == 0).all()


def test_approximate_neighbours_find_most_and_measure_exactly() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 32))
    points = centres[rng.integers(60, size=6000)] + 0.5 * rng.normal(size=(6000, 32))
    points = points.astype(np.float32)
    exact, gaps = nearest_neighbours(points, 10)
    found, near = approximate_neighbours(points, 10, seed=0)
    again, _ = approximate_neighbours(points, 10, seed=0, memory=10**6)
    assert found.tolist() == again.tolist()
    recall = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(exact, found, strict=True)])
    assert recall > 0.9
    same = exact == found
    assert near[same].tolist() == gaps[same].tolist()
    assert (found != np.arange(6000)[:, None]).all()


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_approximate_neighbours_of_few_or_equal_items_are_complete(n: int) -> None:
    for points in (np.random.default_rng(0).normal(size=(n, 3)), np.ones((n, 3))):
        found, _ = approximate_neighbours(points, 50, seed=1, probes=1)
        assert found.shape == (n, n - 1)
        for i, row in enumerate(found):
            assert sorted([*row.tolist(), i]) == list(range(n))


def test_greedy_on_the_full_graph_is_greedy_on_all_pairs() -> None:
    for trial in range(60):
        rng = np.random.default_rng(trial)
        n = int(rng.integers(2, 50))
        points = rng.normal(size=(n, 4))
        kind = ["gaussian", "cosine"][trial % 2]
        similarity = Similarity(kind, float(rng.choice([0.1, 1.0, 10.0])), True)
        start = rng.permutation(n)[: int(rng.integers(0, n // 2 + 1))]
        some = np.setdiff1d(np.arange(n), start)
        weights, modular = rng.random(n), rng.random(n) * (trial % 3)
        count = int(rng.integers(1, len(some) + 1))
        full, gaps = nearest_neighbours(points, n - 1, normalise=True)
        options = {
            "candidates": some,
            "given": start,
            "weights": weights,
            "modular": modular,
        }
        sparse = greedy_coverage_on_graph(full, gaps, similarity, count, **options)
        dense = greedy_coverage(points, similarity, count, **options)
        np.testing.assert_allclose(sparse.gains, dense.gains, atol=1e-5)
        real = dense.gains > 1e-5
        assert sparse.positions[real].tolist() == dense.positions[real].tolist(), trial


def test_greedy_on_a_graph_is_its_twin() -> None:
    for trial in range(60):
        rng = np.random.default_rng(trial)
        n, k = int(rng.integers(2, 60)), int(rng.integers(1, 6))
        points = rng.integers(0, 4, size=(n, 2)).astype(float)
        indices, distances = nearest_neighbours(points, k)
        matrix = np.eye(n)
        for i in range(n):
            for j, gap in zip(indices[i], distances[i], strict=True):
                matrix[i, j] = matrix[j, i] = np.float32(np.exp(-(gap**2)))
        covered, left, slow = np.zeros(n), list(range(n)), []
        for _ in range(n):
            gains = []
            for j in left:
                total = 0.0  # in the order of the graph: rounding must not decide a tie
                for i in np.flatnonzero(matrix[:, j]):
                    total += max(matrix[i, j] - covered[i], 0.0)
                gains.append(total)
            pick = left.pop(int(np.argmax(gains)))
            slow.append(pick)
            covered = np.maximum(covered, matrix[:, pick])
        found = greedy_coverage_on_graph(
            indices,
            distances,
            Similarity("gaussian", 1.0, False),
            n,
            candidates=np.arange(n),
            given=np.empty(0, dtype=int),
        )
        assert found.positions.tolist() == slow, trial


def test_a_graph_of_enough_neighbours_loses_little() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 16))[rng.integers(30, size=1200)]
    points = points + 0.3 * rng.normal(size=points.shape)
    similarity = Similarity("gaussian", 0.5)
    everything = np.arange(1200)
    exact = greedy_coverage(points, similarity, 240)
    indices, distances = nearest_neighbours(points, 64, normalise=True)
    sparse = greedy_coverage_on_graph(
        indices, distances, similarity, 240, candidates=everything, given=everything[:0]
    )
    chosen = greedy_coverage(points, similarity, 0, given=sparse.positions).coverage.sum()
    assert chosen >= 0.99 * exact.coverage.sum()
