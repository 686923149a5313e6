"""What continual learners are measured against, on the same networks and the same loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.learners.base import Training
from labeltrain.learners.checks import check_positive, check_share, check_whole
from labeltrain.learners.continual.bodies import Body
from labeltrain.learners.continual.learner import Continuing, on_device, replay_of
from labeltrain.learners.continual.memory import Memory
from labeltrain.learners.continual.model import ContinualModel
from labeltrain.learners.continual.training import ADAMW, Plan, train


class Retrain(Continuing):
    """A fresh network every round, trained on all labels until it knows them.

    Parameters
    ----------
    network, network_options, optimizer
        As of the continual learners.
    first_epochs : int
        Passes over all labels at most.
    enough : float
        Share of a pass that is predicted right, after which there is no further one.
    """

    name: ClassVar[str] = "retrain"
    summary: ClassVar[str] = "a fresh network each round, passes over all labels till it knows them"

    def __init__(
        self,
        *,
        network: str = "mlp",
        network_options: Mapping[str, Any] | None = None,
        first_epochs: int = 100,
        enough: float = 0.99,
        optimizer: str = ADAMW,
    ) -> None:
        self._set(network, network_options, optimizer, first_epochs, enough)

    def _learned(
        self,
        training: Training,
        rng: np.random.Generator,
        before: ContinualModel | None,
        memory: Memory,
        new: np.ndarray,
        old: np.ndarray,
    ) -> tuple[ContinualModel, int]:
        body = self._begun(training, before, rng)
        plan = self._rows(new, old, before)
        report = train(body, on_device(training, body), plan, rng)
        held = _without_targets(memory, training, new, old, rng)
        return self._model(body, training, held, report)

    def _begun(
        self, training: Training, before: ContinualModel | None, rng: np.random.Generator
    ) -> Body:
        """Return the network that a round begins with."""
        return self.base.fresh(training, rng)

    def _rows(self, new: np.ndarray, old: np.ndarray, before: ContinualModel | None) -> Plan:
        """Return what is passed over."""
        rows = np.sort(np.concatenate([new, old]))
        return self._plan(rows, self.first_epochs, enough=self.enough)


class WarmStart(Retrain):
    """The network of the round before, trained on all labels until it knows them.

    Parameters
    ----------
    network, network_options, first_epochs, enough, optimizer
        As of the learner retrain.
    """

    name: ClassVar[str] = "warm-start"
    summary: ClassVar[str] = "the network of the round before, passes over all labels"
    continues: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    def _begun(
        self, training: Training, before: ContinualModel | None, rng: np.random.Generator
    ) -> Body:
        if before is None:
            return super()._begun(training, before, rng)
        return self.base.continued(training, before.inner, rng)


class ShrinkPerturb(Retrain):
    """``shrink * weights + noise * fresh weights``, trained on all labels until it knows them.

    Parameters
    ----------
    shrink, noise : float
    network, network_options, first_epochs, enough, optimizer
        As of the learner retrain.

    References
    ----------
    Ash, Adams: On Warm-Starting Neural Network Training, NeurIPS 2020.
    """

    name: ClassVar[str] = "shrink-perturb"
    summary: ClassVar[str] = "the network before, shrunk and perturbed, passes over all labels"
    continues: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    def __init__(
        self,
        *,
        shrink: float = 0.8,
        noise: float = 0.2,
        network: str = "mlp",
        network_options: Mapping[str, Any] | None = None,
        first_epochs: int = 100,
        enough: float = 0.99,
        optimizer: str = ADAMW,
    ) -> None:
        self._set(network, network_options, optimizer, first_epochs, enough)
        check_share(self.name, shrink=shrink, noise=noise)
        self.shrink, self.noise = float(shrink), float(noise)

    def _begun(
        self, training: Training, before: ContinualModel | None, rng: np.random.Generator
    ) -> Body:
        import torch

        fresh = super()._begun(training, before, rng)
        if before is None:
            return fresh
        body = self.base.continued(training, before.inner, rng)
        body.read = fresh.read
        other = dict(fresh.network.named_parameters())
        with torch.no_grad():
            for name, parameter in body.network.named_parameters():
                if parameter.requires_grad:
                    parameter.mul_(self.shrink).add_(other[name], alpha=self.noise)
        return body


class NoReplay(WarmStart):
    """The network of the round before, trained on the new labels only: it forgets.

    Parameters
    ----------
    epochs : int
        Passes over the new items.
    network, network_options, first_epochs, enough, optimizer
        As of the learner retrain; the first round is trained as there.
    """

    name: ClassVar[str] = "no-replay"
    summary: ClassVar[str] = "the network of the round before, passes over new labels only"

    def __init__(
        self,
        *,
        epochs: int = 20,
        network: str = "mlp",
        network_options: Mapping[str, Any] | None = None,
        first_epochs: int = 100,
        enough: float = 0.99,
        optimizer: str = ADAMW,
    ) -> None:
        self._set(network, network_options, optimizer, first_epochs, enough)
        check_whole(self.name, epochs=epochs)
        self.epochs = epochs

    def _rows(self, new: np.ndarray, old: np.ndarray, before: ContinualModel | None) -> Plan:
        if before is None:
            return super()._rows(new, old, before)
        return self._plan(new, self.epochs)


class WarmStartMatched(WarmStart):
    """Warm start on all labels, on as many examples as a continual learner processes.

    Parameters
    ----------
    epochs : float
        As of that learner, with ``stop="epochs"``; the passes that it took on average, otherwise.
    replay : int, optional
        As of that learner; four times the batch by default.
    network, network_options, first_epochs, enough, optimizer
        As of the learner retrain; the first round is trained as there.
    """

    name: ClassVar[str] = "warm-start-matched"
    summary: ClassVar[str] = "warm start on all labels, with the examples of a continual learner"

    def __init__(
        self,
        *,
        epochs: float = 20,
        replay: int | None = None,
        network: str = "mlp",
        network_options: Mapping[str, Any] | None = None,
        first_epochs: int = 100,
        enough: float = 0.99,
        optimizer: str = ADAMW,
    ) -> None:
        self._set(network, network_options, optimizer, first_epochs, enough)
        check_positive(self.name, epochs=epochs)
        if replay is not None:
            check_whole(self.name, replay=replay)
        self.epochs = epochs
        self.replay = replay_of(self.base.batch) if replay is None else replay

    def _rows(self, new: np.ndarray, old: np.ndarray, before: ContinualModel | None) -> Plan:
        if before is None:
            return super()._rows(new, old, before)
        rows = np.sort(np.concatenate([new, old]))
        examples = examples_of(len(new), len(old), self.epochs, self.base.batch, self.replay)
        return self._plan(rows, math.ceil(self.epochs), examples=examples)


def examples_of(new: int, old: int, epochs: float, batch: int, replay: int) -> int:
    """Return the examples that a round of a continual learner processes, rounded.

    Examples
    --------
    >>> first, rounds = 100 * 2500, 9  # CIFAR-10 of the paper
    >>> first + rounds * examples_of(2500, 2500, 40, 20, 40)
    2950000
    """
    return round(epochs * (new + math.ceil(new / batch) * min(replay, old)))


def _without_targets(
    memory: Memory,
    training: Training,
    new: np.ndarray,
    old: np.ndarray,
    rng: np.random.Generator,
) -> Memory:
    """Return a memory of which items were learned, and no more."""
    if not len(memory.positions):
        memory = Memory.empty(0)
    none = np.empty((len(new), 0), dtype=np.float32)
    return memory.after(training.labelled, training.labels, old, new, none, most=None, rng=rng)


BASELINES = (Retrain, WarmStart, ShrinkPerturb, NoReplay, WarmStartMatched)
