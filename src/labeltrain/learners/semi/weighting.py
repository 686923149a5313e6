"""The contract of a semi-supervised method: what unlabelled items should be, and how much."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Batch:
    """What a method sees of the unlabelled items of one step.

    Attributes
    ----------
    weak : tensor, shape (k, C), or None
        Class probabilities of the weak views, no gradient; of the averaged weights (the teacher)
        where the method asks for them. Columns are the classes that have a label.
    rows : tensor of int64, shape (k,)
        Which unlabelled items these are, from 0 to the number of unlabelled items.
    progress : float
        From 0 at the first step to 1 at the last.
    """

    weak: Any
    rows: Any
    progress: float


class Weighting(ABC):
    """One method: targets and weights of unlabelled items, and the loss that uses them.

    A step minimises ``supervised loss + weight * mean_i w_i * loss_i + extra``, the mean being over
    all unlabelled items of the step, also those of weight 0.

    Attributes
    ----------
    name, summary, paper : str
    trains_weak : bool
        The prediction that is compared with the target is that of the weak view.
    teacher : bool
        Targets come from the averaged weights.
    judges : bool
        Targets are made of predictions of weak views; without, ``Batch.weak`` is None.
    alignment : {"none", "uniform", "labels"}
        What predictions are aligned with unless told otherwise.
    weight : float
        Of the loss of unlabelled items unless told otherwise.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    trains_weak: ClassVar[bool] = False
    teacher: ClassVar[bool] = False
    judges: ClassVar[bool] = True
    alignment: ClassVar[str] = "none"
    weight: ClassVar[float] = 1.0

    def begin(self, classes: int, unlabelled: int, device: Any) -> None:  # noqa: B027
        """Forget everything: a training begins.

        Parameters
        ----------
        classes : int
            Classes that have a label.
        unlabelled : int
            Unlabelled items.
        device : str
            Where tensors are.
        """

    @abstractmethod
    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return targets (k, C), rows that sum to 1, and weights (k,); no gradient flows back."""

    def losses(self, logits: Any, targets: Any) -> Any:
        """Return the loss of each item, (k,): cross-entropy with its target."""
        return -(targets * logits.log_softmax(dim=1)).sum(dim=1)

    def extra(self, logits: Any, weights: Any) -> Any:
        """Return what is added to the loss, a scalar with gradient; 0 by default."""
        return 0.0


def one_hot(labels: Any, classes: int) -> Any:
    """Return rows with a one in the column of the label: int64 (k,) -> float32 (k, C)."""
    rows = labels.new_zeros((len(labels), classes)).float()
    return rows.scatter_(1, labels[:, None], 1.0)


def normalised(rows: Any) -> Any:
    """Return non-negative rows scaled to sum 1; rows of zeros stay."""
    return rows / rows.sum(dim=-1, keepdim=True).clamp(min=1e-12)
