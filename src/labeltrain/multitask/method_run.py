"""One method with one seed: its choices, its samples, its scores on the target's test items."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from labeltrain.multitask.adaptive import Learner, run
from labeltrain.multitask.dimension import choose_dimension
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.records import Epoch
from labeltrain.multitask.representations import learner_of
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.scores import target_scores
from labeltrain.multitask.simulation import RevealedSource, Simulation
from labeltrain.multitask.spec import RunSpec

LABELS_A_DIMENSION = 4  # of the target: its head is told by them alone


class Finished(NamedTuple):
    """What a method found with a seed, as it is committed.

    Attributes
    ----------
    body : dict
    arrays : dict of str to ndarray
    """

    body: dict[str, Any]
    arrays: dict[str, np.ndarray]


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
        Instead of the one that the spec asks for.

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
    learn = learner or learner_of(spec, size, ridge, simulation.shape)
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
    most = max(len(simulation.labelled) // LABELS_A_DIMENSION, 1)
    if spec.representation != "linear":
        return {"seed": simulation.seed, "dimension": spec.dimension or most, "ridge": 0.0}
    if spec.dimension is not None and spec.ridge is not None:
        return {"seed": simulation.seed, "dimension": spec.dimension, "ridge": spec.ridge}
    plan = spec.plan(spec.method, simulation.seed, simulation.tasks.sources)
    first = replace(plan, method="uniform", budget=float(_schedule(spec, plan)[0]))
    source = simulation.source()
    # The draws of the first epoch again: the labels that adaptive methods begin with.
    drawn = run(source, [simulation.target()], first, dimension=1).counts
    again = simulation.source()
    samples = Samples.of([again.draw(m, int(count)) for m, count in enumerate(drawn)])
    given: dict[str, Any] = {"most": most}
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
