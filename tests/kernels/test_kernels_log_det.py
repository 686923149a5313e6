"""Greedy D-optimal design against its slow twin: a log-determinant for every candidate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from labeltrain.kernels import log_det as module
from labeltrain.kernels.log_det import greedy_log_det
from labeltrain.kernels.threads import limited_threads


def rows_of(points: np.ndarray, normalise: bool) -> np.ndarray:
    rows = points.astype(np.float64)
    if normalise:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return rows


def slow_greedy(points, count, candidates, given, regularisation, normalise):
    rows = rows_of(points, normalise)
    square = float((rows**2).sum(axis=1).mean())
    matrix = regularisation * (square or 1.0) * np.eye(rows.shape[1]) + rows[given].T @ rows[given]
    left, picks, gains = candidates.tolist(), [], []
    for _ in range(count):
        base = np.linalg.slogdet(matrix)[1]
        found = [np.linalg.slogdet(matrix + np.outer(rows[i], rows[i]))[1] - base for i in left]
        tied = np.flatnonzero(np.array(found) >= max(found) - 1e-10)
        if not picks and not len(given):  # the one most like the mean
            likeness = rows[np.array(left)[tied]] @ rows.mean(axis=0)
            tied = tied[likeness >= likeness.max() - 1e-10]
        best = int(tied[0])
        gains.append(found[best])
        picks.append(left.pop(best))
        matrix += np.outer(rows[picks[-1]], rows[picks[-1]])
    return picks, gains


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("renewed", [1, 256])
def test_picks_are_those_of_the_slow_twin(
    dtype: type, renewed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWED", renewed)
    for seed in range(15):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(1, 40)), int(rng.integers(1, 6))
        points = rng.normal(size=(n, d)).astype(dtype)
        if seed % 3 == 0:
            points = np.repeat(points, 3, axis=0)[:n]  # duplicates tie
        if seed % 5 == 0:
            points[::2] = 0.0
        order = rng.permutation(n)
        known = int(rng.integers(0, min(n, 4)))
        given, candidates = order[:known], np.sort(order[known:])
        count = int(rng.integers(1, len(candidates) + 1))
        options = {"regularisation": float(rng.choice([1e-3, 0.1, 1.0])), "normalise": seed % 2}
        picks, gains = greedy_log_det(points, count, candidates=candidates, given=given, **options)
        slow, slow_gains = slow_greedy(points, count, candidates, given, **options)
        assert picks.tolist() == slow, f"seed {seed}"
        np.testing.assert_allclose(gains, slow_gains, rtol=1e-8, atol=1e-9)


def test_picks_do_not_depend_on_threads_and_gains_fall() -> None:
    points = np.random.default_rng(0).normal(size=(3000, 20)).astype(np.float32)
    args = {"candidates": np.arange(5, 3000), "given": np.arange(5), "regularisation": 0.01}
    picks, gains = greedy_log_det(points, 120, **args)
    assert (np.diff(gains) <= 1e-10).all()
    with limited_threads(1):
        assert greedy_log_det(points, 120, **args)[0].tolist() == picks.tolist()
    assert greedy_log_det(points, 50, **args)[0].tolist() == picks[:50].tolist()


def test_few_candidates_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    whole = module._Design.gains
    monkeypatch.setattr(
        module._Design,
        "gains",
        lambda self, rows: (measured.append(len(rows)), whole(self, rows))[1],
    )
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20_000, 8)) * rng.gamma(0.3, size=(20_000, 1))
    greedy_log_det(
        points, 100, candidates=np.arange(20_000), given=np.arange(0), regularisation=0.1,
        normalise=False,
    )  # fmt: skip
    assert sum(measured[1:]) < 100 * 20_000 / 10


def test_the_greedy_value_is_near_the_best_one() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(9, 3))
        picks, gains = greedy_log_det(
            points, 4, candidates=np.arange(9), given=np.arange(0), regularisation=0.1,
            normalise=False,
        )  # fmt: skip
        scale = 0.1 * (points**2).sum(axis=1).mean()

        def value(rows: tuple[int, ...], scale: float = scale, x: np.ndarray = points) -> float:
            some = x[list(rows)]
            return float(np.linalg.slogdet(np.eye(3) + some.T @ some / scale)[1])

        best = max(value(rows) for rows in itertools.combinations(range(9), 4))
        assert gains.sum() == pytest.approx(value(tuple(picks)))
        assert gains.sum() >= (1.0 - 1.0 / np.e) * best  # monotone and submodular


def test_the_worked_example() -> None:
    # V = I + e1 e1' = diag(2, 1): gains ln(1 + 1/2), ln(1 + 1), ln(1 + 4/2)
    points = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    picks, gains = greedy_log_det(
        points, 3, candidates=np.array([1, 2, 3]), given=np.array([0]),
        regularisation=1.0 / 1.75, normalise=False,
    )  # fmt: skip
    assert picks.tolist() == [3, 2, 1]
    assert gains == pytest.approx(np.log([3.0, 2.0, 1.0 + 1.0 / 6.0]))
