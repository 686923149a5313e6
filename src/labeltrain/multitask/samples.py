"""Samples of many tasks in one array, and fewer rows that say the same to least squares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput


@dataclass(frozen=True)
class Samples:
    """Rows and values of M tasks, task after task.

    Attributes
    ----------
    rows : ndarray of float64, shape (n, d)
    values : ndarray of float64, shape (n,)
    starts : ndarray of int64, shape (M + 1,)
        Task m has the rows from ``starts[m]`` up to ``starts[m + 1]``.
    counts : ndarray of int64, shape (M,)
        Samples of each task: more than its rows, once compressed.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.samples import Samples
    >>> Samples.of([(np.ones((3, 2)), np.zeros(3)), (np.ones((1, 2)), np.ones(1))]).counts.tolist()
    [3, 1]
    """

    rows: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Samples:
        """Join ``(rows, values)`` of each task; a task may have none, ``(0, d)``."""
        if not parts:
            raise BadInput("no source tasks", "give rows and values of one task or more")
        width = np.shape(parts[0][0])[-1]
        for m, (rows, values) in enumerate(parts):
            if np.ndim(rows) != 2 or np.shape(rows)[1] != width:
                raise BadInput(
                    f"task {m} has rows of shape {np.shape(rows)}",
                    f"give all tasks rows of {width} features, (n, {width})",
                )
            if np.shape(values) != (len(rows),):
                raise BadInput(
                    f"task {m} has {len(rows)} rows and values of shape {np.shape(values)}",
                    "give one value for each row",
                )
        rows = np.concatenate([np.asarray(p[0], dtype=np.float64) for p in parts])
        values = np.concatenate([np.asarray(p[1], dtype=np.float64) for p in parts])
        bad = np.flatnonzero(~(np.isfinite(rows).all(axis=1) & np.isfinite(values)))
        counts = np.array([len(p[1]) for p in parts], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(counts)])
        if len(bad):
            m = int(np.searchsorted(starts, bad[0], side="right")) - 1
            raise BadInput(
                f"sample {bad[0] - starts[m]} of task {m} has a number that is not finite",
                "leave it out, or fill in what is missing",
            )
        return cls(rows, values, starts, counts)

    @property
    def tasks(self) -> int:
        """M."""
        return len(self.counts)

    @property
    def owners(self) -> np.ndarray:
        """The task of each row, int64 (n,)."""
        return np.repeat(np.arange(self.tasks), np.diff(self.starts))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows and values of each task."""
        for a, b in zip(self.starts[:-1], self.starts[1:], strict=True):
            yield self.rows[a:b], self.values[a:b]

    def centred(self) -> Samples:
        """Return each task's rows and values without its means: what a task's own intercept leaves.

        Least squares with an unpenalised intercept in every head is least squares on these.
        """
        rows, values = self.means()
        owners = self.owners
        return Samples(
            self.rows - rows[owners], self.values - values[owners], self.starts, self.counts
        )

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean row (M, d) and the mean value (M,) of each task; 0 where it has none."""
        sums = np.zeros((self.tasks, self.rows.shape[1] + 1))
        for m, (rows, values) in enumerate(self):
            if len(rows):
                sums[m, :-1], sums[m, -1] = rows.mean(axis=0), values.mean()
        return sums[:, :-1], sums[:, -1]

    def compressed(self) -> Samples:
        """Return at most d + 1 rows a task, with the same ``X'X``, ``X'y`` and ``y'y``.

        The triangular factor of ``[X y]``, which is exact to rounding, as products are not.
        """
        width = self.rows.shape[1] + 1
        if (np.diff(self.starts) <= width).all():
            return self
        parts = []
        for rows, values in self:
            if len(rows) > width:
                both = np.asarray(np.linalg.qr(np.column_stack([rows, values]), mode="r"))
                rows, values = both[:, :-1], both[:, -1]
            parts.append((rows, values))
        found = Samples.of(parts)
        return Samples(found.rows, found.values, found.starts, self.counts)
