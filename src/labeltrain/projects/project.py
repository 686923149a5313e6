"""A labelling project: what to label next, how good the model is, and every answer kept."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.data import Dataset
from labeltrain.errors import BadInput, LabelTrainError, StoreDamaged, unknown_name
from labeltrain.learners import Learner, Model
from labeltrain.learners import registry as learners
from labeltrain.projects import measuring
from labeltrain.projects.answering import Row, interpret, near_misses, to_store
from labeltrain.projects.asking import choose, question
from labeltrain.projects.content import load_contents, load_features, load_items
from labeltrain.projects.files import read_rows
from labeltrain.projects.founding import found
from labeltrain.projects.items import Items
from labeltrain.projects.model import SavedModel
from labeltrain.projects.results import answers_in_force, predictions
from labeltrain.projects.state import ProjectState
from labeltrain.projects.training import fit, temperature
from labeltrain.projects.words import many
from labeltrain.store import Event, Workspace
from labeltrain.strategies import registry as strategies


class Project:
    """A labelling project in a directory; use :meth:`new` or :meth:`open`.

    Every method that changes something commits it before it returns. A project is a context
    manager.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from labeltrain import Dataset, Project
    >>> X = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    >>> items = Dataset("mine", "features", X, tuple(f"i{k}" for k in range(200)))
    >>> with Project.new(tempfile.mkdtemp() + "/p", items, classes=["no", "yes"]) as project:
    ...     batch = project.next(20)
    ...     _ = project.tell({row["id"]: "yes" for row in batch})
    ...     project.status()["labels"]
    20
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._closed = False
        self.folder = workspace.folder
        self.spec: dict[str, Any] = workspace.first().body
        self.items: Items = load_items(workspace, self.spec)
        self.state = ProjectState.fold(workspace.events())
        self._position = {identifier: p for p, identifier in enumerate(self.items.ids)}
        self._features: np.ndarray | None = None
        self._contents: Any = None
        self._learner: Learner | None = None
        self._saved: SavedModel | None = None  # until anything changes: it may take six fits
        self._fitted: Model | None = None  # of the labels in force; dropped when they change

    # -- making and opening --------------------------------------------------------------------

    @classmethod
    def new(
        cls,
        folder: str | Path,
        source: str | Path | Dataset,
        *,
        classes: Sequence[str] = (),
        encoder: str = "auto",
        encoder_options: Mapping[str, Any] | None = None,
        learner: str = "linear",
        learner_options: Mapping[str, Any] | None = None,
        strategy: str = "auto",
        audit_share: float = 0.1,
        seed: int = 0,
        progress: Any = None,
        **data_options: Any,
    ) -> Project:
        """Begin a project.

        A call that was killed leaves no project behind; the same call again goes on where it was.

        Parameters
        ----------
        folder : path
            A directory that holds no project or study yet; made if it is not there.
        source : path, str or Dataset
            A file, a folder, or a data set; labels that are there are taken in.
        classes : sequence of str
            May be left out when `source` holds labels; more can be added later.
        encoder, learner : str
        strategy : str
            "auto": `uherding`, or `margin` above 20,000 items.
        audit_share : float
            Share of the questions that measures and never trains; 0 to 0.9.
        seed : int
        progress : callable, optional
            ``(done, total)`` while encoding.
        **data_options
            ``text_column``, ``label_column``, ``id_column`` ... of :func:`labeltrain.load`.

        Raises
        ------
        BadInput
            Bad data, fewer than two classes, unknown names, a directory that is taken.
        """
        return cls._begin(
            found(
                Path(folder),
                source,
                classes=classes,
                encoder=encoder,
                encoder_options=encoder_options or {},
                learner=learner,
                learner_options=learner_options or {},
                strategy=strategy,
                audit_share=audit_share,
                seed=seed,
                progress=progress,
                data_options=data_options,
            )
        )

    @classmethod
    def open(cls, folder: str | Path, *, read_only: bool = False) -> Project:
        """Open a project; `read_only` also while another process works on it.

        Raises
        ------
        BadInput
            There is none.
        StoreDamaged, WorkspaceBusy
        """
        return cls._begin(Workspace.open(Path(folder), "project", read_only=read_only))

    @classmethod
    def _begin(cls, workspace: Workspace) -> Project:
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

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """True when nothing can be changed."""
        return self._workspace.ledger.epoch is None

    # -- asking and answering ------------------------------------------------------------------

    def next(self, count: int, *, strategy: str | None = None) -> list[dict[str, Any]]:
        """Choose what to label next, and commit the choice.

        Parameters
        ----------
        count : int
        strategy : str, optional
            Another one than the project's, for this batch.

        Returns
        -------
        list of dict
            One row per item: ``id``, its content, and an empty ``label``. Audit items are among
            them, unmarked. Fewer than `count` when the pool is nearly used up; none when it is.

        Raises
        ------
        BadInput
        """
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise BadInput(f"count={count!r} is not a number of items", "ask for at least one item")
        self._refuse_unless_mine()
        event, asked = choose(self, int(count), strategy or self.spec["strategy"])
        if event is not None:
            self._append(event)
        return self._questions(asked)

    def reissue(self) -> list[dict[str, Any]]:
        """Return the rows that were handed out and wait for an answer, in the order asked."""
        return self._questions(self.state.pending)

    def tell(
        self,
        answers: str | Path | Mapping[str, str],
        *,
        annotator: str = "",
        add_classes: bool = False,
        id_column: str | None = None,
        label_column: str | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, int]:
        """Take answers in, all of them or none, and commit them.

        Parameters
        ----------
        answers : path or mapping
            A file with the columns ``id`` and ``label`` (and ``annotator``), or id to label.
            ``skip`` and ``don't know`` are answers; ``withdraw`` takes an answer back, and with
            none left the item may be asked again; an empty label means not answered yet.
            Telling the same again changes nothing.
        annotator : str
            Who answered, where the file does not say.
        add_classes : bool
            Take labels that are no class yet as new classes.

        Returns
        -------
        dict of str to int
            How many were ``new``, ``changed``, ``withdrawn``, ``skipped``, ``repeated``; and how
            many of them were ``unasked`` (answers nobody had asked for; they are welcome).

        Raises
        ------
        BadInput
            Unknown ids, labels that are no class, contradictions. Nothing is taken in then.
        """
        self._refuse_unless_mine()
        if isinstance(answers, Mapping):
            source = "python"
            rows = [Row(n, i, v, annotator) for n, (i, v) in enumerate(answers.items(), 1)]
        else:
            source = str(answers)
            rows = read_rows(
                Path(answers),
                id_column=id_column,
                label_column=label_column,
                annotator=annotator,
                encoding=encoding,
            )
        given, new = interpret(
            rows, self.state.classes, self._position, source, add_classes=add_classes
        )
        stored, counts = to_store(given, self.state, self._position)
        events = [Event("", "classes", {"added": new})] if new else []
        if stored:
            events.append(Event("", "answered", {"answers": stored, "source": source}))
        before = list(self.state.classes)
        self._append(*events)
        for mistake, other in near_misses(new, before):
            warnings.warn(
                f"the new class {mistake!r} is spelt almost like {other!r}; if it is a mistake, "
                f"correct the file, tell it again, and drop the class: "
                f"labeltrain project drop-class {self.folder} {shlex.quote(mistake)}",
                stacklevel=2,
            )
        try:
            self._measure_if_due()
        except LabelTrainError as error:
            # The answers are safe; nobody should have to tell them again.
            warnings.warn(f"the answers are kept, but not measured: {error}", stacklevel=2)
        return counts

    def drop_class(self, name: str) -> None:
        """Take back a class that was added by mistake.

        Raises
        ------
        BadInput
            There is no such class, an answer in force uses it, or fewer than two would be left.
        """
        self._refuse_unless_mine()
        classes = self.state.classes
        if name not in classes:
            raise unknown_name("class", name, classes)
        used = {
            self.items.ids[position]: vote.annotator
            for position, votes in self.state.votes.items()
            for vote in votes.values()
            if vote.label == name
        }
        if used:
            shown = ", ".join(repr(i) for i in list(used)[:5]) + (", ..." if len(used) > 5 else "")
            raise BadInput(
                f"class {name!r} is the answer to {many(len(used), 'item')}: {shown}",
                "tell another class for them, or withdraw these answers, first",
            )
        if len(classes) <= 2:
            raise BadInput(f"{name!r} is one of two classes", "a project has at least two")
        self._append(Event("", "classes", {"added": [], "removed": [name]}))

    # -- what comes out ------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return where the project stands; see docs/projects.md for every key."""
        from labeltrain.projects.status import status

        self._measure_if_due()
        return status(self)

    def predict(self) -> list[dict[str, Any]]:
        """Return a label and a calibrated confidence for every item.

        Returns
        -------
        list of dict
            ``id``; ``label``, ``confidence`` and ``source``: a person's label with confidence 1,
            else the model's; ``model_label`` and ``model_confidence``: what the model says of
            labelled items too.
        """
        return predictions(self)

    def model(self) -> SavedModel:
        """Return the model of the labels so far, calibrated."""
        if self._saved is None:
            self._saved = self._calibrated()
        return self._saved

    def _calibrated(self) -> SavedModel:
        model = self.fitted()
        latest = self.state.measurements[-1] if self.state.measurements else None
        return SavedModel(
            model,
            tuple(self.state.classes),
            self.spec["encoder"],
            self.spec["encoder_options"],
            temperature(self, model),
            {
                "modality": self.spec["modality"],
                "labels": len(self.state.labels()),
                "training_labels": len(self.state.training()[0]),
                "audit": latest,
            },
            self.learner().reads,
        )

    def export(self) -> list[dict[str, Any]]:
        """Return every answer in force: one row per item and annotator, with the item's label."""
        return answers_in_force(self)

    def history(self) -> list[dict[str, Any]]:
        """Return what happened, oldest first; see docs/projects.md for every key."""
        from labeltrain.projects.status import history

        return history(self._workspace.events())

    # -- what the parts of a project share -----------------------------------------------------

    def features(self) -> np.ndarray:
        """Return the encoded items, float32 (n, d); encoded again when their file is missing."""
        if self._features is None:
            if self.state.encoded is None:
                raise StoreDamaged(
                    f"{self.folder}: the ledger does not say where the features are",
                    f"run: labeltrain repair {self.folder}, or begin a new project",
                )
            array, events = load_features(
                self._workspace, self.spec, self.items, self.state.encoded
            )
            if not self.read_only:
                self._append(*events)
            self._features = array
        return self._features

    def contents(self) -> Any:
        """Return the items themselves where the learner reads them, else None and load nothing.

        It is the same object from call to call, so that a learner can keep what it made of it.
        """
        if self._contents is None and self.learner().reads == "items":
            self._contents = load_contents(self._workspace, self.spec, self.items)
        return self._contents

    def inputs(self) -> Any:
        """Return what the project's models predict from, of all items: features, or items."""
        contents = self.contents()
        return self.features() if contents is None else contents

    def learner(self) -> Learner:
        """Return the project's learner, giving what the project's strategy needs."""
        if self._learner is None:
            learner = learners.make(self.spec["learner"], self.spec["learner_options"])
            self._learner = learner.serving(strategies.make(self.spec["strategy"]).needs)
        return self._learner

    def fitted(self) -> Model:
        """Return the model of the labels in force, not calibrated; fitted when they change."""
        if self._fitted is None:
            self._fitted = fit(self)
        return self._fitted

    def _questions(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        return [dict(question(self, p)) for p in positions]

    def _measure_if_due(self) -> None:
        if not self.read_only and measuring.is_due(self.state):
            self._append(measuring.measured(self))

    def _append(self, *events: Event) -> None:
        # What is applied is what a reopened project will read: tuples are lists, say.
        held = [replace(event, body=json.loads(json.dumps(event.body))) for event in events]
        self._workspace.append(held)
        for event in held:
            self.state.apply(event)
            self._saved = None
            if event.kind in ("answered", "classes"):
                self._fitted = None

    def _refuse_unless_mine(self) -> None:
        if self._closed:
            raise BadInput(f"this project in {self.folder} was closed", "open it again")
        if self.read_only:
            raise BadInput(f"{self.folder} is open for reading only", "open it without read_only")
