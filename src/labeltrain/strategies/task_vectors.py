"""Tasks and a target as vectors, and how much each task has in the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeltrain.kernels.blocks import row_blocks
from labeltrain.kernels.relevance import sparse_non_negative
from labeltrain.strategies.features import unit_rows

ROWS = 8192
NOTHING = 1e-6  # vectors shorter than this are rounding, of rows of length 1
DIGITS = 9  # of shares: the last bits of sums must not decide whose turn it is
HARDLY = 0.9  # of what all tasks alike leave unexplained


@dataclass(frozen=True)
class Relevance:
    """How a target is made up of tasks.

    Attributes
    ----------
    tasks : tuple of str, length M
    relevance : ndarray of float64, shape (M,)
        nu, 0 or more; 0 for tasks without a vector.
    known : ndarray of bool, shape (M,)
        Whether a task has a vector.
    residual : float
        From 0 to 1: which share of the target's length no mixture of the tasks explains.
    uniform : float
        The same of the mixture of all tasks alike.
    chance : float
        Which share of the target's length is about what so few examples leave to chance: no task
        explains that. 0 where one example does not tell.
    """

    tasks: tuple[str, ...]
    relevance: np.ndarray
    known: np.ndarray
    residual: float
    uniform: float
    chance: float = 0.0

    @property
    def helps(self) -> bool:
        """Whether the tasks explain the target clearly better than all of them alike.

        What chance leaves is taken off both.
        """
        left, alike = (v**2 - self.chance**2 for v in (self.residual, self.uniform))
        return bool(self.relevance.any()) and left < HARDLY**2 * alike

    def shares(self, mixing: float = 0.0) -> np.ndarray:
        """Return the share of each task, float64 (M,), with sum 1.

        Parameters
        ----------
        mixing : float
            From 0 to 1: which part goes to all tasks alike. All of it where none is relevant.
        """
        m = len(self.tasks)
        if not self.relevance.any():
            return np.full(m, 1.0 / max(m, 1))
        found = np.round(self.relevance / self.relevance.max(), DIGITS)
        return (1.0 - mixing) * found / found.sum() + mixing / m


def task_means(
    points: np.ndarray,
    codes: np.ndarray,
    tasks: int,
    positions: np.ndarray | None = None,
    *,
    zeros: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each task's rows, brought to length 1 first, and how many they are.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
    codes : ndarray of int64, shape (n,)
        The task of each row.
    tasks : int
    positions : ndarray of int64, optional
        Only these rows are read.
    zeros : bool
        Whether rows of zeros count; they stay zeros.

    Returns
    -------
    means : ndarray of float64, shape (tasks, d)
        Zeros where a task has no row.
    counts : ndarray of int64, shape (tasks,)
    """
    from scipy.sparse import csr_array

    rows = np.arange(len(points)) if positions is None else positions
    sums, counts = np.zeros((tasks, points.shape[1])), np.zeros(tasks, dtype=np.int64)
    for part in row_blocks(len(rows), ROWS):
        unit = unit_rows(points, rows[part]).astype(np.float64)
        there = unit.any(axis=1) | zeros
        mine = codes[rows[part]]
        one = there.astype(np.float64)
        sums += csr_array((one, (mine, np.arange(len(mine)))), shape=(tasks, len(mine))) @ unit
        counts += np.bincount(mine[there], minlength=tasks)
    return sums / np.maximum(counts, 1)[:, None], counts


def chance_of(points: np.ndarray) -> float:
    """Return by how much the mean of rows, each of length 1, is off by chance; 0 of one row.

    Parameters
    ----------
    points : ndarray of float, shape (t, d)
    """
    rows = unit_rows(points).astype(np.float64)
    t = len(rows)
    if t < 2:
        return 0.0
    return float(np.sqrt(((rows - rows.mean(axis=0)) ** 2).sum() / (t * (t - 1))))


def relevance_of(
    names: list[str],
    means: np.ndarray,
    counts: np.ndarray,
    target: np.ndarray,
    *,
    chance: float = 0.0,
    centred: bool,
    unexplained: float,
) -> tuple[Relevance, np.ndarray]:
    """Return how a target is made up of tasks, and the target's vector as it was explained.

    Parameters
    ----------
    names : list of str, length M
    means : ndarray of float64, shape (M, d)
    counts : ndarray of int64, shape (M,)
        0: the task has no vector.
    target : ndarray of float64, shape (d,)
    chance : float
        By how much it is off; see :func:`chance_of`.
    centred : bool
        Whether the mean over tasks is taken off all vectors.
    unexplained : float
        See :func:`labeltrain.kernels.relevance.sparse_non_negative`.
    """
    known = counts > 0
    heads = means[known].T
    if centred and known.any():
        middle = heads.mean(axis=1)
        heads, target = heads - middle[:, None], target - middle
    heads = np.where(np.sqrt((heads**2).sum(axis=0)) < NOTHING, 0.0, heads)
    size = float(np.linalg.norm(target))
    relevance, residual, uniform = np.zeros(len(names)), 1.0, 1.0
    chance = min(chance / size, 1.0) if size >= NOTHING else 1.0
    if size >= NOTHING and known.any():
        relevance[known], whole = sparse_non_negative(heads, target, unexplained)
        residual = min(float(np.linalg.norm(target - heads @ whole)) / size, 1.0)
        alike = np.zeros(len(target)) if centred else heads.mean(axis=1)
        along = max(float(alike @ target), 0.0) / max(float(alike @ alike), NOTHING**2)
        uniform = min(float(np.linalg.norm(target - along * alike)) / size, 1.0)
    return Relevance(tuple(names), relevance, known, residual, uniform, chance), target
