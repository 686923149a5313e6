"""What the parts of a project share: its files, its state, and the model of the labels in force."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from labeltrain.errors import BadInput, StoreDamaged
from labeltrain.learners import Learner, Model
from labeltrain.learners import registry as learners
from labeltrain.projects.content import LEARNED, TARGETS, load_contents, load_features, load_items
from labeltrain.projects.items import Items
from labeltrain.projects.state import ProjectState
from labeltrain.projects.training import THREADS, fit
from labeltrain.store import Event, Workspace
from labeltrain.strategies import registry as strategies
from labeltrain.strategies.base import Strategy


class OpenProject:
    """A project that is open: what it holds, loaded and made when it is first asked for.

    A context manager; :class:`labeltrain.Project` adds what people do with it.

    Attributes
    ----------
    folder : pathlib.Path
    spec : dict
        What was decided when the project began.
    items : Items
    state : ProjectState
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._closed = False
        self.folder = workspace.folder
        self.spec: dict[str, Any] = workspace.first().body
        self.items: Items = load_items(workspace, self.spec)
        self.state = ProjectState.fold(workspace.events())
        self._encoded: dict[str, np.ndarray] | None = None
        self._contents: Any = None
        self._learner: Learner | None = None
        self._fitted: Model | None = None  # of the labels in force; dropped when they change

    @classmethod
    def open(cls, folder: str | Path, *, read_only: bool = False) -> Self:
        """Open a project; `read_only` also while another process works on it.

        Raises
        ------
        BadInput
            There is none.
        StoreDamaged, WorkspaceBusy
        """
        return cls._begin(Workspace.open(Path(folder), "project", read_only=read_only))

    @classmethod
    def _begin(cls, workspace: Workspace) -> Self:
        try:
            return cls(workspace)
        except BaseException:
            workspace.close()
            raise

    def close(self) -> None:
        """Give the directory back; a closed project can be closed again, and nothing else."""
        if not self._closed:
            self._closed = True
            self._workspace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """True when nothing can be changed."""
        return self._workspace.ledger.epoch is None

    @property
    def threads(self) -> int:
        """Threads of the fits that picks depend on: those of the machine it began on, or one."""
        return int(self.spec.get("threads", THREADS))

    def features(self) -> np.ndarray:
        """Return the encoded items, float32 (n, d); encoded again when their file is missing."""
        return self._arrays()["features"]

    def encoder_state(self) -> dict[str, np.ndarray]:
        """Return what the encoder learned from the items; nothing for most."""
        start = len(LEARNED)
        return {k[start:]: v for k, v in self._arrays().items() if k.startswith(LEARNED)}

    def views(self, strength: str) -> np.ndarray | None:
        """Return the encoded views of the items, float32 (count, n, d); None if it has none."""
        return self._arrays().get(strength)

    def targets(self) -> np.ndarray | None:
        """Return the encoded query, float32 (t, d); None if the project has none."""
        return self._arrays().get(TARGETS)

    def strategy(self, name: str | None = None) -> Strategy:
        """Return the project's strategy; or another one, with its parameters left alone."""
        if name in (None, self.spec["strategy"]):
            return strategies.make(self.spec["strategy"], self.spec.get("strategy_options"))
        return strategies.make(str(name))

    def _arrays(self) -> dict[str, np.ndarray]:
        if self._encoded is None:
            if self.state.encoded is None:
                raise StoreDamaged(
                    f"{self.folder}: the ledger does not say where the features are",
                    f"run: labeltrain repair {self.folder}, or begin a new project",
                )
            arrays, events = load_features(
                self._workspace,
                self.spec,
                self.items,
                self.state.encoded,
                self.state.audit_order,
            )
            if not self.read_only:
                self._append(*events)
            self._encoded = arrays
        return self._encoded

    def inputs(self, reads: str | None = None) -> Any:
        """Return all items in the form a model reads them.

        Parameters
        ----------
        reads : {"features", "items"}, optional
            As the project's own learner if not given.

        Returns
        -------
        ndarray or sequence
            Features; or texts, paths of images, pixels: the same object from call to call, so that
            a learner can keep what it made of it.
        """
        if (reads or self.learner().reads) == "features":
            return self.features()
        if self._contents is None:
            self._contents = load_contents(self._workspace, self.spec, self.items)
        return self._contents

    def load_arrays(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays of the project and their facts, by name.

        Raises
        ------
        StoreMissing, StoreDamaged
        """
        return self._workspace.load_arrays(name)

    def learner(self) -> Learner:
        """Return the project's learner, giving what the project's strategy needs."""
        if self._learner is None:
            learner = learners.make(self.spec["learner"], self.spec["learner_options"])
            self._learner = learner.serving(self.strategy().needs)
        return self._learner

    def fitted(self) -> Model:
        """Return the model of the labels in force, not calibrated; fitted when they change."""
        if self._fitted is None:
            self._fitted = fit(self)
        return self._fitted

    def _append(self, *events: Event) -> None:
        # What is applied is what a reopened project will read: tuples are lists, say.
        held = [replace(event, body=json.loads(json.dumps(event.body))) for event in events]
        self._workspace.append(held)
        for event in held:
            self.state.apply(event)
            self._applied(event)

    def _applied(self, event: Event) -> None:
        """Drop what an event makes outdated."""
        if event.kind in ("answered", "classes"):
            self._fitted = None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BadInput(f"this project in {self.folder} was closed", "open it again")

    def _refuse_unless_mine(self) -> None:
        self._refuse_if_closed()
        if self.read_only:
            raise BadInput(f"{self.folder} is open for reading only", "open it without read_only")
