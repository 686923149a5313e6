"""Labels for the tasks that a target is made up of: shares, floors, what no task explains."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.multitask.non_negative import non_negative, sparse_non_negative
from labeltrain.strategies import PoolView, registry
from labeltrain.strategies.task_relevance import TaskRelevance
from labeltrain.strategies.task_vectors import Relevance

NAMES = np.array(["code", "prose", "sum", "tables"])


def pool(n: int = 200, seed: int = 0, d: int = 12, spread: float = 0.1) -> dict[str, Any]:
    """Return four tasks, each around a direction of its own, and a target of two of them."""
    rng = np.random.default_rng(seed)
    centres = np.eye(4, d) + 1.0  # a direction that all share
    codes = rng.integers(0, 4, n)
    mixed = 0.7 * centres[1] + 0.3 * centres[2]
    return {
        "embeddings": centres[codes] + spread * rng.normal(size=(n, d)),
        "groups": NAMES[codes],
        "targets": mixed + spread * rng.normal(size=(16, d)),
    }


def explained(arrays: dict[str, Any], labelled: Any = (), **parameters: Any) -> Relevance:
    view = PoolView(
        len(arrays["groups"]), 0, kind="none", labelled=labelled,
        sources={k: np.asarray(v) for k, v in arrays.items()},
    )  # fmt: skip
    return TaskRelevance(**parameters).explained(view)


def slow_relevance(arrays: dict[str, Any], unexplained: float = 0.15) -> np.ndarray:
    """Means one by one, then the public solver."""

    def unit(rows: Any) -> np.ndarray:
        return np.array([row / np.linalg.norm(row) for row in np.asarray(rows, dtype=float)])

    points = unit(arrays["embeddings"])
    means = [points[arrays["groups"] == name].mean(axis=0) for name in NAMES]
    middle = np.mean(means, axis=0)
    wanted = unit(arrays["targets"]).mean(axis=0) - middle
    return sparse_non_negative(np.stack(means, axis=1) - middle[:, None], wanted, unexplained)


def test_a_target_of_two_tasks_gets_them_in_their_shares() -> None:
    found = explained(pool())
    assert found.tasks == tuple(NAMES)
    assert found.known.all()
    assert found.relevance[1] > found.relevance[2] > 0
    assert found.relevance[0] == found.relevance[3] == 0
    assert found.residual < 0.4
    assert found.uniform == 1.0
    assert found.helps
    picks = labeltrain.select("task-relevance", **pool(), budget=30)
    counts = Counter(pool()["groups"][picks.positions].tolist())
    shares = found.shares()
    assert counts == {
        name: pytest.approx(30 * shares[list(NAMES).index(name)], abs=1) for name in counts
    }
    assert picks.why[0].startswith("random draw from task prose (share ")
    np.testing.assert_allclose(picks.scores, [shares[list(NAMES).index(g)] for g in
                                              pool()["groups"][picks.positions]])  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.15, 0.5]))
def test_relevance_is_that_of_the_slow_twin(seed: int, unexplained: float) -> None:
    arrays = pool(60, seed, spread=1.0)
    found = explained(arrays, unexplained=unexplained)
    np.testing.assert_allclose(found.relevance, slow_relevance(arrays, unexplained), atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_units_a_turn_and_the_order_of_items_do_not_matter(seed: int, scale: int) -> None:
    arrays = pool(80, seed, spread=0.5)
    rng = np.random.default_rng(seed)
    found = explained(arrays)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    rows = rng.uniform(1, scale + 1, size=(80, 1))  # of each item its own
    turned = {
        **arrays,
        "embeddings": rows * arrays["embeddings"] @ turn,
        "targets": arrays["targets"] @ turn,
    }
    order = rng.permutation(80)
    moved = {
        **arrays,
        "embeddings": arrays["embeddings"][order],
        "groups": arrays["groups"][order],
        "targets": arrays["targets"][::-1],
    }
    for other in (turned, moved):
        again = explained(other)
        np.testing.assert_allclose(again.relevance, found.relevance, atol=2e-3)
        assert again.residual == pytest.approx(found.residual, abs=1e-5)


def test_how_large_a_task_is_does_not_matter() -> None:
    arrays = pool(400, spread=0.0)
    few = np.flatnonzero((arrays["groups"] != "code") | (np.arange(400) % 10 == 0))
    small = {**arrays, "embeddings": arrays["embeddings"][few], "groups": arrays["groups"][few]}
    np.testing.assert_allclose(explained(small).relevance, explained(arrays).relevance, atol=2e-3)


def test_floor_mixing_and_what_is_there_already() -> None:
    arrays = pool(400)
    groups = arrays["groups"]

    def counts(budget: int, **more: Any) -> dict[str, int]:
        picks = labeltrain.select("task-relevance", **arrays, budget=budget, **more)
        return dict(Counter(groups[picks.positions].tolist()))

    plain = counts(40)
    assert set(plain) == {"prose", "sum"}
    floored = counts(40, floor=3)
    assert floored["code"] == floored["tables"] == 3
    shares = explained(arrays).shares()
    assert floored["prose"] == pytest.approx(3 + 28 * shares[1], abs=1)
    assert counts(4, floor=3) == dict.fromkeys(NAMES.tolist(), 1)  # floors in turn
    mixed = counts(40, mixing=0.4)
    assert mixed["code"] == mixed["tables"] == 4
    assert counts(40, mixing=1.0) == dict.fromkeys(NAMES.tolist(), 10)
    known = np.flatnonzero(groups == "prose")[: plain["prose"] - 2]
    there = counts(40 - len(known), labelled=known[2:], pending=known[:2])
    assert there == {"prose": 2, "sum": plain["sum"]}
    assert counts(40, labelled=known, counting=False) == plain


def test_tasks_that_are_empty_leave_their_share_to_others() -> None:
    arrays = pool(400)
    groups = arrays["groups"]
    prose = np.flatnonzero(groups == "prose")
    free = np.setdiff1d(np.arange(400), prose[3:])
    picks = labeltrain.select("task-relevance", **arrays, candidates=free, budget=50)
    found = Counter(groups[picks.positions].tolist())
    assert found == {"prose": 3, "sum": 47}
    picks = labeltrain.select("task-relevance", **arrays, candidates=free, budget=400)
    assert len(picks) == len(free)
    assert picks.exhausted
    assert [groups[p] for p in picks[: 3 + (groups == "sum").sum()]].count("code") == 0


def test_the_most_similar_of_each_task() -> None:
    arrays = pool(80, spread=0.4)
    picks = labeltrain.select("task-relevance", **arrays, within="similar", budget=20)
    points = arrays["embeddings"] / np.linalg.norm(arrays["embeddings"], axis=1, keepdims=True)
    means = [points[arrays["groups"] == name].mean(axis=0) for name in NAMES]
    wanted = arrays["targets"] / np.linalg.norm(arrays["targets"], axis=1, keepdims=True)
    towards = wanted.mean(axis=0) - np.mean(means, axis=0)
    products = points @ towards / np.linalg.norm(towards)
    np.testing.assert_allclose(picks.scores, products[picks.positions], atol=1e-6)
    for name in ("prose", "sum"):
        mine = np.flatnonzero(arrays["groups"] == name)
        chosen = [p for p in picks if arrays["groups"][p] == name]
        assert chosen == mine[np.argsort(-products[mine])][: len(chosen)].tolist()


# -- what tasks do not tell ------------------------------------------------------------------------


def test_a_target_that_no_task_explains_is_told() -> None:
    arrays = pool(400)
    arrays["targets"] = np.eye(12)[[11, 11]] * 30.0
    found = explained(arrays)
    assert found.residual > 0.9
    assert not found.helps


def test_what_few_examples_leave_to_chance_is_not_held_against_tasks() -> None:
    """The residual shrinks with examples, chance says by how much, and tasks help all along."""
    arrays = pool(6000, d=200, spread=0.3)
    rng = np.random.default_rng(1)
    mixed = 0.7 * (np.eye(200)[1] + 1.0) + 0.3 * (np.eye(200)[2] + 1.0)
    left, chances = [], []
    for t in (4, 16, 256):
        found = explained({**arrays, "targets": mixed + 0.3 * rng.normal(size=(t, 200))})
        assert found.helps
        left.append(found.residual)
        chances.append(found.chance)
    assert left == sorted(left, reverse=True)
    assert chances == sorted(chances, reverse=True)
    np.testing.assert_allclose(left, chances, atol=0.15)
    assert explained({**arrays, "targets": mixed[None]}).chance == 0.0


def test_a_target_that_is_like_the_average_of_tasks_gives_all_alike() -> None:
    arrays = pool(400, spread=0.0)
    arrays["targets"] = np.stack([arrays["embeddings"][arrays["groups"] == n][0] for n in NAMES])
    found = explained(arrays)
    assert not found.relevance.any()
    assert not found.helps
    assert found.residual == found.uniform == 1.0
    assert found.shares().tolist() == [0.25] * 4


def test_a_target_opposite_to_all_tasks_gives_all_alike() -> None:
    arrays = {
        "embeddings": np.array([[1.0, 0.2], [1.0, -0.2]]), "groups": ["a", "b"],
        "targets": np.array([[-1.0, 0.0]]),
    }  # fmt: skip
    found = explained(arrays, labelled=[0, 1], by="gradients")
    assert not found.relevance.any()
    assert found.residual == 1.0
    assert found.shares().tolist() == [0.5, 0.5]


def test_one_task_is_all_there_is() -> None:
    arrays = {"embeddings": np.eye(3), "groups": ["a"] * 3, "targets": np.eye(3)[:1]}
    assert explained(arrays).shares().tolist() == [1.0]
    assert len(labeltrain.select("task-relevance", **arrays, budget=2)) == 2


# -- gradients -------------------------------------------------------------------------------------


def test_gradients_are_of_labelled_items_and_keep_what_all_share() -> None:
    arrays = pool(400)
    labelled = np.flatnonzero(arrays["groups"] != "tables")[:60]
    found = explained(arrays, labelled, by="gradients", unexplained=0.02)
    assert found.known.tolist() == [True, True, True, False]
    rows = arrays["embeddings"] / np.linalg.norm(arrays["embeddings"], axis=1, keepdims=True)
    heads = [
        rows[[p for p in labelled if arrays["groups"][p] == name]].mean(axis=0)
        for name in NAMES[:3]
    ]
    wanted = arrays["targets"] / np.linalg.norm(arrays["targets"], axis=1, keepdims=True)
    whole = non_negative(np.stack(heads, axis=1), wanted.mean(axis=0))
    assert found.relevance[:3] @ np.ones(3) == pytest.approx(whole.sum(), abs=0.05)
    assert found.relevance[3] == 0
    assert found.uniform < 0.5  # most of the target is what all tasks share
    blank = {**arrays, "embeddings": arrays["embeddings"].copy()}
    blank["embeddings"][np.setdiff1d(np.arange(400), labelled)] = 7.0  # not read
    again = explained(blank, labelled, by="gradients", unexplained=0.02)
    np.testing.assert_array_equal(again.relevance, found.relevance)


def test_a_task_that_is_not_answered_yet_has_the_floor() -> None:
    arrays = pool(400)
    labelled = np.flatnonzero(arrays["groups"] != "tables")[:60]
    given_ = {**arrays, "labelled": labelled, "by": "gradients", "budget": 30}
    picks = labeltrain.select("task-relevance", **given_)
    assert "tables" not in arrays["groups"][picks.positions]
    picks = labeltrain.select("task-relevance", **given_, floor=2)
    assert (arrays["groups"][picks.positions] == "tables").sum() == 2
    assert any(why == "random draw from task tables (nothing known of it)" for why in picks.why)


def test_rows_of_zeros_are_no_gradients() -> None:
    arrays = {
        "embeddings": np.array([[1.0, 0], [0, 0], [0, 1], [0, 0]]), "groups": ["a", "a", "b", "c"],
        "targets": np.array([[1.0, 0], [0, 0]]),
    }  # fmt: skip
    found = explained(arrays, labelled=[0, 1, 2, 3], by="gradients")
    assert found.known.tolist() == [True, True, False]
    with pytest.raises(BadInput, match=r"(?s)no item is labelled.*random-balanced"):
        labeltrain.select("task-relevance", **arrays, by="gradients", budget=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "answers"}, "'prompts' or 'gradients'"),
        ({"within": "best"}, "'random' or 'similar'"),
        ({"by": "gradients", "within": "similar"}, "no gradient"),
        ({"floor": -1}, "floor is -1"),
        ({"floor": 1.5}, "a whole number"),
        ({"mixing": 1.5}, "from 0 to 1"),
        ({"unexplained": 0.0}, "between 0 and 1"),
    ],
)
def test_values_out_of_range_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        registry.make("task-relevance", change)


def test_it_needs_a_target() -> None:
    arrays = {"embeddings": np.eye(3), "groups": ["a", "b", "c"], "targets": np.empty((0, 3))}
    with pytest.raises(BadInput, match="targets has no rows"):
        labeltrain.select("task-relevance", **arrays, budget=1)
