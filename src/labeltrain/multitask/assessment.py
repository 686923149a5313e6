"""What a representation says of the tasks: heads, noise, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from labeltrain.multitask.linear import heads_of, left_out_head
from labeltrain.multitask.samples import Samples

# Heads are known well enough below this error, as a share of the target's head. A rule of thumb
# that came with the description of the method, tried on made-up tasks; nothing derives it.
RESOLVED = 0.3
PENALTIES = np.concatenate([[1e-12], 10.0 ** np.arange(-7.0, 3.5, 0.5)])  # a sample


class Representation(Protocol):
    """What tasks share: a map from rows to a few numbers.

    Attributes
    ----------
    freedom : int
        Numbers that determine it, as far as they fit noise; 0 if it was not learned from the tasks.
    noise : float, optional
        Estimated standard deviation of the labels, where the representation knows better than the
        errors of samples that it was learned from.
    """

    @property
    def freedom(self) -> int:
        """Numbers that determine it."""

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the representation of rows, float64 (n, K)."""


@dataclass(frozen=True)
class Assessment:
    """Heads of all tasks on a representation, whitened.

    Attributes
    ----------
    heads : ndarray of float64, shape (K, M)
    targets : ndarray of float64, shape (K, T)
    noise : float
        Estimated standard deviation of the labels around their function; inf if there are too few
        samples to tell.
    unsure : float
        Error of a head, as a share of the length of the (shortest) target's head: ``noise
        sqrt(K / n) / |w_T|``, n being the samples of a source task, by the mean.
    predictors : ndarray of float64, shape (k, T)
        Heads of the targets on the representation as it is, to predict with.
    centres : (ndarray, ndarray)
        Mean representation (T, K) and mean value (T,) of the targets' samples, which `predictors`
        count from; zeros without an intercept.
    target_loss : float
        Mean squared error of left-out samples of the targets.
    missed : float
        Estimated share of the targets' signal that the representation cannot express, from 0 to 1.
    """

    heads: np.ndarray
    targets: np.ndarray
    noise: float
    unsure: float
    predictors: np.ndarray
    centres: tuple[np.ndarray, np.ndarray]
    target_loss: float
    missed: float

    @property
    def resolved(self) -> bool:
        """Whether heads are known well enough to tell which tasks matter."""
        return self.unsure <= RESOLVED


def assess(
    representation: Representation,
    sources: Samples,
    targets: Samples,
    ridge: float,
    *,
    intercept: bool = False,
) -> Assessment:
    """Refit all heads on a fixed representation, and see how well they are known.

    Parameters
    ----------
    representation : Representation
    sources, targets : Samples
        Rows as they are.
    ridge : float
        Penalty of the heads' squares, a sample.
    intercept : bool
        Every task has one: means of its representation and its values are taken off.

    Returns
    -------
    Assessment

    Notes
    -----
    Features are whitened with the second moments of all samples: then lengths of heads are sizes of
    predictions, and what is found does not depend on how the representation is written down (any
    invertible map of its numbers leaves relevance as it is, the Lasso's too).
    """
    encoded, aims = _encoded(representation, sources), _encoded(representation, targets)
    centres = np.zeros((aims.tasks, aims.rows.shape[1])), np.zeros(aims.tasks)
    if intercept:
        centres, encoded, aims = aims.means(), encoded.centred(), aims.centred()
    white = whitening(np.vstack([encoded.rows, aims.rows]))
    coded = Samples(encoded.rows @ white, encoded.values, sources.starts, sources.counts)
    aimed = Samples(aims.rows @ white, aims.values, targets.starts, targets.counts)
    k = white.shape[1]
    heads = heads_of(np.eye(k), coded, ridge)
    wanted = heads_of(np.eye(k), aimed, ridge)
    noise = getattr(representation, "noise", None)
    if noise is None:
        noise = _noise(heads, coded, representation.freedom, intercept)
    predictors, losses, missed = _predictors(aims, noise, k, intercept)
    return Assessment(
        heads, wanted, noise, _unsure(heads, wanted, noise, sources, targets),
        np.stack(predictors, axis=1), centres, float(np.mean(losses)), missed,
    )  # fmt: skip


def _encoded(representation: Representation, samples: Samples) -> Samples:
    found = np.asarray(representation.encode(samples.rows), dtype=np.float64)
    return Samples(found, samples.values, samples.starts, samples.counts)


def whitening(encoded: np.ndarray) -> np.ndarray:
    """Return T (k, r), so that ``encoded @ T`` has the identity as its second moments.

    Parameters
    ----------
    encoded : ndarray of float64, shape (n, k)

    Returns
    -------
    ndarray of float64, shape (k, r)
        Directions that never vary are left out; at least one is kept.
    """
    values, vectors = np.linalg.eigh(encoded.T @ encoded / max(len(encoded), 1))
    keep = values > 1e-12 * max(float(values[-1]), np.finfo(float).tiny)
    keep[-1] = True
    return np.asarray(vectors[:, keep] / np.sqrt(np.maximum(values[keep], np.finfo(float).tiny)))


def _noise(heads: np.ndarray, samples: Samples, freedom: int, centred: bool) -> float:
    own = heads.T[samples.owners]
    squares = float(((np.einsum("nk,nk->n", samples.rows, own) - samples.values) ** 2).sum())
    fitted = freedom + int(np.minimum(samples.counts, len(heads) + int(centred)).sum())
    free = int(samples.counts.sum()) - fitted
    return float(np.sqrt(squares / free)) if free > 0 else float("inf")


def _unsure(
    heads: np.ndarray, wanted: np.ndarray, noise: float, sources: Samples, targets: Samples
) -> float:
    if noise == 0.0:
        return 0.0
    if not np.isfinite(noise):
        return float("inf")
    k = len(heads)
    # Noise makes a head longer: what it adds to the squared length by least squares, about
    # K noise^2 / (n - K - 1), is taken off. Of K + 1 samples or fewer nothing is left.
    free = np.maximum(targets.counts - k - 1.0, 0.0)
    with np.errstate(divide="ignore"):
        squares = (wanted**2).sum(axis=0) - noise**2 * k / free
    shortest = float(np.sqrt(max(float(squares.min()), 0.0)))
    each = float(sources.counts.mean())
    return noise * float(np.sqrt(k / each)) / shortest if shortest > 0 else float("inf")


def _predictors(
    targets: Samples, noise: float, dimension: int, centred: bool
) -> tuple[list[np.ndarray], list[float], float]:
    found, losses, missed = [], [], []
    for rows, values in targets:
        scale = max(float((rows**2).mean()), np.finfo(float).tiny)
        head, loss = left_out_head(rows, values, PENALTIES * scale * len(rows), centred=centred)
        found.append(head)
        losses.append(loss)
        known = noise**2 if np.isfinite(noise) else 0.0
        signal = float((values**2).mean()) - known
        left = loss - known * (1.0 + (dimension + int(centred)) / len(rows))
        missed.append(min(max(left, 0.0) / signal, 1.0) if signal > 0 else 1.0)
    return found, losses, max(missed)
