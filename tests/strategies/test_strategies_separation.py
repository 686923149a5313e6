"""GALAXY, DIRECT and TAILOR: worked examples, slow twins, resuming, skipped and pending items."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.kernels.separation import class_order
from labeltrain.learners import make as make_learner
from labeltrain.loop import Plan, Pool, Trajectory
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.journal import MemoryJournal
from labeltrain.loop.oracle import Oracle
from labeltrain.strategies import Past, PoolView, Strategy
from labeltrain.strategies.base import Round
from labeltrain.strategies.direct import Direct, Schedule, split
from labeltrain.strategies.galaxy import Galaxy
from labeltrain.strategies.tailor import Tailor, drawn, posterior, rewards
from labeltrain.testing import blobs, pool_view

RNG = np.random.default_rng(0)
G6 = [1, 1, 1, 1, -1, 0, 0, 0, 0, 0, -1, 1, -1, 0, 0, 0]


def ranked(n: int) -> np.ndarray:
    """Probabilities of two classes by which item i has rank i for class 0."""
    p = np.linspace(0.95, 0.05, n)
    return np.column_stack([p, 1 - p])


def select(name: str, w: list[int], truth: list[int], budget: int, **options: Any) -> list[int]:
    """Let a strategy ask on a line: +1 is class 0, -1 class 1."""
    known = [i for i, sign in enumerate(w) if sign]
    found = labeltrain.select(
        name,
        probabilities=ranked(len(w)),
        labelled=known,
        labels=[int(w[i] < 0) for i in known],
        budget=budget,
        ask=lambda positions: [int(truth[p] < 0) for p in positions],
        **options,
    )
    return found.positions.tolist()


# -- GALAXY --------------------------------------------------------------------------------------


def test_g1_and_g2_through_select() -> None:
    truth = [1] * 3 + [-1] * 7
    w = [1, *[0] * 8, -1]
    assert select("galaxy", w, truth, 8) == [4, 2, 3, 1, 5, 6, 7, 8]
    truth = [1] * 13 + [-1] * 28
    picks = [20, 10, 15, 12, 13, 11, 14, 9, 16, 8, 17, 7, 18, 6, 19, 5]
    assert select("galaxy", [1, *[0] * 39, -1], truth, 16) == picks


def test_galaxy_asks_the_most_like_a_class_that_nobody_has_seen() -> None:
    p = np.full((6, 3), 0.1)
    p[:, 0] = [0.8, 0.7, 0.3, 0.6, 0.5, 0.55]
    p[:, 2] = [0.1, 0.2, 0.5, 0.1, 0.2, 0.1]
    p[:, 1] = 1 - p[:, 0] - p[:, 2]
    found = labeltrain.select(
        "galaxy", probabilities=p, labelled=[0, 5], labels=[0, 1], budget=3, classes=3,
        ask=lambda positions: [0] * len(positions), parallel=3,
    )  # fmt: skip
    assert [note["galaxy"] for note in found.notes] == ["0", "1", "2"]
    assert found.positions[2] == 2


def slow_next(w: list[int]) -> int | None:
    """The middle of the shortest gap, else what is nearest to a located cut, by scanning."""
    labelled = [i for i, sign in enumerate(w) if sign]
    pairs = [(a, b) for a, b in pairwise(labelled) if w[a] != w[b]]
    gaps = [(b - a, a, b) for a, b in pairs if b - a > 1]
    if gaps:
        return (min(gaps)[1] + min(gaps)[2]) // 2
    beside = []
    for a, b in pairs:
        up = [i for i in range(a) if w[i] == 0]
        down = [i for i in range(b, len(w)) if w[i] == 0]
        beside += [(b - up[-1], 0, up[-1])] if up else []
        beside += [(down[0] - a, 1, down[0])] if down else []
    return min(beside)[2] if beside else None


def slow_galaxy(
    p: np.ndarray, labels: dict[int, int], truth: np.ndarray, count: int
) -> list[tuple[int, int]]:
    """Round-robin over the classes, each by scanning its ranking: (position, class)."""
    classes = p.shape[1]
    order = {k: class_order(p, k).tolist() for k in range(classes)}
    every = list(range(classes))
    if classes == 2:
        counts = np.bincount(list(labels.values()), minlength=2)
        every = [int(np.argmin(counts if counts[0] != counts[1] else p.sum(axis=0)))]
    picks: list[tuple[int, int]] = []
    for turn in range(count):
        start = turn % len(every)
        for k in every[start:] + every[:start]:
            w = [0 if i not in labels else (1 if labels[i] == k else -1) for i in order[k]]
            if 1 in w:
                rank = slow_next(w)
            else:
                rank = next((r for r, sign in enumerate(w) if sign == 0), None)
            if rank is not None:
                item = order[k][rank]
                labels[item] = int(truth[item])
                picks.append((item, k))
                break
        else:
            return picks
    return picks


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(8, 30))
def test_galaxy_against_its_slow_twin(seed: int, classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), n)
    truth = np.array([rng.choice(classes, p=row) for row in p])
    known = rng.choice(n, min(4, n), replace=False).tolist()
    count = n - len(known)
    slow = slow_galaxy(p, {i: int(truth[i]) for i in known}, truth, count)
    if len(set(truth[known])) < 2 and classes == 2:
        return  # one class only: both draw at random
    found = labeltrain.select(
        "galaxy", probabilities=p, labelled=known, labels=truth[known], budget=count,
        classes=classes, ask=lambda positions: truth[positions],
    )  # fmt: skip
    fast = [(p, int(note["galaxy"])) for p, note in zip(found.positions, found.notes, strict=True)]
    assert fast[: len(slow)] == slow


@pytest.mark.parametrize("choice", ["round-robin", "random", "shortest"])
def test_galaxy_finds_the_end_of_a_class_whichever_way_classes_are_chosen(choice: str) -> None:
    n = 300
    truth = np.repeat([0, 1, 2], [20, 100, 180])
    centres = np.array([[0, 0], [4, 0], [0, 4]])
    logits = -((np.random.default_rng(0).normal(size=(n, 2)) + centres[truth])[:, None] - centres)
    logits = -(logits**2).sum(axis=2)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = labeltrain.select(
        "galaxy", probabilities=p, labelled=[0, 25, 150, 290], labels=[0, 1, 2, 2], budget=45,
        ask=lambda positions: truth[positions], choice=choice,
    )  # fmt: skip
    assert len(set(found.positions.tolist())) == 45
    rare = (truth[found.positions] == 0).sum()
    assert rare >= 8  # 3 at random


def test_the_class_with_the_shortest_gap_is_asked_first() -> None:
    p = np.array([[0.9, 0.05, 0.05], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1]] + [
        [0.1, 0.2, 0.7]
    ] * 3)  # fmt: skip
    found = labeltrain.select(
        "galaxy", probabilities=p, labelled=[0, 2, 3, 6], labels=[0, 1, 1, 2], budget=1,
        ask=lambda positions: [0], choice="shortest",
    )  # fmt: skip
    assert found.positions.tolist() == [1]
    assert found.scores.tolist() == [1.0]


# -- DIRECT --------------------------------------------------------------------------------------


def test_d6_direct_walks_where_galaxy_runs_after_noise() -> None:
    truth = [1] * 4 + [-1] * 12
    w = list(G6)
    for pick in (5, 6, 7):  # a budget of one is all walk
        assert select("direct", w, truth, 1) == [pick]
        w[pick] = -1
    assert select("galaxy", G6, truth, 1, rare=0) == [9]


def test_g1_in_the_way_of_labelbench_ends_at_random() -> None:
    truth = [1] * 3 + [-1] * 7
    ends = {
        tuple(select("galaxy", [1, *[0] * 8, -1], truth, 8, compat="labelbench", seed=seed))
        for seed in range(6)
    }
    assert {picks[:3] for picks in ends} == {(4, 2, 3)}
    assert len(ends) == 6


def test_labelbench_walks_only_around_inverted_cuts() -> None:
    w = [1, -1, 0, 0, 0, -1, 1, 0, 0, -1]
    truth = [1, -1, -1, -1, -1, -1, 1, 1, -1, -1]
    assert select("galaxy", w, truth, 4, compat="labelbench")[:4] == [7, 8, 4, 3]


def test_direct_in_the_way_of_labelbench() -> None:
    def searched(budget: int, classes: int) -> int:
        n = 6000
        p = np.random.default_rng(0).dirichlet(np.ones(classes) * 0.3, n)
        truth = np.random.default_rng(1).integers(0, classes, n)  # an interval of nearly everything
        found = labeltrain.select(
            "direct", probabilities=p, labelled=np.arange(200), labels=truth[:200], budget=budget,
            ask=lambda positions: truth[positions], parallel=20, compat="labelbench",
        )  # fmt: skip
        first = [int(note["class"]) for note in found.notes if note["phase"] == 1]
        assert len(found.positions) == budget
        frequent = np.argsort(-np.bincount(truth[:200], minlength=classes), kind="stable")
        assert list(dict.fromkeys(first)) == frequent.tolist()
        return len(first) // classes

    assert [searched(100, 2), searched(100, 3), searched(1000, 10)] == [25, 16, 50]


def test_labelbench_scrambles_the_head_of_the_second_of_two_classes() -> None:
    from labeltrain.strategies.class_rankings import ClassRankings

    own = np.array([0.9, 0.6, 0.45, 0.3, 0.05])
    view = PoolView(5, 2, sources={"probabilities": np.column_stack([own, 1 - own])})
    ranked = ClassRankings(view, compat="labelbench direct")
    assert ranked.order(1).tolist() == [2, 3, 4, 1, 0]  # .55, .7, .95, .4, .1
    assert ClassRankings(view).order(1).tolist() == [4, 3, 2, 1, 0]


def test_d9_shares() -> None:
    assert split(11, 4) == [2, 3, 3, 3]
    assert split(3, 7) == [0, 0, 1, 0, 1, 0, 1]
    assert sum(split(100, 7)) == 100


def test_half_of_the_budget_finds_the_threshold_and_half_walks_around_it() -> None:
    n, cut = 2000, 60
    truth = [1] * cut + [-1] * (n - cut)
    found = labeltrain.select(
        "direct", probabilities=ranked(n), labelled=[0, n - 1], labels=[0, 1], budget=60,
        ask=lambda positions: [int(truth[p] < 0) for p in positions], parallel=5,
    )  # fmt: skip
    first = [i for i, note in enumerate(found.notes) if note["phase"] == 1]
    assert first == list(range(len(first)))
    assert 25 <= len(first) <= 30  # the last interval may hold less than a group
    widths = []
    for i in first:
        low, high = found.notes[i]["interval"]
        assert 0 <= low <= found.positions[i] <= high < n
        if i % 5 == 0:
            widths.append(high - low)  # the item of rank r is r
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 200
    walked = found.positions[len(first) :]
    assert abs(int(np.median(walked)) - cut) <= 20
    assert 10 <= sum(truth[p] > 0 for p in walked) <= 20  # balanced: 3 % of the pool are positive


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000), st.integers(2, 6), st.integers(12, 60), st.integers(1, 25),
    st.integers(1, 9), st.sampled_from(["min-max", "greedy"]),
)  # fmt: skip
def test_d10_budget_uniqueness_and_intervals(
    seed: int, classes: int, n: int, budget: int, parallel: int, shrinking: str
) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), n)
    truth = np.array([rng.choice(classes, p=row) for row in p])
    known = rng.choice(n, 5, replace=False)
    order = {k: class_order(p, k) for k in range(classes)}
    found = labeltrain.select(
        "direct", probabilities=p, labelled=known, labels=truth[known], budget=budget, seed=seed,
        ask=lambda positions: truth[positions], parallel=parallel, classes=classes,
        shrinking=shrinking,
    )  # fmt: skip
    assert len(set(found.positions.tolist())) == len(found.positions) == min(budget, n - 5)
    assert not set(found.positions.tolist()) & set(known.tolist())
    searched = 0
    for position, note in zip(found.positions, found.notes, strict=True):
        if note["phase"] == 1:
            rank = {item: r for r, item in enumerate(order[int(note["class"])].tolist())}
            low, high = note["interval"]
            assert rank[low] <= rank[position] <= rank[high]
            searched += 1
    assert searched <= budget // 2


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(["direct", "galaxy"]))
def test_a_monotone_change_of_a_binary_score_changes_nothing(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    p = rng.permutation(np.linspace(0.01, 0.99, 40))
    truth = (p < 0.3).astype(int)

    def picks(scores: np.ndarray) -> list[int]:
        return labeltrain.select(
            name, probabilities=np.column_stack([scores, 1 - scores]), labelled=[0, 1, 2],
            labels=[0, 1, 1], budget=12, ask=lambda positions: truth[positions], seed=seed,
        ).positions.tolist()  # fmt: skip

    assert picks(p) == picks(p**3)


def schedule(
    counts: list[int], budget: int, *, searchable: list[int] | None = None,
    history: list[Past] | None = None, number: int = 1, parallel: int = 1,
) -> Schedule:  # fmt: skip
    every = list(range(len(counts)))
    return Schedule(
        every, [f"c{k}" for k in every], np.array(counts),
        every if searchable is None else searchable, history or [], Round(number, budget), parallel,
        RNG,
    )  # fmt: skip


def searched(k: int, number: int, size: int = 1) -> Past:
    note = {"phase": 1, "class": f"c{k}", "interval": [0, 1], "size": size}
    return Past(0, number, 0, note, "direct")


def test_many_classes_and_a_small_batch_are_served_in_turns() -> None:
    served: list[int] = []
    history: list[Past] = []
    for number in range(1, 16):
        made = schedule(list(range(1, 31)), 20, history=history, number=number)  # 0 is the rarest
        assert [made.owed(k) for k in made.served] == [5, 5]
        history += [searched(k, number) for k in made.served]
        served += made.served
    assert served[:4] == [0, 1, 2, 3]
    assert sorted(served) == list(range(30))  # all of them, once


def test_half_of_the_budget_is_shared_among_the_classes_that_can_be_searched() -> None:
    made = schedule([0, 5, 9, 3], 27, searchable=[1, 2, 3])
    assert made.served == [3, 1]
    assert made.left == 13
    assert made.shares(5, {3: 99, 1: 99}) == {3: 3, 1: 2}
    assert made.shares(5, {3: 1, 1: 99}) == {3: 1, 1: 4}  # what one cannot use, the other does
    assert made.shares(5, {3: 1, 1: 0}) == {3: 1, 1: 0}
    past = [*(searched(3, 1) for _ in range(3)), *(searched(1, 1) for _ in range(8))]
    made = schedule([0, 5, 9, 3], 27, searchable=[1, 2, 3], history=past)
    assert made.left == 2
    assert made.shares(2, {3: 99, 1: 99}) == {3: 2, 1: 0}
    assert schedule([0, 0, 9], 27, searchable=[]).served == []


@pytest.mark.parametrize(("budget", "parallel"), [(10, 5), (10, 10), (20, 5), (50, 20), (30, 7)])
def test_all_parallel_answers_search_until_half_of_the_budget_is_spent(
    budget: int, parallel: int
) -> None:
    n, cut = 1001, 137
    truth = [1] * cut + [-1] * (n - cut)
    found = labeltrain.select(
        "direct", probabilities=ranked(n), labelled=[0, n - 1], labels=[0, 1], budget=budget,
        ask=lambda positions: [int(truth[p] < 0) for p in positions], parallel=parallel,
    )  # fmt: skip
    phases = [note["phase"] for note in found.notes]
    assert phases == [1] * (budget // 2) + [2] * (budget - budget // 2)


def test_a_class_without_a_label_does_not_keep_others_from_being_searched() -> None:
    """Class 9 exists in name only; others have no label at first."""
    rng = np.random.default_rng(0)
    n, classes = 600, 10
    truth = rng.integers(0, classes - 1, n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), truth] += 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    known = list(range(5))
    history: tuple[Past, ...] = ()
    served: list[str] = []
    for _ in range(10):
        found = labeltrain.select(
            "direct", probabilities=p, labelled=known, labels=truth[known], budget=20, parallel=5,
            ask=lambda positions: truth[positions], history=history, classes=classes,
        )  # fmt: skip
        history, known = found.history, known + found.positions.tolist()
        assert sum(note["phase"] == 1 for note in found.notes) == 10
        served += {note["class"] for note in found.notes if note["phase"] == 1}
    assert {int(name) for name in served} == set(range(classes - 1))
    times = [served.count(str(k)) for k in range(classes - 1)]
    assert max(times) - min(times) <= 1
    walked = [note["class"] for note in history_notes(history) if note["phase"] == 2]
    assert walked.count("9") >= 10  # what looks most like it is still asked


def history_notes(history: tuple[Past, ...]) -> list[Any]:
    return [past.note for past in history]


def test_a_class_is_searched_once_both_of_its_signs_are_known() -> None:
    """Nothing but one class is labelled when the round is opened."""
    n, cut = 400, 40
    truth = [1] * cut + [-1] * (n - cut)
    found = labeltrain.select(
        "direct", probabilities=ranked(n), labelled=[n - 1], labels=[1], budget=40, classes=2,
        ask=lambda positions: [int(truth[p] < 0) for p in positions], parallel=2,
    )  # fmt: skip
    phases = [note["phase"] for note in found.notes]
    assert phases[:2] == [2, 2]
    assert phases[2:12] == [1] * 10


# -- TAILOR --------------------------------------------------------------------------------------


def test_t1_rewards() -> None:
    def multilabel(counts: list[int], n: int) -> list[float]:
        return rewards(np.array(counts), n, "multilabel").tolist()

    assert multilabel([90, 9, 1], 100) == [-1 / 90, 1 / 9, 1]
    assert multilabel([90, 9, 0], 99) == [-1 / 90, 1 / 9, 1]
    assert multilabel([40, 40, 20], 100) == [0.025, 0.025, 0.05]
    assert rewards(np.array([90, 9, 0]), 99, "multiclass").tolist() == [1 / 90, 1 / 9, 1]
    assert rewards(np.array([90, 9, 0]), 99, "multilabel", "search").tolist() == [1, 1, 1]


def test_a_search_for_labels_is_of_several_at_once() -> None:
    assert Tailor(reward="search").kinds == {"multilabel"}
    with pytest.raises(BadInput, match="no kind of data"):
        Tailor(["badge", "cbal"], reward="search")


def told(arm: str, label: Any, number: int = 1) -> Past:
    return Past(0, number, label, {"arm": arm, "seed": 0}, "tailor")


def test_t2_statistics() -> None:
    history = [told("a", 0), told("a", 0), told("b", 2), told("b", 1), told("a", 1)]
    found = posterior(history, ["a", "b"], "multiclass", 3, 0.9)[..., 0]
    np.testing.assert_allclose(found, [[2.9, 1.9, 0.9], [0.9, 1.9, 1.9]])
    found = posterior(history, ["a", "b"], "multiclass", 3, 0.9, start=2.0)[..., 0]
    means = found / found.sum(axis=1, keepdims=True)  # the released code adds 1 to each draw
    np.testing.assert_allclose(
        means, [[0.4483, 0.3333, 0.2184], [0.2468, 0.3766, 0.3766]], atol=5e-5
    )
    np.testing.assert_allclose(
        means @ rewards(np.array([10, 3, 1]), 14, "multilabel"), [0.2847, 0.4775], atol=5e-5
    )


def test_statistics_of_labels_that_are_on_and_off() -> None:
    history = [told("a", (1, 0)), told("a", None), told("b", (1, 1)), told("a", (0, 0), 2)]
    found = posterior(history, ["a", "b"], "multilabel", 2, 0.5)
    np.testing.assert_allclose(found[0], [[0.25 + 0.5, 0.25 + 1], [0.25, 0.25 + 0.5 + 1]])
    np.testing.assert_allclose(found[1], [[0.75, 0.25], [0.75, 0.25]])


def test_draws_have_the_means_of_the_posterior() -> None:
    rng = np.random.default_rng(0)
    statistics = np.array([[[2.9], [1.9], [0.9]], [[1e-9], [1.9], [1.9]]])
    many = np.mean([drawn(statistics, "multiclass", rng) for _ in range(4000)], axis=0)
    kept = statistics[..., 0] / statistics[..., 0].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(many, kept, atol=0.02)
    beta = np.array([[[3.0, 1.0], [1.0, 9.0]]])
    many = np.mean([drawn(beta, "multilabel", rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(many, [[0.75, 0.1]], atol=0.02)


class OfClass(Strategy):
    """Finds nothing but one class: the features are the labels."""

    name = "of-class"
    needs = frozenset({labeltrain.strategies.Need.EMBEDDINGS})

    def __init__(self, wanted: int = 0) -> None:
        self.wanted = wanted

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Any:
        from labeltrain.strategies import Picks

        mine = view.candidates[view.embeddings[view.candidates, 0] == self.wanted]
        return Picks(mine[:count])


def test_t3_the_arm_that_finds_the_rare_class_wins() -> None:
    from labeltrain.strategies import registry

    registry.register(OfClass)
    truth = np.repeat([0, 1], [1000, 1000])
    arms = [{"name": "of-class", "label": f"of {k}", "parameters": {"wanted": k}} for k in (0, 1)]
    labelled = list(range(50))  # class 1 is rare so far
    known, history, shares = labelled, (), []
    for _ in range(5):
        found = labeltrain.select(
            "tailor", embeddings=truth[:, None].astype(float), labelled=known,
            labels=truth[known], budget=50, arms=arms, history=history, classes=2,
            ask=lambda positions: truth[positions],
        )  # fmt: skip
        history = found.history
        known = known + found.positions.tolist()
        shares.append(np.mean([note["arm"] == "of 1" for note in found.notes]))
    # As its labels come in, class 1 is no longer rare: the first rounds tell.
    assert max(shares[:2]) > 0.8


def test_t4_answers_of_a_round_count_when_it_is_over() -> None:
    view = pool_view(budget=20, number=3)
    first = Tailor(["margin", "entropy"]).select(view, 4, np.random.default_rng(5))
    note = first.notes[0] if first.notes else None
    now = tuple(
        Past(int(p), 3, label, {"arm": "margin", "seed": note["seed"]}, "tailor")
        for p, label in zip(view.candidates[:6], (0, 1, 2, 0, 1, 2), strict=True)
    )
    other = tuple(Past(p.position, 3, 0, p.note, p.strategy) for p in now)
    both = [
        Tailor(["margin", "entropy"]).select(
            view.after((*view.history, *past), view.candidates[6:]), 4, np.random.default_rng(5)
        )
        for past in (now, other)
    ]
    assert both[0].positions.tolist() == both[1].positions.tolist()


@pytest.mark.parametrize(
    ("arms", "match"),
    [
        ("margin", "give a list"),
        ([], "give a list"),
        (["nothing"], "unknown strategy"),
        ([{"parameters": {}}], "give a name"),
        (["tailor"], "arm of itself"),
        (["margin", {"name": "margin"}], "the same name"),
    ],
)
def test_bad_arms_are_refused(arms: Any, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        Tailor(arms)


# -- in the loop ---------------------------------------------------------------------------------


class Skipping(Oracle):
    """Does not know every seventh item."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__()
        self.truth = labels

    def _answer(self, positions: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return np.where(positions % 7 == 3, -1, self.truth[positions])


MADE: list[Strategy] = [
    Galaxy(),
    Galaxy(choice="shortest", out_of_fold=True),
    Direct(),
    Direct(shrinking="greedy", out_of_fold=True),
    Tailor(),
    Tailor(["galaxy", "direct", "uherding"]),
]


def loop(strategy: Strategy, journal: MemoryJournal, learner: str = "linear") -> Trajectory:
    features, truth = blobs(200, spread=2.0, seed=4)
    truth[truth == 1] = np.where(np.arange((truth == 1).sum()) % 5 == 0, 1, 2)  # a rarer class
    pool = Pool(features[:120], [f"i{k}" for k in range(120)], ("a", "b", "c"))
    return Trajectory(
        pool,
        make_learner(learner),
        strategy,
        Skipping(truth[:120]),
        Evaluator(features[120:], truth[120:], truth[:120], 3),
        Plan(batch=11, rounds=3, seed_size=9, parallel=4, seed=3),
        journal,
        "r",
    )


def groups(journal: MemoryJournal) -> list[list[int]]:
    bodies = [event.body for event in journal.events() if event.kind == "picked"]
    return [[pick["position"] for pick in body["picks"]] for body in bodies]


@pytest.mark.parametrize("strategy", MADE, ids=lambda s: f"{s.name} {s.parameters()}")
def test_resuming_after_any_group_changes_nothing(strategy: Strategy) -> None:
    whole = MemoryJournal()
    models: list[Any] = []
    trajectory = loop(strategy, whole)
    while not trajectory.finished:
        trajectory.step()
        models.append(whole._model)
    assert any(past.answer is None for past in trajectory.state.history)
    events, picked = list(whole.events()), groups(whole)
    for cut in range(1, len(events)):
        part = MemoryJournal()
        part.append(events[:cut])
        rounds = sum(e.kind == "scored" for e in events[:cut])
        part._model = models[rounds - 1] if rounds else None
        loop(strategy, part).run()
        again = [
            [p["position"] for p in e.body["picks"]] for e in part.events() if e.kind == "picked"
        ]
        assert again == picked, cut


@pytest.mark.parametrize("strategy", MADE, ids=lambda s: f"{s.name} {s.parameters()}")
def test_the_memo_may_be_dropped_at_any_time(strategy: Strategy) -> None:
    def picks(forget: bool) -> list[int]:
        journal = MemoryJournal()
        trajectory = loop(strategy, journal)
        if forget:
            make = trajectory.view
            trajectory.view = lambda budget, memo=None: make(budget)  # type: ignore[method-assign]
        trajectory.run()
        return [past.position for past in trajectory.state.history]

    assert picks(True) == picks(False)


@pytest.mark.parametrize("name", ["galaxy", "direct", "tailor"])
def test_a_class_that_appears_in_mid_run_and_one_with_a_single_label(name: str) -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(4), 60)
    truth = rng.integers(0, 4, 60)
    known = np.flatnonzero(truth < 2)[:6]
    answers: list[int] = []

    def ask(positions: np.ndarray) -> np.ndarray:
        answers.extend(truth[positions].tolist())
        return truth[positions]

    options = {"embeddings": rng.normal(size=(60, 3))} if name == "tailor" else {}
    found = labeltrain.select(
        name, probabilities=p, labelled=known, labels=truth[known], budget=30, classes=4, ask=ask,
        **options,
    )  # fmt: skip
    assert len(found.positions) == 30
    assert {2, 3} <= set(answers)


