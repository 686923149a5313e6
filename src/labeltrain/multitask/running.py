"""Run methods on known data in a workspace: every seed and method is committed when it is done."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.threads import limited_threads
from labeltrain.multitask.adaptive import Learner, linear_learner, refuse_impossible, run
from labeltrain.multitask.dimension import choose_dimension
from labeltrain.multitask.features import Encoded, encode
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.reading import read_tasks
from labeltrain.multitask.records import Epoch
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.scores import target_scores
from labeltrain.multitask.simulation import RevealedSource, Simulation, never, simulate
from labeltrain.multitask.spec import RunSpec
from labeltrain.multitask.tasks import TaskSet
from labeltrain.store import Event, Workspace

KIND = "multitask"
FORMAT = 1
LABELS_A_DIMENSION = 4  # of the target: its head is told by them alone


class Progress(Protocol):
    """What shows how far a run is."""

    def stage(self, name: str, total: float) -> None:
        """Begin a stage with that much work."""

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Say how much of the stage is done."""


class Finished(NamedTuple):
    """What a method found with a seed, as it is committed.

    Attributes
    ----------
    body : dict
    arrays : dict of str to ndarray
    """

    body: dict[str, Any]
    arrays: dict[str, np.ndarray]


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
    encoded = encode(tasks, spec.encoder, _counted(progress, "encoding"))
    facts = _facts(tasks, encoded)
    if held is not None and held["key"] != facts["key"]:
        raise BadInput(
            f"the data of {folder} changed since the run began",
            "bring it back as it was, or choose another --workspace",
        )
    with limited_threads(1):
        if held is None:
            _refuse_impossible(spec, tasks, encoded)
            body = {"format": FORMAT, "spec": spec.as_json(), "key": spec.key, "data": facts}
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


def finished(
    spec: RunSpec,
    simulation: Simulation,
    method: str,
    dimension: int,
    ridge: float,
    learner: Learner | None = None,
) -> Finished:
    """Run one method with one seed, and score the target after each epoch.

    Parameters
    ----------
    spec : RunSpec
    simulation : Simulation
    method : str
    dimension : int
    ridge : float
    learner : callable, optional
        Instead of :func:`~labeltrain.multitask.adaptive.linear_learner`.

    Returns
    -------
    Finished

    Notes
    -----
    Methods that do not look at relevance have one epoch; for the comparison along the way they are
    run with what the others have spent by each epoch, too. Their samples are the first of the same
    order, so that the smaller run is a part of the larger.
    """
    started = time.perf_counter()
    plan = spec.plan(method, simulation.seed, simulation.tasks.sources)
    plans = [plan]
    if len(plan.schedule()) == 1 and method not in ("all", "target-only"):
        budgets = spec.plan(spec.method, simulation.seed, simulation.tasks.sources)
        plans = [replace(plan, budget=float(b)) for b in _schedule(spec, budgets)]
    epochs: list[Epoch] = []
    told: list[str] = []
    target = simulation.target()
    if np.ptp(target[1]) == 0:
        told.append(
            f"all {len(target[1])} labelled samples of the target have the same answer, so nothing "
            "can be learned from them: give more target_labels"
        )
    size = min(dimension, target[0].shape[1])
    learn = learner or linear_learner(size, ridge)
    for one in plans:
        source = simulation.source()
        with _heard(told):
            outcome = run(source, [target], one, dimension=size, learner=learn)
        epochs += outcome.epochs
    rows, values = simulation.held_out()
    kind = simulation.tasks.target.kind
    predictions = np.stack([epoch.predict(rows) for epoch in epochs])
    prices = plan.prices(len(simulation.tasks.sources))
    body = {
        "seed": simulation.seed,
        "method": method,
        "dimension": dimension,
        "ridge": ridge,
        "warnings": told,
        "epochs": [
            _epoch(epoch, prices, target_scores(predicted, values, kind))
            for epoch, predicted in zip(epochs, predictions, strict=True)
        ],
        "seconds": time.perf_counter() - started,
    }
    return Finished(body, _arrays(simulation, source, epochs, predictions, values))


def _schedule(spec: RunSpec, plan: Plan) -> np.ndarray:
    """Return what an adaptive method may have spent by the end of each epoch."""
    adaptive = plan if len(plan.schedule()) > 1 else replace(plan, method="l1")
    return adaptive.schedule()


