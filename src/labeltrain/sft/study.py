"""A study of designs: the same pool, answers revealed for chosen prompts only, seed by seed."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.rng import stream
from labeltrain.sft import models
from labeltrain.sft.designs import design, made, needs_embeddings, needs_scores
from labeltrain.sft.evaluation import Evaluation, TestItem, evaluate
from labeltrain.sft.material import (
    Material,
    prepared,
    read_data,
    repeats_part,
    scored_part,
    subpool,
)
from labeltrain.sft.pipeline import Shown, Silent
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.selection import Question, choose
from labeltrain.sft.study_spec import DesignSpec, SFTStudySpec, StageSpec
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.training import train
from labeltrain.sft.tuning import refuse_overlap
from labeltrain.sft.workspace import PromptWorkspace

UNTUNED = "untuned"


@dataclass(frozen=True)
class Cell:
    """One training: a design, a budget, a seed."""

    design: DesignSpec
    budget: int
    seed: int

    @property
    def key(self) -> str:
        """A name of all that its result depends on beside the study."""
        design = self.design.model_dump(exclude={"label"})
        if self.design.answers == "true":
            del design["answers"]
        text = json.dumps([design, self.budget, self.seed])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_study(spec: SFTStudySpec, folder: Path, bar: Shown | None = None) -> int:
    """Run what is left of a study; return how many models were trained.

    Raises
    ------
    BadInput
        The folder holds another study.
    """
    bar = bar or Silent()
    file, items = read_data(spec)
    size = spec.subpool or len(file.prompts)
    if spec.largest > size:
        raise BadInput(
            f"a budget of {spec.largest} answers, and the pool has {size} prompts",
            "give smaller budgets, or a larger pool",
        )
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
        answers = {p.id: a for p, a in zip(file.prompts, file.answers, strict=True) if a}
        material = prepared(workspace, spec, answers, items, bar)
        trained = 0
        if not any(e.body["design"] == UNTUNED for e in workspace.events("cell")):
            _untuned(material, spec)
        for stage in spec.stages:
            for cell in _left(workspace, spec, stage):
                total = len(_cells(spec, stage, designs_of(workspace, spec, stage)))
                bar.stage(
                    f"{stage.name}: {cell.design.title}, {cell.budget} answers, seed {cell.seed} "
                    f"({total} in all)",
                    1.0,
                )
                _train_cell(material, spec, cell, bar)
                trained += 1
    return trained


def _fixed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the results of a cell depend on."""
    return {key: value for key, value in spec.items() if key not in ("stages", "title")}


def designs_of(
    workspace: PromptWorkspace, spec: SFTStudySpec, stage: StageSpec
) -> list[DesignSpec]:
    """Return the designs of a stage, the best of an earlier one among them.

    Best are those with the best mean of the main metric over seeds, at the largest budget of that
    stage; designs that are named anyway are not counted.
    """
    found = list(stage.designs)
    if not stage.best:
        return found
    earlier = next(s for s in spec.stages if s.name == stage.of)
    results = cells_of(workspace)
    means = []
    for place, one in enumerate(earlier.designs):
        values = [
            results[Cell(one, earlier.budgets[-1], seed).key]["macro"][spec.evaluate.main]
            for seed in earlier.seeds
            if Cell(one, earlier.budgets[-1], seed).key in results
        ]
        if len(values) == len(earlier.seeds) and one.name not in {d.name for d in found}:
            mean = float(np.mean(values))
            means.append((mean if spec.low_is_good else -mean, place))
    return found + [earlier.designs[place] for _, place in sorted(means)[: stage.best]]


def cells_of(workspace: PromptWorkspace) -> dict[str, dict[str, Any]]:
    """Return what the ledger says of every cell, by key."""
    return {event.body["key"]: event.body for event in workspace.events("cell")}


def _cells(spec: SFTStudySpec, stage: StageSpec, designs: Sequence[DesignSpec]) -> list[Cell]:
    """Return the cells of a stage; seeds are outermost, so that a part of them is paired."""
    return [
        Cell(one, budget, seed)
        for seed in stage.seeds
        for budget in stage.budgets
        for one in designs
    ]


def _left(workspace: PromptWorkspace, spec: SFTStudySpec, stage: StageSpec) -> list[Cell]:
    done = cells_of(workspace)
    cells = _cells(spec, stage, designs_of(workspace, spec, stage))
    return [cell for cell in cells if cell.key not in done]


