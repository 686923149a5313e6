"""Where samples of a task come from: anything that hands out the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.multitask.samples import Samples
from labeltrain.rng import stream


class TaskSource(Protocol):
    """Hands out samples of source tasks, never one twice.

    Attributes
    ----------
    available : ndarray of float64, shape (M,)
        How many samples each task has in all, drawn ones included; inf where there is no end.
    """

    @property
    def available(self) -> np.ndarray:
        """Samples of each task, float64 (M,)."""

    def draw(self, task: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next samples of a task: rows (count, d) and values (count,)."""


class ArraySource:
    """Source tasks whose samples lie in arrays, handed out in random order.

    Parameters
    ----------
    parts : sequence of (ndarray, ndarray)
        Rows (n, d) and values (n,) of each task.
    seed : int
        Of the order, which is fixed for each task: drawing 3 and then 2 is drawing 5.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.sources import ArraySource
    >>> source = ArraySource([(np.eye(4), np.arange(4.0))], seed=0)
    >>> sorted(np.concatenate([source.draw(0, 3)[1], source.draw(0, 1)[1]]).tolist())
    [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], seed: int = 0) -> None:
        self._samples = Samples.of(parts)
        counts = self._samples.counts
        self._orders = [
            stream(seed, "multitask", "order", m).permutation(n) for m, n in enumerate(counts)
        ]
        self._given = np.zeros(len(counts), dtype=np.int64)

    @property
    def available(self) -> np.ndarray:
        """Samples of each task, float64 (M,)."""
        return self._samples.counts.astype(np.float64)

    def draw(self, task: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next samples of a task: rows (count, d) and values (count,)."""
        given = self._given[task]
        if given + count > self._samples.counts[task]:
            raise BadInput(
                f"{count} more samples of task {task}, of which {given} of "
                f"{self._samples.counts[task]} are drawn",
                "draw no more than are available",
            )
        rows = self._samples.starts[task] + self._orders[task][given : given + count]
        self._given[task] += count
        return self._samples.rows[rows], self._samples.values[rows]