def _epoch(epoch: Epoch, prices: np.ndarray, scores: Mapping[str, float]) -> dict[str, Any]:
    seen = epoch.assessment
    numbers = {
        "spent": float(prices @ epoch.counts),
        "samples": int(epoch.counts.sum()),
        "uniform": epoch.uniform,
        "unsure": seen.unsure,
        "noise": seen.noise,
        "missed": seen.missed,
        "left_out_loss": seen.target_loss,
        "penalty": epoch.penalty,
        "residual": epoch.residual,
        "bound": epoch.bound,
        "smallest": epoch.smallest,
    }
    told: dict[str, Any] = {k: _finite(v) for k, v in numbers.items()}
    return {**told, "resolved": seen.resolved, "scores": {k: _finite(v) for k, v in scores.items()}}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _arrays(
    simulation: Simulation,
    source: RevealedSource,
    epochs: list[Epoch],
    predictions: np.ndarray,
    values: np.ndarray,
) -> dict[str, np.ndarray]:
    tasks = len(simulation.tasks.sources)
    relevance = [
        np.full(tasks, np.nan) if epoch.relevance is None else epoch.relevance[:, 0]
        for epoch in epochs
    ]
    drawn = [source.drawn(m) for m in range(tasks)]
    return {
        "counts": np.stack([epoch.counts for epoch in epochs]),
        "relevance": np.stack(relevance),
        "predictions": predictions,
        "test": simulation.test,
        "test_values": values,
        "labelled": simulation.labelled,
        "drawn": np.concatenate(drawn),
        "drawn_counts": np.array([len(d) for d in drawn], dtype=np.int64),
    }


def _simulated(spec: RunSpec, tasks: TaskSet, encoded: Encoded, seed: int) -> Simulation:
    return simulate(
        tasks, encoded, seed, target_labels=spec.target_labels, test_share=spec.test_share,
        components=spec.components,
    )  # fmt: skip


def _dimension(store: Workspace, spec: RunSpec, simulation: Simulation) -> tuple[int, float]:
    """Return dimension and ridge of a seed, chosen once and kept."""
    for event in store.events(kind="dimension"):
        if event.body["seed"] == simulation.seed:
            return int(event.body["dimension"]), float(event.body["ridge"])
    body = chosen(spec, simulation)
    store.append([Event("", "dimension", body)])
    return int(body["dimension"]), float(body["ridge"])


def chosen(spec: RunSpec, simulation: Simulation) -> dict[str, Any]:
    """Choose the dimension and the ridge penalty of a seed, from the samples of its first epoch.

    Parameters
    ----------
    spec : RunSpec
    simulation : Simulation

    Returns
    -------
    dict
        ``seed``, ``dimension``, ``ridge``, and, where one was chosen, ``loss``, ``alone`` and
        ``tried`` of :class:`~labeltrain.multitask.dimension.Choice`.
    """
    if spec.dimension is not None and spec.ridge is not None:
        return {"seed": simulation.seed, "dimension": spec.dimension, "ridge": spec.ridge}
    plan = spec.plan(spec.method, simulation.seed, simulation.tasks.sources)
    first = replace(plan, method="uniform", budget=float(_schedule(spec, plan)[0]))
    source = simulation.source()
    # The draws of the first epoch again: the labels that adaptive methods begin with.
    drawn = run(source, [simulation.target()], first, dimension=1).counts
    again = simulation.source()
    samples = Samples.of([again.draw(m, int(count)) for m, count in enumerate(drawn)])
    given: dict[str, Any] = {"most": len(simulation.labelled) // LABELS_A_DIMENSION}
    if spec.dimension is not None:
        given = {"dimensions": (spec.dimension,)}
    if spec.ridge is not None:
        given["ridges"] = (spec.ridge,)
    found = choose_dimension(samples, **given)
    return {
        "seed": simulation.seed,
        "dimension": found.dimension,
        "ridge": found.ridge,
        "loss": found.loss,
        "alone": found.alone,
        "tried": [list(one) for one in found.tried],
    }


@contextmanager
def _heard(told: list[str]) -> Iterator[None]:
    """Keep what a run warns of, each once: the report says it."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield
    told.extend(dict.fromkeys(t for w in heard if (t := str(w.message)) not in told))


def _refuse_impossible(spec: RunSpec, tasks: TaskSet, encoded: Encoded) -> None:
    """Refuse, before there is a workspace, what could not be carried out; no label is read."""
    for seed in spec.seeds:
        simulation = _simulated(spec, tasks, encoded, seed)
        features = simulation.rows.shape[1]
        for method in spec.methods:
            refuse_impossible(
                simulation.source(never), features, np.array([len(simulation.labelled)]),
                spec.plan(method, seed, tasks.sources), spec.dimension or 1, None,
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
