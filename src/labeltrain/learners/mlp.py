"""A multilayer perceptron on frozen features, in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.base import choose_device
from labeltrain.errors import BadInput, missing_extra
from labeltrain.kernels import clock
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.balance import Adjustment
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.learners.checks import (
    check_device,
    check_not_negative,
    check_positive,
    check_share,
    check_whole,
)
from labeltrain.needs import Need

FOLDED = 16.0  # deviations that a mean may be away from 0; rounding grows with them


class MLPModel(Model):
    """Standardise, hidden layers with ReLU, then a linear head; evaluated in numpy."""

    name: ClassVar[str] = "mlp"

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays = dict(arrays)
        self._facts = dict(facts)

    def hidden(self, features: np.ndarray) -> np.ndarray:
        """Return the last hidden layer, float32 (k, width)."""
        a, centre = self._arrays, self._arrays["mean"] / self._arrays["deviation"]
        layers = [
            (a[f"weights{i}"], a[f"bias{i}"]) for i in range(int(self._facts["layers"]))
        ]  # fmt: skip
        if layers and np.abs(centre).max(initial=0.0) <= FOLDED:
            # The first layer standardises: one pass over the features less.
            weights, bias = layers[0]
            h, layers[0] = features, (weights / a["deviation"], bias - weights @ centre)
        else:
            h = (features - a["mean"]) / a["deviation"]
        for weights, bias in layers:
            h = h @ weights.T
            h += bias
            np.maximum(h, 0.0, out=h)
        return h

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, float64 (k, C)."""
        weights, bias = self.head
        logits = (self.hidden(features) @ weights.T + bias).astype(np.float64)
        if self._facts["kind"] == "multilabel":
            return 1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500)))
        logits -= logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, width) and bias (C,)."""
        return self._arrays["head_weights"], self._arrays["head_bias"]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all weights."""
        return dict(self._arrays)

    def facts(self) -> dict[str, Any]:
        """Return kind, number of hidden layers and steps."""
        return dict(self._facts)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> MLPModel:
        """Rebuild the model."""
        return cls(arrays, facts)


