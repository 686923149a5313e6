"""How many numbers tasks share, and how strongly to hold them: by the loss of left-out samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.multitask.linear import alternating_least_squares
from labeltrain.multitask.samples import Samples

DIMENSIONS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 3
WORSE = 2  # larger dimensions in turn that do not help end the search
STEPS, NEAR = 30, 1e-3  # a loss needs no exact solution


@dataclass(frozen=True)
class Choice:
    """A dimension and a ridge penalty, and what was tried.

    Attributes
    ----------
    dimension : int
    ridge : float
    loss : float
        Mean squared error of left-out samples.
    alone : float
        Of predicting the mean of each task: what sharing has to beat.
    tried : tuple of (int, float, float)
        Dimension, ridge, loss.
    """

    dimension: int
    ridge: float
    loss: float
    alone: float
    tried: tuple[tuple[int, float, float], ...]


def choose_dimension(
    samples: Samples,
    *,
    dimensions: Sequence[int] = DIMENSIONS,
    ridges: Sequence[float] = RIDGES,
    most: int | None = None,
) -> Choice:
    """Return the dimension and the penalty that predict left-out source samples best.

    Parameters
    ----------
    samples : Samples
        Of the first epoch, which draws of all tasks alike; in random order.
    dimensions : sequence of int
        To be tried, rising; above the features or the tasks there are none, and their number is
        tried instead.
    ridges : sequence of float
        As in :func:`~labeltrain.multitask.linear.alternating_least_squares`.
    most : int, optional
        No dimension above it: the target's head has to be told from its few samples, too.

    Returns
    -------
    Choice

    Notes
    -----
    Three folds within each task, an intercept for each. Singular values of the tasks' own
    regressions would need no fit, but show no gap while tasks have fewer samples than features; and
    the target's samples are too few to choose by. Neither a test item nor a label that was not
    drawn is read.

    Examples
    --------
    >>> from labeltrain.multitask.dimension import choose_dimension
    >>> from labeltrain.multitask.samples import Samples
    >>> from labeltrain.multitask.synthetic import generate
    >>> tasks = generate(0, features=8, dimension=3, tasks=10, noise=0.1)
    >>> choose_dimension(Samples.of([tasks.draw(m, 40) for m in range(10)])).dimension
    3
    """
    most = max(min(samples.rows.shape[1], samples.tasks, most or samples.tasks), 1)
    sizes = sorted({min(k, most) for k in dimensions})
    parts = [fold for f in range(FOLDS) if (fold := _fold(samples, f)) is not None]
    if not parts:
        raise BadInput(
            "no task has two samples, so none can be left out to choose the dimension",
            "give a dimension, or a larger first epoch",
        )
    tried: list[tuple[int, float, float]] = []
    for ridge in ridges:
        best, worse = np.inf, 0
        for size in sizes:
            loss = _loss(parts, size, ridge)
            tried.append((size, ridge, loss))
            worse = worse + 1 if loss >= best else 0
            best = min(best, loss)
            if worse == WORSE:
                break
    size, ridge, loss = min(tried, key=lambda one: (one[2], one[0]))
    return Choice(size, ridge, loss, _loss(parts, 0, 0.0), tuple(tried))


def _fold(samples: Samples, fold: int) -> tuple[Samples, Samples] | None:
    """Return the samples without a third of each task, and that third."""
    kept, left_out = [], []
    for rows, values in samples:
        mine = np.arange(len(values)) % FOLDS == fold
        if mine.all():  # a task is not left out as a whole
            mine = np.zeros(len(values), dtype=bool)
        kept.append((rows[~mine], values[~mine]))
        left_out.append((rows[mine], values[mine]))
    if not sum(len(v) for _, v in left_out):
        return None
    return Samples.of(kept), Samples.of(left_out)


def _loss(parts: Sequence[tuple[Samples, Samples]], size: int, ridge: float) -> float:
    """Return the mean squared error of left-out samples; of the tasks' means for size 0."""
    squares, count = 0.0, 0
    for kept, left_out in parts:
        rows, values = kept.means()
        missed = left_out.values - values[left_out.owners]
        if size:
            found = alternating_least_squares(
                kept.centred(), size, ridge=ridge, steps=STEPS, tolerance=NEAR
            )
            encoded = found.encode(left_out.rows - rows[left_out.owners])
            missed = missed - (encoded * found.heads.T[left_out.owners]).sum(axis=1)
        squares += float(missed @ missed)
        count += len(missed)
    return squares / count
