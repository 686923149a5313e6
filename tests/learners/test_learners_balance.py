"""Class weights and logit adjustment, in every learner that has them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from labeltrain.errors import BadInput
from labeltrain.learners import Training, make, registry
from labeltrain.learners.balance import Adjustment
from labeltrain.metrics import balanced_accuracy
from labeltrain.testing import LearnerContract

QUICK: dict[str, dict[str, Any]] = {"linear": {}, "mlp": {"steps": 150, "width": 16}}
QUICK |= {n: {"steps": 120, "width": 16} for n in ("fixmatch", "mean-teacher", "pseudo-label")}
ADJUSTED = {"logit_adjustment": 1.0, "prior": "labels"}
REMEDIES = [{"class_weight": "balanced"}, {"logit_adjustment": 1.0}]
NONE = ("continual", "closed_form")  # packages whose learners have neither
BALANCED = [
    name for name in registry.names()
    if name != "propagation"  # it has `class_mass`
    and not any(f".{package}." in registry.get(name).__module__ for package in NONE)
]  # fmt: skip


class TestAdjustedLinear(LearnerContract):
    learner = registry._LEARNERS["linear"]
    parameters = {"logit_adjustment": 1.0}


class TestWeightedMLP(LearnerContract):
    learner = registry._LEARNERS["mlp"]
    parameters = {"steps": 150, "width": 32, "class_weight": "balanced"}


class TestAdjustedMLP(LearnerContract):
    learner = registry._LEARNERS["mlp"]
    parameters = {"steps": 150, "width": 32, "logit_adjustment": 1.0}


def drawn(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes, each 12 times as rare as the one before."""
    rng = np.random.default_rng(seed)
    shares = 12.0 ** -np.arange(classes)
    y = rng.choice(classes, size=n, p=shares / shares.sum())
    y[:classes] = np.arange(classes)
    X = rng.normal(size=(n, 4)) + 1.2 * np.eye(4)[y]
    return X.astype(np.float32), y


