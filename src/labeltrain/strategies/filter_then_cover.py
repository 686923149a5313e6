"""Filter, then cover: keep the most uncertain prompts, and choose varied ones among them."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.k_center import k_center
from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import Similarity, mean_squared_distance
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.token_scores import known_score, uncertainty_of
from labeltrain.strategies.view import PoolView


class FilterThenCover(Strategy):
    """Keep the candidates whose answers are least certain, and cover with some of them.

    The ``factor * count`` candidates of largest uncertainty are kept. Among them facility location
    greedily raises ``mean_i max_{s in S} k(x_i, x_s)``, or k-center picks the farthest one again
    and again; S is what is labelled, pending and picked. Ties go to the lowest position.

    Parameters
    ----------
    score : str
        The uncertainty that items are kept by, as in ``token-uncertainty``.
    factor : float
        How many candidates are kept for each pick, at least 1. At 1 nothing is left to choose.
    cover : {"facility-location", "k-center"}
    covered : {"kept", "pool"}
        The items i of the mean: those that were kept, or the whole pool, where an uncertain item
        counts for more when it stands for many others. k-center covers what was kept.
    kernel : {"gaussian", "cosine"}
        Of facility location, as in ``facility-location``.
    gamma : float
        Width of the Gaussian, in mean squared distances of the pool.
    normalise : bool
        Bring the embeddings to length 1 first.
    memory : int
        Bytes to use beside the embeddings; the picks do not depend on it.

    Notes
    -----
    With m kept items, O(m^2 d) for the first gains, O(m n d) where the pool is covered, then a few
    columns a pick; k-center O((labelled + count) m d). With a factor of n it picks as
    ``facility-location`` does. Scores are gains of the mean, or distances. What is kept depends on
    the budget, so picks are not nested.

    References
    ----------
    Wei, Iyer, Bilmes: Submodularity in data subset selection and active learning, ICML 2015: the
    filter, as GIST's paper tells it. Bhatt et al.: An experimental design framework for
    label-efficient supervised finetuning of large language models, 2024: scores and covers.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0]])
    >>> scores = {"mean_entropy": [0.9, 0.8, 0.7, 0.1]}
    >>> labeltrain.select(
    ...     "filter-then-cover", embeddings=E, scores=scores, budget=1
    ... ).positions.tolist()
    [1]
    """

    name: ClassVar[str] = "filter-then-cover"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS, Need.SCORES})
    deterministic: ClassVar[bool] = True
    summary: ClassVar[str] = "uncertain prompts first, then varied ones among them"

    def __init__(
        self,
        *,
        score: str = "mean-entropy",
        factor: float = 3.0,
        cover: str = "facility-location",
        covered: str = "kept",
        kernel: str = "gaussian",
        gamma: float = 1.0,
        normalise: bool = True,
        memory: int = MEMORY,
    ) -> None:
        if not 1.0 <= factor <= 1e9:
            raise ValueError(f"factor is {factor}, expected a number from 1 to 1e9")
        if cover not in ("facility-location", "k-center"):
            raise ValueError(f"cover is {cover!r}, expected 'facility-location' or 'k-center'")
        if covered not in ("kept", "pool"):
            raise ValueError(f"covered is {covered!r}, expected 'kept' or 'pool'")
        if cover == "k-center" and covered == "pool":
            raise ValueError("k-center covers what was kept: leave covered out")
        if kernel not in ("gaussian", "cosine"):
            raise ValueError(f"kernel is {kernel!r}, expected 'gaussian' or 'cosine'")
        if not 1e-9 <= gamma <= 1e9:
            raise ValueError(f"gamma is {gamma}, expected a number from 1e-9 to 1e9")
        self.score = known_score(score)
        self.factor = factor
        self.cover = cover
        self.covered = covered
        self.kernel = kernel
        self.gamma = gamma
        self.normalise = normalise
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` of the most uncertain candidates that cover them, or the pool."""
        uncertainties = uncertainty_of(view, self.score)[view.candidates]
        most = min(len(uncertainties), math.ceil(self.factor * count))
        kept = view.candidates[lowest(-uncertainties, most)]  # the most uncertain first
        given = np.union1d(view.labelled, view.pending)
        if self.covered == "pool":
            return self._represent(view, np.arange(view.n), kept, given, count)
        rows = np.concatenate([kept, given])
        places, known = np.arange(len(kept)), np.arange(len(kept), len(rows))
        if self.cover == "facility-location":
            return self._represent(view, rows, places, known, count)
        points = unit_rows(view.embeddings, rows) if self.normalise else view.embeddings[rows]
        picks, distances = k_center(
            points, count, candidates=places, centres=known, memory=self.memory
        )
        why = tuple(f"uncertain, and {d:.3g} away from the nearest choice" for d in distances)
        return Picks(rows[picks], distances, why=why)

    def _represent(
        self, view: PoolView, rows: np.ndarray, kept: np.ndarray, given: np.ndarray, count: int
    ) -> Picks:
        """Return the picks of facility location; `kept` and `given` are places in `rows`."""
        similarity = Similarity(self.kernel, 1.0, self.normalise or self.kernel == "cosine")
        if self.kernel == "gaussian":
            scale = self.gamma * mean_squared_distance(view.embeddings, self.normalise)
            similarity = Similarity(self.kernel, scale, self.normalise)
        weights = np.ones(len(rows))
        if self.covered == "kept":
            weights[given] = 0.0  # what is labelled covers, and is not covered
        found = greedy_coverage(
            view.embeddings if self.covered == "pool" else view.embeddings[rows],
            similarity,
            count,
            candidates=kept,
            given=given,
            weights=weights,
            memory=self.memory,
        )
        why = tuple(f"uncertain, and stands for {n} similar items" for n in found.nearest)
        return Picks(rows[found.positions], found.gains / weights.sum(), why=why)
