"""What cells of a study work with: tasks, features, and the split of each seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labeltrain import data
from labeltrain.errors import unknown_name
from labeltrain.multitask.corruptions import conditions
from labeltrain.multitask.dealing import conditions_as_sources, dealt, held_out_images
from labeltrain.multitask.features import Encoded, encode, reduced
from labeltrain.multitask.question_tasks import question_tasks
from labeltrain.multitask.reading import read_sources, task_set
from labeltrain.multitask.simulation import Simulation, simulate
from labeltrain.multitask.study.spec import EACH, MultitaskStudySpec
from labeltrain.multitask.tasks import Source, Task, TaskSet, named

Counted = Callable[[str], Callable[[int, int], None] | None]


@dataclass(frozen=True)
class Material:
    """The tasks of a study and their features.

    Attributes
    ----------
    data_sets : tuple of Source
    tasks : tuple of Task
        Of the first seed, where each seed deals out anew.
    targets : tuple of str
        Names of tasks, in order.
    encoded : Encoded
    """

    data_sets: tuple[Source, ...]
    tasks: tuple[Task, ...]
    targets: tuple[str, ...]
    encoded: Encoded

    def light(self) -> Material:
        """Return it without items and features: what a worker process is sent."""
        sources = tuple(replace(s, dataset=replace(s.dataset, items=())) for s in self.data_sets)
        encoded = replace(self.encoded, rows=np.zeros((0, 0), dtype=np.float32))
        return replace(self, data_sets=sources, encoded=encoded)

    def facts(self) -> dict[str, Any]:
        """Return what the report says of the data, and a name of all of it."""
        total = hashlib.sha256(np.ascontiguousarray(self.encoded.rows).tobytes())
        for source in self.data_sets:
            for values in (source.dataset.labels, source.numbers):
                total.update(b"" if values is None else np.ascontiguousarray(values).tobytes())
        for task in self.tasks:
            total.update(task.name.encode("utf-8", "surrogatepass"))
            total.update(task.items.tobytes())
        return {
            "key": total.hexdigest(),
            "tasks": [
                {"name": t.name, "row": t.row, "column": t.column, "items": len(t.items)}
                for t in self.tasks
            ],
            "targets": list(self.targets),
            "data_sets": [
                {"name": s.name, "items": len(s.dataset), "licence": s.dataset.licence}
                for s in self.data_sets
            ],
            "encoder": self.encoded.encoder,
            "features": int(self.encoded.rows.shape[1]),
        }


@dataclass(frozen=True)
class SeedMaterial:
    """What all targets of a seed share.

    Attributes
    ----------
    data_sets : tuple of Source
    tasks : tuple of Task
    held_out : ndarray of int64 or None
        Items of every data set that are tested on; None where each target has its own.
    rows : ndarray of float64, shape (n, d) or None
        Features reduced without those items; None where each target has its own.
    """

    data_sets: tuple[Source, ...]
    tasks: tuple[Task, ...]
    held_out: np.ndarray | None = None
    rows: np.ndarray | None = None

    def task_set(self, target: str, apart: bool) -> TaskSet:
        """Return a target with its sources; its test items are among the target's own."""
        one = next(task for task in self.tasks if task.name == target)
        if self.held_out is not None:
            one = replace(one, items=np.union1d(one.items, self.held_out))
        return task_set(one, self.tasks, self.data_sets, apart=apart)


def prepared(spec: MultitaskStudySpec, counted: Counted) -> Material:
    """Read the tasks of a study and encode their items.

    Parameters
    ----------
    spec : MultitaskStudySpec
    counted : callable
        From the name of a stage to what is told of its progress, or None.

    Returns
    -------
    Material

    Raises
    ------
    BadInput
        Data that cannot be read so, or an unknown target.
    """
    if spec.conditions is not None:
        about = spec.conditions
        sets = conditions(
            data.load(about.dataset), about.names, seed=about.seed, progress=counted("conditions")
        )
        held_out = held_out_images(sets[0], about.test, spec.seeds[0])
        tasks = dealt(sets, held_out, spec.seeds[0])
        sources = conditions_as_sources(sets, tasks)
    elif spec.questions is not None:
        sources = question_tasks(spec.questions)
        tasks = tuple(task for source in sources for task in source.tasks)
    else:
        sources, tasks = read_sources(spec.sources, spec.read)
    targets = _targets(spec, tasks)
    # The first target stands for all: only data sets are encoded.
    whole = TaskSet(sources, tasks, tasks[0])
    encoded = encode(whole, spec.encoder, counted("encoding"), spec.encoder_options)
    return Material(sources, tasks, targets, encoded)


def _targets(spec: MultitaskStudySpec, tasks: tuple[Task, ...]) -> tuple[str, ...]:
    names = [task.name for task in tasks]
    if spec.targets == EACH:
        return tuple(names)
    found = []
    for name in spec.targets:
        one = named(tasks, name)
        if one is None:
            raise unknown_name("target", name, names)
        found.append(one.name)
    return tuple(dict.fromkeys(found))


def of_seed(spec: MultitaskStudySpec, material: Material, seed: int) -> SeedMaterial:
    """Return what all targets of a seed share: of images under conditions, dealing and features.

    Parameters
    ----------
    spec : MultitaskStudySpec
    material : Material
    seed : int

    Returns
    -------
    SeedMaterial

    Notes
    -----
    Images that are tested on are so under every condition: no task has one, and principal
    components are taken from the others only.
    """
    if spec.conditions is None:
        return SeedMaterial(material.data_sets, material.tasks)
    sets = [source.dataset for source in material.data_sets]
    held_out = held_out_images(sets[0], spec.conditions.test, seed)
    tasks = dealt(sets, held_out, seed)
    tested = [replace(one, test=held_out) for one in sets]
    inside = np.ones((len(sets), len(sets[0])), dtype=bool)
    inside[:, held_out] = False
    fitted = np.flatnonzero(inside.reshape(-1))
    rows = None
    if spec.representation != "cnn":
        rows = reduced(np.asarray(material.encoded.rows), fitted, spec.components)
    return SeedMaterial(conditions_as_sources(tested, tasks), tasks, held_out, rows)


def simulated(
    spec: MultitaskStudySpec, material: Material, shared: SeedMaterial, target: str, seed: int
) -> Simulation:
    """Return what one target works with, under one seed.

    Parameters
    ----------
    spec : MultitaskStudySpec
    material : Material
    shared : SeedMaterial
        Of that seed.
    target : str
    seed : int

    Returns
    -------
    Simulation
    """
    return simulate(
        shared.task_set(target, spec.apart), material.encoded, seed,
        target_labels=spec.target_labels, test_share=spec.test_share,
        components=None if spec.representation == "cnn" else spec.components, rows=shared.rows,
    )  # fmt: skip
