"""Continual learning: the numbers of the method card, and the laws of replay."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from labeltrain.kernels.replay_coverage import covering, median_distance, similarities
from labeltrain.learners import Training
from labeltrain.learners.continual.baselines import examples_of
from labeltrain.learners.continual.bodies import FeatureBody
from labeltrain.learners.continual.er import ER
from labeltrain.learners.continual.losses import dark, divergence, new_share, replayed, scaled
from labeltrain.learners.continual.mir import MIR, interference
from labeltrain.learners.continual.sd import SD
from labeltrain.learners.continual.sds2 import SDS2
from labeltrain.learners.continual.training import Plan, Replay, optimiser_of, scaled_rate, train
from labeltrain.learners.continual.variant import Now
from labeltrain.learners.mlp import perceptron


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def a_label(value: int) -> torch.Tensor:
    return torch.tensor([value])


def test_the_share_of_new_items() -> None:  # D11
    assert new_share(100, 100) == 0.5
    assert new_share(100, 300) == 0.25
    assert new_share(100, 0) == 1.0


NEW = row(math.log(math.exp(-0.5) / (1 - math.exp(-0.5))), 0.0)  # its cross-entropy is 0.5


def test_losses_of_one_example() -> None:  # D12
    z, g = row(2.0, 0.0), row(0.0, 0.0)
    new, zero = NEW, a_label(0)
    assert float(functional.cross_entropy(new, zero)) == pytest.approx(0.5)
    assert float(divergence(g, z)) == pytest.approx(0.32781, abs=1e-5)

    def sd(share: float) -> float:
        return float(scaled(new, zero, g, zero, z, share=share, alpha=0.25))

    assert sd(0.5) == pytest.approx(0.55091, abs=1e-5)
    assert sd(0.25) == pytest.approx(0.57636, abs=1e-5)
    whole = dark(new, zero, g, zero, z, alpha=0.1, beta=1.0)
    assert float(whole) == pytest.approx(1.59315, abs=1e-5)
    mean = dark(new, zero, g, zero, z, alpha=0.1, beta=1.0, released=True)
    assert float(mean) == pytest.approx(1.39315, abs=1e-5)
    assert float(replayed(new, zero, g, zero)) == pytest.approx(0.59657, abs=1e-5)


def test_the_divergence_of_equal_outputs_is_zero_but_not_as_released() -> None:  # D13
    z = row(2.0, 0.0)
    g = z.clone().requires_grad_()
    found = divergence(g, z).sum()
    found.backward()
    assert float(found.detach()) == pytest.approx(0.0, abs=1e-7)
    np.testing.assert_allclose(g.grad.numpy(), 0.0, atol=1e-7)  # type: ignore[union-attr]
    assert float(divergence(z, z, released=True)) == pytest.approx(-0.57768, abs=1e-5)


class Logistic(torch.nn.Module):
    """p = sigmoid(w x), as two logits."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros(len(x)), self.w * x], dim=1)


def a_now(
    network: Any, optimiser: Any, inputs: torch.Tensor, labels: torch.Tensor, new: list[int],
    **more: Any,
) -> Now:  # fmt: skip
    old = np.setdiff1d(np.arange(len(inputs)), new)
    given: dict[str, Any] = {
        "old": old, "count": 1, "step": 0, "released": False, "rng": np.random.default_rng(0),
        **more,
    }  # fmt: skip
    return Now(
        network, optimiser, lambda rows: inputs[torch.from_numpy(rows)],
        lambda batch: (batch.reshape(len(batch), -1), network(batch)), labels,
        np.array(new), **given,
    )  # fmt: skip


HISTORY = (torch.tensor([1.0, 1.0, 2.0, -1.0, 1.0]), torch.tensor([1, 0, 0, 0, 1]))


def test_interference() -> None:  # D14; the last item is the new one
    network = Logistic()
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    now = a_now(network, optimiser, *HISTORY, [4])
    rises = interference(now, np.arange(4))
    np.testing.assert_allclose(rises, [-0.2191, 0.2809, 0.6201, -0.2191], atol=1e-4)
    assert network.w.item() == 0.0
    assert MIR(candidates=4).chosen(now).tolist() == [2]
    now.count = 2
    assert set(MIR(candidates=4).chosen(now).tolist()) == {1, 2}
    assert now.trained == 3
    assert now.looked_at == 3 * 2 * 4


