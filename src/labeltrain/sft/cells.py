"""The cells of a study of designs: a choice, a training, an evaluation."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from labeltrain.rng import stream
from labeltrain.sft import models
from labeltrain.sft.designs import design, looks_at_embeddings, made, needs_scores
from labeltrain.sft.evaluation import Evaluation, TestItem, evaluate
from labeltrain.sft.material import Material, repeats_part, scored_part, subpool
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.selection import Question, choose
from labeltrain.sft.study_spec import UNTUNED, DesignSpec, SFTStudySpec
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.training import train


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
        for option, usual in (("answers", "true"), ("tasks", "named")):  # as older studies have it
            if design[option] == usual:
                del design[option]
        if self.design.answers == "shuffled":  # older studies shuffled across choices
            design["answers"] = "shuffled within choices"
        text = json.dumps([design, self.budget, self.seed])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Finished(NamedTuple):
    """What a cell found, as it is committed.

    Attributes
    ----------
    body : dict
    evaluation : Evaluation
    arrays : dict of str to ndarray
    """

    body: dict[str, Any]
    evaluation: Evaluation
    arrays: dict[str, np.ndarray]


def picked_by(
    spec: SFTStudySpec, material: Material, cell: Cell
) -> tuple[np.ndarray, float, dict[str, Any]]:
    """Return the positions that a cell chooses, the seconds it took, and what it was."""
    rows = subpool(spec, len(material.prompts), cell.seed)
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
    prompts = [material.prompts[i] for i in rows.tolist()]
    seen = _tasks_seen(cell, prompts)
    prompts = [replace(prompt, task=task) for prompt, task in zip(prompts, seen, strict=True)]
    started = time.perf_counter()
    choice = choose(
        question,
        prompts,
        scored=scored_part(material.scored, rows),
        embeddings=replace(looked, array=looked.array[rows]),
        repeats=repeats_part(material.repeats, rows),
    )
    seconds = time.perf_counter() - started
    return rows[choice.positions], seconds, {"left_out": choice.left_out}


def _tasks_seen(cell: Cell, prompts: Sequence[Prompt]) -> list[str]:
    """Return the tasks that the choice is told of."""
    return ["" if cell.design.tasks == "hidden" else prompt.task for prompt in prompts]


def shuffled_within(
    tasks: Sequence[str], answers: Sequence[str], choices: Sequence[Sequence[str]], seed: int
) -> list[str]:
    """Return the answers, those of each task dealt out anew among its prompts.

    What is learned from them is the form that answers have, not what they say. An answer that is
    none of the prompt's choices would not have that form: then it is one of them by chance.

    Parameters
    ----------
    tasks, answers : sequence of str
    choices : sequence of sequence of str
        Of each prompt; empty where the answer is free.
    seed : int
    """
    found = list(answers)
    rng = stream(seed, "shuffled answers")
    for task in dict.fromkeys(tasks):
        mine = [i for i, other in enumerate(tasks) if other == task]
        for i, j in zip(mine, rng.permutation(len(mine)).tolist(), strict=True):
            found[i] = answers[mine[j]]
    for i, own in enumerate(choices):
        if len(own) and found[i] not in own:
            found[i] = own[int(rng.integers(len(own)))]
    return found


def trained_cell(
    spec: SFTStudySpec,
    material: Material,
    cell: Cell,
    progress: Callable[[float, float], None] | None = None,
) -> Finished:
    """Choose, train and evaluate."""
    positions, select_seconds, facts = picked_by(spec, material, cell)
    prompts = [material.prompts[p] for p in positions.tolist()]
    answers = [material.answers[prompt.id] for prompt in prompts]
    if cell.design.answers == "shuffled":
        choices = [material.choices.get(prompt.id, ()) for prompt in prompts]
        answers = shuffled_within([p.task for p in prompts], answers, choices, cell.seed)
    pairs = [(p.messages, answer) for p, answer in zip(prompts, answers, strict=True)]
    done = train(spec.training(cell.seed), pairs, threads=spec.threads, progress=progress)
    found = _evaluated(spec, done.held, material.items)
    tasks = Counter(prompt.task for prompt in prompts)
    strategy = made(cell.design.name, cell.design.parameters, None)
    source = cell.design.embeddings or spec.embeddings
    reads_embeddings = looks_at_embeddings(strategy, _tasks_seen(cell, material.prompts))
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
    return Finished(body, found, {"positions": positions})


def untuned_cell(spec: SFTStudySpec, material: Material) -> Finished:
    """Evaluate the model as it comes."""
    held = models.load(spec.model, dtype=spec.training(0).dtype, threads=spec.threads)
    found = _evaluated(spec, held, material.items)
    body = {"key": UNTUNED, "design": UNTUNED, "method": UNTUNED, "budget": 0, "seed": -1}
    return Finished(body, found, {})


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
