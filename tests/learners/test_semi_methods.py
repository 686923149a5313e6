"""Semi-supervised methods: values worked out by hand, and plain references on random inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from labeltrain.errors import BadInput
from labeltrain.learners.semi.fixmatch import FixMatch
from labeltrain.learners.semi.flexmatch import FlexMatch
from labeltrain.learners.semi.freematch import FreeMatch
from labeltrain.learners.semi.mean_teacher import MeanTeacher
from labeltrain.learners.semi.pseudo_label import PseudoLabel
from labeltrain.learners.semi.softmatch import SoftMatch
from labeltrain.learners.semi.uda import UDA
from labeltrain.learners.semi.weighting import Batch, Weighting

METHODS = (PseudoLabel, FixMatch, FlexMatch, FreeMatch, SoftMatch, UDA, MeanTeacher)


def batch(q: Any, rows: Any = None, progress: float = 1.0) -> Batch:
    weak = torch.tensor(q, dtype=torch.float32)
    there = torch.arange(len(weak)) if rows is None else torch.tensor(rows)
    return Batch(weak, there, progress)


def random_batches(seed: int, n: int = 200, k: int = 40, classes: int = 4) -> list[Batch]:
    """Predictions that get more confident from step to step."""
    rng = np.random.default_rng(seed)
    found = []
    for step in range(12):
        logits = rng.normal(size=(k, classes)) * (0.5 + step)
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
        found.append(batch(q, rng.permutation(n)[:k], step / 11))
    return found


# -- by hand -----------------------------------------------------------------------------------


def test_fixmatch_by_hand() -> None:
    targets, weights = FixMatch(0.9).targets(batch([[0.95, 0.05], [0.2, 0.8], [0.1, 0.9]]))
    assert weights.tolist() == [1.0, 0.0, 1.0]
    assert targets.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    loss = FixMatch().losses(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2.0)))


def test_flexmatch_uses_every_item_at_first() -> None:
    method = FlexMatch(0.95)
    method.begin(3, 100, "cpu")
    _, weights = method.targets(batch([[0.34, 0.33, 0.33], [0.4, 0.3, 0.3]]))
    assert weights.tolist() == [1.0, 1.0]


def test_flexmatch_asks_the_whole_threshold_of_a_class_that_is_learned() -> None:
    method = FlexMatch(0.8)
    method.begin(2, 4, "cpu")
    method.targets(batch([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]]))
    # Three items of class 0, none of class 1, one unused: beta is 1 and 0.
    _, weights = method.targets(batch([[0.81, 0.19], [0.79, 0.21], [0.49, 0.51], [0.3, 0.7]]))
    assert weights.tolist() == [1.0, 0.0, 1.0, 1.0]
    method.targets(batch([[0.1, 0.9]], [3]))
    # Now beta of class 1 is 1/3: M(1/3) = (1/3) / (5/3) = 0.2, the threshold 0.16.
    assert method.counts.tolist() == [3, 1, 0]


def test_flexmatch_keeps_the_last_confident_class() -> None:
    method = FlexMatch(0.8)
    method.begin(2, 3, "cpu")
    method.targets(batch([[0.9, 0.1], [0.1, 0.9]], [0, 1]))
    method.targets(batch([[0.6, 0.4], [0.85, 0.15]], [0, 1]))  # doubt changes nothing
    assert method.held.tolist() == [0, 0, 2]
    assert method.counts.tolist() == [2, 0, 1]


def test_freematch_after_the_first_step() -> None:
    method = FreeMatch(momentum=0.9)
    method.begin(2, 10, "cpu")
    _, weights = method.targets(batch([[0.9, 0.1], [0.3, 0.7]]))
    assert method.level.item() == pytest.approx(0.9 * 0.5 + 0.1 * 0.8)  # 0.53
    np.testing.assert_allclose(method.mean.numpy(), [0.9 * 0.5 + 0.1 * 0.6, 0.9 * 0.5 + 0.04])
    assert weights.tolist() == [1.0, 1.0]
    _, weights = method.targets(batch([[0.52, 0.48], [0.45, 0.55]]))
    assert weights[0] == 0.0  # 0.52 is below the level, and class 0 leads


def test_freematch_fairness_by_hand() -> None:
    method = FreeMatch(momentum=0.5, fairness=1.0)
    method.begin(2, 10, "cpu")
    method.targets(batch([[0.8, 0.2], [0.6, 0.4]]))
    # mean 0.5*0.5+0.5*[0.7,0.3] = [0.6,0.4]; histogram 0.25+[0.5,0] = [0.75,0.25]
    wanted = np.array([0.6 / 0.75, 0.4 / 0.25])
    wanted /= wanted.sum()
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(1.5)], [9.0, 0.0]])
    strong = np.array([[0.75, 0.25], [0.4, 0.6]])  # the third does not count
    found = strong.mean(axis=0) / np.array([0.5, 0.5])
    found /= found.sum()
    value = method.extra(logits, torch.tensor([1.0, 1.0, 0.0]))
    assert value.item() == pytest.approx(float((wanted * np.log(found)).sum()), rel=1e-5)
    assert method.extra(logits, torch.zeros(3)) == 0.0


def test_softmatch_by_hand() -> None:
    method = SoftMatch(momentum=0.0, deviations=2.0)
    method.begin(2, 10, "cpu")
    q = [[0.9, 0.1], [0.7, 0.3], [0.8, 0.2]]
    _, weights = method.targets(batch(q))  # mean 0.8, unbiased deviation 0.1
    assert weights.tolist() == pytest.approx([1.0, math.exp(-2.0), 1.0], rel=1e-4)


def test_uda_by_hand() -> None:
    targets, weights = UDA(0.7, temperature=0.5, ramp=0.5).targets(
        batch([[0.8, 0.2], [0.6, 0.4]], progress=0.25)
    )
    np.testing.assert_allclose(targets[0].numpy(), [0.64 / 0.68, 0.04 / 0.68], rtol=1e-6)
    assert weights.tolist() == [0.5, 0.0]


def test_mean_teacher_by_hand() -> None:
    method = MeanTeacher(ramp=0.4)
    targets, weights = method.targets(batch([[0.8, 0.2]], progress=0.2))
    np.testing.assert_allclose(targets.numpy(), [[0.8, 0.2]], rtol=1e-6)
    assert weights.item() == pytest.approx(math.exp(-5 * 0.25))
    assert method.losses(torch.zeros(1, 2), targets).item() == pytest.approx(2 * 0.3**2)


def test_pseudo_label_by_hand() -> None:
    _, weights = PseudoLabel(0.9, ramp=0.5).targets(batch([[0.95, 0.05], [0.5, 0.5]], progress=0.1))
    assert weights.tolist() == pytest.approx([0.2, 0.0])
    assert PseudoLabel.trains_weak


# -- plain references --------------------------------------------------------------------------


def one_hots(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[labels]


@pytest.mark.parametrize("seed", range(5))
def test_flexmatch_equals_a_recount_of_everything(seed: int) -> None:
    method = FlexMatch(0.8)
    method.begin(4, 200, "cpu")
    held = np.full(200, -1)
    for step in random_batches(seed):
        q = step.weak.numpy()
        sigma = np.array([(held == c).sum() for c in range(4)])
        beta = sigma / max(sigma.max(), (held == -1).sum())
        best, label = q.max(axis=1), q.argmax(axis=1)
        expected = best >= np.float32(0.8) * (beta / (2 - beta))[label]
        sure = best >= np.float32(0.8)
        held[step.rows.numpy()[sure]] = label[sure]
        targets, weights = method.targets(step)
        np.testing.assert_array_equal(weights.numpy() > 0, expected)
        np.testing.assert_array_equal(targets.numpy(), one_hots(label, 4))
        assert method.counts.tolist() == [*((held == c).sum() for c in range(4)), (held < 0).sum()]


@pytest.mark.parametrize("seed", range(5))
def test_freematch_equals_the_formulas(seed: int) -> None:
    m = 0.9
    method = FreeMatch(m, fairness=0.5)
    method.begin(4, 200, "cpu")
    level, mean, histogram = 0.25, np.full(4, 0.25), np.full(4, 0.25)
    rng = np.random.default_rng(seed)
    for step in random_batches(seed):
        q = step.weak.numpy().astype(float)
        best, label = q.max(axis=1), q.argmax(axis=1)
        level = m * level + (1 - m) * best.mean()
        mean = m * mean + (1 - m) * q.mean(axis=0)
        histogram = m * histogram + (1 - m) * np.bincount(label, minlength=4) / len(q)
        expected = best >= level * mean[label] / mean.max()
        _, weights = method.targets(step)
        assert (weights.numpy() > 0).tolist() == expected.tolist()
        logits = rng.normal(size=q.shape)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        p = p[expected]
        if len(p):
            now = np.bincount(p.argmax(axis=1), minlength=4) / len(p)
            wanted = mean / histogram
            found = np.divide(p.mean(axis=0), now, out=np.zeros(4), where=now > 0)
            value = (wanted / wanted.sum() * np.log(found / found.sum() + 1e-12)).sum()
            extra = method.extra(torch.tensor(logits, dtype=torch.float32), weights)
            assert float(extra) == pytest.approx(0.5 * value, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_softmatch_equals_the_formulas(seed: int) -> None:
    m = 0.9
    method = SoftMatch(m, 2.0)
    method.begin(4, 200, "cpu")
    level, variance = 0.25, 1.0
    for step in random_batches(seed):
        q = step.weak.numpy().astype(float)
        best = q.max(axis=1)
        level = m * level + (1 - m) * best.mean()
        variance = m * variance + (1 - m) * best.var(ddof=1)
        expected = np.exp(-(np.minimum(best - level, 0) ** 2) * 4.0 / (2 * variance))
        targets, weights = method.targets(step)
        np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-4)
        np.testing.assert_array_equal(targets.numpy(), one_hots(q.argmax(axis=1), 4))


@pytest.mark.parametrize("cls", METHODS)
def test_the_loss_of_an_item_equals_its_definition(cls: type[Weighting]) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(30, 4)) * 3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = rng.dirichlet(np.ones(4), size=30)
    if cls is MeanTeacher:
        expected = ((p - targets) ** 2).sum(axis=1)
    else:
        expected = -(targets * np.log(p)).sum(axis=1)
    found = cls().losses(torch.tensor(logits), torch.tensor(targets))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("cls", METHODS)
def test_the_gradient_equals_finite_differences_and_is_not_zero(cls: type[Weighting]) -> None:
    rng = np.random.default_rng(1)
    method = cls()
    method.begin(3, 20, "cpu")
    q = rng.dirichlet(np.full(3, 0.05), size=20)
    targets, weights = method.targets(batch(q))
    logits = torch.tensor(rng.normal(size=(20, 3)), requires_grad=True)

    def value(z: Any) -> Any:
        return (weights.double() * method.losses(z, targets.double())).mean()

    value(logits).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() > 1e-4
    for i, c in ((0, 0), (7, 2), (19, 1)):
        step = torch.zeros(20, 3, dtype=torch.float64)
        step[i, c] = 1e-6
        rise = (value(logits + step) - value(logits - step)).item() / 2e-6
        assert logits.grad[i, c].item() == pytest.approx(rise, abs=1e-7)


@pytest.mark.parametrize("cls", METHODS)
def test_parameters_out_of_range_are_refused(cls: type[Weighting]) -> None:
    for option in ("threshold", "momentum", "ramp", "fairness"):
        if option in cls.__init__.__code__.co_varnames:
            with pytest.raises(BadInput, match=option):
                cls(**{option: 1.5})
            with pytest.raises(BadInput, match=option):
                cls(**{option: "much"})
