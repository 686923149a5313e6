"""D² sampling: its law against the exact one, on explicit outer products."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from labeltrain.kernels import _compiled_distances as compiled
from labeltrain.kernels import d2_sampling as module
from labeltrain.kernels.d2_sampling import d2_sampling

TRIALS = 3000


def explicit(points: np.ndarray, factors: np.ndarray | None) -> np.ndarray:
    """The outer products themselves, float64 (n, C d)."""
    points = points.astype(np.float64)
    if factors is None:
        return points
    return (factors.astype(np.float64)[:, :, None] * points[:, None, :]).reshape(len(points), -1)


def law(
    vectors: np.ndarray, given: list[int], draws: int, weights: np.ndarray
) -> dict[tuple[int, ...], float]:
    """Probability of every ordered sequence of draws, by its definition."""
    gaps = ((vectors[:, None] - vectors) ** 2).sum(axis=-1)
    found: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(draws):
        longer = {}
        for path, chance in found.items():
            seen = [*given, *path]
            d2 = weights * gaps[:, seen].min(axis=1)
            d2[seen] = 0.0
            if d2.sum() <= 1e-12:  # nothing but duplicates: uniform
                d2 = np.ones(len(vectors))
                d2[seen] = 0.0
            for item, share in enumerate(d2 / d2.sum()):
                if share > 0:
                    longer[(*path, item)] = chance * share
        found = longer
    return found


def check_law(found: Counter, expected: dict[tuple[int, ...], float]) -> None:
    trials = sum(found.values())
    assert all(expected.get(path, 0.0) > 0.0 for path in found), "an impossible draw"
    common = [path for path, chance in expected.items() if chance * trials > 5]
    seen = np.array([found[path] for path in common] + [0.0])
    should = np.array([expected[path] * trials for path in common] + [0.0])
    seen[-1], should[-1] = trials - seen.sum(), trials - should.sum()
    if should[-1] <= 5:
        seen, should = seen[:-1], should[:-1] * seen[:-1].sum() / should[:-1].sum()
    assert chisquare(seen, should).pvalue > 1e-4


@pytest.mark.parametrize("stale", [True, False], ids=["stale weights", "always fresh"])
@pytest.mark.parametrize("case", ["points", "factors", "weights", "duplicates"])
def test_draws_follow_the_exact_law(
    case: str, stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not stale:  # one draw, then a refresh: the plain algorithm
        plain = module._Sampler.draw
        monkeypatch.setattr(module._Sampler, "draw", lambda self, count, rng: plain(self, 1, rng))
    rng = np.random.default_rng(5)
    n = 7
    points = rng.normal(size=(n, 3)).astype(np.float32)
    factors = rng.normal(size=(n, 2)).astype(np.float32) if case == "factors" else None
    weights = rng.random(n) if case == "weights" else None
    if case == "duplicates":
        points[4:] = points[1]
    found: Counter = Counter()
    for seed in range(TRIALS):
        picks, _ = d2_sampling(
            points,
            3,
            np.random.default_rng(seed),
            candidates=np.arange(1, n),
            centres=np.array([0]),
            factors=factors,
            weights=weights,
        )
        found[tuple(picks.tolist())] += 1
    given_weights = np.ones(n) if weights is None else weights
    check_law(found, law(explicit(points, factors), [0], 3, given_weights))


def test_the_first_draw_is_by_weight_or_the_longest() -> None:
    points = np.array([[1.0, 0.0], [0.0, 5.0], [2.0, 0.0], [0.0, 5.0]])
    args = {"candidates": np.arange(4), "factors": np.ones((4, 1))}
    for seed in range(20):
        picks, d2 = d2_sampling(points, 1, np.random.default_rng(seed), largest_first=True, **args)
        assert picks.tolist() == [1]
        assert d2[0] == 25.0
    weights = np.array([0.0, 1.0, 0.0, 3.0])
    first = [
        int(
            d2_sampling(
                points, 1, np.random.default_rng(s), candidates=np.arange(4), weights=weights
            )[0][0]
        )
        for s in range(2000)
    ]
    counts = np.bincount(first, minlength=4)
    assert counts[0] == counts[2] == 0
    assert chisquare(counts[[1, 3]], [500, 1500]).pvalue > 1e-4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_factorised_distances_are_the_explicit_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, classes = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    a, b = rng.normal(size=(2, classes)).astype(np.float32)
    h, g = rng.normal(size=(2, d)).astype(np.float32)
    slow = ((a.astype(float)[:, None] * h - b.astype(float)[:, None] * g) ** 2).sum()
    assert compiled.factored_distance(a, h, b, g) == pytest.approx(slow, rel=1e-6, abs=1e-9)
    near = compiled.nearest_recent(a, h, b[None], g[None], np.inf)
    assert near == pytest.approx(slow, rel=1e-6, abs=1e-9)
    assert compiled.factored_distance(a, h, a, h) == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_are_the_distances_at_the_time_of_the_draw(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, count = int(rng.integers(2, 200)), 0
    count = int(rng.integers(1, n + 1))
    points = rng.normal(size=(n, 5)).astype(np.float32)
    points[rng.random(n) < 0.3] = points[0]
    factors = rng.normal(size=(n, 3)).astype(np.float32) if seed % 2 else None
    if factors is not None:
        factors[(points == points[0]).all(axis=1)] = factors[0]
    picks, d2 = d2_sampling(
        points, count, rng, candidates=np.arange(n), factors=factors, largest_first=True
    )
    assert len(set(picks.tolist())) == count
    vectors = explicit(points, factors)
    for k in range(1, count):
        gaps = ((vectors[picks[k]] - vectors[picks[:k]]) ** 2).sum(axis=1).min()
        assert d2[k] == pytest.approx(gaps, rel=2e-4, abs=1e-6)
        if gaps == 0.0:  # a duplicate is drawn only when nothing else is left
            left = np.setdiff1d(np.arange(n), picks[:k])
            others = ((vectors[left][:, None] - vectors[picks[:k]]) ** 2).sum(axis=-1)
            assert others.min(axis=1).max() == 0.0


def test_tight_clusters_far_apart_keep_their_law() -> None:
    """Distances far below what float32 products can show."""
    rng = np.random.default_rng(0)
    points = np.repeat([[100.0, 0.0], [-100.0, 0.0]], 5, axis=0) + 1e-3 * rng.normal(size=(10, 2))
    found: Counter = Counter()
    for seed in range(TRIALS):
        picks, _ = d2_sampling(
            points,
            1,
            np.random.default_rng(seed),
            candidates=np.arange(10),
            centres=np.array([0, 5]),
        )
        found[tuple(picks.tolist())] += 1
    check_law(found, law(points.astype(np.float32), [0, 5], 1, np.ones(10)))


def test_the_same_seed_gives_the_same_draws_whatever_the_memory() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3000, 20))
    factors = rng.normal(size=(3000, 4)).astype(np.float32)
    args = {"candidates": np.arange(3000), "factors": factors, "largest_first": True}
    expected = d2_sampling(points, 200, np.random.default_rng(1), **args)[0].tolist()
    for memory in (0, 2**30):
        again = d2_sampling(points, 200, np.random.default_rng(1), memory=memory, **args)[0]
        assert again.tolist() == expected


def test_few_passes_over_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    whole = module._Sampler._refresh
    monkeypatch.setattr(
        module._Sampler, "_refresh", lambda self: (passes.append(1), whole(self))[1]
    )
    points = np.random.default_rng(0).normal(size=(20_000, 16)).astype(np.float32)
    d2_sampling(points, 500, np.random.default_rng(0), candidates=np.arange(20_000))
    assert len(passes) < 50


def test_what_may_not_be_picked_is_not_picked_when_nothing_else_has_mass() -> None:
    points = np.zeros((20, 3), dtype=np.float32)
    points[12:] = np.random.default_rng(0).normal(size=(8, 3)) + 50.0
    for seed in range(10):
        rows, _ = d2_sampling(
            points,
            5,
            np.random.default_rng(seed),
            candidates=np.arange(1, 12),
            centres=np.array([0]),
        )
        assert len(set(rows.tolist())) == 5
        assert set(rows.tolist()) <= set(range(1, 12))
