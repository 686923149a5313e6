"""The designs for choosing prompts, which see no label, against hand-worked numbers and twins."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.strategies import PoolView, registry
from labeltrain.strategies.token_scores import UNCERTAINTIES, uncertainty_of, uncertainty_ranks
from labeltrain.testing.pools import pool_view, token_scores

DESIGNS: dict[str, tuple[str, dict[str, Any]]] = {
    "token-uncertainty": ("token-uncertainty", {}),
    "random-balanced": ("random-balanced", {}),
    "task-diversity": ("task-diversity", {}),
    "task-diversity, uncertain": ("task-diversity", {"within": "uncertainty"}),
    "task-relevance": ("task-relevance", {}),
    "task-relevance, similar": ("task-relevance", {"within": "similar", "floor": 1}),
    "filter-then-cover": ("filter-then-cover", {}),
    "filter-then-cover, k-center": ("filter-then-cover", {"cover": "k-center", "factor": 2.0}),
    "gist": ("gist", {"tolerance": 0.5}),
    "gist, uniform": ("gist", {"score": "uniform"}),
    "fisher-sft": ("fisher-sft", {}),
    "rds": ("rds", {}),
    "rds, mean": ("rds", {"aggregation": "mean"}),
    "rds, max": ("rds", {"aggregation": "max"}),
}


def prompts(n: int, seed: int = 0) -> dict[str, Any]:
    """Return all that these designs read."""
    rng = np.random.default_rng(seed)
    return {
        "embeddings": rng.normal(size=(n, 4)).astype(np.float32),
        "groups": np.array(["sum", "prose", "code"])[rng.integers(0, 3, n)],
        "scores": token_scores(n, rng),
        "targets": rng.normal(size=(3, 4)),
    }


def chosen(design: str, arrays: dict[str, Any], **more: Any) -> list[int]:
    name, parameters = DESIGNS[design]
    needs = registry.make(name, parameters).needs
    read = {
        k: v for k, v in arrays.items() if k in needs or (k, "hidden") == ("embeddings", *needs)
    }
    return labeltrain.select(name, **parameters, **read, **more).positions.tolist()


@pytest.mark.parametrize("design", DESIGNS)
def test_no_class_is_needed(design: str) -> None:
    name, parameters = DESIGNS[design]
    strategy = registry.make(name, parameters)
    assert strategy.works_on("none")
    assert strategy.parameters().items() >= parameters.items()
    arrays = prompts(30)
    expected = chosen(design, arrays, budget=6)
    for kind in ("none", "multilabel"):
        assert chosen(design, arrays, budget=6, kind=kind, classes=3) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(DESIGNS)), st.integers(1, 30), st.integers(0, 35), st.integers(0, 8),
    st.integers(0, 99),
)  # fmt: skip
def test_budget_uniqueness_determinism_and_permutation(
    design: str, n: int, budget: int, known: int, seed: int
) -> None:
    arrays = prompts(n, seed)
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(n)[: min(known, n)]
    given = {"budget": budget, "kind": "none"}
    picks = chosen(design, arrays, labelled=labelled, seed=seed, **given)
    assert len(picks) == len(set(picks)) == min(budget, n - len(labelled))
    assert not set(picks) & set(labelled.tolist())
    assert picks == chosen(design, arrays, labelled=labelled, seed=seed, **given)
    name, parameters = DESIGNS[design]
    if n < 3 or not registry.make(name, parameters).deterministic:
        return  # two items are alike in all that is measured between them
    order = rng.permutation(n)
    moved = {
        **arrays,
        "embeddings": arrays["embeddings"][order],
        "groups": arrays["groups"][order],
        "scores": {k: v[order] for k, v in arrays["scores"].items()},
    }
    there = chosen(design, moved, labelled=np.argsort(order)[labelled], seed=seed + 1, **given)
    assert order[there].tolist() == picks


@pytest.mark.parametrize("design", DESIGNS)
def test_an_empty_pool_and_one_without_anything_left(design: str) -> None:
    assert chosen(design, prompts(0), budget=3, kind="none") == []
    assert chosen(design, prompts(5), budget=3, kind="none", labelled=np.arange(5)) == []
    assert chosen(design, prompts(1), budget=3, kind="none") == [0]


@pytest.mark.parametrize("design", [d for d in DESIGNS if "gist" not in d and "filter" not in d])
def test_fewer_picks_are_the_first_of_more(design: str) -> None:
    arrays = prompts(40)
    whole = chosen(design, arrays, budget=20, kind="none", labelled=[3, 5])
    assert chosen(design, arrays, budget=7, kind="none", labelled=[3, 5]) == whole[:7]


# -- token scores --------------------------------------------------------------------------------


def scores_of(steps: list[list[list[float]]]) -> dict[str, np.ndarray]:
    """Return the scores of prompts from the distributions of their answers' tokens."""
    found: dict[str, list[float]] = {}
    for distributions in steps:
        entropies = [-sum(p * math.log(p) for p in d if p > 0) for d in distributions]
        margins = [sorted(d)[-1] - sorted(d)[-2] for d in distributions]
        nll = -sum(math.log(max(d)) for d in distributions)
        row = {
            "mean_entropy": sum(entropies) / len(distributions),
            "max_entropy": max(entropies),
            "nll": nll,
            "nll_mean": nll / len(distributions),
            "mean_margin": sum(margins) / len(distributions),
            "min_margin": min(margins),
            "tokens": len(distributions),
        }
        for key, value in row.items():
            found.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in found.items()}


