"""Recursive ridge regression onto the classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.rank_updates import inverse_of, with_rows
from labeltrain.learners.base import Training
from labeltrain.learners.checks import check_positive
from labeltrain.learners.closed_form.learner import ClosedForm, one_hot
from labeltrain.learners.closed_form.model import PosteriorModel

PENALTIES = 10.0 ** np.arange(-4.0, 3.5, 0.5)
AGAIN = 1.1  # times as many labels, or a class more, and the scale is chosen again
GAINED = 1e-12  # log-likelihood that a factor has to gain over the one before
SCALES = 10.0 ** np.linspace(-1.0, 2.5, 71)


class Ridge(ClosedForm):
    """Least squares onto the classes, with a penalty: exact, and a label is taken in at once.

    ``P <- P - k x'P`` with ``k = P x / (1 + x'P x)``, ``W <- W + k (y - x'W)``; as from scratch.

    Parameters
    ----------
    penalty : float or "auto"
        Of the squared weights; features have mean 0 and squared length 1. "auto": the one with the
        least error of left-out labels, chosen again once labels have doubled.

    Notes
    -----
    Probabilities are the softmax of the scores times a factor under which left-out labels are the
    most likely, chosen again once there is a tenth more of them or a class more; errors of left-out
    labels need no further fit: ``(y - f) / (1 - x'P x)``. Scores have the posterior variance
    ``s^2 x'P x``, with s the mean error of left-out labels.

    Examples
    --------
    >>> from labeltrain.learners import make
    >>> make("ridge", {"penalty": 0.1}).continues
    True
    """

    name: ClassVar[str] = "ridge"
    summary: ClassVar[str] = "recursive ridge regression on features: exact rank-one updates"

    def __init__(self, penalty: float | str = "auto") -> None:
        if isinstance(penalty, str):
            if penalty != "auto":
                raise BadInput(f"ridge: penalty={penalty!r}", "give a number above 0, or auto")
        else:
            check_positive(self.name, penalty=penalty)
        self.penalty = penalty

    def _is_mine(self, facts: dict[str, Any]) -> bool:
        return bool(facts["asked"] == self.penalty)

    def _anew(
        self, rows: np.ndarray, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        targets = one_hot(training.labels, training.classes)
        if isinstance(self.penalty, str):
            penalty = best_penalty(rows, targets)
        else:
            penalty = float(self.penalty)
        inverse = inverse_of(rows, np.ones(len(rows)), penalty)
        arrays = {"covariance": inverse, "weights": (inverse @ (rows.T @ targets)).T}
        facts = {"learner": self.name, "asked": self.penalty, "penalty": penalty}
        return arrays, facts | calibration(rows, targets, arrays, training.labels)

    def _taken_in(
        self, before: PosteriorModel, rows: np.ndarray, labels: np.ndarray, training: Training
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        held = before.arrays()
        inverse = with_rows(held["covariance"], rows, np.ones(len(rows)))
        apart = one_hot(labels, training.classes) - rows @ held["weights"].T
        arrays = {"covariance": inverse, "weights": held["weights"] + apart.T @ (rows @ inverse)}
        few = len(training.labels) < AGAIN * before.facts()["scaled"]
        if few and held["seen"][labels].all():
            return arrays, {}
        every = before.rows(training.features[training.labelled])
        targets = one_hot(training.labels, training.classes)
        return arrays, calibration(every, targets, arrays, training.labels)


def calibration(
    rows: np.ndarray, targets: np.ndarray, arrays: dict[str, np.ndarray], labels: np.ndarray
) -> dict[str, Any]:
    """Return what errors of left-out labels say: the factor of scores, and their mean."""
    left = left_out(rows, targets, arrays["covariance"], arrays["weights"].T)
    seen = np.unique(labels)
    scale = best_scale(left[:, seen], np.searchsorted(seen, labels))
    spread = float(np.sqrt(np.mean((targets - left)[:, seen] ** 2)))
    return {"scale": scale, "spread": spread, "scaled": len(labels)}


def left_out(
    rows: np.ndarray, targets: np.ndarray, inverse: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the score of each row by the regression on all others, float64 (m, C).

    Parameters
    ----------
    rows : ndarray of float64, shape (m, d)
    targets : ndarray of float64, shape (m, C)
    inverse : ndarray of float64, shape (d, d)
        ``(penalty I + X'X)^-1``.
    weights : ndarray of float64, shape (d, C)
        Of all rows.
    """
    own = np.einsum("id,id->i", rows @ inverse, rows)
    rest = np.maximum(1.0 - own, 1e-9)[:, None]
    return np.asarray(targets - (targets - rows @ weights) / rest)


def best_penalty(rows: np.ndarray, targets: np.ndarray) -> float:
    """Return the penalty with the least squared error of left-out rows."""
    left, values, _ = np.linalg.svd(rows, full_matrices=False)
    inside = left.T @ targets
    errors = []
    for penalty in PENALTIES:
        shrunk = values**2 / (values**2 + penalty)
        own = (left**2 * shrunk).sum(axis=1)
        apart = (targets - (left * shrunk) @ inside) / np.maximum(1.0 - own, 1e-9)[:, None]
        errors.append(float((apart**2).mean()))
    return float(PENALTIES[int(np.argmin(errors))])


def best_scale(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the factor under which the softmax of the scores makes the labels most likely.

    Of :data:`SCALES`; the log-likelihood is concave in it, so halving finds it. Where it only
    rises, the first from which on nothing is gained.
    """
    from scipy.special import logsumexp

    # log softmax of the label: minus the log of the sum of exp(scale * (score - that of the label))
    above = scores - scores[np.arange(len(labels)), labels][:, None]

    def loss(place: int) -> float:
        return float(np.mean(logsumexp(SCALES[place] * above, axis=1)))

    low, high = 0, len(SCALES) - 1
    while low < high:
        middle = (low + high) // 2
        stays = loss(middle) <= loss(middle + 1) + GAINED
        low, high = (low, middle) if stays else (middle + 1, high)
    return float(SCALES[low])
