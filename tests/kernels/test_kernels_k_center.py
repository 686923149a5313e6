"""k-center against its slow twin: one exact pass over the pool per pick, in float64."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels import k_center as module
from labeltrain.kernels.k_center import k_center
from labeltrain.kernels.threads import limited_threads


def squared_distances(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return ((points - centre) ** 2).sum(axis=1)


def slow_k_center(
    points: np.ndarray, count: int, candidates: np.ndarray, centres: np.ndarray
) -> tuple[list[int], list[float]]:
    points = points.astype(np.float64)
    pool = points[candidates]
    nearest = np.full(len(pool), np.inf)
    picks: list[int] = []
    gaps: list[float] = []
    for centre in centres:
        nearest = np.minimum(nearest, squared_distances(pool, points[centre]))
    while len(picks) < count:
        if not picks and not len(centres):
            mean = pool.mean(axis=0).astype(np.float32).astype(np.float64)
            gap = squared_distances(pool, mean)
            best = int(gap.argmin())
            gaps.append(float(np.sqrt(gap[best])))
        else:
            best = int(nearest.argmax())
            gaps.append(float(np.sqrt(nearest[best])))
        picks.append(best)
        nearest = np.minimum(nearest, squared_distances(pool, pool[best]))
        nearest[picks] = -np.inf
    return candidates[picks].tolist(), gaps


SHAPES = ("normal", "grid", "duplicates", "tight clusters", "outlier", "far from the origin")


def cloud(shape: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.normal(size=(n, d))
    if shape == "grid":
        return rng.integers(0, 3, (n, d)).astype(float)
    if shape == "duplicates":
        return np.repeat(points, 5, axis=0)[:n]
    if shape == "tight clusters":
        return 1e-4 * points + 10 * rng.normal(size=(4, d))[rng.integers(0, 4, n)]
    if shape == "outlier":
        points[0] *= 1e4
    if shape == "far from the origin":
        points += 1000.0
    return points


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_picks_are_those_of_the_slow_twin(shape: str, dtype: type) -> None:
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(2, 250)), int(rng.integers(1, 20))
        points = cloud(shape, n, d, rng).astype(dtype)
        order = rng.permutation(n)
        known = int(rng.integers(0, min(n, 10)))
        centres, candidates = order[:known], np.sort(order[known:])
        count = int(rng.integers(1, len(candidates) + 1))
        picks, gaps = k_center(points, count, candidates=candidates, centres=centres)
        slow, slow_gaps = slow_k_center(points, count, candidates, centres)
        assert picks.tolist() == slow, f"seed {seed}"
        np.testing.assert_allclose(gaps, slow_gaps, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_picks_depend_neither_on_memory_nor_on_the_buffer_nor_on_threads(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = cloud(shape, 900, 12, np.random.default_rng(1)).astype(np.float32)
    args = {"candidates": np.arange(3, 900), "centres": np.arange(3)}
    expected = k_center(points, 300, **args)[0].tolist()
    assert expected == slow_k_center(points, 300, args["candidates"], args["centres"])[0]
    assert k_center(points, 300, memory=0, **args)[0].tolist() == expected
    for size in (1, 7, 100):
        monkeypatch.setattr(module, "SMALLEST_BUFFER", size)
        assert k_center(points, 300, **args)[0].tolist() == expected
    with limited_threads(2):
        assert k_center(points, 300, **args)[0].tolist() == expected


def test_the_buffer_saves_passes_over_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    whole = module._Search._refresh
    monkeypatch.setattr(module._Search, "_refresh", lambda self: (passes.append(1), whole(self))[1])
    points = np.random.default_rng(0).normal(size=(8000, 16)).astype(np.float32)
    k_center(points, 400, candidates=np.arange(8000), centres=np.array([0]))
    assert len(passes) < 100


def test_the_card_oracle() -> None:
    points = np.array([[0.0], [1.0], [4.0], [9.0]])
    picks, gaps = k_center(points, 2, candidates=np.arange(1, 4), centres=np.array([0]))
    assert picks.tolist() == [3, 2]
    assert gaps.tolist() == [9.0, 4.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 10_000))
def test_the_radius_is_within_twice_the_optimum(n: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 2))
    count = min(count, n)
    gaps = np.linalg.norm(points[:, None] - points, axis=-1)
    picks, _ = k_center(points, count, candidates=np.arange(n), centres=np.empty(0, np.int64))
    best = min(
        gaps[:, list(chosen)].min(axis=1).max()
        for chosen in itertools.combinations(range(n), count)
    )
    assert gaps[:, picks].min(axis=1).max() <= 2.0 * best + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_rotation_and_permutation_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(120, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    args = {"candidates": np.arange(2, 120), "centres": np.arange(2)}
    picks = k_center(points, 40, **args)[0]
    assert k_center(points @ turn + 3.0, 40, **args)[0].tolist() == picks.tolist()
    order = np.concatenate([[0, 1], 2 + rng.permutation(118)])
    assert order[k_center(points[order], 40, **args)[0]].tolist() == picks.tolist()


def test_a_read_only_memory_map_in_fortran_order_is_read_as_it_is(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    np.save(tmp_path / "points.npy", np.asfortranarray(points))
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")
    args = {"candidates": np.arange(300), "centres": np.empty(0, np.int64)}
    expected = k_center(points, 50, **args)[0].tolist()
    for memory in (0, 2**30):
        assert k_center(mapped, 50, memory=memory, **args)[0].tolist() == expected


def test_nothing_asked_gives_nothing() -> None:
    picks, gaps = k_center(
        np.ones((3, 2)), 0, candidates=np.arange(3), centres=np.empty(0, np.int64)
    )
    assert len(picks) == len(gaps) == 0
