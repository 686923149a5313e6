"""Kernels against slow, obviously correct twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeltrain.kernels.clusters import representatives
from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.row_space import row_space, row_space_of
from labeltrain.kernels.uncertainty import (
    binary_confidence,
    binary_entropy,
    binary_margin,
    confidence,
    entropy,
    margin,
)

scores = hnp.arrays(
    np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0])
)
tables = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 20), st.integers(2, 6)), elements=st.floats(0.01, 1.0)
)


@given(scores, st.integers(0, 70))
def test_lowest_is_a_stable_sort_cut_off(values: np.ndarray, count: int) -> None:
    slow = sorted(range(len(values)), key=lambda i: (values[i], i))[:count]
    assert lowest(values, count).tolist() == slow


@given(tables)
def test_uncertainties_equal_their_definitions(raw: np.ndarray) -> None:
    p = raw / raw.sum(axis=1, keepdims=True)
    for row, c, m, h in zip(p, confidence(p), margin(p), entropy(p), strict=True):
        ordered = sorted(row, reverse=True)
        assert c == ordered[0]
        assert m == pytest.approx(ordered[0] - ordered[1], abs=1e-15)
        assert h == pytest.approx(-sum(v * math.log2(v) for v in row))


@given(tables)
def test_binary_uncertainties_equal_their_definitions(p: np.ndarray) -> None:
    p = np.minimum(p, 0.99)
    found = zip(p, binary_confidence(p), binary_margin(p), binary_entropy(p), strict=True)
    for row, c, m, h in found:
        assert c == pytest.approx(sum(max(v, 1 - v) for v in row) / len(row))
        assert m == pytest.approx(min(abs(v - (1 - v)) for v in row))
        assert h == pytest.approx(-sum(v * math.log2(v) + (1 - v) * math.log2(1 - v) for v in row))


def test_margin_of_tied_leaders_is_zero_and_input_is_left_alone() -> None:
    p = np.array([[0.4, 0.4, 0.2], [1.0, 0.0, 0.0]])
    before = p.copy()
    assert margin(p).tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(p, before)


def test_entropy_of_a_certain_row_is_zero() -> None:
    assert entropy(np.array([[1.0, 0.0]]))[0] == 0.0


def test_representatives_are_nearest_to_their_centres() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], dtype=np.float32)
    sizes = [40, 30, 20, 10]
    points = np.concatenate(
        [
            c + rng.normal(0, 0.5, (n, 2)).astype(np.float32)
            for c, n in zip(centres, sizes, strict=True)
        ]
    )
    rows, found = representatives(points, 4, np.random.default_rng(1))
    assert found.tolist() == sizes
    start = np.cumsum([0, *sizes])
    for k in range(4):
        group = points[start[k] : start[k + 1]].astype(np.float64)
        slow = start[k] + int(((group - group.mean(axis=0)) ** 2).sum(axis=1).argmin())
        assert rows[k] == slow


@given(st.integers(1, 30), st.integers(0, 5))
def test_representatives_are_distinct_even_among_duplicates(count: int, seed: int) -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    rows, _ = representatives(points, count, np.random.default_rng(seed))
    assert len(set(rows.tolist())) == count


@given(st.integers(1, 8), st.integers(0, 4), st.integers(0, 9))
def test_row_space_is_an_exact_change_of_variables(m: int, more: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(m, m + more))
    basis, reduced = row_space(features)
    np.testing.assert_allclose(reduced @ basis.T, features, atol=1e-10)
    np.testing.assert_allclose(basis.T @ basis, np.eye(m), atol=1e-10)


@given(st.integers(1, 8), st.integers(0, 4), st.integers(0, 3), st.integers(0, 9))
def test_row_space_from_products_is_one_too(m: int, more: int, twice: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(m, m + more))
    features = np.vstack([features, features[:twice]])  # equal rows add no dimension
    basis, reduced = row_space_of(features @ features.T)
    assert basis.shape == reduced.shape == (len(features), m)
    directions = basis.T @ features
    np.testing.assert_allclose(directions @ directions.T, np.eye(m), atol=1e-4)
    np.testing.assert_allclose(reduced @ directions, features, atol=1e-4)
