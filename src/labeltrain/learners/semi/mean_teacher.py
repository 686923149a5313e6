"""Mean Teacher: agree with the average of one's own past."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from labeltrain.learners.checks import check_share
from labeltrain.learners.semi.weighting import Batch, Weighting


class MeanTeacher(Weighting):
    """Squared distance between the student's and the teacher's class probabilities.

    The teacher's weights are the exponential average of the student's. The weight rises as
    ``exp(-5 (1 - t / ramp)^2)``.

    Parameters
    ----------
    ramp : float
        Share of the training.

    References
    ----------
    Tarvainen, Valpola: Mean teachers are better role models: weight-averaged consistency targets
    improve semi-supervised deep learning results, NeurIPS 2017.
    """

    name: ClassVar[str] = "mean-teacher"
    summary: ClassVar[str] = "strong views agree with a teacher of averaged weights"
    paper: ClassVar[str] = "Tarvainen, Valpola 2017"
    teacher: ClassVar[bool] = True
    weight: ClassVar[float] = 10.0  # squared distances of probabilities are small

    def __init__(self, ramp: float = 0.4) -> None:
        check_share(self.name, ramp=ramp)
        self.ramp = ramp

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return the teacher's probabilities, all of one weight."""
        rise = min(1.0, batch.progress / self.ramp) if self.ramp else 1.0
        weight = math.exp(-5.0 * (1.0 - rise) ** 2)
        return batch.weak, batch.weak.new_full((len(batch.weak),), weight)

    def losses(self, logits: Any, targets: Any) -> Any:
        """Return the squared distance of the probabilities, (k,)."""
        return ((logits.softmax(dim=1) - targets) ** 2).sum(dim=1)
