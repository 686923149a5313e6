"""Relevance by steps: how much does learning from a source task lower the loss of the target?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.multitask.affinity import affinity
from labeltrain.multitask.linear import heads_of, mean_square
from labeltrain.multitask.samples import Samples

RATES = 2.0 ** np.arange(-12.0, 7.0)  # of a step, tried from the smallest
TRIED = 16  # tasks that the rate is found with


class Steppable(Protocol):
    """A representation that can take a step towards a task."""

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the representation of rows, float64 (n, K)."""

    def stepped(
        self, rows: np.ndarray, values: np.ndarray, head: np.ndarray, rate: float
    ) -> Steppable:
        """Return it after a step down the mean squared error of a task with a fixed head."""


class Started(Protocol):
    """A learned representation that tells where learning could begin, or came by."""

    def starts(self) -> Sequence[Steppable]:
        """Return representations from which tasks still have something to teach."""


def by_steps(
    representation: Any,
    sources: Samples,
    targets: Samples,
    *,
    ridge: float = 1e-3,
    intercept: bool = False,
) -> np.ndarray:
    """Return how much a step on each source alone lowers the loss of each target.

    Parameters
    ----------
    representation : Started
        As linear ones and networks are.
    sources, targets : Samples
        Rows as they are.
    ridge : float
        Penalty of the heads that steps are taken with, a sample, by the mean square of an encoded
        feature.
    intercept : bool
        Heads have one.

    Returns
    -------
    ndarray of float64, shape (M, T)
        The mean over starts of ``max(0, 1 - after / before)``: a source whose step does harm counts
        as none. 0 where a task has no samples.

    Raises
    ------
    BadInput
        A representation that tells no starts.

    Notes
    -----
    Steps from what was learned already would say little: there tasks pull against each other, and
    the sum of all steps is nothing. So steps begin where learning is under way: at random bases, or
    at what a network was while it was trained (Fifty et al. take the mean over all of it).

    References
    ----------
    Fifty et al.: Efficiently identifying task groupings for multi-task learning, NeurIPS 2021,
    arXiv 2109.04617.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.linear import SharedLinear
    >>> from labeltrain.multitask.lookahead import by_steps
    >>> from labeltrain.multitask.samples import Samples
    >>> x = np.random.default_rng(0).normal(size=(90, 3))
    >>> sources = Samples.of([(x, x[:, 0]), (x, x[:, 1])])
    >>> found = SharedLinear(np.eye(3)[:, :1], np.ones((1, 2)), 0.0, 0)
    >>> relevance = by_steps(found, sources, Samples.of([(x, x[:, 0])]))
    >>> bool(relevance[0, 0] > 10 * relevance[1, 0])
    True
    """
    if not hasattr(representation, "starts"):
        raise BadInput(
            f"a representation of the kind {type(representation).__name__} takes no steps",
            "give it a method `starts`, or use another method than affinity",
        )
    begun: Started = representation
    each = [steps_from(one, sources, targets, ridge, intercept) for one in begun.starts()]
    return np.asarray(np.mean(each, axis=0))


def steps_from(
    start: Steppable, sources: Samples, targets: Samples, ridge: float, intercept: bool
) -> np.ndarray:
    """Return how much a step on each source lowers the loss of each target, from one start.

    Parameters
    ----------
    start : Steppable
    sources, targets, ridge, intercept
        As in :func:`by_steps`.

    Returns
    -------
    ndarray of float64, shape (M, T)

    Notes
    -----
    Heads are refitted on the start and stay as they are. The rate is the same for all tasks: the
    power of 2 with which tasks lower their own error most, by the mean of 16 of them.
    """
    parts = _parts(start, sources, ridge, intercept)
    aims = _parts(start, targets, ridge, intercept)
    rate = _rate(start, parts)
    found = np.zeros((len(parts), len(aims)))
    before = np.array([_loss(start, part) for part in aims])
    for m, (rows, values, head) in enumerate(parts):
        if not len(rows) or rate == 0.0:
            continue
        after = start.stepped(rows, values, head, rate)
        losses = np.array([_loss(after, part) for part in aims])
        for t in np.flatnonzero(before > 0.0):
            found[m, t] = max(0.0, float(affinity(before[t], losses[t : t + 1])[0]))
    return found


Part = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, values less the intercept, head


def _parts(start: Steppable, samples: Samples, ridge: float, intercept: bool) -> list[Part]:
    encoded = np.asarray(start.encode(samples.rows), dtype=np.float64)
    coded = Samples(encoded, samples.values, samples.starts, samples.counts)
    centres = np.zeros((samples.tasks, encoded.shape[1])), np.zeros(samples.tasks)
    if intercept:
        centres, coded = coded.means(), coded.centred()
    heads = heads_of(np.eye(encoded.shape[1]), coded, ridge * mean_square(coded))
    found = []
    for m, (rows, values) in enumerate(samples):
        bias = centres[1][m] - heads[:, m] @ centres[0][m]
        found.append((rows, values - bias, heads[:, m]))
    return found


def _loss(representation: Steppable, part: Part) -> float:
    rows, values, head = part
    return float(((representation.encode(rows) @ head - values) ** 2).mean())


def _rate(start: Steppable, parts: list[Part]) -> float:
    """Return the step with which the mean error of all tasks, each after its own, is least."""
    some = [part for part in parts if len(part[0])]
    some = some[:: -(-len(some) // TRIED)]
    best, found = float(np.mean([_loss(start, part) for part in some])), 0.0
    for rate in RATES:
        losses = [_loss(start.stepped(*part, float(rate)), part) for part in some]
        error = float(np.mean(losses)) if np.isfinite(losses).all() else float("inf")
        if error >= best:
            if found > 0.0:
                break
            continue
        best, found = error, float(rate)
    return found
