"""Scoring a whole pool: bucketed by length, in shards, resumed after a kill to the same files."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labeltrain.data.checks import some
from labeltrain.errors import BadInput
from labeltrain.sft.reductions import SCORES
from labeltrain.sft.scorer import POOLINGS, Scored, Scorer
from labeltrain.sft.template import ChatFormat, Rendered
from labeltrain.sft.workspace import PromptWorkspace

SHARD = 256  # prompts; of small pools an eighth, but no fewer than 32: a kill loses no more
LEAST = 32
PARTS = 8
LONG_SHARE = 0.2  # of unfinished answers: more make scores of means doubtful

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Settings:
    """What the scores depend on beside the prompts; together they name a scoring.

    Attributes
    ----------
    model : str
        As it was named.
    weights : str
        Checksum of weights and tokenizer.
    template : str
        Checksum of the chat template.
    backend : str
    dtype : str
    max_new_tokens, max_prompt_tokens : int
    poolings : tuple of str
    batch_tokens : int
        Tokens of a batch, padding and answers included.
    device : str
        Other devices round otherwise.
    """

    model: str
    weights: str
    template: str
    backend: str
    dtype: str
    max_new_tokens: int
    max_prompt_tokens: int
    poolings: tuple[str, ...]
    batch_tokens: int
    device: str = "cpu"
    version: int = 2  # embeddings leave out what the template adds to every prompt

    @property
    def key(self) -> str:
        """Return the name of the scoring."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def score_pool(
    workspace: PromptWorkspace,
    scorer: Scorer,
    chat: ChatFormat,
    settings: Settings,
    *,
    parameters: int = 0,
    progress: Progress | None = None,
) -> str:
    """Score what is not scored yet, and return the name of the scoring.

    Prompts are sorted by length, longest first, and cut into shards of up to 256; the cut is
    committed before the first is scored, each shard when it is done. A shard that was begun and not
    committed is scored again, with the same batches, to the same bits.

    Parameters
    ----------
    workspace : PromptWorkspace
    scorer : Scorer
    chat : ChatFormat
    settings : Settings
    parameters : int
        Weights of the model, for the count of operations.
    progress : callable, optional
        Called with tokens done and tokens in all.
    """
    for pooling in settings.poolings:
        if pooling not in POOLINGS:
            raise BadInput(f"pooling {pooling!r} is unknown", f"known: {', '.join(POOLINGS)}")
    key = settings.key
    rendered = _rendered(workspace, chat)
    shards, done = plan(workspace, key)
    held = {p for shard in shards for p in shard}
    new = [p for p in range(len(workspace.prompts)) if p not in held]
    if new or not shards:
        cut = _cut(new, rendered)
        body = {"scoring": key, "settings": asdict(settings), "shards": cut}
        workspace.append("planned", body)
        shards += cut
    work = [_work(shard, rendered, settings) for shard in shards]
    total, so_far = float(sum(work)), float(sum(work[i] for i in done))
    if progress:
        progress(so_far, total)
    for number, shard in enumerate(shards):
        if number in done:
            continue
        _score_shard(workspace, scorer, settings, key, number, shard, rendered, parameters)
        so_far += work[number]
        if progress:
            progress(so_far, total)
    return key


def plan(workspace: PromptWorkspace, key: str) -> tuple[list[list[int]], dict[int, dict[str, Any]]]:
    """Return the shards of a scoring, as positions, and the events of those that are done."""
    shards: list[list[int]] = []
    for event in workspace.events("planned"):
        if event.body["scoring"] == key:
            shards += event.body["shards"]
    done = {
        int(event.body["shard"]): event.body
        for event in workspace.events("scored")
        if event.body["scoring"] == key
    }
    return shards, done


