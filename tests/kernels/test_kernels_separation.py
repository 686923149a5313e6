"""Rankings, separation thresholds, intervals and walks: worked examples, and slow twins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeltrain.kernels import separation as sep

D1 = [1, 0, 1, 0, 0, 0, 0, 0, -1, 0, -1, -1]
D2 = [1, 0, -1, 0, 1, 0, 0, -1, 0, 0, -1, 0]
D3 = [1, 0, 0, 1, 0, 0, 0, -1, 0, 0, 0, 0, 1, -1, 0, 0]
D4 = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, -1, 1, -1, -1, -1, -1]
G6 = [1, 1, 1, 1, -1, 0, 0, 0, 0, 0, -1, 1, -1, 0, 0, 0]
LINES = st.lists(st.sampled_from([-1, 0, 0, 1]), min_size=1, max_size=24)


def line(w: Sequence[int]) -> tuple[np.ndarray, np.ndarray, int]:
    values = np.array(w)
    ranks = np.flatnonzero(values)
    return ranks, values[ranks], len(values)


def interval(w: Sequence[int]) -> tuple[int, int]:
    return sep.version_interval(*line(w))


def threshold(w: Sequence[int]) -> int:
    return sep.threshold(*line(w)[:2])


def walk(w: Sequence[int], start: int, count: int) -> list[int]:
    ranks, _, n = line(w)
    return sep.walk(ranks, n, start, count).tolist()


# -- rankings ----------------------------------------------------------------------------------

P = np.array(
    [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6], [0.1, 0.45, 0.45]]
)


@pytest.mark.parametrize(
    ("column", "order"), [(0, [0, 1, 2, 4, 3]), (1, [4, 2, 1, 3, 0]), (2, [3, 4, 2, 1, 0])]
)
def test_s1_items_are_ranked_by_margin_and_ties_by_confidence(column: int, order: list[int]):
    assert sep.class_order(P, column).tolist() == order


def test_with_two_classes_the_confident_ones_come_first_on_either_side():
    own = np.array([0.55, 0.7, 0.95, 0.4, 0.1])
    p = np.column_stack([1 - own, own])
    assert sep.class_order(p, 1).tolist() == [2, 1, 0, 3, 4]
    assert sep.class_order(p, 0).tolist() == [4, 3, 0, 1, 2]


def test_labels_are_ranked_by_probability_and_ties_by_index():
    assert sep.label_order(np.array([[0.2, 0], [0.9, 0], [0.2, 0], [0.3, 0]]), 0).tolist() == [
        1,
        3,
        0,
        2,
    ]


@given(
    st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30),
    st.integers(0, 2),
)
def test_the_ranking_is_a_sort_by_margin_maximum_and_index(rows: Any, column: int):
    p = np.array(rows, dtype=np.float64) / 4
    largest = p.max(axis=1)
    slow = sorted(range(len(p)), key=lambda i: (largest[i] - p[i, column], -largest[i], i))
    assert sep.class_order(p, column).tolist() == slow
    assert sep.class_order(p, column, largest).tolist() == slow
    assert sep.label_order(p, column).tolist() == sorted(
        range(len(p)), key=lambda i: (-p[i, column], i)
    )


# -- intervals and thresholds ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("w", "first_and_last", "cut"),
    [
        (D1, (2, 8), 3),
        (D2, (0, 7), 1),
        (D3, (3, 13), 4),
        (D4, (3, 12), 4),
        ([0, 0, -1, 0, -1], (0, 2), 0),
        ([0, 0, 0, 0, 0], (0, 4), 0),
        ([1, 0, 1, 0, 0], (2, 4), 3),
        ([-1, 0, 0, 1], (0, 3), 0),
    ],
)
def test_d1_to_d5_interval_and_threshold(w: list[int], first_and_last: tuple[int, int], cut: int):
    assert interval(w) == first_and_last
    assert threshold(w) == cut


def imbalance(w: Sequence[int]) -> list[int]:
    """A(j): how much the sums on both sides of j differ."""
    return [sum(w[:j]) - sum(w[j:]) for j in range(len(w) + 1)]


def wrong(w: Sequence[int]) -> list[int]:
    """L(j): labels against "the first j are of the class"."""
    return [w[:j].count(-1) + w[j:].count(1) for j in range(len(w) + 1)]


def test_d1_and_d2_sums():
    assert imbalance(D1) == [1, 3, 3, 5, 5, 5, 5, 5, 5, 3, 3, 1, -1]
    assert imbalance(D2) == [1, 3, 3, 1, 1, 3, 3, 3, 1, 1, 1, -1, -1]
    ranks, signs, n = line(D2)
    assert sep.losses(ranks, signs, np.arange(n + 1)).tolist() == [
        *[2, 1, 1, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3]
    ]


@given(LINES)
def test_d8_the_fewest_wrong_labels_are_the_largest_imbalance(w: list[int]):
    ranks, signs, n = line(w)
    assert sep.losses(ranks, signs, np.arange(n + 1)).tolist() == wrong(w)
    assert threshold(w) == wrong(w).index(min(wrong(w))) == imbalance(w).index(max(imbalance(w)))
    best = [j for j, loss in enumerate(wrong(w)) if loss == min(wrong(w))]
    assert sep.minimisers(ranks, signs, n) == (best[0], best[-1])


@given(LINES)
def test_nothing_outside_the_interval_is_on_the_wrong_side(w: list[int]):
    first, last = interval(w)
    assert 0 <= first <= last < len(w)
    assert all(sign >= 0 for sign in w[:first])
    assert all(sign <= 0 for sign in w[last + 1 :])
    slow_first = 0  # as the definition says it
    if -1 in w or 1 in w:
        head = w[: w.index(-1)] if -1 in w else w
        slow_first = max((i for i, sign in enumerate(head) if sign == 1), default=0)
    assert first == slow_first


# -- walking -----------------------------------------------------------------------------------


def test_d2_the_walk_of_a_larger_budget_begins_with_that_of_a_smaller_one():
    for count in range(1, 7):
        assert walk(D2, 1, count) == [1, 3, 5, 6, 8, 9][:count]


@pytest.mark.parametrize(
    ("w", "start", "count", "picks"),
    [
        ([0] * 10, 4, 6, [3, 4, 2, 5, 1, 6]),
        ([0] * 10, 0, 4, [0, 1, 2, 3]),
        ([0] * 10, 10, 4, [9, 8, 7, 6]),
        ([0, 0, 1, 0, -1, 0, 0, 0], 3, 5, [3, 1, 0, 5, 6]),
        (G6, 4, 3, [5, 6, 7]),
        ([0, 0, -1, 0, -1], 0, 3, [0, 1, 3]),
    ],
)
def test_d5_d6_d7_walks(w: list[int], start: int, count: int, picks: list[int]):
    assert walk(w, start, count) == picks


def slow_walk(w: Sequence[int], start: int, count: int) -> list[int]:
    left, right, picks, turn = start - 1, start, [], 0
    while len(picks) < count and (left >= 0 or right < len(w)):
        go_left = left >= 0 and (turn % 2 == 0 or right >= len(w))
        at = left if go_left else right
        if 0 <= at < len(w) and w[at] == 0:
            picks.append(at)
        if go_left:
            left -= 1
        else:
            right += 1
        turn += 1
    return picks


@given(LINES, st.integers(0, 24), st.integers(0, 24))
def test_the_walk_takes_turns(w: list[int], start: int, count: int):
    start = min(start, len(w))
    assert walk(w, start, count) == slow_walk(w, start, count)


# -- drawing and shrinking ---------------------------------------------------------------------


@given(LINES, st.integers(0, 23), st.integers(0, 23), st.integers(0, 30), st.integers(0, 9))
def test_draws_are_free_unique_and_inside(
    w: list[int], first: int, last: int, count: int, seed: int
):
    first, last = min(first, len(w) - 1), min(last, len(w) - 1)
    ranks, _, _ = line(w)
    free = [i for i in range(first, last + 1) if w[i] == 0]
    assert sep.count_free(ranks, first, last) == len(free)
    drawn = sep.draw_free(ranks, first, last, count, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn) == min(count, len(free))
    assert set(drawn.tolist()) <= set(free)


def test_draws_are_uniform():
    w = [0, 1, 0, 0, -1, -1, 0, 0, 1, 0]
    ranks, _, _ = line(w)
    rng = np.random.default_rng(0)
    counts = np.zeros(10)
    for _ in range(4000):
        counts[sep.draw_free(ranks, 1, 8, 2, rng)] += 1
    assert (counts > 0).tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    expected = 4000 * 2 / 4
    assert np.abs(counts[[2, 3, 6, 7]] - expected).max() < 4 * np.sqrt(expected / 2)


class Coin:
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def parts(w: Sequence[int], inside: tuple[int, int], target: int) -> list[tuple[int, int]]:
    first, last = inside
    return [
        (a, b)
        for a in range(first, last + 1)
        for b in range(a, last + 1)
        if w[a : b + 1].count(0) == target
    ]


def test_d3_min_max_shrinking():
    ranks, signs, _ = line(D3)
    # Widths 3 and 8 hold three and six free items: each the only one with losses of at most 1.
    assert sep.shrink(ranks, signs, ranks, (3, 13), 3, keep=False) == (4, 7)
    assert sep.shrink(ranks, signs, ranks, (3, 13), 6, keep=False) == (5, 13)
    # 4 ... 7 and 13 are all minimisers: the label at 3 is the only evidence.
    assert sep.shrink(ranks, signs, ranks, (3, 13), 3) == (4, 13)


def test_d3_greedy_shrinking():
    ranks, signs, _ = line(D3)
    right: Any = Coin(0.9)
    left: Any = Coin(0.1)
    assert sep.shrink_greedily(ranks, signs, ranks, (3, 13), 4, right) == (4, 8)
    assert sep.shrink_greedily(ranks, signs, ranks, (3, 13), 4, left) == (7, 13)
    assert sep.shrink_greedily(ranks, signs, ranks, (3, 13), 4, None) == (4, 13)


@given(LINES, st.integers(1, 12))
def test_min_max_against_every_part(w: list[int], target: int):
    ranks, signs, _ = line(w)
    inside = interval(w)
    loss = wrong(w)

    def badness(part: tuple[int, int]) -> tuple[int, int]:
        a, b = loss[part[0]], loss[part[1]]
        return max(a, b), a + b

    for keep in (False, True):
        shrunk = sep.shrink(ranks, signs, ranks, inside, target, keep=keep)
        assert inside[0] <= shrunk[0] <= shrunk[1] <= inside[1]
        if w[inside[0] : inside[1] + 1].count(0) <= target:
            assert shrunk == inside
            continue
        options = parts(w, inside, target)
        if keep:
            here = range(inside[0], inside[1] + 1)
            best = [j for j in here if loss[j] == min(loss[i] for i in here)]
            assert shrunk[0] <= best[0]
            assert best[-1] <= shrunk[1]
            if w[best[0] : best[-1] + 1].count(0) > target:
                assert shrunk == (best[0], best[-1])
                continue
            options = [(a, b) for a, b in options if a <= best[0] and best[-1] <= b]
        assert w[shrunk[0] : shrunk[1] + 1].count(0) == target
        assert badness(shrunk) == min(map(badness, options))


@given(LINES, st.integers(1, 12), st.integers(0, 5))
def test_greedy_shrinking_drops_the_worse_end(w: list[int], target: int, seed: int):
    ranks, signs, _ = line(w)
    loss = wrong(w)
    first, last = inside = interval(w)
    coin = np.random.default_rng(seed)
    found = sep.shrink_greedily(ranks, signs, ranks, inside, target, np.random.default_rng(seed))
    while w[first : last + 1].count(0) > target and first < last:
        if loss[first] > loss[last] or (loss[first] == loss[last] and coin.random() < 0.5):
            first += 1
        else:
            last -= 1
    assert found == (first, last)
    careful = sep.shrink_greedily(ranks, signs, ranks, inside, target, None)
    here = range(inside[0], inside[1] + 1)
    best = [j for j in here if loss[j] == min(loss[i] for i in here)]
    assert careful[0] <= best[0]
    assert best[-1] <= careful[1]


@pytest.mark.parametrize(
    ("free", "rounds", "schedule"),
    [
        (10_000, 3, [465, 22, 22]),
        (50_000, 12, [20296, 8239, 3345, 1358, 552, 224, 91, 37, 16, 7, 3, 3]),
    ],
)
def test_the_schedule_of_shrinking(free: int, rounds: int, schedule: list[int]):
    found = []
    for left in range(rounds, 0, -1):
        free = sep.shrunk_size(free, left)
        found.append(free)
    assert found == schedule
