"""Executors: where tasks run. Inline, or in worker processes; the results are the same.

A task is one trajectory, named by experiment, strategy and seed. It is idempotent: started again,
it goes on from what its run has in the ledger. This is the seam where a cluster engine would go:
an executor needs only `work(task)`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labeltrain.errors import LabelTrainError
from labeltrain.kernels.clock import counted_by
from labeltrain.kernels.processes import die_with, environment
from labeltrain.kernels.threads import limited_threads
from labeltrain.learners import registry as learners
from labeltrain.loop.journal import StoreJournal
from labeltrain.loop.select import select
from labeltrain.store import Workspace
from labeltrain.strategies import registry as strategies
from labeltrain.studies.prepare import Material, run_name
from labeltrain.studies.spec import ExperimentSpec, StrategySpec


@dataclass(frozen=True)
class Task:
    """One trajectory of a study."""

    experiment: int
    strategy: StrategySpec
    seed: int


class Conditions(NamedTuple):
    """What tasks run under.

    Attributes
    ----------
    threads : int
    clock : str
        See :func:`labeltrain.kernels.clock.counted_by`.
    """

    threads: int
    clock: str


def work(
    task: Task,
    materials: Sequence[Material] | Mapping[int, Material],
    workspace: Workspace,
    conditions: Conditions,
    tick: Callable[[], None] | None = None,
) -> None:
    """Run one task to its end; `tick` is called after each round."""
    material = materials[task.experiment]
    name = run_name(material.spec, task.strategy, task.seed)
    import_modules(material.spec)
    warm_up(task.strategy.name)
    with limited_threads(conditions.threads), counted_by(conditions.clock):
        journal = StoreJournal(workspace, name)
        trajectory = material.trajectory(task.strategy, task.seed, journal)
        trajectory.run(None if tick is None else lambda body: tick())


def import_modules(spec: ExperimentSpec) -> None:
    """Import what the learners of an experiment use, so that no fit is booked with it."""
    for name in [spec.learner, *([spec.final.learner] if spec.final else [])]:
        for module in learners.get(name).imports:
            with contextlib.suppress(ImportError):  # the fit says which extra is missing
                importlib.import_module(module)


@functools.cache
def warm_up(strategy: str) -> None:
    """Choose once from a small made-up pool, so that no round is booked with loading compiled code.

    Only strategies of this library; once in a process. Those that need more than arrays load theirs
    in their first round.
    """
    if not strategies.get(strategy).__module__.startswith("labeltrain."):
        return
    rng = np.random.default_rng(0)
    n, classes = 64, 4
    labelled = np.arange(8)
    with contextlib.suppress(LabelTrainError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        select(
            strategy,
            budget=4,
            embeddings=rng.normal(size=(n, 8)).astype(np.float32),
            probabilities=rng.dirichlet(np.ones(classes), size=n),
            labelled=labelled,
            labels=labelled % classes,
            classes=classes,
        )


def run_inline(
    tasks: Sequence[Task],
    materials: Sequence[Material],
    workspace: Workspace,
    conditions: Conditions,
    tick: Callable[[], None],
) -> None:
    """Run the tasks one after the other in this process; `tick` is called after each round."""
    for task in tasks:
        work(task, materials, workspace, conditions, tick)


_worker: dict[str, Any] = {}


def _start_worker(
    folder: str,
    epoch: int,
    conditions: Conditions,
    shared: Mapping[int, tuple[Material, Mapping[str, str]]],
    modules: Sequence[str],
    parent: int,
) -> None:
    import importlib

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    die_with(parent)
    for module in modules:  # where strategies and learners of the user's own register themselves
        importlib.import_module(module)
    _worker["workspace"] = Workspace.join(Path(folder), epoch)
    _worker["conditions"] = conditions
    _worker["materials"] = {
        number: replace(
            material,
            features=_mapped(paths["features"]),
            views={name: _mapped(path) for name, path in paths.items() if name != "features"},
        )
        for number, (material, paths) in shared.items()
    }


def _mapped(path: str) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _work(task: Task) -> None:
    work(task, _worker["materials"], _worker["workspace"], _worker["conditions"])


def run_processes(
    tasks: Sequence[Task],
    materials: Sequence[Material],
    workspace: Workspace,
    conditions: Conditions,
    workers: int,
    tick: Callable[[], None],
) -> None:
    """Run the tasks in worker processes, features shared through the page cache.

    Raises
    ------
    LabelTrainError
        When a worker was killed; what was committed is kept, running again goes on.
    """
    import multiprocessing
    import tempfile
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    epoch = workspace.ledger.epoch
    if epoch is None:
        raise LabelTrainError("the workspace is open for reading only", "open it for writing")
    with tempfile.TemporaryDirectory(prefix="labeltrain-") as scratch:
        shared = {}
        for number in sorted({task.experiment for task in tasks}):  # finished ones have no material
            material = materials[number]
            arrays = {"features": material.features, **material.views}
            paths = {name: os.path.join(scratch, f"{number}-{name}.npy") for name in arrays}
            for name, path in paths.items():
                np.save(path, arrays[name], allow_pickle=False)
            light = replace(material, features=np.empty((0, 0), np.float32), views={})
            shared[number] = (light, paths)
        with environment(conditions.threads):
            # One pool a worker, so that a task can be given to the worker that did the like.
            pools = [
                ProcessPoolExecutor(
                    1,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_start_worker,
                    initargs=(
                        str(workspace.folder),
                        epoch,
                        conditions,
                        shared,
                        _own(tasks, materials),
                        os.getpid(),
                    ),
                )
                for _ in range(workers)
            ]
            try:
                left = list(tasks)
                last: list[Task | None] = [None] * workers
                running: dict[Any, int] = {}
                free = list(range(workers))
                while left or running:
                    for worker in free[: len(left)]:
                        task = next_task(left, last, worker, materials)
                        running[pools[worker].submit(_work, task)] = worker
                    done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                    free = [running.pop(future) for future in done]
                    for future in done:
                        future.result()
                    tick()
            except BaseException as error:
                # Stopped: what is committed stays, nothing else is worth waiting for.
                for child in multiprocessing.active_children():
                    child.kill()
                if isinstance(error, BrokenProcessPool):
                    raise LabelTrainError(
                        "a worker process was killed (out of memory?)",
                        "run the same command again: it goes on from the last committed round; "
                        "--workers 1 uses less memory",
                    ) from error
                raise
            finally:
                for pool in pools:
                    pool.shutdown(wait=True, cancel_futures=True)


def next_task(
    left: list[Task], last: list[Task | None], worker: int, materials: Sequence[Material]
) -> Task:
    """Take from `left` what is most like the last task of a worker, and note it as its last.

    What is made of a split (features of an encoder that learns, neighbour graphs, activations) is
    kept in the process and found again. Of what is equally like, that which is least like the
    tasks of the other workers, then the first.

    Examples
    --------
    >>> next_task([Task(0, StrategySpec(name="random"), 7)], [None], 0, [])
    Task(experiment=0, strategy=StrategySpec(name='random', label='', parameters={}), seed=7)
    """
    others = [task for number, task in enumerate(last) if number != worker]

    def rank(place: int) -> tuple[int, int, int]:
        task = left[place]
        near = max((_likeness(task, other, materials) for other in others), default=0)
        return _likeness(task, last[worker], materials), -near, -place

    chosen = left.pop(max(range(len(left)), key=rank))
    last[worker] = chosen
    return chosen


def _likeness(one: Task, other: Task | None, materials: Sequence[Material]) -> int:
    """Return how much two tasks share: a split, an encoder, an experiment."""
    if other is None or one.seed != other.seed:
        return 0
    mine, theirs = materials[one.experiment].spec, materials[other.experiment].spec
    shared = 0
    for keys in (
        ("dataset", "dataset_options", "split", "test_fraction", "imbalance"),
        ("encoder", "encoder_options"),
        ("learner", "learner_options"),
    ):
        if any(getattr(mine, key) != getattr(theirs, key) for key in keys):
            break
        shared += 1
    return shared


def _own(tasks: Sequence[Task], materials: Sequence[Material]) -> list[str]:
    """Return the modules outside labeltrain that the tasks' strategies and learners come from."""
    from labeltrain.learners import registry as learners
    from labeltrain.strategies import registry as strategies

    homes = {strategies.get(t.strategy.name).__module__ for t in tasks}
    for spec in (materials[t.experiment].spec for t in tasks):
        homes.add(learners.get(spec.learner).__module__)
        if spec.final is not None:
            homes.add(learners.get(spec.final.learner).__module__)
    return sorted(h for h in homes if not h.startswith("labeltrain.") and h != "__main__")