class MLP(Learner):
    """A fresh perceptron each round; a fixed number of steps whatever the number of labels.

    Parameters
    ----------
    width : int
        Units of each hidden layer.
    layers : int
        Hidden layers.
    steps : int
        Optimiser steps (AdamW, cosine to zero).
    batch : int
        Labels a step.
    learning_rate, weight_decay, dropout : float
    class_weight : {"none", "balanced"}
        Weights of labels: "balanced" gives every class the same sum (multilabel: to the items with
        a label as to those without).
    logit_adjustment : float
        So many times the log of the share of each class (multilabel: of its odds) is taken from its
        logit; 1 aims at balanced accuracy.
    prior : {"pool", "labels"}
        Whose shares: those of the labels, in the loss; or those that the model predicts for the
        pool, after the training, which a network that is sure of everything hardly notices.
    device : str
        "auto" takes a GPU when there is one.

    Notes
    -----
    The schedule is tied to the number of steps, and a batch is drawn with replacement only when
    there are fewer labels than `batch`: few labels train as long as many.
    """

    name: ClassVar[str] = "mlp"
    summary: ClassVar[str] = "multilayer perceptron on frozen features (torch)"
    imports: ClassVar[tuple[str, ...]] = ("torch", "torch._dynamo")  # the latter by optimisers
    gives: ClassVar[frozenset[Need]] = frozenset(
        {Need.PROBABILITIES, Need.PREDICT, Need.HIDDEN, Need.HEAD, Need.OUT_OF_FOLD}
    )
    model: ClassVar[type[Model]] = MLPModel

    def __init__(
        self,
        width: int = 256,
        layers: int = 1,
        steps: int = 300,
        batch: int = 64,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        dropout: float = 0.2,
        class_weight: str = "none",
        logit_adjustment: float = 0.0,
        prior: str = "labels",
        device: str = "auto",
    ) -> None:
        check_whole("mlp", width=width, layers=layers, steps=steps, batch=batch)
        check_positive("mlp", learning_rate=learning_rate)
        check_not_negative("mlp", weight_decay=weight_decay)
        check_share("mlp", dropout=dropout)
        if dropout == 1:
            raise BadInput(f"mlp: dropout={dropout!r}", "give a number below 1")
        self.adjustment = Adjustment.checked("mlp", logit_adjustment, prior, class_weight)
        check_device("mlp", device)
        self.width = width
        self.layers = layers
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.class_weight = class_weight
        self.device = device

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of the labels so far; `previous` is not used."""
        started = clock.seconds()
        if training.kind == "multiclass":
            enough = len(np.unique(training.labels)) >= 2
        else:
            enough = len(training.labels) >= 2
        if not enough:
            return PriorModel(training.prior(), training.features.shape[1])
        model = self._train(training, rng)
        model.cost = Cost(self.steps * self.batch, clock.seconds() - started)
        return model

    def _train(self, training: Training, rng: np.random.Generator) -> MLPModel:
        try:
            import torch
        except ImportError as error:
            raise missing_extra("torch", "torch", "the learner 'mlp'") from error
        device = choose_device(self.device, torch)
        mean, deviation = pool_moments(training)
        X = torch.from_numpy((training.features[training.labelled] - mean) / deviation).to(device)
        multilabel = training.kind == "multilabel"
        y = torch.from_numpy(training.labels.astype(np.float32 if multilabel else np.int64))
        y = y.to(device)
        with torch_threads(torch), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            network = perceptron(
                X.shape[1], self.width, self.layers, self.dropout, training.classes
            )
            network = network.to(device).train()
            optimiser = torch.optim.AdamW(
                network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
            loss = self._loss(training, device)
            for rows in _batches(len(X), self.batch, self.steps, rng):
                chosen = torch.from_numpy(rows).to(device)
                optimiser.zero_grad(set_to_none=True)
                loss(network(X[chosen]), y[chosen]).backward()
                optimiser.step()
                schedule.step()
        arrays = {"mean": mean, "deviation": deviation, **perceptron_arrays(network)}
        model = MLPModel(arrays, {"kind": training.kind, "layers": self.layers})
        seen = np.arange(training.classes)
        if not multilabel:
            seen = np.flatnonzero(np.bincount(training.labels, minlength=training.classes))
        arrays["head_bias"][seen] -= self.adjustment.afterwards(
            training, seen, lambda positions: model.predict_proba(training.features[positions])
        )
        return model

    def _loss(self, training: Training, device: str) -> Callable[[Any, Any], Any]:
        """Return what is minimised, of logits and labels."""
        from torch.nn import functional

        labels, m = training.labels, len(training.labels)
        if training.kind == "multilabel":
            counts = np.clip(labels.sum(axis=0, dtype=np.float64), 0.5, m - 0.5)
            every = np.arange(training.classes)
            offset = _tensor(self.adjustment.in_loss(training, every), device)
            on = off = None
            if self.class_weight == "balanced":
                on, off = _tensor(0.5 * m / counts, device), _tensor(0.5 * m / (m - counts), device)

            def of_labels(logits: Any, y: Any) -> Any:
                weights = None if on is None else y * on + (1.0 - y) * off
                return functional.binary_cross_entropy_with_logits(logits + offset, y, weights)

            return of_labels
        counts = np.bincount(labels, minlength=training.classes).astype(np.float64)
        seen = np.flatnonzero(counts)
        added = np.zeros(training.classes)
        added[seen] = self.adjustment.in_loss(training, seen)
        offset, weights = _tensor(added, device), None
        if self.class_weight == "balanced":
            each = np.ones(training.classes)
            each[seen] = counts.sum() / (len(seen) * counts[seen])
            weights = _tensor(each, device)
        return lambda logits, y: functional.cross_entropy(logits + offset, y, weights)


def pool_moments(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each feature over what may be used, float32 (d,)."""
    known = training.features if training.usable is None else training.features[training.usable]
    deviation = known.std(axis=0)
    deviation = np.where(deviation > 1e-8, deviation, 1.0)
    return known.mean(axis=0).astype(np.float32), deviation.astype(np.float32)


def perceptron(inputs: int, width: int, layers: int, dropout: float, outputs: int) -> Any:
    """Return a new network: hidden layers with ReLU and dropout, and a linear head."""
    from torch import nn

    stack: list[nn.Module] = []
    for _ in range(layers):
        stack += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*stack, nn.Linear(inputs, outputs))


def perceptron_arrays(network: Any) -> dict[str, np.ndarray]:
    """Return the weights of a perceptron, as :class:`MLPModel` holds them."""
    from torch import nn

    *hidden, head = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays = {}
    for name, layer in [*enumerate(hidden), ("", head)]:
        weights, bias = (f"weights{name}", f"bias{name}") if name != "" else (
            "head_weights", "head_bias",
        )  # fmt: skip
        arrays[weights] = layer.weight.detach().cpu().numpy().copy()
        arrays[bias] = layer.bias.detach().cpu().numpy().copy()
    return arrays


def _tensor(values: np.ndarray, device: str) -> Any:
    import torch

    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device)


def _batches(n: int, batch: int, steps: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return row indices for each step: shuffled passes over the labels, whole batches only."""
    if n <= batch:
        return [rng.permutation(n) for _ in range(steps)]
    passes: list[np.ndarray] = []
    while sum(len(p) // batch for p in passes) < steps:
        passes.append(rng.permutation(n))
    return [p[i : i + batch] for p in passes for i in range(0, len(p) - batch + 1, batch)][:steps]
