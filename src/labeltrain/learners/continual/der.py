"""Dark experience replay."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.checks import check_not_negative
from labeltrain.learners.continual.losses import dark
from labeltrain.learners.continual.variant import Variant


class DER(Variant):
    """Replays old items drawn uniformly, with the logits that their own model gave them (DER++).

    ``L_new + mean of (alpha |g - z|^2 + beta CE)`` over the replayed items.

    Parameters
    ----------
    alpha, beta : float
        The published values; `alpha` goes with the size of the logits.

    References
    ----------
    Buzzega et al.: Dark Experience for General Continual Learning, NeurIPS 2020. Das et al.:
    Accelerating Batch Active Learning Using Continual Learning Techniques, TMLR 2023.
    """

    name: ClassVar[str] = "cal-der"
    summary: ClassVar[str] = "continual: replays old items, and the logits they had (DER++)"
    distils: ClassVar[bool] = True

    def __init__(self, alpha: float = 0.1, beta: float = 1.0) -> None:
        check_not_negative(self.name, alpha=alpha, beta=beta)
        self.alpha, self.beta = float(alpha), float(beta)

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
        """Return the loss of DER++."""
        return dark(
            new, new_labels, old, old_labels, targets,
            alpha=self.alpha, beta=self.beta, released=released,
        )  # fmt: skip
