"""Facility location: items that represent the whole pool."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np

from labeltrain.kernels.coverage import Greedy, greedy_coverage
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import Similarity, mean_squared_distance
from labeltrain.kernels.uncertainty import binary_margin, margin
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.token_scores import known_score, uncertainty_ranks
from labeltrain.strategies.view import PoolView

MANY = 0.1  # of a pool; so many uncovered items are worth a warning
FREE = 1e-12  # what an item costs that costs nothing: its gain per cost is finite


class FacilityLocation(Strategy):
    """Greedily maximise ``mean_i max_{s in S} k(x_i, x_s) + uncertainty * mean_{b in B} u_b``.

    The first mean runs over the whole pool, S is what is labelled, pending and picked, and B the
    batch. Greedy picks reach at least 1 - 1/e of the best possible value. Equal gains go to the
    lowest position.

    Parameters
    ----------
    kernel : {"gaussian", "cosine"}
        ``exp(-d^2 / (gamma * mean squared distance))``, or the cosine, 0 where it is negative.
    gamma : float
        Width of the Gaussian. Small: every item stands for itself. Large: one stands for all.
    uncertainty : float
        Weight of the mean uncertainty of the batch beside the mean similarity of the pool to it:
        both lie between 0 and 1, and 1 is a fair mixture. u is 1 - margin, replaced by its rank in
        the pool. Above 0 the strategy needs probabilities, and picks are no longer nested, since
        the mean depends on the size of the batch.
    score : str
        What is uncertain: "" the predicted class; else the model's own answer to a prompt, by one
        of the scores of ``token-uncertainty``, which needs no probabilities.
    normalise : bool
        Bring the embeddings to length 1 first.
    neighbours : int, optional
        Count only so many nearest neighbours of each item as similar: a graph of that size is
        built once, and picks cost next to nothing. None: all pairs.
    approximate : bool
        Look for the neighbours in the cells of k-means around each item only, O(n^1.5 d) instead of
        O(n^2 d): most of them are found. Picks then depend on the seed.
    parts : int, optional
        For pools that are too large for one graph: pick in so many random parts of the pool first,
        twice as many as asked for in all, then among those by their coverage of the whole pool.
        Picks then depend on the seed. None: one graph of all items.
    per_cost : bool
        Pick what gains most per cost, as much as the round's budget pays for (Khuller et al.), for
        items whose labels cost differently. Then nothing is picked that gains nothing, and picks
        are not nested: one that is worth all others may come first.
    memory : int
        Bytes to use beside the embeddings; the picks do not depend on it.

    Notes
    -----
    Lazy and exact; O(n^2 d) for the first gains, then a few columns, O(n d), a pick. On a graph,
    similarities are rounded to float32, and an item that no pick is a neighbour of counts as not
    covered at all: give at least about 4 n / budget neighbours.

    References
    ----------
    Cornuejols, Fisher, Nemhauser: Location of bank accounts to optimize float, 1977.
    Bhatt et al.: An experimental design framework for label-efficient supervised finetuning of
    large language models, 2024.
    Khuller, Moss, Naor: The budgeted maximum coverage problem, 1999.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0]])
    >>> labeltrain.select("facility-location", embeddings=E, budget=2).positions.tolist()
    [1, 3]
    """

    name: ClassVar[str] = "facility-location"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "items that together are similar to the whole pool"

    def __init__(
        self,
        *,
        kernel: str = "gaussian",
        gamma: float = 1.0,
        uncertainty: float = 0.0,
        score: str = "",
        normalise: bool = True,
        neighbours: int | None = None,
        approximate: bool = False,
        parts: int | None = None,
        per_cost: bool = False,
        memory: int = MEMORY,
    ) -> None:
        if kernel not in ("gaussian", "cosine"):
            raise ValueError(f"kernel is {kernel!r}, expected 'gaussian' or 'cosine'")
        if not 1e-9 <= gamma <= 1e9:
            raise ValueError(f"gamma is {gamma}, expected a number from 1e-9 to 1e9")
        if not 0.0 <= uncertainty <= 1e9:
            raise ValueError(f"uncertainty is {uncertainty}, expected a number from 0 to 1e9")
        if neighbours is not None and neighbours < 1:
            raise ValueError(f"neighbours is {neighbours}, expected 1 or more")
        self.kernel = kernel
        self.gamma = gamma
        self.uncertainty = uncertainty
        self.score = score and known_score(score)
        if score and uncertainty == 0.0:
            raise ValueError(f"score={score!r} says what is uncertain: give uncertainty, too")
        self.normalise = normalise
        if approximate and neighbours is None:
            raise ValueError("approximate says how neighbours are found: give neighbours, too")
        if parts is not None and parts < 2:
            raise ValueError(f"parts is {parts}, expected 2 or more")
        if parts is not None and neighbours is None:
            raise ValueError("parts are searched on graphs of their own: give neighbours, too")
        if per_cost and neighbours is None:
            raise ValueError("per_cost searches a graph: give neighbours, too")
        if per_cost and (parts is not None or uncertainty > 0.0):
            raise ValueError("per_cost goes with neither parts nor uncertainty: leave one out")
        self.neighbours = neighbours
        self.approximate = approximate
        self.parts = parts
        self.per_cost = per_cost
        self.memory = memory
        if uncertainty > 0.0:
            read = Need.SCORES if score else Need.PROBABILITIES
            vars(self)["needs"] = type(self).needs | {read}
            vars(self)["nested"] = False
        if per_cost:
            vars(self)["needs"] = self.needs | {Need.COSTS}
            vars(self)["nested"] = False
        if neighbours is not None:
            vars(self)["version"] = 2  # similarities on a graph are rounded to float32
        if approximate or parts is not None:
            vars(self)["deterministic"] = vars(self)["nested"] = False

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily raise the objective most."""
        points = view.embeddings
        similarity = Similarity(self.kernel, 1.0, self.normalise or self.kernel == "cosine")
        if self.kernel == "gaussian":
            scale = self.gamma * mean_squared_distance(points, self.normalise)
            similarity = Similarity(self.kernel, scale, self.normalise)
        own = None
        if self.uncertainty > 0.0:
            ranks = uncertainty_ranks(view, self.score) if self.score else _ranks(view)
            own = (self.uncertainty * view.n / count) * ranks
        found = self._greedy(view, similarity, count, own, rng)
        if self.neighbours is not None:
            chosen = len(view.labelled) + len(view.pending) + len(found.positions)
            _tell_uncovered(found.coverage, self.neighbours, chosen)
        why = tuple(f"stands for {n} similar items" for n in found.nearest)
        return Picks(found.positions, found.gains / view.n, why=why)

    def _greedy(
        self,
        view: PoolView,
        similarity: Similarity,
        count: int,
        own: np.ndarray | None,
        rng: np.random.Generator,
    ) -> Greedy:
        given = np.concatenate([view.labelled, view.pending])
        if self.neighbours is None:
            return greedy_coverage(
                view.embeddings,
                similarity,
                count,
                candidates=view.candidates,
                given=given,
                modular=own,
                memory=self.memory,
            )
        from labeltrain.kernels.graph_coverage import (
            budgeted_coverage_on_graph,
            greedy_coverage_on_graph,
        )
        from labeltrain.kernels.neighbours import approximate_neighbours, nearest_neighbours
        from labeltrain.kernels.partitioned_coverage import partitioned_coverage

        if self.parts is not None:
            return partitioned_coverage(
                view.embeddings,
                self.neighbours,
                similarity,
                count,
                self.parts,
                rng,
                candidates=view.candidates,
                given=given,
                modular=own,
                approximate=self.approximate,
                memory=self.memory,
            )
        options: dict[str, Any] = {"normalise": similarity.normalise, "memory": self.memory}
        if self.approximate:
            seed = int(rng.integers(2**31))
            found = approximate_neighbours(view.embeddings, self.neighbours, seed, **options)
        else:
            found = nearest_neighbours(view.embeddings, self.neighbours, **options)
        indices, distances = found
        if self.per_cost:
            left = view.round.budget - view.round.spent
            return budgeted_coverage_on_graph(
                indices,
                distances,
                similarity,
                left,
                np.maximum(view.costs, FREE),
                candidates=view.candidates,
                given=given,
            )
        return greedy_coverage_on_graph(
            indices,
            distances,
            similarity,
            count,
            candidates=view.candidates,
            given=given,
            modular=own,
        )


def _tell_uncovered(coverage: np.ndarray, neighbours: int, chosen: int) -> None:
    """Warn when the graph cannot tell which of many items would be covered better."""
    from labeltrain.kernels.graph_coverage import uncovered_share

    share = uncovered_share(coverage)
    if share > MANY and chosen:
        wanted = min(-(-4 * len(coverage) // chosen), len(coverage) - 1)
        warnings.warn(
            f"{share:.0%} of the pool are no neighbours of anything picked or labelled, and count "
            f"as not covered at all: give more neighbours than {neighbours} (about {wanted}), or "
            "none for all pairs",
            stacklevel=3,
        )


def _ranks(view: PoolView) -> np.ndarray:
    """Return the rank of the uncertainty of each item, from 0 to 1; equal ones share a rank."""
    from scipy.stats import rankdata

    gap = binary_margin if view.kind == "multilabel" else margin
    ranks: np.ndarray = rankdata(-gap(np.asarray(view.probabilities, dtype=np.float64)))
    return (ranks - 1.0) / max(view.n - 1, 1)
