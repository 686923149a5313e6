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
    trouble: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for experiment in spec.experiments:
        for strategy in experiment.strategies:
            own = []
            for seed in experiment.seeds:
                run = runs[run_name(experiment, strategy, seed)]
                whole = run.whole(experiment)
                complete &= whole
                trouble[experiment.title] += [e.body.get("facts", {}) for e in run.scored]
                trouble[experiment.final_title] += [e.body.get("facts", {}) for e in run.finals]
                if run.scored:
                    curves.append(_curve(experiment.title, strategy.title, seed, run.scored, whole))
                if run.finals:
                    name = experiment.final_title
                    last.append(_curve(name, strategy.title, seed, run.finals, whole))
                    own.append(run)
            if own:
                costs.append(ledger(experiment, strategy.title, own, encoded[experiment.title]))
    finals = [
        _experiment(e.final_title, e.dataset, e.final.learner, _final_metric(e), encoded[e.title])
        for e in spec.experiments
        if e.final is not None and any(c.experiment == e.final_title for c in last)
    ]
    for one in (*experiments, *finals):
        if words := _diverged(trouble[one.name]):
            one.facts["diverged"] = words
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
        clock=spec.clock,
    )


def _diverged(trainings: list[dict[str, Any]]) -> str:
    """Say how many trainings of networks went back to an earlier state; nothing if none did."""
    back = sum(bool(facts.get("rollbacks")) for facts in trainings)
    stopped = sum(facts.get("stopped") is not None for facts in trainings)
    if not back:
        return ""
    more = f", {stopped} of them stopped early" if stopped else ""
    return f"{back} of {len(trainings)} trainings, and went on from an earlier state{more}"


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
    alone = 0.0
    for run in runs:
        end = run.finals[-1].body
        # What another strategy's run had made already, such as a graph, is paid once by each.
        fits = (event.body for event in run.scored if event.body["examples"])
        seconds["proxy"] += _prepared(next(fits, {}))
        for event in run.scored:
            if event.body["round"] <= end["round"]:
                spent = event.body["seconds"]
                seconds["proxy"] += spent["train"]
                seconds["select"] += spent["select"]
                seconds["evaluate"] += spent["evaluate"]
                examples["proxy"] += event.body["examples"]
                for step, items in event.body.get("predicted", {}).items():
                    examples[step] += items
        for event in run.finals[:-1]:
            if event.body["features"] is not None:
                spent = event.body["seconds"]
                seconds["refresh"] += spent["final"] + spent["encode"]
                seconds["proxy"] += spent["train"]
                examples["refresh"] += event.body["examples"] + _items(encoded)
        seconds["final"] += end["seconds"]["final"]
        alone += end["seconds"]["final"] + _prepared(end)
        # What earlier trainings had made already, of this or another strategy, is paid once.
        counted = [event.body for event in run.finals[:-1] if event.body["features"] is not None]
        seconds["refresh" if counted else "final"] += _prepared(counted[0] if counted else end)
        seconds["evaluate"] += end["seconds"]["evaluate"]
        examples["final"] += end["examples"]
        examples["evaluate"] += sum(end.get("predicted", {}).values())
    seconds = {step: value / len(runs) for step, value in seconds.items()}
    examples = {step: value / len(runs) for step, value in examples.items()}
    _book_encoding(seconds, examples, encoded, experiment.views.count)
    fresh = [_fresh(encoded), *encoded.get("fresh_views", ())]
    cache = "filled" if max(fresh) <= 0 else "empty" if min(fresh) >= 1 else "partly filled"
    always = encoded.get("seconds_always", 0.0) * encoded["pool_size"] / _items(encoded)
    return CostLedger(
        experiment.final_title, strategy, experiment.final.learner if experiment.final else "",
        labels, len(runs), seconds, examples, cache, always, alone / len(runs),
    )  # fmt: skip


def _prepared(body: dict[str, Any]) -> float:
    """Return the seconds that earlier trainings had spent on what a training used."""
    return float(body.get("prepared", 0.0))


def _book_encoding(
    seconds: dict[str, float], examples: dict[str, float], encoded: dict[str, Any], count: int
) -> None:
    """Add what encoding took: of test items only scores need features, and they need no views."""
    share = encoded["pool_size"] / _items(encoded)
    views = encoded.get("seconds_views", 0.0)
    own = share if encoded["redrawn"] else 1.0  # with a split of its own, views are of the pool
    alone = encoded["seconds"] - views
    if max(_fresh(encoded), *encoded.get("fresh_views", ()), 0.0) <= 0.0:  # reading is not encoding
        alone, views = encoded.get("seconds_always", 0.0), 0.0
    seconds["encode"] += alone * share + views * own
    seconds["evaluate"] += alone * (1.0 - share) + views * (1.0 - own)
    more = count * sum(encoded.get("fresh_views", ()))
    examples["encode"] += encoded["pool_size"] * (_fresh(encoded) + more)
    examples["evaluate"] += encoded["test_size"] * (
        _fresh(encoded) + (more if encoded["redrawn"] else 0.0)
    )


def _fresh(encoded: dict[str, Any]) -> float:
    """Return the share of the items that had to be encoded; older studies know all or nothing."""
    return float(encoded.get("fresh", 0.0 if encoded["from_cache"] else 1.0))


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
        found=np.array([b["found"] for b in bodies], float) if "found" in bodies[0] else None,
        groups=np.array([b["groups"] for b in bodies]) if "groups" in bodies[0] else None,
        examples=np.array([b["examples"] for b in bodies]) if "examples" in bodies[0] else None,
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
