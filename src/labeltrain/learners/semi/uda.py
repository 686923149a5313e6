"""UDA: the strong view learns the sharpened prediction of the weak view."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_positive, check_share
from labeltrain.learners.semi.weighting import Batch, Weighting, normalised


class UDA(Weighting):
    """``w = r(t) 1[max q >= tau]``, target ``q^(1/T)`` scaled to sum 1.

    Parameters
    ----------
    threshold : float
        Tau.
    temperature : float
        T; below 1 sharpens.
    ramp : float
        Share of the training over which r rises linearly to 1.

    References
    ----------
    Xie, Dai, Hovy, Luong, Le: Unsupervised data augmentation for consistency training, NeurIPS
    2020.
    """

    name: ClassVar[str] = "uda"
    summary: ClassVar[str] = "strong views learn the sharpened predictions of weak ones"
    paper: ClassVar[str] = "Xie et al. 2020"

    def __init__(self, threshold: float = 0.9, temperature: float = 0.4, ramp: float = 0.4) -> None:
        check_share(self.name, threshold=threshold, ramp=ramp)
        check_positive(self.name, temperature=temperature)
        self.threshold = threshold
        self.temperature = temperature
        self.ramp = ramp

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return sharpened targets, weighted by the ramp where confident."""
        best = batch.weak.max(dim=1).values
        # Divided by the largest first: powers of small numbers would vanish.
        sharp = normalised((batch.weak / best[:, None]) ** (1.0 / self.temperature))
        rise = min(1.0, batch.progress / self.ramp) if self.ramp else 1.0
        return sharp, (best >= self.threshold).float() * rise