def picked_by(
    spec: SFTStudySpec, material: Material, cell: Cell
) -> tuple[np.ndarray, float, dict[str, Any]]:
    """Return the positions that a cell chooses, the seconds it took, and what it was."""
    rows = subpool(spec, len(material.workspace.prompts), cell.seed)
    source = cell.design.embeddings or spec.embeddings
    looked = material.looked[source]
    question = Question(
        cell.design.name,
        str(cell.budget),
        cell.design.parameters,
        cell.seed,
        gamma=material.gamma[source] if design(cell.design.name).width else None,
        reserve=0.0,
    )
    started = time.perf_counter()
    choice = choose(
        question,
        [material.workspace.prompts[i] for i in rows.tolist()],
        scored=scored_part(material.scored, rows),
        embeddings=replace(looked, array=looked.array[rows]),
        repeats=repeats_part(material.repeats, rows),
    )
    seconds = time.perf_counter() - started
    return rows[choice.positions], seconds, {"left_out": choice.left_out}


def shuffled_within(tasks: Sequence[str], answers: Sequence[str], seed: int) -> list[str]:
    """Return the answers, those of each task dealt out anew among its prompts.

    What is learned from them is the form that answers have, not what they say.
    """
    found = list(answers)
    rng = stream(seed, "shuffled answers")
    for task in dict.fromkeys(tasks):
        mine = [i for i, other in enumerate(tasks) if other == task]
        for i, j in zip(mine, rng.permutation(len(mine)).tolist(), strict=True):
            found[i] = answers[mine[j]]
    return found


def _train_cell(material: Material, spec: SFTStudySpec, cell: Cell, bar: Shown) -> None:
    workspace = material.workspace
    positions, select_seconds, facts = picked_by(spec, material, cell)
    prompts = [workspace.prompts[p] for p in positions.tolist()]
    answers = [material.answers[prompt.id] for prompt in prompts]
    if cell.design.answers == "shuffled":
        answers = shuffled_within([prompt.task for prompt in prompts], answers, cell.seed)
    pairs = [(p.messages, answer) for p, answer in zip(prompts, answers, strict=True)]
    done = train(spec.training(cell.seed), pairs, threads=spec.threads, progress=bar.advance_to)
    found = _evaluated(spec, done.held, material.items)
    tasks = Counter(prompt.task for prompt in prompts)
    strategy = made(cell.design.name, cell.design.parameters, None)
    source = cell.design.embeddings or spec.embeddings
    reads_embeddings = needs_embeddings(strategy)
    reads_scores = needs_scores(strategy) or (reads_embeddings and source in POOLINGS)
    body = {
        "key": cell.key,
        "design": cell.design.title,
        "method": cell.design.name,
        "embeddings": source if reads_embeddings else "",
        "scored": reads_scores,
        "budget": cell.budget,
        "seed": cell.seed,
        "tasks": dict(sorted(tasks.items())),
        "prompt_tokens": float(material.scored.prompt_tokens[positions].mean()),
        "truncated": float(material.scored.truncated[positions].mean()),
        "train": done.facts(),
        "select_seconds": select_seconds,
        **facts,
    }
    _commit(workspace, body, found, {"positions": positions})


def _untuned(material: Material, spec: SFTStudySpec) -> None:
    held = models.load(spec.model, dtype=spec.training(0).dtype, threads=spec.threads)
    found = _evaluated(spec, held, material.items)
    body = {"key": UNTUNED, "design": UNTUNED, "method": UNTUNED, "budget": 0, "seed": -1}
    _commit(material.workspace, body, found, {})


def _evaluated(
    spec: SFTStudySpec, held: models.LanguageModel, items: Sequence[TestItem]
) -> Evaluation:
    chat = ChatFormat(
        held.tokenizer,
        spec.train.get("chat_template"),
        max_prompt_tokens=spec.score.max_prompt_tokens,
    )
    return evaluate(
        held,
        chat,
        items,
        metrics=spec.evaluate.metrics,
        max_new_tokens=spec.evaluate.max_new_tokens,
        batch_tokens=spec.evaluate.batch_tokens,
    )


def _commit(
    workspace: PromptWorkspace,
    body: Mapping[str, Any],
    found: Evaluation,
    arrays: Mapping[str, np.ndarray],
) -> None:
    kept = {name: v for name, v in found.values.items() if np.isfinite(v).any()}
    name = workspace.store.save_arrays(
        {**kept, **arrays}, {"ids": list(found.ids), "tasks": list(found.tasks)}
    )
    workspace.append(
        "cell",
        {
            **body,
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
