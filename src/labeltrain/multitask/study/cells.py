"""The cells of a study: one target with one seed, all budgets and methods."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from labeltrain.multitask.adaptive import Learner
from labeltrain.multitask.assessment import Representation
from labeltrain.multitask.method_run import chosen, finished
from labeltrain.multitask.representations import learner_of
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.simulation import Simulation
from labeltrain.multitask.spec import ALONE
from labeltrain.multitask.study.material import Material, SeedMaterial, simulated
from labeltrain.multitask.study.spec import MethodSpec, MultitaskStudySpec


@dataclass(frozen=True)
class Cell:
    """One target with one seed."""

    target: str
    seed: int


class FinishedCell(NamedTuple):
    """What a cell found, as it is committed.

    Attributes
    ----------
    body : dict
        ``target``, ``seed``, ``dimension``, ``ridge``, ``sources`` (names), ``seconds`` and
        ``runs``: for each method and budget what
        :func:`~labeltrain.multitask.running.finished` tells, with ``title`` and ``budget``.
    arrays : dict of str to ndarray
        ``counts-i`` and ``relevance-i`` of run i, each (E, M).
    """

    body: dict[str, Any]
    arrays: dict[str, np.ndarray]


def cells_of(spec: MultitaskStudySpec, targets: tuple[str, ...]) -> list[Cell]:
    """Return all cells, seeds outermost: a part of them is paired, and shares what a seed shares.

    Parameters
    ----------
    spec : MultitaskStudySpec
    targets : tuple of str

    Returns
    -------
    list of Cell
    """
    return [Cell(target, seed) for seed in spec.seeds for target in targets]


def run_cell(
    spec: MultitaskStudySpec, material: Material, shared: SeedMaterial, cell: Cell
) -> FinishedCell:
    """Run all methods at all budgets for one target with one seed.

    Parameters
    ----------
    spec : MultitaskStudySpec
    material : Material
    shared : SeedMaterial
        Of the cell's seed.
    cell : Cell

    Returns
    -------
    FinishedCell

    Notes
    -----
    Methods that drew the same samples learn the same representation, which is then learned once:
    at least that of the first epoch.
    """
    started = time.perf_counter()
    simulation = simulated(spec, material, shared, cell.target, cell.seed)
    lead = spec.run(_lead(spec), cell.target, spec.budgets[0], cell.seed)
    choice = chosen(lead, simulation)
    size = min(int(choice["dimension"]), simulation.rows.shape[1])
    ridge = float(choice["ridge"])
    learn = remembered(learner_of(lead, size, ridge, simulation.shape, steps=spec.steps))
    runs: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for budget in spec.budgets:
        for method in spec.methods:
            if method.name == ALONE and budget != spec.budgets[0]:
                continue  # it draws nothing
            run = spec.run(method, cell.target, budget, cell.seed)
            found = finished(run, simulation, method.name, size, ridge, learn)
            arrays[f"counts-{len(runs)}"] = found.arrays["counts"]
            arrays[f"relevance-{len(runs)}"] = found.arrays["relevance"]
            told = {k: v for k, v in found.body.items() if k in ("warnings", "epochs", "seconds")}
            runs.append({"title": method.title, "budget": budget, **told})
    body = {
        "target": cell.target,
        "seed": cell.seed,
        "dimension": size,
        "ridge": ridge,
        "sources": [task.name for task in simulation.tasks.sources],
        "labelled": len(simulation.labelled),
        "test": len(simulation.test),
        "runs": runs,
        "seconds": time.perf_counter() - started,
    }
    return FinishedCell(body, arrays)


def refuse_impossible_cell(
    spec: MultitaskStudySpec, simulation: Simulation, target: str, seed: int
) -> None:
    """Refuse, before anything is drawn, what a cell could not carry out; no label is read.

    Parameters
    ----------
    spec : MultitaskStudySpec
    simulation : Simulation
    target : str
    seed : int

    Raises
    ------
    BadInput
    """
    from labeltrain.multitask.adaptive import refuse_impossible
    from labeltrain.multitask.simulation import never

    counts = np.array([len(simulation.labelled)])
    for budget in spec.budgets:
        for method in spec.methods:
            run = spec.run(method, target, budget, seed)
            plan = run.plan(method.name, seed, simulation.tasks.sources)
            refuse_impossible(
                simulation.source(never), simulation.rows.shape[1], counts, plan,
                spec.dimension or 1, None,
                None if spec.representation == "linear"
                else learner_of(run, spec.dimension or 1, 0.0, simulation.shape),
            )  # fmt: skip


def remembered(learner: Learner) -> Learner:
    """Return a learner that learns from the same samples once.

    Parameters
    ----------
    learner : callable

    Returns
    -------
    callable
        For one simulation: how many samples of each task there are says which, and, for networks,
        the representation before. What is drawn by chance is the same for every method.
    """
    goes_on = getattr(learner, "raw", False)
    held: dict[tuple[int, bytes], Representation] = {}

    def learn(
        samples: Samples, rng: np.random.Generator, previous: Representation | None
    ) -> Representation:
        key = id(previous) if goes_on else 0, samples.counts.tobytes()
        if key not in held:
            held[key] = learner(samples, rng, previous)
        return held[key]

    return _Remembered(learn, goes_on)


@dataclass(frozen=True)
class _Remembered:
    """A learner with the attribute that tells whether it reads rows as they are."""

    learn: Learner
    raw: bool

    def __call__(
        self, samples: Samples, rng: np.random.Generator, previous: Representation | None
    ) -> Representation:
        return self.learn(samples, rng, previous)


def _lead(spec: MultitaskStudySpec) -> MethodSpec:
    """Return the first method that looks at relevance: its first epoch chooses the dimension."""
    adaptive = [m for m in spec.methods if m.name not in ("uniform", "random", "all", ALONE)]
    return (adaptive or list(spec.methods))[0]
