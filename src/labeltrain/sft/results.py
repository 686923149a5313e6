"""The results of a study of designs, as reports read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labeltrain.errors import BadInput
from labeltrain.metrics.curves import Curve, Experiment, Results
from labeltrain.sft.cells import Cell, alone_key
from labeltrain.sft.study import cells_of, designs_of, spec_of
from labeltrain.sft.study_spec import UNTUNED, SFTStudySpec, StageSpec, parsed_spec
from labeltrain.sft.workspace import PromptWorkspace

LIKELIHOOD = "answer_likelihood"  # exp(-nll), the mean over tokens and tasks: rises, unlike nll


def read_results(folder: Path) -> Results:
    """Return the curves of a study: an experiment for each stage with several budgets.

    Raises
    ------
    BadInput
        The workspace holds no study.
    """
    with PromptWorkspace.open(folder, read_only=True) as workspace:
        body = spec_of(workspace)
        if body is None:
            raise BadInput(
                f"{folder} holds prompts and no study", "labeltrain sft report is for those"
            )
        spec = parsed_spec(body)
        cells = cells_of(workspace)
        prepared = next((e.body for e in workspace.events("prepared")), {})
        stages = [s for s in spec.stages if len(s.budgets) > 1] or list(spec.stages)
        embedding = sum(float(e.body["seconds"]) for e in workspace.events("embedded"))
        experiments, curves = [], []
        for stage in stages:
            experiments.append(
                _experiment(spec, stage, len(workspace.prompts), prepared, cells, embedding)
            )
            curves += _curves(workspace, spec, stage, cells)
        seconds = sum(
            c["train"]["seconds"] + c["evaluate_seconds"] + c["select_seconds"]
            for c in cells.values()
            if "train" in c
        )
        left = any(
            Cell(one, budget, seed, stage.target).key not in cells
            for stage in spec.stages
            for one in designs_of(workspace, spec, stage)
            for budget in stage.budgets
            for seed in stage.seeds
        )
        return Results(
            spec.title,
            yaml.safe_dump(body, sort_keys=False),
            {},
            tuple(experiments),
            tuple(curves),
            seconds_total=seconds + float(prepared.get("score_seconds", 0.0)),
            complete=not left,
        )


def scores_of(macro: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of a cell, and the likelihood beside the nll."""
    found = dict(macro)
    if "nll" in found:
        found = {LIKELIHOOD: float(np.exp(-found["nll"])), **found}
    return found


def main_score(spec: SFTStudySpec) -> str:
    """Return the score that designs are compared by: one that rises."""
    return LIKELIHOOD if spec.evaluate.main == "nll" else spec.evaluate.main


def _experiment(
    spec: SFTStudySpec,
    stage: StageSpec,
    prompts: int,
    prepared: Mapping[str, Any],
    cells: Mapping[str, Mapping[str, Any]],
    embedding: float,
) -> Experiment:
    facts = {}
    target = stage.target
    data = ", ".join(spec.pool.tasks) or str(spec.pool.file)
    if UNTUNED in cells:
        one = cells[UNTUNED]
        macro = one["macro"] if target is None else {
            metric: values[target.task]
            for metric, values in one["by_task"].items()
            if target.task in values
        }  # fmt: skip
        facts["untuned model"] = _told(macro)
    if target is not None:
        learned = "learned from by all designs" if target.learn else "not learned from"
        facts["target"] = f"{target.task}, {target.examples} examples, {learned}"
        keys = [alone_key(target, seed) for seed in stage.seeds]
        alone = [cells[key]["macro"] for key in keys if key in cells]
        if alone:
            means = {k: float(np.mean([macro[k] for macro in alone])) for k in alone[0]}
            facts["examples alone"] = f"{_told(means)} (mean of {len(alone)} seeds)"
    if prepared:
        facts["scoring"] = (
            f"{prepared['score_seconds']:.0f} s, {prepared['score_flops'] / 1e12:.0f} TFLOP; "
            f"{prepared['truncated']:.0%} of the model's answers not finished"
        )
    items = next((len(c["by_task"].get("nll", {})) for c in cells.values()), 0)
    items = items if target is None else 1
    return Experiment(
        stage.name,
        data if target is None else f"{data}; scored on {target.task}",
        spec.embeddings,
        f"{spec.model}, {spec.training(0).tune}",
        (),
        np.zeros(0, dtype=np.int64),
        spec.subpool or prompts,
        spec.pool.test * max(items, 1),
        shared_test=spec.subpool is not None,
        metric=main_score(spec),
        seconds_encode=float(prepared.get("score_seconds", 0.0)) + embedding,
        facts=facts,
    )


def _told(macro: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scores_of(macro).items())


def _curves(
    workspace: PromptWorkspace,
    spec: SFTStudySpec,
    stage: StageSpec,
    cells: Mapping[str, Mapping[str, Any]],
) -> list[Curve]:
    curves = []
    for one in designs_of(workspace, spec, stage):
        for seed in stage.seeds:
            found = [
                (budget, cells[key])
                for budget in stage.budgets
                if (key := Cell(one, budget, seed, stage.target).key) in cells
            ]
            if not found:
                continue
            scores: dict[str, list[float]] = defaultdict(list)
            for _, body in found:
                for metric, value in scores_of(body["macro"]).items():
                    scores[metric].append(value)
            curves.append(
                Curve(
                    stage.name,
                    one.title,
                    seed,
                    np.array([budget for budget, _ in found], dtype=np.int64),
                    {metric: np.array(values) for metric, values in scores.items()},
                    np.zeros((len(found), 0)),
                    {
                        "train": np.array([b["train"]["seconds"] for _, b in found]),
                        "select": np.array([b["select_seconds"] for _, b in found]),
                        "evaluate": np.array([b["evaluate_seconds"] for _, b in found]),
                    },
                    complete=len(found) == len(stage.budgets),
                )
            )
    return curves
