"""A model that the next round goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.learners.base import Model
from labeltrain.learners.continual.bodies import MODELS
from labeltrain.learners.continual.memory import PREFIX, Memory


class ContinualModel(Model):
    """A network, and the memory of what it has learned.

    Parameters
    ----------
    inner : Model
        The network.
    memory : Memory
    told : dict
        What happened in the training, JSON values.
    """

    name: ClassVar[str] = "continual"

    def __init__(self, inner: Model, memory: Memory, told: Mapping[str, Any]) -> None:
        self.inner, self.memory, self.told = inner, memory, dict(told)

    def predict_proba(self, features: Any) -> np.ndarray:
        """Return class probabilities, float64 (k, C)."""
        return self.inner.predict_proba(features)

    def hidden(self, features: Any) -> np.ndarray:
        """Return the last hidden layer, float32 (k, h)."""
        return self.inner.hidden(features)

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, h) and bias (C,)."""
        return self.inner.head

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the network's arrays and those of the memory."""
        return {**self.inner.arrays(), **self.memory.arrays()}

    def facts(self) -> dict[str, Any]:
        """Return what the network is, what happened, and what the memory takes."""
        return {
            **self.told,
            "inner": self.inner.name,
            "of_inner": self.inner.facts(),
            "memory_items": len(self.memory.positions),
            "memory_bytes": self.memory.bytes,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> ContinualModel:
        """Rebuild the model."""
        own = {k: v for k, v in arrays.items() if not k.startswith(PREFIX)}
        inner = MODELS[facts["inner"]].from_arrays(own, facts["of_inner"])
        left = ("inner", "of_inner", "memory_items", "memory_bytes")
        told = {k: v for k, v in facts.items() if k not in left}
        return cls(inner, Memory.from_arrays(arrays), told)
