"""Run methods on known data in a workspace: every seed and method is committed when it is done."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.threads import limited_threads
from labeltrain.multitask.adaptive import refuse_impossible
from labeltrain.multitask.features import Encoded, encode
from labeltrain.multitask.method_run import chosen, finished
from labeltrain.multitask.reading import read_tasks
from labeltrain.multitask.representations import learner_of
from labeltrain.multitask.simulation import Simulation, never, simulate
from labeltrain.multitask.spec import RunSpec
from labeltrain.multitask.tasks import TaskSet
from labeltrain.store import Event, Workspace
from labeltrain.store.versions import versions

KIND = "multitask"
FORMAT = 2


class Progress(Protocol):
    """What shows how far a run is."""

    def stage(self, name: str, total: float) -> None:
        """Begin a stage with that much work."""

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Say how much of the stage is done."""


def run_in(spec: RunSpec, folder: str | Path, progress: Progress | None = None) -> bool:
    """Run in a workspace, or go on with it.

    Parameters
    ----------
    spec : RunSpec
    folder : path
        A run that was stopped goes on, to the same result; a finished one does nothing.
    progress : Progress, optional

    Returns
    -------
    bool
        False when there was nothing left to do.

    Raises
    ------
    BadInput
        A budget that is not there, another run in the workspace, data that changed since it began.
    """
    folder = Path(folder)
    held = None
    if Workspace.exists(folder):
        with Workspace.open(folder, KIND, read_only=True) as store:
            _refuse_other(store, spec)
            if not _left(store, spec):
                return False
            held = store.first().body["data"]
    tasks = read_tasks(spec.target, spec.sources, spec.read)
    encoded = encode(tasks, spec.encoder, _counted(progress, "encoding"), spec.encoder_options)
    facts = _facts(tasks, encoded)
    if held is not None and held["key"] != facts["key"]:
        raise BadInput(
            f"the data of {folder} changed since the run began",
            "bring it back as it was, or choose another --workspace",
        )
    with limited_threads(1):
        if held is None:
            _refuse_impossible(spec, tasks, encoded)
            body = {
                "format": FORMAT,
                "spec": spec.as_json(),
                "key": spec.key,
                "data": facts,
                "versions": versions(),
            }
            store = Workspace.create(folder, KIND, body)
        else:
            store = Workspace.open(folder, KIND)
        with store:
            left = _left(store, spec)
            if progress is not None:
                progress.stage("drawing and learning", float(len(left)))
            for number, (seed, method) in enumerate(left, start=1):
                simulation = _simulated(spec, tasks, encoded, seed)
                size, ridge = _dimension(store, spec, simulation)
                found = finished(spec, simulation, method, size, ridge)
                name = store.save_arrays(found.arrays, {"seed": seed, "method": method})
                store.append([Event("", "outcome", {**found.body, "arrays": name})])
                if progress is not None:
                    progress.advance_to(float(number))
    return True


def _simulated(spec: RunSpec, tasks: TaskSet, encoded: Encoded, seed: int) -> Simulation:
    return simulate(
        tasks, encoded, seed, target_labels=spec.target_labels, test_share=spec.test_share,
        components=None if spec.representation == "cnn" else spec.components,
    )  # fmt: skip


def _dimension(store: Workspace, spec: RunSpec, simulation: Simulation) -> tuple[int, float]:
    """Return dimension and ridge of a seed, chosen once and kept."""
    for event in store.events(kind="dimension"):
        if event.body["seed"] == simulation.seed:
            return int(event.body["dimension"]), float(event.body["ridge"])
    body = chosen(spec, simulation)
    store.append([Event("", "dimension", body)])
    return int(body["dimension"]), float(body["ridge"])


def _refuse_impossible(spec: RunSpec, tasks: TaskSet, encoded: Encoded) -> None:
    """Refuse, before there is a workspace, what could not be carried out; no label is read."""
    for seed in spec.seeds:
        simulation = _simulated(spec, tasks, encoded, seed)
        features = simulation.rows.shape[1]
        learner = None
        if spec.representation != "linear":
            learner = learner_of(spec, spec.dimension or 1, 0.0, simulation.shape)
        for method in spec.methods:
            refuse_impossible(
                simulation.source(never), features, np.array([len(simulation.labelled)]),
                spec.plan(method, seed, tasks.sources), spec.dimension or 1, None, learner,
            )  # fmt: skip


def _left(store: Workspace, spec: RunSpec) -> list[tuple[int, str]]:
    done = {(e.body["seed"], e.body["method"]) for e in store.events(kind="outcome")}
    every = [(seed, method) for seed in spec.seeds for method in spec.methods]
    return [one for one in every if one not in done]


def _refuse_other(store: Workspace, spec: RunSpec) -> None:
    body = store.first().body
    if body.get("format") != FORMAT:
        raise BadInput(
            f"{store.folder} was made by another version (format {body.get('format')})",
            "run it with that version of labeltrain, or choose another --workspace",
        )
    if body["key"] == spec.key:
        return
    mine, other = spec.as_json(), body["spec"]
    differing = sorted(
        f"{name}: {other.get(name)!r}, not {mine.get(name)!r}"
        for name in {*mine, *other}
        if mine.get(name) != other.get(name)
    )
    raise BadInput(
        f"{store.folder} holds another run; it has {'; '.join(differing[:4])}",
        "choose another --workspace, or run with the same options",
    )


def _facts(tasks: TaskSet, encoded: Encoded) -> dict[str, Any]:
    """Return what the report says of the data, and a name of all of it."""
    total = hashlib.sha256(np.ascontiguousarray(encoded.rows).tobytes())
    for source in tasks.data_sets:
        for values in (source.dataset.labels, source.numbers):
            total.update(b"" if values is None else np.ascontiguousarray(values).tobytes())
    listed = [
        {"name": t.name, "row": t.row, "column": t.column, "items": len(t.items)}
        for t in tasks.sources
    ]
    for task in (*tasks.sources, tasks.target):
        total.update(task.name.encode("utf-8", "surrogatepass"))
        total.update(task.items.tobytes())
    target = tasks.target
    return {
        "key": total.hexdigest(),
        "sources": listed,
        "target": {"name": target.name, "row": target.row, "column": target.column,
                   "items": len(target.items), "kind": target.kind},
        "data_sets": [
            {"name": s.name, "items": len(s.dataset), "licence": s.dataset.licence}
            for s in tasks.data_sets
        ],
        "shared": tasks.shared,
        "left_out": list(tasks.left_out),
        "encoder": encoded.encoder,
        "features": int(encoded.rows.shape[1]),
        "encode_seconds": encoded.seconds,
    }  # fmt: skip


def _counted(progress: Progress | None, name: str) -> Any:
    if progress is None:
        return None

    last: int | None = None

    def show(done: int, total: int) -> None:
        nonlocal last
        if last in (None, total):  # the first call, or another data set
            progress.stage(name, float(total))
        last = done
        progress.advance_to(float(done))

    return show
