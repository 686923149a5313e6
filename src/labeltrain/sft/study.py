"""A study of designs: the same pool, answers revealed for chosen prompts only, seed by seed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.sft.cell_workers import trained_by
from labeltrain.sft.cells import (
    Cell,
    Finished,
    alone_cell,
    alone_key,
    trained_cell,
    untuned_cell,
)
from labeltrain.sft.evaluation import TestItem
from labeltrain.sft.material import (
    Material,
    candidates_of_seed,
    prepared,
    read_data,
    refuse_missing_target,
)
from labeltrain.sft.pipeline import Shown, Silent
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.study_spec import ALONE, UNTUNED, DesignSpec, SFTStudySpec, StageSpec
from labeltrain.sft.tuning import refuse_overlap
from labeltrain.sft.workspace import PromptWorkspace

TRAINED = 3.0  # times the work of an example that is evaluated


def run_study(
    spec: SFTStudySpec, folder: Path, bar: Shown | None = None, *, workers: int = 1
) -> int:
    """Run what is left of a study; return how many models were trained.

    Parameters
    ----------
    spec : SFTStudySpec
    folder : Path
    bar : Shown, optional
    workers : int
        Processes that train models side by side, each with its part of the cores. The results are
        the same; each holds a model.

    Raises
    ------
    BadInput
        The folder holds another study.
    """
    bar = bar or Silent()
    file, items = read_data(spec)
    if spec.subpool is not None and spec.subpool > len(file.prompts):
        raise BadInput(f"subpool={spec.subpool} of {len(file.prompts)} prompts", "give fewer")
    for stage in spec.stages:
        _refuse_too_small(spec, stage, file.prompts, items)
    told = spec.model_dump(mode="json")
    if PromptWorkspace.exists(folder):
        workspace = PromptWorkspace.open(folder)
        held = spec_of(workspace)
        if held is None or _fixed(held) != _fixed(told):
            workspace.close()
            raise BadInput(
                f"{folder} holds another study, or another version of this one: only its stages "
                "and title may change",
                "give another --workspace; results of two specs are not mixed",
            )
        if held != told:
            workspace.append("study spec", {"spec": told})
    else:
        workspace = PromptWorkspace.create(folder, file, spec.title)
        workspace.append("study spec", {"spec": told})
    with workspace:
        refuse_overlap(workspace, items, "the held-out prompts")
        material = prepared(workspace, spec, file, items, bar)
        trained = 0
        if not any(e.body["design"] == UNTUNED for e in workspace.events("cell")):
            _commit(workspace, untuned_cell(spec, material))
        for stage in spec.stages:
            trained += _examples_alone(workspace, spec, material, stage, bar)
            cells = _left(workspace, spec, stage)
            done = _side_by_side if workers > 1 and len(cells) > 1 else _one_by_one
            for finished in done(spec, material, stage, cells, workers, bar):
                _commit(workspace, finished)
                trained += 1
    return trained


def _refuse_too_small(
    spec: SFTStudySpec, stage: StageSpec, prompts: Sequence[Prompt], items: Sequence[TestItem]
) -> None:
    """Raise where a stage asks for more than the pool of some seed has."""
    target = stage.target
    if target is not None:
        refuse_missing_target(target, prompts, items)
    size = min(len(candidates_of_seed(spec, target, prompts, seed)) for seed in stage.seeds)
    if stage.budgets[-1] > size:
        raise BadInput(
            f"a budget of {stage.budgets[-1]} answers, and the pool has {size} prompts"
            + ("" if target is None else f" beside those of {target.task}"),
            "give smaller budgets, or a larger pool",
        )


def _examples_alone(
    workspace: PromptWorkspace, spec: SFTStudySpec, material: Material, stage: StageSpec, bar: Shown
) -> int:
    """Train on the target's examples and on nothing else, seed by seed; return how often."""
    target = stage.target
    if target is None or not target.learn:
        return 0
    done = cells_of(workspace)
    left = [seed for seed in stage.seeds if alone_key(target, seed) not in done]
    for number, seed in enumerate(left, start=1):
        bar.stage(f"{stage.name}, {ALONE}, {number} of {len(left)}: seed {seed}", 1.0)
        _commit(workspace, alone_cell(spec, material, target, seed))
    return len(left)


