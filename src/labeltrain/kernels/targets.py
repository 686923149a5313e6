"""Rows most similar to targets: for each of them in turn, on average, or for any."""

from __future__ import annotations

import math

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import ReadyRows, Similarity, length_factors, original_rows

COLUMNS = 8192  # candidates compared at a time
TARGETS = 256  # and targets
DIGITS = 12  # cosines that differ beyond are equal
SHORTEST = 16  # a list of a target's best candidates has at least so many


class TargetRanks:
    """The candidates that are most similar to some targets, by cosine.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    targets : ndarray of float, shape (t, d)
        At least one.
    candidates : ndarray of int64, shape (m,)
        Positions that may be picked.
    memory : int
        Bytes to use beside the points: never m x t numbers, where these do not fit.

    Notes
    -----
    Float32 products shorten the lists, and the cosines of what is left are measured in float64, row
    by row, so the picks depend neither on blocks nor on threads nor on `memory`. Equal cosines, to
    12 digits, go to the lowest position. The cosine to a row of zeros is 0.
    """

    def __init__(
        self,
        points: np.ndarray,
        targets: np.ndarray,
        candidates: np.ndarray,
        *,
        memory: int = MEMORY,
    ) -> None:
        self.candidates = np.sort(np.asarray(candidates, dtype=np.int64))
        self.rows = ReadyRows(points, Similarity("cosine"), memory)
        targets = np.asarray(targets, dtype=np.float64)
        self.targets = targets * length_factors(targets)[:, None]
        self.narrow = self.targets.astype(np.float32)
        self.memory = memory
        self.slack = 2.0 * float(self.rows.slack)

    def _exact(self, rows: np.ndarray, which: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the cosine of each candidate row to the target of that number, float64."""
        from labeltrain.kernels._compiled_targets import exact_cosines

        result = np.empty(len(rows))

        def measure(part: slice) -> None:
            positions = self.candidates[rows[part]]
            result[part] = exact_cosines(
                original_rows(self.rows.points, positions),
                self.rows.factors[positions],
                targets,
                which[part],
            )

        map_blocks(measure, row_blocks(len(rows), COLUMNS))
        return np.round(result, DIGITS)

    def on_average(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the `count` candidates of largest mean cosine over the targets.

        Returns
        -------
        positions : ndarray of int64, shape (count,)
        cosines : ndarray of float64, shape (count,)

        Notes
        -----
        O(m d): the mean of the cosines is the product with the mean of the targets of length 1.
        """
        m = len(self.candidates)
        middle = self.targets.mean(axis=0, keepdims=True)
        means = self._exact(np.arange(m), np.zeros(m, dtype=np.int64), middle)
        best = lowest(-means, count)
        return self.candidates[best], means[best]

    def for_any(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the `count` candidates of largest cosine to any target; ties to the first target.

        Returns
        -------
        positions : ndarray of int64, shape (count,)
        cosines : ndarray of float64, shape (count,)
        owners : ndarray of int64, shape (count,)
            The target that each is most similar to.
        """
        m, t = len(self.candidates), len(self.targets)
        largest = np.full(m, -np.inf, dtype=np.float32)

        def compare(part: slice) -> None:
            block = self.rows.read(self.candidates[part])
            for some in row_blocks(t, TARGETS):
                found = (block @ self.narrow[some].T).max(axis=1)
                np.maximum(largest[part], found, out=largest[part])

        map_blocks(compare, row_blocks(m, COLUMNS))
        short = np.flatnonzero(largest >= _border(largest, count) - self.slack)
        cosines = np.full(len(short), -np.inf)
        owners = np.zeros(len(short), dtype=np.int64)

        def settle(part: slice) -> None:
            block = self.rows.read(self.candidates[short[part]])
            for some in row_blocks(t, TARGETS):
                near = block @ self.narrow[some].T >= largest[short[part], None] - self.slack
                places, which = np.nonzero(near)
                exact = self._exact(short[part][places], which + some.start, self.targets)
                order = np.lexsort((which, -exact, places))
                places, exact, which = places[order], exact[order], which[order]
                first = np.concatenate([[True], places[1:] != places[:-1]])[: len(places)]
                rows = part.start + places[first]
                higher = exact[first] > cosines[rows]
                cosines[rows[higher]] = exact[first][higher]
                owners[rows[higher]] = which[first][higher] + some.start

        for part in row_blocks(len(short), COLUMNS):
            settle(part)
        best = np.lexsort((short, owners, -cosines))[:count]
        return self.candidates[short[best]], cosines[best], owners[best]

    def in_turn(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return `count` candidates: each target in its turn gives the best that is left.

        Returns
        -------
        positions : ndarray of int64, shape (count,)
            In pick order, the first target first.
        cosines : ndarray of float64, shape (count,)
        owners : ndarray of int64, shape (count,)
            The target that gave each.

        Notes
        -----
        O(m t d) once. Each target keeps a list of its best candidates, several times as long as
        its share; when a list is used up, the target is compared again with what is left.
        """
        m, t = len(self.candidates), len(self.targets)
        room = max(self.memory // (64 * t), 1)
        length = min(m, max(SHORTEST, 4 * math.ceil(count / t)), room)
        lists: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, np.int64), np.empty(0))] * t
        place = np.zeros(t, dtype=np.int64)
        taken = np.zeros(m, dtype=bool)
        rows = np.empty(count, dtype=np.int64)
        cosines = np.empty(count)
        owners = np.arange(count, dtype=np.int64) % t
        for turn in range(count):
            target = int(owners[turn])
            while True:
                mine, values = lists[target]
                while place[target] < len(mine) and taken[mine[place[target]]]:
                    place[target] += 1
                if place[target] < len(mine):
                    break
                left = np.array([len(lists[j][0]) for j in range(t)]) - place
                short = np.flatnonzero(left <= length // 4)
                for j, found in zip(short, self._best(short, length, taken), strict=True):
                    lists[j], place[j] = found, 0
            rows[turn], cosines[turn] = mine[place[target]], values[place[target]]
            taken[rows[turn]] = True
        return self.candidates[rows], cosines, owners

    def _best(
        self, which: np.ndarray, length: int, taken: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the best candidates left of some targets, and their cosines, best first."""
        m = len(self.candidates)
        free = m - int(taken.sum())
        length = min(length, free)
        found = []
        for some in row_blocks(len(which), max(1, self.memory // (16 * m))):
            narrow = self.narrow[which[some]]
            near = np.empty((len(narrow), m), dtype=np.float32)

            def compare(part: slice, near: np.ndarray = near, narrow: np.ndarray = narrow) -> None:
                near[:, part] = narrow @ self.rows.read(self.candidates[part]).T

            map_blocks(compare, row_blocks(m, COLUMNS))
            near[:, taken] = -np.inf
            for row, target in zip(near, which[some], strict=True):
                short = np.flatnonzero(row >= _border(row, length) - self.slack)
                numbers = np.full(len(short), target, dtype=np.int64)
                exact = self._exact(short, numbers, self.targets)
                order = np.lexsort((short, -exact))[:length]
                found.append((short[order], exact[order]))
        return found


def _border(values: np.ndarray, count: int) -> float:
    """Return the `count`-th largest of some values."""
    return float(np.partition(values, len(values) - count)[len(values) - count])
