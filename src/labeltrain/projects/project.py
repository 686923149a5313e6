"""A labelling project: what to label next, how good the model is, and every answer kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain import data, encoders
from labeltrain.data import Dataset
from labeltrain.encoders.base import check_modality
from labeltrain.encoders.registry import fitting
from labeltrain.errors import BadInput, nearest
from labeltrain.learners import Learner, Model, Training
from labeltrain.learners import registry as learners
from labeltrain.loop import audit
from labeltrain.loop.checks import checked, refuse_unmet_needs
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.loop.sources import model_sources
from labeltrain.metrics import fit_temperature
from labeltrain.projects.files import Answer, interpret, read_answers
from labeltrain.projects.items import Items, read_items, write_items
from labeltrain.projects.model import SavedModel
from labeltrain.projects.state import LABELLED, SKIPPED, WITHDRAWN, ProjectState
from labeltrain.rng import stream
from labeltrain.store import Event, Workspace
from labeltrain.strategies import registry as strategies
from labeltrain.strategies.base import Need, Round, Strategy
from labeltrain.strategies.view import PoolView

IMPORTED = "imported"  # the annotator of labels that came with the data
COLD_START = "clusters"
CALIBRATE_FROM = 20  # labels below which a temperature would be fitted to noise


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
        self.folder = workspace.folder
        self.spec: dict[str, Any] = workspace.first().body
        self.items: Items = read_items(workspace.folder, self.spec["items"])
        self._position = {identifier: p for p, identifier in enumerate(self.items.ids)}
        self.state = ProjectState.fold(workspace.events())
        self._held_features: np.ndarray | None = None
        self._fitted: Model | None = None  # of the labels in force; dropped when they change

    # -- making and opening --------------------------------------------------------------------

    @classmethod
    def new(
        cls,
        folder: str | Path,
        source: str | Dataset,
        *,
        classes: Sequence[str] = (),
        encoder: str = "auto",
        encoder_options: Mapping[str, Any] | None = None,
        learner: str = "linear",
        learner_options: Mapping[str, Any] | None = None,
        strategy: str = "margin",
        audit_share: float = 0.1,
        seed: int = 0,
        progress: Any = None,
        **data_options: Any,
    ) -> Project:
        """Begin a project.

        Parameters
        ----------
        folder : path
            A directory that does not exist yet, or is empty.
        source : str or Dataset
            A file, a folder, or a data set; labels that are there are taken in.
        classes : sequence of str
            May be left out when `source` holds labels; more can be added later.
        encoder, learner, strategy : str
        audit_share : float
            Share of the questions that measures and never trains.
        seed : int
        progress : callable, optional
            ``(done, total)`` while encoding.
        **data_options
            ``text_column``, ``label_column``, ``id_column`` ...

        Raises
        ------
        BadInput
            Bad data, no class, fewer than two classes, unknown names.
        """
        folder = Path(folder)
        if Workspace.exists(folder):
            raise BadInput(f"{folder} holds a project or study already", "choose another directory")
        dataset = source if isinstance(source, Dataset) else data.load(source, **data_options)
        if dataset.kind == "multilabel":
            raise BadInput(
                f"{dataset.name} has several labels an item",
                "projects take one class an item; studies (labeltrain run) take several",
            )
        audit.check_share(audit_share)
        names = _classes(classes, dataset)
        method = strategies.make(strategy)
        method_learner = learners.make(learner, learner_options)
        refuse_unmet_needs(method, learner, [Need.EMBEDDINGS, *method_learner.gives])
        name = encoders.default_for(dataset.modality) if encoder == "auto" else encoder
        made = encoders.make(name, **dict(encoder_options or {}))
        check_modality(made, dataset, fitting(dataset.modality))
        labels = dataset.labels if dataset.labels is not None else np.full(len(dataset), -1)
        known = np.flatnonzero(labels >= 0)
        number = {c: i for i, c in enumerate(names)}
        answers = [
            {
                "position": int(p),
                "id": dataset.ids[p],
                "what": LABELLED,
                "label": dataset.classes[labels[p]],
                "annotator": IMPORTED,
            }
            for p in known
        ]
        unknown = sorted({a["label"] for a in answers} - set(number))
        if unknown:
            raise BadInput(
                f"the data hold labels that are not in --classes: {', '.join(unknown[:5])}",
                "add them to --classes, or leave --classes out",
            )
        order = audit.reserve(
            np.flatnonzero(labels < 0), audit_share, stream(seed, "audit reserve")
        )
        folder.mkdir(parents=True, exist_ok=True)
        events = [
            Event("", "classes", {"added": names}),
            Event("", "reserved", {"positions": [int(p) for p in order]}),
        ]
        if answers:
            events.append(Event("", "answered", {"answers": answers, "source": dataset.name}))
        workspace = Workspace.create(
            folder,
            "project",
            {
                "name": dataset.name,
                "items": write_items(folder, dataset),
                "modality": dataset.modality,
                "encoder": name,
                "encoder_options": dict(encoder_options or {}),
                "learner": learner,
                "learner_options": dict(learner_options or {}),
                "strategy": strategy,
                "audit_share": audit_share,
                "seed": seed,
                "data": None if isinstance(source, Dataset) else source,
                "data_options": data_options,
            },
            events,
        )
        project = cls(workspace)
        try:
            project._encode(dataset, progress)
        except BaseException:
            project.close()
            raise
        return project

    @classmethod
    def open(cls, folder: str | Path, *, read_only: bool = False) -> Project:
        """Open a project.

        Raises
        ------
        BadInput
            There is none.
        StoreDamaged, WorkspaceBusy
        """
        workspace = Workspace.open(Path(folder), "project", read_only=read_only)
        try:
            return cls(workspace)
        except BaseException:
            workspace.close()
            raise

    def close(self) -> None:
        """Give the directory back."""
        self._workspace.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the four verbs ------------------------------------------------------------------------

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
        if count < 1:
            raise BadInput(f"count={count} is below 1", "ask for at least one item")
        state = self.state
        number = state.rounds
        chosen = strategies.make(strategy or self.spec["strategy"])
        learner = self._learner()
        refuse_unmet_needs(chosen, learner.name, [Need.EMBEDDINGS, *learner.gives])
        candidates = self._candidates()
        waiting = [p for p in state.audit_order if p not in state.asked]
        volunteered = [p for p in waiting if state.votes.get(p)]
        open_audit = [p for p in waiting if not state.votes.get(p)]
        share = audit.due(
            self.spec["audit_share"], len(state.asked) + count, state.audit_asked, len(open_audit)
        )
        share = min(len(open_audit), count, max(share, count - len(candidates)))
        audited = open_audit[:share]
        # An answer somebody gave before its turn counts from the moment its turn has come.
        last = state.audit_order.index(audited[-1]) if audited else -1
        reached = [p for p in volunteered if state.audit_order.index(p) < last]
        rows: list[dict[str, Any]] = [
            self._pick(p, "audit", "drawn at random: measures the model") for p in reached
        ]
        hidden = len(rows)
        rows += [self._pick(p, "audit", "random draw") for p in audited]
        wanted = min(count - len(audited), len(candidates))
        if wanted > 0:
            rows += self._select(chosen, wanted, candidates, number)
        asked = rows[hidden:]
        stream(self.spec["seed"], "order", number).shuffle(asked)
        if not asked:
            return []
        self._append(
            Event(
                "",
                "opened",
                {"round": number, "picks": rows[:hidden] + asked, "versions": _version(chosen)},
            )
        )
        return [self._row(pick) for pick in asked]

    def reissue(self) -> list[dict[str, Any]]:
        """Return the rows that were handed out and not answered yet, in the order asked."""
        return [self._row(self.state.asked[p]) for p in self.state.pending]

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
            ``skip`` and ``don't know`` are answers; ``withdraw`` takes an answer back; an empty
            label means not answered yet. Telling the same again changes nothing.
        annotator : str
            Who answered, where the file does not say.
        add_classes : bool
            Take labels that are no class yet as new classes.

        Returns
        -------
        dict of str to int
            How many were ``new``, ``changed``, ``withdrawn``, ``skipped``, ``repeated``, and how
            many were ``unasked`` (labels nobody had asked for; they are welcome).

        Raises
        ------
        BadInput
            Unknown ids, labels that are no class, contradictions. Nothing is taken in then.
        """
        if isinstance(answers, Mapping):
            rows = [(n, i, v, annotator) for n, (i, v) in enumerate(answers.items(), 1)]
            source = "python"
            given, new = interpret(rows, self.state.classes, source, add_classes=add_classes)
        else:
            path = Path(answers)
            given, new = read_answers(
                path,
                self.state.classes,
                id_column=id_column,
                label_column=label_column,
                annotator=annotator,
                add_classes=add_classes,
                encoding=encoding,
            )
            source = str(path)
        self._refuse_unknown_ids(given, source)
        counts = dict.fromkeys(("new", "changed", "withdrawn", "skipped", "repeated", "unasked"), 0)
        stored = []
        for answer in given:
            what = self._effect(answer)
            counts[what] += 1
            if what == "repeated":
                continue
            position = self._position[answer.id]
            if position not in self.state.asked:
                counts["unasked"] += 1
            stored.append(
                {
                    "position": position,
                    "id": answer.id,
                    "what": answer.what,
                    "label": answer.label,
                    "annotator": answer.annotator,
                    "effect": what,
                }
            )
        events = []
        if new:
            events.append(Event("", "classes", {"added": new}))
        if stored:
            events.append(Event("", "answered", {"answers": stored, "source": source}))
        self._append(*events)
        self._measure_if_due()
        return counts

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
        saved = self.model()
        probabilities = saved.probabilities_of_features(self.features())
        best = probabilities.argmax(axis=1)
        labels = self.state.labels()
        rows = []
        for position, identifier in enumerate(self.items.ids):
            guess = saved.classes[best[position]]
            sure = float(probabilities[position, best[position]])
            person = labels.get(position)
            rows.append(
                {
                    "id": identifier,
                    "label": person if person is not None else guess,
                    "confidence": 1.0 if person is not None else sure,
                    "source": "person" if person is not None else "model",
                    "model_label": guess,
                    "model_confidence": sure,
                }
            )
        return rows

    def model(self) -> SavedModel:
        """Return the model of the labels so far, calibrated."""
        model = self._model()
        latest = self.state.measurements[-1] if self.state.measurements else None
        return SavedModel(
            model,
            tuple(self.state.classes),
            self.spec["encoder"],
            self.spec["encoder_options"],
            self._temperature(model),
            {"labels": len(self.state.labels()), "audit": latest},
        )

    def export(self) -> list[dict[str, Any]]:
        """Return every answer in force: one row per item and annotator, with the item's label."""
        rows = []
        for position, votes in self.state.votes.items():
            label = self.state.label(position)
            asked = self.state.asked.get(position)
            for vote in votes.values():
                rows.append(
                    {
                        **self.items.row(position),
                        "label": label,
                        "annotator": vote.annotator,
                        "answer": vote.label if vote.label is not None else "skip",
                        "chosen_by": asked["strategy"] if asked else "",
                        "audit": self.state.is_audit(position),
                    }
                )
        return rows

    def history(self) -> list[dict[str, Any]]:
        """Return what happened, oldest first: time, what, and a sentence."""
        from labeltrain.projects.status import history

        return history(self._workspace.events())

    # -- inside --------------------------------------------------------------------------------

    def features(self) -> np.ndarray:
        """Return the encoded items, float32 (n, d); encoded on first use and then kept."""
        if self._held_features is None:
            if self.state.encoded is None:
                if self.spec["data"] is None:
                    raise BadInput(
                        "the items of this project were given from Python and never encoded",
                        "make the project again with Project.new",
                    )
                dataset = data.load(self.spec["data"], **self.spec["data_options"])
                if dataset.ids != self.items.ids:
                    raise BadInput(
                        f"{self.spec['data']} changed before its items were encoded",
                        "restore it, or begin a new project",
                    )
                self._encode(dataset, None)
            if self._held_features is None and self.state.encoded is not None:
                arrays, _ = self._workspace.load_arrays(self.state.encoded["arrays"])
                self._held_features = arrays["features"]
        if self._held_features is None:
            raise BadInput("the items could not be encoded", "begin a new project")
        return self._held_features

    def _encode(self, dataset: Dataset, progress: Any) -> None:
        encoder = encoders.make(self.spec["encoder"], **self.spec["encoder_options"])
        made = encoders.features(dataset, encoder, progress=progress)
        array = np.ascontiguousarray(made.array, dtype=np.float32)
        name = self._workspace.save_arrays({"features": array}, {"key": made.key})
        self._append(
            Event("", "encoded", {"arrays": name, "key": made.key, "seconds": made.seconds})
        )
        self._held_features = array

    def _append(self, *events: Event) -> None:
        self._workspace.append(events)
        for event in events:
            self.state.apply(event)
        self._fitted = None

    def _learner(self) -> Learner:
        return learners.make(self.spec["learner"], self.spec["learner_options"])

    def _training(self) -> Training:
        positions, labels = self.state.training()
        number = {c: i for i, c in enumerate(self.state.classes)}
        usable = np.ones(len(self.items.ids), dtype=bool)
        usable[self.state.audit_order] = False
        return Training(
            self.features(),
            positions,
            np.array([number[v] for v in labels], dtype=np.int64),
            len(self.state.classes),
            rounds=np.array([self.state.first_round[int(p)] for p in positions], dtype=np.int64),
            usable=usable,
        )

    def _model(self) -> Model:
        """Fit the labels in force. From scratch: the model is a function of the labels alone."""
        if self._fitted is None:
            training = self._training()
            rng = stream(self.spec["seed"], "fit", len(training.labelled))
            self._fitted = self._learner().fit(training, rng)
        return self._fitted

    def _temperature(self, model: Model) -> float:
        number = {c: i for i, c in enumerate(self.state.classes)}
        audited = self.state.audited()
        if len(audited) >= audit.FIRST:
            rows = np.fromiter(audited, dtype=np.int64, count=len(audited))
            labels = np.array([number[v] for v in audited.values()], dtype=np.int64)
            return fit_temperature(model.predict_proba(self.features()[rows]), labels)
        training = self._training()
        if len(training.labels) >= CALIBRATE_FROM and len(np.unique(training.labels)) > 1:
            rng = stream(self.spec["seed"], "calibrate", len(training.labels))
            return fit_temperature(out_of_fold(self._learner(), training, rng), training.labels)
        return 1.0

    def _candidates(self) -> np.ndarray:
        free = np.ones(len(self.items.ids), dtype=bool)
        free[self.state.audit_order] = False
        free[[p for p, votes in self.state.votes.items() if votes]] = False
        free[self.state.pending] = False
        return np.flatnonzero(free)

    def _select(
        self, chosen: Strategy, count: int, candidates: np.ndarray, number: int
    ) -> list[dict[str, Any]]:
        training = self._training()
        seed = self.spec["seed"]
        if len(np.unique(training.labels)) < 2 and Need.PROBABILITIES in chosen.needs:
            chosen = strategies.make(COLD_START)  # nothing to be uncertain about yet
        learner = self._learner()
        features = self.features()
        view = PoolView(
            len(self.items.ids),
            self.state.classes,
            labelled=training.labelled,
            labels=training.labels,
            pending=[p for p in self.state.pending if not self.state.is_audit(p)],
            candidates=candidates,
            round=Round(number, float(count)),
            history=self.state.history(),
            sources={
                Need.EMBEDDINGS: features,
                **model_sources(
                    learner,
                    self._model(),
                    features,
                    lambda: self._model().predict_proba(features),
                    lambda: out_of_fold(learner, training, stream(seed, "out of fold", number)),
                ),
            },
        )
        picks = checked(
            chosen.select(view, count, stream(seed, "select", number)), view, count, chosen.name
        )
        return [
            self._pick(int(p), chosen.name, why, float(s) if np.isfinite(s) else None, note)
            for p, s, why, note in zip(
                picks.positions, picks.scores, picks.why, picks.notes, strict=True
            )
        ]

    def _pick(
        self, position: int, strategy: str, why: str, score: float | None = None, note: Any = None
    ) -> dict[str, Any]:
        return {
            "position": int(position),
            "id": self.items.ids[position],
            "strategy": strategy,
            "score": score,
            "why": why,
            "note": note,
        }

    def _row(self, pick: Mapping[str, Any]) -> dict[str, Any]:
        # An annotator who knows which items measure the model may treat them differently.
        return {**self.items.row(pick["position"]), "label": ""}

    def _refuse_unknown_ids(self, given: Sequence[Answer], source: str) -> None:
        unknown = [a for a in given if a.id not in self._position]
        if unknown:
            close = nearest(unknown[0].id, self.items.ids) if len(self.items.ids) < 10**5 else None
            shown = ", ".join(f"{a.id!r} (row {a.row})" for a in unknown[:5])
            raise BadInput(
                f"{source}: {len(unknown)} id(s) are not items of this project: {shown}",
                (f"did you mean {close!r}? " if close else "")
                + "nothing of the file was taken in; use the ids of the file that `next` wrote",
            )

    def _effect(self, answer: Answer) -> str:
        held = self.state.votes.get(self._position[answer.id], {}).get(answer.annotator)
        if answer.what == WITHDRAWN:
            return "withdrawn" if held is not None else "repeated"
        if held is not None:
            return "repeated" if held.label == answer.label else "changed"
        return "skipped" if answer.what == SKIPPED else "new"

    def _measure_if_due(self) -> None:
        state = self.state
        audited = state.audited()
        before = state.measurements[-1] if state.measurements else None
        enough = len(audited) >= audit.next_checkpoint(before["labels"] if before else None)
        corrected = state.stale_audit and before is not None and len(audited) >= audit.FIRST
        if not (enough or corrected) or self._workspace.ledger.epoch is None:
            return
        model = self._model()
        rows = np.fromiter(audited, dtype=np.int64, count=len(audited))
        guesses = model.predict_proba(self.features()[rows]).argmax(axis=1)
        correct = sum(
            state.classes[g] == label for g, label in zip(guesses, audited.values(), strict=True)
        )
        measured = audit.measure(int(correct), len(audited), len(state.measurements) + 1)
        self._append(
            Event(
                "",
                "measured",
                {
                    "number": measured.number,
                    "correct": measured.correct,
                    "labels": measured.labels,
                    "score": measured.score,
                    "low": measured.low,
                    "high": measured.high,
                    "training_labels": len(self._training().labelled),
                    "round": state.rounds,
                    "time": time.time(),
                },
            )
        )


def _classes(given: Sequence[str], dataset: Dataset) -> list[str]:
    names = [str(c).strip() for c in given if str(c).strip()] or list(dataset.classes)
    twice = sorted({c for c in names if names.count(c) > 1})
    if twice:
        raise BadInput(f"class {twice[0]!r} is given twice", "give each class once")
    if len(names) < 2:
        raise BadInput(
            f"{len(names)} class(es) are known: {', '.join(names) or 'none'}",
            "give at least two: --classes a,b",
        )
    return names


def _version(strategy: Strategy) -> dict[str, int]:
    return {strategy.name: strategy.version}
