"""Task diversity: every task its share, more where the language model is less confident."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.quotas import in_shares
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.groups import group_codes, held_by_group
from labeltrain.strategies.token_scores import (
    known_score,
    reasons,
    token_score,
    uncertainty_of,
)
from labeltrain.strategies.view import PoolView

LEAST = 1e-3  # a task's confidence counts as at least this


class TaskDiversity(Strategy):
    """Share the labels among the tasks in proportion to 1 / confidence.

    The confidence c_g of task g is the mean over its prompts, labelled ones too, of the model's
    confidence in its own answer, and at least 0.001. The next pick comes from the task of smallest
    (n_g + 1/2) c_g, n_g being its picks and, with `counting`, its labelled and pending items; so
    every prefix of the picks is in these shares, and tasks with nothing left drop out.

    Parameters
    ----------
    weighted : bool
        False: as many from every task, whatever the confidence (the plain TaskDiversity).
    within : {"random", "uncertainty"}
        Which prompts of a task: random ones, or the most uncertain first.
    confidence : {"likelihood", "margin"}
        ``exp(-nll_mean)``, the geometric mean of the probabilities of the answer's tokens, or
        ``mean_margin``.
    score : str
        The uncertainty for `within`, as in ``token-uncertainty``.
    counting : bool
        Labelled and pending items count towards the share of their task.

    Notes
    -----
    O(n log n). Tasks that are equal go in a seeded order, and in that of their names where picks
    are the most uncertain: no draw is needed then. Scores are uncertainties, NaN for draws. The
    groups are the tasks; without any, clusters of the prompts can stand for them.

    The paper's text was not available: that shares are proportional to inverse confidence, and
    filled in turn, is told by its abstract and by summaries. Which confidence it takes, the floor,
    and how shares are rounded are ours.

    References
    ----------
    Arabelly, Nemade, Nowak, Zhang: Improving task diversity in label efficient supervised
    finetuning of LLMs, EMNLP 2025.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> tasks = np.repeat(["easy", "hard"], 10)
    >>> nll = np.repeat([-np.log(0.8), -np.log(0.2)], 10)
    >>> picks = labeltrain.select(
    ...     "task-diversity", groups=tasks, scores={"nll_mean": nll}, budget=10
    ... )
    >>> [int((tasks[picks.positions] == task).sum()) for task in ("easy", "hard")]
    [2, 8]
    """

    name: ClassVar[str] = "task-diversity"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.GROUPS})
    summary: ClassVar[str] = "every task its share, more where the model is less confident"

    def __init__(
        self,
        *,
        weighted: bool = True,
        within: str = "random",
        confidence: str = "likelihood",
        score: str = "mean-entropy",
        counting: bool = True,
    ) -> None:
        if within not in ("random", "uncertainty"):
            raise ValueError(f"within is {within!r}, expected 'random' or 'uncertainty'")
        if confidence not in ("likelihood", "margin"):
            raise ValueError(f"confidence is {confidence!r}, expected 'likelihood' or 'margin'")
        self.weighted = weighted
        self.within = within
        self.confidence = confidence
        self.score = known_score(score)
        self.counting = counting
        if weighted or within == "uncertainty":
            vars(self)["needs"] = type(self).needs | {Need.SCORES}
        if within == "uncertainty":
            vars(self)["deterministic"] = True
            vars(self)["nested"] = counting

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` candidates, each from the task that is furthest behind its share."""
        codes, names = group_codes(view)
        mine = codes[view.candidates]
        confidences = self._confidences(view, codes, len(names)) if self.weighted else None
        uncertainties = None
        if self.within == "uncertainty":
            uncertainties = uncertainty_of(view, self.score)[view.candidates]
            keys, order = -uncertainties, np.arange(len(names))
        else:
            keys, order = rng.permutation(len(mine)), rng.permutation(len(names))
        picks = in_shares(
            mine,
            keys,
            order,
            held=held_by_group(view, codes, len(names)) if self.counting else None,
            weights=None if confidences is None else 1.0 / confidences,
        )[:count]
        why = [f"task {names[group]}" for group in mine[picks]]
        if confidences is not None:
            means = confidences[mine[picks]]
            why = [f"{w} (confidence {c:.2g})" for w, c in zip(why, means, strict=True)]
        if uncertainties is None:
            why = [f"random draw from {w}" for w in why]
            return Picks(view.candidates[picks], why=tuple(why))
        more = reasons(self.score, uncertainties[picks])
        why = [f"{w}; {m}" for w, m in zip(why, more, strict=True)]
        return Picks(view.candidates[picks], uncertainties[picks], why=tuple(why))

    def _confidences(self, view: PoolView, codes: np.ndarray, tasks: int) -> np.ndarray:
        reader = f"confidence={self.confidence!r}"
        if self.confidence == "margin":
            values = token_score(view, "mean_margin", reader)
        else:
            values = np.exp(-np.maximum(token_score(view, "nll_mean", reader), 0.0))
        sizes = np.bincount(codes, minlength=tasks)
        # Added up in ascending order: the sum of equal values is then the same in every task.
        ascending = values[np.lexsort((values, codes))]
        sums = np.add.reduceat(ascending, np.cumsum(sizes) - sizes)
        return np.maximum(sums / sizes, LEAST)
