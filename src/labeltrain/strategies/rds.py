"""RDS+: items most similar to examples of what the model is meant for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.targets import TargetRanks
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class RDS(Strategy):
    """Let each target in its turn pick the most similar item that is left.

    Targets are vectors of the tasks that the model is meant for, such as a few prompts of each, in
    the space of the embeddings; similarity is the cosine. Ties go to the lowest position.

    Parameters
    ----------
    aggregation : {"round-robin", "mean", "max"}
        ``round-robin``: the targets take turns, in the order in which they are given. ``mean``,
        ``max``: the items of largest mean cosine over the targets, or of largest cosine to any.
    memory : int
        Bytes to use beside the embeddings; the picks do not depend on it.

    Notes
    -----
    O(n t d) for t targets, in blocks; ``mean`` O(n d). Scores are cosines, the number of the target
    is in the notes of a pick. ``round-robin`` begins with the first target in every call, so picks
    are nested only for the other two. In the authors' code a target whose best item is taken loses
    its turn; here it picks the next best. Which vectors are compared is up to the encoder: they
    take the last layer's states, averaged with weights that grow with the position. Unlike
    ``nearest``, an item is not bound to the target that it is most similar to.

    References
    ----------
    Ivison, Zhang, Brahman, Koh, Dasigi: Large-scale data selection for instruction tuning, 2025.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.2], [0.0, 1.0], [0.7, 0.7]])
    >>> T = [[1.0, 0.0], [0.9, 0.1]]
    >>> labeltrain.select("rds", embeddings=E, targets=T, budget=3).positions.tolist()
    [0, 1, 3]
    """

    name: ClassVar[str] = "rds"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EMBEDDINGS, Need.TARGETS})
    deterministic: ClassVar[bool] = True
    summary: ClassVar[str] = "each target in turn picks the most similar item left (RDS+)"

    def __init__(self, *, aggregation: str = "round-robin", memory: int = MEMORY) -> None:
        if aggregation not in ("round-robin", "mean", "max"):
            raise ValueError(
                f"aggregation is {aggregation!r}, expected 'round-robin', 'mean' or 'max'"
            )
        self.aggregation = aggregation
        self.memory = memory
        if aggregation != "round-robin":
            vars(self)["nested"] = True

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates most similar to the targets."""
        if not len(view.targets):
            raise BadInput("targets has no rows", "give features of what the model is meant for")
        ranks = TargetRanks(view.embeddings, view.targets, view.candidates, memory=self.memory)
        if self.aggregation == "mean":
            positions, cosines = ranks.on_average(count)
            return Picks(positions, cosines, why="like the targets on average")
        take = ranks.in_turn if self.aggregation == "round-robin" else ranks.for_any
        positions, cosines, owners = take(count)
        why = tuple(f"like target {owner}" for owner in owners)
        notes = tuple({"target": int(owner)} for owner in owners)
        return Picks(positions, cosines, why=why, notes=notes)
