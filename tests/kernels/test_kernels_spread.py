"""Far-apart rows of large weight against a slow twin over all distances, and against all sets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels import spread as module
from labeltrain.kernels.k_center import k_center
from labeltrain.kernels.spread import spread_out
from labeltrain.kernels.threads import limited_threads


class Twin:
    """All distances in float64, one item at a time."""

    def __init__(self, points, weights, candidates, centres, strength) -> None:
        points = points.astype(np.float64)
        self.squares = ((points[:, None] - points) ** 2).sum(axis=2)
        self.weights, self.strength = weights, strength
        self.candidates, self.centres = candidates, centres
        self.order = candidates[np.argsort(-weights[candidates], kind="stable")]

    def value(self, rows: list[int]) -> float:
        pairs = [self.squares[a, b] for a, b in itertools.combinations(rows, 2)]
        pairs += [self.squares[a, c] for a in rows for c in self.centres]
        gap = math.sqrt(min(pairs)) if pairs else 0.0
        return float(self.weights[rows].mean()) + self.strength * gap

    def independent(self, apart: float, count: int) -> list[int] | None:
        rows: list[int] = []
        for i in self.order.tolist():
            if all(self.squares[i, j] >= apart * apart for j in [*rows, *self.centres]):
                rows.append(i)
            if len(rows) == count:
                return rows
        return None

    def best(self, points: np.ndarray, count: int, tolerance: float) -> list[int]:
        sets = [self.independent(0.0, count)]
        if count + len(self.centres) > 1 and self.strength > 0.0:
            far, gaps = k_center(points, count, candidates=self.candidates, centres=self.centres)
            reach = gaps[0 if len(self.centres) else 1 :].min()
            sets.append(sorted(far.tolist(), key=lambda i: (-self.weights[i], i)))
            step = 0
            while reach > 0.0 and (1 + tolerance) ** step <= 4 / tolerance * (1 + 1e-9):
                apart = reach * tolerance / 2 * (1 + tolerance) ** step
                sets.append(self.independent(apart, count))
                step += 1
        best = sets[0]
        for rows in sets[1:]:
            if rows and self.value(rows) > self.value(best) * (1 + 1e-12):
                best = rows
        return best


def case(seed: int, most: int = 40):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, most)), int(rng.integers(1, 5))
    points = rng.normal(size=(n, d)).astype([np.float16, np.float32, np.float64][seed % 3])
    if seed % 4 == 0:
        points = np.round(points)  # duplicates, and equal distances
    weights = rng.random(n) if seed % 2 else rng.integers(0, 3, n) / 2.0
    order = rng.permutation(n)
    known = int(rng.integers(0, min(n, 4)))
    candidates = np.sort(order[known:])
    count = int(rng.integers(1, len(candidates) + 1))
    strength = float(rng.choice([0.0, 0.1, 1.0, 5.0]))
    return points, weights, candidates, order[:known], count, strength


def test_picks_are_those_of_the_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(120):
        points, weights, candidates, centres, count, strength = case(seed)
        twin = Twin(points, weights, candidates, centres, strength)
        expected = twin.best(points, count, 0.2)
        args = {"candidates": candidates, "centres": centres, "strength": strength}
        for rows, memory in ((512, 2**30), (3, 0)):
            monkeypatch.setattr(module, "ROWS", rows)
            found = spread_out(points, weights, count, tolerance=0.2, memory=memory, **args)
            assert found.positions.tolist() == expected, f"seed {seed}"
            assert found.value == pytest.approx(twin.value(expected), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([0.05, 0.2, 1.0]))
def test_the_value_is_within_the_guarantee(seed: int, tolerance: float) -> None:
    points, weights, candidates, centres, count, strength = case(seed, most=10)
    found = spread_out(
        points, weights, count, candidates=candidates, centres=centres, strength=strength,
        tolerance=tolerance,
    )  # fmt: skip
    twin = Twin(points, weights, candidates, centres, strength)
    sets = itertools.combinations(candidates.tolist(), count)
    best = max(twin.value(list(rows)) for rows in sets)
    assert found.value >= best / (2.0 * (1.0 + tolerance)) - 1e-9


def test_blocks_memory_and_threads_change_nothing() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2500, 12)).astype(np.float32)
    args = {"candidates": np.arange(10, 2500), "centres": np.arange(10), "strength": 0.5}
    weights = rng.random(2500)
    found = spread_out(points, weights, 200, **args)
    assert spread_out(points, weights, 200, memory=0, **args).positions.tolist() == (
        found.positions.tolist()
    )
    with limited_threads(1):
        assert spread_out(points, weights, 200, **args).positions.tolist() == (
            found.positions.tolist()
        )


def test_the_worked_example() -> None:
    # Values of {0, 1}, {0, 2}, {0, 3}: 0.85 + 0.1 s, 0.8 + 1.0 s, 0.5 + 1.2 s
    points, weights = np.array([[0.0], [0.1], [1.0], [1.2]]), np.array([0.9, 0.8, 0.7, 0.1])
    args = {"candidates": np.arange(4), "centres": np.arange(0)}
    for strength, second, value in ((0.0, 1, 0.85), (1.0, 2, 1.8), (2.0, 3, 2.9)):
        found = spread_out(points, weights, 2, strength=strength, **args)
        assert found.positions.tolist() == [0, second]
        assert found.value == pytest.approx(value)
