"""The scores of a pool, put together from their shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, nearest
from labeltrain.sft.reductions import SCORES
from labeltrain.sft.scoring import plan
from labeltrain.sft.workspace import PromptWorkspace


@dataclass(frozen=True)
class ScoredPool:
    """Scores of all prompts of a workspace by one model.

    Attributes
    ----------
    key : str
        Name of the scoring.
    settings : dict
        See :class:`labeltrain.sft.scoring.Settings`.
    scores : dict of str to ndarray of float64, shape (n,)
        By position in the pool.
    drafts : tuple of str, length n
        The model's own answers.
    truncated, cut : ndarray of bool, shape (n,)
        Answers that were not finished; prompts whose beginning was left out.
    prompt_tokens : ndarray of int64, shape (n,)
    embeddings : dict of str to ndarray of float32, shape (n, d)
        By pooling.
    seconds, flops : float
        What it took.
    """

    key: str
    settings: dict[str, Any]
    scores: dict[str, np.ndarray]
    drafts: tuple[str, ...]
    truncated: np.ndarray
    cut: np.ndarray
    prompt_tokens: np.ndarray
    embeddings: dict[str, np.ndarray]
    seconds: float
    flops: float


def scorings(workspace: PromptWorkspace) -> dict[str, dict[str, Any]]:
    """Return the settings of every scoring that was begun, by name, the latest last."""
    found: dict[str, dict[str, Any]] = {}
    for event in workspace.events("planned"):
        key = event.body["scoring"]
        found.pop(key, None)
        found[key] = event.body["settings"]
    return found


def only_scored_pool(workspace: PromptWorkspace) -> ScoredPool | None:
    """Return the scores of the pool where just one model scored all of it, else None."""
    known = scorings(workspace)
    whole = [key for key in known if is_whole(workspace, key)]
    if not whole or len({known[key]["model"] for key in whole}) > 1:
        return None
    return scored_pool(workspace, whole[-1])


def is_whole(workspace: PromptWorkspace, key: str) -> bool:
    """Tell whether a scoring has all prompts of the workspace."""
    shards, done = plan(workspace, key)
    return len(done) == len(shards) and sum(map(len, shards)) == len(workspace.prompts)


def scored_pool(workspace: PromptWorkspace, name: str | None = None) -> ScoredPool:
    """Return a scoring: the one of that name, or the latest of that model or of the only one.

    A model may have scored the pool with several settings; finished scorings go first.

    Raises
    ------
    BadInput
        There is none of that name, there are several models, or it is not finished.
    """
    known = scorings(workspace)
    again = "labeltrain sft score (the same command again goes on where it stopped)"
    if not known:
        raise BadInput(f"{workspace.folder} holds no scores", f"first run: {again}")
    fitting = [k for k, s in known.items() if name is None or name in (k, s["model"])]
    if len({known[key]["model"] for key in fitting}) == 1:
        whole = [key for key in fitting if is_whole(workspace, key)]
        fitting = (whole or fitting)[-1:]
    if len(fitting) != 1:
        listed = ", ".join(f"{k} ({s['model']})" for k, s in known.items())
        close = nearest(name or "", [*known, *(s["model"] for s in known.values())])
        what = f"no scores called {name!r}" if not fitting else "scores of several models"
        raise BadInput(
            f"{workspace.folder} holds {what}",
            f"{f'did you mean {close!r}? ' if close and not fitting else ''}"
            f"--scores one of: {listed}",
        )
    key = fitting[0]
    shards, done = plan(workspace, key)
    n = len(workspace.prompts)
    if len(done) < len(shards) or sum(map(len, shards)) < n:
        missing = n - sum(body["prompts"] for body in done.values())
        raise BadInput(
            f"{missing} of {n} prompts are not scored yet by {known[key]['model']}", f"run: {again}"
        )
    scores = {score: np.full(n, np.nan) for score in SCORES}
    truncated, cut = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    lengths = np.zeros(n, dtype=np.int64)
    drafts = [""] * n
    embeddings: dict[str, np.ndarray] = {}
    for number in range(len(shards)):
        arrays, facts = workspace.store.load_arrays(done[number]["arrays"])
        rows = arrays["positions"]
        for score in SCORES:
            scores[score][rows] = arrays[score]
        truncated[rows], cut[rows] = arrays["truncated"], arrays["cut"]
        lengths[rows] = arrays["prompt_tokens"]
        for position, draft in zip(rows.tolist(), facts["drafts"], strict=True):
            drafts[position] = draft
        for label, values in arrays.items():
            if label.startswith("embeddings:"):
                pooling = label.split(":", 1)[1]
                shape = (n, values.shape[1])
                embeddings.setdefault(pooling, np.zeros(shape, np.float32))[rows] = values
    return ScoredPool(
        key,
        known[key],
        scores,
        tuple(drafts),
        truncated,
        cut,
        lengths,
        embeddings,
        sum(body["seconds"] for body in done.values()),
        sum(body["flops"] for body in done.values()),
    )


def prompt_room(workspace: PromptWorkspace, model: str, scoring: str | None) -> int | None:
    """Return how long prompts were when this model scored them; None where it did not.

    A choice is of prompts as they were scored, so training shortens them alike.
    """
    known = scorings(workspace)
    fitting = [known[scoring]] if scoring in known else list(known.values())
    lengths = {s["max_prompt_tokens"] for s in fitting if s["model"] == model}
    return int(lengths.pop()) if len(lengths) == 1 else None
