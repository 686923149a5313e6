"""The contract of a variant: what is replayed beside the new items, and what is minimised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labeltrain.learners.continual.losses import replayed


@dataclass
class Now:
    """Where a training stands: what a variant chooses by.

    Attributes
    ----------
    network : torch.nn.Module
    optimiser : torch.optim.Optimizer
    inputs : callable
        Rows of the labelled items -> input of the network, as they are.
    vectors : callable
        Input of the network -> hidden layer (k, h) and logits (k, C).
    labels : tensor of int64, shape (m,)
        Of all labelled items.
    new : ndarray of int64
        Rows of the labelled items that are learned in this step.
    old : ndarray of int64
        Rows that may be replayed: never of items that are new in this round.
    count : int
        How many to replay: at most ``len(old)``.
    step : int
        Of the round.
    released : bool
        Do what the published code does.
    rng : numpy.random.Generator
    looked_at : int
        Examples that only went forward, so far.
    trained : int
        Examples that went forward and back beside those of the loss, so far.
    """

    network: Any
    optimiser: Any
    inputs: Callable[[np.ndarray], Any]
    vectors: Callable[[Any], tuple[Any, Any]]
    labels: Any
    new: np.ndarray
    old: np.ndarray
    count: int
    step: int
    released: bool
    rng: np.random.Generator
    looked_at: int = 0
    trained: int = 0

    def drawn(self, count: int) -> np.ndarray:
        """Return old rows, uniform and without repeats."""
        return self.old[self.rng.choice(len(self.old), size=count, replace=False)]

    def candidates(self, many: int | None) -> np.ndarray:
        """Return old rows to choose the replayed ones of; twice as many as those by default."""
        return self.drawn(min(2 * self.count if many is None else many, len(self.old)))

    def forward(self, rows: np.ndarray) -> tuple[Any, Any]:
        """Return hidden layer and logits of some rows, in evaluation mode, without gradients."""
        import torch

        self.looked_at += len(rows)
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            found = self.vectors(self.inputs(rows))
        self.network.train(training)
        return found


class Variant:
    """A way to replay.

    Attributes
    ----------
    distils : bool
        Reads the stored outputs of earlier models.
    imports : tuple of str
        Modules that take long to import, beside those of the networks.
    candidates : int or None
        Of variants that choose: how many of the old items they look at in a step.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    paper: ClassVar[str] = "Das et al. 2023"
    distils: ClassVar[bool] = False
    imports: ClassVar[tuple[str, ...]] = ()
    candidates: int | None = None

    def begin(self) -> None:
        """Forget what was kept of an earlier round."""

    def chosen(self, now: Now) -> np.ndarray:
        """Return `now.count` of `now.old`; uniform by default."""
        return now.drawn(now.count)

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
        """Return what is minimised; the mean cross-entropy of all by default.

        Parameters
        ----------
        new, old : tensor of float, shapes (k, C) and (r, C)
            Logits of new and of replayed items.
        new_labels, old_labels : tensor of int64
        targets : tensor of float, shape (r, C)
            Stored logits of the replayed items; not read unless the variant distils.
        share : float
            Of the new items among all.
        released : bool
        """
        return replayed(new, new_labels, old, old_labels)
