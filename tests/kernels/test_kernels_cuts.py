"""GALAXY's next question: worked examples, and a twin that scans the line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeltrain.kernels.cuts import GAP, OUTWARD, Cuts

LINES = st.lists(st.sampled_from([-1, 0, 0, 1]), min_size=1, max_size=24)


def cuts(w: Sequence[int]) -> Cuts:
    labelled = {rank: sign for rank, sign in enumerate(w) if sign}
    return Cuts(len(w), labelled.keys(), labelled.values())


def proposed(w: Sequence[int]) -> int | None:
    found = cuts(w).propose()
    return None if found is None else found[0]


def asked(n: int, known: dict[int, int], truth: Sequence[int], count: int) -> list[int]:
    line, picks = Cuts(n, known.keys(), known.values()), []
    for _ in range(count):
        found = line.propose()
        assert found is not None
        picks.append(found[0])
        line.tell(found[0], truth[found[0]])
    return picks


def slow_next(w: Sequence[int], dropped: frozenset[int] = frozenset()) -> int | None:
    """The rule, by scanning: `dropped` have no label and may not be asked."""
    labelled = [i for i, sign in enumerate(w) if sign]
    free = [i for i, sign in enumerate(w) if not sign and i not in dropped]
    pairs = [(a, b) for a, b in itertools.pairwise(labelled) if w[a] != w[b]]
    inside = {(a, b): [i for i in free if a < i < b] for a, b in pairs}
    gaps = [(len(inside[a, b]), a, b) for a, b in pairs if inside[a, b]]
    if gaps:
        _, a, b = min(gaps)
        middle = (a + b) // 2
        return min(inside[a, b], key=lambda i: (abs(i - middle), i))
    beside = []
    for a, b in pairs:
        up, down = [i for i in free if i < a], [i for i in free if i > b]
        beside += [(b - up[-1], 0, up[-1])] if up else []
        beside += [(down[0] - a, 1, down[0])] if down else []
    return min(beside)[2] if beside else None


def test_g1_a_separable_line_is_bisected_and_then_left_outwards():
    truth = [1] * 3 + [-1] * 7
    assert asked(10, {0: 1, 9: -1}, truth, 8) == [4, 2, 3, 1, 5, 6, 7, 8]


def test_g2_a_longer_line():
    truth = [1] * 13 + [-1] * 28
    picks = [20, 10, 15, 12, 13, 11, 14, 9, 16, 8, 17, 7, 18, 6, 19, 5]
    assert asked(41, {0: 1, 40: -1}, truth, 16) == picks


@pytest.mark.parametrize(
    ("w", "pick"),
    [
        ([1, 0, 0, 0, -1, 0, 1, 0, 0, -1], 5),  # G3: an inverted gap is the shortest
        ([1, 0, 0, -1, 0, 0, 1, 1, 1, 1], 1),  # G4: the first of two, the upper of two middles
        ([1, 1, 1, 1, -1, 0, 0, 0, 0, 0, -1, 1, -1, 0, 0, 0], 9),  # G6: spurious cuts attract
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, -1, 1, -1, -1, -1, -1], 6),  # D4
    ],
)
def test_g3_g4_g6_d4(w: list[int], pick: int):
    assert proposed(w) == pick


def test_g5_a_label_out_of_order_makes_new_cuts():
    truth = [1, 1, -1, 1] + [-1] * 6
    assert asked(10, {0: 1, 2: -1, 9: -1}, truth, 7) == [1, 3, 6, 4, 5, 7, 8]


@pytest.mark.parametrize("w", [[0, 0, 0], [1, 0, 1], [-1, 0], [1, -1], [1, -1, 1]])
def test_g7_nothing_to_cut(w: list[int]):
    assert proposed(w) is None


@given(st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=2, max_size=24))
def test_g8_a_mirrored_line_mirrors_the_choice(w: list[int]):
    found, mirrored = cuts(w).propose(), cuts([-sign for sign in reversed(w)]).propose()
    assert (found is None) == (mirrored is None)
    if found is not None and mirrored is not None:
        assert found[1] == mirrored[1]  # as near; which of equally near ones is a matter of ties


@given(st.integers(1, 400), st.data())
def test_g9_the_cut_is_located_with_the_logarithm_of_the_gap(gap: int, data: st.DataObject):
    positives = data.draw(st.integers(0, gap))
    n = gap + 2
    truth = [1] * (positives + 1) + [-1] * (gap - positives + 1)
    line = Cuts(n, [0, n - 1], [1, -1])
    questions = 0
    while (found := line.propose()) is not None and found[1][0] == GAP:
        line.tell(found[0], truth[found[0]])
        questions += 1
    assert questions <= math.ceil(math.log2(gap + 1))


@given(LINES, st.integers(0, 2**32 - 1))
def test_every_proposal_is_that_of_a_scan(w: list[int], seed: int):
    rng = np.random.default_rng(seed)
    line, now, dropped = cuts(w), list(w), set[int]()
    for _ in range(len(w)):
        found = line.propose()
        assert (None if found is None else found[0]) == slow_next(now, frozenset(dropped))
        free = [i for i, sign in enumerate(now) if not sign and i not in dropped]
        if not free:
            break
        rank = found[0] if found is not None and rng.random() < 0.7 else int(rng.choice(free))
        if rng.random() < 0.2:
            line.drop(rank)
            dropped.add(rank)
        else:
            now[rank] = int(rng.choice([-1, 1]))
            line.tell(rank, now[rank])
        line.new_group()
        again = Cuts(
            len(w),
            [i for i, sign in enumerate(now) if sign],
            [sign for sign in now if sign],
            dropped,
        )
        assert line.propose() == again.propose()  # the order in which it came does not matter


def test_dropped_items_get_their_label_later():
    line = Cuts(9, [0, 8], [1, -1])
    line.drop(4)
    line.new_group()
    line.tell(4, -1)
    assert line.propose() == (2, (GAP, 3))


def test_a_group_cuts_a_gap_into_equal_parts():
    line = Cuts(41, [0, 40], [1, -1])
    picks = []
    for _ in range(7):
        found = line.propose()
        assert found is not None
        picks.append(found[0])
        line.drop(found[0])
    assert sorted(picks) == [5, 10, 15, 20, 25, 30, 35]


def test_an_open_question_of_an_earlier_group_splits_its_gap_and_a_skipped_one_does_not():
    for waiting, pick in (([4], (2, (GAP, 3))), ([], (3, (GAP, 6)))):
        fresh = Cuts(9, [0, 8], [1, -1], [4], waiting=waiting)
        kept = Cuts(9, [0, 8], [1, -1])
        kept.drop(4)
        kept.new_group(waiting)
        assert fresh.propose() == kept.propose() == pick


@given(LINES, st.integers(0, 2**32 - 1))
def test_open_questions_are_the_same_however_they_came(w: list[int], seed: int):
    """Told, dropped and waiting in any order, or all at once."""
    rng = np.random.default_rng(seed)
    line, now, dropped = cuts(w), list(w), dict[int, bool]()
    for _ in range(len(w)):
        free = [i for i, sign in enumerate(now) if not sign and i not in dropped]
        if not free:
            break
        for rank in rng.choice(free, min(len(free), int(rng.integers(1, 4))), replace=False):
            line.drop(int(rank))
            dropped[int(rank)] = True
        line.new_group()
        for rank in [r for r in dropped if rng.random() < 0.4]:  # answered, skipped, or still open
            if rng.random() < 0.7:
                now[rank] = int(rng.choice([-1, 1]))
                line.tell(rank, now[rank])
                del dropped[rank]
            else:
                dropped[rank] = False
        waiting = [rank for rank, open_ in dropped.items() if open_]
        line.new_group(waiting)
        again = Cuts(
            len(w),
            [i for i, sign in enumerate(now) if sign],
            [sign for sign in now if sign],
            dropped,
            waiting=waiting,
        )
        assert line.propose() == again.propose()


def test_a_group_takes_other_gaps_first():
    w = [1, *[0] * 9, -1, *[0] * 7, 1, 1]
    line = cuts(w)
    first = line.propose()
    assert first == (14, (GAP, 7))
    line.drop(14)
    assert line.propose() == (5, (GAP, 9))
    line.drop(5)
    assert line.propose() == (2, (GAP, 4))  # the longest part, of equals the first


def test_located_cuts_are_left_on_both_sides_in_a_group():
    line = cuts([0, 0, 0, 1, -1, 0, 0, 0])
    picks = []
    for _ in range(6):
        found = line.propose()
        assert found is not None
        assert found[1][0] == OUTWARD
        picks.append(found[0])
        line.drop(found[0])
    assert picks == [2, 5, 1, 6, 0, 7]
    assert line.propose() is None


def test_an_item_is_told_once():
    line = cuts([1, 0, -1])
    with pytest.raises(ValueError, match="labelled already"):
        line.tell(0, 1)


def test_a_million_items_cost_what_their_labels_cost():
    rng = np.random.default_rng(0)
    line = Cuts(1_000_000, [0, 999_999], [1, -1])
    for _ in range(2000):  # a scan of the line for each would take minutes
        found = line.propose()
        assert found is not None
        noisy = (found[0] < 20_000) != (rng.random() < 0.1)
        line.tell(found[0], 1 if noisy else -1)
