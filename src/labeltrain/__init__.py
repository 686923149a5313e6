"""Label-efficient learning: spend as few labels as possible, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from labeltrain import strategies
    from labeltrain.data import Dataset, load
    from labeltrain.loop.active_learner import ActiveLearner
    from labeltrain.loop.select import Selection, select
    from labeltrain.projects import Project
    from labeltrain.studies import run

_HOMES = {
    "ActiveLearner": "labeltrain.loop.active_learner",
    "select": "labeltrain.loop.select",
    "Selection": "labeltrain.loop.select",
    "run": "labeltrain.studies",
    "load": "labeltrain.data",
    "Dataset": "labeltrain.data",
    "Project": "labeltrain.projects",
}
__all__ = [
    "ActiveLearner",
    "Dataset",
    "Project",
    "Selection",
    "__version__",
    "load",
    "run",
    "select",
    "strategies",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `labeltrain --help` stays quick.
    import importlib

    if name == "strategies":  # a module that can be called: `labeltrain.strategies()`
        return importlib.import_module("labeltrain.strategies")
    if name not in _HOMES:
        raise AttributeError(f"module 'labeltrain' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "strategies"])
