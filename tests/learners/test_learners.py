"""Learners keep the contract; linear is the optimum scikit-learn finds."""

from __future__ import annotations

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.learners import Training, make, registry
from labeltrain.learners.linear import Linear, LinearModel
from labeltrain.learners.mlp import MLP, MLPModel, _batches
from labeltrain.testing import LearnerContract, blobs


class TestLinear(LearnerContract):
    learner = Linear


class TestBalancedLinear(LearnerContract):
    learner = Linear
    parameters = {"class_weight": "balanced"}


class TestMLP(LearnerContract):
    learner = MLP
    parameters = {"steps": 150, "width": 32}


class TestDeepMLP(LearnerContract):
    learner = MLP
    parameters = {"steps": 150, "width": 32, "layers": 2, "batch": 8}


def loss(model: LinearModel, X: np.ndarray, y: np.ndarray) -> float:
    """The objective of scikit-learn's LogisticRegression, written out."""
    logits = X.astype(np.float64) @ model.weights.T + model.bias
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    data = -log_p[np.arange(len(y)), y].sum()
    return float(model.facts()["C"] * data + 0.5 * (model.weights**2).sum())


@pytest.mark.parametrize("start", ["cold", "warm"])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("data", ["blobs", "digits"])
def test_linear_reaches_the_optimum(start: str, scale: float, data: str) -> None:
    # The solver's stopping rule is absolute: unscaled small features would end it at the start.
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    if data == "blobs":
        X, y = blobs(300, d=20, classes=5, seed=2, spread=3.0)
    else:
        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(np.float32)
    X = (X * scale).astype(np.float32)
    classes = int(y.max()) + 1
    learner, rng = make("linear"), np.random.default_rng(0)
    early = Training(X, np.arange(150), y[:150], classes)
    previous = learner.fit(early, rng) if start == "warm" else None
    model = learner.fit(Training(X, np.arange(200), y[:200], classes), rng, previous)
    spread = model.facts()["spread"]
    C = model.facts()["C"] * spread**2
    scaled = X[:200].astype(np.float64) / spread
    best = LogisticRegression(C=C, tol=1e-9, max_iter=20000).fit(scaled, y[:200])
    seen = np.ones(classes, dtype=bool)
    facts = {**model.facts(), "C": C}
    ours = loss(LinearModel(model.weights * spread, model.bias, seen, facts), scaled, y[:200])
    optimum = loss(LinearModel(best.coef_, best.intercept_, seen, facts), scaled, y[:200])
    assert (ours - optimum) / C / 200 < 1e-4  # mean loss


def test_penalty_is_chosen_again_when_the_labels_have_doubled() -> None:
    X, y = blobs(400, d=5)
    learner, rng = make("linear"), np.random.default_rng(0)
    chosen, previous = [], None
    for m in (50, 60, 99, 100, 150, 200):
        previous = learner.fit(Training(X, np.arange(m), y[:m], 3), rng, previous)
        chosen.append(previous.facts()["chosen_at"])
    assert chosen == [50, 50, 50, 100, 100, 200]


def test_rescaling_the_features_changes_nothing() -> None:
    X, y = blobs(200, d=8)
    p = [
        make("linear").fit(
            Training((X * scale).astype(np.float32), np.arange(60), y[:60], 3),
            np.random.default_rng(0),
        ).predict_proba((X * scale).astype(np.float32))
        for scale in (1.0, 8.0, 1e-5, 1e5, 1e30)
    ]  # fmt: skip
    for other in p[1:]:
        np.testing.assert_allclose(p[0], other, atol=5e-3)


def test_unseen_classes_share_the_chance_of_something_new() -> None:
    X, y = blobs(100, d=8, classes=2)
    model = make("linear").fit(Training(X, np.arange(19), y[:19], 4), np.random.default_rng(0))
    p = model.predict_proba(X)
    np.testing.assert_allclose(p[:, 2:], 1 / 20 / 2)


@pytest.mark.parametrize("n", [1, 3, 5, 64, 65, 200])
def test_every_step_has_a_batch(n: int) -> None:
    # LabelBench W8: with fewer labels than a batch its loader trains on nothing.
    batches = _batches(n, 64, 10, np.random.default_rng(0))
    assert len(batches) == 10
    assert all(len(b) == min(n, 64) for b in batches)


@pytest.mark.parametrize("offset", [0.0, 3.0, 15.0, 1e3, 1e5])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_perceptron_standardises_whatever_the_offset(offset: float, layers: int) -> None:
    rng = np.random.default_rng(0)
    d, width = 7, 5
    arrays: dict[str, np.ndarray] = {
        "mean": (offset * rng.choice([-1, 1], d)).astype(np.float32),
        "deviation": rng.uniform(0.5, 2.0, d).astype(np.float32),
    }
    inputs = d
    for layer in range(layers):
        arrays[f"weights{layer}"] = rng.normal(size=(width, inputs)).astype(np.float32)
        arrays[f"bias{layer}"] = rng.normal(size=width).astype(np.float32)
        inputs = width
    arrays["head_weights"] = rng.normal(size=(3, inputs)).astype(np.float32)
    arrays["head_bias"] = rng.normal(size=3).astype(np.float32)
    model = MLPModel(arrays, {"kind": "multiclass", "layers": layers})
    x = (arrays["mean"] + arrays["deviation"] * rng.normal(size=(50, d))).astype(np.float32)
    before = x.copy()
    h = (x.astype(np.float64) - arrays["mean"]) / arrays["deviation"]
    for layer in range(layers):
        h = np.maximum(h @ arrays[f"weights{layer}"].T + arrays[f"bias{layer}"], 0.0)
    np.testing.assert_allclose(model.hidden(x), h, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(x, before)
    assert model.hidden(x).dtype == np.float32


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'class_weight'"):
        make("linear", {"class_weights": "balanced"})
    with pytest.raises(BadInput, match="strength"):
        make("linear", {"strength": -1})
    with pytest.raises(BadInput, match="steps"):
        make("mlp", {"steps": 0})
    with pytest.raises(BadInput, match="did you mean 'linear'"):
        make("lineer")


def test_listing_names_every_learner() -> None:
    assert [d["name"] for d in registry.describe()] == registry.names()


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_fitting_in_the_span_of_few_labels_gives_the_same_model(
    classes: int, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeltrain.learners import linear

    X, y = blobs(120, d=80, classes=classes, seed=4, spread=4.0)
    found = []
    for reduce_from in (0.0, np.inf):
        monkeypatch.setattr(linear, "REDUCE_FROM", reduce_from)
        rng, learner = np.random.default_rng(0), make("linear")
        early = learner.fit(Training(X, np.arange(25), y[:25], classes), rng)
        previous = early if start == "warm" else None
        model = learner.fit(Training(X, np.arange(40), y[:40], classes), rng, previous)
        found.append((loss(model, X[:40], y[:40]), model.predict_proba(X)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-3)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=0.02)


def test_integer_features_are_not_truncated() -> None:
    X, y = blobs(200, d=8)
    X = np.round(X * 10)
    model = make("linear").fit(
        Training(X.astype(np.float32), np.arange(60), y[:60], 3), np.random.default_rng(0)
    )
    np.testing.assert_allclose(
        model.predict_proba(X.astype(np.int64)), model.predict_proba(X.astype(np.float32))
    )
