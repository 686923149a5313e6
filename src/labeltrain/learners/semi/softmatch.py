"""SoftMatch: doubtful items count less, but they count."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_positive, check_share
from labeltrain.learners.semi.weighting import Batch, Weighting, one_hot


class SoftMatch(Weighting):
    """``w = exp(-(max q - m)^2 n^2 / (2 v))`` below m, 1 above: a truncated Gaussian.

    m and v follow the mean and the variance of max q, from 1/C and 1, as averages updated before
    they are used. Unless told otherwise, q is aligned with the uniform distribution first.

    Parameters
    ----------
    momentum : float
        Of the averages. The paper has 0.999, for a million steps.
    deviations : float
        n.

    References
    ----------
    Chen et al.: SoftMatch: addressing the quantity-quality trade-off in semi-supervised learning,
    ICLR 2023.
    """

    name: ClassVar[str] = "softmatch"
    summary: ClassVar[str] = "FixMatch with soft weights instead of a threshold"
    paper: ClassVar[str] = "Chen et al. 2023"
    alignment: ClassVar[str] = "uniform"

    def __init__(self, momentum: float = 0.97, deviations: float = 2.0) -> None:
        check_share(self.name, momentum=momentum)
        check_positive(self.name, deviations=deviations)
        self.momentum = momentum
        self.deviations = deviations

    def begin(self, classes: int, unlabelled: int, device: Any) -> None:
        """Set the averages to their beginnings."""
        import torch

        self.level = torch.full((), 1.0 / classes, device=device)
        self.variance = torch.ones((), device=device)

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return one-hot targets and soft weights."""
        m = self.momentum
        best, label = batch.weak.max(dim=1)
        self.level = m * self.level + (1.0 - m) * best.mean()
        if len(best) > 1:  # the variance of one value is not known
            self.variance = m * self.variance + (1.0 - m) * best.var(unbiased=True)
        short = (best - self.level).clamp(max=0.0)
        spread = (2.0 * self.variance / self.deviations**2).clamp(min=1e-12)
        return one_hot(label, batch.weak.shape[1]), (-(short**2) / spread).exp()
