"""The pairs that still matter, against the definition, and picks made by them."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from test_kernels_coverage import similarities, some_points, twin

from labeltrain.kernels import bounds as module
from labeltrain.kernels import sparse_bounds
from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.dense_bounds import DenseBounds
from labeltrain.kernels.similarity import Similarity
from labeltrain.kernels.sparse_bounds import Pairs


def gains_of(
    matrix: np.ndarray, below: np.ndarray, weights: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return sum_i w_i (k_ic - below_i)+ for each column c: the definition, rounded once."""
    terms = weights[:, None] * np.maximum(matrix[:, columns].astype(float) - below[:, None], 0.0)
    return np.array([math.fsum(column) for column in terms.T])


def pairs_of(
    matrix: np.ndarray, columns: np.ndarray, below: np.ndarray, weights: np.ndarray
) -> Pairs:
    return Pairs(lambda items, part: matrix[items][:, columns[part]], len(columns), below, weights)


@pytest.mark.parametrize("seed", range(40))
def test_gains_follow_the_coverage(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_bounds, "TILE", 1 + seed % 30)
    monkeypatch.setattr(sparse_bounds, "CHUNK", 1 + seed % 17)
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 90))
    columns = np.sort(rng.permutation(n)[: int(rng.integers(1, n + 1))])
    matrix = rng.random((n, n), dtype=np.float32)
    matrix[rng.random((n, n)) < 0.3] = 0.0
    below = (rng.random(n) * rng.integers(0, 2, n)).astype(np.float32)
    weights = rng.random(n) * rng.integers(0, 2, n)
    pairs = pairs_of(matrix, columns, below, weights)
    above = (matrix[:, columns] > below[:, None]) & (weights > 0.0)[:, None]
    every = int(np.count_nonzero(above))
    assert pairs.fill(every, n * n)
    for _ in range(6):
        true = gains_of(matrix, below, weights, columns)
        found = pairs.update(below)
        assert (found >= true).all()
        np.testing.assert_allclose(found, true, rtol=1e-7, atol=1e-8 * n)
        above = (matrix[:, columns] > below[:, None]) & (weights > 0.0)[:, None]
        kept = [
            sorted(pairs.ranks[a : a + c].tolist())
            for a, c in zip(pairs.starts, pairs.counts, strict=True)
        ]
        assert kept == [np.flatnonzero(row).tolist() for row in above]
        assert pairs.left.tolist() == above.sum(axis=0).tolist()
        assert not found[pairs.left == 0].any()
        rise = rng.random(n) < 0.4
        below = np.where(rise, np.maximum(below, rng.random(n)), below).astype(np.float32)


def test_more_pairs_than_there_is_room_for_are_refused() -> None:
    matrix = np.random.default_rng(0).random((50, 50), dtype=np.float32)
    below = np.full(50, 0.5, dtype=np.float32)
    every = int(np.count_nonzero(matrix > 0.5))
    assert not pairs_of(matrix, np.arange(50), below, np.ones(50)).fill(every, every - 1)
    for most, fits in ((every, True), (every - 1, False), (0, False)):
        pairs = pairs_of(matrix, np.arange(50), below, np.ones(50))
        assert pairs.fill(most, 2500) is fits
        assert len(pairs.ranks) == (most if fits else 0)


def test_the_estimate_is_exact_where_all_items_are_counted_and_near_elsewhere() -> None:
    rng = np.random.default_rng(0)
    for n, within in ((100, 0.0), (2000, 0.1)):
        matrix = rng.random((n, n), dtype=np.float32)
        below = np.full(n, 0.9, dtype=np.float32)
        found = pairs_of(matrix, np.arange(n), below, np.ones(n)).estimate()
        assert found == pytest.approx(np.count_nonzero(matrix > 0.9), rel=within + 1e-12)


