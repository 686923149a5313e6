"""Balanced random draws: as many from every group."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.quotas import in_shares
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.groups import group_codes, held_by_group
from labeltrain.strategies.view import PoolView


class RandomBalanced(Strategy):
    """Draw as many items from every group, at random within each.

    The groups take turns in a seeded order: the one with fewest items gives the next, so the first
    groups of that order have one more when the budget is no multiple of their number. Groups with
    nothing left drop out, and the others share what they cannot give (water filling).

    Parameters
    ----------
    counting : bool
        True: labelled and pending items count towards the share of their group, so that all labels
        together are balanced. False: each batch is balanced by itself.

    Notes
    -----
    O(n log n). With the same view and seed, fewer picks are the first of more picks. Groups may be
    numbers or names.

    Examples
    --------
    >>> import labeltrain
    >>> tasks = ["sum", "sum", "sum", "sum", "prose", "code"]
    >>> picks = labeltrain.select("random-balanced", groups=tasks, budget=4)
    >>> sorted(tasks[p] for p in picks)
    ['code', 'prose', 'sum', 'sum']
    """

    name: ClassVar[str] = "random-balanced"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.GROUPS})
    summary: ClassVar[str] = "uniform draws, as many from every group"

    def __init__(self, *, counting: bool = True) -> None:
        self.counting = counting

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` draws, the groups in turn."""
        codes, names = group_codes(view)
        mine = codes[view.candidates]
        picks = in_shares(
            mine,
            rng.permutation(len(mine)),
            rng.permutation(len(names)),
            held=held_by_group(view, codes, len(names)) if self.counting else None,
        )[:count]
        why = tuple(f"random draw from group {names[group]}" for group in mine[picks])
        return Picks(view.candidates[picks], why=why)
