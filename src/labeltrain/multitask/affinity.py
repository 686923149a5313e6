"""Where heads say nothing: how a step on one task changes another, and weights by excess loss."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput


def affinity(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return by how much steps on the sources lower the loss of a target, ``1 - after / before``.

    Parameters
    ----------
    before : ndarray of float, shape () or (S, 1)
        Loss of the target before a step, above 0.
    after : ndarray of float, shape (M,) or (S, M)
        Its loss after a step of the shared parameters on each source alone.

    Returns
    -------
    ndarray of float64, shape (M,)
        The mean over S steps. Above 0: the source helps. As a relevance for
        :func:`~labeltrain.multitask.allocation.power_shares`, harm counts as none:
        ``np.maximum(affinity(...), 0)``.

    References
    ----------
    Fifty et al.: Efficiently identifying task groupings for multi-task learning, NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.affinity import affinity
    >>> affinity(np.array(2.0), np.array([1.5, 2.2])).round(2).tolist()
    [0.25, -0.1]
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if not (np.isfinite(before) & (before > 0)).all() or not np.isfinite(after).all():
        raise BadInput("losses that are not finite, or 0 before the step", "give losses above 0")
    found = 1.0 - after / before
    return np.asarray(found if found.ndim == 1 else found.mean(axis=0))


def mixture_step(
    weights: np.ndarray, excess: np.ndarray, *, rate: float = 1.0, smoothing: float = 1e-3
) -> np.ndarray:
    """Return the weights of tasks after a step towards those with much left to learn (DoReMi).

    ``w <- w exp(rate max(excess, 0))``, divided by its sum, then ``(1 - c) w + c / M``.

    Parameters
    ----------
    weights : ndarray of float, shape (M,)
        0 or more, of a sum above 0.
    excess : ndarray of float, shape (M,)
        Loss of each task beyond that of a reference model.
    rate : float
    smoothing : float
        c, from 0 to 1.

    Returns
    -------
    ndarray of float64, shape (M,)
        Sum to 1. The mixture to use is their mean over all steps.

    References
    ----------
    Xie et al.: DoReMi: Optimizing data mixtures speeds up language model pretraining, NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.affinity import mixture_step
    >>> mixture_step(np.array([0.5, 0.5]), np.array([1.0, -3.0]), smoothing=0).round(4).tolist()
    [0.7311, 0.2689]
    """
    weights, excess = np.asarray(weights, dtype=np.float64), np.asarray(excess, dtype=np.float64)
    if weights.ndim != 1 or weights.shape != excess.shape:
        raise BadInput(
            f"weights of shape {weights.shape} and excess losses of shape {excess.shape}",
            "give one of each for each task",
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise BadInput("weights that are no shares", "give numbers of 0 or more, not all 0")
    if not 0 <= smoothing <= 1:
        raise BadInput(f"smoothing={smoothing!r}", "give a number from 0 to 1")
    steep = rate * np.maximum(excess, 0.0)
    found = weights * np.exp(steep - steep.max())
    return np.asarray((1.0 - smoothing) * found / found.sum() + smoothing / len(found))
