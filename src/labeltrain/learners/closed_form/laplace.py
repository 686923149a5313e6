"""Logistic regression on features with the Laplace approximation of its posterior."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from labeltrain.kernels.rank_updates import inverse_of, with_rows
from labeltrain.learners.base import Training
from labeltrain.learners.checks import check_positive, check_whole
from labeltrain.learners.closed_form.learner import ClosedForm
from labeltrain.learners.closed_form.model import PosteriorModel


class Laplace(ClosedForm):
    """Multinomial logistic regression; new labels are taken in by Newton steps on them alone.

    ``P <- (P^-1 + sum w x x')^-1``, ``W_c <- W_c + P sum x (y_c - p_c)``, with the posterior before
    as the prior. All classes share P, with w the largest ``p_c (1 - p_c)`` of an item: an upper
    bound of each class's own. Once labels have doubled, all are fitted anew.

    Parameters
    ----------
    scale : float
        Of the weights a priori: features have mean 0 and squared length 1. Inverse of the penalty.
    steps : int
        Newton steps over the new labels.

    References
    ----------
    Huseljic et al.: Fast Bayesian updates for deep learning with a use case in active learning,
    arXiv 2210.06112.
    """

    name: ClassVar[str] = "laplace"
    summary: ClassVar[str] = "logistic regression on features, Bayesian updates of its posterior"

    def __init__(self, scale: float = 100.0, steps: int = 3) -> None:
        check_positive(self.name, scale=scale)
        check_whole(self.name, steps=steps)
        self.scale, self.steps = float(scale), steps

    def _is_mine(self, facts: dict[str, Any]) -> bool:
        return bool(facts["asked"] == [self.scale, self.steps])

    def _anew(
        self, rows: np.ndarray, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        seen, codes = np.unique(training.labels, return_inverse=True)
        weights = np.zeros((training.classes, rows.shape[1]))
        weights[seen] = fitted(rows, codes, len(seen), 1.0 / self.scale)
        p = _softmax(rows @ weights[seen].T)
        curved = (p * (1.0 - p)).max(axis=1)
        arrays = {
            "weights": weights,
            "covariance": inverse_of(rows, curved, 1.0 / self.scale),
        }
        facts = {"learner": self.name, "asked": [self.scale, self.steps], "scale": 1.0}
        return arrays, {**facts, "spread": 1.0}

    def _taken_in(
        self, before: PosteriorModel, rows: np.ndarray, labels: np.ndarray, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        held = before.arrays()
        seen = np.flatnonzero(np.bincount(training.labels, minlength=training.classes))
        wanted = (labels[:, None] == seen[None]).astype(np.float64)
        start = held["weights"][seen]
        weights, inverse = start.copy(), held["covariance"]
        turned = rows @ inverse
        gram = turned @ rows.T
        for _ in range(self.steps if len(rows) else 0):
            p = _softmax(rows @ weights.T)
            curved = np.maximum((p * (1.0 - p)).max(axis=1), 1e-6)
            # The gradient at `weights`: of the new labels, and of the posterior before as prior.
            # P^-1 (weights - start) is known without P's inverse: P^-1 = P_0^-1 + sum w x x'.
            pull = weights - start
            gradient = wanted - p + curved[:, None] * (rows @ pull.T)  # of scores
            # Rows times P, without P: the formula of `with_rows`.
            near = turned - gram @ np.linalg.solve(gram + np.diag(1.0 / curved), turned)
            weights = start + gradient.T @ near
        if len(rows):
            inverse = with_rows(inverse, rows, curved)
        whole = held["weights"].copy()
        whole[seen] = weights
        return {"weights": whole, "covariance": inverse}, {}


def fitted(rows: np.ndarray, labels: np.ndarray, classes: int, penalty: float) -> np.ndarray:
    """Return the most likely weights, float64 (C, d), under a penalty of half their squares."""
    from scipy.optimize import minimize

    d = rows.shape[1]
    wanted = np.eye(classes)[labels]

    def of(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(classes, d)
        logits = rows @ weights.T
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1))
        value = float((total - (wanted * logits).sum(axis=1)).sum())
        slope = (_softmax(logits) - wanted).T @ rows + penalty * weights
        return value + 0.5 * penalty * float((flat**2).sum()), slope.ravel()

    found = minimize(of, np.zeros(classes * d), jac=True, method="L-BFGS-B",
                     options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7})  # fmt: skip
    return np.asarray(found.x.reshape(classes, d))


def _softmax(logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)