def test_the_released_choice_is_drawn() -> None:
    network = Logistic()
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    now = a_now(network, optimiser, *HISTORY, [4], released=True)
    counts = np.zeros(4)
    for _ in range(2000):
        counts[MIR(candidates=4).chosen(now)] += 1
    weights = np.exp([-0.2191, 0.2809, 0.6201, -0.2191])
    expected = 2000 * weights / weights.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # 99.9 % of chi-square with 3


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_a_trial_step_leaves_nothing_behind(kind: str) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.5),
        torch.nn.Linear(8, 2),
    )  # fmt: skip
    x, y = torch.randn(30, 3), torch.randint(2, (30,))
    if kind == "sgd":
        optimiser: Any = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    else:
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
    functional.cross_entropy(network(x), y).backward()
    optimiser.step()

    def everything() -> list[torch.Tensor]:
        held = [v.clone() for v in network.state_dict().values()]
        for state in optimiser.state_dict()["state"].values():
            held += [v.clone() for v in state.values() if isinstance(v, torch.Tensor)]
        return [*held, torch.get_rng_state()]

    before = everything()
    now = a_now(network, optimiser, x, y, [0, 1, 2], count=4)
    interference(now, np.arange(3, 30))
    for one, other in zip(before, everything(), strict=True):
        assert torch.equal(one, other)
    assert network.training
    assert all(p.grad is None for p in network.parameters())


POINTS = np.array([(0, 0), (0, 0.1), (3, 0), (3, 0.1), (0, 4)], dtype=float)
UNSURE = np.array([0.1, 0.5, 0.2, 0.2, 0.05])


def value_of(w: np.ndarray, h: np.ndarray, weight: float, chosen: Any) -> float:
    some = list(chosen)
    return float(w[:, some].max(axis=1).sum() + weight * math.log1p(h[some].sum()))


@pytest.mark.parametrize(
    ("weight", "value", "chosen"), [(0, 4.99002, None), (1, 5.54964, {1, 2, 4}),
                                    (50, 36.08820, {1, 2, 3})],
)  # fmt: skip
def test_submodular_choice(weight: float, value: float, chosen: set[int] | None) -> None:  # D15
    w = similarities(POINTS, 1.0)
    picks, gains = covering(w, UNSURE, weight, 3)
    assert value_of(w, UNSURE, weight, picks) == pytest.approx(value, abs=1e-4)
    assert gains.sum() == pytest.approx(value, abs=1e-4)
    best = max(value_of(w, UNSURE, weight, some) for some in itertools.combinations(range(5), 3))
    assert value == pytest.approx(best, abs=1e-4)
    assert chosen is None or set(picks.tolist()) == chosen
    if weight == 1:
        np.testing.assert_allclose(gains, [2.4231, 2.0980, 1.0285], atol=1e-4)


def slowly(
    w: np.ndarray, h: np.ndarray, weight: float, count: int
) -> tuple[list[int], list[float]]:
    """Choose by writing the objective out for every candidate."""
    picks: list[int] = []
    gains: list[float] = []
    for _ in range(count):
        now = value_of(w, h, weight, picks) if picks else 0.0
        rest = [j for j in range(len(w)) if j not in picks]
        best = max(rest, key=lambda j: (round(value_of(w, h, weight, [*picks, j]) - now, 9), -j))
        gains.append(value_of(w, h, weight, [*picks, best]) - now)
        picks.append(best)
    return picks, gains


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10**6), st.floats(0, 20))
def test_the_choice_is_that_of_its_slow_twin(n: int, seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    w, h = similarities(rng.normal(size=(n, 3)), 1.3), rng.random(n)
    count = int(rng.integers(1, n + 1))
    picks, gains = covering(w, h, weight, count)
    slow, slow_gains = slowly(w, h, weight, count)
    assert picks.tolist() == slow
    np.testing.assert_allclose(gains, slow_gains, atol=1e-8)
    assert (np.diff(gains) <= 1e-9).all()
    assert len(set(picks.tolist())) == count


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 14), st.integers(0, 10**6))
def test_ties_go_to_the_lowest_position(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 2, size=(n, 2)).astype(float)  # many are the same
    w, h = similarities(points, 1.0), np.full(n, 0.5)
    picks, _ = covering(w, h, 1.0, n)
    assert picks.tolist() == slowly(w, h, 1.0, n)[0]


def test_similarities_and_the_median_distance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 4)) + 1e3
    apart = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.testing.assert_allclose(similarities(x, 0.7), np.exp(-(apart**2) / (2 * 0.49)), atol=1e-9)
    upper = apart[np.triu_indices(7, 1)]
    assert median_distance(x) == pytest.approx(np.median(upper), rel=1e-9)
    assert median_distance(np.ones((3, 2))) == 1.0


