"""Label-efficient learning: spend as few labels as possible, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from labeltrain.data import Dataset, load
    from labeltrain.loop.select import Selection, select
    from labeltrain.studies import run

_HOMES = {
    "select": "labeltrain.loop.select",
    "Selection": "labeltrain.loop.select",
    "run": "labeltrain.studies",
    "load": "labeltrain.data",
    "Dataset": "labeltrain.data",
    "Project": "labeltrain.projects",
}
__all__ = ["Dataset", "Project", "Selection", "__version__", "load", "run", "select"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `labeltrain --help` stays quick.
    if name not in _HOMES:
        raise AttributeError(f"module 'labeltrain' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
