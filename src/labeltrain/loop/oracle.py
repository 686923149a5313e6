"""Oracles: who answers, and what the answers have cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from labeltrain.data.noise import flipped
from labeltrain.errors import BadInput
from labeltrain.kernels import clock
from labeltrain.rng import stream


class Oracle(ABC):
    """Answers questions and counts them.

    Attributes
    ----------
    labels : int
        Answers given.
    rounds : int
        Times it was asked: answers of one call can be given in parallel.
    seconds : float
        Time spent answering.
    """

    def __init__(self) -> None:
        self.labels = 0
        self.rounds = 0
        self.seconds = 0.0

    def ask(self, positions: np.ndarray, asked: np.ndarray | None = None) -> np.ndarray:
        """Return the labels of these pool positions, in order: (k,) or (k, C); -1 is a skip.

        Parameters
        ----------
        positions : ndarray of int, shape (k,)
        asked : ndarray of int, shape (k,), optional
            How often each was asked before; never if not given. The loop counts it in its
            history, so an answer is the same after a resume.
        """
        started = clock.seconds()
        positions = np.asarray(positions, dtype=np.int64)
        before = np.zeros(len(positions), np.int64) if asked is None else np.asarray(asked)
        answers = self._answer(positions, before)
        self.labels += len(answers)
        self.rounds += 1
        self.seconds += clock.seconds() - started
        return answers

    @abstractmethod
    def _answer(self, positions: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return the labels of these positions, each asked so often before."""


class SimulatedOracle(Oracle):
    """Answers from known labels, some of them wrong in one of three ways.

    Parameters
    ----------
    labels : ndarray
        True labels of the pool: int64 (n,), or 0/1 (n, C) for multilabel.
    classes : int
    noise : float
        Share of items (multilabel: of single labels) whose answer is wrong. A wrong class is
        uniform among the other classes, and stays the same however often the item is asked.
    flips : ndarray, optional
        Wrong answers by class, which stay the same too: (C, C), the share of the items of a class
        (row) that are taken for a class (column), exact to an item; multilabel: (C,), the share
        of wrong answers on each label.
    annotators : sequence of float
        Each is the share of wrong answers of one annotator, uniform among the other classes
        (multilabel: on each label). An item has its own order of the annotators; it is asked of
        the next of them every time, and each answer is drawn anew: asking again can help.
    seed : int
        Fixes which answers are wrong.

    Raises
    ------
    BadInput
        Shares outside 0 to 1, two ways at once, a single class.

    Examples
    --------
    >>> oracle = SimulatedOracle(np.array([0, 1, 1]), 2, annotators=[0.0, 1.0])
    >>> [int(oracle.ask([2], [times])[0]) for times in range(4)]
    [1, 0, 1, 0]
    """

    def __init__(
        self,
        labels: np.ndarray,
        classes: int,
        *,
        noise: float = 0.0,
        flips: np.ndarray | None = None,
        annotators: Sequence[float] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0.0 <= noise <= 1.0:
            raise BadInput(f"oracle noise {noise!r} is not a share", "give a number from 0 to 1")
        if any(not 0.0 <= rate <= 1.0 for rate in annotators):
            raise BadInput(
                f"the annotators {list(annotators)!r} are no shares of wrong answers",
                "give numbers from 0 to 1",
            )
        if (noise > 0) + (flips is not None) + (len(annotators) > 0) > 1:
            raise BadInput("wrong answers are asked for in two ways", "keep one of them")
        answers = np.array(labels, dtype=np.int64)
        if (noise > 0 or any(annotators)) and answers.ndim == 1 and classes < 2:
            raise BadInput("label noise needs at least two classes", "set noise to 0")
        rng = stream(seed, "oracle noise")
        if flips is not None:
            answers = _by_class(answers, flips, classes, rng)
        elif answers.ndim == 2:
            answers ^= rng.random(answers.shape) < noise
        else:
            wrong = rng.permutation(len(answers))[: round(noise * len(answers))]
            answers[wrong] = (answers[wrong] + rng.integers(1, max(classes, 2), len(wrong))) % max(
                classes, 1
            )
        self.__answers = answers
        self._classes = classes
        self._rates = tuple(annotators)
        self._seed = seed

    def _answer(self, positions: np.ndarray, asked: np.ndarray) -> np.ndarray:
        answers = self.__answers[positions]
        if self._rates:
            for row, (position, times) in enumerate(zip(positions, asked, strict=True)):
                answers[row] = self._annotated(answers[row], int(position), int(times))
        return answers

    def _annotated(self, truth: np.ndarray, position: int, times: int) -> np.ndarray:
        """Return what an annotator says of an item that was asked so often before."""
        order = stream(self._seed, "annotators", position).permutation(len(self._rates))
        rate = self._rates[order[times % len(order)]]
        rng = stream(self._seed, "annotated", position, times)
        if truth.ndim:
            return truth ^ (rng.random(truth.shape) < rate)
        if rng.random() >= rate:
            return truth
        return (truth + rng.integers(1, self._classes)) % self._classes


def _by_class(
    labels: np.ndarray, flips: np.ndarray, classes: int, rng: np.random.Generator
) -> np.ndarray:
    shape = (classes,) if labels.ndim == 2 else (classes, classes)
    if flips.shape != shape or flips.min() < 0 or flips.max() > 1:
        raise BadInput(
            f"flips of shape {flips.shape} do not fit {classes} classes",
            f"give shares from 0 to 1 of shape {shape}",
        )
    if labels.ndim == 2:
        return labels ^ (rng.random(labels.shape) < flips)
    return flipped(labels, flips, rng)
