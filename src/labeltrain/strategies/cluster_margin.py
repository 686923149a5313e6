"""Cluster-Margin: small margins, spread over clusters."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.agglomeration import average_linkage
from labeltrain.kernels.clusters import in_turns, nearest_centre
from labeltrain.kernels.ranking import lowest
from labeltrain.kernels.uncertainty import binary_margin, margin
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.features import unit_rows
from labeltrain.strategies.view import PoolView

SAMPLE = 4000  # items that average linkage is run on: it costs their number squared


class ClusterMargin(Strategy):
    """Take the smallest margins, and of these one item of each cluster in turn.

    The candidates are clustered by average linkage. The `factor` x count items of smallest margin
    are grouped by cluster, and the clusters, smallest first, take turns in giving a random item
    each, until the batch is full. Multilabel: the margin is the smallest gap of a label between on
    and off.

    Parameters
    ----------
    factor : float
        At least 1; the paper uses 10 (ImageNet) and 1.25 (large batches).
    clusters : int, optional
        Where average linkage stops; by default, at `count` clusters in the sample. The paper stops
        at a distance instead, which is chosen by hand for each data set.

    Notes
    -----
    Average linkage needs n x n distances, so it runs on a sample of 4,000 items; then every item,
    those of the sample too, goes to the cluster whose mean is nearest. O(n d k) after that. Scores
    are the margins. Each call clusters its candidates; the paper clusters the pool once for all
    rounds.

    References
    ----------
    Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar: Batch active learning at
    scale, NeurIPS 2021.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]])
    >>> P = np.array([[0.5, 0.5], [0.52, 0.48], [0.6, 0.4], [0.9, 0.1]])
    >>> picks = labeltrain.select("cluster-margin", embeddings=E, probabilities=P, budget=2,
    ...                           factor=1.5)
    >>> int(2 in picks.positions)  # not both of the pair with the smallest margins
    1
    """

    name: ClassVar[str] = "cluster-margin"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN, Need.PROBABILITIES})
    summary: ClassVar[str] = "smallest margins, one of each cluster in turn"

    def __init__(self, factor: float = 10.0, clusters: int | None = None) -> None:
        if not 1.0 <= factor < float("inf"):
            raise ValueError("factor must be a number of at least 1")
        if clusters is not None and clusters < 1:
            raise ValueError("clusters must be at least 1")
        self.factor = factor
        self.clusters = clusters

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` small margins from as many clusters as there are."""
        gap = binary_margin if view.kind == "multilabel" else margin
        margins = np.asarray(gap(view.probabilities_of(view.candidates)), dtype=np.float64)
        few = lowest(margins, min(len(margins), int(np.ceil(self.factor * count))))
        sample = view.candidates
        if len(sample) > SAMPLE:
            sample = np.sort(rng.choice(sample, SAMPLE, replace=False))
        points = unit_rows(view.hidden, sample)
        centres = average_linkage(points, self.clusters or count)
        assigned = nearest_centre(unit_rows(view.hidden, view.candidates[few]), centres)
        _, assigned, sizes = np.unique(assigned, return_inverse=True, return_counts=True)
        turns = in_turns(assigned, rng.permutation(len(few)), np.argsort(sizes, kind="stable"))
        chosen = few[turns[:count]]
        return Picks(view.candidates[chosen], margins[chosen], why="small margin, its own cluster")
