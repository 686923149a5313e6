"""Classes of a project: likely spelling mistakes among new ones, and which can be dropped."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path

from labeltrain.errors import BadInput, unknown_name
from labeltrain.projects.answering import near_misses
from labeltrain.projects.state import ProjectState
from labeltrain.projects.words import many


def warn_of_near_misses(new: Sequence[str], classes: Sequence[str], folder: Path) -> None:
    """Warn of new classes that are spelt almost like others."""
    for mistake, other in near_misses(new, classes):
        warnings.warn(
            f"the new class {mistake!r} is spelt almost like {other!r}; if it is a mistake, "
            f"correct the file, tell it again, and drop the class: "
            f"labeltrain project drop-class {folder} {shlex.quote(mistake)}",
            stacklevel=3,
        )


def refuse_to_drop(name: str, state: ProjectState, ids: Sequence[str]) -> None:
    """Raise when a class cannot be dropped.

    Raises
    ------
    BadInput
        There is no such class, an answer in force uses it, or fewer than two would be left.
    """
    if name not in state.classes:
        raise unknown_name("class", name, state.classes)
    used = [
        ids[position]
        for position, votes in state.votes.items()
        if any(vote.label == name for vote in votes.values())
    ]
    if used:
        shown = ", ".join(repr(i) for i in used[:5]) + (", ..." if len(used) > 5 else "")
        raise BadInput(
            f"class {name!r} is the answer to {many(len(used), 'item')}: {shown}",
            "tell another class for them, or withdraw these answers, first",
        )
    if len(state.classes) <= 2:
        raise BadInput(f"{name!r} is one of two classes", "a project has at least two")
