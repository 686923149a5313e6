"""Tasks of a data set: the items they have, and answers that are read when they are asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from labeltrain.data import Dataset
from labeltrain.errors import BadInput

Kind = Literal["binary", "number"]
BETWEEN = ":"  # stands between the name of a data set and that of a task in it
ACROSS = "/"  # stands between the two factors of a task


@dataclass(frozen=True)
class Task:
    """One task: items of a data set, and a question that is asked of each.

    Attributes
    ----------
    name : str
        Such as ``yeast:Class3``, ``shops:Rome`` or ``shops:Rome/returned``.
    data_set : int
        Which of the data sets that were read.
    items : ndarray of int64
        Positions in that data set; only items whose answer is known.
    kind : {"binary", "number"}
        Answers are 0 and 1, or numbers.
    row, column : str
        Its two factors: the data set or the value of the task column, and the class. "" where the
        data has only one of either.
    class_index : int
        Of the class or label that 1 stands for; -1 for numbers.
    """

    name: str
    data_set: int
    items: np.ndarray
    kind: Kind
    row: str = ""
    column: str = ""
    class_index: int = -1


@dataclass(frozen=True)
class Source:
    """A data set with its tasks.

    Attributes
    ----------
    name : str
        Short, and unlike that of any other source.
    dataset : Dataset
    tasks : tuple of Task
    numbers : ndarray of float64, shape (n,) or None
        What is to be predicted, where that is a number; nan where it is not known.
    """

    name: str
    dataset: Dataset
    tasks: tuple[Task, ...]
    numbers: np.ndarray | None = None

    def answers(self, task: Task, items: np.ndarray) -> np.ndarray:
        """Return what a task answers to items, float64: this is where labels are read."""
        if task.kind == "number":
            if self.numbers is None:
                raise BadInput(f"the task {task.name!r} has no numbers", "name its value column")
            return np.asarray(self.numbers[items], dtype=np.float64)
        labels = self.dataset.labels
        if labels is None:
            raise BadInput(f"the task {task.name!r} has no labels", "name its label column")
        if labels.ndim == 2:
            return np.asarray(labels[items, task.class_index], dtype=np.float64)
        return np.asarray(labels[items] == task.class_index, dtype=np.float64)


@dataclass(frozen=True)
class TaskSet:
    """All source tasks, the target, and the data sets that they belong to.

    Attributes
    ----------
    data_sets : tuple of Source
    sources : tuple of Task
    target : Task
    left_out : tuple of str
        Tasks that were asked for and cannot be learned: why.
    """

    data_sets: tuple[Source, ...]
    sources: tuple[Task, ...]
    target: Task
    left_out: tuple[str, ...] = field(default=())

    def answers(self, task: Task, items: np.ndarray) -> np.ndarray:
        """Return what a task answers to items of its data set, float64."""
        return self.data_sets[task.data_set].answers(task, items)

    @property
    def shared(self) -> bool:
        """Whether a source task is asked about items of the target."""
        mine = self.target.items
        return any(
            task.data_set == self.target.data_set and bool(np.isin(mine, task.items).any())
            for task in self.sources
        )


def named(tasks: tuple[Task, ...], name: str) -> Task | None:
    """Return the task of that name, or the only one whose name ends so; None if there is none.

    Parameters
    ----------
    tasks : tuple of Task
    name : str
        ``yeast:Class3``, or ``Class3`` where only one source has it.

    Returns
    -------
    Task or None

    Raises
    ------
    BadInput
        Several tasks end so.
    """
    for task in tasks:
        if task.name == name:
            return task
    ends = [task for task in tasks if task.name.endswith((BETWEEN + name, ACROSS + name))]
    if len(ends) > 1:
        raise BadInput(
            f"{name!r} could be {' or '.join(repr(t.name) for t in ends[:4])}",
            "give the whole name of the task",
        )
    return ends[0] if ends else None
