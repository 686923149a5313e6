"""Rows most similar to targets against their definitions, on the whole matrix of cosines."""

from __future__ import annotations

import numpy as np
import pytest

from labeltrain.kernels import targets as module
from labeltrain.kernels.targets import TargetRanks
from labeltrain.kernels.threads import limited_threads


def unit(points: np.ndarray) -> np.ndarray:
    rows = points.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def slow_turns(cosines: np.ndarray, count: int) -> list[int]:
    left, picks = list(range(len(cosines))), []
    for turn in range(count):
        target = turn % cosines.shape[1]
        picks.append(min(left, key=lambda i: (-cosines[i, target], i)))
        left.remove(picks[-1])
    return picks


@pytest.mark.parametrize("memory", [2**30, 3000, 1])
def test_picks_are_those_of_the_definitions(memory: int) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, d, t = (int(rng.integers(1, high)) for high in (60, 6, 8))
        points = rng.normal(size=(n, d)).astype([np.float16, np.float32, np.float64][seed % 3])
        if seed % 4 == 0:
            points = np.repeat(points, 4, axis=0)[:n]
        if seed % 5 == 0:
            points[::3] = 0.0
        targets = rng.normal(size=(t, d))
        candidates = np.sort(rng.permutation(n)[: int(rng.integers(1, n + 1))])
        count = int(rng.integers(1, len(candidates) + 1))
        exact = unit(points)[candidates] @ unit(targets).T
        cosines = np.round(exact, 12)
        ranks = TargetRanks(points, targets, candidates, memory=memory)

        positions, values, owners = ranks.in_turn(count)
        rows = slow_turns(cosines, count)
        assert positions.tolist() == candidates[rows].tolist()
        assert owners.tolist() == [turn % t for turn in range(count)]
        np.testing.assert_allclose(values, cosines[rows, owners], atol=1e-12)

        positions, values, owners = ranks.for_any(count)
        order = np.lexsort((cosines.argmax(axis=1), -cosines.max(axis=1)))[:count]
        assert positions.tolist() == candidates[order].tolist()
        assert owners.tolist() == cosines.argmax(axis=1)[order].tolist()
        np.testing.assert_allclose(values, cosines.max(axis=1)[order], atol=1e-12)

        positions, values = ranks.on_average(count)
        means = np.round(exact.mean(axis=1), 12)
        order = np.argsort(-means, kind="stable")[:count]
        assert positions.tolist() == candidates[order].tolist()
        np.testing.assert_allclose(values, means[order], atol=1e-12)


def test_lists_that_run_out_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    whole = TargetRanks._best
    monkeypatch.setattr(
        TargetRanks, "_best", lambda self, *a: (made.append(len(a[0])), whole(self, *a))[1]
    )
    monkeypatch.setattr(module, "SHORTEST", 1)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 4))
    same = np.repeat(rng.normal(size=(1, 4)), 5, axis=0)  # all targets want the same items
    cosines = np.round(unit(points) @ unit(same).T, 12)
    found = TargetRanks(points, same, np.arange(300)).in_turn(250)[0]
    assert found.tolist() == slow_turns(cosines, 250)
    assert len(made) > 1


def test_neither_memory_nor_threads_change_anything() -> None:
    rng = np.random.default_rng(1)
    points, targets = rng.normal(size=(9000, 16)).astype(np.float32), rng.normal(size=(20, 16))
    first = [TargetRanks(points, targets, np.arange(9000)).in_turn(300)[0].tolist()]
    first.append(TargetRanks(points, targets, np.arange(9000), memory=1).in_turn(300)[0].tolist())
    with limited_threads(1):
        first.append(TargetRanks(points, targets, np.arange(9000)).in_turn(300)[0].tolist())
    assert first[0] == first[1] == first[2]
