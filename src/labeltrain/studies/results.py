"""Read a study back from its workspace, finished or not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics import BOOKED, CostLedger, Curve, Experiment, Results
from labeltrain.store import Event, Workspace
from labeltrain.studies.prepare import is_finished, run_name
from labeltrain.studies.spec import ExperimentSpec, StudySpec


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
        runs: dict[str, _Run] = defaultdict(_Run)
        seconds = 0.0
        for event in workspace.events():
            if event.kind == "encoded":
                encoded[event.body["experiment"]] = event.body
            elif event.kind == "scored":
                runs[event.run].scored.append(event)
            elif event.kind == "final":
                runs[event.run].finals.append(event)
            elif event.kind == "session":
                seconds += event.body["seconds"]
            elif event.kind == "picked":
                runs[event.run].exhausted |= bool(event.body["exhausted"])
    if not any(run.scored for run in runs.values()):
        raise BadInput(f"{folder} has no finished round yet", "run the study first")
    curves, last, complete = [], [], True
    experiments = [
        _experiment(e.title, e.dataset, e.learner, e.metric, encoded[e.title])
        for e in spec.experiments
        if e.title in encoded
    ]
    costs: list[CostLedger] = []
    for experiment in spec.experiments:
        for strategy in experiment.strategies:
            own = []
            for seed in experiment.seeds:
                run = runs[run_name(experiment, strategy, seed)]
                whole = run.whole(experiment)
                complete &= whole
                if run.scored:
                    curves.append(_curve(experiment.title, strategy.title, seed, run.scored, whole))
                if run.finals:
                    name = final_title(experiment)
                    last.append(_curve(name, strategy.title, seed, run.finals, whole))
                    own.append(run)
            if own:
                costs.append(ledger(experiment, strategy.title, own, encoded[experiment.title]))
    finals = [
        _experiment(final_title(e), e.dataset, e.final.learner, _final_metric(e), encoded[e.title])
        for e in spec.experiments
        if e.final is not None and any(c.experiment == final_title(e) for c in last)
    ]
    return Results(
        title=spec.title,
        spec=spec.as_yaml(),
        versions=held["versions"],
        experiments=(*experiments, *finals),
        curves=(*curves, *last),
        baseline=spec.baseline,
        seconds_total=seconds,
        complete=complete,
        costs=tuple(costs),
    )


def final_title(experiment: ExperimentSpec) -> str:
    """Return under which name the expensive learner of an experiment is reported."""
    name = experiment.final.learner if experiment.final else ""
    return f"{experiment.title}, final {name}"


def _final_metric(experiment: ExperimentSpec) -> str:
    # The expensive learner does not predict the whole pool, only the test.
    return "accuracy" if experiment.metric == "pool_accuracy" else experiment.metric


@dataclass
class _Run:
    """The events of one trajectory that a report reads."""

    scored: list[Event] = field(default_factory=list)
    finals: list[Event] = field(default_factory=list)
    exhausted: bool = False

    def whole(self, experiment: ExperimentSpec) -> bool:
        """Tell whether the trajectory ran to its end."""
        done = [budget for event in self.finals for budget in event.body["budgets"]]
        last = self.scored[-1].body if self.scored else None
        return is_finished(experiment, last, self.exhausted, done)


def ledger(
    experiment: ExperimentSpec, strategy: str, runs: list[_Run], encoded: dict[str, Any]
) -> CostLedger:
    """Book the costs of trajectories up to the last training of their expensive learner.

    While a study is unfinished, those that are not as far as the others are left out.
    """
    labels = max(int(run.finals[-1].body["labels"]) for run in runs)
    runs = [run for run in runs if run.finals[-1].body["labels"] == labels]
    seconds: dict[str, float] = dict.fromkeys(BOOKED, 0.0)
    examples: dict[str, float] = dict.fromkeys(BOOKED, 0.0)
    for run in runs:
        end = run.finals[-1].body
        for event in run.scored:
            if event.body["round"] <= end["round"]:
                spent = event.body["seconds"]
                seconds["proxy"] += spent["train"]
                seconds["select"] += spent["select"]
                seconds["evaluate"] += spent["evaluate"]
                examples["proxy"] += event.body["examples"]
        for event in run.finals[:-1]:
            if event.body["features"] is not None:
                spent = event.body["seconds"]
                seconds["refresh"] += spent["final"] + spent["encode"]
                seconds["proxy"] += spent["train"]
                examples["refresh"] += event.body["examples"] + _items(encoded)
        seconds["final"] += end["seconds"]["final"]
        seconds["evaluate"] += end["seconds"]["evaluate"]
        examples["final"] += end["examples"]
    seconds = {step: value / len(runs) for step, value in seconds.items()}
    examples = {step: value / len(runs) for step, value in examples.items()}
    fresh = not encoded["from_cache"]
    if fresh:  # of test items only scores need features
        share = encoded["pool_size"] / _items(encoded)
        seconds["encode"] = encoded["seconds"] * share
        seconds["evaluate"] += encoded["seconds"] * (1.0 - share)
        views = 1 + 2 * experiment.views.count
        examples["encode"] = encoded["pool_size"] * views
        examples["evaluate"] = encoded["test_size"] * views
    return CostLedger(
        final_title(experiment), strategy, experiment.final.learner if experiment.final else "",
        labels, len(runs), seconds, examples, fresh,
    )  # fmt: skip


def _items(encoded: dict[str, Any]) -> float:
    return float(encoded["pool_size"] + encoded["test_size"])


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
