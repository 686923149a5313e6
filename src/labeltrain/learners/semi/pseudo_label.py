"""Pseudo-label: confident predictions are taken for labels."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_share
from labeltrain.learners.semi.weighting import Batch, Weighting, one_hot


class PseudoLabel(Weighting):
    """Train the weak view on its own class where it is confident: ``w = r(t) 1[max q >= tau]``.

    The ramp r rises linearly to 1 over the first `ramp` of the training.

    Parameters
    ----------
    threshold : float
        Tau.
    ramp : float
        Share of the training.

    References
    ----------
    Lee: Pseudo-label: the simple and efficient semi-supervised learning method for deep neural
    networks, ICML workshop 2013.
    """

    name: ClassVar[str] = "pseudo-label"
    summary: ClassVar[str] = "confident predictions become labels"
    paper: ClassVar[str] = "Lee 2013"
    trains_weak: ClassVar[bool] = True

    def __init__(self, threshold: float = 0.95, ramp: float = 0.4) -> None:
        check_share(self.name, threshold=threshold, ramp=ramp)
        self.threshold = threshold
        self.ramp = ramp

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return one-hot targets, weighted by the ramp where confident."""
        best, label = batch.weak.max(dim=1)
        rise = min(1.0, batch.progress / self.ramp) if self.ramp else 1.0
        return one_hot(label, batch.weak.shape[1]), (best >= self.threshold).float() * rise
