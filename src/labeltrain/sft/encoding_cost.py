"""What embedding a pool with a text encoder costs, though most of it may be in a cache."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from labeltrain.sft.embedding import Embedded
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.workspace import PromptWorkspace

SAMPLE = 64  # prompts that are encoded once more, to count operations
MOSTLY = 0.5  # fresh; of less, the time of the whole is estimated from the sample


def keep_encoding_cost(
    workspace: PromptWorkspace, encoder: str, found: Embedded
) -> dict[str, Any] | None:
    """Note once for a pool and an encoder what embedding takes, and return it.

    Returns
    -------
    dict or None
        ``encoder``, ``prompts``, ``seconds``, ``flops`` (None where they cannot be counted) and
        ``estimated``: from a sample, since a cache held most. None for states of the model, which
        come with the scores.
    """
    if encoder in POOLINGS:
        return None
    n = len(workspace.prompts)
    for event in workspace.events("embedded"):
        if event.body["encoder"] == encoder and event.body.get("prompts") == n:
            return event.body
    body = {"encoder": encoder, "prompts": n, **encoding_cost(encoder, workspace.prompts, found)}
    workspace.append("embedded", body)
    return body


def encoding_cost(encoder: str, prompts: Sequence[Prompt], found: Embedded) -> dict[str, Any]:
    """Return seconds and operations of embedding all prompts.

    Operations are those of matrix products, counted on 64 prompts spread over the pool.
    """
    from labeltrain.encoders import make

    made = make(encoder)
    if made.whole:  # it has to see all, and is never cached
        return {"seconds": found.seconds, "flops": None, "estimated": False}
    step = max(1, len(prompts) // SAMPLE)
    sample = [prompt.text for prompt in prompts[::step][:SAMPLE]]
    times = len(prompts) / len(sample)
    with _counted() as counter:
        made.encode(sample)
    counted = 0 if counter is None else counter.get_total_flops()
    flops = float(counted) * times if counted else None
    if found.fresh >= MOSTLY:
        return {"seconds": found.seconds / found.fresh, "flops": flops, "estimated": False}
    started = time.perf_counter()
    made.encode(sample)
    seconds = (time.perf_counter() - started) * times
    return {"seconds": seconds, "flops": flops, "estimated": True}


@contextlib.contextmanager
def _counted() -> Iterator[Any]:
    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:
        yield None
        return
    with FlopCounterMode(display=False) as counter:
        yield counter
