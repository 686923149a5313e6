"""A linear model with the posterior of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.learners.base import Model, with_unseen

MEMBERS = 16  # of a committee


class PosteriorModel(Model):
    """A linear head on standardised features; every class has weights with the same covariance.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        ``mean``, ``deviation`` (d,); ``weights`` (C, d + 1), the last column for the constant;
        ``covariance`` (d + 1, d + 1); ``seen`` (C,); ``positions``, ``labels`` (m,), what it has
        learned; and what its learner goes on with.
    facts : mapping
        ``scale``: scores times it are logits; ``spread``: of the noise, in scores.
    """

    name: ClassVar[str] = "posterior"

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)

    def rows(self, features: np.ndarray) -> np.ndarray:
        """Return standardised features with a constant beside, float64 (k, d + 1)."""
        return prepared(features, self._arrays["mean"], self._arrays["deviation"])

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, float64 (k, C)."""
        logits = self.rows(features) @ self._arrays["weights"].T * self._facts["scale"]
        return self._probabilities(logits)

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        return with_unseen(logits, self._arrays["seen"].astype(bool), self._facts["labels"])

    def hidden(self, features: np.ndarray) -> np.ndarray:
        """Return the standardised features over the root of their number, float32 (k, d)."""
        return self.rows(features)[:, :-1].astype(np.float32)

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, d) and bias (C,) on :meth:`hidden`, of logits."""
        whole = self._arrays["weights"] * self._facts["scale"]
        constant = 1.0 / np.sqrt(whole.shape[1] - 1)
        return whole[:, :-1], whole[:, -1] * constant

    def posterior(self, features: np.ndarray) -> np.ndarray:
        """Return vectors whose inner products are the covariances of the scores, (k, d + 1)."""
        values, vectors = np.linalg.eigh(self._arrays["covariance"])
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(self._facts["spread"] * (self.rows(features) @ root))

    def variance(self, features: np.ndarray) -> np.ndarray:
        """Return the variance of the scores, float64 (k,): the same for every class."""
        rows = self.rows(features)
        own = np.einsum("id,id->i", rows @ self._arrays["covariance"], rows)
        return np.asarray(self._facts["spread"] ** 2 * own)

    def committee(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities under draws from the posterior, float64 (16, k, C)."""
        vectors, rng = self.posterior(features), np.random.default_rng(0)
        scores = self.rows(features) @ self._arrays["weights"].T
        classes = scores.shape[1]
        drawn = [
            self._probabilities(
                (scores + vectors @ rng.normal(size=(vectors.shape[1], classes)))
                * self._facts["scale"]
            )
            for _ in range(MEMBERS)
        ]
        return np.stack(drawn)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, covariance and what was learned."""
        return dict(self._arrays)

    def facts(self) -> dict[str, Any]:
        """Return scale, spread, penalty and counts."""
        return dict(self._facts)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> PosteriorModel:
        """Rebuild the model."""
        return cls(arrays, facts)


def prepared(features: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return features of mean 0 and squared length 1, on average, and a constant of that size."""
    rows = (np.asarray(features, dtype=np.float64) - mean) / deviation
    rows = np.hstack([rows, np.ones((len(rows), 1))])
    return rows / np.sqrt(len(mean))
