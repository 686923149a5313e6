"""What a study of designs works on: the pool, its answers, scores and embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labeltrain.data.question_sets import split_questions
from labeltrain.errors import BadInput
from labeltrain.rng import stream
from labeltrain.sft import models
from labeltrain.sft.embedding import Embedded, embedded
from labeltrain.sft.encoding_cost import keep_encoding_cost
from labeltrain.sft.evaluation import TestItem, read_test
from labeltrain.sft.example import test_record
from labeltrain.sft.generation import TransformersScorer
from labeltrain.sft.pipeline import Shown
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.reading import PromptFile, read_prompts
from labeltrain.sft.repeats import Repeats, find_repeats
from labeltrain.sft.scored_pool import ScoredPool, scored_pool
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.scoring import Settings, score_pool
from labeltrain.sft.study_spec import SFTStudySpec, TargetSpec
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.width import kernel_width
from labeltrain.sft.workspace import PromptWorkspace


@dataclass(frozen=True)
class Material:
    """What all cells of a study share.

    Attributes
    ----------
    prompts : tuple of Prompt
        The pool; positions count in it.
    answers : dict of str to str
        By id; training sees those of chosen prompts only.
    choices : dict of str to tuple of str
        By id, of prompts that have some to choose from.
    items : list of TestItem
        Held out.
    scored : ScoredPool
    looked : dict of str to Embedded
        By the name of the embeddings.
    gamma : dict of str to float
        The kernel width for each.
    repeats : Repeats
    """

    prompts: tuple[Prompt, ...]
    answers: dict[str, str]
    choices: dict[str, tuple[str, ...]]
    items: list[TestItem]
    scored: ScoredPool
    looked: dict[str, Embedded]
    gamma: dict[str, float]
    repeats: Repeats


def read_data(spec: SFTStudySpec) -> tuple[PromptFile, list[TestItem]]:
    """Return the pool with its answers, and the held-out prompts.

    Raises
    ------
    BadInput
        A prompt of the pool has no answer.
    """
    if spec.pool.file is not None:
        file = read_prompts(spec.pool.file, answers="keep")
        if file.answered < len(file.prompts):
            raise BadInput(
                f"{spec.pool.file}: {len(file.prompts) - file.answered} prompts have no answer",
                "a study reveals answers that are there already: give each prompt one",
            )
        return file, read_test(str(spec.pool.test_file))
    pool, held = split_questions(
        spec.pool.tasks, prompts=spec.pool.prompts, test=spec.pool.test, seed=spec.pool.seed
    )
    # Other accepted answers would be labels; the choices stand in the prompt anyway.
    rows = [{k: v for k, v in test_record(q).items() if k != "accepted"} for q in pool]
    file = read_prompts(rows, answers="keep")
    items = [
        TestItem(q.id, q.task, ({"role": "user", "content": q.prompt},), q.answer, q.accepted,
                 tuple(test_record(q).get("choices", ())))
        for q in held
    ]  # fmt: skip
    return file, items


def refuse_missing_target(
    target: TargetSpec, prompts: Sequence[Prompt], items: Sequence[TestItem]
) -> None:
    """Raise where a pool has too few examples of a target, or nothing of it is held out.

    Raises
    ------
    BadInput
    """
    there = sum(prompt.task == target.task for prompt in prompts)
    held = sum(item.task == target.task for item in items)
    if not held or there < target.examples:
        raise BadInput(
            f"target {target.task!r}: {there} prompts of the pool and {held} held-out ones are of "
            f"it, and {target.examples} examples are asked for",
            "name a task that both have, or ask for fewer examples",
        )


def examples_of(target: TargetSpec | None, prompts: Sequence[Prompt], seed: int) -> np.ndarray:
    """Return the positions of the target's examples that a seed has; none without a target."""
    if target is None:
        return np.empty(0, dtype=np.int64)
    mine = np.array([i for i, prompt in enumerate(prompts) if prompt.task == target.task])
    order = stream(seed, "target examples", target.task).permutation(len(mine))
    return np.sort(mine[order[: target.examples]]).astype(np.int64)


def candidates_of_seed(
    spec: SFTStudySpec, target: TargetSpec | None, prompts: Sequence[Prompt], seed: int
) -> np.ndarray:
    """Return the positions that a seed may choose from: its pool without the target's task."""
    rows = subpool(spec, len(prompts), seed)
    if target is None:
        return rows
    other = [prompts[i].task != target.task for i in rows.tolist()]
    return rows[np.array(other, dtype=bool)]