def rare(n: int = 600, classes: int = 2, seed: int = 0) -> Training:
    """The first half is labelled."""
    X, y = drawn(n, classes, seed)
    return Training(X, np.arange(n // 2), y[: n // 2], classes)


def of_two_labels(seed: int = 1) -> Training:
    rng = np.random.default_rng(seed)
    y = (rng.random((500, 2)) < [0.05, 0.9]).astype(np.int8)
    X = rng.normal(size=(500, 4)) + y @ np.array([[1.2, 0, 0, 0], [0, 1.2, 0, 0]])
    return Training(X.astype(np.float32), np.arange(300), y[:300], 2, "multilabel")


def test_the_log_of_shares_and_of_odds() -> None:
    y = np.repeat([0, 1, 2], [90, 9, 1])
    X = np.zeros((300, 2), np.float32)
    given = Training(X, np.arange(100), y, 4)
    seen = np.arange(3)
    half = Adjustment(0.5, "labels").in_loss(given, seen)
    np.testing.assert_allclose(half, 0.5 * np.log([0.9, 0.09, 0.01]))
    assert not Adjustment(0.0, "labels").in_loss(given, seen).any()
    assert not Adjustment(1.0, "pool").in_loss(given, seen).any()  # afterwards
    asked: list[np.ndarray] = []

    def predict(positions: np.ndarray) -> np.ndarray:
        asked.append(positions)
        return np.tile([0.1, 0.3, 0.5, 0.1], (len(positions), 1))

    found = Adjustment(1.0).afterwards(given, seen, predict)
    counts = np.array([90 + 20, 9 + 60, 1 + 100])  # labels, and 200 items that have none
    np.testing.assert_allclose(found, np.log(counts / counts.sum()))
    assert asked.pop().tolist() == list(range(100, 300))
    np.testing.assert_allclose(Adjustment(1.0).afterwards(given, seen, predict, most=70), found)
    assert asked.pop().tolist() == list(range(100, 300, 3))
    usable = np.arange(300) < 150  # audit items are not even looked at
    kept = Training(X, np.arange(100), y, 4, usable=usable)
    Adjustment(1.0).afterwards(kept, seen, predict)
    assert asked.pop().tolist() == list(range(100, 150))
    assert not Adjustment(1.0, "labels").afterwards(given, seen, predict).any()
    assert not asked
    both = (y[:, None] == [0, 1, 3]).astype(np.int8)
    several = Training(X[:100], np.arange(100), both, 3, "multilabel")
    odds = Adjustment(1.0, "labels").in_loss(several, seen)
    np.testing.assert_allclose(odds, np.log([9.0, 9 / 91, 0.5 / 99.5]))


@pytest.mark.parametrize("name", BALANCED)
def test_every_learner_has_both_and_refuses_both_together(name: str) -> None:
    known = inspect.signature(type(make(name))).parameters
    assert {"class_weight", "logit_adjustment", "prior"} <= set(known)
    with pytest.raises(BadInput, match="use one of them"):
        make(name, {"class_weight": "balanced", "logit_adjustment": 1.0})
    with pytest.raises(BadInput, match="logit_adjustment=-1"):
        make(name, {"logit_adjustment": -1})
    with pytest.raises(BadInput, match="logit_adjustment='much'"):
        make(name, {"logit_adjustment": "much"})
    with pytest.raises(BadInput, match="prior='test'"):
        make(name, {"logit_adjustment": 1.0, "prior": "test"})


# -- linear ------------------------------------------------------------------------------------


def minimum(training: Training, C: float, tau: float) -> np.ndarray:
    """Return probabilities of the minimum of the adjusted loss, found by BFGS in float64."""
    X = training.features[training.labelled].astype(np.float64)
    y, classes = training.labels, training.classes
    offset = tau * np.log(np.bincount(y, minlength=classes) / len(y))
    hot = np.eye(classes)[y]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W, b = flat[: classes * 4].reshape(classes, 4), flat[classes * 4 :]
        logits = X @ W.T + b + offset
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        value = -C * np.log((p * hot).sum(axis=1)).sum() + 0.5 * (W**2).sum()
        back = C * (p - hot)
        return value, np.concatenate([(back.T @ X + W).ravel(), back.sum(axis=0)])

    flat = minimize(loss, np.zeros(classes * 5), jac=True, method="BFGS", tol=1e-9).x
    W, b = flat[: classes * 4].reshape(classes, 4), flat[classes * 4 :]
    logits = training.features.astype(np.float64) @ W.T + b  # without the offset
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("start", ["cold", "warm"])
@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_linear_is_the_minimum_of_the_adjusted_loss(tau: float, start: str) -> None:
    training = rare(classes=3)
    learner = make("linear", {"strength": 0.3, "logit_adjustment": tau, "prior": "labels"})
    rng = np.random.default_rng(0)
    previous = None
    if start == "warm":
        early = Training(training.features, np.arange(40), training.labels[:40], 3)
        previous = learner.fit(early, rng)
    model = learner.fit(training, rng, previous)
    wanted = minimum(training, 0.3, tau)
    np.testing.assert_allclose(model.predict_proba(training.features), wanted, atol=2e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_divides_by_the_shares_of_the_labels(classes: int) -> None:
    training = rare(classes=classes)
    plain = make("linear").fit(training, np.random.default_rng(0))
    model = make("linear", ADJUSTED).fit(training, np.random.default_rng(0))
    wanted = plain.predict_proba(training.features)
    wanted = wanted / np.bincount(training.labels, minlength=classes)
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(training.features), wanted, atol=1e-9)
    again = type(model).from_arrays(model.arrays(), model.facts())
    np.testing.assert_array_equal(again.fitted_bias, model.fitted_bias)
    np.testing.assert_allclose(model.fitted_bias, plain.fitted_bias, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "mlp", "fixmatch"])
def test_the_shares_of_the_pool_are_those_predicted(name: str) -> None:
    training = rare(classes=3)
    options = QUICK[name]
    plain = make(name, options).fit(training, np.random.default_rng(0))
    model = make(name, {**options, "logit_adjustment": 1.0, "prior": "pool"})
    found = model.fit(training, np.random.default_rng(0)).predict_proba(training.features)
    p = plain.predict_proba(training.features)
    counts = p[300:].sum(axis=0) + np.bincount(training.labels)
    wanted = p / counts / (p / counts).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_labels_chosen_near_the_boundary_do_not_move_it() -> None:
    """Of the labels half are positive, of the pool one in fifty: p(y | x) stays what it is."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=40_000)
    y = (rng.random(40_000) < 1 / (1 + np.exp(-(4 * x - 9)))).astype(np.int64)
    best = np.log(y.mean() / (1 - y.mean()))  # p(y | x) of the threshold, in logits
    near = np.argsort(np.abs(x - 2.25))[:1000]
    training = Training(x.astype(np.float32)[:, None], near, y[near], 2)
    assert 0.4 < y[near].mean() < 0.6
    wanted = (9 + best) / 4
    assert wanted < 1.6
    places = {}
    for prior in ("pool", "labels"):
        learner = make("linear", {"logit_adjustment": 1.0, "prior": prior})
        p = learner.fit(training, np.random.default_rng(0)).predict_proba(training.features)
        places[prior] = training.features[np.argmin(np.abs(p[:, 1] - 0.5)), 0]
    assert abs(places["pool"] - wanted) < 0.15
    assert abs(places["labels"] - 2.25) < 0.15  # near the natural boundary, far off


def test_linear_with_a_class_that_has_no_label() -> None:
    training = rare(classes=2)
    wider = Training(training.features, training.labelled, training.labels, 4)
    p = make("linear", {"logit_adjustment": 1.0}).fit(wider, np.random.default_rng(0))
    p = p.predict_proba(training.features)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_allclose(p[:, 2:], 1 / 301 / 2)


def test_a_committee_is_adjusted_alike() -> None:
    training = rare()
    options: dict[str, Any] = {"committee": 4}
    plain = make("linear", options).fit(training, np.random.default_rng(0))
    model = make("linear", {**options, **ADJUSTED})
    shifted = model.fit(training, np.random.default_rng(0)).committee(training.features)
    wanted = plain.committee(training.features) / np.bincount(training.labels)
    wanted /= wanted.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(shifted, wanted, atol=1e-5)
    served = model.serving(model.gives)
    assert served.adjustment == Adjustment(1.0, "labels")


def test_the_odds_of_labels_are_divided_by_their_prior() -> None:
    training = of_two_labels()
    plain = make("linear").fit(training, np.random.default_rng(0)).predict_proba(training.features)
    model = make("linear", ADJUSTED).fit(training, np.random.default_rng(0))
    p = model.predict_proba(training.features)
    on = training.labels.sum(axis=0)
    wanted = plain / (1 - plain) / (on / (300 - on))
    np.testing.assert_allclose(p / (1 - p), wanted, rtol=1e-6)


# -- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("name", list(QUICK))
def test_balanced_accuracy_rises_on_overlapping_classes(name: str, remedy: dict[str, Any]) -> None:
    """12 to 1: trained on plain labels a model finds hardly any item of the rare class."""
    rise = []
    for seed in range(3):
        training, (X, y) = rare(1200, seed=seed), drawn(3000, 2, seed + 10)
        scores = []
        for options in (QUICK[name], {**QUICK[name], **remedy}):
            model = make(name, options).fit(training, np.random.default_rng(seed))
            scores.append(balanced_accuracy(model.predict_proba(X), y))
        rise.append(scores[1] - scores[0])
    assert np.mean(rise) > 0.1


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_rare_labels_of_several_are_found(name: str, remedy: dict[str, Any]) -> None:
    training = of_two_labels()
    found = []
    for options in (QUICK[name], {**QUICK[name], **remedy}):
        model = make(name, options).fit(training, np.random.default_rng(0))
        found.append((model.predict_proba(training.features) > 0.5).mean(axis=0))
    assert found[1][0] > found[0][0] + 0.1  # the rare one more often
    assert found[1][1] < found[0][1] - 0.1  # that of nearly all items less often


def test_a_label_on_all_items_is_no_division_by_zero() -> None:
    training = of_two_labels()
    labels = training.labels.copy()
    labels[:, 0], labels[:, 1] = 0, 1
    given = Training(training.features, training.labelled, labels, 2, "multilabel")
    for name in ("linear", "mlp"):
        for remedy in REMEDIES:
            model = make(name, {**QUICK[name], **remedy}).fit(given, np.random.default_rng(0))
            assert np.isfinite(model.predict_proba(training.features)).all()
