"""What a choice of prompts tells: lines for people, the same for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from labeltrain.sft.budget import parsed_budget
from labeltrain.sft.selection import Choice, Question
from labeltrain.sft.workspace import PromptWorkspace

SHOWN = 12  # tasks


def told_of(
    workspace: PromptWorkspace,
    question: Question,
    name: str,
    choice: Choice,
    answered: int,
    waiting: int,
) -> dict[str, Any]:
    """Return what to tell about a choice: lines for people, the rest for programs.

    Parameters
    ----------
    workspace : PromptWorkspace
    question : Question
    name : str
    choice : Choice
    answered, waiting : int
        Prompts that the choice was built on.
    """
    k = len(choice.positions)
    lines = [f"{name}: {k} of {len(workspace.prompts)} prompts, {choice.seconds:.1f} s"]
    if answered:
        lines.append(f"{answered} prompts that have an answer were built on")
    if waiting:
        lines.append(f"{waiting} prompts of the choices before it were built on, too")
    if parsed_budget(question.budget).unit in ("tokens", "money"):
        lines.append(f"{choice.spent:,.6g} of {question.budget} spent")
    if choice.repeats.exact or choice.repeats.near:
        lines.append(
            f"{choice.repeats.exact} prompts repeat another one, {choice.repeats.near} nearly; "
            f"{choice.left_out} that were not answered yet were left out for it"
        )
    if choice.width is not None:
        lines.append(f"kernel width {choice.width.gamma}, kept for later choices")
    if choice.clusters:
        lines.append(
            f"the prompts have no tasks: {choice.clusters} clusters of their embeddings stand for "
            "them (labeltrain sft score --task-field names the key of the tasks)"
        )
    relevance = relevance_body(choice)
    lines += relevance_lines(relevance)
    if choice.exhausted:
        lines.append("the pool holds no more")
    tasks = Counter(workspace.prompts[p].task for p in choice.positions.tolist())
    if len(tasks) > 1 or "" not in tasks:
        lines.append(", ".join(f"{task or 'no task'} {n}" for task, n in tasks.most_common(12)))
    found = {
        "name": name,
        "chosen": k,
        "tasks": dict(tasks),
        "exhausted": choice.exhausted,
        "spent": choice.spent,
        "lines": lines,
        "ids": [workspace.prompts[p].id for p in choice.positions.tolist()],
    }
    if relevance is not None:
        found["relevance"] = relevance
    return found


def told_again(
    workspace: PromptWorkspace, name: str, body: Mapping[str, Any], positions: np.ndarray
) -> dict[str, Any]:
    """Return what to tell about a choice that was made before.

    Parameters
    ----------
    workspace : PromptWorkspace
    name : str
    body : mapping
        What the ledger says of it.
    positions : ndarray of int64, shape (k,)
    """
    tasks = Counter(workspace.prompts[p].task for p in positions.tolist())
    found = {
        "name": name,
        "chosen": len(positions),
        "tasks": dict(tasks),
        "exhausted": False,
        "spent": body["spent"],
        "lines": [
            f"{name}: chosen already, {len(positions)} prompts",
            *relevance_lines(body.get("relevance")),
        ],
        "ids": [workspace.prompts[p].id for p in positions.tolist()],
    }
    if body.get("relevance") is not None:
        found["relevance"] = body["relevance"]
    return found


def relevance_body(choice: Choice) -> dict[str, Any] | None:
    """Return the relevance of tasks as the ledger keeps it; None of designs that have none.

    Returns
    -------
    dict or None
        ``tasks`` (by name: ``relevance`` and ``share``), ``residual``, ``uniform``, ``chance``,
        ``helps``, ``unknown`` (tasks without a vector), ``floor`` and ``mixing``.
    """
    found = choice.relevance
    if found is None:
        return None
    floor, mixing = int(choice.parameters["floor"]), float(choice.parameters["mixing"])
    rows = zip(found.tasks, found.relevance, found.shares(mixing), strict=True)
    return {
        "by": choice.parameters["by"],
        "tasks": {
            task: {"relevance": float(nu), "share": float(share)} for task, nu, share in rows
        },
        "residual": found.residual,
        "uniform": found.uniform,
        "chance": found.chance,
        "helps": found.helps,
        "unknown": [t for t, known in zip(found.tasks, found.known, strict=True) if not known],
        "floor": floor,
        "mixing": mixing,
        "floors_take_all": floor * len(found.tasks) >= len(choice.positions) > 0 < floor,
    }


def relevance_lines(body: Mapping[str, Any] | None) -> list[str]:
    """Return what to say of the relevance of tasks."""
    if body is None:
        return []
    lines = []
    relevant = {t: row for t, row in body["tasks"].items() if row["relevance"] > 0}
    ordered = sorted(relevant, key=lambda task: (-relevant[task]["share"], task))
    if ordered:
        told = [
            f"{task or 'no task'} {relevant[task]['relevance']:.2g} ({relevant[task]['share']:.0%})"
            for task in ordered[:SHOWN]
        ]
        more = f", and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
        lines.append(f"relevance (share) by {body['by']}: {', '.join(told)}{more}")
    none = len(body["tasks"]) - len(relevant) - len(body["unknown"])
    if none:
        lines.append(f"{none} of {len(body['tasks'])} tasks have none")
    few = f" ({body['chance']:.0%} is what so few examples leave to chance)"
    lines.append(
        f"{body['residual']:.0%} of the target no mixture of tasks explains"
        + (few if body["chance"] else "")
    )
    if body["chance"] ** 2 > 0.5:
        lines.append("warning: so few examples say little of the target: give more of them")
    if not ordered:
        lines.append("warning: no task is relevant to the target, so all of them share alike")
    elif not body["helps"]:
        lines.append(
            f"warning: that is hardly less than what all tasks alike leave ({body['uniform']:.0%})"
            ": relevance says little here, and --method random-balanced is the safer choice"
        )
    if body["unknown"]:
        explored = "explored by floor and mixing only" if body["floor"] or body["mixing"] else (
            "and so get no prompt; --set floor=2 explores them"
        )  # fmt: skip
        names = [task or "no task" for task in body["unknown"]]
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        lines.append(f"no answer yet to prompts of {shown}: they have no relevance, {explored}")
    if body["floors_take_all"]:
        lines.append(
            f"warning: floors of {body['floor']} for {len(body['tasks'])} tasks take the whole "
            "choice: shares do not count"
        )
    return lines
