"""Confusion matrices, and labels that are wrong by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data.noise import confusion, flipped, rates
from labeltrain.errors import BadInput


def test_a_confusion_is_written_as_it_is_meant() -> None:
    found = confusion({"a": 0.3, "c": {"a": 0.2, "b": 0.1}}, ["a", "b", "c", "d"])
    expected = [[0.7, 0.1, 0.1, 0.1], [0, 1, 0, 0], [0.2, 0.1, 0.7, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("flips", "message"),
    [
        ({"x": 0.1}, "unknown class in flips 'x'"),
        ({"a": {"x": 0.1}}, "unknown class in flips 'x'"),
        ({"a": {"a": 0.1}}, "flips mistakes 'a' for itself"),
        ({"a": 1.2}, "flips of 'a' are 1.2"),
        ({"a": {"b": 0.7, "c": 0.7}}, "flips of 'a' are 1.4 of its items"),
        ({"a": {"b": -0.1, "c": 0.3}}, "flips of 'a'"),
        ({"a": float("nan")}, "flips of 'a' are nan"),
    ],
)
def test_impossible_confusions(flips: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        confusion(flips, ["a", "b", "c"])  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="at least two classes"):
        confusion({"a": 0.1}, ["a"])


def test_rates_of_single_labels() -> None:
    assert rates({"c": 0.5, "a": 0}, ["a", "b", "c"]).tolist() == [0.0, 0.0, 0.5]
    with pytest.raises(BadInput, match="flips mistakes 'a' for 'b', and items have several labels"):
        rates({"a": {"b": 0.1}}, ["a", "b"])
    with pytest.raises(BadInput, match="flips of 'a' are 2"):
        rates({"a": 2}, ["a", "b"])
    with pytest.raises(BadInput, match="unknown class in flips 'x'"):
        rates({"x": 0.1}, ["a", "b"])


def test_exact_numbers_are_flipped() -> None:
    truth = np.repeat([0, 1, 2], [10, 20, 5])
    matrix = confusion({"a": {"b": 0.2, "c": 0.3}, "b": 0.1}, ["a", "b", "c"])
    found = flipped(truth, matrix, np.random.default_rng(0))
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (truth, found), 1)
    assert table.tolist() == [[5, 2, 3], [1, 18, 1], [0, 0, 5]]
    assert truth.tolist() == np.repeat([0, 1, 2], [10, 20, 5]).tolist()


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=90),
    st.lists(st.floats(0, 1), min_size=16, max_size=16),
    st.integers(0, 50),
)
def test_no_share_is_off_by_more_than_an_item(
    labels: list[int], numbers: list[float], seed: int
) -> None:
    matrix = np.array(numbers).reshape(4, 4) + 1e-9
    matrix /= matrix.sum(axis=1, keepdims=True)
    truth = np.array(labels)
    found = flipped(truth, matrix, np.random.default_rng(seed))
    table = np.zeros((4, 4))
    np.add.at(table, (truth, found), 1)
    have = np.bincount(truth, minlength=4)[:, None]
    assert (np.abs(table - matrix * have) <= 1 + 1e-9).all()
    assert np.array_equal(found, flipped(truth, matrix, np.random.default_rng(seed)))
