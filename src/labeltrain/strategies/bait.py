"""BAIT: the batch that makes the Fisher information of the last layer cover the pool's."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.fisher import (
    FisherSearch,
    fisher_sum,
    forward_backward,
    item_factors,
    swap,
)
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class Bait(Strategy):
    """Minimise tr(M⁻¹ F) over batches: the expected variance of predictions over the pool.

    Each item has the Fisher information I_i = (diag(p_i) - p_i p_i') ⊗ z_i z_i' of a softmax layer
    on features z (multilabel: diag(p_i (1 - p_i))). F is the mean of I_i over the pool, and
    M = λ 1 + sum of I_i over labelled, pending and picked items. "greedy" adds the best item
    `oversample` x count times and then takes away, one by one, those missed least. "swap" starts
    from a random batch and replaces each item by the best of `proposals` random ones, if better.

    Parameters
    ----------
    search : {"greedy", "swap"}
    regularisation : float
        λ, for features scaled to mean squared length 1.
    width : int
        Features are centred and reduced by PCA to `width` // C dimensions, so that M stays about
        this wide.
    rank : int
        Directions of an item's class matrix that are kept; all of them up to `rank` + 1 classes.
    oversample : float
    sample : int or None
        Above so many candidates, the search looks at a uniform sample of them; None: at all.
    proposals, sweeps : int
        Of the swap variant.

    Notes
    -----
    O(n D r) a pick for D = max(`width`, C) (and n the sampled candidates), D² memory, and n C r
    for the factors; F costs O(n D²) once. Seconds to minutes: for pools of some thousands, or with
    a smaller `sample`. Scores are NaN: what a pick is worth depends on the batch.

    References
    ----------
    Ash, Goel, Krishnamurthy, Kakade: Gone fishing: neural active learning with Fisher embeddings,
    NeurIPS 2021; their code weighs an item of the batch `count` times as much as a labelled one,
    here all weigh alike. The swap variant as in LabelBench, with a ridge, and never worse than
    before.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, -1.0]])
    >>> P = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.99, 0.01]])
    >>> picks = labeltrain.select("bait", embeddings=E, probabilities=P, budget=2)
    >>> 3 in picks.positions  # the model is sure of it already
    False
    """

    name: ClassVar[str] = "bait"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.PROBABILITIES})
    summary: ClassVar[str] = "the batch whose Fisher information covers that of the pool"

    def __init__(
        self,
        search: Literal["greedy", "swap"] = "greedy",
        regularisation: float = 0.01,
        width: int = 1000,
        rank: int = 8,
        oversample: float = 2.0,
        sample: int | None = 20_000,
        proposals: int = 10,
        sweeps: int = 1,
    ) -> None:
        if search not in ("greedy", "swap"):
            raise BadInput(f"bait: search={search!r} is unknown", "use greedy or swap")
        if not 0.0 < regularisation < float("inf"):
            raise BadInput(f"bait: regularisation={regularisation!r}", "give a number above 0")
        if not 1.0 <= oversample < float("inf"):
            raise BadInput(f"bait: oversample={oversample!r}", "give a number of at least 1")
        for option, value in (
            ("width", width), ("rank", rank), ("proposals", proposals), ("sweeps", sweeps)
        ):  # fmt: skip
            if value < 1:
                raise BadInput(f"bait: {option}={value!r}", "give a number of at least 1")
        if sample is not None and sample < 1:
            raise BadInput(f"bait: sample={sample!r}", "give a positive number, or None")
        self.search = search
        self.regularisation = regularisation
        self.width = width
        self.rank = rank
        self.oversample = oversample
        self.sample = sample
        self.proposals = proposals
        self.sweeps = sweeps

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return a batch."""
        labels = view.kind == "multilabel"
        p = np.asarray(view.probabilities, dtype=np.float64)
        points = reduced(view.hidden, max(1, self.width // p.shape[1]))
        known = np.concatenate([view.labelled, view.pending])
        target = fisher_sum(points, p, labels=labels) / view.n
        matrix = fisher_sum(points[known], p[known], labels=labels)
        matrix[np.diag_indices_from(matrix)] += self.regularisation
        candidates = view.candidates
        if self.sample is not None and len(candidates) > max(self.sample, count):
            candidates = np.sort(rng.choice(candidates, max(self.sample, count), replace=False))
        found = FisherSearch(
            points[candidates],
            item_factors(p[candidates], self.rank, labels=labels),
            matrix,
            target,
        )
        if self.search == "greedy":
            rows = forward_backward(found, count, self.oversample)
        else:
            rows = swap(found, count, self.proposals, self.sweeps, rng)
        return Picks(candidates[rows], why="tells much about many items of the pool")


def reduced(points: np.ndarray, dimensions: int) -> np.ndarray:
    """Return the points centred, on their first principal axes, mean squared length 1, float64."""
    from scipy.linalg import eigh

    points = np.asarray(points, dtype=np.float32)
    points = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    d = points.shape[1]
    if dimensions < d:
        spread = (points.T @ points).astype(np.float64)
        axes = eigh(spread, subset_by_index=(d - dimensions, d - 1))[1][:, ::-1]
        points = points @ axes.astype(np.float32)
    scale = np.sqrt(np.einsum("ij,ij->", points, points, dtype=np.float64) / max(len(points), 1))
    return points.astype(np.float64) / (scale if scale > 0.0 else 1.0)
