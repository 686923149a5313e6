"""Scaled distillation with submodular sampling."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labeltrain.kernels.replay_coverage import covering, median_distance, similarities
from labeltrain.learners.checks import check_not_negative, check_positive, check_whole
from labeltrain.learners.continual.sd import SD
from labeltrain.learners.continual.variant import Now


class SDS2(SD):
    """Scaled distillation, on old items that stand for many others and are uncertain.

    Of `candidates` drawn uniformly, greedily those that maximise ``sum_i max_j w_ij + weight
    log(1 + sum_j h_j)``: facility location, and the uncertainty of what is chosen.

    Parameters
    ----------
    alpha : float
        Weight of the distillation, from 0 to 1.
    weight : float
        Of the uncertainty.
    candidates : int, optional
        At least as many as are replayed; twice as many by default.
    sigma : float, optional
        Width of the similarity ``w = exp(-d^2 / (2 sigma^2))``; the median distance of the first
        candidates of a round by default.
    refresh : int
        Choose anew after so many steps.

    Notes
    -----
    Vectors are those of the last hidden layer, and h is the entropy, as in the paper. The published
    code takes logits and 1 - max p: ``released=True``.

    References
    ----------
    Das, Bhatt, Bhalerao, Gao, Yang, Bilmes: Accelerating Batch Active Learning Using Continual
    Learning Techniques, TMLR 2023.
    """

    name: ClassVar[str] = "cal-sds2"
    summary: ClassVar[str] = "continual: distils, on old items that stand for many (submodular)"
    imports: ClassVar[tuple[str, ...]] = ("labeltrain.kernels._compiled_replay",)

    def __init__(
        self,
        alpha: float = 0.25,
        weight: float = 1.0,
        candidates: int | None = None,
        sigma: float | None = None,
        refresh: int = 1,
    ) -> None:
        super().__init__(alpha)
        check_not_negative(self.name, weight=weight)
        check_whole(self.name, refresh=refresh)
        if candidates is not None:
            check_whole(self.name, candidates=candidates)
        if sigma is not None:
            check_positive(self.name, sigma=sigma)
        self.weight, self.candidates, self.refresh = float(weight), candidates, refresh
        self.sigma = sigma
        self.begin()

    def begin(self) -> None:
        """Forget the width and the choice of an earlier round."""
        self._sigma = self.sigma
        self._kept: np.ndarray | None = None
        self._since = 0

    def chosen(self, now: Now) -> np.ndarray:
        """Return the candidates that stand for the others."""
        if self._kept is not None and len(self._kept) == now.count and self._since < self.refresh:
            self._since += 1
            return self._kept
        some = now.candidates(self.candidates)
        if len(some) > now.count:
            hidden, logits = now.forward(some)
            vectors = (logits if now.released else hidden).double().cpu().numpy()
            p = logits.double().softmax(dim=1).cpu().numpy()
            if now.released:
                uncertainty = 1.0 - p.max(axis=1)
            else:
                uncertainty = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
            if self._sigma is None:
                self._sigma = median_distance(vectors)
            picks, _ = covering(
                similarities(vectors, self._sigma), np.maximum(uncertainty, 0.0), self.weight,
                now.count,
            )  # fmt: skip
            some = some[picks]
        self._kept, self._since = some, 1
        return some
