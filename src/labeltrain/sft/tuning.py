"""Training and evaluating in a workspace: every model and every score is kept with how it came."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.sft import models
from labeltrain.sft.answers import answers_of
from labeltrain.sft.choosing import kept_choice
from labeltrain.sft.evaluation import METRICS, Evaluation, TestItem, evaluate, read_test
from labeltrain.sft.prompts import Message
from labeltrain.sft.template import ChatFormat
from labeltrain.sft.training import TrainSettings, settings_body, train
from labeltrain.sft.workspace import PromptWorkspace

BASE = "base"  # the model before it is tuned
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Tuned:
    """A model that was trained in a workspace.

    Attributes
    ----------
    name : str
    folder : Path
    body : dict
        What the ledger says of it.
    """

    name: str
    folder: Path
    body: dict[str, Any]


def tuned_models(workspace: PromptWorkspace) -> dict[str, Tuned]:
    """Return the models that were trained, by name."""
    found = {}
    for event in workspace.events("trained"):
        body = event.body
        found[body["name"]] = Tuned(body["name"], workspace.folder / body["folder"], body)
    return found


def training_pairs(
    workspace: PromptWorkspace, choice: str | None, top: int | None
) -> tuple[list[tuple[tuple[Message, ...], str]], int, str | None]:
    """Return prompts with their answers, how many of the choice wait, and the choice's name.

    Without a choice, and with none in the workspace, all answered prompts are taken.

    Raises
    ------
    BadInput
        Nothing is answered.
    """
    held = answers_of(workspace)
    if choice is None and not list(workspace.events("chosen")):
        positions = sorted(workspace.position[item] for item in held)
        name = None
    else:
        kept = kept_choice(workspace, choice)
        name = kept.name
        positions = kept.positions.tolist()[: len(kept.positions) if top is None else top]
        if top is not None and top > len(kept.positions):
            raise BadInput(
                f"--top {top} of a choice of {len(kept.positions)}", "choose more prompts first"
            )
        if top is not None and top < len(kept.positions) and not kept.body["nested"]:
            raise BadInput(
                f"the first {top} of {name!r} are no choice of {kept.body['method']} by themselves",
                f"labeltrain sft select --method {kept.body['method']} --budget {top}",
            )
    pairs = []
    for position in positions:
        prompt = workspace.prompts[position]
        if prompt.id in held:
            pairs.append((prompt.messages, held[prompt.id]))
    if not pairs:
        raise BadInput(
            f"none of {len(positions)} prompts has an answer", "labeltrain sft import FILE"
        )
    return pairs, len(positions) - len(pairs), name


def train_in(
    workspace: PromptWorkspace,
    settings: TrainSettings,
    *,
    choice: str | None = None,
    top: int | None = None,
    name: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on the answered prompts of a choice, and keep the model in the workspace.

    Raises
    ------
    BadInput
        The name is taken, nothing is answered.
    """
    pairs, waiting, chosen = training_pairs(workspace, choice, top)
    name = name or "-".join(
        part for part in (chosen, None if top is None else f"top{top}", f"seed{settings.seed}")
        if part is not None
    )  # fmt: skip
    if name == BASE or "/" in name or name.startswith("."):
        raise BadInput(f"the name {name!r} cannot be a model's", "choose another --name")
    if name in tuned_models(workspace):
        raise BadInput(
            f"{workspace.folder} holds a model {name!r} already", "give this one another --name"
        )
    folder = workspace.folder / "models" / name
    if folder.exists():  # a training that was killed
        shutil.rmtree(folder)
    done = train(settings, pairs, device=device, threads=threads, out=folder, progress=progress)
    body = {
        "name": name,
        "folder": str(folder.relative_to(workspace.folder)),
        "choice": chosen,
        "labels": len(pairs),
        "waiting": waiting,
        "settings": settings_body(settings),
        **done.facts(),
    }
    workspace.append("trained", body)
    return body


def loaded(
    workspace: PromptWorkspace,
    name: str,
    *,
    base: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    dtype: str | None = None,
) -> tuple[models.LanguageModel, dict[str, Any]]:
    """Return a tuned model by name, or the untuned one (``base``), and its settings.

    Raises
    ------
    BadInput
        There is none of that name.
    """
    known = tuned_models(workspace)
    if name == BASE:
        if base is None:
            named = {t.body["settings"]["model"] for t in known.values()}
            if len(named) != 1:
                raise BadInput("which model is meant by base?", "--model NAME")
            base = named.pop()
        own = models.load(base, device=device, dtype=dtype or "float32", threads=threads)
        return own, {}
    if name not in known:
        raise unknown_name("model", name, [BASE, *known])
    one = known[name]
    settings = one.body["settings"]
    if settings["tune"] == "full":
        return models.load(
            str(one.folder), device=device, dtype=dtype or "float32", threads=threads
        ), settings
    import transformers
    from peft import PeftModel

    held = models.load(
        settings["model"], device=device, dtype=dtype or settings["dtype"], threads=threads
    )
    with models.quiet(transformers):
        tuned = PeftModel.from_pretrained(held.model, one.folder).eval()
    return models.LanguageModel(
        name, held.folder, held.config, held.tokenizer, tuned, held.device, held.dtype
    ), settings


def evaluate_in(
    workspace: PromptWorkspace,
    test: Path,
    name: str,
    *,
    base: str | None = None,
    metrics: tuple[str, ...] = METRICS,
    max_new_tokens: int = 64,
    max_prompt_tokens: int | None = None,
    chat_template: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, list[TestItem]]:
    """Evaluate a model of a workspace on held-out prompts, and keep the scores.

    Raises
    ------
    BadInput
        A held-out prompt stands in the pool: its answer may have been trained on.
    """
    items = read_test(test)
    refuse_overlap(workspace, items, str(test))
    held, settings = loaded(workspace, name, base=base, device=device, threads=threads)
    most = max_prompt_tokens or settings.get("max_prompt_tokens")
    chat = ChatFormat(
        held.tokenizer,
        chat_template or settings.get("chat_template"),
        max_prompt_tokens=most or max(1, held.context - max_new_tokens),
    )
    found = evaluate(
        held, chat, items, metrics=metrics, max_new_tokens=max_new_tokens, progress=progress
    )
    arrays = workspace.store.save_arrays(
        dict(found.values), {"ids": list(found.ids), "tasks": list(found.tasks)}
    )
    body = {
        "model": name,
        "test": hashlib.sha256(test.read_bytes()).hexdigest(),
        "file": str(test),
        "items": len(items),
        "arrays": arrays,
        "macro": {m: _finite(found.macro(m)) for m in METRICS},
        "cut": found.cut,
        "seconds": found.seconds,
    }
    workspace.append("evaluated", body)
    return found, items


def refuse_overlap(workspace: PromptWorkspace, items: list[TestItem], where: str) -> None:
    """Raise when held-out prompts stand in the pool.

    Raises
    ------
    BadInput
    """
    from labeltrain.sft.prompts import content_of

    pool = {prompt.content: prompt for prompt in workspace.prompts}
    for item in items:
        if (other := pool.get(content_of(item.messages))) is not None:
            raise BadInput(
                f"{where}: the prompt {item.id!r} stands in the pool, as {other.id!r}: a score on "
                "it says nothing",
                "hold out prompts that are not in the pool",
            )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
