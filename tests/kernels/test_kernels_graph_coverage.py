"""Similarity graphs, greedy search on them, with a budget too, against slow twins."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels.graph_coverage import (
    budgeted_coverage_on_graph,
    greedy_coverage_on_graph,
    uncovered_share,
)
from labeltrain.kernels.neighbours import nearest_neighbours
from labeltrain.kernels.similarity import Similarity
from labeltrain.kernels.similarity_graph import SimilarityGraph, similarity_graph
from labeltrain.kernels.threads import limited_threads

NOBODY = np.empty(0, dtype=np.int64)


def dense(graph: SimilarityGraph) -> np.ndarray:
    matrix = np.zeros((graph.n, graph.n))
    for i in range(graph.n):
        part = slice(graph.starts[i], graph.starts[i + 1])
        matrix[i, graph.others[part]] = graph.values[part]
    return matrix


@pytest.mark.parametrize("kind", ["gaussian", "cosine"])
@pytest.mark.parametrize("wide", [np.float32, np.float64])
def test_a_graph_is_symmetric_with_loops_and_holds_the_larger_of_two(kind: str, wide: type) -> None:
    similarity = Similarity(kind, 0.7)
    for trial in range(40):
        rng = np.random.default_rng(trial)
        n, k = int(rng.integers(1, 30)), int(rng.integers(0, 8))
        indices = rng.integers(n, size=(n, k)).astype(np.int32)  # twice, and to itself, too
        distances = (rng.random((n, k)) * [2.0, 20.0][trial % 2]).astype(wide)
        slow = np.eye(n, dtype=np.float32)
        for i, t in itertools.product(range(n), range(k)):
            gap = np.float64(distances[i, t])
            value = math.exp(-(gap**2) / 0.7) if gap**2 / 0.7 <= 60 else 0.0
            if kind == "cosine":
                value = min(max(1.0 - gap**2 / 2.0, 0.0), 1.0)
            j = indices[i, t]
            slow[i, j] = slow[j, i] = max(slow[i, j], np.float32(value))
        graph = similarity_graph(indices, distances, similarity)
        assert graph.values.dtype == np.float32
        assert (dense(graph) == slow).all()
        assert (graph.values > 0).all()
        for i in range(n):
            assert (np.diff(graph.others[graph.starts[i] : graph.starts[i + 1]]) > 0).all()


def slow_greedy(
    matrix: np.ndarray, costs: np.ndarray, budget: float, candidates: list[int], covered: np.ndarray
) -> list[int]:
    picks, left = [], list(candidates)
    while True:
        left = [j for j in left if costs[j] <= budget]
        gains = [np.maximum(matrix[:, j] - covered, 0.0).sum() / costs[j] for j in left]
        if not left or max(gains) <= 0.0:
            return picks
        picks.append(left.pop(int(np.argmax(gains))))
        budget -= costs[picks[-1]]
        covered = np.maximum(covered, matrix[:, picks[-1]])


def value(matrix: np.ndarray, picks: list[int], covered: np.ndarray) -> float:
    return float(np.maximum(matrix[:, picks].max(axis=1, initial=0.0), covered).sum())


@given(seed=st.integers(0, 10**6), n=st.integers(2, 10), known=st.integers(0, 2))
@settings(deadline=None, max_examples=120)
def test_a_budget_is_kept_and_spent_nearly_as_well_as_can_be(seed: int, n: int, known: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 2))
    indices, distances = nearest_neighbours(points, int(rng.integers(1, n)))
    similarity = Similarity("gaussian", float(rng.choice([0.1, 1.0, 5.0])), False)
    costs = rng.choice([0.25, 1.0, 3.0, 10.0], size=n)  # sums are exact
    budget = float(rng.choice([0.2, 1.0, 4.0, 11.0, 100.0]))
    start = rng.permutation(n)[: min(known, n - 1)]
    some = np.setdiff1d(np.arange(n), start)
    matrix = dense(similarity_graph(indices, distances, similarity))
    covered = matrix[:, start].max(axis=1, initial=0.0)
    found = budgeted_coverage_on_graph(
        indices, distances, similarity, budget, costs, candidates=some, given=start
    )
    picks = found.positions.tolist()
    assert costs[picks].sum() <= budget
    assert len(set(picks)) == len(picks)
    assert set(picks) <= set(some.tolist())
    nothing = value(matrix, [], covered)
    np.testing.assert_allclose(found.gains.sum(), value(matrix, picks, covered) - nothing)
    np.testing.assert_allclose(found.coverage.sum(), value(matrix, picks, covered))
    best = max(
        value(matrix, list(subset), covered) - nothing
        for size in range(len(some) + 1)
        for subset in itertools.combinations(some.tolist(), size)
        if costs[list(subset)].sum() <= budget
    )
    assert found.gains.sum() >= (1.0 - 1.0 / math.e) / 2.0 * best - 1e-9
    by_ratio = slow_greedy(matrix, costs, budget, some.tolist(), covered)
    alone = [value(matrix, [j], covered) for j in some if costs[j] <= budget]
    if value(matrix, by_ratio, covered) > max(alone, default=0.0) + 1e-9:
        assert found.gains.sum() == pytest.approx(value(matrix, by_ratio, covered) - nothing)


def test_one_item_that_is_worth_all_comes_before_a_cheap_one() -> None:
    # Item 0 covers all others and costs the whole budget; item 9 is alone and costs next to none.
    indices = np.array([[i, i] for i in range(10)], dtype=np.int32)
    indices[1:9, 0] = 0
    distances = np.zeros((10, 2))
    costs = np.full(10, 100.0)
    costs[9] = 0.5
    options = {"candidates": np.arange(10), "given": NOBODY}
    found = budgeted_coverage_on_graph(indices, distances, Similarity(), 100.0, costs, **options)
    assert found.positions.tolist() == [0]
    assert found.gains.tolist() == [9.0]
    assert found.nearest.tolist() == [9]
    both = budgeted_coverage_on_graph(indices, distances, Similarity(), 100.5, costs, **options)
    assert both.positions.tolist() == [9, 0]
    none = budgeted_coverage_on_graph(indices, distances, Similarity(), 0.1, costs, **options)
    assert none.positions.tolist() == []
    assert none.coverage.tolist() == [0.0] * 10


def test_equal_costs_pick_what_no_costs_pick() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 4))
    indices, distances = nearest_neighbours(points, 8)
    similarity = Similarity("gaussian", 2.0, False)
    options = {
        "candidates": np.arange(5, 300),
        "given": np.arange(5),
        "weights": rng.random(300),
        "modular": 0.1 * rng.random(300),
    }
    free = greedy_coverage_on_graph(indices, distances, similarity, 40, **options)
    paid = budgeted_coverage_on_graph(
        indices, distances, similarity, 80.0, np.full(300, 2.0), **options
    )
    assert paid.positions.tolist() == free.positions.tolist()
    assert paid.gains.tolist() == free.gains.tolist()


def test_what_no_pick_is_similar_to_is_counted() -> None:
    points = np.repeat(np.arange(4.0), 5)[:, None] * 100.0 + 0.1 * np.arange(20.0)[:, None]
    indices, distances = nearest_neighbours(points, 4)
    found = greedy_coverage_on_graph(
        indices, distances, Similarity("gaussian", 1.0, False), 3,
        candidates=np.arange(20), given=NOBODY,
    )  # fmt: skip
    assert uncovered_share(found.coverage) == 0.25
    assert uncovered_share(np.empty(0)) == 0.0


def test_picks_on_a_graph_do_not_depend_on_threads_or_the_type_of_distances() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9000, 6)).astype(np.float32)
    indices, distances = nearest_neighbours(points, 12)
    narrow = distances.astype(np.float32)
    options = {"candidates": np.arange(9000), "given": NOBODY}
    similarity = Similarity("gaussian", 1.0, False)
    runs = []
    for threads in (1, 3):
        with limited_threads(threads):
            runs.append(greedy_coverage_on_graph(indices, narrow, similarity, 900, **options))
    assert runs[0].positions.tolist() == runs[1].positions.tolist()
    assert runs[0].gains.tobytes() == runs[1].gains.tobytes()
    wide = greedy_coverage_on_graph(indices, distances, similarity, 900, **options)
    assert wide.coverage.sum() == pytest.approx(runs[0].coverage.sum(), rel=1e-5)


MILLION = """
import sys
import numpy as np
from labeltrain.kernels.graph_coverage import greedy_coverage_on_graph
from labeltrain.kernels.similarity import Similarity

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))

n, count = 1_000_000, 100_000
steps = np.array([-4, -3, -2, -1, 1, 2, 3, 4])
indices = ((np.arange(n)[:, None] + steps) % n).astype(np.int32)
distances = (np.abs(steps) * np.random.default_rng(0).uniform(0.1, 0.5, (n, 1))).astype(np.float32)
found = greedy_coverage_on_graph(
    indices, distances, Similarity(), count, candidates=np.arange(n), given=np.empty(0, np.int64)
)
assert len(np.unique(found.positions)) == count
assert (np.diff(found.gains) <= 1e-9).all()
print(peak(), found.coverage.mean(), found.gains.sum() / n)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_million_items_fit_into_little_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MILLION], capture_output=True, text=True, check=True, timeout=300
    )
    peak, covered, gained = map(float, done.stdout.split())
    assert peak < 700  # MiB; 64 of them are the graph that was given, some 170 the interpreter
    assert covered == pytest.approx(gained)
    assert covered > 0.75  # a pick covers itself by 1, and eight others by 0.66 on average
