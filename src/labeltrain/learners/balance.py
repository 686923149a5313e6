"""What is done about classes of unequal size, by all learners alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.learners.base import Training
from labeltrain.learners.checks import check_choice, check_not_negative


def wanted_share(alignment: str, counts: np.ndarray) -> np.ndarray | None:
    """Return the shares that predictions are aligned with: "uniform", "labels"; None for "none"."""
    if alignment == "none":
        return None
    wanted = np.ones(len(counts)) if alignment == "uniform" else counts + 1.0
    return np.asarray(wanted / wanted.sum())


def class_weights(how: str, counts: np.ndarray, device: str) -> Any:
    """Return float32 (C,): with "balanced" every class has the same sum; None for "none"."""
    if how == "none":
        return None
    import torch

    weights = counts.sum() / (len(counts) * counts)
    return torch.from_numpy(weights.astype(np.float32)).to(device)


@dataclass(frozen=True)
class Adjustment:
    """Logit adjustment: the log of the share of each class is taken from its logit.

    Attributes
    ----------
    strength : float
        The factor tau: 1 is what balanced accuracy asks for of calibrated probabilities, 0 no
        adjustment.
    prior : {"pool", "labels"}
        Whose shares.

    Notes
    -----
    A model of labels that were chosen by looking at the items is a model of the pool, where one
    item in a thousand may be positive, although half of the labels are: choosing by x does not
    change p(y | x). So it is the shares of the pool that count, estimated by the labels and the
    predictions for unlabelled items. The class mass normalisation of Zhu, Ghahramani and
    Lafferty (ICML 2003) also divides by predicted mass, but restores the shares of the labels; here
    strength 1 aims at equal ones. Menon et al. take the shares of the training labels; the pool's,
    and the odds of several labels, are ours. Of labels drawn at random both are about the same.

    References
    ----------
    Menon et al.: Long-tail learning via logit adjustment, ICLR 2021.
    """

    strength: float = 0.0
    prior: str = "pool"

    @classmethod
    def checked(
        cls, owner: str, logit_adjustment: Any, prior: Any, class_weight: str
    ) -> Adjustment:
        """Return the options of a learner as one thing.

        Raises
        ------
        BadInput
            Values that are none, or classes that are made equal twice.
        """
        check_choice(owner, ("none", "balanced"), class_weight=class_weight)
        check_not_negative(owner, logit_adjustment=logit_adjustment)
        check_choice(owner, ("pool", "labels"), prior=prior)
        if class_weight != "none" and logit_adjustment:
            raise BadInput(
                f"{owner}: class_weight={class_weight} and logit_adjustment={logit_adjustment}",
                "use one of them: either makes classes equal",
            )
        return cls(float(logit_adjustment), prior)

    def in_loss(self, training: Training, seen: np.ndarray) -> np.ndarray:
        """Return what is added to the logits in the loss, float64, of the classes `seen`."""
        if not self.strength or self.prior != "labels":
            return np.zeros(len(seen))
        return self._logs(training, _of_labels(training)[seen], len(training.labels))

    def afterwards(
        self,
        training: Training,
        seen: np.ndarray,
        predict: Callable[[np.ndarray], np.ndarray],
        *,
        fitted: bool = False,
        most: int | None = None,
    ) -> np.ndarray:
        """Return what is taken from the bias of a trained model, float64, of the classes `seen`.

        Parameters
        ----------
        training : Training
        seen : ndarray of int64
        predict : callable
            From positions of items to the model's probabilities (k, C), not adjusted.
        fitted : bool
            True: also for ``prior="labels"``, where the loss had no adjustment.
        most : int, optional
            Items predicted at most, evenly spaced over the pool.
        """
        if not self.strength or (self.prior == "labels" and not fitted):
            return np.zeros(len(seen))
        counts, total = _of_labels(training), len(training.labels)
        free = training.unlabelled
        if self.prior == "pool" and len(free):
            step = 1 if most is None else -(-len(free) // most)
            chosen = free[::step]
            counts = counts + predict(chosen).sum(axis=0) * (len(free) / len(chosen))
            total += len(free)
        return self._logs(training, counts[seen], total)

    def _logs(self, training: Training, counts: np.ndarray, total: int) -> np.ndarray:
        if training.kind == "multilabel":  # the odds of each
            counts = np.clip(counts, 0.5, total - 0.5)
            return np.asarray(self.strength * np.log(counts / (total - counts)))
        return np.asarray(self.strength * np.log(counts / counts.sum()))


def _of_labels(training: Training) -> np.ndarray:
    """Return how many labels each class has, float64 (C,)."""
    if training.kind == "multilabel":
        return training.labels.sum(axis=0, dtype=np.float64)
    return np.bincount(training.labels, minlength=training.classes).astype(np.float64)
