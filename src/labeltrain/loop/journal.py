"""Journals: where a trajectory keeps its events and its latest model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.learners.base import Model
from labeltrain.learners.registry import rebuild
from labeltrain.store import Event, Workspace


class Journal(Protocol):
    """Where a trajectory keeps its events and its latest model."""

    def events(self) -> Iterator[Event]: ...
    def append(self, events: Sequence[Event]) -> None: ...
    def save_model(self, model: Model) -> dict[str, Any]: ...
    def load_model(self, reference: Mapping[str, Any]) -> Model: ...
    def drop_model(self, reference: Mapping[str, Any]) -> None: ...
    def save_features(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]: ...
    def load_features(self, reference: Mapping[str, Any]) -> dict[str, np.ndarray]: ...
    def checkpoint(self) -> Path | None: ...


class MemoryJournal:
    """A journal that lasts as long as the process."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._model: Model | None = None
        self._features: dict[str, np.ndarray] = {}

    def events(self) -> Iterator[Event]:
        """Yield the events so far."""
        yield from self._events

    def append(self, events: Sequence[Event]) -> None:
        """Keep events."""
        self._events.extend(events)

    def save_model(self, model: Model) -> dict[str, Any]:
        """Keep the model."""
        self._model = model
        return {"kind": model.name}

    def load_model(self, reference: Mapping[str, Any]) -> Model:
        """Return the model kept last."""
        if self._model is None:
            raise BadInput("no model was kept", "run a round first")
        return self._model

    def drop_model(self, reference: Mapping[str, Any]) -> None:
        """Do nothing: only one model is kept."""

    def save_features(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Keep renewed features."""
        self._features = dict(arrays)
        return {}

    def load_features(self, reference: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the features kept last."""
        return self._features

    def checkpoint(self) -> Path | None:
        """Return None: a training that is killed with its process begins again."""
        return None


class StoreJournal:
    """A journal in a workspace."""

    def __init__(self, workspace: Workspace, run: str) -> None:
        self.workspace = workspace
        self.run = run

    def events(self) -> Iterator[Event]:
        """Yield the events of this run."""
        return self.workspace.events(run=self.run)

    def append(self, events: Sequence[Event]) -> None:
        """Append events durably."""
        self.workspace.append(events)

    def save_model(self, model: Model) -> dict[str, Any]:
        """Write the model's arrays and return the reference that goes into the event."""
        facts = {"run": self.run, **model.facts()}
        return {"kind": model.name, "arrays": self.workspace.save_arrays(model.arrays(), facts)}

    def load_model(self, reference: Mapping[str, Any]) -> Model:
        """Read a model back."""
        arrays, facts = self.workspace.load_arrays(reference["arrays"])
        facts.pop("run", None)
        return rebuild(reference["kind"], arrays, facts)

    def drop_model(self, reference: Mapping[str, Any]) -> None:
        """Delete the arrays of a model that a later one has replaced."""
        self.workspace.drop_arrays(reference["arrays"])

    def save_features(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Write renewed features and return the reference that goes into the event."""
        return {"arrays": self.workspace.save_arrays(arrays, {"run": self.run})}

    def load_features(self, reference: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Read renewed features back."""
        return self.workspace.load_arrays(reference["arrays"])[0]

    def checkpoint(self) -> Path | None:
        """Return where a training of this run keeps its state."""
        name = hashlib.sha256(self.run.encode()).hexdigest()[:16]
        return self.workspace.folder / "trainings" / f"{name}.state"
