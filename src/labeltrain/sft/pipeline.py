"""From a file of prompts to a scored workspace: what the command `score` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from labeltrain.errors import BadInput
from labeltrain.sft import models
from labeltrain.sft.embedding import embedded
from labeltrain.sft.encoding_cost import keep_encoding_cost
from labeltrain.sft.reading import PromptFile, read_prompts
from labeltrain.sft.scored_pool import scored_pool
from labeltrain.sft.scorer import Scorer
from labeltrain.sft.scoring import LONG_SHARE, Settings, score_pool
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.workspace import PromptWorkspace

BACKENDS = ("transformers", "vllm")


class Shown(Protocol):
    """Where progress is shown."""

    def stage(self, name: str, total: float) -> None:
        """Begin a stage."""

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Say how far it is."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: float) -> None:
        """Begin a stage."""

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Say how far it is."""


def opened(
    folder: Path, source: str, reading: Mapping[str, Any] | None = None
) -> tuple[PromptWorkspace, PromptFile]:
    """Open the workspace of a pool, make it, or extend it by what is new in the file."""
    file = read_prompts(source, **dict(reading or {}))
    if not PromptWorkspace.exists(folder):
        return PromptWorkspace.create(folder, file, source), file
    workspace = PromptWorkspace.open(folder)
    try:
        workspace.extend(file, source)
    except BaseException:
        workspace.close()
        raise
    return workspace, file


def score_file(
    source: str,
    folder: Path,
    *,
    model: str | None = None,
    encoder: str | None = None,
    pooling: Sequence[str] = ("weighted",),
    max_new_tokens: int = 128,
    max_prompt_tokens: int | None = None,
    chat_template: str | None = None,
    batch_tokens: int = 8192,
    dtype: str = "float32",
    device: str = "auto",
    threads: int | None = None,
    backend: str = "transformers",
    server: str | None = None,
    reading: Mapping[str, Any] | None = None,
    bar: Shown | None = None,
) -> list[str]:
    """Score a file of prompts into a workspace, and return what to tell about it.

    Raises
    ------
    BadInput
        Prompts that cannot be read, options that do not fit the model.
    """
    bar = bar or Silent()
    if max_new_tokens < 1:
        raise BadInput(f"max_new_tokens={max_new_tokens}", "give 1 or more")
    if batch_tokens < 1:
        raise BadInput(f"batch_tokens={batch_tokens}", "give 1 or more")
    workspace, file = opened(folder, source, reading)
    with workspace:
        told = [f"{len(workspace.prompts)} prompts"]
        if file.left_out:
            told.append(f"{len(file.left_out)} lines left out: they are no prompts")
        if model is not None:
            if backend not in BACKENDS:
                raise BadInput(f"backend={backend!r} is unknown", f"known: {', '.join(BACKENDS)}")
            served = backend == "vllm"
            held = models.load(
                model, device=device, dtype=dtype, threads=threads, weights=not served
            )
            room = held.context - max_new_tokens
            if room < 1 or (max_prompt_tokens is not None and max_prompt_tokens > room):
                raise BadInput(
                    f"{max_prompt_tokens or 1} tokens of a prompt and {max_new_tokens} of an "
                    f"answer do not fit the {held.context} of {model}",
                    "allow fewer with --max-prompt-tokens or --max-new-tokens",
                )
            chat = ChatFormat(
                held.tokenizer, chat_template, max_prompt_tokens=max_prompt_tokens or room
            )
            settings = Settings(
                model,
                held.checksum(),
                chat.checksum,
                backend,
                dtype,
                max_new_tokens,
                chat.max_prompt_tokens,
                () if served else tuple(pooling),
                batch_tokens,
                held.device,
            )
            bar.stage(f"scoring with {model}", 1.0)
            key = score_pool(
                workspace,
                _scorer(held, chat, server if served else None),
                chat,
                settings,
                parameters=held.parameters,
                progress=bar.advance_to,
            )
            told += _told(workspace, key)
        if encoder is not None:
            bar.stage(f"embedding with {encoder}", len(workspace.prompts))
            found = embedded(encoder, workspace.prompts, None, progress=bar.advance_to)
            keep_encoding_cost(workspace, encoder, found)
            told.append(f"{encoder}: {found.array.shape[1]} dimensions, {found.seconds:.0f} s")
    return told


def _scorer(held: models.LanguageModel, chat: ChatFormat, server: str | None) -> Scorer:
    if held.model is None:
        from labeltrain.sft.vllm_scorer import VLLMScorer

        return VLLMScorer(held, server or "http://localhost:8000")
    from labeltrain.sft.generation import TransformersScorer

    return TransformersScorer(held, chat.frame)


def _told(workspace: PromptWorkspace, key: str) -> list[str]:
    pool = scored_pool(workspace, key)
    n = len(pool.drafts)
    long = float(pool.truncated.mean())
    told = [
        f"scores {key} by {pool.settings['model']}: {pool.seconds:.0f} s, "
        f"{pool.flops / 1e12:.1f} TFLOP, {float(pool.scores['tokens'].mean()):.1f} tokens an answer"
    ]
    if long > LONG_SHARE:
        told.append(
            f"{long:.0%} of the model's answers were not finished after "
            f"{pool.settings['max_new_tokens']} tokens: more of them (--max-new-tokens) make "
            "scores surer"
        )
    if pool.cut.any():
        told.append(f"{int(pool.cut.sum())} of {n} prompts were shortened")
    return told
