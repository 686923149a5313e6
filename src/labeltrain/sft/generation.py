"""Scoring with transformers: greedy answers whose logits are reduced at every step."""

from __future__ import annotations

from collections.abc import Sequence

from labeltrain.sft.models import LanguageModel
from labeltrain.sft.prefill import NO_FRAME, Frame, Prefilled
from labeltrain.sft.reductions import Running
from labeltrain.sft.scorer import Scored, Scorer


class TransformersScorer(Scorer):
    """Prefill a batch once, for the embeddings and the first token; then token by token.

    Parameters
    ----------
    held : LanguageModel
    frame : tuple of (tuple of int, tuple of int)
        Tokens that prompts begin and end with, whatever they ask: embeddings leave them out.
    """

    name = "transformers"

    def __init__(self, held: LanguageModel, frame: Frame = NO_FRAME) -> None:
        self._held = held
        self._frame = frame

    def score(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, poolings: Sequence[str]
    ) -> Scored:
        """See :class:`Scorer`."""
        batch = Prefilled(self._held, prompts, poolings, self._frame)
        running = Running.empty(len(prompts), self._held.device)
        answers, finished = batch.greedy(max_new_tokens, running.add)
        drafts = tuple(self._held.text(answer) for answer in answers)
        return Scored(running.scores(), drafts, ~finished, batch.embeddings)
