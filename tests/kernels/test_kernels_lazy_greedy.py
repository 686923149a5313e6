"""Lazy greedy picks what the plain loop picks, and measures far less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.kernels import lazy_greedy as module
from labeltrain.kernels.lazy_greedy import lazy_greedy


class Coverage:
    """sum_q max over picks of s, plus a price of each row that may be negative."""

    def __init__(self, s: np.ndarray, own: np.ndarray) -> None:
        self.s, self.own = s, own
        self.covered = np.zeros(s.shape[1])
        self.measured = 0

    def gains(self, rows: np.ndarray) -> np.ndarray:
        self.measured += len(rows)
        return np.maximum(self.s[rows] - self.covered, 0.0).sum(axis=1) + self.own[rows]

    def take(self, row: int) -> bool:
        rises = bool((self.s[row] > self.covered).any())
        np.maximum(self.covered, self.s[row], out=self.covered)
        return rises


def plain(search: Coverage, count: int) -> tuple[list[int], list[float]]:
    left = list(range(len(search.s)))
    rows, values = [], []
    for _ in range(count):
        gains = search.gains(np.array(left))
        best = int(np.flatnonzero(gains >= gains.max() - 1e-10)[0])
        values.append(float(gains[best]))
        search.take(left[best])
        rows.append(left.pop(best))
    return rows, values


@pytest.mark.parametrize(("first", "buffer"), [(64, 4096), (1, 1), (2, 5), (3, 20)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_it_picks_what_the_plain_loop_picks(first: int, buffer: int, data: Any) -> None:
    n = data.draw(st.integers(1, 40))
    count = data.draw(st.integers(0, n))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    if data.draw(st.booleans()):  # many ties
        s, own = rng.integers(0, 3, (n, 4)).astype(float), rng.integers(-2, 2, n).astype(float)
    else:
        s, own = rng.random((n, 4)), rng.normal(size=n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST", first)
        patch.setattr(module, "BUFFER", buffer)
        search = Coverage(s, own)
        rows, values = lazy_greedy(n, count, search.gains, search.take)
    slow_rows, slow_values = plain(Coverage(s, own), count)
    assert rows.tolist() == slow_rows
    assert values.tolist() == pytest.approx(slow_values)


def test_it_measures_each_row_a_few_times_only() -> None:
    rng = np.random.default_rng(0)
    search = Coverage(rng.random((20_000, 8)), rng.random(20_000))
    rows, _ = lazy_greedy(20_000, 300, search.gains, search.take)
    assert search.measured < 10 * 20_000  # the plain loop: 300 times as many as rows
    assert rows.tolist() == plain(Coverage(search.s, search.own), 300)[0]


def test_nothing_is_measured_again_while_no_gain_falls() -> None:
    calls: list[int] = []

    def gains(rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        return rows % 7 * 1.0

    rows, values = lazy_greedy(9000, 5, gains, lambda row: False)
    assert rows.tolist() == [6, 13, 20, 27, 34]
    assert values.tolist() == [6.0] * 5
    assert calls == [9000]


def test_gains_that_differ_by_rounding_are_ties() -> None:
    own = np.array([0.0, 1.0, 1.0 + 1e-13, 1.0 - 1e-13])
    rows, _ = lazy_greedy(4, 3, lambda r: own[r], lambda row: True)
    assert rows.tolist() == [1, 2, 3]