# One doubtful token among sure ones; all tokens somewhat doubtful; one sure token; a long answer.
STEPS = [
    [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
    [[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]],
    [[1.0, 0.0, 0.0]],
    [[0.85, 0.1, 0.05]] * 8,
]


@pytest.mark.parametrize(
    ("score", "order"),
    [
        ("mean-entropy", [1, 3, 0, 2]),  # 0.173, 0.802, 0, 0.518
        ("least-confidence", [3, 1, 0, 2]),  # 0.693, 0.713, 0, 1.300
        ("least-confidence-norm", [1, 0, 3, 2]),  # 0.173, 0.357, 0, 0.163
        ("mean-margin", [1, 0, 3, 2]),  # 0.75, 0.5, 1, 0.75: a tie
        ("min-margin", [0, 1, 3, 2]),  # 0, 0.5, 1, 0.75
        ("max-entropy", [1, 0, 3, 2]),  # 0.693, 0.802, 0, 0.518
    ],
)
def test_the_most_uncertain_answers_come_first(score: str, order: list[int]) -> None:
    scores = scores_of(STEPS)
    picks = labeltrain.select("token-uncertainty", scores=scores, score=score, budget=4)
    assert picks.positions.tolist() == order
    name, sign, _ = UNCERTAINTIES[score]
    np.testing.assert_array_equal(picks.scores, sign * scores[name][order])
    assert all("answer" in why for why in picks.why)


def test_ties_go_to_the_lowest_position_and_ranks_are_shared() -> None:
    scores = {"nll": np.array([1.0, 2.0, 2.0, 0.0])}
    picks = labeltrain.select(
        "token-uncertainty", scores=scores, score="least-confidence", budget=3
    )
    assert picks.positions.tolist() == [1, 2, 0]
    view = PoolView(4, 0, sources={"scores": scores})
    ranks = uncertainty_ranks(view, "least-confidence")
    assert ranks.tolist() == pytest.approx([1 / 3, 2.5 / 3, 2.5 / 3, 0.0])


@pytest.mark.parametrize("name", ["token-uncertainty", "gist", "filter-then-cover"])
def test_a_missing_score_is_named(name: str) -> None:
    given = {"embeddings": np.eye(3)} if name != "token-uncertainty" else {}
    scores = {"mean_entropy": np.ones(3), "tokens": np.ones(3)}
    with pytest.raises(MissingNeed, match=r"no 'min_margin'.*min-margin.*mean_entropy, tokens"):
        labeltrain.select(name, **given, scores=scores, score="min-margin", budget=1)
    with pytest.raises(MissingNeed, match="scores"):
        labeltrain.select(name, **given, ids=[1, 2, 3], budget=1)
    with pytest.raises(BadInput, match=r"expected one of.*min-margin"):
        labeltrain.select(name, **given, scores=scores, score="min_margin", budget=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_named_by_its_position(bad: float) -> None:
    values = np.array([1.0, bad, 2.0, bad])
    view = PoolView(4, 0, sources={"scores": {"nll": values}})
    with pytest.raises(BadInput, match=r"scores\['nll'\] is NaN or infinite in row.s. \[1, 3\]"):
        uncertainty_of(view, "least-confidence")


def test_scores_of_another_shape_or_type_are_refused() -> None:
    for values in (np.ones((3, 2)), np.array(["a", "b", "c"])):
        with pytest.raises(BadInput, match="mean_entropy"):
            labeltrain.select("token-uncertainty", scores={"mean_entropy": values}, budget=1)


def test_top_uncertainty_repeats_itself_and_covers_do_not() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 8))
    points[:6] = points[0]  # six copies of the most uncertain prompt
    entropy = np.concatenate([np.full(6, 9.0), rng.random(54)])
    given = {"embeddings": points, "scores": {"mean_entropy": entropy}, "budget": 6}
    assert set(labeltrain.select("token-uncertainty", **given)) == set(range(6))
    for name in ("filter-then-cover", "gist"):
        assert len(set(labeltrain.select(name, **given)) & set(range(6))) == 1
    picks = labeltrain.select("fisher-sft", embeddings=points, budget=6)
    assert len(set(picks) & set(range(6))) <= 1


