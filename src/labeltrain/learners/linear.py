"""Logistic regression on frozen features: one fit a round, started from the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, ClassVar, Literal

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels import clock
from labeltrain.kernels.row_space import row_space
from labeltrain.learners.balance import Adjustment
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training, with_unseen
from labeltrain.learners.quiet_fit import quiet_fit
from labeltrain.needs import Need

MAX_ITERATIONS = 2000
TOLERANCE = 1e-5  # mean loss within 1e-4 of the optimum: benchmarks/logistic.py
REDUCE_FROM = 1.5  # features per label from which fitting in the labels' span pays


COMMITTEE = 10  # members, when a strategy needs a committee and no number was asked for

Members = tuple[np.ndarray, np.ndarray]  # weights (S, C, d) and bias (S, C), float32


class LinearModel(Model):
    """Softmax (multiclass) or independent sigmoids (multilabel) of a linear map."""

    name: ClassVar[str] = "linear"

    def __init__(
        self,
        weights: np.ndarray,
        bias: np.ndarray,
        seen: np.ndarray,
        facts: Mapping[str, Any],
        members: Members | None = None,
    ) -> None:
        self.weights = weights  # (C, d); zero rows for classes not seen yet
        self.bias = bias
        self.seen = seen
        self.members = members
        self._facts = dict(facts)

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, float64 (k, C).

        A class without a label shares the chance 1/(m+1) that the next of m labels is new.
        """
        return self._predict(features, self.weights, self.bias)

    def committee(self, features: np.ndarray) -> np.ndarray:
        """Return the probabilities of each member, float64 (S, k, C)."""
        if self.members is None:
            return super().committee(features)
        return np.stack([self._predict(features, w, b) for w, b in zip(*self.members, strict=True)])

    def _predict(self, features: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
        if features.dtype.kind != "f":
            features = features.astype(np.float32)
        logits = (features @ weights.T.astype(features.dtype)).astype(np.float64) + bias
        if self._facts["kind"] == "multilabel":
            return 1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500)))
        return with_unseen(logits, self.seen, self._facts["labels"])

    @property
    def fitted_bias(self) -> np.ndarray:
        """The bias without logit adjustment, float64 (C,)."""
        taken = self._facts.get("taken")
        return self.bias if taken is None else self.bias + np.array(taken)

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, d) and bias (C,)."""
        return self.weights, self.bias

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, bias, which classes were seen, and those of the committee."""
        arrays = {"weights": self.weights, "bias": self.bias, "seen": self.seen}
        if self.members is not None:
            arrays["member_weights"], arrays["member_bias"] = self.members
        return arrays

    def facts(self) -> dict[str, Any]:
        """Return kind, number of labels, C and the label count at which C was chosen."""
        return dict(self._facts)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> LinearModel:
        """Rebuild the model."""
        members = None
        if "member_weights" in arrays:
            members = arrays["member_weights"], arrays["member_bias"]
        return cls(arrays["weights"], arrays["bias"], arrays["seen"], facts, members)


