"""Experience replay."""

from __future__ import annotations

from typing import Any, ClassVar

from labeltrain.learners.continual.losses import replayed
from labeltrain.learners.continual.variant import Variant


class ER(Variant):
    """Replays old items drawn uniformly; all of a step count alike.

    References
    ----------
    Das, Bhatt, Bhalerao, Gao, Yang, Bilmes: Accelerating Batch Active Learning Using Continual
    Learning Techniques, TMLR 2023.
    """

    name: ClassVar[str] = "cal-er"
    summary: ClassVar[str] = "continual: learns the new items, replays old ones drawn uniformly"

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
        """Return the mean cross-entropy of all."""
        return replayed(new, new_labels, old, old_labels)
