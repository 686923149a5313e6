"""Choosing in a workspace: what was answered counts, and every choice is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.sft.answers import answers_of, skipped_of
from labeltrain.sft.budget import parsed_budget
from labeltrain.sft.designs import (
    DESIGNS,
    looks_at_embeddings,
    made,
    needs_gradients,
    needs_scores,
    needs_targets,
)
from labeltrain.sft.embedding import Embedded, embedded
from labeltrain.sft.encoding_cost import keep_encoding_cost
from labeltrain.sft.kept_gradients import GradientOptions, gradients_in
from labeltrain.sft.reading import read_prompts
from labeltrain.sft.scored_pool import ScoredPool, only_scored_pool, scored_pool, scorings
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.selection import Choice, Question, choose
from labeltrain.sft.targets import embedded_target, read_target
from labeltrain.sft.telling import relevance_body, told_again, told_of
from labeltrain.sft.workspace import PromptWorkspace
from labeltrain.store.files import replace_bytes
from labeltrain.strategies.base import Strategy

ENCODER = "minilm"


@dataclass(frozen=True)
class KeptChoice:
    """A choice that a workspace holds.

    Attributes
    ----------
    name : str
    body : dict
        What the ledger says of it: method, strategy, parameters, budget, seed and more.
    positions : ndarray of int64, shape (k,)
        In the order of the picks.
    scores : ndarray of float64, shape (k,)
    reserve : ndarray of int64
    given : ndarray of int64
        What was answered, or waited for an answer: the choice was built on it.
    why : tuple of str
    """

    name: str
    body: dict[str, Any]
    positions: np.ndarray
    scores: np.ndarray
    reserve: np.ndarray
    given: np.ndarray
    why: tuple[str, ...]


def choices(workspace: PromptWorkspace) -> dict[str, dict[str, Any]]:
    """Return what the ledger says of every choice, by name."""
    return {event.body["name"]: event.body for event in workspace.events("chosen")}


def kept_choice(workspace: PromptWorkspace, name: str | None = None) -> KeptChoice:
    """Return a choice by name; the only one where none is named.

    Raises
    ------
    BadInput
        There is none of that name, or there are several.
    """
    known = choices(workspace)
    if not known:
        raise BadInput(f"{workspace.folder} holds no choice", "labeltrain sft select first")
    if name is None:
        if len(known) > 1:
            raise BadInput(
                f"{workspace.folder} holds several choices",
                f"--choice one of: {', '.join(known)}",
            )
        name = next(iter(known))
    if name not in known:
        raise unknown_name("choice", name, known)
    arrays, facts = workspace.store.load_arrays(known[name]["arrays"])
    return KeptChoice(
        name,
        known[name],
        arrays["positions"],
        arrays["scores"],
        arrays["reserve"],
        arrays.get("given", np.empty(0, dtype=np.int64)),
        tuple(facts["why"]),
    )


def choose_in(
    workspace: PromptWorkspace,
    question: Question,
    *,
    name: str | None = None,
    embeddings: str | None = None,
    whiten: int | None = None,
    scores: str | None = None,
    target: Path | None = None,
    gradients: GradientOptions | None = None,
    answered: Path | None = None,
    after: Sequence[str] = (),
    out: Path | None = None,
) -> dict[str, Any]:
    """Choose prompts, keep the choice under its name, and return what to tell about it.

    `gradients` says of which model, for designs that go by gradients of answers.

    Raises
    ------
    BadInput
        A name that is taken by another choice, options that do not fit.
    """
    plain = made(question.method, question.parameters, None)
    name = name or f"{question.method}-{''.join(question.budget.split()).replace('%', 'percent')}"
    if not name.strip() or "/" in name or name.startswith("."):
        raise BadInput(f"the name {name!r} cannot be a file's", "give letters, digits and dashes")
    if out is not None and out.suffix.lower() != ".jsonl":
        raise BadInput(f"--out {out}", "chosen prompts are written to .jsonl")
    known = [workspace.position[item] for item in answers_of(workspace)]
    known += [] if answered is None else _answered_elsewhere(workspace, answered)
    waiting = [int(p) for other in after for p in kept_choice(workspace, other).positions]
    _refuse_unread(question.method, plain, target, gradients)
    asked = _asked(question, embeddings, whiten, scores, target)
    if needs_gradients(plain):
        gradients = gradients or GradientOptions()
        asked["gradients"] = gradients.asked()
    if (earlier := choices(workspace).get(name)) is not None:
        kept = kept_choice(workspace, name)
        given = sorted({*known, *waiting})
        if earlier.get("asked") != asked or kept.given.tolist() != given:
            raise BadInput(
                f"{workspace.folder} holds another choice {name!r}", "give this one another --name"
            )
        told = told_again(workspace, kept.name, kept.body, kept.positions)
        return told if out is None else _written(workspace, name, out, told)
    looks = looks_at_embeddings(plain, (prompt.task for prompt in workspace.prompts))
    by_tokens = (
        parsed_budget(question.budget).unit == "tokens"
        or question.prices.get("price_per_1000_tokens") is not None
    )
    reads = needs_scores(plain) or by_tokens
    pool = None
    if scorings(workspace) and (reads or (looks and (embeddings or "weighted") in POOLINGS)):
        pool = scored_pool(workspace, scores)
    looked = None
    if looks:
        source = embeddings or _default_embeddings(pool)
        looked = embedded(source, workspace.prompts, pool, whiten=whiten)
        keep_encoding_cost(workspace, source, looked)
        if not reads and source not in POOLINGS:
            pool = None  # it has no states, and nothing else of it is read
    targets = moves = None
    if target is not None and needs_gradients(plain):
        moves = gradients_in(
            workspace, read_target(target), gradients or GradientOptions(), where=str(target)
        )
    elif target is not None:
        targets = embedded_target(read_target(target), workspace.prompts, looked, whiten)
    # What embeddings are is told by their name, and by whose states they are.
    states = pool.key if pool is not None and looked is not None and _of_model(looked) else ""
    if looked is not None:
        question = _as_before(workspace, question, looked, states)
    choice = choose(
        question,
        workspace.prompts,
        scored=pool,
        embeddings=looked,
        targets=targets,
        gradients=moves,
        answered=known,
        pending=waiting,
        skipped=[workspace.position[item] for item in skipped_of(workspace)],
    )
    if looked is not None:
        _keep_for_later(workspace, question, choice, looked.name, states)
    _keep(workspace, name, question, choice, pool, looked, known, waiting, list(after), asked)
    told = told_of(workspace, question, name, choice, len(known), len(waiting))
    if looked is not None:
        told["lines"].append(f"embeddings: {looked.name}")
    elif embeddings is not None:
        told["lines"].append(f"{question.method} reads no embeddings: {embeddings!r} is left out")
    return told if out is None else _written(workspace, name, out, told)


def _refuse_unread(
    method: str, plain: Strategy, target: Path | None, gradients: GradientOptions | None
) -> None:
    if target is not None and not needs_targets(plain):
        reads = ", ".join(name for name in DESIGNS if needs_targets(made(name, {}, None)))
        raise BadInput(
            f"{method} reads no target", f"leave --target out, or choose --method one of: {reads}"
        )
    if gradients is not None and gradients.model is not None and not needs_gradients(plain):
        raise BadInput(
            f"{method} reads no gradients, which --model is for",
            "leave it out, or --method task-relevance --set by=gradients",
        )


def _asked(
    question: Question,
    embeddings: str | None,
    whiten: int | None,
    scores: str | None,
    target: Path | None,
) -> dict[str, Any]:
    """Return a question as the ledger keeps it: the same again has the same choice."""
    asked = asdict(question) | {
        "embeddings": embeddings,
        "whiten": whiten,
        "scores": scores,
        "target": None if target is None else hashlib.sha256(target.read_bytes()).hexdigest(),
    }
    kept: dict[str, Any] = json.loads(json.dumps(asked))
    return kept


def _written(
    workspace: PromptWorkspace, name: str, out: Path, told: dict[str, Any]
) -> dict[str, Any]:
    kept = kept_choice(workspace, name)
    scoring = kept.body["scoring"]
    pool = only_scored_pool(workspace) if scoring is None else scored_pool(workspace, scoring)
    rows = chosen_rows(workspace, kept, pool)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    replace_bytes(out, text.encode())
    told["lines"].append(f"{out}: {len(rows)} prompts")
    return told


def chosen_rows(
    workspace: PromptWorkspace, choice: KeptChoice, pool: ScoredPool | None
) -> list[dict[str, Any]]:
    """Return the records of a choice as they were, each with how it was chosen under ``_sel``."""
    rows = []
    for rank, position in enumerate(choice.positions.tolist(), start=1):
        prompt = workspace.prompts[position]
        score = float(choice.scores[rank - 1])
        how: dict[str, Any] = {
            "rank": rank,
            "method": choice.body["method"],
            "score": score if np.isfinite(score) else None,
            "why": choice.why[rank - 1],
        }
        if pool is not None:
            how["scores"] = {
                key: float(values[position])
                for key, values in pool.scores.items()
                if np.isfinite(values[position])
            }
            how["truncated"] = bool(pool.truncated[position])
            how["draft"] = pool.drafts[position]
        rows.append({**prompt.record, "id": prompt.id, "_sel": how})
    return rows


def _default_embeddings(pool: ScoredPool | None) -> str:
    if pool is not None and pool.embeddings:
        return "weighted" if "weighted" in pool.embeddings else next(iter(pool.embeddings))
    return ENCODER


def _of_model(looked: Embedded) -> bool:
    return looked.name.split()[0] in POOLINGS


def _as_before(
    workspace: PromptWorkspace, question: Question, looked: Embedded, states: str
) -> Question:
    """Return the question with what was set for these embeddings before: width and neighbours."""
    for kind, name in (("width", "gamma"), ("graph", "neighbours")):
        for event in workspace.events(kind):
            body = event.body
            if (body["embeddings"], body.get("states", "")) == (looked.name, states):
                question = replace(question, **{name: body[name]})
                break
    return question


def _keep_for_later(
    workspace: PromptWorkspace, question: Question, choice: Choice, looked: str, states: str
) -> None:
    """Note what a larger budget would set otherwise, so that prefixes stay choices."""
    about = {
        "embeddings": looked,
        "states": states,
        "budget": question.largest or question.budget,
    }
    if choice.width is not None:
        workspace.append("width", about | asdict(choice.width))
    graph = choice.parameters.get("neighbours")
    given = "neighbours" in question.parameters or question.neighbours is not None
    if graph is not None and not given:
        workspace.append("graph", about | {"neighbours": graph})


def _answered_elsewhere(workspace: PromptWorkspace, path: Path) -> list[int]:
    """Return the positions of the prompts of a file, by id or by content."""
    if not path.is_file():
        raise BadInput(f"{path} does not exist", "check the path")
    if path.suffix.lower() == ".txt":
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        unknown = [item for item in names if item and item not in workspace.position]
        if unknown:
            raise BadInput(
                f"{path}: no prompt of the pool has the id {unknown[0]!r} "
                f"({len(unknown)} such lines)",
                "give one id of the pool a line",
            )
        return [workspace.position[item] for item in names if item]
    contents = {prompt.content: i for i, prompt in enumerate(workspace.prompts)}
    found = []
    for prompt in read_prompts(path, answers="keep").prompts:
        position = contents.get(prompt.content)
        if position is None and prompt.id in workspace.position:
            raise BadInput(
                f"{path}, line {prompt.line}: {prompt.id!r} is another prompt in the pool",
                "give the prompt as it stands there, or a .txt with one id a line",
            )
        if position is not None:
            found.append(position)
    if not found:
        raise BadInput(f"{path} holds no prompt of the pool", "check the file")
    return found


def _keep(
    workspace: PromptWorkspace,
    name: str,
    question: Question,
    choice: Choice,
    pool: ScoredPool | None,
    looked: Embedded | None,
    known: Sequence[int],
    waiting: Sequence[int],
    after: list[str],
    asked: dict[str, Any],
) -> None:
    given = np.array(sorted({*known, *waiting}), dtype=np.int64)
    arrays = workspace.store.save_arrays(
        {
            "positions": choice.positions,
            "scores": choice.scores,
            "reserve": choice.reserve,
            "given": given,
        },
        {"why": list(choice.why)},
    )
    workspace.append(
        "chosen",
        {
            "name": name,
            "arrays": arrays,
            "method": choice.method,
            "strategy": choice.strategy,
            "parameters": choice.parameters,
            "budget": question.budget,
            "chosen": len(choice.positions),
            "spent": choice.spent,
            "seed": question.seed,
            "nested": choice.nested,
            "answered": len(set(known)),
            "after": after,
            "asked": asked,
            "exact_repeats": choice.repeats.exact,
            "near_repeats": choice.repeats.near,
            "left_out": choice.left_out,
            "scoring": None if pool is None else pool.key,
            "embeddings": None if looked is None else looked.name,
            "clusters": choice.clusters,
            "relevance": relevance_body(choice),
            "seconds": choice.seconds,
            "embed_seconds": 0.0 if looked is None else looked.seconds,
            "when": time.time(),
        },
    )
