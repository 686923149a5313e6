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
from labeltrain.sft.designs import (
    design,
    looks_at_embeddings,
    made,
    needs_gradients,
    needs_scores,
)
from labeltrain.sft.evaluation import Evaluation, TestItem, evaluate
from labeltrain.sft.gradients import Gradients, answer_gradients
from labeltrain.sft.material import (
    Material,
    candidates_of_seed,
    examples_of,
    repeats_part,
    scored_part,
)
from labeltrain.sft.prompts import Message, Prompt
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.selection import Question, choose
from labeltrain.sft.study_spec import ALONE, UNTUNED, DesignSpec, SFTStudySpec, TargetSpec
from labeltrain.sft.telling import relevance_body
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.training import train

Pair = tuple[tuple[Message, ...], str]


@dataclass(frozen=True)
class Cell:
    """One training: a design, a budget, a seed, and what the model is meant for."""

    design: DesignSpec
    budget: int
    seed: int
    target: TargetSpec | None = None

    @property
    def key(self) -> str:
        """A name of all that its result depends on beside the study."""
        design = self.design.model_dump(exclude={"label"})
        for option, usual in (("answers", "true"), ("tasks", "named")):  # as older studies have it
            if design[option] == usual:
                del design[option]
        if not design["first"]:
            del design["first"]
        if self.design.answers == "shuffled":  # older studies shuffled across choices
            design["answers"] = "shuffled within choices"
        parts = [design, self.budget, self.seed]
        parts += [] if self.target is None else [self.target.model_dump()]
        text = json.dumps(parts)
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
    rows = candidates_of_seed(spec, cell.target, material.prompts, cell.seed)
    source = cell.design.embeddings or spec.embeddings
    looked = material.looked[source]
    prompts = [material.prompts[i] for i in rows.tolist()]
    seen = _tasks_seen(cell, prompts)
    prompts = [replace(prompt, task=task) for prompt, task in zip(prompts, seen, strict=True)]
    started = time.perf_counter()
    given: dict[str, Any] = {
        "scored": scored_part(material.scored, rows),
        "embeddings": replace(looked, array=looked.array[rows]),
        "repeats": repeats_part(material.repeats, rows),
    }
    examples = examples_of(cell.target, material.prompts, cell.seed)
    if len(examples):
        given["targets"] = looked.array[examples]
    first = np.empty(0, dtype=np.int64)
    if cell.design.first:
        question = Question("random-balanced", str(cell.design.first), {}, cell.seed, reserve=0.0)
        first = choose(question, prompts, **given).positions
    if needs_gradients(made(cell.design.name, cell.design.parameters, None)):
        given["gradients"] = _gradients(spec, material, rows, first, examples)
    question = Question(
        cell.design.name,
        str(cell.budget - len(first)),
        cell.design.parameters,
        cell.seed,
        gamma=material.gamma[source] if design(cell.design.name).width else None,
        reserve=0.0,
    )
    choice = choose(question, prompts, answered=first.tolist(), **given)
    seconds = time.perf_counter() - started
    facts: dict[str, Any] = {"left_out": choice.left_out}
    if (relevance := relevance_body(choice)) is not None:
        facts["relevance"] = relevance
    return rows[np.concatenate([first, choice.positions])], seconds, facts


def _gradients(
    spec: SFTStudySpec,
    material: Material,
    rows: np.ndarray,
    first: np.ndarray,
    examples: np.ndarray,
) -> Gradients:
    """Return the gradients of the first answers and of the target's examples."""
    training = spec.training(0)
    held = models.load(spec.model, dtype=training.dtype, threads=spec.threads)
    chat = _chat(spec, held, training.max_prompt_tokens)
    positions = [*rows[first].tolist(), *examples.tolist()]
    prompts = [material.prompts[p] for p in positions]
    pairs = [(prompt.messages, material.answers[prompt.id]) for prompt in prompts]
    made = answer_gradients(held, chat, pairs, ids=[p.id for p in prompts], rank=training.rank)
    whole = np.zeros((len(rows), made.shape[1]), dtype=np.float32)
    whole[first] = made[: len(first)]
    return Gradients(whole, made[len(first) :])


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
    pairs += example_pairs(material, cell.target, cell.seed)
    done = train(spec.training(cell.seed), pairs, threads=spec.threads, progress=progress)
    found = _evaluated(spec, done.held, items_of(material, cell.target))
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
        **({} if cell.target is None else {"target": cell.target.task}),
        **facts,
    }
    return Finished(body, found, {"positions": positions})


def example_pairs(material: Material, target: TargetSpec | None, seed: int) -> list[Pair]:
    """Return the target's examples with their answers, where training learns from them."""
    if target is None or not target.learn:
        return []
    positions = examples_of(target, material.prompts, seed)
    prompts = [material.prompts[p] for p in positions.tolist()]
    return [(prompt.messages, material.answers[prompt.id]) for prompt in prompts]


def alone_key(target: TargetSpec, seed: int) -> str:
    """Return the key of the cell that learns from the target's examples only."""
    return f"{ALONE}: {target.examples} of {target.task}, seed {seed}"


def alone_cell(spec: SFTStudySpec, material: Material, target: TargetSpec, seed: int) -> Finished:
    """Train on the target's examples, and on nothing of the pool, and evaluate."""
    pairs = example_pairs(material, target, seed)
    done = train(spec.training(seed), pairs, threads=spec.threads)
    found = _evaluated(spec, done.held, items_of(material, target))
    body = {
        "key": alone_key(target, seed),
        "design": ALONE,
        "method": ALONE,
        "embeddings": "",
        "scored": False,
        "budget": 0,
        "seed": seed,
        "target": target.task,
        "train": done.facts(),
        "select_seconds": 0.0,
    }
    return Finished(body, found, {})


def items_of(material: Material, target: TargetSpec | None) -> list[TestItem]:
    """Return the held-out prompts that are scored: those of the target's task, if there is one."""
    if target is None:
        return material.items
    return [item for item in material.items if item.task == target.task]


def untuned_cell(spec: SFTStudySpec, material: Material) -> Finished:
    """Evaluate the model as it comes."""
    held = models.load(spec.model, dtype=spec.training(0).dtype, threads=spec.threads)
    found = _evaluated(spec, held, material.items)
    body = {"key": UNTUNED, "design": UNTUNED, "method": UNTUNED, "budget": 0, "seed": -1}
    return Finished(body, found, {})


def _evaluated(
    spec: SFTStudySpec, held: models.LanguageModel, items: Sequence[TestItem]
) -> Evaluation:
    return evaluate(
        held,
        _chat(spec, held, None),
        items,
        metrics=spec.evaluate.metrics,
        max_new_tokens=spec.evaluate.max_new_tokens,
        batch_tokens=spec.evaluate.batch_tokens,
    )


def _chat(spec: SFTStudySpec, held: models.LanguageModel, room: int | None) -> ChatFormat:
    return ChatFormat(
        held.tokenizer,
        spec.train.get("chat_template"),
        max_prompt_tokens=room or spec.score.max_prompt_tokens,
    )
