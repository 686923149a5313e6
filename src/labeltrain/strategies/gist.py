"""GIST: uncertain items that are far from each other."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import mean_squared_distance
from labeltrain.kernels.spread import spread_out
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.token_scores import UNCERTAINTIES, known_score, uncertainty_ranks
from labeltrain.strategies.view import PoolView


class Gist(Strategy):
    """Maximise ``mean_{b in B} u_b + diversity * min dist(b, s)`` over batches B.

    u is the rank of an item's uncertainty in the pool, from 0 to 1. The minimum runs over pairs of
    an item b of the batch and another item s that is in the batch, labelled or pending; distances
    between items that are known already do not count, since no choice changes them. The unit of
    distance is the root of the mean squared distance of the pool.

    For a series of distances d a batch is made greedily: in the order of uncertainty, each item
    that is at least d away from all before it. The best of these, the most uncertain items, and
    the farthest-first batch is picked. Ties go to the lowest position.

    Parameters
    ----------
    score : str
        The uncertainty u, as in ``token-uncertainty``; or ``uniform``: all items are worth as
        much, and only distances count.
    diversity : float
        λ. 0: the most uncertain items. 1: a fair mixture.
    tolerance : float
        ε: each distance that is tried is 1 + ε times the one before. Smaller: more of them.
    normalise : bool
        Bring the embeddings to length 1 first.
    memory : int
        Bytes for a copy of the pool; the picks do not depend on it.

    Notes
    -----
    At least 1 / (2 + 2 ε) of the best value that any batch of this size has. The paper's sets have
    *at most* k items, for which it proves 2/3 - ε with such linear utilities; of exactly k items,
    as here, no quick algorithm is sure of more than 1/2 in every metric space (with u = 0 it is the
    p-dispersion problem). So its second start, the two items farthest apart, is the farthest-first
    batch here, and distances go up to twice that batch's smallest one in place of the pool's
    diameter: beyond, no k items are as far apart. The paper adds up utilities, of which more than a
    few drown the distance; here their mean counts, and ranks in place of values.

    O(t n k d) for t distances (39 for ε = 0.1) at the very most: most searches are cut short. No
    n x n matrix. Scores are u. The batch depends on its size: picks are not nested.

    References
    ----------
    Fahrbach, Ramalingam, Zadimoghaddam, Ahmadian, Citovsky, DeSalvo: GIST: greedy independent set
    thresholding for max-min diversification with submodular utility, NeurIPS 2025.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[0.0], [0.1], [1.0], [1.2]])
    >>> scores = {"mean_entropy": [0.9, 0.8, 0.7, 0.1]}
    >>> for diversity in (0.0, 0.5, 9.0):
    ...     picks = labeltrain.select("gist", embeddings=E, scores=scores, budget=2,
    ...                               diversity=diversity, normalise=False)
    ...     print(picks.positions.tolist())
    [0, 1]
    [0, 2]
    [0, 3]
    """

    name: ClassVar[str] = "gist"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    deterministic: ClassVar[bool] = True
    summary: ClassVar[str] = "uncertain items, none of them close to another"

    def __init__(
        self,
        *,
        score: str = "mean-entropy",
        diversity: float = 1.0,
        tolerance: float = 0.1,
        normalise: bool = True,
        memory: int = MEMORY,
    ) -> None:
        if score != "uniform" and score not in UNCERTAINTIES:
            known = ", ".join(["uniform", *UNCERTAINTIES])
            raise ValueError(f"score is {score!r}, expected one of {known}")
        if not 0.0 <= diversity <= 1e9:
            raise ValueError(f"diversity is {diversity}, expected a number from 0 to 1e9")
        if not 0.001 <= tolerance <= 1.0:
            raise ValueError(f"tolerance is {tolerance}, expected a number from 0.001 to 1")
        self.score = score if score == "uniform" else known_score(score)
        self.diversity = diversity
        self.tolerance = tolerance
        self.normalise = normalise
        self.memory = memory
        if score != "uniform":
            vars(self)["needs"] = type(self).needs | {Need.SCORES}
        else:
            vars(self)["deterministic"] = False  # positions decide between equal items

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` candidates that are uncertain, and far from each other."""
        points = view.embeddings
        if self.normalise:
            points = view.memo("unit embeddings", lambda: unit_rows(view.embeddings))
        utility = np.ones(view.n)
        if self.score != "uniform":
            utility = uncertainty_ranks(view, self.score)
        unit = math.sqrt(mean_squared_distance(points, normalise=False))
        found = spread_out(
            points,
            utility,
            count,
            candidates=view.candidates,
            centres=np.union1d(view.labelled, view.pending),
            strength=self.diversity / unit,
            tolerance=self.tolerance,
            memory=self.memory,
        )
        why = f"at least {found.gap / unit:.2g} times the usual distance away from all others"
        if self.score != "uniform":
            why = f"uncertain, and {why}"
        return Picks(found.positions, utility[found.positions], why=why)
