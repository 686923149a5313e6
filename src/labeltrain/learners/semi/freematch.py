"""FreeMatch: thresholds that follow the model's confidence."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_share
from labeltrain.learners.semi.weighting import Batch, Weighting, normalised, one_hot


class FreeMatch(Weighting):
    """``w = 1[max q >= t pbar_c / max pbar]``, with a fairness term.

    t follows the mean of max q, pbar the mean of q, both from 1/C, as exponential averages that are
    updated before they are used. Fairness adds ``mu sum_c P_c log Q_c``, P the averaged predictions
    over the averaged histogram of classes, Q the same of the strong views that count now.

    Parameters
    ----------
    momentum : float
        Of the averages. The paper has 0.999, for a million steps; a training of some hundred steps
        needs less.
    fairness : float
        mu.

    References
    ----------
    Wang et al.: FreeMatch: self-adaptive thresholding for semi-supervised learning, ICLR 2023.
    """

    name: ClassVar[str] = "freematch"
    summary: ClassVar[str] = "FixMatch with thresholds that follow the confidence"
    paper: ClassVar[str] = "Wang et al. 2023"

    def __init__(self, momentum: float = 0.97, fairness: float = 0.001) -> None:
        check_share(self.name, momentum=momentum, fairness=fairness)
        self.momentum = momentum
        self.fairness = fairness

    def begin(self, classes: int, unlabelled: int, device: Any) -> None:
        """Set all averages to the uniform distribution."""
        import torch

        self.level = torch.full((), 1.0 / classes, device=device)
        self.mean = torch.full((classes,), 1.0 / classes, device=device)
        self.histogram = torch.full((classes,), 1.0 / classes, device=device)

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return one-hot targets, weight 1 above the threshold of the class."""
        m, classes = self.momentum, batch.weak.shape[1]
        best, label = batch.weak.max(dim=1)
        self.level = m * self.level + (1.0 - m) * best.mean()
        self.mean = m * self.mean + (1.0 - m) * batch.weak.mean(dim=0)
        now = normalised(label.bincount(minlength=classes).float())
        self.histogram = m * self.histogram + (1.0 - m) * now
        own = self.level * self.mean / self.mean.max()
        return one_hot(label, classes), (best >= own[label]).float()

    def extra(self, logits: Any, weights: Any) -> Any:
        """Return the fairness term; 0 where no item counts."""
        strong = logits[weights > 0].softmax(dim=1)
        if not self.fairness or len(strong) == 0:
            return 0.0
        histogram = normalised(strong.argmax(dim=1).bincount(minlength=strong.shape[1]).float())
        wanted = normalised(self.mean * _inverse(self.histogram))
        found = normalised(strong.mean(dim=0) * _inverse(histogram))
        return self.fairness * (wanted * (found + 1e-12).log()).sum()


def _inverse(values: Any) -> Any:
    """Return 1 / values, 0 where they are 0."""
    return (values > 0).float() / values.clamp(min=1e-12)
