"""Equal rows are found, and what is picked among them is what the definition says."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_coverage import similarities, twin

from labeltrain.kernels import duplicates
from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.duplicates import equal_rows
from labeltrain.kernels.similarity import Similarity


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_equal_rows_are_those_that_compare_equal(dtype: type, order: str) -> None:
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 30, 300):
        points = np.asarray(rng.integers(-1, 2, size=(n, 4)) * 0.1, dtype=dtype, order=order)
        points[rng.random(points.shape) < 0.1] = -0.0
        slow = [int((points == row).all(axis=1).argmax()) for row in points]
        assert equal_rows(points).tolist() == slow


def test_rows_whose_sums_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zeros:
        def integers(self, *_: object, size: int, dtype: type) -> np.ndarray:
            return np.full(size, 2**63, dtype=dtype)  # times 2, plus 1: all weights are 1

    points = np.array([[1, 2], [2, 1], [1, 2], [2, 1], [3, 3], [1, 2]], dtype=np.float64)
    expected = [0, 1, 0, 1, 4, 0]
    with monkeypatch.context() as patch:
        patch.setattr(duplicates.np.random, "default_rng", lambda *_: Zeros())
        assert equal_rows(points).tolist() == expected


@pytest.mark.parametrize("trial", range(60))
def test_picks_among_many_equal_rows_are_those_of_the_twin(trial: int) -> None:
    rng = np.random.default_rng(trial)
    n, distinct = int(rng.integers(2, 60)), int(rng.integers(1, 6))
    points = rng.normal(size=(distinct, 5))[rng.integers(0, distinct, n)]
    similarity = Similarity("gaussian", float(rng.choice([0.1, 2.0])), normalise=False)
    weights = np.ones(n) if trial % 2 else rng.random(n)
    modular = rng.choice([0.0, 0.25, 1.0], n) if trial % 3 else np.zeros(n)
    start = rng.permutation(n)[: int(rng.integers(0, n // 2))]
    free = np.setdiff1d(np.arange(n), start)
    count = int(rng.integers(1, len(free) + 1))
    slow = twin(similarities(points, similarity), count, free.tolist(), start, weights, modular)
    for memory in (2**30, 1):
        found = greedy_coverage(
            points, similarity, count, given=start, weights=weights, modular=modular, memory=memory
        )
        assert found.positions.tolist() == slow


def test_equal_rows_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from labeltrain.kernels.coverage import _Search

    columns = []
    real = _Search.column
    monkeypatch.setattr(
        _Search, "column", lambda self, p, bounds: columns.append(p) or real(self, p, bounds)
    )
    points = np.repeat(np.random.default_rng(0).normal(size=(5, 8)), 400, axis=0)
    for memory in (2**30, 2**16):
        columns.clear()
        greedy_coverage(points, Similarity("gaussian", 1.0), 20, memory=memory)
        assert len(columns) <= 15


def test_near_ties_within_a_group_go_to_the_lowest_position() -> None:
    points = np.zeros((4, 2))
    modular = np.array([1.0, 1.0 + 1e-12, 1.0, 2.0])
    found = greedy_coverage(points, Similarity("gaussian", 1.0, False), 4, modular=modular)
    assert found.positions.tolist() == [3, 0, 1, 2]
