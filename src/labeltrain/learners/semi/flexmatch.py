"""FlexMatch: a lower threshold for classes that are learned less well."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_share
from labeltrain.learners.semi.weighting import Batch, Weighting, one_hot


class FlexMatch(Weighting):
    """``w = 1[max q >= tau M(beta_c)]``, c the class of the weak view, ``M(b) = b / (2 - b)``.

    ``beta_c = sigma_c / max(max sigma, unused)``: sigma_c counts the unlabelled items whose last
    confident (``max q >= tau``) class was c, `unused` those that never had one. At first all are
    unused, so every item counts.

    Parameters
    ----------
    threshold : float
        Tau.

    Notes
    -----
    Counts are changed by the items of a step, O(k), never taken anew.

    References
    ----------
    Zhang et al.: FlexMatch: boosting semi-supervised learning with curriculum pseudo labeling,
    NeurIPS 2021.
    """

    name: ClassVar[str] = "flexmatch"
    summary: ClassVar[str] = "FixMatch with a threshold of its own for each class"
    paper: ClassVar[str] = "Zhang et al. 2021"

    def __init__(self, threshold: float = 0.95) -> None:
        check_share(self.name, threshold=threshold)
        self.threshold = threshold

    def begin(self, classes: int, unlabelled: int, device: Any) -> None:
        """Set every item to unused."""
        import torch

        # One more class, the last, for items that are not used yet.
        self.held = torch.full((unlabelled,), classes, dtype=torch.int64, device=device)
        self.counts = torch.zeros(classes + 1, dtype=torch.int64, device=device)
        self.counts[classes] = unlabelled

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return one-hot targets, weight 1 above the threshold of the class."""
        best, label = batch.weak.max(dim=1)
        classes = batch.weak.shape[1]
        learned = self.counts[:classes].float() / self.counts.max().clamp(min=1)
        own = self.threshold * learned / (2.0 - learned)
        weights = (best >= own[label]).float()
        self._note(batch.rows[best >= self.threshold], label[best >= self.threshold])
        return one_hot(label, classes), weights

    def _note(self, rows: Any, labels: Any) -> None:
        """Remember the confident classes of some distinct items."""
        size = len(self.counts)
        self.counts -= self.held[rows].bincount(minlength=size)
        self.counts += labels.bincount(minlength=size)
        self.held[rows] = labels
