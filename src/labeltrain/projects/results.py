"""The rows that come out of a project: predictions and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labeltrain.projects.answering import skip_word

if TYPE_CHECKING:
    from labeltrain.projects.project import Project


def predictions(project: Project) -> list[dict[str, Any]]:
    """Return a label and a confidence for every item; see :meth:`labeltrain.Project.predict`."""
    saved = project.model()
    probabilities = saved.probabilities_of_inputs(project.inputs())
    best, sure = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    labels = project.state.labels()
    rows = []
    for position, identifier in enumerate(project.items.ids):
        guess, person = saved.classes[best[position]], labels.get(position)
        rows.append(
            {
                "id": identifier,
                "label": guess if person is None else person,
                "confidence": sure[position] if person is None else 1.0,
                "source": "model" if person is None else "person",
                "model_label": guess,
                "model_confidence": sure[position],
            }
        )
    return rows


def answers_in_force(project: Project) -> list[dict[str, Any]]:
    """Return one row per item and annotator; see :meth:`labeltrain.Project.export`."""
    state = project.state
    skip = skip_word(state.classes)
    return [
        {
            **project.items.row(position),
            "label": state.label(position),
            "annotator": vote.annotator,
            "answer": skip if vote.label is None else vote.label,
            "chosen_by": state.asked[position]["strategy"] if position in state.asked else "",
            "audit": state.is_audit(position),
        }
        for position, votes in state.votes.items()
        for vote in votes.values()
    ]
