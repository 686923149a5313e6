"""When the audit measures, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labeltrain.data import take
from labeltrain.loop import audit
from labeltrain.projects.state import ProjectState
from labeltrain.store import Event

if TYPE_CHECKING:
    from labeltrain.learners import Model
    from labeltrain.projects.shared import OpenProject


def is_due(state: ProjectState) -> bool:
    """Return True when a measurement is due.

    The first at 30 audit labels, then each time their number has grown by a fifth, and when an
    answer that was measured on has changed since.
    """
    latest = state.measurements[-1]["labels"] if state.measurements else None
    labels = len(state.audited())
    if labels < audit.FIRST:
        return False
    return labels >= audit.next_checkpoint(latest) or state.audit_changed


def probabilities(project: OpenProject, model: Model, reads: str) -> np.ndarray | None:
    """Return what a model says of the audit's labelled items; None while they are too few.

    Returns
    -------
    ndarray of float64, shape (a, C), or None
        In the order of ``project.state.audited()``.
    """
    audited = project.state.audited()
    if len(audited) < audit.FIRST:
        return None
    rows = np.fromiter(audited, dtype=np.int64, count=len(audited))
    return model.predict_proba(take(project.inputs(reads), rows))


def truth(state: ProjectState) -> np.ndarray:
    """Return the classes of the audit's labelled items as numbers, int64 (a,)."""
    number = {c: i for i, c in enumerate(state.classes)}
    return np.array([number[label] for label in state.audited().values()], dtype=np.int64)


def score(state: ProjectState, found: np.ndarray, number: int) -> dict[str, Any]:
    """Return the accuracy of predictions of the audit's labelled items, with its interval.

    Parameters
    ----------
    state : ProjectState
    found : ndarray of float, shape (a, C)
    number : int
        Of the measurement, from 1: how much of the error probability it spends.

    Returns
    -------
    dict
        As the body of a ``measured`` event, without the round.
    """
    labels = truth(state)
    made = audit.measure(int((found.argmax(axis=1) == labels).sum()), len(labels), number)
    return {
        "number": made.number,
        "correct": made.correct,
        "labels": made.labels,
        "score": made.score,
        "low": made.low,
        "high": made.high,
        "training_labels": len(state.training()[0]),
    }


def measured(project: OpenProject) -> Event:
    """Measure the model of the labels in force on the audit's answers."""
    state = project.state
    audited = state.audited()
    rows = np.fromiter(audited, dtype=np.int64, count=len(audited))
    found = project.fitted().predict_proba(take(project.inputs(), rows))
    body = score(state, found, len(state.measurements) + 1)
    return Event("", "measured", {**body, "round": state.rounds})
