"""Losses, gradients and updates of whole trainings against a slow reference in numpy.

The real loop runs; a spy keeps the views it asked for, the loss it went back from, the gradient
that reached the optimiser, and the rates. The reference is written from the papers and the
documentation: it keeps its own running state and takes gradients by finite differences.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.learners import Training, make
from labeltrain.learners.networks.noisy_student import NoisyStudent
from labeltrain.learners.semi.fixmatch import FixMatch
from labeltrain.learners.semi.learner import FeatureSource
from labeltrain.learners.semi.methods import METHODS
from labeltrain.learners.semi.training import Settings, train

Arrays = list[np.ndarray]

# -- the spy -----------------------------------------------------------------------------------


@dataclass
class Seen:
    """What one step of the real loop did."""

    asked: dict[str, tuple[np.ndarray, np.ndarray]]  # rows and views by kind
    passes: list[np.ndarray]  # what dropout let through in training mode
    before: Arrays
    rates: list[float]
    decay: float
    loss: float = math.nan
    gradient: Arrays | None = None
    after: Arrays | None = None


@dataclass
class Log:
    steps: list[Seen] = field(default_factory=list)
    asked: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    passes: list[np.ndarray] = field(default_factory=list)

    def note(self, kind: str, rows: np.ndarray, views: Any) -> Any:
        self.asked[kind] = np.array(rows), views.detach().double().numpy().copy()
        return views


@contextmanager
def watched(log: Log) -> Iterator[None]:
    """Keep what the optimiser is given and what it does."""
    plain, back = torch.optim.AdamW, torch.Tensor.backward

    class Spy(plain):  # type: ignore[misc, valid-type]
        def _now(self, what: Callable[[Any], Any]) -> Arrays:
            parameters = [p for group in self.param_groups for p in group["params"]]
            return [what(p).detach().double().numpy().copy() for p in parameters]

        def zero_grad(self, set_to_none: bool = True) -> None:
            rates = [group["lr"] for group in self.param_groups for _ in group["params"]]
            decay = self.param_groups[0]["weight_decay"]
            before = self._now(lambda p: p)
            log.steps.append(Seen(dict(log.asked), list(log.passes), before, rates, decay))
            log.asked.clear()
            log.passes.clear()
            super().zero_grad(set_to_none)

        def step(self, closure: Any = None) -> None:
            log.steps[-1].gradient = self._now(lambda p: p.grad)
            super().step()
            log.steps[-1].after = self._now(lambda p: p)

    def backward(self: Any, *args: Any, **options: Any) -> None:
        log.steps[-1].loss = float(self.detach())
        back(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Spy)
        patch.setattr(torch.Tensor, "backward", backward)
        yield


class Noisy:
    """Items with a little noise in weak views, much in strong ones; not a number in some calls."""

    def __init__(
        self, own: np.ndarray, others: np.ndarray, log: Log, breaks_at: frozenset[int] = frozenset()
    ) -> None:
        self.own, self.others = torch.from_numpy(own), torch.from_numpy(others)
        self.log, self.breaks_at = log, breaks_at
        self.strong_calls = 0

    def labelled(self, rows: np.ndarray) -> Any:
        return self.log.note("labelled", rows, self._near(self.own[rows], 0.1))

    def weak(self, rows: np.ndarray) -> Any:
        return self.log.note("weak", rows, self._near(self.others[rows], 0.1))

    def strong(self, rows: np.ndarray) -> Any:
        self.strong_calls += 1
        views = self._near(self.others[rows], 1.0)
        if self.strong_calls - 1 in self.breaks_at:
            views = views * math.nan
        return self.log.note("strong", rows, views)

    def _near(self, items: Any, noise: float) -> Any:
        return items + noise * torch.randn_like(items)


def linear_network(inputs: int, classes: int, drop: float, log: Log) -> Any:
    """Return dropout and a linear map in double precision; training passes are kept."""

    def kept(module: Any, _: Any, output: Any) -> None:
        if module.training:
            log.passes.append(output.detach().numpy().copy())

    dropout = torch.nn.Dropout(drop)
    dropout.register_forward_hook(kept)
    return torch.nn.Sequential(dropout, torch.nn.Linear(inputs, classes).double())


# -- the reference: methods --------------------------------------------------------------------


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def over(values: np.ndarray, histogram: np.ndarray) -> np.ndarray:
    """Return values over a histogram, scaled to sum 1; 0 where a bin is empty."""
    parts = [v / h if h > 0.0 else 0.0 for v, h in zip(values, histogram, strict=True)]
    return np.array(parts) / sum(parts)


class Plain:
    """One method as its paper has it, with its running state."""

    trains = "strong"
    teacher = False
    judges = True

    def __init__(self, classes: int, unlabelled: int, options: Mapping[str, Any]) -> None:
        self.classes, self.unlabelled, self.options = classes, unlabelled, options
        self.begin()

    def begin(self) -> None:
        """Set the running state to its beginning."""

    def weigh(
        self, q: np.ndarray, rows: np.ndarray, progress: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and weights."""
        raise NotImplementedError

    def distances(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the cross-entropy of each item."""
        pairs = zip(targets, log_softmax(logits), strict=True)
        return np.array([-sum(t * g for t, g in zip(*pair, strict=True)) for pair in pairs])

    def extra(self, logits: np.ndarray, weights: np.ndarray) -> float:
        return 0.0

    def ramp(self, progress: float) -> float:
        share = self.options["ramp"]
        return 1.0 if share == 0.0 or progress >= share else progress / share

    def hard(self, q: np.ndarray) -> np.ndarray:
        targets = np.zeros(q.shape)
        for i, row in enumerate(q):
            targets[i, np.argmax(row)] = 1.0
        return targets


class PlainFixMatch(Plain):
    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        return self.hard(q), np.array([float(max(r) >= self.options["threshold"]) for r in q])


class PlainPseudoLabel(Plain):
    trains = "weak"

    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        sure = np.array([float(max(r) >= self.options["threshold"]) for r in q])
        return self.hard(q), sure * self.ramp(progress)


class PlainUDA(Plain):
    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        sure = np.array([float(max(r) >= self.options["threshold"]) for r in q])
        sharp = softmax(np.log(q) / self.options["temperature"])
        return sharp, sure * self.ramp(progress)


class PlainFlexMatch(Plain):
    def begin(self) -> None:
        self.last = [-1] * self.unlabelled

    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        tau = self.options["threshold"]
        sigma = [self.last.count(c) for c in range(self.classes)]
        most = max(*sigma, self.last.count(-1))
        weights = []
        for row in q:
            beta = sigma[int(np.argmax(row))] / most
            weights.append(float(max(row) >= tau * beta / (2.0 - beta)))
        for row, item in zip(q, rows, strict=True):
            if max(row) >= tau:
                self.last[item] = int(np.argmax(row))
        return self.hard(q), np.array(weights)


class PlainFreeMatch(Plain):
    def begin(self) -> None:
        self.level = 1.0 / self.classes
        self.share = np.full(self.classes, 1.0 / self.classes)
        self.histogram = np.full(self.classes, 1.0 / self.classes)

    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        m = self.options["momentum"]
        self.level = m * self.level + (1 - m) * np.mean([max(row) for row in q])
        self.share = m * self.share + (1 - m) * q.mean(axis=0)
        self.histogram = m * self.histogram + (1 - m) * self.hard(q).mean(axis=0)
        thresholds = self.level * self.share / max(self.share)
        weights = [float(max(row) >= thresholds[np.argmax(row)]) for row in q]
        return self.hard(q), np.array(weights)

    def extra(self, logits: np.ndarray, weights: np.ndarray) -> float:
        p = softmax(logits)[weights > 0]
        if len(p) == 0:
            return 0.0
        now = self.hard(p).mean(axis=0)
        wanted = over(self.share, self.histogram)
        found = over(p.mean(axis=0), now)
        return float(self.options["fairness"] * np.sum(wanted * np.log(found + 1e-12)))


class PlainSoftMatch(Plain):
    def begin(self) -> None:
        self.level, self.variance = 1.0 / self.classes, 1.0

    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        m, n = self.options["momentum"], self.options["deviations"]
        best = np.array([max(row) for row in q])
        self.level = m * self.level + (1 - m) * best.mean()
        if len(best) > 1:
            unbiased = ((best - best.mean()) ** 2).sum() / (len(best) - 1)
            self.variance = m * self.variance + (1 - m) * unbiased
        weights = [
            1.0 if b >= self.level else math.exp(-(((b - self.level) * n) ** 2) / 2 / self.variance)
            for b in best
        ]
        return self.hard(q), np.array(weights)


class PlainMeanTeacher(Plain):
    teacher = True

    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        return q, np.full(len(q), math.exp(-5.0 * (1.0 - self.ramp(progress)) ** 2))

    def distances(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return ((softmax(logits) - targets) ** 2).sum(axis=1)


class PlainNoisyStudent(Plain):
    judges = False

    def weigh(self, q: Any, rows: Any, progress: float) -> Any:
        return self.options["table"][rows], np.ones(len(rows))


PLAIN: dict[str, type[Plain]] = {
    "pseudo-label": PlainPseudoLabel,
    "fixmatch": PlainFixMatch,
    "flexmatch": PlainFlexMatch,
    "freematch": PlainFreeMatch,
    "softmatch": PlainSoftMatch,
    "uda": PlainUDA,
    "mean-teacher": PlainMeanTeacher,
    "noisy-student": PlainNoisyStudent,
}
# Such that after a few steps some items count and others do not, and ramps are seen.
OPTIONS: dict[str, dict[str, Any]] = {
    "pseudo-label": {"threshold": 0.7, "ramp": 0.6},
    "fixmatch": {"threshold": 0.7},
    "flexmatch": {"threshold": 0.8},
    "freematch": {"momentum": 0.8, "fairness": 0.5},
    "softmatch": {"momentum": 0.7, "deviations": 2.0},
    "uda": {"threshold": 0.7, "temperature": 0.4, "ramp": 0.6},
    "mean-teacher": {"ramp": 0.6},
    "noisy-student": {},
}
NAMES = list(PLAIN)


def test_every_method_has_a_reference() -> None:
    assert {*METHODS, NoisyStudent.name} == set(NAMES)


# -- the reference: a training -----------------------------------------------------------------


@dataclass
class Oracle:
    """The training of a linear network, step by step."""

    plain: Plain | None
    labels: np.ndarray
    unlabelled: int
    settings: Settings
    class_weights: np.ndarray
    teacher: Arrays
    drop: float = 0.0
    scales: tuple[float, ...] = (1.0, 1.0)
    exact: bool = True  # the network computes in double precision
    offset: np.ndarray | float = 0.0

    def __post_init__(self) -> None:
        classes = self.teacher[0].shape[0]
        self.mean = np.full(classes, 1.0 / classes)
        self.first = [np.zeros(part.shape) for part in self.teacher]
        self.second = [np.zeros(part.shape) for part in self.teacher]
        self.updates = 0
        self.weights: list[np.ndarray] = []

    def rate(self, number: int) -> float:
        s = self.settings
        fall = (1.0 + math.cos(math.pi * number / max(1, s.steps - 1))) / 2.0
        rise = 1.0
        if s.warmup > 0.0 and number + 1 < s.warmup * s.steps:
            rise = (number + 1) / (s.warmup * s.steps)
        return rise * s.learning_rate * (s.final_rate + (1.0 - s.final_rate) * fall)

    def check(self, number: int, seen: Seen, slower: float = 1.0) -> None:
        """Compare a step with what it should have been."""
        expected = [scale * slower * self.rate(number) for scale in self.scales]
        assert seen.rates == pytest.approx(expected, rel=1e-9)
        assert seen.decay == self.settings.weight_decay
        loss = self._loss(number, seen)
        assert seen.loss == pytest.approx(loss(seen.before), rel=1e-5, abs=2e-6)
        gradient = differences(loss, seen.before)
        norm = math.sqrt(sum((part**2).sum() for part in gradient))
        if norm > self.settings.clip:
            gradient = [part * self.settings.clip / norm for part in gradient]
        assert seen.gradient is not None
        for found, wanted in zip(seen.gradient, gradient, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=3e-6)
        self._update(number, seen)

    def _loss(self, number: int, seen: Seen) -> Callable[[Arrays], float]:
        s, plain = self.settings, self.plain
        rows, views = seen.asked["labelled"]
        assert len(rows) == len(set(rows.tolist())) == min(s.batch, len(self.labels))
        chosen = self.labels[rows]
        shown = self._dropped(views, seen.passes, 0)
        parts = self.class_weights[chosen]

        def supervised(weights: Arrays) -> float:
            logs = log_softmax(answer(weights, shown) + self.offset)
            total = sum(-w * row[y] for w, row, y in zip(parts, logs, chosen, strict=True))
            return float(total / parts.sum())

        if plain is None or self.unlabelled == 0 or s.weight == 0.0:
            assert set(seen.asked) == {"labelled"}
            assert len(seen.passes) in (0, 1)
            return supervised
        needed = {plain.trains} | ({"weak"} if plain.judges else set())
        assert set(seen.asked) == {"labelled"} | needed
        items, views = seen.asked[plain.trains]
        assert len(items) == len(set(items.tolist())) == min(s.batch * s.ratio, self.unlabelled)
        q = None
        if plain.judges:
            assert seen.asked["weak"][0].tolist() == items.tolist()
            judge = self.teacher if plain.teacher else seen.before
            q = self._aligned(softmax(answer(judge, seen.asked["weak"][1])))
        progress = number / (s.steps - 1) if s.steps > 1 else 0.0
        targets, weights = plain.weigh(q, items, progress)  # type: ignore[arg-type]
        if not plain.judges:
            targets = self._aligned(targets)
        self.weights.append(weights)
        learned = self._dropped(views, seen.passes, 1)
        assert len(seen.passes) in (0, 2)

        def whole(theta: Arrays) -> float:
            logits = answer(theta, learned)
            each = weights * plain.distances(logits, targets)
            beside = s.weight * sum(each) / len(items)
            return supervised(theta) + float(beside) + plain.extra(logits, weights)

        return whole

    def _aligned(self, q: np.ndarray) -> np.ndarray:
        wanted = self.settings.alignment
        if wanted is None:
            return q
        self.mean = 0.97 * self.mean + 0.03 * q.mean(axis=0)
        moved = q * wanted / self.mean
        return moved / moved.sum(axis=1, keepdims=True)

    def _dropped(self, views: np.ndarray, passes: list[np.ndarray], which: int) -> np.ndarray:
        """Return the views with the mask that dropout drew for this pass."""
        if self.drop == 0.0:
            return views
        return views * (passes[which] != 0.0) / (1.0 - self.drop)

    def _update(self, number: int, seen: Seen) -> None:
        """Adam with decoupled weight decay, from the gradient that was there; then the average."""
        assert seen.gradient is not None
        assert seen.after is not None
        self.updates += 1
        close = {"rtol": 1e-9, "atol": 1e-11} if self.exact else {"rtol": 1e-5, "atol": 1e-6}
        limit = self.settings.average if self.settings.average > 0.0 else 0.99
        decay = min(limit, (1 + number) / (10 + number))
        for i, g in enumerate(seen.gradient):
            self.first[i] = 0.9 * self.first[i] + 0.1 * g
            self.second[i] = 0.999 * self.second[i] + 0.001 * g**2
            m = self.first[i] / (1 - 0.9**self.updates)
            v = self.second[i] / (1 - 0.999**self.updates)
            rate = seen.rates[i]
            shrunk = seen.before[i] * (1.0 - rate * self.settings.weight_decay)
            moved = shrunk - rate * m / (np.sqrt(v) + 1e-8)
            np.testing.assert_allclose(seen.after[i], moved, **close)
            self.teacher[i] = decay * self.teacher[i] + (1.0 - decay) * seen.after[i]


def answer(weights: Arrays, views: np.ndarray) -> np.ndarray:
    return views @ weights[0].T + weights[1]


def differences(loss: Callable[[Arrays], float], at: Arrays, step: float = 1e-5) -> Arrays:
    """Return the gradient by central differences."""
    found = []
    for k, part in enumerate(at):
        gradient = np.zeros(part.shape)
        for place in np.ndindex(part.shape):
            values = []
            for sign in (1.0, -1.0):
                moved = [p.copy() for p in at]
                moved[k][place] += sign * step
                values.append(loss(moved))
            gradient[place] = (values[0] - values[1]) / (2.0 * step)
        found.append(gradient)
    return found


# -- trainings of a linear network -------------------------------------------------------------


@dataclass
class Run:
    oracle: Oracle
    log: Log
    network: Any  # trained in place
    result: Any
    report: Any

    def follow(self) -> None:
        """Check every step, the network returned, and the report."""
        s = self.oracle.settings
        assert len(self.log.steps) == s.steps
        for number, seen in enumerate(self.log.steps):
            self.oracle.check(number, seen)
        last = self.oracle.teacher if s.average > 0.0 else self.log.steps[-1].after
        assert last is not None
        for found, wanted in zip(self.result.parameters(), last, strict=True):
            np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-9, atol=1e-11)
        assert not self.result.training
        used = [w.mean() for w in self.oracle.weights][-max(1, s.steps // 10) :]
        assert self.report.used == pytest.approx(np.mean(used) if used else 0.0, abs=1e-5)


def a_run(
    name: str | None,
    s: Settings,
    *,
    seed: int = 0,
    own: int = 12,
    unlabelled: int = 30,
    classes: int = 3,
    class_weights: np.ndarray | None = None,
    drop: float = 0.0,
    scales: tuple[float, float] | None = None,
    breaks_at: frozenset[int] = frozenset(),
    offset: np.ndarray | None = None,
) -> Run:
    rng = np.random.default_rng(seed)
    centres = 2.0 * rng.normal(size=(classes, 4))
    truth = np.concatenate([np.arange(own) % classes, rng.integers(classes, size=unlabelled)])
    features = centres[truth] + rng.normal(size=(own + unlabelled, 4))
    log = Log()
    source = Noisy(features[:own], features[own:], log, breaks_at)
    plain, method = None, None
    if name is not None:
        options = dict(OPTIONS[name])
        method, plain = _method(name, options, features, truth[:own], classes, unlabelled)
    torch.manual_seed(seed)
    network = linear_network(4, classes, drop, log)
    weight, bias = network[1].weight, network[1].bias
    groups = None
    if scales is not None:
        groups = [
            {"params": [weight], "scale": scales[0]},
            {"params": [bias], "scale": scales[1]},
        ]
    oracle = Oracle(
        plain,
        truth[:own],
        unlabelled,
        s,
        np.ones(classes) if class_weights is None else class_weights,
        [p.detach().numpy().copy() for p in (weight, bias)],
        drop,
        (1.0, 1.0) if scales is None else scales,
        offset=0.0 if offset is None else offset,
    )
    with watched(log):
        result, report = train(
            network,
            source,
            torch.from_numpy(truth[:own].astype(np.int64)),
            unlabelled,
            method,
            s,
            rng,
            class_weights=None if class_weights is None else torch.tensor(class_weights).float(),
            groups=groups,
            offset=None if offset is None else torch.from_numpy(offset),
        )
    return Run(oracle, log, network, result, report)


def _method(
    name: str,
    options: dict[str, Any],
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    unlabelled: int,
) -> tuple[Any, Plain]:
    if name != NoisyStudent.name:
        return METHODS[name](**options), PLAIN[name](classes, unlabelled, options)
    student = NoisyStudent("linear")
    others = np.arange(len(labels), len(features))
    training = Training(features.astype(np.float32), np.arange(len(labels)), labels, classes)
    student.taught(training, others, np.random.default_rng(0))
    table = make("linear").fit(training, np.random.default_rng(0)).predict_proba(features[others])
    return student, PLAIN[name](classes, unlabelled, {"table": table})


def quick(**more: Any) -> Settings:
    return Settings(
        **{"steps": 9, "batch": 5, "ratio": 3, "learning_rate": 0.2, "clip": 1e9, **more}
    )


THREE = np.array([0.6, 0.3, 0.1])
EVEN = np.full(3, 1.0 / 3.0)
WEIGHTS = np.array([0.5, 1.0, 2.5])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_loss_and_gradient_of_every_step_equal_the_reference(name: str, seed: int) -> None:
    run = a_run(name, quick(), seed=seed)
    run.follow()
    if name not in ("mean-teacher", "noisy-student"):
        counts = np.concatenate(run.oracle.weights)
        assert 0.0 < counts.mean() < 1.0  # some items count, others do not


@pytest.mark.parametrize("name", NAMES)
def test_with_class_weights_alignment_and_a_weight_they_equal_the_reference(name: str) -> None:
    for aligned in (THREE, EVEN):
        s = quick(alignment=aligned, weight=2.5, average=0.3)
        a_run(name, s, seed=2, class_weights=WEIGHTS).follow()


@pytest.mark.parametrize("name", [None, *NAMES])
def test_with_logit_adjustment_they_equal_the_reference(name: str | None) -> None:
    """Only the loss of labels sees adjusted logits; targets are made of those that predict."""
    run = a_run(name, quick(alignment=THREE, weight=2.5), seed=6, offset=np.log(THREE))
    run.follow()
    plain = a_run(name, quick(alignment=THREE, weight=2.5), seed=6)
    assert run.log.steps[0].loss != pytest.approx(plain.log.steps[0].loss, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_with_dropout_in_the_network_they_equal_the_reference(name: str) -> None:
    run = a_run(name, quick(alignment=THREE), seed=3, drop=0.4)
    assert all(len(seen.passes) == 2 for seen in run.log.steps)  # targets are made without
    assert any((seen.passes[1] == 0.0).any() for seen in run.log.steps)
    run.follow()


@pytest.mark.parametrize("name", [None, *NAMES])
def test_without_unlabelled_items_or_weight_only_labels_count(name: str | None) -> None:
    a_run(name, quick(), unlabelled=0, class_weights=WEIGHTS).follow()
    a_run(name, quick(weight=0.0), class_weights=WEIGHTS).follow()


@pytest.mark.parametrize("name", ["fixmatch", "mean-teacher", "freematch"])
@pytest.mark.parametrize("average", [0.0, 0.2, 0.9])
def test_the_average_that_is_returned_and_teaches_equals_the_reference(
    name: str, average: float
) -> None:
    run = a_run(name, quick(steps=25, average=average, learning_rate=0.05), seed=4)
    run.follow()
    assert (run.result is run.network) == (average == 0.0)


@pytest.mark.parametrize("name", [None, "flexmatch", "mean-teacher"])
@pytest.mark.parametrize("clip", [0.05, 1.0])
def test_gradients_are_clipped_by_their_common_norm(name: str | None, clip: float) -> None:
    run = a_run(name, quick(clip=clip), seed=5)
    run.follow()
    norms = [math.sqrt(sum((g**2).sum() for g in seen.gradient or [])) for seen in run.log.steps]
    assert max(norms) <= clip * (1 + 1e-6)
    assert max(norms) > clip * 0.99


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(NAMES),
    classes=st.integers(2, 4),
    own=st.integers(4, 9),
    unlabelled=st.integers(1, 12),
    steps=st.integers(1, 4),
    weight=st.sampled_from([0.2, 1.0, 4.0]),
    average=st.sampled_from([0.0, 0.5, 0.99]),
    drop=st.sampled_from([0.0, 0.3]),
    shape=st.sampled_from(["none", "aligned", "weighted", "both"]),
    seed=st.integers(0, 10_000),
)
def test_any_short_training_equals_the_reference(
    name: str,
    classes: int,
    own: int,
    unlabelled: int,
    steps: int,
    weight: float,
    average: float,
    drop: float,
    shape: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    aligned = rng.dirichlet(np.full(classes, 3.0)) if shape in ("aligned", "both") else None
    weighted = rng.uniform(0.3, 3.0, size=classes) if shape in ("weighted", "both") else None
    s = quick(steps=steps, batch=4, ratio=2, weight=weight, average=average, alignment=aligned)
    sizes = {"own": own, "unlabelled": unlabelled, "classes": classes}
    a_run(name, s, seed=seed, class_weights=weighted, drop=drop, **sizes).follow()


# -- by hand -----------------------------------------------------------------------------------


class Cells(torch.nn.Module):
    """A network whose parameters are the logits of its inputs."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.cells = torch.nn.Parameter(torch.from_numpy(logits))

    def forward(self, places: Any) -> Any:
        return self.cells[places]


class Places:
    """Weak views of three items are cells 0 to 2, strong ones 3 to 5, labelled ones 6 and 7."""

    def labelled(self, rows: np.ndarray) -> Any:
        return torch.from_numpy(rows) + 6

    def weak(self, rows: np.ndarray) -> Any:
        return torch.from_numpy(rows)

    def strong(self, rows: np.ndarray) -> Any:
        return torch.from_numpy(rows) + 3


WEAK = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
STRONG = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
HARD = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
LN = math.log
# Sharpened with T = 1/2: squares over their sum.
SHARP = np.array([[81 / 82, 1 / 82], [9 / 13, 4 / 13], [1 / 17, 16 / 17]])
# Mean 23/30, variance 7/300; the second item is 1/6 below.
SOFT = math.exp(-(1 / 36) * 4 / (2 * 7 / 300))
BY_HAND: dict[str, tuple[dict[str, Any], np.ndarray, list[float], float]] = {
    # options, targets, weights of the items, mean of weight times loss
    "pseudo-label": ({"threshold": 0.7, "ramp": 0.0}, HARD, [1, 0, 1], -LN(0.72) / 3),
    "fixmatch": ({"threshold": 0.7}, HARD, [1, 0, 1], 2 / 3 * LN(4 / 3)),
    "flexmatch": ({"threshold": 0.9}, HARD, [1, 1, 1], (2 * LN(4 / 3) + LN(2)) / 3),
    # Level 19/30, shares 16/30 and 14/30: thresholds 0.633 and 0.554.
    "freematch": ({"momentum": 0.5, "fairness": 0.25}, HARD, [1, 0, 1], 2 / 3 * LN(4 / 3)),
    "softmatch": (
        {"momentum": 0.0, "deviations": 2.0}, HARD, [1, SOFT, 1],
        (2 * LN(4 / 3) + SOFT * LN(2)) / 3,
    ),
    "uda": (
        {"threshold": 0.7, "temperature": 0.5, "ramp": 0.0}, SHARP, [1, 0, 1],
        (81 / 82 * LN(4 / 3) + LN(4) / 82 + 16 / 17 * LN(4 / 3) + LN(4) / 17) / 3,
    ),
    "mean-teacher": ({"ramp": 0.0}, WEAK, [1, 1, 1], (0.045 + 0.02 + 0.005) / 3),
    "noisy-student": (
        {}, WEAK, [1, 1, 1],
        (0.9 * LN(4 / 3) + 0.1 * LN(4) + LN(2) + 0.8 * LN(4 / 3) + 0.2 * LN(4)) / 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_one_step_worked_out_by_hand(name: str) -> None:
    options, targets, weights, mean = BY_HAND[name]
    method: Any = NoisyStudent("linear") if name == "noisy-student" else METHODS[name](**options)
    if name == "noisy-student":
        method._table = WEAK
    own = np.array([[0.5, 0.5], [0.25, 0.75]])
    log = Log()
    with watched(log):
        train(
            Cells(np.log(np.concatenate([WEAK, STRONG, own]))),
            Places(),
            torch.tensor([0, 1]),
            3,
            method,
            Settings(steps=1, batch=2, ratio=2, weight=6.0, clip=1e9),
            np.random.default_rng(0),
            class_weights=torch.tensor([1.0, 3.0]),
        )
    (seen,) = log.steps
    total = (LN(2) + 3 * LN(4 / 3)) / 4 + 6.0 * mean
    shown = WEAK if name == "pseudo-label" else STRONG
    back = shown - targets
    if name == "mean-teacher":
        back = 2 * shown * (back - (shown * back).sum(axis=1, keepdims=True))
    back = 6.0 * np.array(weights)[:, None] * back / 3
    if name == "freematch":
        # Both averages of strong views are even, so the term is the log of a half. Its slope in
        # their probabilities is P - 1/2, P from (16/30) / (7/12) and (14/30) / (5/12).
        total -= 0.25 * LN(2)
        wanted = np.array([0.914285714285714, 1.12])
        slope = wanted / wanted.sum() - 0.5
        fair = STRONG * (slope - (STRONG * slope).sum(axis=1, keepdims=True))
        back += 0.25 * fair * np.array([[1.0], [0.0], [1.0]])
    assert seen.loss == pytest.approx(total, rel=1e-5)
    assert seen.gradient is not None
    (found,) = seen.gradient
    trained, other = (slice(0, 3), slice(3, 6))
    if name != "pseudo-label":
        trained, other = other, trained
    np.testing.assert_allclose(found[trained], back, rtol=1e-4, atol=1e-6)
    assert (found[other] == 0.0).all()  # no gradient through targets
    np.testing.assert_allclose(found[6], np.array([-0.5, 0.5]) / 4, rtol=1e-5)
    np.testing.assert_allclose(found[7], np.array([0.25, -0.25]) * 3 / 4, rtol=1e-5)


# -- what targets are made of ------------------------------------------------------------------


def test_targets_do_not_depend_on_dropout() -> None:
    judged: list[np.ndarray] = []

    class Kept(FixMatch):
        def targets(self, batch: Any) -> Any:
            judged.append(batch.weak.double().numpy())
            return super().targets(batch)

    log = Log()
    rng = np.random.default_rng(0)
    source = Noisy(rng.normal(size=(6, 4)), rng.normal(size=(20, 4)), log)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3)
    ).double()
    with watched(log):
        train(network, source, torch.arange(6) % 3, 20, Kept(0.5), quick(steps=6), rng)
    assert len(judged) == 6
    for seen, q in zip(log.steps, judged, strict=True):
        hidden = np.tanh(answer(seen.before[:2], seen.asked["weak"][1]))
        np.testing.assert_allclose(q, softmax(answer(seen.before[2:], hidden)), atol=1e-6)


def test_alignment_brings_the_mean_prediction_to_what_is_wanted() -> None:
    """Targets are far from it without the division by the running mean."""
    shares: list[np.ndarray] = []

    class Kept(FixMatch):
        def targets(self, batch: Any) -> Any:
            shares.append(batch.weak.mean(dim=0).double().numpy())
            return super().targets(batch)

    q = np.array([[0.7, 0.2, 0.1]] * 3)
    cells = np.log(np.concatenate([q, q, np.full((2, 3), 1 / 3)]))
    s = Settings(
        steps=300, batch=2, ratio=2, learning_rate=1e-12, weight_decay=0.0, alignment=THREE
    )
    method = Kept(0.5)
    train(Cells(cells), Places(), torch.tensor([0, 1]), 3, method, s, np.random.default_rng(0))
    mean = 0.97 / 3 + 0.03 * q[0]
    first = q[0] * THREE / mean
    np.testing.assert_allclose(shares[0], first / first.sum(), rtol=1e-5)
    np.testing.assert_allclose(shares[-1], THREE, rtol=1e-3)


# -- rates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "uda"])
def test_warmup_and_cosine_reach_the_optimiser_for_every_group(name: str | None) -> None:
    s = quick(steps=20, warmup=0.25, final_rate=0.1, learning_rate=0.1, weight_decay=0.3)
    run = a_run(name, s, seed=6, scales=(1.0, 7.0))
    run.follow()
    rates = np.array([seen.rates for seen in run.log.steps])
    np.testing.assert_allclose(rates[:, 1], 7.0 * rates[:, 0])
    assert rates[0, 0] == pytest.approx(0.1 / 5)
    assert rates[-1, 0] == pytest.approx(0.01)
    assert (np.diff(rates[:5, 0]) > 0).all()
    assert (np.diff(rates[5:, 0]) < 0).all()


def test_a_stable_training_keeps_its_rate_and_then_falls_over_a_quarter() -> None:
    """Predictions change until step 100; quiet snapshots are those at 120 and 140."""
    asked = iter(range(1000))

    def guess(_: Any) -> np.ndarray:
        return np.full(50, min(next(asked), 4))

    log = Log()
    rng = np.random.default_rng(0)
    source = Noisy(rng.normal(size=(6, 4)), rng.normal(size=(20, 4)), log)
    network = linear_network(4, 3, 0.0, log)
    s = Settings(steps=200, learning_rate=0.01, final_rate=0.2)
    with watched(log):
        _, report = train(network, source, torch.arange(6) % 3, 20, None, s, rng, guess=guess)
    rates = [seen.rates[0] for seen in log.steps]
    assert report.steps == len(rates) == 175
    assert rates[:140] == pytest.approx([0.01] * 140)
    fall = [(1 + math.cos(math.pi * i / 34)) / 2 for i in range(35)]
    assert rates[140:] == pytest.approx([0.01 * (0.2 + 0.8 * f) for f in fall])


@pytest.mark.parametrize("name", ["fixmatch", "flexmatch", "freematch", "softmatch", "uda",
                                  "mean-teacher", "noisy-student"])  # fmt: skip
def test_after_a_divergence_all_state_goes_back_and_the_rate_is_halved(name: str) -> None:
    """Snapshots are at even steps; 13 breaks, again 13, so that it begins again, and then 17."""
    s = quick(steps=20, learning_rate=0.02, alignment=THREE)
    backs = {13: 12, 15: 0, 33: 16}  # where it breaks, and the step it goes back to
    with pytest.warns(UserWarning, match="diverged 3 times"):
        run = a_run(name, s, seed=7, breaks_at=frozenset(backs))
    steps = [*range(14), 12, 13, *range(18), *range(16, 20)]
    slower = [1.0] * 14 + [0.5] * 2 + [0.25] * 18 + [0.125] * 4
    assert len(run.log.steps) == len(steps)
    oracle, held = run.oracle, {0: copy.deepcopy(run.oracle)}
    for place, (number, part) in enumerate(zip(steps, slower, strict=True)):
        seen = run.log.steps[place]
        if place in backs:
            assert math.isnan(seen.loss)
            assert seen.after is None
            oracle = copy.deepcopy(held[backs[place]])
            continue
        if number % 2 == 0:
            held[number] = copy.deepcopy(oracle)
        if place - 1 in backs:
            same = max(k for k in range(place) if steps[k] == number)
            first = run.log.steps[same]
            for again, before in zip(seen.before, first.before, strict=True):
                np.testing.assert_array_equal(again, before)
            assert seen.asked["strong"][0].tolist() == first.asked["strong"][0].tolist()
        oracle.check(number, seen, part)
    assert run.report.rollbacks == 3
    for found, wanted in zip(run.result.parameters(), oracle.teacher, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-9, atol=1e-11)


def test_buffers_are_averaged_as_weights_and_counters_copied() -> None:
    states: list[dict[str, Any]] = []
    log = Log()
    rng = np.random.default_rng(0)
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)).double()

    class Read(Noisy):
        def labelled(self, rows: np.ndarray) -> Any:
            states.append(copy.deepcopy(network.state_dict()))
            return super().labelled(rows)

    source = Read(3.0 + rng.normal(size=(12, 4)), rng.normal(size=(1, 4)), log)
    s = quick(average=0.3)
    average, _ = train(network, source, torch.arange(12) % 3, 0, None, s, rng)
    states.append(network.state_dict())
    expected = states[0]["0.running_mean"].numpy()
    for step, state in enumerate(states[2:]):  # one for the number of classes, one at the start
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * state["0.running_mean"].numpy()
    found = average.state_dict()
    np.testing.assert_allclose(found["0.running_mean"].numpy(), expected, rtol=1e-9)
    assert found["0.num_batches_tracked"] == 9


