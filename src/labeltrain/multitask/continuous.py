"""Tasks that are vectors of one's choice, ``y = x' B A w``: which ones to ask for a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from labeltrain.errors import BadInput, BrokenContract
from labeltrain.multitask.allocation import allocate
from labeltrain.multitask.assessment import PENALTIES
from labeltrain.multitask.linear import (
    SharedLinear,
    alternating_least_squares,
    in_turn,
    left_out_head,
)
from labeltrain.multitask.samples import Samples

ROUNDS = 30  # of the basis and the map of tasks in turn, at most


class TaskSpace(Protocol):
    """Hands out samples of any task within the unit ball of what is allowed.

    Attributes
    ----------
    width : int
        r: tasks are vectors of r numbers, of length 1 or less.
    """

    @property
    def width(self) -> int:
        """Numbers of a task."""

    def draw(self, task: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return new samples of a task (r,): rows (count, d) and values (count,)."""


@dataclass(frozen=True)
class SpaceOutcome:
    """What was learned of a space of tasks.

    Attributes
    ----------
    representation : SharedLinear
        Its heads are those of `tasks`, ``map @ tasks``.
    map : ndarray of float64, shape (K, r)
        A: the head of a task w is ``A w``.
    head : ndarray of float64, shape (K,)
        Of the target.
    tasks : ndarray of float64, shape (r, J)
        What was asked, in the order in which it was.
    counts : ndarray of int64, shape (J,)
    aim : ndarray of float64, shape (r,)
        The task that stands for the target, ``A v = w_T`` of least length, before it was made as
        long as is allowed.
    """

    representation: SharedLinear
    map: np.ndarray
    head: np.ndarray
    tasks: np.ndarray
    counts: np.ndarray
    aim: np.ndarray


def explore(
    space: TaskSpace,
    target: tuple[np.ndarray, np.ndarray],
    budget: int,
    *,
    dimension: int,
    epochs: int = 4,
    fine: float = 0.5,
    aimed: bool = True,
) -> SpaceOutcome:
    """Ask for samples of well-chosen tasks for the sake of a target.

    Parameters
    ----------
    space : TaskSpace
    target : (ndarray, ndarray)
        Rows (n, d) and values (n,).
    budget : int
        Samples in all; each epoch has as many.
    dimension : int
        K.
    epochs : int
        1 or more; with 1 all is spent on the first, rough look at all directions.
    fine : float
        Share of later epochs that goes to the K directions which the map tells apart, from 0 to 1;
        the rest goes to the one task that stands for the target.
    aimed : bool
        False: all of it goes to the K directions, whatever the target.

    Returns
    -------
    SpaceOutcome

    Notes
    -----
    The first epoch asks each of r orthogonal directions alike. Then A is known well enough to see
    that only K directions matter (its right singular vectors), and which single task has the
    target's head: least length means that it can be made longest, and long heads say more.

    References
    ----------
    Chen et al.: Active representation learning for general task space with applications in
    robotics, NeurIPS 2023, arXiv 2306.08942.
    """
    width = space.width
    _check(budget, dimension, epochs, fine, width, target)
    rows, values = (np.asarray(part, dtype=np.float64) for part in target)
    per = allocate(np.ones(epochs), budget)
    tasks, parts = np.eye(width), []
    counts = allocate(np.ones(width), int(per[0]))
    head, aim = np.zeros(dimension), np.zeros(width)
    asked = tasks
    for number in range(epochs):
        for task, count in zip(asked.T, counts, strict=True):
            parts.append(_drawn(space, task, int(count)))
        found, across = _fitted(Samples.of(parts), tasks, dimension)
        encoded = found.encode(rows)
        scale = max(float((encoded**2).mean()), np.finfo(float).tiny)
        head = left_out_head(encoded, values, PENALTIES * scale * len(rows))[0]
        aim = np.linalg.lstsq(across, head, rcond=1e-10)[0]
        if number + 1 < epochs:
            asked = np.linalg.svd(across, full_matrices=False)[2].T
            length = float(np.linalg.norm(aim))
            shares = np.ones(asked.shape[1]) / asked.shape[1]
            if aimed and length > 0:
                asked = np.column_stack([asked, aim / length])
                shares = np.append(fine * shares, 1.0 - fine)
            counts = allocate(shares, int(per[number + 1]))
            asked, counts = asked[:, counts > 0], counts[counts > 0]
            tasks = np.column_stack([tasks, asked])
    given = np.array([len(part[1]) for part in parts], dtype=np.int64)
    return SpaceOutcome(found, across, head, tasks, given, aim)


def _fitted(samples: Samples, tasks: np.ndarray, dimension: int) -> tuple[SharedLinear, np.ndarray]:
    """Return a representation whose heads are a linear map of the tasks, and that map (K, r)."""
    start = alternating_least_squares(samples, dimension, steps=20)
    small = samples.compressed()
    found = in_turn(small, start.basis, lambda b: _map_for(b, small, tasks) @ tasks, steps=ROUNDS)
    return found, _map_for(found.basis, small, tasks)


def _map_for(basis: np.ndarray, samples: Samples, tasks: np.ndarray) -> np.ndarray:
    """Return A (K, r) of least squared error for a given basis: one system of K r equations."""
    k, width = basis.shape[1], len(tasks)
    encoded = samples.rows @ basis
    whole, side = np.zeros((width, k, width, k)), np.zeros((width, k))
    for j, (a, b) in enumerate(zip(samples.starts[:-1], samples.starts[1:], strict=True)):
        own, task = encoded[a:b], tasks[:, j]
        whole += np.einsum("r,s,kl->rksl", task, task, own.T @ own)
        side += np.outer(task, own.T @ samples.values[a:b])
    flat = whole.reshape(width * k, width * k)
    flat[np.diag_indices(width * k)] += 1e-10 * float(np.trace(flat)) / (width * k)
    return np.ascontiguousarray(np.linalg.solve(flat, side.ravel()).reshape(width, k).T)


def _drawn(space: TaskSpace, task: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    rows, values = space.draw(task, count)
    if len(rows) != count or len(values) != count:
        raise BrokenContract(
            f"a task gave {len(rows)} samples of {count}", "hand out as many as are asked for"
        )
    return rows, values


def _check(
    budget: int,
    dimension: int,
    epochs: int,
    fine: float,
    width: int,
    target: tuple[np.ndarray, np.ndarray],
) -> None:
    most = min(width, np.shape(target[0])[1])
    if not 1 <= dimension <= most:
        raise BadInput(f"dimension={dimension}", f"give a whole number from 1 to {most}")
    if epochs < 1:
        raise BadInput(f"epochs={epochs}", "give 1 or more")
    if not 0 <= fine <= 1:
        raise BadInput(f"fine={fine}", "give a number from 0 to 1")
    if budget // epochs < width:
        raise BadInput(
            f"a budget of {budget} in {epochs} epochs for {width} directions",
            f"give {width * epochs} or more, or fewer epochs: the first asks each direction once",
        )
    if len(target[1]) < 2:
        raise BadInput(f"a target of {len(target[1])} samples", "give two or more")
