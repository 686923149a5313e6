"""Examples of what a model is meant for: a file of prompts, for designs that go by a target."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.sft.embedding import Embedded, embedded
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.reading import PromptFile, read_prompts
from labeltrain.sft.scorer import POOLINGS


def read_target(path: Path) -> PromptFile:
    """Return the prompts of a target, with answers where they have some.

    Raises
    ------
    BadInput
        As :func:`labeltrain.sft.reading.read_prompts`.
    """
    return read_prompts(path, answers="keep")


def embedded_target(
    target: PromptFile, pool: Sequence[Prompt], looked: Embedded | None, whiten: int | None
) -> np.ndarray | None:
    """Return the embeddings of a target's prompts, as those of the pool were made, (t, d).

    Raises
    ------
    BadInput
        The pool's are states of the model, or whitened: those of other prompts are not kept.
    """
    if looked is None:
        return None
    if looked.name in POOLINGS or whiten is not None:
        raise BadInput(
            "target prompts are embedded by an encoder", "--embeddings minilm, without --whiten"
        )
    if target.answered:
        warnings.warn(
            f"{target.answered} of {len(target.prompts)} prompts of the target come with an "
            "answer, which is not read",
            stacklevel=4,
        )
    return embedded(looked.name, target.prompts, None, like=pool).array
