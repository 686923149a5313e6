"""From the labels in force to a model, and to the temperature that makes it honest."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labeltrain.errors import StoreMissing
from labeltrain.kernels.threads import limited_threads
from labeltrain.learners import Learner, Model, Training
from labeltrain.learners.base import drawn
from labeltrain.learners.registry import rebuild
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.metrics import fit_temperature
from labeltrain.needs import Need
from labeltrain.projects.measuring import truth
from labeltrain.rng import stream

if TYPE_CHECKING:
    from labeltrain.projects.shared import OpenProject
    from labeltrain.projects.state import ProjectState

THREADS = 1  # the last bits of a fit, and so the picks, depend on it
CALIBRATE_FROM = 20  # labels below which a temperature would be fitted to noise
OWN = "own"  # the training of the project's own learner
STATES = "trainings"  # the folder where trainings keep their states


def training_set(
    project: OpenProject,
    learner: Learner | None = None,
    name: str = OWN,
    state: ProjectState | None = None,
) -> Training:
    """Return what may train: all labels in force but the audit's, and no audit item unlabelled.

    Parameters
    ----------
    project : OpenProject
    learner : Learner, optional
        The project's own if not given.
    name : str
        Of the file in which a long training keeps its state.
    state : ProjectState, optional
        An earlier one than that in force: the training of a round that was opened then.
    """
    state = project.state if state is None else state
    learner = learner or project.learner()
    positions, labels = state.training()
    number = {c: i for i, c in enumerate(state.classes)}
    usable = np.ones(len(project.items.ids), dtype=bool)
    usable[state.audit_order] = False
    return Training(
        project.features(),
        positions,
        np.array([number[v] for v in labels], dtype=np.int64),
        len(state.classes),
        rounds=np.array([state.first_round[p] for p in positions.tolist()], dtype=np.int64),
        usable=usable,
        items=project.inputs("items") if learner.reads == "items" else None,
        weak=drawn(project.views("weak")) if learner.uses_views else None,
        strong=drawn(project.views("strong")) if learner.uses_views else None,
        names=tuple(state.classes),
        modality=project.spec["modality"],
        checkpoint=_checkpoint(project.folder, name),
    )


def _checkpoint(folder: Path, name: str) -> Path | None:
    """Return the file of a training's state; None where nothing can be written."""
    inside = folder / STATES
    return inside / f"{name}.state" if _writable(inside if inside.exists() else folder) else None


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def fit(
    project: OpenProject,
    needs: frozenset[Need] = frozenset(),
    state: ProjectState | None = None,
) -> Model:
    """Fit the labels in force: from scratch, or on from the model of the last round.

    The model is a function of the labels alone; of a learner that goes on, of those at each opening
    of a round, too. With `needs` it also gives what a strategy other than the project's own asks
    for; with `state` it is the model of that earlier one.
    """
    learner = project.learner().serving(needs)
    previous = None
    if learner.remembers:
        previous = kept_model(project, project.state if state is None else state)
    training = training_set(project, state=state)
    rng = stream(project.spec["seed"], "fit", len(training.labelled))
    with limited_threads(project.threads):
        return learner.fit(training, rng, previous)


def kept_model(project: OpenProject, state: ProjectState) -> Model | None:
    """Return the model of the last round that had one; None, with a warning, if it is lost."""
    if state.model is None:
        return None
    try:
        arrays, facts = project.load_arrays(state.model["arrays"])
    except StoreMissing as error:
        warnings.warn(
            f"{error.problem}: the model of round {state.model['round']}, which the learner goes "
            "on from; it learns all labels from scratch instead",
            stacklevel=2,
        )
        return None
    return rebuild(state.model["kind"], arrays, facts)


def temperature(
    project: OpenProject,
    learner: Learner,
    audited: np.ndarray | None,
    *,
    refits: bool = True,
    name: str = OWN,
) -> tuple[float, str | None]:
    """Return what makes the confidence of a model honest, and what it was fitted on.

    It never changes which class is the most likely.

    Parameters
    ----------
    project : OpenProject
    learner : Learner
        The one that made the model.
    audited : ndarray of float64, shape (a, C), or None
        What the model says of the audit's labelled items; None: they are too few.
    refits : bool
        Whether `learner` may be fitted five times more where the audit cannot help.
    name : str
        As for :func:`training_set`.

    Returns
    -------
    temperature : float
        1 when it was not fitted.
    basis : {"audit", "out of fold"} or None
        The audit's answers once there are enough; else out-of-fold predictions of the training
        labels; None with too few of either.
    """
    if audited is not None:
        return fit_temperature(audited, truth(project.state)), "audit"
    if refits:
        training = training_set(project, learner, name)
        if len(training.labels) >= CALIBRATE_FROM and len(np.unique(training.labels)) > 1:
            rng = stream(project.spec["seed"], "calibrate", len(training.labels))
            with limited_threads(project.threads):
                held_out = out_of_fold(learner, training, rng)
            return fit_temperature(held_out, training.labels), "out of fold"
    return 1.0, None
