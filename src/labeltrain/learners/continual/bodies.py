"""The networks that go on learning: perceptrons on features, and networks on items."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.base import choose_device
from labeltrain.errors import refuse_unknown_parameters
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.base import Model, Training
from labeltrain.learners.mlp import MLP, perceptron, perceptron_arrays, pool_moments
from labeltrain.learners.networks.classifier import set_dropout, trained_arrays, trained_names
from labeltrain.learners.networks.finetune import FineTune
from labeltrain.learners.networks.learner import NetworkLearner
from labeltrain.learners.networks.model import PREFIX, Network, NetworkModel
from labeltrain.learners.networks.scratch import SmallCNN, SmallTransformer
from labeltrain.learners.networks.shelf import Shelf
from labeltrain.learners.networks.source import ItemSource
from labeltrain.learners.semi.learner import SemiModel
from labeltrain.needs import Need


class Body(ABC):
    """A network in training, and the labelled items as its inputs.

    Attributes
    ----------
    network : torch.nn.Module
        From inputs to the logits of all classes.
    device : str
    read : int
        Examples that were read to begin it.
    """

    network: Any
    device: str
    read: int = 0

    @abstractmethod
    def inputs(self, rows: np.ndarray) -> Any:
        """Return labelled items, by row, as they are."""

    def views(self, rows: np.ndarray) -> Any:
        """Return labelled items as training sees them: the items themselves by default."""
        return self.inputs(rows)

    @abstractmethod
    def vectors(self, batch: Any) -> tuple[Any, Any]:
        """Return the last hidden layer (k, h) and logits (k, C)."""

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters of the optimiser, with factors of the rate."""
        return [{"params": list(self.network.parameters()), "scale": 1.0}]

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context that training runs the network in."""
        return nullcontext()

    @abstractmethod
    def model(self, training: Training, steps: int) -> Model:
        """Return the network as a model."""


class Base(ABC):
    """Makes bodies: new ones, and ones that go on from a model."""

    reads: ClassVar[str]
    gives: ClassVar[frozenset[Need]]
    batch: int
    learning_rate: float
    weight_decay: float

    @abstractmethod
    def fresh(self, training: Training, rng: np.random.Generator) -> Body:
        """Return a network that has learned nothing yet of these items."""

    @abstractmethod
    def continued(self, training: Training, model: Model, rng: np.random.Generator) -> Body:
        """Return the network of a model, to go on with."""

    @abstractmethod
    def fits(self, training: Training, model: Model) -> bool:
        """Tell whether a model can go on with these items."""


class FeatureBody(Body):
    """A perceptron on features."""

    def __init__(
        self, training: Training, mean: np.ndarray, deviation: np.ndarray, network: Any, device: str
    ) -> None:
        import torch

        self.mean, self.deviation = mean, deviation
        self.network, self.device = network.to(device), device
        rows = (training.features[training.labelled] - mean) / deviation
        self._rows = torch.from_numpy(rows.astype(np.float32, copy=False)).to(device)

    def inputs(self, rows: np.ndarray) -> Any:
        """Return standardised features."""
        import torch

        return self._rows[torch.from_numpy(rows).to(self.device)]

    def vectors(self, batch: Any) -> tuple[Any, Any]:
        """Return the last hidden layer and logits."""
        hidden = self.network[:-1](batch)
        return hidden, self.network[-1](hidden)

    def model(self, training: Training, steps: int) -> Model:
        """Return the perceptron; it is evaluated in numpy."""
        arrays = {"mean": self.mean, "deviation": self.deviation}
        arrays |= perceptron_arrays(self.network)
        seen = np.bincount(training.labels, minlength=training.classes) > 0
        layers = sum(name.startswith("weights") for name in arrays)
        facts = {"kind": "multiclass", "layers": layers, "labels": len(training.labels)}
        return SemiModel({**arrays, "seen": seen}, {**facts, "steps": steps})


class FeatureBase(Base):
    """Makes perceptrons on features."""

    reads: ClassVar[str] = "features"
    gives: ClassVar[frozenset[Need]] = MLP.gives

    def __init__(self, learner: MLP) -> None:
        self._of = learner
        self.batch, self.learning_rate = learner.batch, learner.learning_rate
        self.weight_decay = learner.weight_decay

    def fresh(self, training: Training, rng: np.random.Generator) -> Body:
        """Return random weights."""
        mean, deviation = pool_moments(training)
        return self._body(training, mean, deviation, training.features.shape[1], training.classes)

    def continued(self, training: Training, model: Model, rng: np.random.Generator) -> Body:
        """Return the weights of a model, with its own moments."""
        import torch

        arrays = model.arrays()
        body = self._body(
            training, arrays["mean"], arrays["deviation"], len(arrays["mean"]), training.classes
        )
        linears = [layer for layer in body.network if isinstance(layer, torch.nn.Linear)]
        names = [*range(len(linears) - 1), "head"]
        with torch.no_grad():
            for layer, name in zip(linears, names, strict=True):
                weights, bias = (
                    ("head_weights", "head_bias") if name == "head"
                    else (f"weights{name}", f"bias{name}")
                )  # fmt: skip
                layer.weight.copy_(torch.from_numpy(np.array(arrays[weights])))
                layer.bias.copy_(torch.from_numpy(np.array(arrays[bias])))
        return body

    def fits(self, training: Training, model: Model) -> bool:
        """Tell whether features and classes are as many as the model's."""
        if not isinstance(model, SemiModel):
            return False
        arrays, of = model.arrays(), self._of
        return (
            len(arrays["mean"]) == training.features.shape[1]
            and len(arrays["seen"]) == training.classes
            and model.facts()["layers"] == of.layers
            and arrays["head_weights"].shape[1] == of.width
        )

    def _body(
        self,
        training: Training,
        mean: np.ndarray,
        deviation: np.ndarray,
        inputs: int,
        outputs: int,
    ) -> FeatureBody:
        import torch

        of = self._of
        device = choose_device(of.device, torch)
        network = perceptron(inputs, of.width, of.layers, of.dropout, outputs)
        return FeatureBody(training, mean, deviation, network, device)


