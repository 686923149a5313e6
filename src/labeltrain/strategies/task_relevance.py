"""Task relevance: more of the tasks that a target is made up of."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.quotas import in_shares
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.groups import group_codes, held_by_group
from labeltrain.strategies.task_vectors import ROWS, Relevance, chance_of, relevance_of, task_means
from labeltrain.strategies.view import PoolView

PROMPTS, GRADIENTS = "prompts", "gradients"


class TaskRelevance(Strategy):
    """Share the labels among tasks by how much each has in the target, ``W nu = w_T``.

    w_m is the mean of the embeddings of task m, each of length 1, w_T that of the targets. nu is 0
    or more, since what a harmful task taught cannot be taken back, and sparse: the L1 penalty is
    the largest that misses `unexplained` of what the tasks explain of the target. The next pick
    comes from the task of smallest (n_m - floor + 1/2) / share_m, n_m being its picks and, with
    `counting`, its labelled and pending items; so every prefix of the picks is in these shares,
    tasks with nothing left drop out, and tasks of share 0 come when all others are empty.

    Parameters
    ----------
    by : {"prompts", "gradients"}
        What embeddings are. ``prompts``: of items; means are over all items of a task, labelled or
        not, and the mean over tasks is taken off. ``gradients``: rows are directions in which a
        labelled item moves the model; means are over labelled items, and nothing is taken off.
        Rows of items without a label are not read, and rows of zeros are no gradients.
    within : {"random", "similar"}
        Which items of a task: random ones, or the most similar to the target first (``prompts``).
    floor : int
        Items of every task that come before any share, in turn: exploration.
    mixing : float
        From 0 to 1: which part of the shares goes to all tasks alike.
    unexplained : float
        Between 0 and 1; see above.
    counting : bool
        Labelled and pending items count towards floor and share of their task.

    Notes
    -----
    O(n d) for the means, O(M^3) for the relevance. Shares are nu / sum nu (q = 1, Wang et al.);
    they do not depend on the budget, so that fewer picks are the first of more. Equal if no task is
    relevant. A task without a vector, of which nothing is labelled by ``gradients``, has relevance
    0: `floor` and `mixing` reach it. :meth:`explained` tells relevance and what is left.

    Embeddings are centred since their origin says nothing: they mostly point the same way, and what
    all tasks share would make all of them relevant. A gradient of zero means "teaches nothing", so
    gradients are not: what all answers teach, such as their form, may well be what the target
    needs. Whitening is left to whoever makes the embeddings. Scores are shares, or the product with
    the target's vector where the most similar come first.

    The strategy is ours: that labels go to tasks by a sparse nu is Wang et al.'s, for heads of
    linear models; that means of gradients per example, each of length 1, tell what training on them
    does to a target is LESS's (Xia et al.).

    References
    ----------
    Wang et al.: Improved active multi-task representation learning via Lasso, ICML 2023. Xia,
    Malladi, Gururangan, Arora, Chen: LESS: selecting influential data for targeted instruction
    tuning, ICML 2024.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.repeat(np.eye(3), 10, axis=0)
    >>> tasks = np.repeat(["code", "prose", "sum"], 10)
    >>> T = [[0.0, 0.5, 1.0], [0.1, 0.5, 1.0]]
    >>> picks = labeltrain.select(
    ...     "task-relevance", embeddings=E, groups=tasks, targets=T, budget=8
    ... )
    >>> [int((tasks[picks.positions] == task).sum()) for task in ("code", "prose", "sum")]
    [0, 2, 6]
    """

    name: ClassVar[str] = "task-relevance"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS, Need.GROUPS, Need.TARGETS})
    summary: ClassVar[str] = "more of the tasks that the target is made up of"

    def __init__(
        self,
        *,
        by: str = PROMPTS,
        within: str = "random",
        floor: int = 0,
        mixing: float = 0.0,
        unexplained: float = 0.15,
        counting: bool = True,
    ) -> None:
        if by not in (PROMPTS, GRADIENTS):
            raise ValueError(f"by is {by!r}, expected {PROMPTS!r} or {GRADIENTS!r}")
        if within not in ("random", "similar"):
            raise ValueError(f"within is {within!r}, expected 'random' or 'similar'")
        if by == GRADIENTS and within == "similar":
            raise ValueError("items without a label have no gradient: within='similar' needs "
                             "by='prompts'")  # fmt: skip
        if floor < 0:
            raise ValueError(f"floor is {floor}, expected 0 or more")
        if not 0.0 <= mixing <= 1.0:
            raise ValueError(f"mixing is {mixing}, expected a number from 0 to 1")
        if not 0.0 < unexplained < 1.0:
            raise ValueError(f"unexplained is {unexplained}, expected between 0 and 1")
        self.by = by
        self.within = within
        self.floor = floor
        self.mixing = mixing
        self.unexplained = unexplained
        self.counting = counting
        if within == "similar":
            vars(self)["deterministic"] = True
            vars(self)["nested"] = counting

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` candidates, each from the task that is furthest behind its share."""
        codes, names = group_codes(view)
        mine = codes[view.candidates]
        if not len(mine):
            return Picks(view.candidates[:0])
        found, towards = self._explained(view)
        shares = found.shares(self.mixing)
        if self.within == "similar":
            values = _products(view, towards)
            keys, order = -values, np.arange(len(names))
        else:
            values = shares[mine]
            keys, order = rng.permutation(len(mine)), rng.permutation(len(names))
        picks = in_shares(
            mine,
            keys,
            order,
            held=held_by_group(view, codes, len(names)) if self.counting else None,
            weights=shares,
            floor=self.floor,
        )[:count]
        drawn = "random draw" if self.within == "random" else "like the target"
        told = [
            f"{drawn} from task {name} ({f'share {share:.0%}' if known else 'nothing known of it'})"
            for name, share, known in zip(names, shares, found.known, strict=True)
        ]
        return Picks(view.candidates[picks], values[picks], tuple(told[m] for m in mine[picks]))

    def explained(self, view: PoolView) -> Relevance:
        """Return the relevance of each task, and how much of the target no task explains.

        Raises
        ------
        BadInput
            No targets; by gradients: nothing is labelled.
        """
        return self._explained(view)[0]

    def _explained(self, view: PoolView) -> tuple[Relevance, np.ndarray]:
        if not len(view.targets):
            raise BadInput("targets has no rows", "give features of what the model is meant for")
        rows = None if self.by == PROMPTS else np.unique(view.labelled)
        if rows is not None and not len(rows):
            raise BadInput(
                "no item is labelled, and only those have a gradient",
                "have a first choice answered, as many of every task (random-balanced), or choose "
                "by prompts",
            )
        codes, names = group_codes(view)
        target, _ = task_means(view.targets, np.zeros(len(view.targets), dtype=np.int64), 1)
        means, counts = task_means(
            view.embeddings, codes, len(names), rows, zeros=self.by == PROMPTS
        )
        return relevance_of(
            names,
            means,
            counts,
            target[0],
            chance=chance_of(view.targets),
            centred=self.by == PROMPTS,
            unexplained=self.unexplained,
        )


def _products(view: PoolView, towards: np.ndarray) -> np.ndarray:
    """Return the product of each candidate with the target's vector, float64 (k,)."""
    length = float(np.linalg.norm(towards))
    direction = towards / length if length > 0.0 else towards
    found = np.empty(len(view.candidates))

    def fill(part: slice) -> None:
        rows = unit_rows(view.embeddings, view.candidates[part]).astype(np.float64)
        found[part] = (rows * direction).sum(axis=1)  # the same for a row wherever it stands

    map_blocks(fill, row_blocks(len(found), ROWS))
    return found