# -- laws of the loop ------------------------------------------------------------------------------


def a_body(x: np.ndarray, y: np.ndarray, layers: int = 0) -> tuple[FeatureBody, torch.Tensor]:
    """Return a linear softmax, or a perceptron, with the items as its inputs."""
    torch.manual_seed(1)
    training = Training(x.astype(np.float32), np.arange(len(x)), y, int(y.max()) + 1)
    network = perceptron(x.shape[1], 16, layers, 0.0, training.classes)
    mean, deviation = np.zeros(x.shape[1], np.float32), np.ones(x.shape[1], np.float32)
    return FeatureBody(training, mean, deviation, network, "cpu"), torch.from_numpy(y)


class Spy(ER):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[set[int], set[int], list[int]]] = []

    def chosen(self, now: Now) -> np.ndarray:
        found = super().chosen(now)
        self.asked.append((set(now.new.tolist()), set(now.old.tolist()), found.tolist()))
        return found


@pytest.mark.parametrize(("old", "count"), [(30, 8), (5, 8), (1, 1)])
def test_only_old_items_are_replayed(old: int, count: int) -> None:  # D16
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(old + 20, 3)), rng.integers(2, size=old + 20)
    body, labels = a_body(x, y)
    spy = Spy()
    rows = np.arange(old, old + 20)
    plan = Plan(rows, 3, 7, 1e-2, 0.0)
    replay = Replay(spy, np.arange(old), count, torch.full((old + 20, 2), math.nan), 20, old)
    report = train(body, labels, plan, rng, replay)
    assert len(spy.asked) == report.steps == 3 * 3
    for new, some, again in spy.asked:
        assert new <= set(rows.tolist())
        assert some == set(range(old))
        assert len(again) == len(set(again)) == min(count, old)
        assert set(again) <= some
    for epoch in range(3):
        passed = [new for new, _, _ in spy.asked[3 * epoch : 3 * epoch + 3]]
        assert set.union(*passed) == set(rows.tolist())
    assert report.examples == 3 * 20 + 9 * min(count, old)
    assert report.replayed == 9 * min(count, old)


def test_examples_of_the_published_settings() -> None:  # D17
    def ratio(b: int, rounds: int, batch: int, replay: int, epochs: int) -> tuple[int, int]:
        scratch = sum(100 * b * t for t in range(1, rounds + 1))
        continual = 100 * b + (rounds - 1) * examples_of(b, b, epochs, batch, replay)
        return scratch, continual

    assert ratio(2500, 10, 20, 40, 40) == (13_750_000, 2_950_000)
    # The card counts parts of batches; here a round's last batch has its whole replay.
    fashion = ratio(3500, 6, 64, 128, 40)
    assert fashion == (7_350_000, 350_000 + 5 * 40 * (3500 + 55 * 128))
    assert 350_000 + 5 * 40 * (3500 + 3500 / 64 * 128) == 2_450_000
    skin = ratio(350, 10, 128, 128, 20)
    assert skin == (1_925_000, 35_000 + 9 * 20 * (350 + 3 * 128))
    assert pytest.approx(11.957, abs=1e-3) == 1_925_000 / (35_000 + 9 * 20 * (350 + 350))


