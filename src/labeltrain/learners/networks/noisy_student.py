"""Noisy student: a learner on frozen features labels the pool, and the network learns from it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.learners.base import Training
from labeltrain.learners.semi.weighting import Batch, Weighting

TEACHER = "mean-teacher"


class NoisyStudent(Weighting):
    """Cross-entropy of strong views with the soft labels of a teacher, all of one weight.

    The teacher is a learner on the frozen features of the pretrained model. It sees the whole pool
    many times over in seconds, which the network cannot in minutes, and hands on what it found; the
    network adapts its features.

    Parameters
    ----------
    teacher : str
        A learner that reads features.

    References
    ----------
    Xie, Luong, Hovy, Le: Self-training with Noisy Student improves ImageNet classification, CVPR
    2020. There the teacher is the network of the last iteration.
    """

    name: ClassVar[str] = "noisy-student"
    summary: ClassVar[str] = "strong views learn the soft labels of a learner on frozen features"
    paper: ClassVar[str] = "Xie et al. 2020"
    judges: ClassVar[bool] = False

    def __init__(self, teacher: str = TEACHER) -> None:
        from labeltrain.learners.registry import get

        if get(teacher).reads != "features":
            raise BadInput(
                f"{self.name}: teacher={teacher!r} reads items", "use one that reads features"
            )
        self.teacher_name = teacher
        self._table: Any = None

    def taught(self, training: Training, others: np.ndarray, rng: np.random.Generator) -> int:
        """Fit the teacher and keep its predictions of the unlabelled items; return its examples.

        Parameters
        ----------
        training : Training
        others : ndarray of int64, shape (u,)
            Positions of the unlabelled items, in the order of the rows of a batch.
        rng : numpy.random.Generator
        """
        from labeltrain.learners.registry import make

        model = make(self.teacher_name).fit(training, rng)
        seen = np.bincount(training.labels, minlength=training.classes) > 0
        found = model.predict_proba(training.features[others])[:, seen]
        self._table = (found / found.sum(axis=1, keepdims=True)).astype(np.float32)
        return model.cost.examples

    def begin(self, classes: int, unlabelled: int, device: Any) -> None:
        """Put the predictions on the device."""
        import torch

        self._table = torch.as_tensor(self._table, device=device)

    def targets(self, batch: Batch) -> tuple[Any, Any]:
        """Return the teacher's predictions of these items."""
        return self._table[batch.rows], self._table.new_ones(len(batch.rows))
