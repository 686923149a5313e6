"""Gradients of answers in a workspace: each is made once for a model, a prompt and its answer."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.sft import models
from labeltrain.sft.answers import answers_of
from labeltrain.sft.gradients import DIMENSIONS, RANK, SEED, Gradients, answer_gradients
from labeltrain.sft.prompts import Message, content_of
from labeltrain.sft.reading import PromptFile
from labeltrain.sft.scored_pool import prompt_room, scorings
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.workspace import PromptWorkspace

SHARD = 32  # answers between two commits
Pair = tuple[Sequence[Message], str]


@dataclass(frozen=True)
class GradientOptions:
    """Which model gradients are of, and how prompts become its tokens: as it will be trained.

    Attributes
    ----------
    model : str, optional
        The one that scored the pool by default, where that is one.
    chat_template : str, optional
    max_prompt_tokens : int, optional
        As in scoring by default, or what fits the model.
    device : str
    threads : int, optional
    """

    model: str | None = None
    chat_template: str | None = None
    max_prompt_tokens: int | None = None
    device: str = "auto"
    threads: int | None = None

    def asked(self) -> dict[str, object]:
        """Return what gradients depend on, of what was said."""
        told = asdict(self)
        return {k: told[k] for k in ("model", "chat_template", "max_prompt_tokens")}


def gradients_in(
    workspace: PromptWorkspace,
    target: PromptFile,
    options: GradientOptions,
    *,
    where: str = "the target",
    progress: Callable[[float, float], None] | None = None,
) -> Gradients:
    """Return the gradients of the workspace's answers, and of a target's.

    Parameters
    ----------
    workspace : PromptWorkspace
        It keeps those that are made.
    target : PromptFile
        With answers.
    options : GradientOptions
    where : str
        The target's file, for errors.
    progress : callable, optional

    Raises
    ------
    BadInput
        A prompt of the target has no answer, nobody has answered a prompt of the pool, or it is not
        clear which model is meant.
    """
    wanted = _target_pairs(target, where)
    held = answers_of(workspace)
    if not held:
        raise BadInput(
            "by=gradients goes by answers of the pool, and nobody has answered yet",
            "have a first choice answered (labeltrain sft select --method random-balanced, export, "
            "import), then choose with --set by=gradients; or --set by=prompts, which needs none",
        )
    positions = sorted(workspace.position[item] for item in held)
    prompts = [workspace.prompts[p] for p in positions]
    pairs: list[Pair] = [(prompt.messages, held[prompt.id]) for prompt in prompts]
    ids = [prompt.id for prompt in prompts] + [prompt.id for prompt in target.prompts]
    found = _kept(workspace, options, [*pairs, *wanted], ids, progress)
    rows = np.zeros((len(workspace.prompts), found.shape[1]), dtype=np.float32)
    rows[positions] = found[: len(positions)]
    return Gradients(rows, found[len(positions) :])


def _target_pairs(target: PromptFile, where: str) -> list[Pair]:
    missing = [
        prompt.line
        for prompt, answer in zip(target.prompts, target.answers, strict=True)
        if answer is None or not answer.strip()
    ]
    if missing:
        raise BadInput(
            f"{where}: {len(missing)} of {len(target.prompts)} prompts have no answer (the first "
            f"in line {missing[0]}), and by=gradients reads it",
            "give each one under answer or completion, or choose with --set by=prompts",
        )
    pairs = zip(target.prompts, target.answers, strict=True)
    return [(prompt.messages, str(answer)) for prompt, answer in pairs]


def _model_of(workspace: PromptWorkspace, options: GradientOptions) -> str:
    if options.model is not None:
        return options.model
    known = {str(settings["model"]) for settings in scorings(workspace).values()}
    if len(known) != 1:
        what = f"several models scored the pool: {', '.join(sorted(known))}" if known else (
            "no model scored the pool"
        )  # fmt: skip
        raise BadInput(f"by=gradients needs the model that is to be tuned, and {what}", "--model")
    return known.pop()


def _kept(
    workspace: PromptWorkspace,
    options: GradientOptions,
    pairs: Sequence[Pair],
    ids: Sequence[str],
    progress: Callable[[float, float], None] | None,
) -> np.ndarray:
    """Return the gradients of answers; those that the workspace lacks are made and committed."""
    model = _model_of(workspace, options)
    light = models.load(model, device=options.device, threads=options.threads, weights=False)
    room = options.max_prompt_tokens or prompt_room(workspace, model, None) or light.context
    chat = ChatFormat(light.tokenizer, options.chat_template, max_prompt_tokens=room)
    settings = {
        "weights": light.checksum(),
        "template": chat.checksum,
        "max_prompt_tokens": room,
        "rank": RANK,
        "dimensions": DIMENSIONS,
        "seed": SEED,
    }
    names = [_name(messages, answer) for messages, answer in pairs]
    known: dict[str, np.ndarray] = {}
    for event in workspace.events("gradients"):
        if event.body["settings"] == settings:
            arrays, facts = workspace.store.load_arrays(event.body["arrays"])
            known.update(zip(facts["contents"], arrays["gradients"], strict=True))
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    left = [i for i in sorted(first.values()) if names[i] not in known]
    full = None
    for start in range(0, len(left), SHARD):
        full = full or models.load(model, device=options.device, threads=options.threads)
        part = left[start : start + SHARD]
        started = time.perf_counter()
        made = answer_gradients(full, chat, [pairs[i] for i in part], ids=[ids[i] for i in part])
        contents = [names[i] for i in part]
        arrays_name = workspace.store.save_arrays({"gradients": made}, {"contents": contents})
        workspace.append(
            "gradients",
            {
                "settings": settings,
                "model": model,
                "arrays": arrays_name,
                "answers": len(part),
                "seconds": time.perf_counter() - started,
            },
        )
        known.update(zip(contents, made, strict=True))
        if progress is not None:
            progress(float(start + len(part)), float(len(left)))
    return np.stack([known[name] for name in names])


def _name(messages: Sequence[Message], answer: str) -> str:
    text = json.dumps([content_of(messages), answer], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
