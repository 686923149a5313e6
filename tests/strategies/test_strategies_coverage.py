"""Facility location, MaxHerding, UHerding and ProbCover against their definitions."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.loop.checks import refuse_unmet_needs
from labeltrain.strategies import registry
from labeltrain.strategies.base import Need, Strategy
from labeltrain.strategies.facility_location import FacilityLocation
from labeltrain.strategies.max_herding import MaxHerding
from labeltrain.strategies.prob_cover import ProbCover
from labeltrain.strategies.uherding import (
    UHerding,
    best_temperature,
    heated,
    smallest_distance,
)
from labeltrain.strategies.view import PoolView
from labeltrain.testing import StrategyContract
from labeltrain.testing.pools import blobs, pool_view


class TestFacilityLocationByCosine(StrategyContract):
    strategy = FacilityLocation
    parameters = {"kernel": "cosine"}


class TestFacilityLocationOnAGraph(StrategyContract):
    strategy = FacilityLocation
    parameters = {"neighbours": 5}


class TestUHerdingByEntropy(StrategyContract):
    strategy = UHerding
    parameters = {"uncertainty": "entropy"}


def select(strategy: Strategy, view: PoolView, count: int) -> Any:
    return strategy.select(view, count, np.random.default_rng(0))


def unit(points: np.ndarray) -> np.ndarray:
    x = np.asarray(points, dtype=np.float64)
    return x / np.sqrt((x**2).sum(axis=1, keepdims=True))


def slow_greedy(
    matrix: np.ndarray, view: PoolView, count: int, weights: Any = 1.0, own: Any = 0.0
) -> list[int]:
    own = np.broadcast_to(own, len(matrix))
    covered = np.zeros(len(matrix))
    for s in [*view.labelled, *view.pending]:
        covered = np.maximum(covered, matrix[:, s])
    left, picks = view.candidates.tolist(), []
    for _ in range(count):
        gains = [(weights * np.maximum(matrix[:, j] - covered, 0)).sum() + own[j] for j in left]
        picks.append(left.pop(int(np.argmax(gains))))
        covered = np.maximum(covered, matrix[:, picks[-1]])
    return picks


def squares(points: np.ndarray) -> np.ndarray:
    return ((points[:, None] - points[None]) ** 2).sum(axis=2)


@pytest.mark.parametrize("uncertainty", [0.0, 3.0])
def test_facility_location_is_its_formula(uncertainty: float) -> None:
    view = pool_view(n=90)
    gaps = squares(unit(view.embeddings))
    top = np.sort(view.probabilities, axis=1)
    ranks = np.argsort(np.argsort(-(top[:, -1] - top[:, -2]))) / 89
    own = uncertainty * 90 / 15 * ranks
    slow = slow_greedy(np.exp(-gaps / (0.5 * gaps.mean())), view, 15, own=own)
    strategy = FacilityLocation(gamma=0.5, uncertainty=uncertainty)
    picks = select(strategy, view, 15)
    assert picks.positions.tolist() == slow
    assert strategy.nested == (uncertainty == 0.0)
    # The sum of the scores is what the batch adds to the objective, in the units of the card.
    similarity = np.exp(-gaps / (0.5 * gaps.mean()))
    known = [*view.labelled, *view.pending]
    before, after = (
        similarity[:, rows].max(axis=1).mean() for rows in (known, [*known, *picks.positions])
    )
    added = after - before + uncertainty * ranks[picks.positions].mean()
    assert picks.scores.sum() == pytest.approx(added, rel=1e-9)


def test_facility_location_needs_probabilities_only_for_uncertainty() -> None:
    refuse_unmet_needs(FacilityLocation(), "linear", {"embeddings"})
    strategy = FacilityLocation(uncertainty=0.5)
    assert Need.PROBABILITIES in strategy.needs
    assert Need.PROBABILITIES not in FacilityLocation.needs
    with pytest.raises(MissingNeed, match="probabilities"):
        refuse_unmet_needs(strategy, "linear", {"embeddings"})
    again = registry.make("facility-location", strategy.parameters())
    assert again.needs == strategy.needs
    assert "needs" not in strategy.parameters()


def test_max_herding_is_its_formula() -> None:
    view = pool_view(n=90)
    slow = slow_greedy(np.exp(-squares(unit(view.embeddings)) / 0.7**2), view, 20)
    picks = select(MaxHerding(bandwidth=0.7), view, 20)
    assert picks.positions.tolist() == slow
    assert all(why.startswith("stands for") for why in picks.why)


@pytest.mark.parametrize("uncertainty", ["margin", "entropy"])
def test_uherding_is_its_formula(uncertainty: str) -> None:
    view = pool_view(n=90, labelled=20)
    points = unit(view.embeddings)
    gaps = squares(points)
    sigma = math.sqrt(gaps[np.ix_(view.labelled, view.labelled)][np.triu_indices(20, 1)].min())
    p = heated(view.probabilities, best_temperature(view.out_of_fold, view.labels))
    top = np.sort(p, axis=1)
    u = 1.0 - (top[:, -1] - top[:, -2])
    if uncertainty == "entropy":
        u = -(p * np.log(p)).sum(axis=1) / math.log(3)
    slow = slow_greedy(np.exp(-gaps / sigma**2), view, 20, weights=u)
    assert select(UHerding(uncertainty=uncertainty), view, 20).positions.tolist() == slow


def test_uherding_with_few_labels_is_max_herding() -> None:
    view = pool_view(n=60, labelled=0, pending=0)
    plain = select(MaxHerding(), view, 10).positions.tolist()
    assert select(UHerding(), view, 10).positions.tolist() == plain
    view = pool_view(n=60, labelled=5)
    sigma = smallest_distance(view.embeddings, view.labelled)
    plain = select(MaxHerding(bandwidth=sigma), view, 10).positions.tolist()
    # Fewer than two labels per class seen, or one class only: the uncertainty is flat.
    for labels in ([0, 1, 2, 0, 1], [1, 1, 1, 1, 1]):
        few = PoolView(
            60, 3, labelled=view.labelled, labels=labels, pending=view.pending,
            sources=view._sources,
        )  # fmt: skip
        assert select(UHerding(), few, 10).positions.tolist() == plain


def test_uherding_counts_labels_per_class_that_was_seen() -> None:
    view = pool_view(n=60, labelled=5)
    sigma = smallest_distance(view.embeddings, view.labelled)
    plain = select(MaxHerding(bandwidth=sigma), view, 10).positions.tolist()
    labels = np.array([0, 1, 0, 1, 1])
    sure = {**view._sources, Need.OUT_OF_FOLD: np.eye(3)[labels] * 0.97 + 0.01}
    two = PoolView(
        60, 3, labelled=view.labelled, labels=labels, pending=view.pending, sources=sure
    )  # fmt: skip
    assert select(UHerding(), two, 10).positions.tolist() != plain  # five labels of two classes


def test_uherding_says_that_labels_are_missing() -> None:
    view = pool_view(n=30)
    without = PoolView(30, 3, labelled=view.labelled, sources=view._sources)
    with pytest.raises(MissingNeed, match="labels"):
        select(UHerding(), without, 2)


def test_the_best_temperature_minimises_the_loss() -> None:
    rng = np.random.default_rng(0)
    logits = 6.0 * rng.normal(size=(400, 4))
    p = heated(np.exp(logits - logits.max(axis=1, keepdims=True)), 1.0)
    labels = np.array([rng.choice(4, p=row) for row in heated(p, 3.0)])
    found = best_temperature(p, labels)

    def loss(t: float) -> float:
        return -np.log(heated(p, t)[np.arange(400), labels]).mean()

    assert loss(found) <= min(loss(t) for t in np.geomspace(0.1, 20, 200)) + 1e-6
    assert 2.0 < found < 4.5


def test_the_smallest_distance_passes_over_duplicates() -> None:
    points = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0], [3.0, 0.001]])
    everything = np.arange(5)
    assert smallest_distance(points, everything[:3]) == pytest.approx(math.sqrt(2))
    assert smallest_distance(points, everything) == pytest.approx(0.001 / 3, rel=1e-4)
    assert smallest_distance(points, everything[:2]) == 1.0
    assert smallest_distance(points, everything[:1]) == 1.0
    assert smallest_distance(points, everything[:0]) == 1.0
    assert smallest_distance(points[[0, 3]], everything[:2]) == 1.0
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert smallest_distance(opposite, everything[:2]) == 2.0


def test_prob_cover_is_its_formula_and_covers_clusters_first() -> None:
    view = pool_view(n=90)
    near = squares(unit(view.embeddings)) < 0.6**2
    uncovered = ~near[[*view.labelled, *view.pending]].any(axis=0)
    left, slow = view.candidates.tolist(), []
    for _ in range(30):
        slow.append(left.pop(int(np.argmax([(near[j] & uncovered).sum() for j in left]))))
        uncovered &= ~near[slow[-1]]
    picks = select(ProbCover(delta=0.6), view, 30)
    assert picks.positions.tolist() == slow
    points, classes = blobs(300, d=8, spread=0.1)
    found = select(ProbCover(), PoolView(300, 3, sources={Need.EMBEDDINGS: points}), 3)
    assert set(classes[found.positions]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("facility-location", {"kernel": "linear"}),
        ("facility-location", {"gamma": 0.0}),
        ("facility-location", {"uncertainty": -1.0}),
        ("facility-location", {"neighbours": 0}),
        ("max-herding", {"bandwidth": 0.0}),
        ("uherding", {"uncertainty": "confidence"}),
        ("prob-cover", {"delta": 0.0}),
        ("prob-cover", {"purity": 1.5}),
    ],
)
def test_impossible_parameters_are_refused(name: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="expected"):
        registry.make(name, parameters)


def test_facility_location_on_an_approximate_graph_is_nearly_as_good() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 16))[rng.integers(0, 40, 3000)] + 0.3 * rng.normal(
        size=(3000, 16)
    )
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)

    def value(**options: object) -> float:
        picks = labeltrain.select("facility-location", embeddings=points, budget=40, **options)
        return float((unit @ unit[picks.positions].T).max(axis=1).mean())

    exact = value(neighbours=60)
    assert value(neighbours=60, approximate=True) > exact - 0.01
    assert exact > value() - 0.02
    with pytest.raises(BadInput, match="give neighbours"):
        value(approximate=True)


def test_facility_location_per_cost_spends_what_is_left_of_the_round() -> None:
    points = np.random.default_rng(1).normal(size=(60, 3))
    costs = np.random.default_rng(2).choice([0.0, 1.0, 2.0, 5.0], size=60)
    options = {"neighbours": 59, "gamma": 0.2}
    picks = labeltrain.select(
        "facility-location", embeddings=points, costs=costs, budget=9, per_cost=True, **options
    )
    assert costs[picks.positions].sum() <= 9.0
    # Those that cost nothing come first, as long as they gain anything.
    free = int((costs[picks.positions] == 0.0).sum())
    assert free
    assert (costs[picks.positions[:free]] == 0.0).all()
    equal = labeltrain.select(
        "facility-location", embeddings=points, costs=np.full(60, 2.0), budget=9, per_cost=True,
        **options,
    )  # fmt: skip
    plain = labeltrain.select("facility-location", embeddings=points, budget=4, **options)
    assert equal.positions.tolist() == plain.positions.tolist()
    with pytest.raises(MissingNeed, match="costs"):
        labeltrain.select(
            "facility-location", embeddings=points, budget=9, per_cost=True, **options
        )
    with pytest.raises(BadInput, match="give neighbours"):
        labeltrain.select(
            "facility-location", embeddings=points, costs=costs, budget=9, per_cost=True
        )


def test_it_says_when_the_graph_leaves_many_items_out() -> None:
    points = np.random.default_rng(0).normal(size=(500, 4))
    with pytest.warns(
        UserWarning, match=r"\d\d% of the pool .* more neighbours than 5 \(about 200"
    ):
        labeltrain.select("facility-location", embeddings=points, budget=10, neighbours=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labeltrain.select("facility-location", embeddings=points, budget=10, neighbours=250)


def test_k_center_of_directions_only() -> None:
    points = np.random.default_rng(3).normal(size=(50, 4)) * np.linspace(1, 9, 50)[:, None]
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    found = labeltrain.select("k-center", embeddings=points, budget=9, normalise=True)
    plain = labeltrain.select("k-center", embeddings=unit, budget=9)
    assert found.positions.tolist() == plain.positions.tolist()
    raw = labeltrain.select("k-center", embeddings=points, budget=9)
    assert raw.positions.tolist() != plain.positions.tolist()
