"""Read a study back from its workspace, finished or not."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics import Curve, Experiment, Results
from labeltrain.store import Event, Workspace
from labeltrain.studies.prepare import run_name
from labeltrain.studies.spec import StudySpec


def read_results(folder: Path) -> Results:
    """Return everything a report shows of the study in `folder`.

    Raises
    ------
    BadInput
        No study there, or none of its rounds is done yet.
    StoreDamaged
        A file is torn or flipped.
    """
    with Workspace.open(folder, "study", read_only=True) as workspace:
        held = workspace.first().body
        spec = StudySpec.model_validate(held["spec"])
        encoded: dict[str, dict[str, Any]] = {}
        scored: dict[str, list[Event]] = defaultdict(list)
        exhausted: set[str] = set()
        seconds = 0.0
        for event in workspace.events():
            if event.kind == "encoded":
                encoded[event.body["experiment"]] = event.body
            elif event.kind == "scored":
                scored[event.run].append(event)
            elif event.kind == "session":
                seconds += event.body["seconds"]
            elif event.kind == "picked" and event.body["exhausted"]:
                exhausted.add(event.run)
    if not scored:
        raise BadInput(f"{folder} has no finished round yet", "run the study first")
    curves, complete = [], True
    for experiment in spec.experiments:
        for strategy in experiment.strategies:
            for seed in experiment.seeds:
                name = run_name(experiment, strategy, seed)
                events = scored.get(name, [])
                whole = bool(events) and (
                    events[-1].body["round"] >= experiment.rounds or name in exhausted
                )
                complete &= whole
                if events:
                    curves.append(_curve(experiment.title, strategy.title, seed, events, whole))
    experiments = tuple(
        _experiment(e.title, e.dataset, e.learner, e.metric, encoded[e.title])
        for e in spec.experiments
        if e.title in encoded
    )
    return Results(
        title=spec.title,
        spec=spec.as_yaml(),
        versions=held["versions"],
        experiments=experiments,
        curves=tuple(curves),
        baseline=spec.baseline,
        seconds_total=seconds,
        complete=complete,
    )


def _grew(events: list[Event], i: int) -> bool:
    return bool(events[i].body["labels"] > events[i - 1].body["labels"])


def _curve(experiment: str, strategy: str, seed: int, events: list[Event], whole: bool) -> Curve:
    # A strategy may stop early; a round that added no label is no new point of the curve.
    bodies = [e.body for i, e in enumerate(events) if i == 0 or _grew(events, i)]

    def column(part: str, name: str) -> np.ndarray:
        return np.array([np.nan if (v := b[part].get(name)) is None else v for b in bodies], float)

    return Curve(
        experiment=experiment,
        strategy=strategy,
        seed=seed,
        labels=np.array([b["labels"] for b in bodies], dtype=np.int64),
        scores={name: column("scores", name) for name in bodies[0]["scores"]},
        recall=np.array(
            [[np.nan if v is None else v for v in b["recall"]] for b in bodies], dtype=float
        ),
        seconds={name: column("seconds", name) for name in bodies[0]["seconds"]},
        complete=whole,
    )


def _experiment(
    title: str, dataset: str, learner: str, metric: str, body: dict[str, Any]
) -> Experiment:
    facts = {k: str(v) for k, v in body["facts"].items()}
    facts["feature dimension"] = str(body["dimension"])
    return Experiment(
        name=title,
        dataset=dataset,
        encoder=body["encoder"],
        learner=learner,
        classes=tuple(body["classes"]),
        test_counts=np.array(body["test_counts"], dtype=np.int64),
        pool_size=body["pool_size"],
        test_size=body["test_size"],
        redrawn=body["redrawn"],
        metric=metric,
        seconds_encode=0.0 if body["from_cache"] else body["seconds"],
        facts=facts,
    )
