"""A labelling project: what to label next, how good the model is, and every answer kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labeltrain.data import Dataset
from labeltrain.errors import BadInput, LabelTrainError
from labeltrain.projects import measuring
from labeltrain.projects.answering import Row, interpret, to_store
from labeltrain.projects.asking import choose, question
from labeltrain.projects.classes import refuse_to_drop, warn_of_near_misses
from labeltrain.projects.files import read_rows
from labeltrain.projects.founding import found, texts_of
from labeltrain.projects.model import SavedModel
from labeltrain.projects.results import answers_in_force, predictions
from labeltrain.projects.saving import final_model, own_model
from labeltrain.projects.shared import OpenProject
from labeltrain.projects.state import MEMORY
from labeltrain.store import Event, Workspace

if TYPE_CHECKING:
    from labeltrain.learners import Model


class Project(OpenProject):
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
        super().__init__(workspace)
        self._position = {identifier: p for p, identifier in enumerate(self.items.ids)}
        self._saved: SavedModel | None = None  # until anything changes: it may take six fits

    # -- making --------------------------------------------------------------------------------

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
        strategy_options: Mapping[str, Any] | None = None,
        query: str | Sequence[str] = (),
        views: int = 0,
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
            "auto": `uherding`, or `margin` above 20,000 items and for networks.
        strategy_options : mapping, optional
            Its parameters, such as ``{"rare": ["spam"]}`` of `direct`.
        query : str or sequence of str
            What is looked for, in words: while fewer than two classes are labelled, the texts most
            similar to it are asked. Several take turns.
        views : int
            Augmented weak views of each text or image, and as many strong ones, that are encoded
            once, for semi-supervised learners, the project's own or a final one. 0: they make views
            of the features.
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
                strategy_options=strategy_options or {},
                query=[query] if isinstance(query, str) else list(query),
                views=views,
                audit_share=audit_share,
                seed=seed,
                progress=progress,
                data_options=data_options,
            )
        )

    # -- asking and answering ------------------------------------------------------------------

    def next(
        self,
        count: int,
        *,
        strategy: str | None = None,
        of: int | None = None,
        query: str | Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Choose what to label next, and commit the choice.

        Parameters
        ----------
        count : int
        strategy : str, optional
            Another one than the project's, for this batch.
        of : int, optional
            For strategies that learn from each answer (galaxy, direct, tailor): how many questions
            a round has, of which `count` are the next. A round is of one model; answers count at
            once for which questions come next, and for the model from the next round on. 10 times
            `count` if not given. A round that is open goes on, in another session too, unless
            another `of` is asked for or classes were added.
        query : str or sequence of str
            What is looked for, in words: this batch is of the texts most similar to it.

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
        if of is not None and (isinstance(of, bool) or not isinstance(of, int | np.integer)):
            raise BadInput(f"of={of!r} is not a number of items", "give a whole number")
        self._refuse_unless_mine()
        texts = texts_of(query)
        if texts and strategy is not None:
            raise BadInput(
                f"the query chooses this batch, and so does strategy={strategy}", "leave one out"
            )
        event, asked, model = choose(
            self,
            int(count),
            strategy or self.spec["strategy"],
            None if of is None else int(of),
            texts,
        )
        if event is not None:
            self._open(event, model)
        return self._questions(asked)

    def _open(self, event: Event, model: Model | None) -> None:
        """Open a round, and keep its model where the learner goes on from it."""
        before = self.state.model
        if model is not None:
            name = self._workspace.save_arrays(model.arrays(), model.facts())
            facts = model.facts()
            told = {key: facts[key] for key in MEMORY if key in facts}
            kept = {"kind": model.name, "arrays": name, "told": told}
            event = replace(event, body={**event.body, "model": kept})
        self._append(event)
        if model is not None and before is not None and before["arrays"] != name:
            self._workspace.drop_arrays(before["arrays"])

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
        warn_of_near_misses(new, before, self.folder)
        try:
            self._measure_if_due()
        except LabelTrainError as error:
            # The answers are safe; nobody should have to tell them again.
            warnings.warn(f"the answers are kept, but not measured: {error}", stacklevel=2)
        return counts

    def knows(self, path: str | Path) -> bool:
        """Tell whether a file holds answers, and nothing that :meth:`tell` would take in.

        Such a file may be replaced: no answer is lost with it. A row without an answer is none.

        Parameters
        ----------
        path : path

        Returns
        -------
        bool
            False for what is no file of answers to this project.
        """
        try:
            rows = read_rows(Path(path))
            given, _ = interpret(rows, self.state.classes, self._position, str(path))
        except LabelTrainError:
            return False
        stored, counts = to_store(given, self.state, self._position)
        return not stored and counts["repeated"] > 0

    def drop_class(self, name: str) -> None:
        """Take back a class that was added by mistake.

        Raises
        ------
        BadInput
            There is no such class, an answer in force uses it, or fewer than two would be left.
        """
        self._refuse_unless_mine()
        refuse_to_drop(name, self.state, self.items.ids)
        self._append(Event("", "classes", {"added": [], "removed": [name]}))

    # -- what comes out ------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return where the project stands; see docs/projects.md for every key."""
        from labeltrain.projects.status import status

        self._measure_if_due()
        return status(self)

    def predict(
        self, model: SavedModel | str | Path | None = None, *, probabilities: bool = False
    ) -> list[dict[str, Any]]:
        """Return a label and a calibrated confidence for every item.

        Parameters
        ----------
        model : SavedModel or path, optional
            Predicts instead of the project's own, such as one that :meth:`final` made.
        probabilities : bool
            Whether each row has the model's probability of every class, ``probability of NAME``.

        Returns
        -------
        list of dict
            ``id``; ``label``, ``confidence`` and ``source``: a person's label with confidence 1,
            else the model's; ``model_label`` and ``model_confidence``: what the model says of
            labelled items too.

        Raises
        ------
        BadInput
            `model` is no model, or its classes or items are not those of this project.
        """
        return predictions(self, model, probabilities)

    def model(self) -> SavedModel:
        """Return the model of the labels so far, calibrated."""
        if self._saved is None:
            self._saved = own_model(self)
        return self._saved

    def final(self, learner: str, options: Mapping[str, Any] | None = None) -> SavedModel:
        """Train another learner on the labels so far: selection via proxy.

        The questions go on being asked by the project's own learner; nothing of it changes. The
        same call after a kill goes on from the last state that a long training has kept in the
        project's folder.

        Parameters
        ----------
        learner : str
            Any learner: "finetune", "mean-teacher" ...
        options : mapping, optional
            Its parameters.

        Returns
        -------
        SavedModel
            Its ``facts`` have ``audit``, the accuracy on the audit's answers with its interval;
            ``own``, that of the project's own learner on the same answers; both None below 30 of
            them; ``seconds`` and ``examples`` of the training; ``calibrated_on``, what its
            confidence was fitted on: "audit", "out of fold" (never for a learner that reads
            items), or None.

        Raises
        ------
        BadInput
            Unknown learner or parameter, a learner that does not read such items, labels of fewer
            than two classes.
        """
        self._refuse_if_closed()
        return final_model(self, learner, options)

    def export(self) -> list[dict[str, Any]]:
        """Return every answer in force: one row per item and annotator, with the item's label."""
        return answers_in_force(self)

    def history(self) -> list[dict[str, Any]]:
        """Return what happened, oldest first; see docs/projects.md for every key."""
        from labeltrain.projects.status import history

        return history(self._workspace.events())

    def events(self) -> list[Event]:
        """Return everything that was committed, oldest first."""
        return list(self._workspace.events())

    def _questions(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        return [dict(question(self, p)) for p in positions]

    def _measure_if_due(self) -> None:
        if not self.read_only and measuring.is_due(self.state):
            self._append(measuring.measured(self))

    def _applied(self, event: Event) -> None:
        super()._applied(event)
        self._saved = None
