"""Question-answering sets as tasks: is this answer the right one?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from labeltrain.data import Dataset
from labeltrain.data.question_sets import Question, questions
from labeltrain.errors import BadInput
from labeltrain.multitask.tasks import Source, Task
from labeltrain.rng import stream

CLASSES = ("wrong", "right")


def question_tasks(counts: Mapping[str, int], seed: int = 0) -> tuple[Source, ...]:
    """Return question sets with choices, each as one task.

    Parameters
    ----------
    counts : mapping of str to int
        How many questions of each set, drawn at random.
    seed : int

    Returns
    -------
    tuple of Source
        An item is a question with one of its choices: the right one or, as often, a wrong one by
        chance. Each question is one item, so that none is in two splits.

    Raises
    ------
    BadInput
        A set without choices, or with fewer questions.
    AssetUnavailable
        The package cannot be fetched.
    """
    found = []
    for number, (name, count) in enumerate(counts.items()):
        every = [one for one in questions(name) if set(one.choices) - {one.answer}]
        if not 4 <= count <= len(every):
            raise BadInput(
                f"{count} questions of {name}, which has {len(every)} with choices",
                f"give a number from 4 to {len(every)}" if every else "name another set",
            )
        rng = stream(seed, "question tasks", name)
        kept = [every[i] for i in np.sort(rng.permutation(len(every))[:count])]
        right = rng.permutation(np.arange(count) % 2)
        dataset = Dataset(
            name,
            "text",
            [_asked(one, bool(r), rng) for one, r in zip(kept, right, strict=True)],
            tuple(one.id for one in kept),
            "multiclass",
            CLASSES,
            right.astype(np.int64),
        )
        task = Task(name, number, np.arange(count), "binary", name, "", 1)
        found.append(Source(name, dataset, (task,)))
    return tuple(found)


def _asked(one: Question, right: bool, rng: np.random.Generator) -> str:
    """Return the question without its list of choices, and one of these."""
    lines = one.prompt.split("\n")
    listed = {choice.strip() for choice in one.choices}
    bare = [line for line in lines if line.strip() not in listed]
    wrong = [choice for choice in one.choices if choice != one.answer]
    choice = one.answer if right else wrong[int(rng.integers(len(wrong)))]
    return "\n".join([*bare, choice])
