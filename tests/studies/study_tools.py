"""What several study tests need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labeltrain.store import Workspace

SMALL: dict[str, Any] = {
    "dataset": "digits",
    "strategies": ["random", "margin"],
    "batch": 20,
    "rounds": 4,
    "seeds": 2,
}


def outcome(folder: Path) -> dict[str, list[str]]:
    """Return all picks, answers and scores by run: what must never depend on circumstances."""
    found: dict[str, list[str]] = {}
    with Workspace.open(folder, "study", read_only=True) as workspace:
        for event in workspace.events():
            if event.kind in ("picked", "scored"):
                body = {k: v for k, v in event.body.items() if k != "seconds"}
                found.setdefault(event.run, []).append(json.dumps(body, sort_keys=True))
    return found
