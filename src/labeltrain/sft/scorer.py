"""What scores prompts: the interface, and what comes back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

POOLINGS = ("last", "mean", "weighted")


@dataclass(frozen=True)
class Scored:
    """Scores of some prompts.

    Attributes
    ----------
    scores : dict of str to ndarray of float64, shape (b,)
        See :data:`labeltrain.sft.reductions.SCORES`; a backend that cannot know one has NaN there.
    drafts : tuple of str, length b
        The model's own answers, which the scores are of.
    truncated : ndarray of bool, shape (b,)
        Answers that were not finished within the tokens allowed.
    embeddings : dict of str to ndarray of float32, shape (b, d)
        By pooling: "last", "mean", "weighted".
    """

    scores: Mapping[str, np.ndarray]
    drafts: tuple[str, ...]
    truncated: np.ndarray
    embeddings: Mapping[str, np.ndarray] = field(default_factory=dict)


class Scorer(ABC):
    """A backend: the model answers prompts greedily, and says how sure it was."""

    name: str = ""

    @abstractmethod
    def score(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, poolings: Sequence[str]
    ) -> Scored:
        """Score prompts, given as tokens.

        Parameters
        ----------
        prompts : sequence of sequence of int
        max_new_tokens : int
        poolings : sequence of str
            Embeddings that are wanted.

        Returns
        -------
        Scored
            In the order of the prompts; no score depends on the other prompts, but for rounding.
        """