# -- shares --------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 50), st.integers(0, 9))
def test_balanced_draws_fill_up_like_water(sizes: list[int], budget: int, seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    if not len(groups):
        return
    picks = labeltrain.select("random-balanced", groups=groups, budget=budget, seed=seed)
    quotas = np.bincount(groups[picks.positions], minlength=len(sizes))
    assert quotas.sum() == min(budget, sum(sizes))
    left = quotas < np.array(sizes)
    if left.any():
        assert quotas[left].max() - quotas[left].min() <= 1
        assert (quotas <= quotas[left].min() + 1).all()


def test_what_is_labelled_counts_towards_the_share_of_its_group() -> None:
    groups = ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    given = {"groups": groups, "labelled": [0, 1, 2, 10], "pending": [3]}
    for budget, expected in ((5, {"b": 2, "c": 3}), (10, {"a": 1, "b": 4, "c": 5})):
        picks = labeltrain.select("random-balanced", **given, budget=budget)
        assert Counter(groups[p] for p in picks) == expected
    picks = labeltrain.select("random-balanced", **given, budget=6, counting=False)
    assert Counter(groups[p] for p in picks) == {"a": 2, "b": 2, "c": 2}


def test_what_is_left_over_and_draws_within_a_group_are_seeded() -> None:
    groups = ["a", "a", "b", "b", "c", "c"]
    first = Counter(
        labeltrain.select("random-balanced", groups=groups, budget=1, seed=seed)[0]
        for seed in range(300)
    )
    assert set(first) == set(range(6))
    assert min(first.values()) > 25  # of 50


def test_groups_may_have_no_name() -> None:
    picks = labeltrain.select("random-balanced", groups=["a", None, "a", None, "b"], budget=3)
    assert {why.split()[-1] for why in picks.why} == {"a", "b", "None"}


def test_groups_of_another_shape_are_refused() -> None:
    view = PoolView(3, 0, sources={"groups": np.array([0, 1])})
    with pytest.raises(BadInput, match="groups has shape"):
        registry.make("random-balanced").select(view, 1, np.random.default_rng(0))


def test_even_tasks_are_balanced_draws() -> None:
    groups = prompts(50)["groups"]
    rngs = [np.random.default_rng(4) for _ in range(2)]
    view = PoolView(50, 0, labelled=[2, 3], labels=[0, 0], sources={"groups": groups})
    balanced = registry.make("random-balanced").select(view, 20, rngs[0])
    even = registry.make("task-diversity", {"weighted": False}).select(view, 20, rngs[1])
    assert balanced.positions.tolist() == even.positions.tolist()


def test_shares_are_in_proportion_to_inverse_confidence() -> None:
    # Confidences 0.2, 0.4 and 0.8: weights 4 : 2 : 1.
    tasks = np.repeat(["hard", "middle", "easy"], 100)
    nll = np.repeat(-np.log([0.2, 0.4, 0.8]), 100)
    given = {"groups": tasks, "scores": {"nll_mean": nll}, "kind": "none"}
    for seed in range(3):
        picks = labeltrain.select("task-diversity", **given, budget=70, seed=seed)
        assert Counter(tasks[picks.positions].tolist()) == {"hard": 40, "middle": 20, "easy": 10}
    assert "confidence 0.2" in " ".join(picks.why)
    # 20 labels of the hard task count: 90 in all are about 51 : 26 : 13.
    picks = labeltrain.select("task-diversity", **given, budget=70, labelled=np.arange(20))
    counts = Counter(tasks[picks.positions].tolist())
    assert (counts["middle"], counts["easy"]) == (26, 13)
    margins = {"scores": {"mean_margin": np.exp(-nll)}}
    picks = labeltrain.select("task-diversity", **given | margins, confidence="margin", budget=70)
    assert Counter(tasks[picks.positions].tolist()) == {"hard": 40, "middle": 20, "easy": 10}


def test_confidence_is_the_mean_over_a_task_and_has_a_floor() -> None:
    tasks = np.array(["a", "a", "b", "b"] * 10)
    certain = np.where(tasks == "a", 0.0, 50.0)  # confidence 1, and next to none
    given = {"groups": tasks, "scores": {"nll_mean": certain}, "budget": 20}
    picks = labeltrain.select("task-diversity", **given)
    assert Counter(tasks[picks.positions].tolist()) == {"b": 20}
    mixed = np.tile([0.0, 50.0, 50.0, 50.0], 10)  # confidence 1/2, and the floor, 0.001
    found = labeltrain.select("task-diversity", **given | {"scores": {"nll_mean": mixed}})
    assert {why.split("confidence ")[1] for why in found.why} == {"0.001)"}


def test_the_most_uncertain_of_each_task() -> None:
    tasks = np.array(["a", "b"] * 4)
    scores = {"mean_entropy": np.array([1.0, 9, 3, 7, 2, 8, 4, 6]), "nll_mean": np.full(8, 0.5)}
    picks = labeltrain.select(
        "task-diversity", groups=tasks, scores=scores, within="uncertainty", budget=4
    )
    assert picks.positions.tolist() == [6, 1, 2, 5]
    assert picks.scores.tolist() == [4.0, 9.0, 3.0, 8.0]


# -- filter, then cover --------------------------------------------------------------------------


def unit(points: np.ndarray) -> np.ndarray:
    rows = np.asarray(points, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("covered", ["kept", "pool"])
def test_it_is_facility_location_among_the_most_uncertain(covered: str) -> None:
    view = pool_view(n=90)
    given = [*view.labelled, *view.pending]
    uncertain = view.scores["min_margin"]
    kept = sorted(view.candidates.tolist(), key=lambda i: (uncertain[i], i))[:24]
    points = unit(view.embeddings)
    gaps = ((points[:, None] - points) ** 2).sum(axis=2)
    similar = np.exp(-gaps / (0.5 * gaps.mean()))
    rows = kept if covered == "kept" else range(90)
    best = similar[np.ix_(rows, given)].max(axis=1)
    expected, gains = [], []
    for _ in range(12):
        left = [j for j in kept if j not in expected]
        found = [np.maximum(similar[rows, j] - best, 0).mean() for j in left]
        expected.append(left[int(np.argmax(found))])
        gains.append(max(found))
        best = np.maximum(best, similar[rows, expected[-1]])
    parameters = {"score": "min-margin", "factor": 2.0, "gamma": 0.5, "covered": covered}
    picks = registry.make("filter-then-cover", parameters).select(view, 12, None)
    assert picks.positions.tolist() == expected
    assert picks.scores == pytest.approx(gains)


def test_it_is_k_center_among_the_most_uncertain() -> None:
    view = pool_view(n=60)
    kept = sorted(view.candidates.tolist(), key=lambda i: (-view.scores["nll"][i], i))[:15]
    points = unit(view.embeddings)
    centres, expected = [*view.labelled, *view.pending], []
    for _ in range(5):
        gaps = [np.linalg.norm(points[i] - points[centres], axis=1).min() for i in kept]
        expected.append(kept[int(np.argmax(gaps))])
        centres.append(expected[-1])
    parameters = {"score": "least-confidence", "cover": "k-center"}
    picks = registry.make("filter-then-cover", parameters).select(view, 5, None)
    assert picks.positions.tolist() == expected


def test_when_everything_is_kept_it_is_facility_location() -> None:
    view = pool_view(n=80)
    plain = registry.make("facility-location", {"gamma": 0.3}).select(view, 10, None)
    for covered in ("kept", "pool"):
        parameters = {"factor": 1e6, "gamma": 0.3, "covered": covered}
        picks = registry.make("filter-then-cover", parameters).select(view, 10, None)
        assert picks.positions.tolist() == plain.positions.tolist()


# -- gist ----------------------------------------------------------------------------------------


def test_gist_keeps_away_from_what_is_labelled() -> None:
    points = np.array([[0.0], [0.1], [1.0], [5.0], [5.1]])
    given = {"embeddings": points, "normalise": False, "budget": 1}
    scores = {"mean_entropy": np.array([0.0, 0.9, 0.8, 0.7, 1.0])}
    assert labeltrain.select("gist", **given, scores=scores, diversity=0.0)[0] == 4
    picks = labeltrain.select("gist", **given, scores=scores, labelled=[3], diversity=1.0)
    # Ranks of 0, 1, 2, 4: 0, 3/4, 2/4, 1; distances to 3: 5, 4.9, 4, 0.1 of the unit 3.3.
    assert picks.positions.tolist() == [1]
    assert picks.scores.tolist() == [0.75]
    assert "1.5 times the usual distance" in picks.why[0]


def test_gist_without_diversity_is_uncertainty() -> None:
    arrays = prompts(40)
    plain = chosen("token-uncertainty", arrays, budget=9)
    found = labeltrain.select(
        "gist", embeddings=arrays["embeddings"], scores=arrays["scores"], diversity=0.0, budget=9
    )
    assert found.positions.tolist() == plain


def test_gist_trades_uncertainty_for_distance() -> None:
    arrays = prompts(200)
    given = {"embeddings": arrays["embeddings"], "scores": arrays["scores"], "budget": 20}
    points, means, gaps = unit(arrays["embeddings"]), [], []
    for diversity in (0.0, 0.5, 2.0, 50.0):
        picks = labeltrain.select("gist", **given, diversity=diversity)
        squares = ((points[picks.positions][:, None] - points[picks.positions]) ** 2).sum(axis=2)
        gaps.append(float(squares[np.triu_indices(20, 1)].min()))
        means.append(float(picks.scores.mean()))
    assert gaps == sorted(gaps)
    assert means == sorted(means, reverse=True)


# -- fisher-sft and rds --------------------------------------------------------------------------


def test_fisher_sft_looks_for_directions_that_nothing_labelled_has() -> None:
    points = np.eye(4)[[0, 1, 1, 2, 0, 3]]
    picks = labeltrain.select("fisher-sft", embeddings=points, labelled=[0], pending=[3], budget=3)
    assert picks.positions.tolist() == [1, 5, 2]
    # s = 0.01: ln(1 + 100) for a new direction, ln(1 + 1 / 1.01) for a second item of one.
    assert picks.scores == pytest.approx(np.log([101.0, 101.0, 1.0 + 1.0 / 1.01]))


def test_fisher_sft_refuses_what_does_not_fit_into_memory() -> None:
    with pytest.raises(BadInput, match="40 numbers"):
        labeltrain.select("fisher-sft", embeddings=np.ones((5, 40)), budget=1, memory=1000)


def test_rds_lets_targets_pick_in_turn() -> None:
    # Cosines to the targets: item 0 is the best for both, then 1 and 2.
    points = np.array([[1.0, 1.0], [1.0, 0.4], [0.4, 1.0], [1.0, -1.0]])
    targets = np.array([[1.0, 0.9], [0.9, 1.0]])
    picks = labeltrain.select("rds", embeddings=points, targets=targets, budget=4)
    assert picks.positions.tolist() == [0, 2, 1, 3]
    assert [note["target"] for note in picks.notes] == [0, 1, 0, 1]
    expected = (unit(points) @ unit(targets).T)[[0, 2, 1, 3], [0, 1, 0, 1]]
    assert picks.scores == pytest.approx(expected)
    picks = labeltrain.select("rds", embeddings=points, targets=targets, labelled=[0], budget=2)
    assert picks.positions.tolist() == [1, 2]


def test_rds_by_the_mean_or_the_maximum() -> None:
    points = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [-1.0, 0.2]])
    targets = np.array([[2.0, 0.0], [0.0, 0.5]])
    for aggregation, order, cosines in (
        ("mean", [1, 0], [np.sqrt(0.5), 0.5]),
        ("max", [0, 2], [1.0, 1.0]),
    ):
        picks = labeltrain.select(
            "rds", embeddings=points, targets=targets, aggregation=aggregation, budget=2
        )
        assert picks.positions.tolist() == order
        assert picks.scores == pytest.approx(cosines)


