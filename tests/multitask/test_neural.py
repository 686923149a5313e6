"""Networks as representations, and relevance by steps on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput
from labeltrain.multitask.adaptive import linear_learner, run
from labeltrain.multitask.assessment import assess
from labeltrain.multitask.linear import SharedLinear, heads_of
from labeltrain.multitask.lookahead import RATES, by_steps, steps_from
from labeltrain.multitask.neural import NeuralLearner, NeuralRepresentation
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.sources import ArraySource
from labeltrain.multitask.synthetic import generate


def bent(seed: int, tasks: int = 8, samples: int = 150, noise: float = 0.1) -> dict[str, Any]:
    """Return tasks on |x_0|, |x_1| and |x_2|: no linear representation expresses any of them."""
    rng = np.random.default_rng(seed)
    heads = np.zeros((3, tasks))
    heads[:, :2] = [[1, 0], [0, 1], [0, 0]]  # what the target is made of
    heads[2, 2:] = rng.choice([-1.0, 1.0], tasks - 2)
    target = np.array([0.7, 0.3, 0.0])

    def drawn(head: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, 5))
        return x, np.abs(x[:, :3]) @ head + noise * rng.normal(size=count) + 2.0

    return {
        "sources": ArraySource([drawn(heads[:, m], samples * 4) for m in range(tasks)]),
        "samples": Samples.of([drawn(heads[:, m], samples) for m in range(tasks)]),
        "target": drawn(target, 60),
        "test": drawn(target, 2000),
    }


SMALL: dict[str, Any] = {"width": 64, "steps": 2000}


def test_a_network_expresses_what_no_linear_map_does() -> None:
    made = bent(0)
    errors = {}
    for name, learner in (("linear", linear_learner(3)), ("mlp", NeuralLearner(3, **SMALL))):
        plan = Plan("uniform", 1600, intercept=True)
        outcome = run(made["sources"], [made["target"]], plan, dimension=3, learner=learner)
        made = bent(0)
        rows, values = made["test"]
        errors[name] = float(((outcome.predict(rows) - values) ** 2).mean())
    assert errors["mlp"] < 0.3 * errors["linear"]
    assert errors["mlp"] < 0.15


def test_relevance_by_refitted_heads_of_a_network() -> None:
    made = bent(1)
    representation = NeuralLearner(3, **SMALL)(made["samples"], np.random.default_rng(0), None)
    seen = assess(representation, made["samples"], Samples.of([made["target"]]), 1e-8,
                  intercept=True)  # fmt: skip
    assert representation.noise == seen.noise
    assert 0.1 < seen.noise < 0.35  # above the labels' own, and not by much
    nu = np.abs(Plan("l1", 10).how.relevance(seen.heads, seen.targets, 0.05, np.ones(8))[:, 0])
    assert nu[:2].sum() > 0.8 * nu.sum()
    nu = by_steps(representation, made["samples"], Samples.of([made["target"]]), intercept=True)
    assert nu.shape == (8, 1)
    assert nu[:2].sum() > 0.8 * nu.sum()


@pytest.mark.parametrize("method", ["l1", "l2", "affinity"])
def test_the_loop_with_a_network_spends_on_what_matters(method: str) -> None:
    made = bent(2)
    outcome = run(
        made["sources"], [made["target"]], Plan(method, 2000, epochs=3, intercept=True),
        dimension=3, learner=NeuralLearner(3, **SMALL),
    )  # fmt: skip
    assert outcome.counts.sum() == 2000
    assert outcome.counts[:2].sum() > 0.4 * 2000
    again = bent(2)
    same = run(
        again["sources"], [again["target"]], Plan(method, 2000, epochs=3, intercept=True),
        dimension=3, learner=NeuralLearner(3, **SMALL),
    )  # fmt: skip
    assert same.counts.tolist() == outcome.counts.tolist()
    np.testing.assert_array_equal(same.predict(made["test"][0]), outcome.predict(made["test"][0]))


def test_the_next_epoch_begins_where_the_last_one_ended() -> None:
    made = bent(3)
    learner = NeuralLearner(3, width=16, steps=600)
    first = learner(made["samples"], np.random.default_rng(0), None)
    rows = made["test"][0][:50]
    before = first.encode(rows)
    still = NeuralLearner(3, width=16, steps=19, learning_rate=1e-12)
    second = still(made["samples"], np.random.default_rng(1), first)
    np.testing.assert_allclose(second.encode(rows), before, atol=1e-5)
    np.testing.assert_array_equal(first.encode(rows), before)  # and is not changed by it
    assert learner(made["samples"], np.random.default_rng(0), first).noise < 1.1 * first.noise


def test_images() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((300, 8, 6, 1)) * 0.2
    bright = rng.random(300) < 0.5
    images[bright, :4] += 0.5  # a bar above
    images[~bright, 4:] += 0.5
    samples = Samples.of([(images.reshape(300, -1), bright.astype(float))] * 2)
    found = NeuralLearner(4, "cnn", (8, 6, 1), width=32, steps=200)(samples, rng, None)
    assert found.noise < 0.2
    assert found.encode(np.zeros((0, 48))).shape == (0, 4)
    one = found.encode(samples.rows[:7])
    np.testing.assert_allclose(one, found.encode(samples.rows)[:7], atol=1e-5)


def test_it_ends_when_left_out_samples_gain_no_more() -> None:
    rng = np.random.default_rng(0)
    nothing = Samples.of([(rng.normal(size=(300, 4)), rng.normal(size=300)) for _ in range(2)])
    short = NeuralLearner(2, width=32, steps=5000, patience=40)(nothing, rng, None)
    assert short.steps < 200  # there is only noise to be learned
    assert 0.7 < short.noise < 1.4
    some = NeuralLearner(2, width=32, steps=7)(bent(0)["samples"], rng, None)
    assert some.steps <= 7


def test_the_state_of_torch_is_left_alone() -> None:
    made = bent(4)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    NeuralLearner(2, width=8, steps=5)(made["samples"], np.random.default_rng(0), None)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: NeuralLearner(3, "rnn"), "network='rnn'"),
        (lambda: NeuralLearner(0), "dimension=0"),
        (lambda: NeuralLearner(3, width=True), "width=True"),
        (lambda: NeuralLearner(3, learning_rate=0.0), "learning_rate"),
        (lambda: NeuralLearner(3, weight_decay=-1.0), "weight_decay"),
        (lambda: NeuralLearner(3, "cnn"), "shape"),
        (lambda: NeuralLearner(3, "cnn", (4, 4, 1), width=12), "multiple of 8"),
        (lambda: NeuralLearner(3, "cnn", (4, 4, 1), width=16)(
            bent(0)["samples"], np.random.default_rng(0), None), "no images of shape"),
        (lambda: NeuralLearner(3)(Samples.of([(np.ones((1, 2)), np.ones(1))]),
                                  np.random.default_rng(0), None), "1 samples"),
    ],
)  # fmt: skip
def test_what_makes_no_network(call: Any, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        call()


# -- relevance by steps ----------------------------------------------------------------------------


def test_a_step_of_a_linear_representation_is_that_of_its_slow_twin() -> None:
    rng = np.random.default_rng(0)
    rows, values, head = rng.normal(size=(20, 5)), rng.normal(size=20), rng.normal(size=3)
    start = SharedLinear(np.linalg.qr(rng.normal(size=(5, 3)))[0], np.ones((3, 1)), 0.0, 0)
    basis = torch.from_numpy(start.basis).requires_grad_()
    loss = ((torch.from_numpy(rows) @ basis @ torch.from_numpy(head)
             - torch.from_numpy(values)) ** 2).mean()  # fmt: skip
    loss.backward()
    stepped = start.stepped(rows, values, head, 0.1)
    np.testing.assert_allclose(stepped.basis, start.basis - 0.1 * basis.grad.numpy(), atol=1e-12)


def test_a_step_of_a_network_is_that_of_its_slow_twin() -> None:
    """By finite differences of the loss along the step."""
    made = bent(0, samples=40)
    start = NeuralLearner(3, width=16, steps=50)(made["samples"], np.random.default_rng(0), None)
    rows, values = made["target"]
    head, rate = np.array([0.5, -1.0, 0.3]), 1e-3

    def loss(of: NeuralRepresentation) -> float:
        return float(((of.encode(rows) @ head - values) ** 2).mean())

    before = start.encode(rows)
    stepped = start.stepped(rows, values, head, rate)
    np.testing.assert_array_equal(start.encode(rows), before)
    moved = sum(
        float(((a - b) ** 2).sum().detach())
        for a, b in zip(start.network.parameters(), stepped.network.parameters(), strict=True)
    )
    # Down the slope: the loss falls by rate |slope|^2 = moved / rate, to first order.
    assert loss(start) - loss(stepped) == pytest.approx(moved / rate, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_relevance_by_steps_is_that_of_its_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tasks = generate(seed % 97, features=6, dimension=2, tasks=5, noise=0.2)
    sources = Samples.of([tasks.draw(m, 30) for m in range(5)])
    target = Samples.of([tasks.draw_target(25)])
    start = SharedLinear(np.linalg.qr(rng.normal(size=(6, 2)))[0], np.ones((2, 5)), 0.0, 0)
    found = steps_from(start, sources, target, 1e-3, intercept=False)[:, 0]

    def ridge(rows: np.ndarray, values: np.ndarray, scale: float) -> np.ndarray:
        z = rows @ start.basis
        return np.linalg.solve(z.T @ z + 1e-3 * scale * len(z) * np.eye(2), z.T @ values)

    def scaled(samples: Samples) -> float:
        return float(((samples.rows @ start.basis) ** 2).mean())

    heads = [ridge(*part, scaled(sources)) for part in sources]
    (rows, values), own = next(iter(target)), ridge(*next(iter(target)), scaled(target))

    def errors(basis_of: Any) -> list[float]:
        return [float(((x @ basis_of(m) @ heads[m] - y) ** 2).mean())
                for m, (x, y) in enumerate(sources)]  # fmt: skip

    def stepped(m: int, rate: float) -> np.ndarray:
        x, y = list(sources)[m]
        slope = 2 / len(x) * x.T @ np.outer(x @ start.basis @ heads[m] - y, heads[m])
        return start.basis - rate * slope

    best, rate = np.mean(errors(lambda _: start.basis)), 0.0
    for one in RATES:
        error = np.mean(errors(lambda m, one=one: stepped(m, one)))
        if error < best:
            best, rate = error, float(one)
    before = ((rows @ start.basis @ own - values) ** 2).mean()
    for m in range(5):
        after = ((rows @ stepped(m, rate) @ own - values) ** 2).mean()
        assert found[m] == pytest.approx(max(0.0, 1 - after / before), abs=1e-9)


def test_a_task_without_samples_has_no_relevance_and_order_does_not_matter() -> None:
    tasks = generate(3, features=6, dimension=2, tasks=4, noise=0.2)
    parts = [tasks.draw(m, 40) for m in range(4)]
    parts[1] = (np.zeros((0, 6)), np.zeros(0))
    target = Samples.of([tasks.draw_target(30), tasks.draw_target(20)])
    start = SharedLinear(np.linalg.qr(np.random.default_rng(1).normal(size=(6, 2)))[0],
                         np.ones((2, 4)), 0.0, 0)  # fmt: skip
    found = by_steps(start, Samples.of(parts), target, intercept=True)
    assert found.shape == (4, 2)
    assert (found[1] == 0).all()
    assert (found >= 0).all()
    turned = by_steps(start, Samples.of(parts[::-1]), target, intercept=True)
    np.testing.assert_allclose(turned[::-1], found, atol=1e-12)
    with pytest.raises(BadInput, match="takes no steps"):
        by_steps(object(), Samples.of(parts), target)


def test_an_intercept_is_a_feature_that_is_always_one() -> None:
    """Centred encodings are what an unpenalised intercept leaves."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) + 5.0
    y = x @ [1.0, -2.0, 0.5] + 7.0 + 0.1 * rng.normal(size=40)
    samples = Samples.of([(x, y)])
    representation = SharedLinear(np.eye(3), np.ones((3, 1)), 0.0, 0)
    seen = assess(representation, samples, samples, 0.0, intercept=True)
    both = np.column_stack([x, np.ones(40)])
    weights = np.linalg.lstsq(both, y, rcond=None)[0]
    white = heads_of(np.eye(3), Samples.of([(x - x.mean(axis=0), y - y.mean())]), 0.0)[:, 0]
    np.testing.assert_allclose(white, weights[:3], atol=1e-9)
    predicted = (x - seen.centres[0][0]) @ white + seen.centres[1][0]
    np.testing.assert_allclose(predicted, both @ weights, atol=1e-9)
