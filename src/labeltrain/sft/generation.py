"""Scoring with transformers: greedy answers whose logits are reduced at every step."""

from __future__ import annotations

from collections.abc import Sequence

from labeltrain.sft.models import LanguageModel
from labeltrain.sft.prefill import Prefilled
from labeltrain.sft.reductions import Running
from labeltrain.sft.scorer import Scored, Scorer


class TransformersScorer(Scorer):
    """Prefill a batch once, for the embeddings and the first token; then token by token.

    Parameters
    ----------
    held : LanguageModel
    """

    name = "transformers"

    def __init__(self, held: LanguageModel) -> None:
        self._held = held

    def score(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, poolings: Sequence[str]
    ) -> Scored:
        """See :class:`Scorer`."""
        batch = Prefilled(self._held, prompts, poolings)
        running = Running.empty(len(prompts), self._held.device)
        answers, finished = batch.greedy(max_new_tokens, running.add)
        drafts = tuple(self._held.text(answer) for answer in answers)
        return Scored(running.scores(), drafts, ~finished, batch.embeddings)
