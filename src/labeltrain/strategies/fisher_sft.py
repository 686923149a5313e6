"""FisherSFT on prompts alone: vectors that together say most about the last layer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.log_det import greedy_log_det
from labeltrain.kernels.rows import MEMORY
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


class FisherSFT(Strategy):
    """Greedily maximise ``log det(s I + sum_{i in S} h_i h_i')``: D-optimal design.

    S is what is labelled, pending and picked, and h_i one vector of each prompt, such as the last
    or the mean hidden state of the language model. With h the input of the last layer, this bounds
    the information that the answers give about that layer. Equal gains go to the lowest position;
    with nothing in S all vectors of length 1 are equal, and the one most like their mean is first.

    Parameters
    ----------
    regularisation : float
        s, in mean squared lengths of the vectors. Small: directions that nothing in S has come
        first, as in k-center. Large: little more than the longest vectors.
    normalise : bool
        Bring the vectors to length 1 first; otherwise long ones are preferred.
    memory : int
        Bytes that two d x d matrices must fit into.

    Notes
    -----
    Lazy and exact. O(n d) for the first gains (O(n d^2) when anything is labelled), then O(d^2) for
    each item that is measured; O(d^2) memory. Scores are the gains. Vectors that share one large
    direction, as raw hidden states do, are better centred first.

    The paper sums over the tokens of each sentence, whose answers it knows; here one vector stands
    for a prompt, and there are no answers. Its text was not available: objective and greedy search
    with cached gains are told by summaries. The unit of s, its default and the lengths are ours.

    References
    ----------
    Deb, Thekumparampil, Kalantari, Hiranandani, Sabach, Kveton: FisherSFT: data-efficient
    supervised fine-tuning of language models using information gain, ICML 2025.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> labeltrain.select("fisher-sft", embeddings=E, labelled=[0], budget=2).positions.tolist()
    [2, 1]
    """

    name: ClassVar[str] = "fisher-sft"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HIDDEN})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "vectors that together have the largest log-determinant (D-optimal)"

    def __init__(
        self, *, regularisation: float = 0.01, normalise: bool = True, memory: int = MEMORY
    ) -> None:
        if not 1e-9 <= regularisation <= 1e9:
            raise ValueError(f"regularisation is {regularisation}, expected from 1e-9 to 1e9")
        self.regularisation = regularisation
        self.normalise = normalise
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily raise the log-determinant most."""
        d = view.hidden.shape[1]
        if 16 * d * d > self.memory:
            raise BadInput(
                f"the vectors have {d} numbers, and two {d} x {d} matrices take more than "
                f"memory={self.memory} bytes",
                "give more memory, or fewer columns: principal components, a random projection",
            )
        positions, gains = greedy_log_det(
            view.hidden,
            count,
            candidates=view.candidates,
            given=np.union1d(view.labelled, view.pending),
            regularisation=self.regularisation,
            normalise=self.normalise,
        )
        why = tuple(f"adds {gain:.3g} to the log-determinant" for gain in gains)
        return Picks(positions, gains, why=why)
