"""The audit: a random share of the labels that measures, and never trains.

Labels chosen actively are no test set. So a random part of the pool is set aside before anything
is selected; a share of all questions goes to it, in random order; its answers never train a model.
The score on them is an honest estimate of the score on a new item of the same kind.

The score is measured when 30 audit labels are there, and again each time their number has grown
by a fifth. Measurement k spends ``0.05 / (k (k + 1))`` of the error probability, and these sum to
0.05: all intervals ever shown hold together with probability 0.95, whenever one looks or stops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics import binomial_interval

FIRST = 30  # fewer audit labels say nothing: "not known yet"
GROWTH = 1.2
ERROR = 0.05


def check_share(share: float) -> float:
    """Return the audit share, or raise when it is none.

    Raises
    ------
    BadInput
    """
    if not (isinstance(share, int | float) and 0.0 <= share <= 0.9):
        raise BadInput(f"audit share {share!r} is not a share", "give a number from 0 to 0.9")
    return float(share)


def reserve(candidates: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the items set aside for the audit, in the order in which they will be asked.

    Parameters
    ----------
    candidates : ndarray of int64
        Items without a label when the project begins.
    share : float
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64
        ``ceil(share * len(candidates))`` of them: enough to keep the share to the last label.
    """
    return rng.permutation(candidates)[: math.ceil(share * len(candidates))]


def due(share: float, questions: int, asked: int, left: int) -> int:
    """Return how many of the next questions go to the audit.

    Parameters
    ----------
    share : float
    questions : int
        Questions asked by the end of the coming batch, audit included.
    asked : int
        Audit questions asked so far.
    left : int
        Audit items not asked yet.
    """
    return max(0, min(left, round(share * questions) - asked))


def next_checkpoint(measured_at: int | None) -> int:
    """Return the number of audit labels at which the next measurement is taken."""
    if measured_at is None:
        return FIRST
    return max(math.ceil(measured_at * GROWTH), measured_at + 1)


def questions_until(share: float, asked: int) -> int:
    """Return about how many questions it takes until `asked` of them are the audit's.

    Examples
    --------
    >>> from labeltrain.loop.audit import questions_until
    >>> questions_until(0.1, 30)
    300
    """
    return math.ceil(asked / share - 1e-9)


def smallest_share(candidates: int) -> float | None:
    """Return the smallest share, in hundredths, that sets enough aside for a first measurement.

    None when so few items are none even with the largest share; never less than 0.1, because
    with less the first measurement comes late.

    Examples
    --------
    >>> from labeltrain.loop.audit import smallest_share
    >>> smallest_share(120), smallest_share(10_000), smallest_share(20)
    (0.25, 0.1, None)
    """
    for hundredths in range(10, 91):
        if math.ceil(hundredths / 100 * candidates) >= FIRST:
            return hundredths / 100
    return None


@dataclass(frozen=True)
class Measurement:
    """An audited score.

    Attributes
    ----------
    number : int
        1 for the first of the project.
    correct, labels : int
    score : float
        ``correct / labels``: accuracy.
    low, high : float
        All intervals of a project hold together with probability 0.95.
    """

    number: int
    correct: int
    labels: int
    low: float
    high: float

    @property
    def score(self) -> float:
        """The share of audit items the model got right."""
        return self.correct / self.labels


def measure(correct: int, labels: int, number: int) -> Measurement:
    """Return measurement `number` (1, 2, ...) with its interval.

    References
    ----------
    Clopper, Pearson: The use of confidence or fiducial limits, Biometrika 1934; a union bound
    over the measurements makes it valid at any time.

    Examples
    --------
    >>> from labeltrain.loop.audit import measure
    >>> m = measure(27, 30, 1)
    >>> round(m.score, 2), m.low < 0.9 < m.high
    (0.9, True)
    """
    low, high = binomial_interval(correct, labels, 1.0 - ERROR / (number * (number + 1)))
    return Measurement(number, correct, labels, low, high)