def test_the_rate_of_sgd_goes_with_the_step() -> None:  # D18
    plan = Plan(np.arange(40), 1, 20, 0.02, 0.0, "sgd")
    assert scaled_rate(plan, 40) == pytest.approx(0.06)
    assert scaled_rate(Plan(np.arange(40), 1, 20, 0.02, 0.0), 40) == 0.02
    body, _ = a_body(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    assert optimiser_of(body, plan, 0.06).param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(("kind", "first"), [("sgd", 0.06), ("adamw", 0.02)])
def test_training_steps_at_the_scaled_rate(
    monkeypatch: pytest.MonkeyPatch, kind: str, first: float
) -> None:  # D18
    rates: list[float] = []
    cls = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind]
    step = cls.step

    def watched(self: Any, *given: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(cls, "step", watched)
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    body, labels = a_body(rng.normal(size=(80, 2)), y)
    targets = torch.full((80, 2), torch.nan)
    replay = Replay(ER(), np.arange(40), 40, targets, 40, 40)
    train(body, labels, Plan(np.arange(40, 80), 2, 20, 0.02, 0.0, kind), rng, replay)
    expected = [first * 0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    assert rates == pytest.approx(expected)


def test_without_replay_it_forgets() -> None:  # D19
    rng = np.random.default_rng(0)
    means = np.array([(3, 0), (-3, 0), (0, 3), (0, -3)], dtype=float)
    y = np.repeat(np.arange(4), 100)
    x = means[y] + 0.7 * rng.normal(size=(400, 2))
    first, second = np.arange(200), np.arange(200, 400)

    def accuracy(body: FeatureBody, rows: np.ndarray) -> float:
        with torch.no_grad():
            found = body.network(body.inputs(rows)).argmax(dim=1).numpy()
        return float((found == y[rows]).mean())

    def rounds(replay: bool) -> tuple[float, float, float]:
        body, labels = a_body(x, y)
        train(body, labels, Plan(first, 100, 20, 0.1, 0.0, "sgd"), rng)
        before = accuracy(body, first)
        none = torch.full((400, 4), math.nan)
        again = Replay(ER(), first, 20, none, 200, 200) if replay else None
        train(body, labels, Plan(second, 300, 20, 0.1, 0.0, "sgd"), rng, again)
        return before, accuracy(body, first), accuracy(body, second)

    before, after, _ = rounds(replay=False)
    assert before > 0.98
    assert after < 0.8
    _, kept, learned = rounds(replay=True)
    assert kept > 0.95
    assert learned > 0.95


def test_without_distillation_the_gradient_is_that_of_all_labels() -> None:  # D20
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(9, 3)), rng.integers(3, size=9)
    body, labels = a_body(x, y)
    new, old = range(3), range(3, 9)
    inputs = body.inputs(np.arange(9))

    def gradient(loss: Any) -> np.ndarray:
        body.network.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in body.network.parameters()]).numpy().copy()  # type: ignore[union-attr]

    expected = gradient(functional.cross_entropy(body.network(inputs), labels))
    total = np.zeros_like(expected)
    for i, j in itertools.product(new, old):  # all pairs of batches of one: the mean, exactly
        logits = body.network(inputs)
        total += gradient(
            SD(alpha=0.0).loss(
                logits[[i]], labels[[i]], logits[[j]], labels[[j]], logits[[j]].detach(),
                new_share(3, 6), False,
            )
        )  # fmt: skip
    np.testing.assert_allclose(total / 18, expected, atol=1e-6)


def test_the_choice_is_kept_for_some_steps() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(60, 3)).astype(np.float32))
    network = torch.nn.Linear(3, 2)
    now = a_now(network, None, x, torch.zeros(60, dtype=torch.int64), [0], count=5)
    variant = SDS2(candidates=20, refresh=3)
    found = [variant.chosen(now).tolist() for _ in range(7)]
    assert found[0] == found[1] == found[2] != found[3]
    assert found[3] == found[5] != found[6]
    assert now.looked_at == 3 * 20
    variant.begin()
    assert variant._kept is None


@pytest.mark.parametrize(("variant", "forwards"), [(MIR(), 2), (SDS2(), 1)])
def test_by_default_there_are_twice_as_many_to_choose_from(variant: Any, forwards: int) -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(90, 3)).astype(np.float32))
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    now = a_now(network, optimiser, x, torch.zeros(90, dtype=torch.int64), [0, 1], count=30)
    found = variant.chosen(now)
    assert len(set(found.tolist())) == 30
    assert now.looked_at == forwards * 60
    now.count = 60  # there are 88
    variant.begin()
    assert len(variant.chosen(now)) == 60
    assert now.looked_at == forwards * (60 + 88)


def test_the_submodular_choice_reads_what_the_paper_says_or_what_was_released() -> None:
    x = torch.tensor([[0.0, 9.0], [0.0, -9.0], [1.0, 9.0], [1.0, -9.0], [0.1, 9.0], [0.0, 0.0]])

    class First(torch.nn.Module):
        """Logits that see the first feature only."""

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return torch.stack([5.0 * batch[:, 0], torch.zeros(len(batch))], dim=1)

    def chosen(released: bool) -> set[int]:
        labels = torch.zeros(6, dtype=torch.int64)
        now = a_now(First(), None, x, labels, [5], count=2, released=released)
        return set(SDS2(candidates=5, sigma=0.5, weight=0.0).chosen(now).tolist())

    hidden = chosen(released=False)
    assert {x[i, 1].item() for i in hidden} == {9.0, -9.0}
    logits = chosen(released=True)
    assert {round(x[i, 0].item()) for i in logits} == {0, 1}
