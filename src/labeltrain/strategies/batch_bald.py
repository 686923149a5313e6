"""BatchBALD: the batch that says most about which member of the committee is right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.joint_information import greedy_joint_information
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class BatchBald(Strategy):
    """Greedily raise the mutual information between the labels of the batch and the member.

    I(y_1..y_b; s) = H(y_1..y_b) - sum_i mean_s H(p_s(y_i)). Unlike BALD, it does not count twice
    what two picks tell alike. Exact while the batch has at most `configurations` joint
    labellings, then on as many drawn ones.

    Parameters
    ----------
    configurations : int

    Notes
    -----
    O(K S C) for a candidate that is looked at, K the number of joint labellings; most are not
    looked at (lazy greedy). S members carry log2 S bits: a batch much larger than that cannot be
    told apart by them, and once they are spent a new joint begins. Scores are the gains in bits.

    References
    ----------
    Kirsch, van Amersfoort, Gal: BatchBALD: efficient and diverse batch acquisition for deep
    Bayesian active learning, NeurIPS 2019.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> first = np.array([[[0.9, 0.1]], [[0.9, 0.1]], [[0.1, 0.9]], [[0.1, 0.9]]])
    >>> second = np.array([[[0.8, 0.2]], [[0.2, 0.8]], [[0.8, 0.2]], [[0.2, 0.8]]])
    >>> committee = np.concatenate([first, first, second], axis=1)  # items 0 and 1 tell the same
    >>> labeltrain.select("batch-bald", committee=committee, budget=2).positions.tolist()
    [0, 2]
    """

    name: ClassVar[str] = "batch-bald"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.COMMITTEE})
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    summary: ClassVar[str] = "the batch whose labels tell most about the committee's members"

    def __init__(self, configurations: int = 1024) -> None:
        if configurations < 1:
            raise ValueError("configurations must be at least 1")
        self.configurations = configurations

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the greedy batch."""
        rows, gains = greedy_joint_information(
            view.committee[:, view.candidates], count, rng, configurations=self.configurations
        )
        why = "models disagree about it, and not about the other picks alike"
        return Picks(view.candidates[rows], gains, why=why)
