"""What a user of LabelTrain calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.kernels.plain import Work


def side(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Return the work of this side, ready to be timed."""
    if strategy == "graph-greedy":
        return _greedy_on_a_graph(arrays, settings["k"])
    import labeltrain

    given: dict[str, Any] = {"embeddings": arrays["points"]}
    if strategy == "margin":
        given = {}
    if strategy in ("margin", "badge"):
        given["probabilities"] = arrays["probabilities"]
    labelled = np.arange(settings["labelled"])

    def work() -> np.ndarray:
        picks = labeltrain.select(
            strategy,
            budget=settings["k"],
            seed=settings["seed"],
            labelled=labelled,
            **given,
            **settings.get("parameters", {}),
        )
        return picks.positions

    return work


def on_one_graph(strategy: str, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Work:
    """Return the same work, but not in parts."""
    parameters = {k: v for k, v in settings["parameters"].items() if k != "parts"}
    return side(strategy, arrays, {**settings, "parameters": parameters})


def _greedy_on_a_graph(arrays: dict[str, np.ndarray], k: int) -> Work:
    """Return the greedy search alone, on neighbours that were found before."""
    from labeltrain.kernels.graph_coverage import greedy_coverage_on_graph
    from labeltrain.kernels.similarity import Similarity

    indices, n = arrays["indices"], len(arrays["indices"])
    if indices.max() >= n:  # the few rows of the warm-up
        indices = indices % n

    def work() -> np.ndarray:
        found = greedy_coverage_on_graph(
            indices,
            arrays["distances"],
            Similarity("gaussian", 1.0),
            k,
            candidates=np.arange(n),
            given=np.empty(0, dtype=np.int64),
        )
        return found.positions

    return work
