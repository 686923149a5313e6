"""Greedy coverage against a slow twin, whatever the memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels.balls import greedy_balls, pure_radius
from labeltrain.kernels.coverage import TIE, Greedy, greedy_coverage
from labeltrain.kernels.similarity import (
    Similarity,
    length_factors,
    mean_squared_distance,
)

GAUSSIAN = Similarity("gaussian", 1.0, normalise=False)


def unit(points: np.ndarray) -> np.ndarray:
    x = np.asarray(points, dtype=np.float64)
    lengths = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)


def squared_distances(points: np.ndarray, normalise: bool) -> np.ndarray:
    x = unit(points) if normalise else np.asarray(points, dtype=np.float64)
    return ((x[:, None] - x[None]) ** 2).sum(axis=2)


def similarities(points: np.ndarray, similarity: Similarity) -> np.ndarray:
    if similarity.kind == "cosine":
        return np.clip(unit(points) @ unit(points).T, 0.0, 1.0)
    return np.exp(-squared_distances(points, similarity.normalise) / similarity.scale)


def twin(
    matrix: np.ndarray,
    count: int,
    candidates: Sequence[int],
    start: Sequence[int],
    weights: np.ndarray,
    modular: np.ndarray,
) -> list[int]:
    covered = np.zeros(len(matrix))
    for s in start:
        covered = np.maximum(covered, matrix[:, s])
    left, picks = sorted(candidates), []
    for _ in range(count):
        gains = [(weights * np.maximum(matrix[:, j] - covered, 0)).sum() + modular[j] for j in left]
        best = max(gains)
        if best < 1e-13 * weights.sum():
            best = 0.0
        pick = left.pop(next(i for i, g in enumerate(gains) if g >= best * (1 - TIE)))
        picks.append(pick)
        covered = np.maximum(covered, matrix[:, pick])
    return picks


def some_points(kind: int, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    if kind == 0:
        return rng.normal(size=(n, d))
    if kind == 1:  # ties and zero vectors
        return rng.integers(-1, 2, size=(n, d)).astype(float)
    if kind == 2:  # clusters
        return rng.normal(size=(3, d))[rng.integers(0, 3, n)] + 0.01 * rng.normal(size=(n, d))
    if kind == 3:  # duplicates
        return np.repeat(rng.normal(size=(n, d)), 2, axis=0)[:n]
    return rng.normal(size=(n, d)) + 100.0  # far from the origin


@pytest.mark.parametrize("block", range(6))
def test_picks_are_those_of_the_twin_whatever_the_memory(block: int) -> None:
    for trial in range(60 * block, 60 * (block + 1)):
        rng = np.random.default_rng(trial)
        n, d = int(rng.integers(1, 50)), int(rng.integers(1, 12))
        points = some_points(trial % 5, n, d, rng).astype(
            [np.float16, np.float32, np.float64][trial % 3]
        )
        kind = ["gaussian", "cosine"][trial % 2]
        scale = float(rng.choice([0.01, 0.1, 1, 10]))
        similarity = Similarity(kind, scale, bool(rng.random() < 0.7) or kind == "cosine")
        start = rng.permutation(n)[: int(rng.integers(0, n // 2 + 1))]
        free = np.setdiff1d(np.arange(n), start)
        some = free if rng.random() < 0.5 else rng.permutation(free)[: max(1, len(free) // 3)]
        weights = np.ones(n) if rng.random() < 0.5 else rng.random(n)
        modular = np.zeros(n) if rng.random() < 0.7 else rng.random(n)
        count = int(rng.integers(1, len(some) + 1))
        found = [
            greedy_coverage(
                points,
                similarity,
                count,
                candidates=some,
                given=start,
                weights=weights,
                modular=modular,
                memory=memory,
            )
            for memory in (2**30, 1)
        ]
        assert found[0].positions.tolist() == found[1].positions.tolist(), trial
        assert found[0].gains.tolist() == found[1].gains.tolist(), trial
        slow = twin(similarities(points, similarity), count, some.tolist(), start, weights, modular)
        assert found[0].positions.tolist() == slow, trial


@pytest.mark.parametrize("kind", ["gaussian", "cosine"])
@pytest.mark.parametrize("spread", [0.3, 10.0])
def test_larger_pools_take_every_path_and_agree(kind: str, spread: float) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 24))[rng.integers(0, 20, 1500)]
    points = (points + spread * rng.normal(size=points.shape)).astype(np.float32)
    similarity = Similarity(kind, mean_squared_distance(points))
    found = [
        greedy_coverage(points, similarity, 40, memory=memory)
        for memory in (2**30, 8_000_000, 2_000_000, 20_000)
    ]
    for other in found[1:]:
        assert other.positions.tolist() == found[0].positions.tolist()
        assert other.gains.tolist() == found[0].gains.tolist()
        assert other.coverage.tolist() == found[0].coverage.tolist()
    slow = twin(
        similarities(points, similarity), 40, range(1500), (), np.ones(1500), np.zeros(1500)
    )
    assert found[0].positions.tolist() == slow


def test_a_narrow_kernel_on_a_larger_pool_agrees_with_the_twin() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(600, 16))
    similarity = Similarity("gaussian", 0.05**2)
    weights = rng.random(600)
    slow = twin(similarities(points, similarity), 50, range(600), (), weights, np.zeros(600))
    for memory in (2**30, 1):
        fast = greedy_coverage(points, similarity, 50, weights=weights, memory=memory)
        assert fast.positions.tolist() == slow


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_greedy_reaches_its_guarantee(n: int, count: int, seed: int) -> None:
    count = min(count, n)
    points = np.random.default_rng(seed).normal(size=(n, 2))
    matrix = similarities(points, GAUSSIAN)
    best = max(
        matrix[:, list(s)].max(axis=1).sum() for s in itertools.combinations(range(n), count)
    )
    found = greedy_coverage(points, GAUSSIAN, count)
    assert found.coverage.sum() >= (1 - 1 / math.e) * best
    assert found.gains.sum() == pytest.approx(found.coverage.sum())
    assert (np.diff(found.gains) <= 1e-12).all()


@given(st.integers(1, 40), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_picks_in_two_goes_are_those_in_one(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = some_points(seed % 5, n, 4, rng)
    first = int(rng.integers(0, n + 1))
    whole = greedy_coverage(points, GAUSSIAN, n).positions.tolist()
    rest = greedy_coverage(points, GAUSSIAN, n - first, given=np.array(whole[:first], dtype=int))
    assert whole[:first] + rest.positions.tolist() == whole


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_rotating_the_space_changes_no_pick(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, 5))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    one, two = (
        greedy_coverage(p, Similarity("gaussian", 1.0), 12).positions.tolist()
        for p in (points, points @ rotation)
    )
    assert one == two


def test_duplicates_are_picked_once_each_and_last() -> None:
    points = np.repeat(np.random.default_rng(0).normal(size=(10, 3)), 4, axis=0)
    found = greedy_coverage(points, GAUSSIAN, 40)
    assert len(set((found.positions[:10] // 4).tolist())) == 10
    assert (found.gains[:10] > 0).all()
    assert (found.gains[10:] == 0).all()
    assert found.positions[10:].tolist() == sorted(found.positions[10:].tolist())


def test_memory_maps_and_odd_orders_give_the_same_picks(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(300, 9)).astype(np.float32)
    np.save(tmp_path / "x.npy", points)
    plain = greedy_coverage(points, GAUSSIAN, 20).positions.tolist()
    for other in (np.load(tmp_path / "x.npy", mmap_mode="r"), np.asfortranarray(points)):
        for memory in (2**30, 1000):
            found = greedy_coverage(other, GAUSSIAN, 20, memory=memory)
            assert found.positions.tolist() == plain


def test_the_fast_exponential_is_accurate() -> None:
    from labeltrain.kernels._compiled_coverage import exponentials

    t = -60.0 * np.random.default_rng(0).random(200_000) ** 2
    t = np.append(t, [0.0, -60.0, -1e-9, -math.log(2)]).astype(np.float32)
    relative = np.abs(exponentials(t) / np.exp(t.astype(np.float64)) - 1.0)
    assert (relative <= 1e-6 + 1e-7 * -t).all()
    assert relative[t > -10].max() < 1.9e-6


def test_bounds_are_never_below_the_exact_similarity() -> None:
    from labeltrain.kernels.bounds import Bounds
    from labeltrain.kernels.similarity import ReadyRows

    rng = np.random.default_rng(0)
    for kind, scale in itertools.product(("gaussian", "cosine"), (1e-3, 0.1, 1.0, 100.0)):
        points = (rng.normal(size=(5, 200))[rng.integers(0, 5, 400)] + 50.0).astype(np.float32)
        points += 0.05 * rng.normal(size=points.shape).astype(np.float32)
        similarity = Similarity(kind, scale)
        rows = ReadyRows(points, similarity)
        zeros = np.zeros(400, dtype=np.float32)
        bounds = Bounds(rows, similarity, zeros, np.ones(400), 2**30).columns(np.arange(40))
        exact = similarities(points, similarity)[:40]
        exact[exact < np.exp(-60.0)] = 0.0
        assert (bounds >= exact * (1 - 1e-12)).all()


def test_length_factors_and_the_mean_distance_equal_their_definitions() -> None:
    points = np.random.default_rng(0).normal(size=(50, 11)) + 3.0
    points[7] = 0.0
    np.testing.assert_allclose(points * length_factors(points)[:, None], unit(points), atol=1e-15)
    for normalise in (False, True):
        assert mean_squared_distance(points, normalise) == pytest.approx(
            squared_distances(points, normalise).mean()
        )
    assert mean_squared_distance(np.ones((5, 2))) == 1.0


def slow_balls(
    near: np.ndarray, count: int, candidates: Sequence[int], start: Sequence[int]
) -> list[int]:
    uncovered = np.ones(len(near), dtype=bool)
    for s in start:
        uncovered &= ~near[s]
    left, picks = sorted(candidates), []
    for _ in range(count):
        pick = left.pop(int(np.argmax([(near[j] & uncovered).sum() for j in left])))
        picks.append(pick)
        uncovered &= ~near[pick]
    return picks


@pytest.mark.parametrize("block", range(4))
def test_balls_are_those_of_the_twin_whatever_the_memory(block: int) -> None:
    for trial in range(50 * block, 50 * (block + 1)):
        rng = np.random.default_rng(trial)
        n, d = int(rng.integers(1, 50)), int(rng.integers(1, 10))
        points = some_points(trial % 5, n, d, rng)
        squares = squared_distances(points, normalise=False)
        # Half of the radii are the distance of a pair, to the last bit or so.
        radius = math.sqrt(squares.flat[rng.integers(n * n)]) or 0.5
        if trial % 2:
            radius *= 1.0 + 1e-9
        if np.abs(squares - radius**2).min() < 1e-12 * radius**2 and trial % 5 != 1:
            radius *= 1.0 + 1e-9
        start = rng.permutation(n)[: int(rng.integers(0, n // 2 + 1))]
        free = np.setdiff1d(np.arange(n), start)
        some = free if rng.random() < 0.5 else rng.permutation(free)[: max(1, len(free) // 3)]
        count = int(rng.integers(1, len(some) + 1))
        found: list[Greedy] = [
            greedy_balls(
                points,
                radius,
                count,
                candidates=some,
                given=start,
                normalise=False,
                memory=memory,
            )
            for memory in (2**30, 1)
        ]
        assert found[0].positions.tolist() == found[1].positions.tolist(), trial
        slow = slow_balls(squares < radius * radius, count, some.tolist(), start)
        assert found[0].positions.tolist() == slow, trial


def test_balls_over_several_blocks_are_those_of_the_twin() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1600, 6)).astype(np.float32)
    near = squared_distances(points, normalise=True) < 0.5**2
    slow = slow_balls(near, 60, range(1600), ())
    found = greedy_balls(points, 0.5, 60, candidates=np.arange(1600), given=np.empty(0, dtype=int))
    assert found.positions.tolist() == slow


def test_the_pure_radius_is_the_largest_with_that_purity() -> None:
    from labeltrain.kernels.balls import _clusters
    from labeltrain.kernels.similarity import ReadyRows

    points = np.random.default_rng(0).normal(size=(300, 4))
    radius = pure_radius(points, 5, seed=3, purity=0.9)
    rows = ReadyRows(points, Similarity("gaussian", 1.0))
    groups = _clusters(rows, 5, np.random.default_rng(3))
    other = groups[:, None] != groups[None]
    distances = np.sqrt(squared_distances(points, normalise=True))

    def purity(r: float) -> float:
        return 1.0 - ((distances < r) & other).any(axis=1).mean()

    assert purity(radius * (1 - 1e-9)) >= 0.9
    assert purity(radius * (1 + 1e-9)) < 0.9


def test_the_pure_radius_of_one_cluster_is_the_spread_of_the_pool() -> None:
    assert pure_radius(np.ones((20, 3)), 4, seed=0) == 1.0
    points = np.random.default_rng(0).normal(size=(200, 3))
    assert pure_radius(points, 1, seed=0) == pytest.approx(
        math.sqrt(mean_squared_distance(points)), rel=1e-3
    )


@pytest.mark.parametrize("memory", [2**30, 2**22])
def test_thousands_of_ties_keep_one_column(memory: int) -> None:
    import tracemalloc

    points = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    points[:2000] = points[0]
    similarity = Similarity("gaussian", 1.0, True)
    greedy_coverage(points[:100], similarity, 2, memory=memory)  # compiled
    tracemalloc.start()
    found = greedy_coverage(points, similarity, 3, memory=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.positions[0] == 0  # the lowest of its equals
    dense = 4 * 3000 * 3000 if memory == 2**30 else 0
    assert peak < dense + 30e6  # a column of each equal item would be 96 MB


@pytest.mark.parametrize("columns", [1, 100, 4095, 4097, 9000])
def test_drops_are_never_above_the_truth_and_hardly_below(columns: int) -> None:
    from labeltrain.kernels._compiled_coverage import drop_gains

    rng = np.random.default_rng(columns)
    matrix = rng.random((40, columns), dtype=np.float32)
    rows = np.sort(rng.permutation(40)[:21])
    low, high = np.sort(rng.random((2, 21), dtype=np.float32), axis=0)
    weights = rng.random(21)
    first, last = columns // 3, columns
    gains = np.zeros(columns)
    drop_gains(matrix, rows, low, high, weights, first, last, gains)
    exact = np.clip(matrix[rows].astype(float), low[:, None], high[:, None]) - low[:, None]
    true = (weights[:, None] * exact).sum(axis=0)[first:last]
    assert not gains[:first].any()
    assert (-gains[first:last] <= true).all()
    np.testing.assert_allclose(-gains[first:last], true, rtol=2e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_ties_of_different_items_are_measured_once(
    dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeltrain.kernels import coverage

    measured: list[int] = []
    real = coverage._Search.column

    def column(self: coverage._Search, position: int, bounds: np.ndarray) -> object:
        measured.append(position)
        return real(self, position, bounds)

    monkeypatch.setattr(coverage._Search, "column", column)
    monkeypatch.setattr(coverage.DenseBounds, "fits", staticmethod(lambda *_: dense))
    points = np.eye(300)
    found = greedy_coverage(points, Similarity("gaussian", 1.0), 40)
    assert found.positions.tolist() == list(range(40))
    assert len(measured) <= 300
    measured.clear()
    monkeypatch.setattr(coverage._Columns, "__init__", _little_room)
    again = greedy_coverage(points, Similarity("gaussian", 1.0), 40)
    assert again.positions.tolist() == list(range(40))
    assert len(measured) <= 600  # what did not fit at first does when the coverage has risen


def _little_room(self: Any, memory: int) -> None:
    self._memory = self._room = 250_000
    self._pruned, self._held, self._last = False, {}, None
