"""Scaled distillation."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_share
from labeltrain.learners.continual.losses import scaled
from labeltrain.learners.continual.variant import Variant


class SD(Variant):
    """Replays old items drawn uniformly; new ones weigh less as the old ones become more.

    ``lambda L_new + (1 - lambda) mean of (alpha KL(softmax(z) || f) + (1 - alpha) CE)``, z the
    logits that the item's own model gave it, lambda the share of new items among all.

    Parameters
    ----------
    alpha : float
        Weight of the distillation, from 0 to 1.

    References
    ----------
    Das, Bhatt, Bhalerao, Gao, Yang, Bilmes: Accelerating Batch Active Learning Using Continual
    Learning Techniques, TMLR 2023.
    """

    name: ClassVar[str] = "cal-sd"
    summary: ClassVar[str] = "continual: replays old items and distils, weighted by their share"
    distils: ClassVar[bool] = True

    def __init__(self, alpha: float = 0.25) -> None:
        check_share(self.name, alpha=alpha)
        self.alpha = float(alpha)

    def loss(
        self,
        new: Any,
        new_labels: Any,
        old: Any,
        old_labels: Any,
        targets: Any,
        share: float,
        released: bool,
    ) -> Any:
        """Return the loss of scaled distillation."""
        return scaled(
            new, new_labels, old, old_labels, targets,
            share=share, alpha=self.alpha, released=released,
        )  # fmt: skip
