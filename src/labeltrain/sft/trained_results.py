"""Curves of the models that were trained in a workspace, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.metrics.curves import Curve, Experiment, Results
from labeltrain.sft.choosing import choices
from labeltrain.sft.evaluation import METRICS
from labeltrain.sft.results import LIKELIHOOD, scores_of
from labeltrain.sft.tuning import BASE, tuned_models
from labeltrain.sft.workspace import PromptWorkspace

NO_CHOICE = "all answers"
Bodies = tuple[dict[str, Any], dict[str, Any]]  # of a training, and of its evaluation


def trained_results(workspace: PromptWorkspace) -> Results | None:
    """Return curves over the numbers of answers that models were trained on.

    An experiment for each file of held-out prompts; a curve for each design and training seed,
    compared with `random` where that was trained, too. Of the same design, number of answers and
    seed the latest model counts.

    Returns
    -------
    Results or None
        None where no design was evaluated at two numbers of answers.
    """
    files = _evaluated(workspace)
    experiments, curves = [], []
    for name, (rows, facts) in files.items():
        if not any(len(points) > 1 for points in rows.values()):
            continue
        metrics = [m for m in METRICS if all(_has(p, m) for r in rows.values() for p in r.values())]
        if not metrics:
            continue
        metric = LIKELIHOOD if metrics[0] == "nll" else metrics[0]
        points = [point for of in rows.values() for point in of.values()]
        experiments.append(
            Experiment(
                name, name, "", ", ".join(sorted({t["settings"]["model"] for t, _ in points})),
                (), np.zeros(0, dtype=np.int64), len(workspace.prompts), points[0][1]["items"],
                metric=metric, facts=facts,
            )
        )  # fmt: skip
        curves += [_curve(name, label, seed, of, metrics) for (label, seed), of in rows.items()]
    if not curves:
        return None
    seconds = sum(float(one.body["seconds"]) for one in tuned_models(workspace).values())
    title = f"Models trained in {workspace.folder}"
    return Results(title, "", {}, tuple(experiments), tuple(curves), seconds_total=seconds)


def _evaluated(
    workspace: PromptWorkspace,
) -> dict[str, tuple[dict[tuple[str, int], dict[int, Bodies]], dict[str, str]]]:
    """Return, by test file, the latest training and evaluation of each design, seed and number."""
    known, models = choices(workspace), tuned_models(workspace)
    told = _labels({one.name: _facts(one.body, known) for one in models.values()})
    names: dict[str, str] = {}  # of the files, by checksum
    files: dict[str, tuple[dict[tuple[str, int], dict[int, Bodies]], dict[str, str]]] = {}
    for event in workspace.events("evaluated"):
        body = event.body
        name = names.setdefault(body["test"], _name(Path(body["file"]).stem, names))
        rows, facts = files.setdefault(name, ({}, {}))
        if body["model"] == BASE:
            base = scores_of({m: v for m, v in body["macro"].items() if v is not None})
            facts["untuned model"] = ", ".join(f"{k} {v:.3f}" for k, v in base.items())
            continue
        trained = models[body["model"]].body
        of = rows.setdefault((told[body["model"]], int(trained["settings"]["seed"])), {})
        of[int(trained["labels"])] = (trained, body)
    return files


def _facts(trained: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return all that makes a curve another one, the design first."""
    choice = known.get(trained["choice"] or "", {})
    found = {"method": choice.get("method", NO_CHOICE), "embeddings": choice.get("embeddings")}
    found |= {k: v for k, v in choice.get("parameters", {}).items() if k != "neighbours"}
    found |= {k: v for k, v in trained["settings"].items() if k != "seed"}
    return {name: "" if value is None else str(value) for name, value in found.items()}


def _labels(facts: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return a label for each model: its design, and what others of that design do otherwise."""
    found = {}
    for name, mine in facts.items():
        others = [f for f in facts.values() if f["method"] == mine["method"]]
        differ = [
            key for key in mine
            if key != "method" and len({other.get(key, "") for other in others}) > 1
        ]  # fmt: skip
        told = ", ".join(mine[k] if k == "embeddings" else f"{k}={mine[k]}" for k in differ)
        found[name] = f"{mine['method']} ({told})" if told else mine["method"]
    return found


def _name(stem: str, taken: dict[str, str]) -> str:
    used = set(taken.values())
    names = [stem, *(f"{stem} {i}" for i in range(2, len(used) + 3))]
    return next(name for name in names if name not in used)


def _has(point: Bodies, metric: str) -> bool:
    return point[1]["macro"].get(metric) is not None


def _curve(
    experiment: str, label: str, seed: int, points: dict[int, Bodies], metrics: list[str]
) -> Curve:
    ordered = [points[labels] for labels in sorted(points)]
    told = [scores_of({m: float(body["macro"][m]) for m in metrics}) for _, body in ordered]
    return Curve(
        experiment,
        label,
        seed,
        np.array(sorted(points), dtype=np.int64),
        {metric: np.array([row[metric] for row in told]) for metric in told[0]},
        np.zeros((len(ordered), 0)),
        {
            "train": np.array([float(t["seconds"]) for t, _ in ordered]),
            "evaluate": np.array([float(e["seconds"]) for _, e in ordered]),
        },
    )
