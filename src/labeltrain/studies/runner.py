"""Run a study: prepare, run what is missing, commit every round."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from labeltrain.errors import BadInput
from labeltrain.store import Event, Workspace
from labeltrain.store import arrays as array_files
from labeltrain.store.versions import versions
from labeltrain.studies.executors import Conditions, Task, run_inline, run_processes
from labeltrain.studies.prepare import (
    Material,
    Prepared,
    encoded_event,
    is_finished,
    prepare,
    refuse_bad_names,
    run_name,
)
from labeltrain.studies.spec import StudySpec
from labeltrain.studies.work import Work


class Progress(Protocol):
    """What shows how far a study is; see ``cli/output.py``."""

    def stage(self, name: str, total: float) -> None:
        """Begin a stage with that much work."""

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Say how much of the stage is done, and how much there is if that is known better now."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: float) -> None:
        """Do nothing."""

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Do nothing."""


def run_study(
    spec: StudySpec,
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> bool:
    """Run a study in a workspace, or go on with it.

    Parameters
    ----------
    spec : StudySpec
    folder : Path
        The workspace. A study that was interrupted goes on; a finished one does nothing.
    workers : int
        Worker processes; 1 runs in this process. The result does not depend on it.
    progress : Progress, optional

    Returns
    -------
    bool
        False when there was nothing left to do.

    Raises
    ------
    BadInput
        Impossible spec; another study in the workspace; data that changed since it began.
    """
    if workers < 1:
        raise BadInput(f"workers={workers} is below 1", "give a positive number")
    refuse_bad_names(spec)
    started = time.perf_counter()
    show = progress or Silent()
    prepared: dict[int, Prepared] = {}
    if Workspace.exists(folder):
        workspace = Workspace.open(folder, "study")
    else:
        # What refuses the spec or the data must not leave a workspace that claims the directory.
        for number, experiment in enumerate(spec.experiments):
            prepared[number] = prepare(experiment, _encoding(show, experiment.title))
        workspace = Workspace.create(
            folder, "study", {"spec": spec.as_json(), "key": spec.key, "versions": versions()}
        )
    with workspace:
        _refuse_other_study(workspace, spec)
        tasks = _missing(workspace, spec)
        if not tasks:
            return False
        materials = _materials(workspace, spec, {t.experiment for t in tasks}, prepared, show)
        _collect_orphans(workspace)
        _run(workspace, spec, tasks, materials, workers, show)
        workspace.append(
            [Event("", "session", {"seconds": time.perf_counter() - started, "tasks": len(tasks)})]
        )
    return True


def _refuse_other_study(workspace: Workspace, spec: StudySpec) -> None:
    held = workspace.first().body
    if held["key"] == spec.key or _means(held["spec"], spec):
        return
    differing = sorted(_differences(held["spec"], spec.as_json()))
    raise BadInput(
        f"{workspace.folder} holds another study; it differs in: {'; '.join(differing[:6])}",
        "choose another --workspace, run with the same options, or delete the directory"
        + ("" if _any_round(workspace) else ": no round of it is done"),
    )


def _means(held: Mapping[str, Any], spec: StudySpec) -> bool:
    """Tell whether a spec of an earlier version, which lacks newer keys, says the same."""
    try:
        return StudySpec.model_validate(held).key == spec.key
    except ValueError:
        return False


def _any_round(workspace: Workspace) -> bool:
    return any(True for _ in workspace.events(kind="scored"))


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in {*old, *new}:
            found += _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i in range(len(old)) for d in _differences(old[i], new[i], f"{where}.{i}")]
    return [] if old == new else [f"{where} was {_short(old)}, now {_short(new)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def tasks_of(spec: StudySpec) -> list[Task]:
    """Return every trajectory of a study: seeds outermost, so that partial results are paired."""
    seeds = dict.fromkeys(seed for experiment in spec.experiments for seed in experiment.seeds)
    return [
        Task(number, strategy, seed)
        for seed in seeds
        for number, experiment in enumerate(spec.experiments)
        if seed in experiment.seeds
        for strategy in experiment.strategies
    ]


@dataclass
class _Done:
    """What the ledger has of one trajectory."""

    scored: dict[str, Any] | None = None
    exhausted: bool = False
    budgets: list[int | str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)  # files that its last events refer to


def _missing(workspace: Workspace, spec: StudySpec) -> list[Task]:
    done = _done(workspace)
    missing = []
    for task in tasks_of(spec):
        experiment = spec.experiments[task.experiment]
        run = done.get(run_name(experiment, task.strategy, task.seed), _Done())
        if not is_finished(experiment, run.scored, run.exhausted, run.budgets):
            missing.append(task)
    return missing


def _done(workspace: Workspace) -> dict[str, _Done]:
    """Return where every trajectory stands."""
    done: dict[str, _Done] = defaultdict(_Done)
    for event in workspace.events():
        body = event.body
        if event.kind == "picked":
            done[event.run].exhausted |= bool(body["exhausted"])
        elif event.kind == "scored":
            done[event.run].scored = body
            done[event.run].kept["model"] = body["model"].get("arrays")
        elif event.kind == "final":
            done[event.run].budgets += body["budgets"]
            if body["features"] is not None:
                done[event.run].kept["model"] = body["model"].get("arrays")
                done[event.run].kept["features"] = body["features"].get("arrays")
    return done


def _materials(
    workspace: Workspace,
    spec: StudySpec,
    needed: set[int],
    prepared: dict[int, Prepared],
    show: Progress,
) -> list[Material]:
    known = {e.body["experiment"]: e.body for e in workspace.events(kind="encoded")}
    materials: list[Any] = [None] * len(spec.experiments)
    for number in sorted(needed):
        experiment = spec.experiments[number]

        material, made, facts = prepared.get(number) or prepare(
            experiment, _encoding(show, experiment.title)
        )
        body = encoded_event(material, made, facts)
        before = known.get(experiment.title)
        if before is None:
            workspace.append([Event("", "encoded", body)])
        elif (before["key"], before["labels_key"]) != (body["key"], body["labels_key"]):
            raise BadInput(
                f"the data or the encoder of {experiment.title!r} changed since the study began",
                "choose another --workspace, or restore the data",
            )
        materials[number] = material
    return materials


def _encoding(show: Progress, title: str) -> Callable[[int, int], None]:
    begun = False

    def tell(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            show.stage(f"encode {title}", total)
            begun = True
        show.advance_to(done)

    return tell


def _collect_orphans(workspace: Workspace) -> None:
    """Delete models that no last round refers to: a kill can leave one behind."""
    used = {name for run in _done(workspace).values() for name in run.kept.values()}
    for path in array_files.ours(workspace.arrays_folder):
        if path.stem not in used:
            workspace.drop_arrays(path.stem)
    for path in workspace.arrays_folder.glob(".part-*"):
        if re.fullmatch(r"\.part-[0-9a-f]{16}", path.name):
            path.unlink(missing_ok=True)


def _run(
    workspace: Workspace,
    spec: StudySpec,
    tasks: list[Task],
    materials: list[Material],
    workers: int,
    show: Progress,
) -> None:
    work = Work(spec, tasks)
    show.stage("rounds", work.total)
    seen = 0

    def tick() -> None:
        nonlocal seen
        for event in workspace.events(after=seen):
            seen = event.seq
            work.saw(event)
        show.advance_to(work.done, work.total)

    tick()
    workers = min(workers, len(tasks))
    conditions = Conditions(spec.threads, spec.clock)
    if workers == 1:
        run_inline(tasks, materials, workspace, conditions, tick)
    else:
        run_processes(tasks, materials, workspace, conditions, workers, tick)