class ItemBody(Body):
    """A network on items: a body, moments of its vectors, and a head."""

    def __init__(
        self, base: NetworkLearner, training: Training, rng: np.random.Generator, shelf: Any
    ) -> None:
        self._base, self._shelf = base, shelf
        self._states = shelf.states(training.items, 1)
        self._rows = shelf.rows(training.items)
        self._labelled = training.labelled
        none = np.empty(0, dtype=np.int64)
        self._source = ItemSource(shelf, self._rows, self._states, {}, training.labelled, none, rng)
        self.device = shelf.device

    def begun(self, training: Training, rng: np.random.Generator) -> ItemBody:
        """Take a new network."""
        from torch import nn

        network, self.read = self._base.begun(training, self._shelf, self._states, rng)
        seen = np.flatnonzero(np.bincount(training.labels, minlength=training.classes))
        head = nn.Linear(network.head.in_features, training.classes)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        head.weight.data[seen] = network.head.weight.data.cpu()
        head.bias.data[seen] = network.head.bias.data.cpu()
        network.head = head.to(self.device)
        self.network = network
        return self

    def taken(self, model: NetworkModel) -> ItemBody:
        """Take the network of a model."""
        import torch
        from torch import nn

        self.network = copy.deepcopy(model.network.classifier)
        dropout = self._base.options.dropout
        if self._shelf.backbone.pretrained and dropout is not None:  # of a stored one, its own
            set_dropout(self.network.trained, dropout)
        weights, bias = model.head
        head = nn.Linear(weights.shape[1], len(weights))
        head.weight.data.copy_(torch.from_numpy(np.array(weights)))
        head.bias.data.copy_(torch.from_numpy(np.array(bias)))
        self.network.head = head.to(self.device)
        return self

    def inputs(self, rows: np.ndarray) -> Any:
        """Return items, or their activations below the cut."""
        positions = self._labelled[rows].tolist()
        if self._states is not None:
            return self._shelf.together([self._states[p] for p in positions])
        return self._shelf.input_of([self._rows[p] for p in positions])

    def views(self, rows: np.ndarray) -> Any:
        """Return weak views where the network is trained on them."""
        return self._source.labelled(rows)

    def vectors(self, batch: Any) -> tuple[Any, Any]:
        """Return standardised vectors and logits."""
        hidden = self.network.vectors(batch)
        return hidden, self.network.head(hidden)

    def groups(self) -> list[dict[str, Any]]:
        """Return the body, and the head at its own rate."""
        return self._base.groups(self.network)

    def precision(self) -> AbstractContextManager[Any]:
        """Return autocast where the options ask for it."""
        import torch

        if not self._base.options.mixed(torch, self.device):
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)

    def model(self, training: Training, steps: int) -> Model:
        """Return the network, stored as what training changes."""
        network, options = self.network.eval(), self._base.options
        arrays = {
            PREFIX + name: value
            for name, value in trained_arrays(
                network.trained, trained_names(network.trained)
            ).items()
        }
        for name in ("mean", "deviation"):
            arrays[name] = getattr(network, name).cpu().numpy().copy()
        arrays["head_weights"] = network.head.weight.detach().cpu().numpy().copy()
        arrays["head_bias"] = network.head.bias.detach().cpu().numpy().copy()
        arrays["seen"] = np.bincount(training.labels, minlength=training.classes) > 0
        facts = {
            "backbone": self._shelf.backbone.facts(),
            "adapt": options.adapt,
            "layers": options.layers,
            "rank": options.rank,
            "memory": options.memory,
            "device": options.device,
            "labels": len(training.labels),
            "steps": steps,
        }
        return NetworkModel(arrays, facts, Network(network, self._shelf))