def test_rds_needs_a_target() -> None:
    with pytest.raises(BadInput, match="targets has no rows"):
        labeltrain.select("rds", embeddings=np.eye(3), targets=np.empty((0, 3)), budget=1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("task-diversity", {"within": "best"}, "'random' or 'uncertainty'"),
        ("task-diversity", {"confidence": "high"}, "'likelihood' or 'margin'"),
        ("filter-then-cover", {"factor": 0.5}, "from 1"),
        ("filter-then-cover", {"cover": "herding"}, "'facility-location' or 'k-center'"),
        ("filter-then-cover", {"covered": "all"}, "'kept' or 'pool'"),
        ("filter-then-cover", {"cover": "k-center", "covered": "pool"}, "leave covered out"),
        ("filter-then-cover", {"kernel": "linear"}, "'gaussian' or 'cosine'"),
        ("filter-then-cover", {"gamma": 0.0}, "gamma"),
        ("gist", {"score": "margin"}, "uniform, mean-entropy"),
        ("gist", {"diversity": -1.0}, "diversity"),
        ("gist", {"tolerance": 0.0}, "tolerance"),
        ("fisher-sft", {"regularisation": 0.0}, "regularisation"),
        ("rds", {"aggregation": "sum"}, "'round-robin', 'mean' or 'max'"),
    ],
)
def test_values_out_of_range_are_named(name: str, change: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        registry.make(name, change)


def test_what_others_call_them() -> None:
    for other, name in (("min-margin", "token-uncertainty"), ("RDS+", "rds")):
        with pytest.raises(BadInput, match=f"called '{name}'"):
            registry.get(other)