@pytest.mark.parametrize("block", range(4))
def test_picks_by_pairs_are_those_of_the_twin(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bool] = []
    compared = 0
    real = module.Pairs.fill

    def fill(self: Pairs, most: int, at_once: int) -> bool:
        used.append(real(self, most, at_once))
        return used[-1]

    monkeypatch.setattr(module.Pairs, "fill", fill)
    monkeypatch.setattr(DenseBounds, "fits", staticmethod(lambda *_: False))
    monkeypatch.setattr(module.Bounds, "_ahead", lambda self: np.inf)  # pools are small here
    for trial in range(40 * block, 40 * (block + 1)):
        rng = np.random.default_rng(trial)
        n, d = int(rng.integers(2, 60)), int(rng.integers(1, 12))
        points = some_points(trial % 5, n, d, rng)
        kind = ["gaussian", "cosine"][trial % 2]
        similarity = Similarity(kind, float(rng.choice([0.1, 1, 10])), True)
        start = rng.permutation(n)[: int(rng.integers(0, n // 2 + 1))]
        free = np.setdiff1d(np.arange(n), start)
        some = free if rng.random() < 0.5 else rng.permutation(free)[: max(1, len(free) // 3)]
        weights = np.ones(n) if rng.random() < 0.5 else rng.random(n) * rng.integers(0, 2, n)
        modular = np.zeros(n) if rng.random() < 0.7 else rng.random(n)
        found = greedy_coverage(
            points, similarity, len(some), candidates=some, given=start, weights=weights,
            modular=modular, memory=2**24,
        )  # fmt: skip
        slow = twin(
            similarities(points, similarity), len(some), some.tolist(), start, weights, modular
        )
        real_gains = int(np.count_nonzero(found.gains > 1e-12))  # below, rounding decides
        assert found.positions.tolist()[:real_gains] == slow[:real_gains], trial
        compared += real_gains
    assert compared > 200
    assert sum(used) > 10  # they were kept in many of these


@pytest.mark.parametrize("memory", [2**21, 3_000_000, 2**22, 2**23])
@pytest.mark.parametrize("kind", ["gaussian", "cosine"])
def test_larger_pools_agree_whenever_the_pairs_come_to_fit(kind: str, memory: int) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(1600, 16)).astype(np.float32)
    similarity = Similarity(kind, 2.0)
    some = np.sort(rng.permutation(1600)[:1500])
    dense, blocked = (
        greedy_coverage(points, similarity, 300, candidates=some, memory=m) for m in (2**30, memory)
    )
    assert blocked.positions.tolist() == dense.positions.tolist()
    assert blocked.gains.tolist() == dense.gains.tolist()
    assert blocked.coverage.tolist() == dense.coverage.tolist()


@pytest.mark.parametrize("memory", [2**24, 2**25, 2**26])
def test_the_pairs_keep_to_the_memory(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []
    real = module.Pairs.fill

    def fill(self: Pairs, most: int, at_once: int) -> bool:
        found = real(self, most, at_once)
        filled.extend([most] * found)
        return found

    monkeypatch.setattr(module.Pairs, "fill", fill)
    monkeypatch.setattr(module.Bounds, "_ahead", lambda self: np.inf)
    points = np.random.default_rng(0).normal(size=(6000, 32)).astype(np.float32)
    similarity = Similarity("gaussian", 2.0)
    greedy_coverage(points[:200], similarity, 5, memory=1)  # compiled
    tracemalloc.start()
    greedy_coverage(points, similarity, 60, memory=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert filled
    assert 8 * filled[0] > memory / 2  # they take what there is
    assert peak < memory + 3e6


def test_pairs_are_kept_only_where_the_rows_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Pairs, most: int, at_once: int) -> bool:
        raise AssertionError

    monkeypatch.setattr(module.Pairs, "fill", never)
    monkeypatch.setattr(module.Bounds, "_ahead", lambda self: np.inf)
    points = np.random.default_rng(0).normal(size=(1000, 300)).astype(np.float32)
    greedy_coverage(points, Similarity("gaussian", 2.0), 30, memory=2_300_000)  # a copy: 1.2 MB


def test_nothing_is_measured_when_nothing_can_be_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    real = module.Bounds.leaders

    def leaders(self: module.Bounds, upper: np.ndarray, *rest: object) -> object:
        asked.append(float(upper.max()))
        return real(self, upper, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Bounds, "leaders", leaders)
    monkeypatch.setattr(DenseBounds, "fits", staticmethod(lambda *_: False))
    monkeypatch.setattr(module.Bounds, "_ahead", lambda self: np.inf)
    points = np.random.default_rng(0).normal(size=(900, 8))
    weights = np.zeros(900)
    weights[::30] = 1.0
    found = greedy_coverage(points, Similarity("gaussian", 0.5), 60, weights=weights)
    picked = int(np.count_nonzero(found.gains))
    assert picked <= 30
    assert len(asked) < 4 * picked
    assert asked[-1] <= 0.0