class ItemBase(Base):
    """Makes networks on items."""

    reads: ClassVar[str] = "items"
    gives: ClassVar[frozenset[Need]] = NetworkLearner.gives

    def __init__(self, learner: NetworkLearner) -> None:
        self._of = learner
        options = learner.options
        self.batch, self.learning_rate = options.batch, options.learning_rate
        self.weight_decay = options.weight_decay

    def fresh(self, training: Training, rng: np.random.Generator) -> Body:
        """Return the pretrained network with a head that has begun, or random weights."""
        return self._bare(training, rng).begun(training, rng)

    def continued(self, training: Training, model: Model, rng: np.random.Generator) -> Body:
        """Return the network of a model."""
        if not isinstance(model, NetworkModel):
            raise TypeError("no network to go on with")
        return self._bare(training, rng).taken(model)

    def fits(self, training: Training, model: Model) -> bool:
        """Tell whether the model is of the same network and as many classes."""
        if not isinstance(model, NetworkModel):
            return False
        facts, options = model.facts(), self._of.options
        same = all(facts[key] == getattr(options, key) for key in ("adapt", "layers", "rank"))
        if not same or len(model.arrays()["seen"]) != training.classes:
            return False
        return bool(facts["backbone"] == self._shelf(training).backbone.facts())

    def _bare(self, training: Training, rng: np.random.Generator) -> ItemBody:
        return ItemBody(self._of, training, rng, self._shelf(training))

    def _shelf(self, training: Training) -> Shelf:
        import torch

        with torch_threads(torch):
            device = choose_device(self._of.options.device, torch)
            return self._of.shelf_of(training, torch, device)


COMMON = ("batch", "learning_rate", "weight_decay", "device")
NETWORKS: dict[str, tuple[type[MLP] | type[NetworkLearner], tuple[str, ...]]] = {
    "mlp": (MLP, ("width", "layers", "dropout", *COMMON)),
    "finetune": (
        FineTune,
        ("model", "adapt", "head", "layers", "rank", "max_length", "size", "head_rate", "dtype",
         "dropout", "memory", *COMMON),
    ),
    "cnn": (SmallCNN, ("width", "size", "dtype", *COMMON)),
    "transformer": (
        SmallTransformer, ("width", "layers", "vocabulary", "max_length", "dtype", *COMMON)
    ),
}  # fmt: skip


def base_of(owner: str, network: str, options: Mapping[str, Any]) -> Base:
    """Return what makes the networks of a learner.

    Raises
    ------
    BadInput
        Unknown name or option.
    """
    cls, known = NETWORKS[network]
    refuse_unknown_parameters(f"{owner}: network_options of {network!r}", dict(options), known)
    made = cls(**options)
    return FeatureBase(made) if isinstance(made, MLP) else ItemBase(made)


MODELS: dict[str, type[Model]] = {cls.name: cls for cls in (SemiModel, NetworkModel)}
