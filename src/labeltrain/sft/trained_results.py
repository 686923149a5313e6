"""Curves of the models that were trained in a workspace, one by one."""

from __future__ import annotations

from collections import defaultdict
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
    of_method: dict[str, set[str]] = defaultdict(set)
    for body in known.values():
        of_method[body["method"]].add(str(body["embeddings"] or ""))
    names: dict[str, str] = {}  # of the files, by checksum
    files: dict[str, tuple[dict[tuple[str, int], dict[int, Bodies]], dict[str, str]]] = {}
    for event in workspace.events("evaluated"):
        body = event.body
        name = names.setdefault(body["test"], _name(Path(body["file"]).stem, names))
        rows, facts = files.setdefault(name, ({}, {}))
        if body["model"] == BASE:
            told = scores_of({m: v for m, v in body["macro"].items() if v is not None})
            facts["untuned model"] = ", ".join(f"{k} {v:.3f}" for k, v in told.items())
            continue
        trained = models[body["model"]].body
        choice = known.get(trained["choice"] or "")
        label = NO_CHOICE if choice is None else choice["method"]
        if choice is not None and len(of_method[label]) > 1 and choice["embeddings"]:
            label = f"{label} ({choice['embeddings']})"
        of = rows.setdefault((label, int(trained["settings"]["seed"])), {})
        of[int(trained["labels"])] = (trained, body)
    return files


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
