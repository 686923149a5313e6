"""ProbCover: as many items as possible within a radius of the picks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.balls import greedy_balls, pure_radius
from labeltrain.kernels.rows import MEMORY
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView

UNKNOWN = 10  # clusters when the number of classes is not known


class ProbCover(Strategy):
    """Greedily maximise the number of items nearer than delta to a labelled or picked item.

    Edges run from an item to all items nearer than delta, itself included; edges into covered
    items are deleted; the item with most edges is picked. Ties go to the lowest position. When
    everything is covered, the remaining picks are the lowest positions.

    Parameters
    ----------
    delta : float, optional
        The radius, between embeddings of length 1, so at most 2. None: the largest at which a share
        `purity` of the balls lies within one cluster of k-means with as many clusters as there are
        classes (10 when that is unknown). In pools above 3,000 items that share is estimated from
        3,000 balls.
    purity : float
        In (0, 1].
    memory : int
        Bytes to use beside the embeddings; the picks do not depend on it.

    Notes
    -----
    O(n^2 d) for the first counts, and no more than that again for all picks together. Random only
    in k-means and the sample of balls.

    References
    ----------
    Yehuda et al.: Active learning through a covering lens, NeurIPS 2022.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0]])
    >>> labeltrain.select("prob-cover", embeddings=E, budget=2, delta=0.2).positions.tolist()
    [1, 3]
    """

    name: ClassVar[str] = "prob-cover"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS})
    summary: ClassVar[str] = "items with most uncovered neighbours; needs no label"

    def __init__(
        self, *, delta: float | None = None, purity: float = 0.95, memory: int = MEMORY
    ) -> None:
        if delta is not None and not 1e-6 <= delta <= 2.0:
            raise ValueError(
                f"delta is {delta}, expected a number from 1e-6 to 2: it is a distance between "
                "embeddings of length 1"
            )
        if not 0.0 < purity <= 1.0:
            raise ValueError(f"purity is {purity}, expected a number above 0, at most 1")
        self.delta = delta
        self.purity = purity
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily cover most."""
        radius = self.delta
        if radius is None:
            classes = len(view.classes)
            radius = pure_radius(
                view.embeddings,
                classes if classes > 1 else UNKNOWN,
                int(rng.integers(2**31)),
                purity=self.purity,
                memory=self.memory,
            )
        found = greedy_balls(
            view.embeddings,
            radius,
            count,
            candidates=view.candidates,
            given=np.concatenate([view.labelled, view.pending]),
            memory=self.memory,
        )
        why = tuple(
            f"within {radius:.3g} of {n} items not covered yet"
            if n
            else f"everything within {radius:.3g} is covered: a smaller delta tells items apart"
            for n in found.nearest
        )
        return Picks(found.positions, found.gains, why=why)
