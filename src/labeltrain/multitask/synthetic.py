"""Tasks made up so that the relevance of each source is known, with a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.rng import stream

SLACK = 0.8  # tasks that do not matter stay at least 1 - 0.8 below the dual's bound
LENGTH = 0.9  # of their heads


@dataclass
class Synthetic:
    """Gaussian rows, linear tasks: ``y = w_m' B' x + noise``, ``x ~ N(0, I)``.

    It is a task source (:class:`~labeltrain.multitask.sources.TaskSource`) without end.

    Attributes
    ----------
    seed : int
    basis : ndarray of float64, shape (d, K)
        Orthonormal columns.
    heads : ndarray of float64, shape (K, M)
    target : ndarray of float64, shape (K,)
    relevance : ndarray of float64, shape (M,)
        The one of least L1 norm; it is unique.
    dual : ndarray of float64, shape (K,)
        The proof: ``|heads' dual| <= 1``, with equality only where there is relevance, and
        ``target' dual = sum |relevance|``.
    noise : float
        Standard deviation of the labels.

    Notes
    -----
    The i-th sample of a task depends on the seed, the task and i only: whatever is drawn when, and
    whichever method asks.
    """

    seed: int
    basis: np.ndarray
    heads: np.ndarray
    target: np.ndarray
    relevance: np.ndarray
    dual: np.ndarray
    noise: float
    _streams: dict[int, tuple[np.random.Generator, np.random.Generator]] = field(
        default_factory=dict, repr=False
    )

    @property
    def available(self) -> np.ndarray:
        """No task comes to an end, float64 (M,)."""
        return np.full(self.heads.shape[1], np.inf)

    def draw(self, task: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next samples of a task: rows (count, d) and values (count,)."""
        return self._next(task, self.heads[:, task], count)

    def draw_target(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next samples of the target: rows (count, d) and values (count,)."""
        return self._next(-1, self.target, count)

    def again(self) -> Synthetic:
        """Return the same tasks, of which nothing is drawn."""
        return Synthetic(
            self.seed, self.basis, self.heads, self.target, self.relevance, self.dual, self.noise
        )

    def missed(self, basis: np.ndarray) -> float:
        """Return the squared length of what a representation (d, K) misses of the target."""
        own = self.basis @ self.target
        orthonormal = np.linalg.qr(basis)[0]
        return float(((own - orthonormal @ (orthonormal.T @ own)) ** 2).sum())

    def excess_risk(self, direction: np.ndarray) -> float:
        """Return the expected squared error of ``x' direction`` for the target, beyond the noise.

        Parameters
        ----------
        direction : ndarray of float64, shape (d,)
            Such as basis @ head.

        Returns
        -------
        float
        """
        return float(((direction - self.basis @ self.target) ** 2).sum())

    def _next(self, task: int, head: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        if task not in self._streams:
            self._streams[task] = (
                stream(self.seed, "multitask", "rows", task),
                stream(self.seed, "multitask", "noise", task),
            )
        for_rows, for_noise = self._streams[task]
        rows = for_rows.normal(size=(count, len(self.basis)))
        # Not a matrix product: its last bits depend on how many rows are drawn at once.
        clean = (rows * (self.basis @ head)).sum(axis=1)
        return rows, clean + self.noise * for_noise.normal(size=count)


def generate(
    seed: int,
    *,
    features: int = 20,
    dimension: int = 6,
    tasks: int = 40,
    relevant: Sequence[float] = (0.7, 0.3),
    noise: float = 0.3,
) -> Synthetic:
    """Return tasks of which the first few make up the target, and the others do not help.

    Parameters
    ----------
    seed : int
    features, dimension, tasks : int
        d, K and M.
    relevant : sequence of float
        Relevance of the first tasks, whose heads are unit vectors; none may be 0.
    noise : float
        Standard deviation of the labels.

    Returns
    -------
    Synthetic

    Notes
    -----
    The heads of the other tasks have length 0.9 in random directions, drawn again while their sum
    over the first entries, with the signs of `relevant`, is 0.8 or more in size. With these signs
    as the dual, that proves the relevance to be the only one of least L1 norm.

    Examples
    --------
    >>> from labeltrain.multitask.synthetic import generate
    >>> tasks = generate(0, tasks=10)
    >>> tasks.relevance.tolist()[:4]
    [0.7, 0.3, 0.0, 0.0]
    >>> tasks.draw(3, 5)[0].shape
    (5, 20)
    """
    parts = np.asarray(relevant, dtype=np.float64)
    some = len(parts)
    if parts.ndim != 1 or not some or not np.isfinite(parts).all() or (parts == 0).any():
        raise BadInput(f"relevant={relevant!r}", "give numbers that are not 0, such as (0.7, 0.3)")
    if dimension < 2 or not some <= dimension <= min(features, tasks):
        raise BadInput(
            f"{some} relevant tasks, dimension={dimension}, features={features}, tasks={tasks}",
            "the dimension is 2 or more, and not below the relevant tasks; features and tasks are "
            "not below the dimension",
        )
    rng = stream(seed, "multitask", "tasks")
    basis = np.linalg.qr(rng.normal(size=(features, dimension)))[0]
    dual = np.zeros(dimension)
    dual[:some] = np.sign(parts)
    heads = np.zeros((dimension, tasks))
    heads[:some, :some] = np.eye(some)
    made = some
    while made < tasks:
        drawn = rng.normal(size=dimension)
        drawn *= LENGTH / np.linalg.norm(drawn)
        if abs(dual @ drawn) < SLACK:
            heads[:, made] = drawn
            made += 1
    relevance = np.zeros(tasks)
    relevance[:some] = parts
    target = np.zeros(dimension)
    target[:some] = parts
    return Synthetic(seed, basis, heads, target, relevance, dual, noise)
