"""BatchBALD's search against a slow twin that enumerates every joint labelling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels.disagreement import bald
from labeltrain.kernels.joint_information import greedy_joint_information


def entropy(p: np.ndarray) -> float:
    p = np.asarray(p)[np.asarray(p) > 0]
    return float(-(p * np.log2(p)).sum())


def information(committee: np.ndarray, batch: list[int]) -> float:
    """I(y_batch; s) by its definition."""
    members, _, classes = committee.shape
    chances = [
        np.mean([np.prod([committee[s, i, y] for i, y in zip(batch, ys, strict=True)])
                 for s in range(members)])
        for ys in itertools.product(range(classes), repeat=len(batch))
    ]  # fmt: skip
    given_member = np.mean([sum(entropy(committee[s, i]) for i in batch) for s in range(members)])
    return entropy(np.array(chances)) - float(given_member)


def random_committee(seed: int, members: int, n: int, classes: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.5), size=(members, n))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 3))
def test_greedy_picks_are_those_of_the_slow_twin(seed: int, members: int, classes: int) -> None:
    n = 7
    committee = random_committee(seed, members, n, classes)
    rows, gains = greedy_joint_information(committee, 4, np.random.default_rng(0), spent=0.0)
    batch: list[int] = []
    for row, gain in zip(rows.tolist(), gains.tolist(), strict=True):
        before = information(committee, batch) if batch else 0.0
        options = [
            information(committee, [*batch, i]) - before if i not in batch else -1.0
            for i in range(n)
        ]
        assert gain == pytest.approx(max(options), abs=1e-9)
        assert options[row] == pytest.approx(max(options), abs=1e-9)
        batch.append(row)


@given(st.integers(0, 10_000))
def test_bald_is_the_information_of_one_item(seed: int) -> None:
    committee = random_committee(seed, 4, 6, 3)
    slow = [information(committee, [i]) for i in range(6)]
    np.testing.assert_allclose(bald(committee), slow, atol=1e-7)


def test_bald_of_labels_is_the_sum_over_them() -> None:
    p = np.random.default_rng(0).random((3, 5, 4))
    slow = sum(bald(np.stack([p[:, :, c], 1 - p[:, :, c]], axis=2)) for c in range(4))
    np.testing.assert_allclose(bald(p, labels=True), slow, atol=1e-7)


def test_drawn_labellings_estimate_the_exact_gains() -> None:
    committee = random_committee(1, 6, 12, 3)
    exact, exact_gains = greedy_joint_information(
        committee, 5, np.random.default_rng(0), configurations=3**6, spent=0.0
    )
    drawn_gains = np.mean(
        [
            information(
                committee,
                greedy_joint_information(
                    committee, 5, np.random.default_rng(seed), configurations=200, spent=0.0
                )[0].tolist(),
            )
            for seed in range(5)
        ]
    )
    assert drawn_gains > 0.95 * information(committee, exact.tolist())
    assert exact_gains.sum() == pytest.approx(information(committee, exact.tolist()))


def test_when_the_bits_are_spent_a_new_joint_begins() -> None:
    committee = np.zeros((2, 6, 2))
    committee[0, :, 0] = committee[1, :, 1] = 1.0  # any single label tells the members apart
    rows, gains = greedy_joint_information(committee, 6, np.random.default_rng(0))
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(gains, 1.0)


def test_a_committee_that_agrees_gives_ties_in_order() -> None:
    committee = np.full((3, 5, 2), 0.5)
    rows, gains = greedy_joint_information(committee, 5, np.random.default_rng(0))
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert (gains == 0.0).all()
