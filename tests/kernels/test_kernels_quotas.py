"""Shares of groups against a slow twin: one row at a time from the group furthest behind."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels.quotas import in_shares
from labeltrain.multitask.allocation import allocate


def slow_shares(groups, keys, order, held, weights, floor=0) -> list[int]:
    def level(g: int) -> tuple[int, float]:
        if have[g] < floor:
            return 0, have[g]
        return (1, (have[g] - floor + 0.5) / weights[g]) if weights[g] else (2, have[g])

    left = {g: sorted(np.flatnonzero(groups == g), key=lambda i: (keys[i], i)) for g in order}
    have = np.array(held, dtype=float)
    rows = []
    while any(left.values()):
        open_groups = [g for g in order if left[g]]
        best = min(open_groups, key=level)  # the first of equals
        rows.append(int(left[best].pop(0)))
        have[best] += 1
    return rows


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(1, 5), st.booleans(), st.integers(0, 10_000))
def test_rows_are_those_of_the_slow_twin(n: int, k: int, weighted: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, keys = rng.integers(0, k, n), rng.integers(0, 4, n)
    order, held = rng.permutation(k), rng.integers(0, 4, k)
    weights = 1.0 / (0.1 + rng.random(k)) if weighted else np.ones(k)
    rows = in_shares(groups, keys, order, held=held, weights=weights if weighted else None)
    assert rows.tolist() == slow_shares(groups, keys, order, held, weights)
    assert sorted(rows.tolist()) == list(range(n))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 40), st.integers(1, 5), st.integers(0, 6), st.integers(0, 10_000))
def test_floors_go_first_and_groups_without_a_weight_last(
    n: int, k: int, floor: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    groups, keys = rng.integers(0, k, n), rng.integers(0, 4, n)
    order, held = rng.permutation(k), rng.integers(0, 4, k)
    weights = rng.integers(0, 3, k) / 4.0
    rows = in_shares(groups, keys, order, held=held, weights=weights, floor=floor)
    assert rows.tolist() == slow_shares(groups, keys, order, held, weights, floor)
    assert sorted(rows.tolist()) == list(range(n))


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 200), st.integers(0, 10_000))
def test_shares_with_a_floor_are_those_of_multitask_up_to_rounding(
    k: int, floor: int, more: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 9, k) / 8.0
    available = rng.integers(floor, 80, k)
    held = np.minimum(rng.integers(0, 12, k), available)
    least = np.maximum(np.minimum(available, floor), held)
    budget = int(min(least.sum() + more, available.sum()))
    groups = np.repeat(np.arange(k), available - held)
    rows = in_shares(
        groups, np.zeros(len(groups)), np.arange(k), held=held, weights=weights, floor=floor
    )
    mine = held + np.bincount(groups[rows[: budget - held.sum()]], minlength=k)
    assert mine.sum() == budget
    if budget <= available[weights > 0].sum() + least[weights == 0].sum():  # else what is left over
        theirs = allocate(weights, budget, floor=floor, drawn=held, available=available)
        assert theirs.sum() == budget
        assert np.abs(mine - theirs).max() <= 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(0, 40))
def test_equal_shares_are_water_levels(sizes: list[int], count: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rows = in_shares(groups, np.zeros(len(groups)), np.arange(len(sizes)))[:count]
    quotas = np.bincount(groups[rows], minlength=len(sizes))
    assert quotas.sum() == min(count, sum(sizes))
    full = quotas == np.array(sizes)
    if not full.all():
        level = quotas[~full]
        assert level.max() - level.min() <= 1
        assert (quotas <= level.min() + 1).all()


def test_shares_are_proportional_up_to_rounding() -> None:
    groups = np.repeat(np.arange(3), 1000)
    weights = np.array([1.0, 2.0, 5.0])
    rows = in_shares(groups, np.zeros(3000), np.arange(3), weights=weights)
    for count in (8, 80, 805):
        quotas = np.bincount(groups[rows[:count]], minlength=3)
        assert (np.abs(quotas - count * weights / 8.0) <= 1.0).all()


def test_the_worked_example() -> None:
    # (n + 1/2) / w of weights 1 and 3: 0.5 1.5 2.5 for the first, 0.17 0.5 0.83 1.17 for the second
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    rows = in_shares(groups, np.zeros(7), np.array([1, 0]), weights=np.array([1.0, 3.0]))
    assert rows.tolist() == [3, 4, 0, 5, 6, 1, 2]