def _rendered(workspace: PromptWorkspace, chat: ChatFormat) -> list[Rendered]:
    found = []
    for prompt in workspace.prompts:
        try:
            found.append(chat.prompt(prompt.messages))
        except BadInput as error:
            raise BadInput(
                f"prompt {prompt.id!r} (line {prompt.line}): {error.problem}", error.remedy
            ) from error
    cut = [workspace.prompts[i] for i, r in enumerate(found) if r.cut]
    if cut:
        lines = some(prompt.line for prompt in cut)
        warnings.warn(
            f"{len(cut)} of {len(found)} prompts are longer than {chat.max_prompt_tokens} tokens "
            f"(lines {lines}); the beginning of their longest message is left out",
            stacklevel=3,
        )
    return found


def _cut(positions: Sequence[int], rendered: Sequence[Rendered]) -> list[list[int]]:
    order = sorted(positions, key=lambda p: (-len(rendered[p].tokens), p))
    size = min(SHARD, max(LEAST, len(order) // PARTS))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _work(shard: Sequence[int], rendered: Sequence[Rendered], settings: Settings) -> int:
    """Return what a shard takes, in tokens of prompts: one of an answer costs about four."""
    return sum(len(rendered[p].tokens) + 4 * settings.max_new_tokens for p in shard)


def batches(lengths: Sequence[int], most: int, batch_tokens: int) -> list[list[int]]:
    """Cut prompts, longest first, into batches of about equal tokens; return their rows.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of the prompts, falling.
    most : int
        Tokens of an answer.
    batch_tokens : int

    Examples
    --------
    >>> from labeltrain.sft.scoring import batches
    >>> batches([40, 20, 8, 8], 8, 64)
    [[0], [1, 2], [3]]
    """
    found: list[list[int]] = []
    row = 0
    while row < len(lengths):
        size = max(1, batch_tokens // (lengths[row] + most))
        found.append(list(range(row, min(row + size, len(lengths)))))
        row += size
    return found


def _score_shard(
    workspace: PromptWorkspace,
    scorer: Scorer,
    settings: Settings,
    key: str,
    number: int,
    shard: Sequence[int],
    rendered: Sequence[Rendered],
    parameters: int,
) -> None:
    started = time.perf_counter()
    tokens = [rendered[p].tokens for p in shard]
    parts: list[Scored] = []
    for rows in batches([len(t) for t in tokens], settings.max_new_tokens, settings.batch_tokens):
        chosen = [tokens[row] for row in rows]
        parts.append(scorer.score(chosen, settings.max_new_tokens, settings.poolings))
    arrays: dict[str, np.ndarray] = {
        name: np.concatenate([part.scores[name] for part in parts]) for name in SCORES
    }
    arrays["truncated"] = np.concatenate([part.truncated for part in parts])
    arrays["positions"] = np.asarray(shard, dtype=np.int64)
    arrays["prompt_tokens"] = np.array([len(t) for t in tokens], dtype=np.int64)
    arrays["cut"] = np.array([rendered[p].cut for p in shard])
    for pooling in settings.poolings:
        arrays[f"embeddings:{pooling}"] = np.concatenate([p.embeddings[pooling] for p in parts])
    for name, values in arrays.items():
        if name.startswith("embeddings:") or name in ("prompt_tokens", "positions"):
            wrong = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        else:
            wrong = np.isinf(values)
        if wrong.any():
            prompt = workspace.prompts[shard[int(np.flatnonzero(wrong)[0])]]
            raise BadInput(
                f"the model gives no finite {name} for prompt {prompt.id!r} (line {prompt.line})",
                "score with --dtype float32, or check the model's weights",
            )
    drafts = [draft for part in parts for draft in part.drafts]
    name = workspace.store.save_arrays(arrays, {"drafts": drafts})
    generated = float(np.nansum(arrays["tokens"]))
    read = int(arrays["prompt_tokens"].sum())
    body = {
        "scoring": key,
        "shard": number,
        "arrays": name,
        "prompts": len(shard),
        "seconds": time.perf_counter() - started,
        "prompt_tokens": read,
        "generated_tokens": generated,
        "flops": 2.0 * parameters * (read + generated),
    }
    workspace.append("scored", body)
