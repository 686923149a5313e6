"""Training and evaluating in a workspace: every model and every score is kept with how it came."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.sft import models
from labeltrain.sft.answers import answers_of, skipped_of
from labeltrain.sft.choosing import choices, kept_choice
from labeltrain.sft.evaluation import METRICS, Evaluation, TestItem, evaluate, read_test
from labeltrain.sft.prompts import Message
from labeltrain.sft.scored_pool import prompt_room
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


@dataclass(frozen=True)
class AnsweredPrompts:
    """What is trained on.

    Attributes
    ----------
    ids : tuple of str
    pairs : tuple of (messages, answer)
    waiting : int
        Prompts of the choice that nobody answered or skipped.
    choice : str or None
        Its name; None: all answers.
    before : int
        Of the pairs, those that the choice was built on.
    scoring : str or None
        What was read for the choice.
    """

    ids: tuple[str, ...]
    pairs: tuple[tuple[tuple[Message, ...], str], ...]
    waiting: int
    choice: str | None
    before: int
    scoring: str | None


def answered_prompts(
    workspace: PromptWorkspace,
    choice: str | None,
    top: int | None = None,
    *,
    alone: bool = False,
    everything: bool = False,
) -> AnsweredPrompts:
    """Return the answered prompts to train on.

    Those of a choice come after those that it was built on, since it was to complement them.
    Without a choice, and with none in the workspace, all answered prompts are taken.

    Parameters
    ----------
    workspace : PromptWorkspace
    choice : str, optional
        The only one if there is one.
    top : int, optional
        Only the first so many of a nested choice.
    alone : bool
        Without what the choice was built on.
    everything : bool
        All answers, whatever was chosen.

    Raises
    ------
    BadInput
        Nothing is answered, options that do not go together.
    """
    held = answers_of(workspace)
    if everything and (choice is not None or top is not None or alone):
        raise BadInput("all answers are wanted, and a choice, too", "leave one of both out")
    known = choices(workspace)
    before: list[int] = []
    name = scoring = None
    if everything or (choice is None and not known):
        positions = sorted(workspace.position[item] for item in held)
    else:
        if choice is None and len(known) > 1:
            raise BadInput(
                f"{workspace.folder} holds several choices",
                f"--choice one of: {', '.join(known)}; or --all for all answers",
            )
        kept = kept_choice(workspace, choice)
        name, scoring = kept.name, kept.body["scoring"]
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
        before = [] if alone else kept.given.tolist()
    mine = sum(workspace.prompts[p].id in held for p in positions)
    if not mine:
        raise BadInput(
            f"none of {len(positions)} prompts has an answer", "labeltrain sft import FILE"
        )
    answered = [p for p in [*before, *positions] if workspace.prompts[p].id in held]
    ids = tuple(workspace.prompts[p].id for p in answered)
    done = {*held, *skipped_of(workspace)}
    return AnsweredPrompts(
        ids,
        tuple((workspace.prompts[p].messages, held[workspace.prompts[p].id]) for p in answered),
        sum(workspace.prompts[p].id not in done for p in positions),
        name,
        len(answered) - mine,
        scoring,
    )


def train_in(
    workspace: PromptWorkspace,
    settings: TrainSettings,
    *,
    choice: str | None = None,
    top: int | None = None,
    alone: bool = False,
    everything: bool = False,
    name: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on the answered prompts of a choice, and keep the model in the workspace.

    See :func:`answered_prompts`; prompts are as long as in scoring, unless the settings say.

    Raises
    ------
    BadInput
        The name is taken, nothing is answered.
    """
    material = answered_prompts(workspace, choice, top, alone=alone, everything=everything)
    name = name or "-".join(
        part
        for part in (
            material.choice,
            None if top is None else f"top{top}",
            "alone" if alone else None,
            f"seed{settings.seed}",
        )
        if part is not None
    )
    if settings.max_prompt_tokens is None:
        room = prompt_room(workspace, settings.model, material.scoring)
        settings = replace(settings, max_prompt_tokens=room)
    if name == BASE or "/" in name or name.startswith("."):
        raise BadInput(f"the name {name!r} cannot be a model's", "choose another --name")
    if (earlier := tuned_models(workspace).get(name)) is not None:
        kept = earlier.body
        same = (kept["settings"], kept.get("ids")) == (settings_body(settings), list(material.ids))
        if not same:
            raise BadInput(
                f"{workspace.folder} holds another model {name!r}", "give this one another --name"
            )
        return kept | {"again": True}
    folder = workspace.folder / "models" / name
    if folder.exists():  # a training that was killed
        shutil.rmtree(folder)
    done = train(
        settings,
        material.pairs,
        ids=material.ids,
        device=device,
        threads=threads,
        out=folder,
        progress=progress,
    )
    body = {
        "name": name,
        "folder": str(folder.relative_to(workspace.folder)),
        "choice": material.choice,
        "ids": list(material.ids),
        "labels": len(material.pairs),
        "before": material.before,
        "waiting": material.waiting,
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
        settings = _settings_of_all(workspace, base)
        own = models.load(
            base, device=device, dtype=dtype or settings.get("dtype", "float32"), threads=threads
        )
        return own, settings
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


def _settings_of_all(workspace: PromptWorkspace, model: str) -> dict[str, Any]:
    """Return what the trainings of a model agree on, so that it is compared on the same prompts."""
    tuned = [
        one.body["settings"]
        for one in tuned_models(workspace).values()
        if one.body["settings"]["model"] == model
    ]
    found: dict[str, Any] = {}
    for name in ("max_prompt_tokens", "chat_template", "dtype"):
        values = [settings.get(name) for settings in tuned]
        if any(value != values[0] for value in values):
            warnings.warn(
                f"models were trained from {model} with several values of {name}: the untuned one "
                "is evaluated as by default, on prompts that may be shortened otherwise",
                stacklevel=3,
            )
        elif values and values[0] is not None:
            found[name] = values[0]
    if not tuned and (room := prompt_room(workspace, model, None)) is not None:
        found["max_prompt_tokens"] = room
    return found


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