def prepared(
    workspace: PromptWorkspace,
    spec: SFTStudySpec,
    file: PromptFile,
    items: list[TestItem],
    bar: Shown,
) -> Material:
    """Score and embed the pool once for all seeds.

    Parameters
    ----------
    workspace : PromptWorkspace
        It holds the pool, without answers.
    spec : SFTStudySpec
    file : PromptFile
        The pool with its answers.
    items : list of TestItem
    bar : Shown
    """
    held = models.load(spec.model, dtype=spec.score.dtype, threads=spec.threads)
    chat = ChatFormat(
        held.tokenizer,
        spec.train.get("chat_template"),
        max_prompt_tokens=spec.score.max_prompt_tokens,
    )
    settings = Settings(
        spec.model,
        held.checksum(),
        chat.checksum,
        "transformers",
        spec.score.dtype,
        spec.score.max_new_tokens,
        spec.score.max_prompt_tokens,
        tuple(p.strip() for p in spec.score.pooling.split(",")),
        spec.score.batch_tokens,
        held.device,
    )
    bar.stage("scoring the pool", 1.0)
    key = score_pool(
        workspace,
        TransformersScorer(held, chat.frame),
        chat,
        settings,
        parameters=held.parameters,
        progress=bar.advance_to,
    )
    scored = scored_pool(workspace, key)
    wanted = {spec.embeddings} | {
        one.embeddings for stage in spec.stages for one in stage.designs if one.embeddings
    }
    looked, gamma = {}, {}
    # Set once: stages that come later, with larger budgets, have the same kernel.
    kept: dict[str, float] = {}
    for event in workspace.events("prepared"):
        kept = {**event.body["gamma"], **kept}
    for name in sorted(wanted):
        if name not in POOLINGS:
            bar.stage(f"embedding with {name}", len(workspace.prompts))
        looked[name] = embedded(
            name, workspace.prompts, scored, whiten=spec.whiten, progress=bar.advance_to
        )
        keep_encoding_cost(workspace, name, looked[name])
        size = spec.subpool or len(workspace.prompts)
        share = max(2, round(spec.largest * len(workspace.prompts) / size))
        gamma[name] = kept.get(name) or kernel_width(looked[name].array, share).gamma
    if gamma.keys() - kept.keys():
        body = {
            "scoring": key,
            "score_seconds": scored.seconds,
            "score_flops": scored.flops,
            "gamma": gamma,
            "truncated": float(scored.truncated.mean()),
            "cut": float(scored.cut.mean()),
            "prompts": len(workspace.prompts),
        }
        workspace.append("prepared", body)
    answers = {p.id: a for p, a in zip(file.prompts, file.answers, strict=True) if a}
    choices = {
        p.id: tuple(str(c) for c in p.record["choices"])
        for p in file.prompts if p.record.get("choices")
    }  # fmt: skip
    return Material(
        workspace.prompts, answers, choices, items, scored, looked, gamma,
        find_repeats(workspace.prompts),
    )  # fmt: skip


def subpool(spec: SFTStudySpec, n: int, seed: int) -> np.ndarray:
    """Return the positions of the pool that a seed has, ascending."""
    if spec.subpool is None:
        return np.arange(n)
    if spec.subpool > n:
        raise BadInput(f"subpool={spec.subpool} of {n} prompts", "give fewer")
    return np.sort(stream(seed, "subpool").permutation(n)[: spec.subpool])


def scored_part(scored: ScoredPool, rows: np.ndarray) -> ScoredPool:
    """Return the scores of some prompts, without embeddings."""
    return replace(
        scored,
        scores={name: values[rows] for name, values in scored.scores.items()},
        drafts=tuple(scored.drafts[i] for i in rows.tolist()),
        truncated=scored.truncated[rows],
        cut=scored.cut[rows],
        prompt_tokens=scored.prompt_tokens[rows],
        embeddings={},
    )


def repeats_part(repeats: Repeats, rows: np.ndarray) -> Repeats:
    """Return which of some prompts repeat each other."""
    _, first, group = np.unique(repeats.first[rows], return_index=True, return_inverse=True)
    return Repeats(first[group].astype(np.int64), repeats.exact, repeats.near)