@pytest.mark.parametrize("name", ["galaxy", "direct", "tailor"])
def test_labels_of_many_at_once(name: str) -> None:
    rng = np.random.default_rng(2)
    p = rng.random((80, 3))
    truth = (rng.random((80, 3)) < p * [0.2, 0.5, 1.0]).astype(int)
    options = {"embeddings": rng.normal(size=(80, 3))} if name == "tailor" else {}
    found = labeltrain.select(
        name, probabilities=p, labelled=[0, 1, 2, 3], labels=truth[:4], kind="multilabel",
        budget=25, ask=lambda positions: truth[positions], parallel=5, **options,
    )  # fmt: skip
    assert len(set(found.positions.tolist())) == 25


@pytest.mark.parametrize("name", ["galaxy", "direct"])
def test_inside_a_reduced_pool(name: str) -> None:
    rng = np.random.default_rng(3)
    truth = (np.arange(300) < 15).astype(int)
    points = rng.normal(size=(300, 4)) + truth[:, None] * 3
    p = np.clip(points.mean(axis=1) / 4 + 0.2, 0.02, 0.98)
    found = labeltrain.select(
        "seals", base=name, neighbours=40, embeddings=points,
        probabilities=np.column_stack([1 - p, p]), labelled=[0, 100], labels=[1, 0], budget=30,
        ask=lambda positions: truth[positions],
    )  # fmt: skip
    assert len(set(found.positions.tolist())) == 30
    assert truth[found.positions].sum() >= 8
