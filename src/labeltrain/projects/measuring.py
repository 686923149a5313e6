"""When the audit measures, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labeltrain.data import take
from labeltrain.loop import audit
from labeltrain.projects.state import ProjectState
from labeltrain.store import Event

if TYPE_CHECKING:
    from labeltrain.projects.project import Project


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


def measured(project: Project) -> Event:
    """Measure the model of the labels in force on the audit's answers."""
    state = project.state
    audited = state.audited()
    rows = np.fromiter(audited, dtype=np.int64, count=len(audited))
    guesses = project.fitted().predict_proba(take(project.inputs(), rows)).argmax(axis=1)
    correct = sum(
        state.classes[guess] == label
        for guess, label in zip(guesses.tolist(), audited.values(), strict=True)
    )
    found = audit.measure(correct, len(audited), len(state.measurements) + 1)
    body = {
        "number": found.number,
        "correct": found.correct,
        "labels": found.labels,
        "score": found.score,
        "low": found.low,
        "high": found.high,
        "training_labels": len(state.training()[0]),
        "round": state.rounds,
    }
    return Event("", "measured", body)
