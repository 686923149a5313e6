"""A trained network as a model: stored as the arrays that training changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from labeltrain.encoders.base import choose_device
from labeltrain.kernels.threads import torch_threads
from labeltrain.learners.base import Model, with_unseen
from labeltrain.learners.networks.backbones import rebuilt
from labeltrain.learners.networks.classifier import adapted, classifier, load_trained
from labeltrain.learners.networks.shelf import Shelf

PREFIX = "trained."


@dataclass(frozen=True)
class Network:
    """A network that is ready to predict.

    Attributes
    ----------
    classifier : torch.nn.Module
    shelf : Shelf
        With the backbone and the frozen lower part.
    """

    classifier: Any
    shelf: Shelf


class NetworkModel(Model):
    """A body, and a linear head on its standardised vectors; reads items."""

    name: ClassVar[str] = "network"

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        facts: Mapping[str, Any],
        network: Network | None = None,
    ) -> None:
        self._arrays = dict(arrays)
        self._facts = dict(facts)
        if network is not None:
            self.network = network

    @cached_property
    def network(self) -> Network:
        """The network of a stored model, built when it first predicts."""
        import torch

        facts = self._facts
        device = choose_device(facts["device"], torch)
        backbone = rebuilt(facts["backbone"], facts["device"])
        with torch.random.fork_rng(devices=[]):  # new layers draw weights before theirs are loaded
            below, trained = adapted(backbone, facts["adapt"], facts["layers"], facts["rank"])
            mean, deviation = self._arrays["mean"], self._arrays["deviation"]
            whole = classifier(trained, mean, deviation, int(self._arrays["seen"].sum()))
        changed = {k: v for k, v in self._arrays.items() if k.startswith(PREFIX)}
        load_trained(trained, {k.removeprefix(PREFIX): v for k, v in changed.items()})
        if below is not None:
            below = below.to(device)
        shelf = Shelf(backbone, below, facts["memory"], device)
        return Network(whole.to(device).eval(), shelf)

    def hidden(self, features: Any) -> np.ndarray:
        """Return the standardised vectors of items, float32 (k, d)."""
        import torch

        network = self.network
        with torch_threads(torch):
            return network.shelf.vectors(features, network.classifier)

    def predict_proba(self, features: Any) -> np.ndarray:
        """Return class probabilities, float64 (k, C), of items."""
        weights, bias = self.head
        logits = (self.hidden(features) @ weights.T + bias).astype(np.float64)
        return with_unseen(logits, self._arrays["seen"].astype(bool), self._facts["labels"])

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, d) and bias (C,); zeros for classes without a label."""
        return self._arrays["head_weights"], self._arrays["head_bias"]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what training changed, the moments, the head, and which classes were seen."""
        return dict(self._arrays)

    def facts(self) -> dict[str, Any]:
        """Return the backbone, how it was adapted, and what happened in the training."""
        return dict(self._facts)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> NetworkModel:
        """Rebuild the model; the pretrained weights are read when it first predicts.

        Raises
        ------
        BadInput
            Then, when the pretrained weights are not those it was trained from.
        """
        return cls(arrays, facts)
