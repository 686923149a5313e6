"""FixMatch: the strong view learns the confident class of the weak view."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_share
from labeltrain.learners.semi.weighting import Batch, Weighting, one_hot


class FixMatch(Weighting):
    """``w = 1[max q >= tau]``, target the class of the weak view.

    Parameters
    ----------
    threshold : float
        Tau.

    References
    ----------
    Sohn et al.: FixMatch: simplifying semi-supervised learning with consistency and confidence,
    NeurIPS 2020.
    """

    name: ClassVar[str] = "fixmatch"
    summary: ClassVar[str] = "strong views learn the confident class of weak ones"
    paper: ClassVar[str] = "Sohn et al. 2020"

    def __init__(self, threshold: float = 0.95) -> None:
        check_share(self.name, threshold=threshold)
        self.threshold = threshold

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return one-hot targets, weight 1 where confident."""
        best, label = batch.weak.max(dim=1)
        return one_hot(label, batch.weak.shape[1]), (best >= self.threshold).float()
