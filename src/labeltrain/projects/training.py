"""From the labels in force to a calibrated model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labeltrain.data import take
from labeltrain.kernels.threads import limited_threads
from labeltrain.learners import Model, Training
from labeltrain.loop import audit
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.metrics import fit_temperature
from labeltrain.needs import Need
from labeltrain.rng import stream

if TYPE_CHECKING:
    from labeltrain.projects.project import Project

THREADS = 1  # the last bits of a fit, and so the picks, depend on it
CALIBRATE_FROM = 20  # labels below which a temperature would be fitted to noise


def training_set(project: Project) -> Training:
    """Return what may train: all labels in force but the audit's, and no audit item unlabelled."""
    state = project.state
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
        items=project.contents(),
    )


def fit(project: Project, needs: frozenset[Need] = frozenset()) -> Model:
    """Fit from scratch: the model is a function of the labels in force alone.

    With `needs` it also gives what a strategy other than the project's own asks for.
    """
    training = training_set(project)
    rng = stream(project.spec["seed"], "fit", len(training.labelled))
    with limited_threads(THREADS):
        return project.learner().serving(needs).fit(training, rng)


def temperature(project: Project, model: Model) -> float:
    """Return what makes the model's confidence honest.

    Fitted on the audit's answers once there are enough, else on out-of-fold predictions of the
    training labels; 1 with too few of either. It never changes which class is the most likely.
    """
    number = {c: i for i, c in enumerate(project.state.classes)}
    audited = project.state.audited()
    if len(audited) >= audit.FIRST:
        rows = np.fromiter(audited, dtype=np.int64, count=len(audited))
        labels = np.array([number[v] for v in audited.values()], dtype=np.int64)
        return fit_temperature(model.predict_proba(take(project.inputs(), rows)), labels)
    training = training_set(project)
    if len(training.labels) >= CALIBRATE_FROM and len(np.unique(training.labels)) > 1:
        rng = stream(project.spec["seed"], "calibrate", len(training.labels))
        with limited_threads(THREADS):
            held_out = out_of_fold(project.learner(), training, rng)
        return fit_temperature(held_out, training.labels)
    return 1.0
