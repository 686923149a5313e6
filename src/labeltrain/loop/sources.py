"""What a model lets strategies see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labeltrain.learners.base import Learner, Model, PriorModel
from labeltrain.strategies.base import Need


def model_sources(
    learner: Learner,
    model: Model,
    features: Any,
    probabilities: np.ndarray | Callable[[], np.ndarray],
    out_of_fold: Callable[[], np.ndarray],
) -> dict[str, Any]:
    """Return the view's sources that `learner` declares to give, each computed on first use."""
    offered: dict[str, Any] = {
        Need.PROBABILITIES: probabilities,
        Need.HIDDEN: lambda: model.hidden(features),
        Need.HEAD: lambda: model.head,
        Need.POSTERIOR: lambda: model.posterior(features),
        Need.PREDICT: model.predict_proba,
        Need.OUT_OF_FOLD: out_of_fold,
        Need.COMMITTEE: lambda: model.committee(features),
    }
    if isinstance(model, PriorModel) and learner.reads == "items":
        del offered[Need.HIDDEN]  # it has none; a view then gives the embeddings
    return {need: source for need, source in offered.items() if need in learner.gives}
