"""The adaptive loop: the study of the method card, its failure case, and what always holds."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput, BrokenContract
from labeltrain.multitask.adaptive import linear_learner, run
from labeltrain.multitask.allocation import power_shares
from labeltrain.multitask.assessment import Representation, assess, whitening
from labeltrain.multitask.design import risk_bound
from labeltrain.multitask.linear import SharedLinear, alternating_least_squares
from labeltrain.multitask.methods import METHODS
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.records import Outcome
from labeltrain.multitask.relevance import lasso, least_l1, least_norm
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.sources import ArraySource
from labeltrain.multitask.synthetic import Synthetic, generate

EASY: dict[str, Any] = {"features": 8, "dimension": 3, "tasks": 10, "noise": 0.1}


def once(
    tasks: Synthetic, plan: Plan, count: int = 200, *, dimension: int | None = None
) -> Outcome:
    """Run on fresh made-up tasks."""
    tasks = tasks.again()
    return run(
        tasks, [tasks.draw_target(count)], plan, dimension=dimension or len(tasks.heads),
        known=(tasks.heads, tasks.target),
    )  # fmt: skip


def basis_of(outcome: Outcome) -> np.ndarray:
    assert isinstance(outcome.representation, SharedLinear)
    return outcome.representation.basis


def scores(seeds: Iterable[int], plan: Plan, **made: Any) -> dict[str, np.ndarray]:
    """Return what each seed comes to: part of the target missed, excess risk, share of the two."""
    found: dict[str, list[float]] = {"missed": [], "risk": [], "share": [], "nonzero": []}
    for seed in seeds:
        tasks = generate(seed, **made)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = once(tasks, plan)
        last = outcome.epochs[-1]
        assert outcome.counts.sum() == plan.budget == outcome.spent
        found["missed"].append(tasks.missed(basis_of(outcome)))
        found["risk"].append(tasks.excess_risk(basis_of(outcome) @ outcome.heads[:, 0]))
        found["share"].append(float(last.shares[:2].sum()))
        some = 0 if last.relevance is None else np.count_nonzero(np.abs(last.relevance) > 1e-9)
        found["nonzero"].append(some)
    return {name: np.array(values) for name, values in found.items()}


def test_the_study_of_made_up_tasks() -> None:  # A10 and D8
    """Relevant tasks get most of the budget, and the target is represented better for it."""
    plan = Plan("uniform", 2400, epochs=4)
    by_name = {
        name: scores(range(16), replace(plan, method=name, floor=0 if name == "uniform" else 12))
        for name in ("uniform", "l2", "l1", "known-l2", "known-l1")
    }
    missed = {name: 1e3 * float(found["missed"].mean()) for name, found in by_name.items()}
    assert missed["known-l1"] < missed["l1"] < missed["l2"] < missed["uniform"]
    assert missed["known-l1"] < missed["known-l2"] < missed["uniform"]
    # As published beside the method, within what 16 seeds can tell.
    for name, value in {"uniform": 3.19, "l2": 1.48, "l1": 0.90, "known-l1": 0.77}.items():
        assert missed[name] == pytest.approx(value, rel=0.25), name
    gained = by_name["uniform"]["missed"] - by_name["l1"]["missed"]
    assert (gained > 0).sum() >= 14
    assert by_name["l1"]["risk"].mean() < by_name["l2"]["risk"].mean()
    assert by_name["l2"]["risk"].mean() < by_name["uniform"]["risk"].mean()
    assert by_name["l1"]["share"].mean() > 0.5
    np.testing.assert_allclose(by_name["uniform"]["share"], 0.05)
    np.testing.assert_allclose(by_name["known-l1"]["share"], 0.81)
    assert (by_name["l1"]["nonzero"] <= 6).all()
    assert (by_name["l2"]["nonzero"] == 40).all()
    assert (by_name["known-l1"]["nonzero"] == 2).all()


def test_noisy_heads_mislead_but_not_under_the_guard() -> None:  # the failure case of A10
    """Heads of 20 samples with noise 1: the Lasso starves what matters; the guard mixes."""
    made: dict[str, Any] = {"features": 30, "dimension": 8, "noise": 1.0}
    plan = Plan("l1", 2400, epochs=3, floor=12, penalty="noise")
    seeds = range(100, 108)  # the guard was made on seeds 0 to 15
    uniform = scores(seeds, replace(plan, method="uniform"), **made)
    trusting = scores(seeds, replace(plan, guard=False), **made)
    guarded = scores(seeds, plan, **made)
    known = scores(seeds, replace(plan, method="known-l1"), **made)
    assert trusting["risk"].mean() > 1.1 * uniform["risk"].mean()
    assert trusting["share"].mean() < 0.2
    assert guarded["risk"].mean() < trusting["risk"].mean()
    assert guarded["risk"].mean() < 1.05 * uniform["risk"].mean()
    assert known["risk"].mean() < 0.6 * uniform["risk"].mean()


def test_the_guard_warns_and_mixes() -> None:
    tasks = generate(0, features=30, dimension=8, noise=1.0)
    with pytest.warns(UserWarning, match="too noisy to tell which source tasks matter") as told:
        outcome = once(tasks, Plan("l1", 2400, epochs=3))
    assert len(told) == 1
    assert outcome.warnings == (str(told[0].message),)
    for epoch in outcome.epochs:
        unsure = epoch.assessment.unsure
        assert unsure > 0.3
        assert not epoch.assessment.resolved
        assert epoch.uniform == pytest.approx(1 - (0.3 / unsure) ** 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trusting = once(tasks, Plan("l1", 2400, epochs=3, guard=False))
        calm = once(generate(0, **EASY), Plan("l1", 600))
        once(tasks, Plan("l2", 2400, epochs=3))
    assert trusting.epochs[0].uniform == 0.0
    assert not trusting.warnings
    assert not calm.warnings
    assert calm.epochs[-1].assessment.resolved
    least = 2400 / 3 / 40  # what mixing leaves to each task beyond the first epoch
    assert outcome.epochs[1].counts.min() > least
    assert trusting.epochs[1].counts.min() == least


def test_too_few_samples_to_know_the_noise() -> None:
    with pytest.warns(UserWarning, match="inf"):
        outcome = once(generate(0), Plan("l1", 240, epochs=3))
    assert np.isinf(outcome.epochs[0].assessment.noise)
    assert outcome.epochs[0].uniform == 1.0


def test_each_epoch_is_what_its_parts_say() -> None:
    tasks = generate(3, **EASY)
    plan = Plan("l1", 900, epochs=3, growth=2.0, floor=8, penalty=0.04, keep=0.3, uniform=0.1)
    outcome = once(tasks, plan)
    assert plan.schedule().tolist() == [129, 386, 900]
    fresh, before = tasks.again(), np.zeros(10, dtype=np.int64)
    x, y = fresh.draw_target(200)
    kept: np.ndarray | None = None
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(10)]
    for epoch, budget in zip(outcome.epochs, plan.schedule(), strict=True):
        assert epoch.counts.sum() == budget
        assert (epoch.counts >= before).all()
        np.testing.assert_allclose(epoch.shares, epoch.counts / budget)
        for m in range(10):
            parts[m].append(fresh.draw(m, int(epoch.counts[m] - before[m])))
        before = epoch.counts
        samples = Samples.of([
            (np.concatenate([p[0] for p in some]), np.concatenate([p[1] for p in some]))
            for some in parts
        ])  # fmt: skip
        basis = alternating_least_squares(samples, 3).basis
        every = np.vstack([samples.rows, x]) @ basis
        values, vectors = np.linalg.eigh(every.T @ every / len(every))
        root = vectors / np.sqrt(values)
        w = np.stack(
            [np.linalg.lstsq(u @ basis @ root, v, rcond=None)[0] for u, v in samples], axis=1
        )
        wanted = np.linalg.lstsq(x @ basis @ root, y, rcond=None)[0]
        nu = lasso(w, wanted, 0.04)
        kept = nu if kept is None else 0.3 * kept + 0.7 * nu
        assert epoch.relevance is not None
        np.testing.assert_allclose(epoch.relevance[:, 0], kept, atol=1e-4)
        assert epoch.bound == pytest.approx(float(risk_bound(epoch.counts, kept)), rel=1e-3)
        left = np.linalg.norm(w @ kept - wanted) / np.linalg.norm(wanted)
        assert epoch.residual == pytest.approx(left, abs=1e-4)
        assert epoch.smallest == pytest.approx(np.linalg.svd(w)[1][-1], rel=1e-4)
        assert epoch.penalty == 0.04
        assert epoch.uniform == 0.1
        misses = sum(((u @ basis @ root @ w[:, m] - v) ** 2).sum()
                     for m, (u, v) in enumerate(samples))  # fmt: skip
        free = budget - 3 * (8 - 3) - 3 * 10
        assert epoch.assessment.noise == pytest.approx(np.sqrt(misses / free), rel=1e-4)
    relevance, over = outcome.epochs[1].relevance, outcome.epochs[1].counts
    assert relevance is not None
    shares = 0.9 * power_shares(relevance) + 0.1 / 10
    # What was drawn is kept: the others share what it leaves, by the same rule.
    expected, kept_tasks = np.zeros(10), np.zeros(10, dtype=bool)
    while True:
        rest = 900 - over[kept_tasks].sum() - 8 * (~kept_tasks).sum()
        expected = 8 + rest * shares / shares[~kept_tasks].sum()
        expected[kept_tasks] = over[kept_tasks]
        low = expected < over
        if not low.any():
            break
        kept_tasks |= low
    assert np.abs(outcome.counts - expected).max() <= 1
    np.testing.assert_allclose(outcome.predict(x), x @ basis @ outcome.heads[:, 0], atol=1e-6)


def test_an_intercept_of_every_task() -> None:
    """Whatever is added to the values and rows of a task, the same is drawn and found."""
    tasks = generate(0, **EASY)
    rng = np.random.default_rng(0)
    parts = [tasks.draw(m, 200) for m in range(10)]
    x, y = tasks.draw_target(60)
    moved = [(u + rng.normal(size=8), v + 5 * rng.normal()) for u, v in parts]
    plan = Plan("l1", 600, epochs=3, intercept=True)
    one = run(ArraySource(parts), [(x, y)], plan, dimension=3)
    other = run(ArraySource(moved), [(x + 2.0, y - 7.0)], plan, dimension=3)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_allclose(other.predict(x + 2.0), one.predict(x) - 7.0, atol=1e-4)
    bare = run(ArraySource(parts), [(x, y)], Plan("l1", 600, epochs=3), dimension=3)
    np.testing.assert_allclose(one.predict(x), bare.predict(x), atol=0.1)
    first = one.epochs[0].predict(x)
    assert np.abs(first - one.predict(x)).max() > 1e-6
    assert float(np.mean((first - y) ** 2)) < 0.05


def test_an_epoch_of_many_tasks_is_quick() -> None:
    """Draw, learn, assess, relevance, allocate: both epochs of 100,000 samples of 200 tasks."""
    tasks = generate(0, features=100, dimension=10, tasks=200)
    target = tasks.draw_target(200)
    started = time.process_time()
    outcome = run(tasks, [target], Plan("l1", 100_000, epochs=2), dimension=10)
    spent = time.process_time() - started
    assert outcome.counts.sum() == 100_000
    assert spent < 10, [epoch.seconds for epoch in outcome.epochs]
    assert tasks.missed(basis_of(outcome)) < 2e-3


def test_the_methods_that_estimate_nothing() -> None:
    tasks = generate(0, **EASY)
    assert once(tasks, Plan("uniform", 405)).counts.tolist() == [41] * 5 + [40] * 5
    few = once(tasks, Plan("random", 400, top=4)).counts
    assert sorted(few.tolist()) == [0] * 6 + [100] * 4
    other = once(tasks, Plan("random", 400, top=4, seed=1)).counts
    assert few.tolist() != other.tolist()
    assert np.count_nonzero(once(tasks, Plan("random", 400)).counts) == 6
    alone = once(tasks, Plan("target-only", 0), 40)
    assert alone.counts.sum() == alone.spent == 0
    assert alone.heads.shape == (8, 1)
    x, y = tasks.again().draw_target(40)
    np.testing.assert_allclose(alone.heads[:, 0], np.linalg.lstsq(x, y, rcond=None)[0], atol=0.05)
    parts = [tasks.again().draw(m, 5 + m) for m in range(10)]
    found = run(ArraySource(parts), [(x, y)], Plan("all", 0), dimension=3)
    assert found.counts.tolist() == list(range(5, 15))
    assert found.epochs[0].relevance is None
    assert np.isnan(found.epochs[0].bound)


def test_known_relevance() -> None:
    tasks = generate(0, **EASY)
    outcome = once(tasks, Plan("known-l1", 400, floor=5))
    assert outcome.counts.tolist() == [5 + 245, 5 + 105] + [5] * 8
    assert outcome.epochs[0].bound == pytest.approx(0.49 / 250 + 0.09 / 110)
    assert outcome.epochs[0].residual == pytest.approx(0.0, abs=1e-9)
    square = once(tasks, Plan("known-l2", 400, floor=5)).counts
    nu = least_norm(tasks.heads, tasks.target)
    assert np.abs(square - 5 - 350 * nu**2 / (nu @ nu)).max() < 1


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"all", "target-only"}))
def test_the_same_again_and_never_more_than_there_is(method: str) -> None:
    tasks = generate(5, **EASY)
    parts = [tasks.draw(m, 30 + 5 * m) for m in range(10)]
    target = tasks.draw_target(50)
    plan = Plan(method, 400, epochs=3)

    def found() -> Outcome:
        return run(ArraySource(parts, seed=2), [target], plan, dimension=3,
                   known=(tasks.heads, tasks.target))  # fmt: skip

    one, other = found(), found()
    assert (one.counts <= 30 + 5 * np.arange(10)).all()
    assert one.counts.sum() == 400
    for a, b in zip(one.epochs, other.epochs, strict=True):
        np.testing.assert_array_equal(a.counts, b.counts)
    np.testing.assert_array_equal(one.heads, other.heads)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_tasks_does_not_matter(seed: int) -> None:
    tasks = generate(seed, **EASY)
    order = np.random.default_rng(seed).permutation(10)
    parts = [tasks.draw(m, 200) for m in range(10)]
    target = tasks.draw_target(60)

    class InTurn(ArraySource):
        """Gives samples in the order in which they lie: the same whatever number a task has."""

        def __init__(self, parts: Any) -> None:
            super().__init__(parts)
            self._orders = [np.arange(len(p[1])) for p in parts]

    plan = Plan("l1", 600, epochs=3, guard=False, penalty=0.05)
    one = run(InTurn(parts), [target], plan, dimension=3)
    other = run(InTurn([parts[m] for m in order]), [target], plan, dimension=3)
    assert np.abs(other.counts - one.counts[order]).max() <= 3  # rounding, and what follows
    first = [o.epochs[0].relevance for o in (one, other)]
    assert first[0] is not None
    np.testing.assert_allclose(first[1], first[0][order], atol=1e-4)


def test_it_does_not_matter_how_a_representation_is_written() -> None:
    rng = np.random.default_rng(0)
    tasks = generate(0, **EASY)
    samples = Samples.of([tasks.draw(m, 40) for m in range(10)])
    target = Samples.of([tasks.draw_target(60)])
    basis = alternating_least_squares(samples, 3).basis

    class Written:
        freedom = 15

        def __init__(self, q: np.ndarray) -> None:
            self.q = q

        def encode(self, rows: np.ndarray) -> np.ndarray:
            return rows @ basis @ self.q

    one = assess(Written(np.eye(3)), samples, target, 1e-10)
    for q in (rng.normal(size=(3, 3)), np.diag([1e-3, 1.0, 50.0]), np.eye(3)[:, [0, 1, 2, 0]]):
        other = assess(Written(q), samples, target, 1e-10)
        for solve in (least_norm, least_l1, lambda w, t: lasso(w, t, 0.05)):
            np.testing.assert_allclose(
                solve(other.heads, other.targets), solve(one.heads, one.targets), atol=1e-4
            )
        assert other.noise == pytest.approx(one.noise, rel=1e-6)
        assert other.unsure == pytest.approx(one.unsure, rel=1e-6)
    z = samples.rows @ basis
    white = z @ whitening(z)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(3), atol=1e-9)
    assert one.noise == pytest.approx(0.1, rel=0.15)
    length = float(np.linalg.norm(one.targets))
    assert one.unsure == pytest.approx(one.noise * np.sqrt(3 / 40) / length, rel=1e-3)


def test_a_target_that_no_source_explains() -> None:  # D10
    tasks = generate(0, **EASY)
    beyond = np.linalg.qr(tasks.basis, mode="complete")[0][:, 5]
    x, y = tasks.draw_target(4000)
    outcome = run(tasks, [(x, y + x @ beyond)], Plan("l1", 600), dimension=3)
    share = 1 / (1 + 0.58)
    assert outcome.epochs[-1].assessment.missed == pytest.approx(share, abs=0.04)
    assert outcome.counts.sum() == 600
    within = once(tasks, Plan("l1", 600), 400)
    assert within.epochs[-1].assessment.missed < 0.02


def test_several_targets_share_what_is_drawn() -> None:
    tasks = generate(0, **EASY)
    x, y = tasks.draw_target(200)
    u, _ = tasks.draw_target(200)
    own = tasks.basis @ tasks.heads[:, 5]
    rng = np.random.default_rng(0)
    both = [(x, y), (u, u @ own + 0.1 * rng.normal(size=200))]
    wanted = np.column_stack([tasks.target, tasks.heads[:, 5]])
    for method in ("l1", "optimal", "l2"):
        outcome = run(tasks.again(), both, Plan(method, 900, epochs=3), dimension=3)
        assert outcome.heads.shape == (3, 2)
        relevance = outcome.epochs[-1].relevance
        assert relevance is not None
        assert relevance.shape == (10, 2)
        for t, direction in enumerate((tasks.basis @ tasks.target, own)):
            found = basis_of(outcome) @ outcome.heads[:, t]
            assert float(((found - direction) ** 2).sum()) < 0.005
        if method != "l2":
            assert outcome.epochs[-1].shares[[0, 1, 5]].sum() > 0.5
    known = run(
        tasks.again(), both, Plan("known-l1", 1000, floor=0), dimension=3,
        known=(tasks.heads, wanted),
    )  # fmt: skip
    assert known.counts.tolist() == [350, 150, 0, 0, 0, 500, 0, 0, 0, 0]


def test_dear_tasks_and_few_tasks() -> None:
    tasks = generate(0, **EASY)
    costs = (4.0, 1.0, *[2.0] * 8)
    outcome = once(tasks, Plan("known-l1", 1000, floor=0, costs=costs))
    assert outcome.counts[2:].sum() == 0
    assert outcome.counts[:2].tolist() == [206, 176]  # 0.7 / 2 to 0.3 / 1
    assert outcome.spent == 1000
    adaptive = once(tasks, Plan("l1", 1500, epochs=3, costs=costs))
    assert 1496 <= adaptive.spent <= 1500
    top = once(tasks, Plan("l2", 900, epochs=3, top=2, floor=0))
    first, last = top.epochs[0].counts, top.counts
    assert np.count_nonzero(last - top.epochs[1].counts) <= 2
    assert first.tolist() == [30] * 10


def test_a_learner_of_ones_own() -> None:
    tasks = generate(0, **EASY)
    asked: list[tuple[int, Representation | None, float]] = []
    linear = linear_learner(3)

    def learner(
        samples: Samples, rng: np.random.Generator, previous: Representation | None
    ) -> Representation:
        asked.append((len(samples.rows), previous, float(rng.random())))
        return linear(samples, rng, previous)

    outcome = run(
        tasks, [tasks.draw_target(60)], Plan("l1", 600, epochs=3), dimension=3, learner=learner
    )
    assert [a[0] for a in asked] == [200, 400, 600]
    assert asked[0][1] is None
    assert asked[2][1] is not None
    assert len({a[2] for a in asked}) == 3
    assert outcome.representation is not asked[2][1]


class Short(ArraySource):
    """Says that it has more than it gives."""

    def draw(self, task: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows, values = super().draw(task, count)
        return rows[:-1], values[:-1]


def test_a_source_that_gives_too_little() -> None:
    tasks = generate(0, **EASY)
    parts = [tasks.draw(m, 50) for m in range(10)]
    with pytest.raises(BrokenContract, match="task 0 gave 39 samples of 40"):
        run(Short(parts), [tasks.draw_target(9)], Plan("uniform", 400), dimension=3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Plan("l3", 10), "unknown method 'l3'"),
        (lambda: Plan("l1", -1), "budget"),
        (lambda: Plan("l1", 10, epochs=0), "epochs"),
        (lambda: Plan("l1", 10, growth=0.0), "growth"),
        (lambda: Plan("l1", 10, floor=-1), "floor"),
        (lambda: Plan("l1", 10, uniform=1.1), "uniform"),
        (lambda: Plan("l1", 10, keep=1.0), "keep"),
        (lambda: Plan("l1", 10, penalty="best"), "penalty"),
        (lambda: Plan("l1", 10, penalty=0.0), "penalty"),
        (lambda: Plan("l1", 10, unexplained=1.0), "unexplained"),
        (lambda: Plan("l1", 10, top=0), "top"),
        (lambda: Plan("l1", 10, power=-1.0), "power"),
        (lambda: once(generate(0), Plan("l1", 100)), "first epoch has 25"),
        (lambda: once(generate(0), Plan("l1", 900, floor=12)), "12 samples each"),
        (lambda: once(generate(0), Plan("l1", 900), 1), "target 0 has 1 samples"),
        (lambda: once(generate(0), Plan("l1", 900), dimension=21), "dimension=21"),
        (lambda: once(generate(0), Plan("all", 0)), "no end"),
        (lambda: once(generate(0), Plan("l1", 900, costs=(1.0,))), "costs of shape"),
        (lambda: run(generate(0), [generate(0).draw_target(9)], Plan("known-l1", 900),
                     dimension=3), "true heads of 40"),
        (lambda: run(ArraySource([(np.ones((9, 3)), np.ones(9))] * 3), [(np.ones((9, 3)),
                     np.ones(9))], Plan("l1", 90), dimension=2), "all samples of all"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_drawn(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()
