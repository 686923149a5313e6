"""Oracles: who answers, and what the answers have cost."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import numpy as np

from labeltrain.errors import BadInput
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

    def ask(self, positions: np.ndarray) -> np.ndarray:
        """Return the labels of these pool positions, in order: (k,) or (k, C); -1 is a skip."""
        started = time.perf_counter()
        answers = self._answer(np.asarray(positions, dtype=np.int64))
        self.labels += len(answers)
        self.rounds += 1
        self.seconds += time.perf_counter() - started
        return answers

    @abstractmethod
    def _answer(self, positions: np.ndarray) -> np.ndarray:
        """Return the labels of these positions."""


class SimulatedOracle(Oracle):
    """Answers from known labels, a share of them wrong.

    Parameters
    ----------
    labels : ndarray
        True labels of the pool: int64 (n,), or 0/1 (n, C) for multilabel.
    classes : int
    noise : float
        Share of items (multilabel: of single labels) whose answer is wrong. A wrong class is
        uniform among the other classes, and stays the same however often the item is asked.
    seed : int
        Fixes which answers are wrong.
    """

    def __init__(
        self, labels: np.ndarray, classes: int, *, noise: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__()
        if not 0.0 <= noise <= 1.0:
            raise BadInput(f"oracle noise {noise!r} is not a share", "give a number from 0 to 1")
        answers = np.array(labels, dtype=np.int64)
        if noise > 0 and answers.ndim == 1 and classes < 2:
            raise BadInput("label noise needs at least two classes", "set noise to 0")
        rng = stream(seed, "oracle noise")
        if answers.ndim == 2:
            answers ^= rng.random(answers.shape) < noise
        else:
            wrong = rng.permutation(len(answers))[: round(noise * len(answers))]
            answers[wrong] = (answers[wrong] + rng.integers(1, max(classes, 2), len(wrong))) % max(
                classes, 1
            )
        self.__answers = answers

    def _answer(self, positions: np.ndarray) -> np.ndarray:
        return self.__answers[positions]
