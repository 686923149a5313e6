"""Token uncertainty: prompts of whose answer the language model itself is least certain."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.ranking import lowest
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.token_scores import known_score, reasons, uncertainty_of
from labeltrain.strategies.view import PoolView


class TokenUncertainty(Strategy):
    """Pick the prompts with the most uncertain answers.

    Uncertainty is that of the model's own, greedily generated answer of T tokens; no reference
    answer is needed. Ties go to the lowest position.

    Parameters
    ----------
    score : str
        ``mean-entropy``: mean entropy of the T steps. ``least-confidence``: -ln of the answer's
        probability, which prefers long answers. ``least-confidence-norm``: that divided by T.
        ``mean-margin``: smallest mean of p(1) - p(2). ``min-margin``: smallest p(1) - p(2) of any
        step. ``max-entropy``: largest entropy of any step. Each reads one array of ``scores``:
        ``mean_entropy``, ``nll``, ``nll_mean``, ``mean_margin``, ``min_margin``, ``max_entropy``.

    Notes
    -----
    O(n). Scores of the picks are uncertainties: of margins the negative. Uncertain prompts may be
    broken ones, or many of one kind: see ``task-diversity`` and ``filter-then-cover``. The maximum
    over the tokens grows with T.

    References
    ----------
    Bhatt, Chen, Das, Zhang, Truong, Mussmann, Zhu, Bilmes, Du, Jamieson, Ash, Nowak: An
    experimental design framework for label-efficient supervised finetuning of large language
    models, Findings of ACL 2024. Its scores are known here by name only; the formulas are the usual
    ones, applied to the generated tokens, and ``max-entropy`` and ``least-confidence-norm`` are
    ours.

    Examples
    --------
    >>> import labeltrain
    >>> scores = {"mean_entropy": [0.1, 0.9, 0.5], "min_margin": [0.02, 0.3, 0.4]}
    >>> labeltrain.select("token-uncertainty", scores=scores, budget=2).positions.tolist()
    [1, 2]
    >>> labeltrain.select(
    ...     "token-uncertainty", scores=scores, score="min-margin", budget=1
    ... ).why
    ('smallest margin of a token of the answer: 0.02',)
    """

    name: ClassVar[str] = "token-uncertainty"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.SCORES})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "prompts whose generated answer is least certain"

    def __init__(self, *, score: str = "mean-entropy") -> None:
        self.score = known_score(score)

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates of largest uncertainty."""
        uncertainties = uncertainty_of(view, self.score)[view.candidates]
        best = lowest(-uncertainties, count)
        return Picks(
            view.candidates[best], uncertainties[best], why=reasons(self.score, uncertainties[best])
        )
