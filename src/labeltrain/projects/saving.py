"""Models of a project that are ready to be saved: its own, and an expensive one for the end."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.threads import limited_threads
from labeltrain.learners import Learner, Model
from labeltrain.learners import registry as learners
from labeltrain.loop.audit import FIRST
from labeltrain.projects import measuring
from labeltrain.projects.model import SavedModel
from labeltrain.projects.training import THREADS, temperature, training_set
from labeltrain.projects.words import many
from labeltrain.rng import stream

if TYPE_CHECKING:
    from labeltrain.projects.shared import OpenProject


def own_model(project: OpenProject) -> SavedModel:
    """Return the project's own model of the labels in force, calibrated."""
    _warn_if_prior(project)
    learner, model = project.learner(), project.fitted()
    audited = measuring.probabilities(project, model, learner.reads)
    latest = project.state.measurements[-1] if project.state.measurements else None
    return _saved(
        project,
        learner,
        model,
        temperature(project, learner, audited),
        {"learner": project.spec["learner"], "learner_options": project.spec["learner_options"]},
        latest,
    )


def _warn_if_prior(project: OpenProject) -> None:
    """Warn while every prediction is the same, whatever the item."""
    classes = sorted(set(project.state.training()[1]))
    if len(classes) < 2:
        known = f"labels of one class only ({classes[0]!r}) train" if classes else "no label trains"
        warnings.warn(
            f"{known} the model so far, so it predicts the same for every item; answers of two "
            f"classes make it a model: labeltrain project tell {project.folder} FILE",
            stacklevel=4,
        )


def final_model(
    project: OpenProject, name: str, options: Mapping[str, Any] | None = None
) -> SavedModel:
    """Train another learner on the labels in force; see :meth:`labeltrain.Project.final`."""
    learner, about = checked(project, name, options or {})
    trains_on = len(set(project.state.training()[1]))
    if trains_on < 2:
        raise BadInput(
            f"labels of {many(trains_on, 'class')} train so far, and {name!r} needs two",
            f"label more first: labeltrain project next {project.folder} --out todo.csv",
        )
    number = max(1, len(project.state.measurements))
    # The cheap model first: what stops it should not stop an hour later.
    own = _own_score(project, number)
    training = training_set(project, learner, _state_of(about))
    rng = stream(project.spec["seed"], "final", len(training.labelled))
    # Nothing follows from its last bits, so what reads items may use every core.
    with nullcontext() if learner.reads == "items" else limited_threads(THREADS):
        model = learner.fit(training, rng)
    audited = measuring.probabilities(project, model, learner.reads)
    basis = temperature(
        project, learner, audited, refits=learner.reads == "features", name=_state_of(about)
    )
    found = None if audited is None else measuring.score(project.state, audited, number)
    more = {
        "own": own,
        "seconds": float(model.cost.seconds),
        "examples": int(model.cost.examples),
    }
    return _saved(project, learner, model, basis, {**about, **more}, found)


def checked(
    project: OpenProject, name: str, options: Mapping[str, Any]
) -> tuple[Learner, dict[str, Any]]:
    """Return the learner, and its name and options as JSON; refuse what cannot work at once."""
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise BadInput(
            f"learner={name!r} with options={options!r} names no learner",
            "give a name and a mapping, such as 'finetune', {'steps': 200}",
        )
    learners.refuse_kind(name, "multiclass")
    learners.refuse_modality(name, project.spec["modality"], options)
    learner = learners.make(name, options)
    project.inputs(learner.reads)
    return learner, {
        "learner": name,
        "learner_options": json.loads(json.dumps(dict(options), default=_plain)),
    }


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _state_of(about: Mapping[str, Any]) -> str:
    """Return a name for the state of a training: the same command finds it again."""
    return f"final-{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]}"


def _own_score(project: OpenProject, number: int) -> dict[str, Any] | None:
    """Return the audited score of the project's own learner, fitted only if it can be known."""
    if len(project.state.audited()) < FIRST:
        return None
    found = measuring.probabilities(project, project.fitted(), project.learner().reads)
    if found is None:
        return None
    return {"learner": project.spec["learner"], **measuring.score(project.state, found, number)}


def _saved(
    project: OpenProject,
    learner: Learner,
    model: Model,
    calibrated: tuple[float, str | None],
    about: Mapping[str, Any],
    audited: Mapping[str, Any] | None,
) -> SavedModel:
    state, spec = project.state, project.spec
    return SavedModel(
        model,
        tuple(state.classes),
        spec["encoder"],
        spec["encoder_options"],
        calibrated[0],
        {
            "modality": spec["modality"],
            "items": spec["items"],
            "labels": len(state.labels()),
            "training_labels": len(state.training()[0]),
            "calibrated_on": calibrated[1],
            "audit": audited,
            **about,
        },
        learner.reads,
        project.encoder_state() if learner.reads == "features" else {},
    )


def refuse_misfit(project: OpenProject, saved: SavedModel) -> None:
    """Raise when a model does not fit the items or the classes of a project.

    Raises
    ------
    BadInput
    """
    spec, facts, classes = project.spec, saved.facts, project.state.classes
    remedy = f"save one of this project: labeltrain project save-model {project.folder} --out FILE"
    if facts.get("modality") != spec["modality"]:
        raise BadInput(
            f"the model was trained on items of the kind {facts.get('modality')}, and this "
            f"project holds {spec['modality']}",
            remedy,
        )
    unknown = [c for c in classes if c not in saved.classes]
    strange = [c for c in saved.classes if c not in classes]
    if unknown or strange:
        ways = [
            f"does not know {_few(unknown)} of this project" if unknown else "",
            f"predicts {_few(strange)}, which this project does not have" if strange else "",
        ]
        raise BadInput(f"the model {', and '.join(w for w in ways if w)}", remedy)
    if saved.reads == "items":
        return
    mine = (spec["encoder"], spec["encoder_options"])
    if (saved.encoder, saved.encoder_options) != mine:
        raise BadInput(
            f"the model reads features of the encoder {saved.encoder!r} with "
            f"{saved.encoder_options or 'its defaults'}, and this project has those of "
            f"{mine[0]!r} with {mine[1] or 'its defaults'}",
            remedy,
        )
    own = project.encoder_state()
    if own.keys() != saved.encoder_state.keys() or any(
        not np.array_equal(own[name], array) for name, array in saved.encoder_state.items()
    ):
        raise BadInput(
            f"the model reads features that the encoder {saved.encoder!r} learned from other items",
            remedy,
        )
    if spec["modality"] == "table" and facts.get("items") != spec["items"]:
        raise BadInput(
            "the model was trained on the rows of another table, encoded together with them",
            remedy,
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    many_ = "classes" if len(names) > 1 else "class"
    return f"the {many_} {', '.join(map(repr, names[:5]))}{more}"
