"""The rows that come out of a project: predictions and answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labeltrain.errors import BadInput
from labeltrain.projects.answering import skip_word
from labeltrain.projects.model import SavedModel, load_model
from labeltrain.projects.saving import refuse_misfit

if TYPE_CHECKING:
    from labeltrain.projects.project import Project


def predictions(
    project: Project, given: SavedModel | str | Path | None = None, each_class: bool = False
) -> list[dict[str, Any]]:
    """Return a label and a confidence for every item; see :meth:`labeltrain.Project.predict`."""
    saved = project.model() if given is None else _fitting(project, given)
    inputs = project.inputs(saved.reads)
    if saved.reads == "features":
        probabilities = saved.probabilities_of_features(inputs)
    else:
        probabilities = saved.probabilities_of_inputs(inputs)
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
        if each_class:
            pairs = zip(saved.classes, probabilities[position].tolist(), strict=True)
            rows[-1] |= {f"probability of {name}": value for name, value in pairs}
    return rows


def _fitting(project: Project, given: SavedModel | str | Path) -> SavedModel:
    saved = load_model(given) if isinstance(given, str | Path) else given
    if not isinstance(saved, SavedModel):
        raise BadInput(
            f"model={given!r} is no model", "give a file that save-model wrote, or a SavedModel"
        )
    refuse_misfit(project, saved)
    return saved


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
