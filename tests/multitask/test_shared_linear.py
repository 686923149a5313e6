"""Shared linear representations: made-up tasks with a proof, exact recovery, slow twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput
from labeltrain.multitask.linear import (
    SharedLinear,
    alternating_descent,
    alternating_least_squares,
    basis_for,
    heads_of,
    left_out_head,
    spectral_start,
)
from labeltrain.multitask.relevance import least_l1, least_norm
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.sources import ArraySource
from labeltrain.multitask.synthetic import Synthetic, generate

SEEDS = st.integers(0, 10**6)
LEARNERS: list[Callable[..., SharedLinear]] = [alternating_least_squares, alternating_descent]


def drawn(tasks: Synthetic, count: int) -> Samples:
    return Samples.of([tasks.draw(m, count) for m in range(tasks.heads.shape[1])])


# -- made-up tasks ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(1, 3))
def test_the_proof_of_the_known_relevance(seed: int, some: int, more: int) -> None:  # A10, D8
    rng = np.random.default_rng(seed)
    parts = rng.uniform(0.2, 1, size=some) * rng.choice([-1, 1], size=some)
    tasks = generate(seed, features=12, dimension=some + more, tasks=25, relevant=parts.tolist())
    np.testing.assert_allclose(tasks.basis.T @ tasks.basis, np.eye(some + more), atol=1e-12)
    np.testing.assert_allclose(tasks.heads @ tasks.relevance, tasks.target, atol=1e-12)
    bounds = np.abs(tasks.heads.T @ tasks.dual)
    np.testing.assert_allclose(bounds[:some], 1.0)
    assert (bounds[some:] < 0.8).all()
    assert tasks.target @ tasks.dual == pytest.approx(np.abs(tasks.relevance).sum())
    np.testing.assert_allclose(np.linalg.norm(tasks.heads[:, some:], axis=0), 0.9)
    if np.linalg.matrix_rank(tasks.heads) == some + more:
        np.testing.assert_allclose(least_l1(tasks.heads, tasks.target), tasks.relevance, atol=1e-9)


def test_samples_do_not_depend_on_how_they_are_drawn() -> None:
    one, other = generate(3), generate(3).again()
    x, y = one.draw(5, 7)
    one.draw(6, 2)
    other.draw(6, 1)
    parts = [other.draw(5, 3), other.draw(5, 4)]
    np.testing.assert_array_equal(x, np.concatenate([p[0] for p in parts]))
    np.testing.assert_array_equal(y, np.concatenate([p[1] for p in parts]))
    assert np.abs(generate(4).draw(5, 7)[0] - x).max() > 0.1
    assert np.isinf(one.available).all()


def test_scores_of_made_up_tasks() -> None:
    tasks = generate(0, noise=0.5)
    own = tasks.basis @ tasks.target
    assert tasks.missed(tasks.basis) == pytest.approx(0.0, abs=1e-20)
    assert tasks.missed(np.linalg.qr(tasks.basis, mode="complete")[0][:, 6:]) == pytest.approx(0.58)
    assert tasks.excess_risk(own) == 0.0
    x, y = tasks.draw_target(200_000)
    assert float(np.mean((y - x @ own) ** 2)) == pytest.approx(0.25, rel=0.02)
    miss = own + 0.3 * np.eye(20)[0]
    assert float(np.mean((y - x @ miss) ** 2)) - 0.25 == pytest.approx(
        tasks.excess_risk(miss), abs=0.01
    )


# -- samples ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_compressed_samples_say_the_same_to_least_squares(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 15, size=4)
    samples = Samples.of([(rng.normal(size=(n, d)), rng.normal(size=n)) for n in counts])
    small = samples.compressed()
    assert (np.diff(small.starts) == np.minimum(counts, d + 1)).all()
    np.testing.assert_array_equal(small.counts, counts)
    for (x, y), (u, v) in zip(samples, small, strict=True):
        np.testing.assert_allclose(u.T @ u, x.T @ x, atol=1e-9)
        np.testing.assert_allclose(u.T @ v, x.T @ y, atol=1e-9)
        assert v @ v == pytest.approx(y @ y, abs=1e-9)
    assert small.compressed() is small
    np.testing.assert_array_equal(samples.owners, np.repeat(np.arange(4), counts))


def test_a_source_of_arrays_gives_each_sample_once() -> None:
    parts = [(np.arange(10.0)[:, None], np.arange(10.0)), (np.ones((2, 1)), np.ones(2))]
    source, other = ArraySource(parts, seed=1), ArraySource(parts, seed=1)
    first = [source.draw(0, 3)[1], source.draw(0, 7)[1]]
    assert sorted(np.concatenate(first).tolist()) == list(range(10))
    other.draw(1, 2)
    np.testing.assert_array_equal(other.draw(0, 10)[1], np.concatenate(first))
    assert source.available.tolist() == [10, 2]
    assert not np.array_equal(ArraySource(parts, seed=2).draw(0, 10)[1], np.concatenate(first))
    with pytest.raises(BadInput, match="1 more samples of task 0"):
        source.draw(0, 1)


# -- learners --------------------------------------------------------------------------------------


@pytest.mark.parametrize("learn", LEARNERS)
def test_without_noise_everything_is_found(learn: Callable[..., SharedLinear]) -> None:  # D9
    tasks = generate(1, features=15, dimension=4, tasks=12, noise=0.0)
    found = learn(drawn(tasks, 40), 4, ridge=1e-12, tolerance=1e-10)
    projector = tasks.basis @ tasks.basis.T
    missed = projector @ found.basis @ found.basis.T - projector
    assert np.linalg.norm(missed) < 1e-6
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(4), atol=1e-12)
    x, y = tasks.draw_target(30)
    wanted = np.linalg.lstsq(found.encode(x), y, rcond=None)[0]
    assert tasks.excess_risk(found.basis @ wanted) < 1e-6
    for solve in (least_norm, least_l1):
        nu = solve(found.heads, wanted)
        np.testing.assert_allclose(nu, solve(tasks.heads, tasks.target), atol=1e-6)
    assert found.error < 1e-12
    assert found.freedom == 4 * 11


@pytest.mark.parametrize("learn", LEARNERS)
def test_fewer_samples_than_features(learn: Callable[..., SharedLinear]) -> None:
    tasks = generate(0, features=60, dimension=2, tasks=60, noise=0.01)
    found = learn(drawn(tasks, 30), 2)
    assert tasks.missed(found.basis) < 1e-3
    blind = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 2)))[0]
    assert tasks.missed(blind) > 0.4


def kronecker(heads: np.ndarray, samples: Samples, penalty: float = 0.0) -> np.ndarray:
    """Solve the normal equations of the basis by writing them out."""
    d, k = samples.rows.shape[1], len(heads)
    whole, right = np.zeros((d * k, d * k)), np.zeros(d * k)
    for m, (x, y) in enumerate(samples):
        w = heads[:, m]
        whole += np.kron(np.outer(w, w), x.T @ x + penalty * len(y) * np.eye(d))
        right += np.kron(w, x.T @ y)
    return np.linalg.solve(whole, right).reshape(k, d).T


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.3]))
def test_the_basis_solves_its_normal_equations(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    samples = Samples.of([(rng.normal(size=(n, 4)), rng.normal(size=n)) for n in (9, 5, 12, 3, 7)])
    heads = rng.normal(size=(2, 5))
    slowly = kronecker(heads, samples, penalty)
    found = np.linalg.qr(rng.normal(size=(4, 2)))[0]
    second = samples.rows.T @ samples.rows / len(samples.rows)
    factor = np.linalg.inv(second + penalty * np.eye(4))
    for _ in range(12):  # each call leaves a fiftieth of the error
        found = basis_for(heads, found, samples, factor, penalty)
    np.testing.assert_allclose(found, slowly, atol=1e-7 * max(1.0, float(np.abs(slowly).max())))


def test_a_penalty_helps_where_samples_are_fewer_than_the_basis_has_numbers() -> None:
    missed = []
    for seed in range(4):
        tasks = generate(seed, features=60, dimension=3, tasks=12, noise=0.5)
        samples = drawn(tasks, 30)
        missed.append([tasks.missed(alternating_least_squares(samples, 3, ridge=r).basis)
                       for r in (1e-8, 0.3)])  # fmt: skip
    free, held = np.mean(missed, axis=0)
    assert held < 0.9 * free


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_a_penalty_is_rows_that_say_nothing(seed: int) -> None:
    """A ridge penalty is ordinary least squares with d more rows a task, of the value 0."""
    rng = np.random.default_rng(seed)
    parts = [(rng.normal(size=(n, 4)), rng.normal(size=n)) for n in (9, 5, 12, 3, 7)]
    samples = Samples.of(parts)
    scale = float((samples.rows**2).mean())
    found = alternating_least_squares(samples, 2, ridge=0.3, tolerance=1e-10, steps=400)
    longer = Samples.of([
        (np.vstack([x, np.sqrt(0.3 * scale * len(y)) * np.eye(4)]), np.append(y, np.zeros(4)))
        for x, y in parts
    ])  # fmt: skip
    other = alternating_least_squares(
        longer, 2, ridge=1e-14, tolerance=1e-10, steps=400, start=found.basis
    )
    np.testing.assert_allclose(found.basis @ found.heads, other.basis @ other.heads, atol=1e-5)


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_it_ends_where_its_slow_twin_ends(seed: int) -> None:
    tasks = generate(seed, features=6, dimension=2, tasks=8, noise=0.2)
    samples = drawn(tasks, 20)
    found = alternating_least_squares(samples, 2, tolerance=1e-9, steps=300)
    basis = spectral_start(samples, 2)
    for _ in range(200):
        heads = np.stack([np.linalg.lstsq(x @ basis, y, rcond=None)[0] for x, y in samples], axis=1)
        basis = np.linalg.qr(kronecker(heads, samples))[0]
    np.testing.assert_allclose(found.basis @ found.basis.T, basis @ basis.T, atol=1e-4)
    slow = np.mean([np.mean((y - x @ basis @ heads[:, m]) ** 2)
                    for m, (x, y) in enumerate(samples)])  # fmt: skip
    assert found.error == pytest.approx(slow, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_both_learners_agree_where_tasks_have_as_many_samples(seed: int) -> None:
    tasks = generate(seed, features=6, dimension=2, tasks=8, noise=0.1)
    samples = drawn(tasks, 40)
    one, other = (learn(samples, 2, tolerance=1e-9) for learn in LEARNERS)
    np.testing.assert_allclose(one.basis @ one.basis.T, other.basis @ other.basis.T, atol=1e-4)
    assert one.error == pytest.approx(other.error, rel=1e-6)


def test_the_order_of_tasks_does_not_matter() -> None:
    tasks = generate(0, features=8, dimension=3, tasks=10)
    parts = list(drawn(tasks, 25))
    order = np.random.default_rng(0).permutation(10)
    one = alternating_least_squares(Samples.of(parts), 3, tolerance=1e-9)
    other = alternating_least_squares(Samples.of([parts[m] for m in order]), 3, tolerance=1e-9)
    np.testing.assert_allclose(one.basis @ one.basis.T, other.basis @ other.basis.T, atol=1e-6)
    np.testing.assert_allclose(
        one.basis @ one.heads[:, order], other.basis @ other.heads, atol=1e-6
    )
    again = alternating_least_squares(Samples.of(parts), 3, tolerance=1e-9)
    np.testing.assert_array_equal(one.basis, again.basis)


def test_heads_by_hand() -> None:
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(n, 5)), rng.normal(size=n)) for n in (8, 0, 2, 1)]
    basis = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    found = heads_of(basis, Samples.of(parts), 0.1)
    for m, (x, y) in enumerate(parts):
        z = x @ basis
        whole = z.T @ z + (0.1 * len(y) if len(y) else 1.0) * np.eye(2)
        np.testing.assert_allclose(found[:, m], np.linalg.solve(whole, z.T @ y), atol=1e-12)
    short = heads_of(basis, Samples.of([parts[3]]), 1e-9)[:, 0]  # one sample, two numbers
    z = parts[3][0] @ basis
    np.testing.assert_allclose(short, np.linalg.lstsq(z, parts[3][1], rcond=None)[0], atol=1e-6)


def test_the_head_with_the_least_error_of_left_out_samples() -> None:
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(12, 5)), rng.normal(size=12)
    penalties = np.array([0.01, 0.3, 2.0, 50.0])
    slow = []
    for penalty in penalties:
        misses = []
        for i in range(12):
            rest = np.arange(12) != i
            whole = z[rest].T @ z[rest] + penalty * np.eye(5)
            misses.append(y[i] - z[i] @ np.linalg.solve(whole, z[rest].T @ y[rest]))
        slow.append(np.mean(np.square(misses)))
    head, error = left_out_head(z, y, penalties)
    best = penalties[int(np.argmin(slow))]
    assert error == pytest.approx(min(slow))
    np.testing.assert_allclose(head, np.linalg.solve(z.T @ z + best * np.eye(5), z.T @ y))


def test_left_out_samples_leave_the_intercept_too() -> None:
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(12, 5)) + 2.0, rng.normal(size=12) - 3.0
    misses = []
    for i in range(12):
        rest = np.arange(12) != i
        u, v = z[rest] - z[rest].mean(axis=0), y[rest] - y[rest].mean()
        head = np.linalg.solve(u.T @ u + 0.7 * np.eye(5), u.T @ v)
        misses.append(y[i] - y[rest].mean() - (z[i] - z[rest].mean(axis=0)) @ head)
    samples = Samples.of([(z, y)]).centred()
    _, error = left_out_head(samples.rows, samples.values, np.array([0.7]), centred=True)
    assert error == pytest.approx(np.mean(np.square(misses)))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Samples.of([]), "no source tasks"),
        (lambda: Samples.of([(np.ones((2, 3)), np.ones(2)), (np.ones((2, 4)), np.ones(2))]),
         "task 1 has rows"),
        (lambda: Samples.of([(np.ones((2, 3)), np.ones(3))]), "task 0 has 2 rows"),
        (lambda: Samples.of([(np.ones((2, 1)), np.array([1, np.nan]))]),
         "sample 1 of task 0"),
        (lambda: alternating_least_squares(Samples.of([(np.ones((2, 3)), np.ones(2))]), 2),
         "dimension=2"),
        (lambda: alternating_descent(Samples.of([(np.ones((0, 3)), np.ones(0))]), 1), "no samples"),
        (lambda: generate(0, relevant=(0.5, 0.0)), "relevant"),
        (lambda: generate(0, dimension=1), "2 relevant tasks"),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()
