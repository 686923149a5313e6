"""Question-answering sets that ship in a package, as prompts with known answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.assets import fetch
from labeltrain.errors import BadInput, unknown_name
from labeltrain.rng import stream

ASSET = "question-sets"
YES_NO = {"true": "yes", "yes": "yes", "1": "yes", "false": "no", "no": "no", "0": "no"}


@dataclass(frozen=True)
class Question:
    """A prompt, its answer, and what else counts as right.

    Attributes
    ----------
    id, task, prompt, answer : str
    accepted : tuple of str
        All answers that count as right, the first one included.
    choices : tuple of str
        What the answer is chosen from; empty where it is free.
    """

    id: str
    task: str
    prompt: str
    answer: str
    accepted: tuple[str, ...]
    choices: tuple[str, ...] = ()


def _free(row: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    given = row["answer"]
    answers = [given] if isinstance(given, str) else list(given)
    lead = str(row.get("passage", "")).strip()
    return "\n".join(p for p in (lead, str(row["question"]).strip()) if p), answers, []


def _choice(row: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    options = [line.strip() for line in str(row["options"]).strip().split("\n") if line.strip()]
    answer = str(row["answer"]).strip()
    parts = [str(row.get("passage", "")).strip(), str(row["question"]).strip(), *options]
    return "\n".join(p for p in parts if p), [answer], options if answer in options else []


def _yes_no(row: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    answer = YES_NO.get(str(row["answer"]).strip().lower(), "")
    lead = str(row.get("passage", row.get("context", ""))).strip()
    question = str(row["question"]).strip().rstrip("?") + "?"
    return f"{lead}\nYes or no: {question}", [answer] if answer else [], ["yes", "no"]


_SETS: dict[str, Callable[[Mapping[str, Any]], tuple[str, list[str], list[str]]]] = {
    "asdiv": _free,
    "boolq": _yes_no,
    "commonsenseqa": _choice,
    "fiqa": _free,
    "medqa": _choice,
    "mmlu": _choice,
    "nq-open": _free,
    "openbookqa": _choice,
    "piqa": _choice,
    "privacy-policy": _yes_no,
    "siqa": _choice,
    "truthfulqa": _free,
}
TASKS = tuple(_SETS)


def questions(task: str) -> list[Question]:
    """Return the questions of one set that have an answer, without repetitions.

    Raises
    ------
    BadInput
        Unknown set.
    AssetUnavailable
        The package cannot be fetched.
    """
    if task not in _SETS:
        raise unknown_name("question set", task, _SETS)
    found: list[Question] = []
    seen: set[str] = set()
    path = fetch(ASSET) / f"{task}.jsonl"
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        prompt, answers, choices = _SETS[task](json.loads(line))
        answers = [a.strip() for a in answers if a.strip()]
        prompt = re.sub(r"[ \t]+", " ", prompt).strip()
        if not answers or not prompt or prompt in seen:
            continue
        seen.add(prompt)
        one = Question(f"{task}-{number}", task, prompt, answers[0], tuple(answers), tuple(choices))
        found.append(one)
    return found


def split_questions(
    tasks: Sequence[str] | Mapping[str, int],
    *,
    prompts: int | None = None,
    test: int = 40,
    seed: int = 0,
) -> tuple[list[Question], list[Question]]:
    """Return a pool and a test set of questions: no question is in both.

    Parameters
    ----------
    tasks : sequence of str, or mapping of str to int
        Names of :data:`TASKS`; as a mapping, how many of each are in the pool.
    prompts : int, optional
        Size of the pool: drawn from all that is left, so that large sets have many, as in
        practice; all of it by default.
    test : int
        Questions of each set that are held out.
    seed : int

    Raises
    ------
    BadInput
        A set is smaller than its test questions, or than what is asked of it, or all are smaller
        than the pool.
    """
    counts = tasks if isinstance(tasks, Mapping) else {}
    pool: list[Question] = []
    held: list[Question] = []
    for task in tasks:
        items = questions(task)
        if len(items) <= test:
            raise BadInput(f"{task} has {len(items)} questions", f"hold out fewer than {test}")
        order = stream(seed, "held out", task).permutation(len(items))
        left = order[test:]
        if counts.get(task, 0) > len(left):
            raise BadInput(
                f"{counts[task]} prompts of {task}, which has {len(left)} beside those held out",
                "ask for fewer",
            )
        held += [items[i] for i in order[:test]]
        pool += [items[i] for i in np.sort(left[: counts.get(task)])]
    if prompts is not None:
        if prompts > len(pool):
            raise BadInput(f"{prompts} prompts of {len(pool)}", "ask for fewer, or name more tasks")
        chosen = stream(seed, "pool").permutation(len(pool))[:prompts]
        pool = [pool[i] for i in chosen.tolist()]
    return pool, held
