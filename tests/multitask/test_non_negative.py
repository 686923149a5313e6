"""The non-negative relevance as the package gives it: checked, for one target or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.multitask.non_negative import non_negative, sparse_non_negative
from labeltrain.multitask.relevance import lasso, residual

D2 = (np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1.0]))


def test_where_no_sign_is_minus_it_is_the_lasso() -> None:
    np.testing.assert_allclose(non_negative(*D2, 0.1), [0.5, 0, 0.95], atol=1e-9)
    np.testing.assert_allclose(non_negative(*D2, 0.1), lasso(*D2, 0.1), atol=1e-5)


def test_a_task_that_would_have_to_be_unlearned_gives_nothing() -> None:
    heads, target = np.array([[1.0, -1.0], [0.0, 1.0]]), np.array([1.0, -0.5])
    assert lasso(heads, target, 0.01)[1] < -0.4
    np.testing.assert_allclose(non_negative(heads, target), [1.0, 0.0], atol=1e-12)


def test_several_targets_are_solved_one_by_one() -> None:
    heads = np.random.default_rng(0).normal(size=(4, 6))
    targets = np.random.default_rng(1).normal(size=(4, 3))
    for solve in (non_negative, sparse_non_negative):
        both = solve(heads, targets)
        assert both.shape == (6, 3)
        for t in range(3):
            np.testing.assert_array_equal(both[:, t], solve(heads, targets[:, t]))


def test_less_of_what_is_explained_is_missed_than_was_said() -> None:
    rng = np.random.default_rng(3)
    heads, target = rng.normal(size=(30, 8)), rng.normal(size=30)  # most of it no task explains
    whole, sparse = non_negative(heads, target), sparse_non_negative(heads, target, 0.15)
    rest = float(residual(heads, target, whole))
    assert rest > 0.8
    more = float(residual(heads, target, sparse)) ** 2 - rest**2
    assert 0.9 * 0.15**2 * (1 - rest**2) <= more <= 0.15**2 * (1 - rest**2) + 1e-9
    assert 0 < np.count_nonzero(sparse) <= np.count_nonzero(whole)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: non_negative(np.ones(3), np.ones(3)), "heads of shape"),
        (lambda: non_negative(np.ones((2, 3)), np.ones(3)), "target of shape"),
        (lambda: non_negative(np.ones((1, 2)), np.ones(1), -0.1), "penalty=-0.1"),
        (lambda: non_negative(np.ones((1, 2)), np.ones(1), np.nan), "penalty=nan"),
        (lambda: sparse_non_negative(np.ones((1, 2)), np.ones(1), 1.0), "unexplained=1.0"),
        (lambda: sparse_non_negative(np.array([[np.inf]]), np.ones(1)), r"inf at \(0, 0\)"),
    ],
)
def test_bad_input(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()
