"""What a run of the adaptive loop leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labeltrain.multitask.assessment import Assessment, Representation


@dataclass(frozen=True)
class Epoch:
    """What happened in an epoch, once its samples were drawn and learned from.

    Attributes
    ----------
    counts : ndarray of int64, shape (M,)
        Samples of each task, in all so far.
    shares : ndarray of float64, shape (M,)
        Of each task in all samples so far.
    relevance : ndarray of float64, shape (M, T) or None
        By the heads after this epoch; None for methods that do not estimate it.
    bound : float
        ``R(n, nu)`` of these samples and this relevance, summed over targets; inf where a task that
        matters has no samples, nan without a relevance.
    residual : float
        Share of the (worst) target's head that this relevance leaves unexplained; nan without one.
    smallest : float
        Least singular value of the heads: how far the sources are from leaving a direction out.
    penalty : float
        Of the relevance; nan where there is none.
    uniform : float
        Share that the next epoch draws of all tasks alike.
    assessment : Assessment
        Heads, noise, error of left-out target samples, and what the representation misses.
    representation : Representation
    centres : (ndarray, ndarray)
        Mean representation (T, K) and mean value (T,) of the targets' samples, under
        ``Plan.intercept``; else zeros.
    seconds : float
    """

    counts: np.ndarray
    shares: np.ndarray
    relevance: np.ndarray | None
    bound: float
    residual: float
    smallest: float
    penalty: float
    uniform: float
    assessment: Assessment
    representation: Representation
    centres: tuple[np.ndarray, np.ndarray]
    seconds: float = field(compare=False)

    def predict(self, rows: np.ndarray, target: int = 0) -> np.ndarray:
        """Return predictions of a target for rows (n, d), as of this epoch; float64 (n,)."""
        centre, mean = self.centres[0][target], self.centres[1][target]
        encoded = self.representation.encode(np.asarray(rows, dtype=np.float64)) - centre
        return np.asarray(encoded @ self.assessment.predictors[:, target] + mean)


@dataclass(frozen=True)
class Outcome:
    """What was learned, and how.

    Attributes
    ----------
    representation : Representation
    heads : ndarray of float64, shape (K, T)
        Of the targets, on the representation.
    epochs : tuple of Epoch
    spent : float
    warnings : tuple of str
    """

    representation: Representation
    heads: np.ndarray
    epochs: tuple[Epoch, ...]
    spent: float
    warnings: tuple[str, ...]

    @property
    def counts(self) -> np.ndarray:
        """Samples drawn of each source task, int64 (M,)."""
        return self.epochs[-1].counts

    def predict(self, rows: np.ndarray, target: int = 0) -> np.ndarray:
        """Return predictions of a target for rows (n, d), float64 (n,)."""
        return self.epochs[-1].predict(rows, target)


@dataclass(frozen=True)
class Identity:
    """The features as they are: what a target has without source tasks.

    Attributes
    ----------
    freedom : int
        0: nothing is learned.
    """

    freedom: int = 0

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows, float64 (n, d)."""
        return np.asarray(rows, dtype=np.float64)