# -- learners on features ----------------------------------------------------------------------


def a_pool() -> tuple[Training, np.ndarray]:
    """Four classes of which the second has no label, and the others 9, 4 and 2."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.repeat([0, 2, 3], [9, 4, 2]), rng.integers(4, size=45)])
    features = 5.0 + 3.0 * (1.5 * rng.normal(size=(4, 6))[truth] + rng.normal(size=(60, 6)))
    order = rng.permutation(60)
    where = np.argsort(order)[:15]  # positions of the labelled items, not in order
    return Training(features[order].astype(np.float32), where, truth[:15], 4), truth[order]


def learn(name: str, training: Training, **options: Any) -> tuple[Log, Any]:
    """Fit a linear learner; return what its training did, and the model."""
    log = Log()
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("labelled", "weak", "strong"):
            patch.setattr(FeatureSource, kind, _noting(kind, getattr(FeatureSource, kind), log))
        own = {**OPTIONS[name], "width": 0, "device": "cpu", **options}
        with watched(log):
            model = make(name, own).fit(training, np.random.default_rng(1))
    return log, model


def _noting(kind: str, plain: Callable[..., Any], log: Log) -> Callable[..., Any]:
    def noted(self: Any, rows: np.ndarray) -> Any:
        return log.note(kind, rows, plain(self, rows))

    return noted


def standardised(training: Training) -> np.ndarray:
    x = training.features.astype(np.float64)
    return (x - x.mean(axis=0)) / x.std(axis=0)


def learner_oracle(name: str, training: Training, log: Log, s: Settings, parts: Any) -> Oracle:
    columns = {0: 0, 2: 1, 3: 2}
    labels = np.array([columns[int(y)] for y in training.labels])
    plain = PLAIN[name](3, 45, OPTIONS[name])
    start = [p.copy() for p in log.steps[0].before]
    return Oracle(plain, labels, 45, s, np.array(parts), start, exact=False)


SHARES = {"uniform": EVEN, "labels": np.array([10, 5, 3]) / 18.0, "none": None}
BALANCED = [15 / (3 * 9), 15 / (3 * 4), 15 / (3 * 2)]
COMMON = {"steps": 8, "batch": 6, "ratio": 3, "learning_rate": 0.02}


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize(
    ("alignment", "class_weight"),
    [("auto", "none"), ("uniform", "balanced"), ("labels", "balanced"), ("none", "none")],
)
def test_a_learner_trains_as_its_options_say(name: str, alignment: str, class_weight: str) -> None:
    training, _ = a_pool()
    more = {} if alignment == "auto" else {"weight": 2.0, "average": 0.5, "weight_decay": 0.2}
    log, model = learn(
        name, training, alignment=alignment, class_weight=class_weight, **COMMON, **more
    )
    auto = "uniform" if name == "softmatch" else "none"
    s = Settings(
        steps=8,
        batch=6,
        ratio=3,
        learning_rate=0.02,
        alignment=SHARES[auto if alignment == "auto" else alignment],
        weight=more.get("weight", 10.0 if name == "mean-teacher" else 1.0),
        average=more.get("average", 0.98),
        weight_decay=more.get("weight_decay", 0.01),
    )
    parts = BALANCED if class_weight == "balanced" else [1.0, 1.0, 1.0]
    oracle = learner_oracle(name, training, log, s, parts)
    rows = standardised(training)
    others = np.setdiff1d(np.arange(60), training.labelled)
    for number, seen in enumerate(log.steps):
        for kind, places in (("labelled", training.labelled), ("weak", others)):
            asked, views = seen.asked[kind]
            np.testing.assert_allclose(views, rows[places[asked]], atol=1e-5)
        oracle.check(number, seen)
    assert len(log.steps) == 8
    for found, wanted in zip(model.head, oracle.teacher, strict=True):
        np.testing.assert_allclose(found[[0, 2, 3]], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("drop", [0.0, 0.25, 0.5])
def test_a_strong_view_is_without_a_share_of_the_features(drop: float) -> None:
    training, _ = a_pool()
    options = {**COMMON, "steps": 30, "drop": drop}
    log, _ = learn("fixmatch", training, **options)
    ratios = np.concatenate([s.asked["strong"][1] / s.asked["weak"][1] for s in log.steps])
    lost = ratios == 0.0
    assert lost.mean() == pytest.approx(drop, abs=4 * math.sqrt(0.25 / lost.size))
    np.testing.assert_allclose(ratios[~lost], 1.0 / (1.0 - drop), rtol=1e-5)
    if drop:
        by_feature = np.abs(lost.mean(axis=0) - drop)
        assert by_feature.max() < 5 * math.sqrt(0.25 / len(lost))  # every feature is lost alike
        assert lost.mean(axis=1).std() > 0.0  # drawn for each item, not for all at once


def test_a_strong_view_has_noise_of_the_deviation_asked_for() -> None:
    training, _ = a_pool()
    log, _ = learn("fixmatch", training, **COMMON, drop=0.0, noise=0.3)
    added = np.concatenate([s.asked["strong"][1] - s.asked["weak"][1] for s in log.steps])
    assert added.std() == pytest.approx(0.3, rel=0.1)
    assert abs(added.mean()) < 0.05