class Linear(Learner):
    """L2-regularised logistic regression (scikit-learn, L-BFGS), warm-started every round.

    Parameters
    ----------
    strength : float or "auto"
        scikit-learn's ``C``, the inverse of the L2 penalty on the summed loss. "auto" sets
        ``C = scale / v``, v being the mean squared distance of the features from their mean, so
        that the result does not change when features are rescaled. It is chosen again each time
        the number of labels has doubled.
    scale : float
        See `strength`; chosen on development seeds (docs/learners.md).
    class_weight : {"none", "balanced"}
        "balanced" weights each label by m / (classes seen * labels of its class).
    logit_adjustment : float
        Another remedy for rare classes: so many times the log of the share of each class
        (multilabel: of its odds) is taken from its logit. 1 aims at balanced accuracy. As the bias
        is not penalised, a model trained with logits adjusted by the same shares is the same.
    prior : {"pool", "labels"}
        Whose shares: those that the model predicts for the pool, or those of the labels, which
        say nothing about the pool once labels are chosen actively.
    committee : int
        Members fitted beside the model, for strategies that ask a committee (BALD and its kin):
        each weights every label by a draw from the exponential distribution (Rubin's Bayesian
        bootstrap, which unlike drawing labels with replacement keeps every class). The model itself
        does not change. 0 means 10 where a strategy of the run needs them, else none.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.learners import Training, make
    >>> X = np.array([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.1]], dtype=np.float32)
    >>> training = Training(X, np.array([0, 2]), np.array([0, 1]), classes=2)
    >>> model = make("linear").fit(training, np.random.default_rng(0))
    >>> model.predict_proba(X).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """

    name: ClassVar[str] = "linear"
    summary: ClassVar[str] = "logistic regression on frozen features, warm-started"
    continues: ClassVar[bool] = True
    imports: ClassVar[tuple[str, ...]] = ("sklearn.linear_model",)
    gives: ClassVar[frozenset[Need]] = frozenset(
        {Need.PROBABILITIES, Need.PREDICT, Need.HIDDEN, Need.HEAD, Need.OUT_OF_FOLD}
    )
    model: ClassVar[type[Model]] = LinearModel

    def __init__(
        self,
        strength: float | Literal["auto"] = "auto",
        scale: float = 100.0,
        class_weight: Literal["none", "balanced"] = "none",
        committee: int = 0,
        logit_adjustment: float = 0.0,
        prior: Literal["pool", "labels"] = "pool",
    ) -> None:
        if strength != "auto" and not _positive(strength):
            raise BadInput(f"strength={strength!r} is not a positive number", "or use 'auto'")
        if not _positive(scale):
            raise BadInput(f"scale={scale!r} is not a positive number", "give a number above 0")
        if class_weight not in ("none", "balanced"):
            raise BadInput(f"class_weight={class_weight!r} is unknown", "use none or balanced")
        self.adjustment = Adjustment.checked(self.name, logit_adjustment, prior, class_weight)
        self.strength = strength
        self.scale = scale
        if isinstance(committee, bool) or not isinstance(committee, int) or committee < 0:
            raise BadInput(f"committee={committee!r} is no number of members", "such as 10")
        if committee == 1:
            raise BadInput("a committee of 1 cannot disagree", "give at least 2 members")
        self.class_weight = class_weight
        self.committee = committee
        if committee:
            self.gives = type(self).gives | {Need.COMMITTEE}  # type: ignore[misc]

    def serving(self, needs: frozenset[Need]) -> Linear:
        """Return this learner, with a committee when one is needed."""
        if Need.COMMITTEE not in needs or self.committee:
            return self
        return Linear(
            self.strength, self.scale, self.class_weight, COMMITTEE, *astuple(self.adjustment)
        )

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return the optimum for the labels so far, starting from `previous`."""
        started = clock.seconds()
        features = training.features[training.labelled]
        before = previous if isinstance(previous, LinearModel) else None
        facts = self._regularise(training, features, before)
        features = (features.astype(np.float64) / facts["spread"]).astype(np.float32)
        if training.kind == "multilabel":
            model = self._fit_labels(training, features, facts, rng)
        else:
            seen = np.bincount(training.labels, minlength=training.classes) > 0
            if seen.sum() < 2:
                return PriorModel(training.prior(), training.features.shape[1])
            model = self._fit_classes(training, features, seen, facts, before, rng)
        model.cost = Cost(
            len(features) * int(model.facts()["iterations"]), clock.seconds() - started
        )
        return model

    def _regularise(
        self, training: Training, features: np.ndarray, before: LinearModel | None
    ) -> dict[str, Any]:
        """Return C, and the spread by which features are divided while fitting."""
        m = len(features)
        facts: dict[str, Any] = {"kind": training.kind, "labels": m, "iterations": 0}
        if before is not None and m < 2 * int(before.facts()["chosen_at"]):
            old = before.facts()
            return {**facts, **{k: old[k] for k in ("C", "spread", "chosen_at")}}
        variance = float(features.astype(np.float64).var(axis=0).sum()) if m else 0.0
        variance = variance if variance > 0 else 1.0
        C = self.scale / variance if self.strength == "auto" else float(self.strength)
        return {**facts, "C": C, "spread": variance**0.5, "chosen_at": m}

    def _solver(self, facts: dict[str, Any]) -> Any:
        """Return the solver for features divided by the spread: its stopping rule is absolute."""
        from sklearn.linear_model import LogisticRegression

        weight = "balanced" if self.class_weight == "balanced" else None
        return LogisticRegression(
            C=facts["C"] * facts["spread"] ** 2,
            class_weight=weight,
            max_iter=MAX_ITERATIONS,
            tol=TOLERANCE,
            warm_start=True,
        )

    def _fit_classes(
        self,
        training: Training,
        features: np.ndarray,
        seen: np.ndarray,
        facts: dict[str, Any],
        before: LinearModel | None,
        rng: np.random.Generator,
    ) -> LinearModel:
        present = np.flatnonzero(seen)
        taken = np.zeros(training.classes)
        solver = self._solver(facts)
        basis = None
        if REDUCE_FROM * len(features) < features.shape[1]:
            basis, features = row_space(features)
        width = training.features.shape[1]
        if before is not None and before.weights.shape[1] == width:
            solver.classes_ = present
            start, bias = before.weights[present] * facts["spread"], before.fitted_bias[present]
            if len(present) == 2:  # scikit-learn keeps one row for two classes
                start, bias = (start[1:] - start[:1]), (bias[1:] - bias[:1])
            if basis is not None:
                start = start @ basis
            solver.coef_ = start.astype(features.dtype)
            solver.intercept_ = bias.astype(features.dtype)
        facts["iterations"] = quiet_fit(solver, features, training.labels)

        def whole() -> tuple[np.ndarray, np.ndarray]:
            """Return the solver's weights for all classes and undivided features."""
            found = (solver.coef_ if basis is None else solver.coef_ @ basis.T) / facts["spread"]
            weights, bias = np.zeros((training.classes, width)), np.zeros(training.classes)
            if len(present) == 2:
                weights[present[1]], bias[present[1]] = found[0], solver.intercept_[0]
            else:
                weights[present], bias[present] = found, solver.intercept_
            return weights, bias - taken

        weights, bias = whole()
        if self.adjustment.strength:
            plain = LinearModel(weights, bias, seen, facts)
            taken[present] = self._taken(training, present, plain)
            facts["taken"] = taken.tolist()
            weights, bias = whole()
        members = None
        if self.committee:
            coefficients, intercept = solver.coef_.copy(), solver.intercept_.copy()
            found = []
            for _ in range(self.committee):
                solver.coef_, solver.intercept_ = coefficients.copy(), intercept.copy()
                draw = rng.exponential(size=len(features))
                facts["iterations"] += quiet_fit(solver, features, training.labels, draw)
                found.append(whole())
            members = _members(found)
        return LinearModel(weights, bias, seen, facts, members)

    def _fit_labels(
        self,
        training: Training,
        features: np.ndarray,
        facts: dict[str, Any],
        rng: np.random.Generator,
    ) -> LinearModel:
        draws: list[np.ndarray | None] = [None]
        draws += [rng.exponential(size=len(features)) for _ in range(self.committee)]
        prior = training.prior()
        seen = np.zeros(training.classes, dtype=bool)
        found = [
            (
                np.zeros((training.classes, training.features.shape[1])),
                np.log(prior / (1.0 - prior)),
            )
            for _ in draws
        ]
        for c in range(training.classes):
            on = training.labels[:, c]
            if len(on) == 0 or on.min() == on.max():
                continue  # never or always on so far: the smoothed prior stands
            seen[c] = True
            solver = self._solver(facts)
            for draw, (weights, bias) in zip(draws, found, strict=True):
                facts["iterations"] += quiet_fit(solver, features, on, draw)
                weights[c], bias[c] = solver.coef_[0] / facts["spread"], solver.intercept_[0]
        weights, bias = found[0]
        if self.adjustment.strength:
            present = np.flatnonzero(seen)
            plain = LinearModel(weights, bias, seen, facts)
            taken = self._taken(training, present, plain)
            for _, each in found:
                each[present] -= taken
        return LinearModel(weights, bias, seen, facts, _members(found[1:]))

    def _taken(self, training: Training, present: np.ndarray, plain: LinearModel) -> np.ndarray:
        """Return what logit adjustment takes from the bias of the classes that have labels."""

        def predict(positions: np.ndarray) -> np.ndarray:
            return plain.predict_proba(training.features[positions])

        return self.adjustment.afterwards(training, present, predict, fitted=True)


def _members(found: list[tuple[np.ndarray, np.ndarray]]) -> Members | None:
    if not found:
        return None
    weights, bias = zip(*found, strict=True)
    return np.stack(weights).astype(np.float32), np.stack(bias).astype(np.float32)


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < float("inf")
