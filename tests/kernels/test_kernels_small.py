"""Smaller kernels against their slow twins: typicality, retrieval, turns, k-means, draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from labeltrain.kernels import clusters as clusters_module
from labeltrain.kernels.agglomeration import average_linkage
from labeltrain.kernels.clusters import in_turns, k_means, nearest_centre
from labeltrain.kernels.ranking import power_draw
from labeltrain.kernels.retrieval import nearest_candidates
from labeltrain.kernels.rows import Rows, mean_row
from labeltrain.kernels.typicality import typicality


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(0, 30), st.integers(0, 10_000))
def test_typicality_is_the_inverse_mean_distance(n: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    points[n // 2 :] = points[n // 2]  # duplicates
    gaps = np.sqrt(((points[:, None].astype(float) - points) ** 2).sum(axis=-1))
    np.fill_diagonal(gaps, np.inf)
    size = min(k, n - 1)
    slow = np.sort(gaps, axis=1)[:, :size].mean(axis=1) if size else np.zeros(n)
    np.testing.assert_allclose(typicality(points, k), 1.0 / (slow + 1e-5), rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 80), st.integers(1, 10), st.integers(0, 10_000), st.booleans())
def test_retrieval_finds_the_nearest(n: int, k: int, seed: int, grid: bool) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, 3)).astype(float) if grid else rng.normal(size=(n, 3))
    order = rng.permutation(n)
    queries, candidates = order[: n // 3 + 1], np.sort(order[n // 3 + 1 :])
    if len(candidates) == 0:
        return
    k = min(k, len(candidates))
    nearest, distances = nearest_candidates(points, queries, candidates, k)
    gaps = np.sqrt(((points[queries][:, None] - points[candidates]) ** 2).sum(axis=-1))
    np.testing.assert_allclose(distances, np.sort(gaps, axis=1)[:, :k], atol=1e-12)
    for row in range(len(queries)):
        assert len(set(nearest[row].tolist())) == k
        assert set(nearest[row].tolist()) <= set(candidates.tolist())


def test_retrieval_in_blocks_is_that_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    args = (points, np.arange(40), np.arange(40, 500), 7)
    whole = nearest_candidates(*args)[0]
    monkeypatch.setattr("labeltrain.kernels.retrieval.COLUMNS", 33)
    monkeypatch.setattr("labeltrain.kernels.retrieval.QUERIES", 5)
    np.testing.assert_array_equal(nearest_candidates(*args)[0], whole)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_turns_are_round_robin(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    members, scores, order = rng.integers(0, k, n), rng.integers(0, 4, n), rng.permutation(k)
    queues = {c: sorted(np.flatnonzero(members == c), key=lambda i: (scores[i], i)) for c in order}
    slow = []
    while any(queues.values()):
        slow += [int(queues[c].pop(0)) for c in order if queues[c]]
    assert in_turns(members, scores, order).tolist() == slow


def test_k_means_finds_separate_groups_and_ignores_weightless_points() -> None:
    rng = np.random.default_rng(0)
    centres = 10.0 * np.eye(4)
    truth = rng.integers(0, 4, 400)
    points = (centres[truth] + 0.1 * rng.normal(size=(400, 4))).astype(np.float32)
    assigned, found = k_means(points, 4, np.random.default_rng(1))
    assert len(found) == 4
    assert all(len(set(assigned[truth == c])) == 1 for c in range(4))
    weights = (truth < 2).astype(float)
    _, found = k_means(points, 2, np.random.default_rng(1), weights=weights)
    gaps = np.linalg.norm(found[:, None] - centres[:2], axis=-1).min(axis=1)
    assert (gaps < 0.1).all()


def test_k_means_gives_fewer_clusters_than_asked_for_duplicates() -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    assigned, found = k_means(points, 7, np.random.default_rng(0))
    assert len(found) == 3
    assert len(set(assigned.tolist())) == 3


def test_k_means_of_many_points_learns_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters_module, "SAMPLE", 100)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 900)
    points = (10.0 * np.eye(3)[truth] + 0.1 * rng.normal(size=(900, 3))).astype(np.float32)
    assigned, _ = k_means(points, 3, np.random.default_rng(1))
    assert all(len(set(assigned[truth == c])) == 1 for c in range(3))


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_nearest_centre_is_the_nearest(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, centres = (rng.normal(size=(m, 3)).astype(np.float32) for m in (n, k))
    gaps = ((points[:, None] - centres) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(nearest_centre(points, centres), gaps.argmin(axis=1))


def test_average_linkage_returns_the_means_of_groups() -> None:
    points = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1], [10, 2]])
    found = average_linkage(points, 2)
    assert sorted(found.tolist()) == [[0.0, 0.5], [10.0, 1.0]]
    np.testing.assert_array_equal(average_linkage(points, 9), points)


def test_power_draws_follow_successive_sampling() -> None:
    scores = np.array([0.0, 1.0, 2.0, 0.0, 3.0])
    pairs = np.zeros((5, 5))
    trials = 6000
    for seed in range(trials):
        first, second = power_draw(scores, 2, np.random.default_rng(seed), power=2.0)
        pairs[first, second] += 1
    weights = scores**2
    expected = np.zeros((5, 5))
    for i in (1, 2, 4):
        for j in (1, 2, 4):
            if i != j:
                expected[i, j] = weights[i] / 14.0 * weights[j] / (14.0 - weights[i])
    assert pairs[expected == 0].sum() == 0
    mask = expected > 0
    assert chisquare(pairs[mask], trials * expected[mask]).pvalue > 1e-4


def test_power_draws_put_zeros_last_in_random_order() -> None:
    scores = np.array([0.0, 1.0, 0.0, 0.0])
    orders = {tuple(power_draw(scores, 4, np.random.default_rng(s)).tolist()) for s in range(60)}
    assert {o[0] for o in orders} == {1}
    assert len(orders) == 6


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("memory", [0, 2**30])
def test_rows_are_the_shifted_rows(dtype: type, memory: int) -> None:
    points = (1000 + np.random.default_rng(0).normal(size=(40, 5))).astype(dtype)
    index = np.array([3, 7, 8, 30])
    centre = mean_row(points, index)
    rows = Rows(np.asfortranarray(points), index, centre=centre, memory=memory)
    expected = points[index].astype(float) - centre
    np.testing.assert_allclose(rows.read(slice(0, 4)), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(rows.exact(slice(1, 3)), points[[7, 8]].astype(float))
    np.testing.assert_allclose(rows.squared_norms(), (expected**2).sum(axis=1), rtol=1e-5)
    assert rows.read(slice(0, 4)).dtype == np.float32
