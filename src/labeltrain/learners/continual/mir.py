"""Maximally interfered retrieval."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np

from labeltrain.learners.checks import check_whole
from labeltrain.learners.continual.variant import Now, Variant


class MIR(Variant):
    """Replays the old items that a step on the new ones alone would harm most.

    Of `candidates` drawn uniformly, those whose loss rises most in a trial step of the optimiser;
    the step is taken back, to the last bit.

    Parameters
    ----------
    candidates : int, optional
        At least as many as are replayed; twice as many by default.

    Notes
    -----
    The published code draws from the softmax of the rises instead: ``released=True``.

    References
    ----------
    Aljundi et al.: Online Continual Learning with Maximally Interfered Retrieval, NeurIPS 2019.
    Das et al.: Accelerating Batch Active Learning Using Continual Learning Techniques, TMLR 2023.
    """

    name: ClassVar[str] = "cal-mir"
    summary: ClassVar[str] = "continual: replays the old items that the new ones interfere with"

    def __init__(self, candidates: int | None = None) -> None:
        if candidates is not None:
            check_whole(self.name, candidates=candidates)
        self.candidates = candidates

    def chosen(self, now: Now) -> np.ndarray:
        """Return the candidates whose loss rises most."""
        some = now.candidates(self.candidates)
        if len(some) == now.count:
            return some
        rises = interference(now, some)
        if not now.released:
            return some[np.argsort(-rises, kind="stable")[: now.count]]
        weights = np.exp(rises - rises.max())
        weights = weights / weights.sum() + 1e-8
        return now.rng.choice(some, size=now.count, replace=False, p=weights / weights.sum())


def interference(now: Now, rows: np.ndarray) -> np.ndarray:
    """Return by how much a trial step on the new items raises the loss of others, float64 (k,).

    Network and optimiser are afterwards what they were before.
    """
    import torch

    labels = now.labels[torch.from_numpy(rows).to(now.labels.device)]
    before = _losses(now, rows, labels)
    network, optimiser = now.network, now.optimiser
    held = {name: value.detach().clone() for name, value in network.state_dict().items()}
    state = copy.deepcopy(optimiser.state_dict())
    training = network.training
    network.eval()  # no dropout: the trial draws nothing, and moves no statistics of batches
    optimiser.zero_grad(set_to_none=True)
    mine = now.labels[torch.from_numpy(now.new).to(now.labels.device)]
    torch.nn.functional.cross_entropy(now.vectors(now.inputs(now.new))[1], mine).backward()
    optimiser.step()
    now.trained += len(now.new)
    after = _losses(now, rows, labels)
    network.load_state_dict(held)
    optimiser.load_state_dict(state)
    optimiser.zero_grad(set_to_none=True)
    network.train(training)
    return np.asarray((after - before).double().cpu().numpy())


def _losses(now: Now, rows: np.ndarray, labels: Any) -> Any:
    import torch

    _, logits = now.forward(rows)
    return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
