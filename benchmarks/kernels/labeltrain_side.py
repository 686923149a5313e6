"""What a user of LabelTrain calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.kernels.plain import Work


def side(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Return the work of this side, ready to be timed."""
    import labeltrain

    given: dict[str, Any] = {"embeddings": arrays["points"]}
    if strategy == "margin":
        given = {}
    if strategy in ("margin", "badge"):
        given["probabilities"] = arrays["probabilities"]
    labelled = np.arange(settings["labelled"])

    def work() -> np.ndarray:
        picks = labeltrain.select(
            strategy, budget=settings["k"], seed=settings["seed"], labelled=labelled, **given
        )
        return picks.positions

    return work
