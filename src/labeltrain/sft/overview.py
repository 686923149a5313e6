"""All that a workspace of prompts shows: the pool, the choices, the models, and what each cost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from labeltrain.sft.answers import answers_of, skipped_of
from labeltrain.sft.choosing import choices, kept_choice
from labeltrain.sft.evaluation import METRICS
from labeltrain.sft.repeats import find_repeats
from labeltrain.sft.scored_pool import ScoredPool, is_whole, scored_pool, scorings
from labeltrain.sft.study import cells_of
from labeltrain.sft.tuning import tuned_models
from labeltrain.sft.workspace import PromptWorkspace

RELEVANT = 6  # tasks of a choice whose shares are shown


def overview(workspace: PromptWorkspace) -> dict[str, Any]:
    """Return the numbers of a workspace.

    Returns
    -------
    dict
        ``pool`` (prompts, answered, skipped, repeats, tasks), ``scorings``, ``choices``,
        ``models`` (with their evaluations), ``overhead``: seconds and operations of score, embed,
        select and train of each model, and (score + embed + select) / train.
    """
    repeats = find_repeats(workspace.prompts)
    tasks = Counter(prompt.task for prompt in workspace.prompts)
    pools = {
        key: scored_pool(workspace, key) for key in scorings(workspace) if is_whole(workspace, key)
    }
    return {
        "pool": {
            "prompts": len(workspace.prompts),
            "answered": len(answers_of(workspace)),
            "skipped": len(skipped_of(workspace)),
            "exact_repeats": repeats.exact,
            "near_repeats": repeats.near,
            "tasks": dict(tasks.most_common()),
        },
        "scorings": [_scoring(pool) for pool in pools.values()],
        "choices": [
            _choice(workspace, name, body, pools) for name, body in choices(workspace).items()
        ],
        "models": [_model(workspace, name) for name in tuned_models(workspace)],
        "evaluations": [
            {"model": body["model"], "file": body["file"], "items": body["items"],
             **body["macro"]}
            for body in {
                (e.body["model"], e.body["test"]): e.body for e in workspace.events("evaluated")
            }.values()
        ],
        "overhead": _overhead(workspace, pools) + _study_overhead(workspace),
    }  # fmt: skip


def _scoring(pool: ScoredPool) -> dict[str, Any]:
    tokens = pool.scores["tokens"]
    found: dict[str, Any] = {
        "scores": pool.key,
        "model": pool.settings["model"],
        "seconds": pool.seconds,
        "tflop": pool.flops / 1e12,
        "prompt_tokens": float(pool.prompt_tokens.mean()),
        "prompts_cut": float(pool.cut.mean()),
        "answer_tokens": float(tokens.mean()),
        "unfinished": float(pool.truncated.mean()),
    }
    # A score that mostly says how long the answer is chooses by length.
    for name, values in pool.scores.items():
        if name != "tokens" and np.isfinite(values).all() and np.ptp(tokens) and np.ptp(values):
            found[f"rank correlation of {name} with length"] = _rank_correlation(values, tokens)
    return found


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _choice(
    workspace: PromptWorkspace, name: str, body: dict[str, Any], pools: dict[str, ScoredPool]
) -> dict[str, Any]:
    kept = kept_choice(workspace, name)
    tasks = Counter(workspace.prompts[p].task for p in kept.positions.tolist())
    held = answers_of(workspace)
    found = {
        "choice": name,
        "method": body["method"],
        "budget": body["budget"],
        "chosen": body["chosen"],
        "answered": sum(workspace.prompts[p].id in held for p in kept.positions.tolist()),
        "tasks": dict(tasks.most_common()),
        "left_out": body["left_out"],
        "seconds": body["seconds"],
        "embeddings": body["embeddings"],
    }
    if (relevance := body.get("relevance")) is not None:
        rows = relevance["tasks"].items()
        ordered = sorted(rows, key=lambda row: (-row[1]["share"], row[0]))
        told = [f"{task or 'no task'} {row['share']:.0%}" for task, row in ordered if row["share"]]
        found["shares"] = ", ".join(told[:RELEVANT]) + (", ..." if len(told) > RELEVANT else "")
        found["target_unexplained"] = relevance["residual"]
    pool = pools.get(body["scoring"] or "")
    if pool is not None and len(kept.positions):
        found["prompt_tokens"] = float(pool.prompt_tokens[kept.positions].mean())
        found["answer_tokens"] = float(pool.scores["tokens"][kept.positions].mean())
        found["unfinished"] = float(pool.truncated[kept.positions].mean())
    return found


def _model(workspace: PromptWorkspace, name: str) -> dict[str, Any]:
    body = tuned_models(workspace)[name].body
    found = {key: body[key] for key in ("name", "choice", "labels", "steps", "cut", "loss")}
    found |= {"seconds": body["seconds"], "tflop": body["flops"] / 1e12}
    latest = {
        e.body["file"]: e.body for e in workspace.events("evaluated") if e.body["model"] == name
    }
    for file, scored in latest.items():
        for metric in METRICS:
            if scored["macro"].get(metric) is not None:
                where = "" if len(latest) == 1 else f" ({file})"
                found[f"{metric}{where}"] = scored["macro"][metric]
    return found


def _overhead(workspace: PromptWorkspace, pools: dict[str, ScoredPool]) -> list[dict[str, Any]]:
    """Return what each trained model cost, with all that led to its choice."""
    encoded = _encoded(workspace)
    known = choices(workspace)
    rows = []
    for one in tuned_models(workspace).values():
        body = known.get(one.body["choice"] or "", {})
        pool = pools.get(body.get("scoring") or "")
        name = (body.get("embeddings") or "").split()
        embed = encoded.get(name[0] if name else "")
        if embed is None:  # states of the model: whitening them is all it takes
            embed = (float(body.get("embed_seconds", 0.0)), 0.0)
        rows.append(
            _cost(
                one.name,
                int(one.body["labels"]),
                0.0 if pool is None else pool.seconds,
                embed[0],
                float(body.get("seconds", 0.0)),
                float(one.body["seconds"]),
                0.0 if pool is None else pool.flops,
                embed[1],
                float(one.body["flops"]),
            )
        )
    return rows


def _study_overhead(workspace: PromptWorkspace) -> list[dict[str, Any]]:
    """Return the mean cost of the cells of a study, by design and budget."""
    prepared: dict[str, Any] = {}
    for event in workspace.events("prepared"):
        prepared = event.body
    encoded = _encoded(workspace)
    if not prepared:
        return []
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for body in cells_of(workspace).values():
        if "train" in body:
            groups.setdefault((body["design"], body["budget"]), []).append(body)
    rows = []
    for (design, budget), bodies in sorted(groups.items(), key=lambda g: (g[0][1], g[0][0])):
        rows.append(
            _cost(
                design,
                budget,
                float(prepared["score_seconds"]) if bodies[0]["scored"] else 0.0,
                encoded.get(bodies[0]["embeddings"], (0.0, 0.0))[0],
                float(np.mean([b["select_seconds"] for b in bodies])),
                float(np.mean([b["train"]["seconds"] for b in bodies])),
                float(prepared["score_flops"]) if bodies[0]["scored"] else 0.0,
                encoded.get(bodies[0]["embeddings"], (0.0, 0.0))[1],
                float(np.mean([b["train"]["flops"] for b in bodies])),
            )
        )
    return rows


def _encoded(workspace: PromptWorkspace) -> dict[str, tuple[float, float | None]]:
    """Return seconds and operations of embedding the pool, by encoder."""
    return {
        event.body["encoder"]: (float(event.body["seconds"]), event.body.get("flops"))
        for event in workspace.events("embedded")
    }


def _cost(
    name: str,
    labels: int,
    score: float,
    embed: float,
    select: float,
    train: float,
    score_flops: float,
    embed_flops: float | None,
    train_flops: float,
) -> dict[str, Any]:
    return {
        "model": name,
        "labels": labels,
        "score": score,
        "embed": embed,
        "select": select,
        "train": train,
        "ratio": (score + embed + select) / train if train > 0 else None,
        "score_tflop": score_flops / 1e12,
        "embed_tflop": None if embed_flops is None else embed_flops / 1e12,
        "train_tflop": train_flops / 1e12,
    }