def _fixed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the results of a cell depend on."""
    return {key: value for key, value in spec.items() if key not in ("stages", "title")}


def designs_of(
    workspace: PromptWorkspace, spec: SFTStudySpec, stage: StageSpec
) -> list[DesignSpec]:
    """Return the designs of a stage, the best of an earlier one among them.

    Best are those with the best mean of the main metric over seeds, at the largest budget of that
    stage; those that the stage has anyway are not counted.
    """
    found = list(stage.designs)
    if not stage.best:
        return found
    earlier = next(s for s in spec.stages if s.name == stage.of)
    results = cells_of(workspace)
    means = []
    for place, one in enumerate(earlier.designs):
        values = [
            results[Cell(one, earlier.budgets[-1], seed, earlier.target).key]["macro"][
                spec.evaluate.main
            ]
            for seed in earlier.seeds
            if Cell(one, earlier.budgets[-1], seed, earlier.target).key in results
        ]
        if len(values) == len(earlier.seeds) and not any(one.same(other) for other in found):
            mean = float(np.mean(values))
            means.append((mean if spec.low_is_good else -mean, place))
    return found + [earlier.designs[place] for _, place in sorted(means)[: stage.best]]


def cells_of(workspace: PromptWorkspace) -> dict[str, dict[str, Any]]:
    """Return what the ledger says of every cell, by key."""
    return {event.body["key"]: event.body for event in workspace.events("cell")}


def _cells(spec: SFTStudySpec, stage: StageSpec, designs: Sequence[DesignSpec]) -> list[Cell]:
    """Return the cells of a stage; seeds are outermost, so that a part of them is paired."""
    return [
        Cell(one, budget, seed, stage.target)
        for seed in stage.seeds
        for budget in stage.budgets
        for one in designs
    ]


def _left(workspace: PromptWorkspace, spec: SFTStudySpec, stage: StageSpec) -> list[Cell]:
    done = cells_of(workspace)
    cells = _cells(spec, stage, designs_of(workspace, spec, stage))
    return [cell for cell in cells if cell.key not in done]


def _one_by_one(
    spec: SFTStudySpec,
    material: Material,
    stage: StageSpec,
    cells: Sequence[Cell],
    workers: int,
    bar: Shown,
) -> Iterator[Finished]:
    for number, cell in enumerate(cells, start=1):
        bar.stage(
            f"{stage.name}, {number} of {len(cells)}: {cell.design.title}, {cell.budget} answers, "
            f"seed {cell.seed}",
            1.0,
        )
        yield trained_cell(spec, material, cell, bar.advance_to)


def _side_by_side(
    spec: SFTStudySpec,
    material: Material,
    stage: StageSpec,
    cells: Sequence[Cell],
    workers: int,
    bar: Shown,
) -> Iterator[Finished]:
    epochs, items = spec.training(0).epochs, len(material.items)
    sizes = {cell.key: TRAINED * epochs * cell.budget + items for cell in cells}
    bar.stage(f"{stage.name}: {len(cells)} trainings", sum(sizes.values()))
    done = 0.0
    bar.advance_to(done)
    for finished in trained_by(spec, material, cells, workers):
        yield finished
        done += sizes[finished.body["key"]]
        bar.advance_to(done)


def _commit(workspace: PromptWorkspace, finished: Finished) -> None:
    found = finished.evaluation
    kept = {name: v for name, v in found.values.items() if np.isfinite(v).any()}
    name = workspace.store.save_arrays(
        {**kept, **finished.arrays}, {"ids": list(found.ids), "tasks": list(found.tasks)}
    )
    workspace.append(
        "cell",
        {
            **finished.body,
            "arrays": name,
            "macro": {metric: found.macro(metric) for metric in kept},
            "by_task": {
                metric: {
                    row["task"]: row["mean"]
                    for row in found.table()
                    if row["metric"] == metric and row["task"] != "mean of tasks"
                }
                for metric in kept
            },
            "evaluate_seconds": found.seconds,
            "when": time.time(),
        },
    )


def spec_of(workspace: PromptWorkspace) -> dict[str, Any] | None:
    """Return the spec of a study that a workspace holds; None where it holds a pool only."""
    found = None
    for event in workspace.events("study spec"):
        found = event.body["spec"]
    return found
