"""Tasks of images under conditions: the images of each are dealt out to one task for each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeltrain.data import Dataset
from labeltrain.data.checks import known_labels
from labeltrain.errors import BadInput
from labeltrain.multitask.tasks import ACROSS, Source, Task
from labeltrain.rng import stream


def held_out_images(dataset: Dataset, count: int, seed: int) -> np.ndarray:
    """Draw the images that are tested on, under every condition.

    Parameters
    ----------
    dataset : Dataset
        Of one condition: all have the same images in the same order.
    count : int
    seed : int

    Returns
    -------
    ndarray of int64, shape (count,)
        Sorted positions.

    Raises
    ------
    BadInput
        Fewer images than that and one for each class.
    """
    known = known_labels(dataset)
    most = len(known) - len(dataset.classes)
    if not 1 <= count <= most:
        raise BadInput(
            f"test={count} of {len(known)} images with a label, and each of "
            f"{len(dataset.classes)} tasks needs some",
            f"give a whole number from 1 to {most}",
        )
    return np.sort(stream(seed, "multitask", "held out").permutation(known)[:count])


def dealt(sets: Sequence[Dataset], held_out: np.ndarray, seed: int) -> tuple[Task, ...]:
    """Deal the images of each condition out to as many tasks as there are classes.

    Parameters
    ----------
    sets : sequence of Dataset
        One for each condition, of several classes.
    held_out : ndarray of int64
        Images that no task has.
    seed : int
        Of the shuffling, which each condition has of its own.

    Returns
    -------
    tuple of Task
        Task i of a condition asks of its own images, which no other task of the condition has:
        is it of class i? Named ``blur/3``.

    Raises
    ------
    BadInput
        Items with several labels.

    Notes
    -----
    After the construction of Chen et al., where each task is one against all others. An image may
    be in tasks of several conditions.
    """
    found: list[Task] = []
    for number, one in enumerate(sets):
        if one.kind != "multiclass" or len(one.classes) < 2:
            raise BadInput(
                f"{one.name} is {one.kind} with {len(one.classes)} classes",
                "deal out data of two or more classes, one for each item",
            )
        left = np.setdiff1d(known_labels(one), held_out)
        order = stream(seed, "multitask", "dealt", one.name).permutation(left)
        for c, part in enumerate(np.array_split(order, len(one.classes))):
            label = one.classes[c]
            name = f"{one.name}{ACROSS}{label}"
            found.append(Task(name, number, np.sort(part), "binary", one.name, label, c))
    return tuple(found)


def conditions_as_sources(sets: Sequence[Dataset], tasks: Sequence[Task]) -> tuple[Source, ...]:
    """Return each condition with its tasks, as what tasks are read from.

    Parameters
    ----------
    sets : sequence of Dataset
    tasks : sequence of Task

    Returns
    -------
    tuple of Source
    """
    return tuple(
        Source(one.name, one, tuple(t for t in tasks if t.data_set == number))
        for number, one in enumerate(sets)
    )
