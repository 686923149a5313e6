"""Coverage picked in parts, and the strategy that does so."""

from __future__ import annotations

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.graph_coverage import greedy_coverage_on_graph
from labeltrain.kernels.neighbours import nearest_neighbours
from labeltrain.kernels.partitioned_coverage import partitioned_coverage
from labeltrain.kernels.similarity import Similarity
from labeltrain.kernels.threads import limited_threads
from labeltrain.strategies.facility_location import FacilityLocation
from labeltrain.testing import StrategyContract

NOBODY = np.empty(0, dtype=np.int64)


class TestFacilityLocationInParts(StrategyContract):
    strategy = FacilityLocation
    parameters = {"neighbours": 5, "parts": 3}


class TestFacilityLocationInApproximateParts(StrategyContract):
    strategy = FacilityLocation
    parameters = {"neighbours": 5, "parts": 2, "approximate": True, "uncertainty": 1.0}


def pool(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(40, 16))[rng.integers(40, size=n)] + 0.5 * rng.normal(size=(n, 16))


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("parts", [2, 5])
def test_parts_lose_little(parts: int, approximate: bool) -> None:
    points, similarity, count = pool(3000), Similarity("gaussian", 0.7), 300
    options = {"candidates": np.arange(20, 3000), "given": np.arange(20)}
    indices, distances = nearest_neighbours(points, 32, normalise=True)
    whole = greedy_coverage_on_graph(indices, distances, similarity, count, **options)
    found = partitioned_coverage(
        points, 32, similarity, count, parts, np.random.default_rng(0),
        approximate=approximate, **options,
    )  # fmt: skip
    assert len(set(found.positions.tolist())) == count
    assert found.positions.min() >= 20

    def value(picks: np.ndarray) -> float:
        chosen = np.concatenate([np.arange(20), picks])
        return greedy_coverage(points, similarity, 0, given=chosen).coverage.mean()

    by_chance = value(np.random.default_rng(1).choice(np.arange(20, 3000), count, replace=False))
    best = value(whole.positions)
    assert value(found.positions) > best - 0.2 * (best - by_chance)


def test_parts_depend_on_the_seed_only() -> None:
    points, similarity = pool(1500), Similarity("gaussian", 0.7)
    options = {"candidates": np.arange(1500), "given": NOBODY}

    def picks(seed: int, threads: int, memory: int) -> list[int]:
        with limited_threads(threads):
            found = partitioned_coverage(
                points, 8, similarity, 50, 3, np.random.default_rng(seed), memory=memory, **options
            )
        return found.positions.tolist()

    assert picks(0, 1, 2**30) == picks(0, 3, 10**5)
    assert picks(0, 2, 2**30) != picks(1, 2, 2**30)


def test_every_part_knows_what_is_given_and_what_items_are_worth() -> None:
    points, similarity = pool(600), Similarity("gaussian", 0.7)
    modular = np.zeros(600)
    modular[[17, 400]] = 1000.0
    weights = np.ones(600)
    weights[590:] = 500.0
    found = partitioned_coverage(
        points, 8, similarity, 12, 4, np.random.default_rng(0),
        candidates=np.arange(100, 600), given=np.arange(100), modular=modular, weights=weights,
    )  # fmt: skip
    assert 400 in found.positions[:1]
    assert (found.coverage[:100] == 1.0).all()
    assert found.coverage[590:].mean() > found.coverage[100:590].mean()


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_tiny_pools_can_be_picked_to_the_last_item(n: int) -> None:
    for parts in (1, 2, 50):
        found = partitioned_coverage(
            pool(n), 4, Similarity("gaussian", 0.7), n, parts, np.random.default_rng(0),
            candidates=np.arange(n), given=NOBODY,
        )  # fmt: skip
        assert sorted(found.positions.tolist()) == list(range(n))


def test_few_candidates_of_a_large_pool_are_dealt_out_evenly() -> None:
    found = partitioned_coverage(
        pool(400), 4, Similarity("gaussian", 0.7), 10, 4, np.random.default_rng(0),
        candidates=np.arange(390, 400), given=np.arange(3),
    )  # fmt: skip
    assert sorted(found.positions.tolist()) == list(range(390, 400))


def test_parts_are_a_parameter_of_facility_location() -> None:
    whole = FacilityLocation(neighbours=16)
    parts = FacilityLocation(neighbours=16, parts=4)
    assert whole.deterministic
    assert whole.nested
    assert not parts.deterministic
    assert not parts.nested
    assert FacilityLocation().version == 1
    assert whole.version == parts.version == 2  # similarities are rounded to float32 since then
    assert parts.parameters()["parts"] == 4
    points = pool(2000)
    options = {"embeddings": points, "budget": 200, "neighbours": 32, "seed": 3}
    picks = labeltrain.select("facility-location", parts=4, **options).positions
    again = labeltrain.select("facility-location", parts=4, **options).positions
    assert picks.tolist() == again.tolist()
    assert len(set(picks.tolist())) == 200


@pytest.mark.parametrize("options", [{"parts": 4}, {"parts": 1, "neighbours": 4}])
def test_impossible_parts_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"expected 2 or more|give neighbours"):
        labeltrain.select("facility-location", embeddings=pool(20), budget=2, **options)
