"""Journals: where a trajectory keeps its events and its latest model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

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


class MemoryJournal:
    """A journal that lasts as long as the process."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._model: Model | None = None

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
