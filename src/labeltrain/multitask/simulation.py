"""One seed of a run on known data: what is held out, what is labelled, what sources give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput, HiddenLabel
from labeltrain.multitask.features import Encoded, reduced
from labeltrain.multitask.tasks import Task, TaskSet
from labeltrain.rng import stream

Answers = Callable[[Task, np.ndarray], np.ndarray]


class RevealedSource:
    """Source tasks whose answers are known to an oracle, which tells those that are drawn.

    It is a :class:`~labeltrain.multitask.sources.TaskSource`.

    Parameters
    ----------
    tasks : sequence of Task
    rows : ndarray of float64, shape (n, d)
        Features of the items of all data sets.
    starts : sequence of int
        Where the items of each data set begin in `rows`.
    items : sequence of ndarray of int64
        What may be drawn of each task, as positions in its data set.
    answers : callable
        ``(task, items) -> values``; called once for each sample, when it is drawn.
    seed : int
        Of the order, which is fixed for each task by its name: drawing 3 and then 2 is drawing 5,
        whatever is drawn of others.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        rows: np.ndarray,
        starts: Sequence[int],
        items: Sequence[np.ndarray],
        answers: Answers,
        seed: int,
    ) -> None:
        self._tasks, self._rows, self._starts, self._answers = tasks, rows, starts, answers
        self._orders = [
            own[stream(seed, "multitask", "order", task.name).permutation(len(own))]
            for task, own in zip(tasks, items, strict=True)
        ]
        self._given = np.zeros(len(tasks), dtype=np.int64)

    @property
    def available(self) -> np.ndarray:
        """Samples of each task, float64 (M,)."""
        return np.array([len(order) for order in self._orders], dtype=np.float64)

    def drawn(self, task: int) -> np.ndarray:
        """Return the items that were drawn of a task, in order: positions in its data set."""
        return self._orders[task][: self._given[task]]

    def draw(self, task: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the next samples of a task: rows (count, d) and values (count,)."""
        given, one = int(self._given[task]), self._tasks[task]
        if given + count > len(self._orders[task]):
            raise BadInput(
                f"{count} more samples of {one.name}, of which {given} of "
                f"{len(self._orders[task])} are drawn",
                "draw no more than are available",
            )
        items = self._orders[task][given : given + count]
        self._given[task] += count
        values = np.asarray(self._answers(one, items), dtype=np.float64)
        return self._rows[items + self._starts[one.data_set]], values


@dataclass(frozen=True)
class Simulation:
    """What one seed works with.

    Attributes
    ----------
    tasks : TaskSet
    seed : int
    rows : ndarray of float, shape (n, d)
        Of all data sets; see :func:`~labeltrain.multitask.features.reduced`. float32 where they
        are not reduced.
    shape : tuple of int or None
        Height, width and channels of the images that rows are.
    starts : tuple of int
    labelled : ndarray of int64
        Items of the target whose answers are known from the beginning.
    test : ndarray of int64
        Items of the target that only the score reads; no source gives them.
    items : tuple of ndarray of int64
        What may be drawn of each source task.
    """

    tasks: TaskSet
    seed: int
    rows: np.ndarray
    starts: tuple[int, ...]
    labelled: np.ndarray
    test: np.ndarray
    items: tuple[np.ndarray, ...]
    shape: tuple[int, int, int] | None = None

    def source(self, answers: Answers | None = None) -> RevealedSource:
        """Return the source tasks, of which nothing is drawn."""
        told = answers or self.tasks.answers
        return RevealedSource(
            self.tasks.sources, self.rows, self.starts, self.items, told, self.seed
        )

    def target(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values of the labelled samples of the target."""
        return self._of_target(self.labelled)

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values of the target's test items: for scores only."""
        return self._of_target(self.test)

    def _of_target(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        task = self.tasks.target
        rows = self.rows[items + self.starts[task.data_set]]
        return rows, np.asarray(self.tasks.answers(task, items), dtype=np.float64)


def simulate(
    tasks: TaskSet,
    encoded: Encoded,
    seed: int,
    *,
    target_labels: int,
    test_share: float = 0.5,
    components: int | None = 100,
    rows: np.ndarray | None = None,
) -> Simulation:
    """Draw the labelled samples and the test items of the target.

    Parameters
    ----------
    tasks : TaskSet
    encoded : Encoded
    seed : int
    target_labels : int
        Samples of the target whose answers are known.
    test_share : float
        Of the target's items, where sources share them: those are held out from sources, too. A
        test split of the data set's own goes first. Where nothing is shared, all that is not
        labelled is tested on.
    components : int or None
        Features are reduced to so many; see :func:`~labeltrain.multitask.features.reduced`. None:
        they stay as they are.
    rows : ndarray of float64, shape (n, d), optional
        Features that were reduced already, from items that no target is tested on.

    Returns
    -------
    Simulation

    Raises
    ------
    BadInput
        The target has too few items.
    """
    target = tasks.target
    dataset = tasks.data_sets[target.data_set].dataset
    rng = stream(seed, "multitask", "target", target.name)
    order = target.items[rng.permutation(len(target.items))]
    own = None if dataset.test is None else np.isin(order, dataset.test)
    if own is not None and own.any() and not own.all():
        test, rest = order[own], order[~own]
    elif tasks.shared:
        count = int(np.ceil(test_share * len(order)))
        test, rest = order[:count], order[count:]
    else:
        test, rest = order[target_labels:], order[:target_labels]
    if target_labels < 2 or target_labels > len(rest) or not len(test):
        raise BadInput(
            f"target_labels={target_labels}, and the target {target.name!r} has "
            f"{len(order)} items with a label, {len(rest)} of which are not held out for the score"
            if len(test)
            else f"target_labels={target_labels} of {len(order)} items with a label leave none of "
            f"the target {target.name!r} for the score",
            f"give a number from 2 to {max(2, len(rest) if len(test) else len(order) - 1)}",
        )
    labelled, test = np.sort(rest[:target_labels]), np.sort(test)
    items = []
    for task in tasks.sources:
        mine = task.items
        if task.data_set == target.data_set:
            mine = np.setdiff1d(mine, test)
        if not len(mine):
            raise BadInput(
                f"all items of the source task {task.name!r} are held out for the score",
                "leave the task out, or make test_share smaller",
            )
        items.append(mine)
    if components is None:
        rows = encoded.rows
    elif rows is None:
        inside = np.ones(len(encoded.rows), dtype=bool)
        inside[test + encoded.starts[target.data_set]] = False
        rows = reduced(encoded.rows, np.flatnonzero(inside), components)
    shape = encoded.shape if components is None else None
    return Simulation(tasks, seed, rows, encoded.starts, labelled, test, tuple(items), shape)


def never(task: Task, items: np.ndarray) -> np.ndarray:
    """Refuse to answer: for checks that must not read a label.

    Raises
    ------
    HiddenLabel
    """
    raise HiddenLabel(f"{len(items)} labels of {task.name!r} were read", "draw them first")
