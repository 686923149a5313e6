"""The evaluator: the only place that holds clean labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.learners.base import Model
from labeltrain.metrics import recall_per_class, score


class Evaluator:
    """Scores models on test items, and on the pool.

    Parameters
    ----------
    test_features : ndarray of float32, shape (t, d)
    test_labels : ndarray, shape (t,) or (t, C)
    pool_labels : ndarray, shape (n,) or (n, C)
        Clean labels of the whole pool, for pool accuracy.
    classes : int
    kind : {"multiclass", "multilabel"}
    test_items : sequence of length t, optional
        The test items themselves; models that read items are scored on them.
    """

    def __init__(
        self,
        test_features: np.ndarray,
        test_labels: np.ndarray,
        pool_labels: np.ndarray,
        classes: int,
        kind: str = "multiclass",
        test_items: Any = None,
    ) -> None:
        self._features = test_features
        self._items = test_items
        self.__test = np.asarray(test_labels, dtype=np.int64)
        self.__pool = np.asarray(pool_labels, dtype=np.int64)
        self._classes = classes
        self._kind: Any = kind

    def score(self, model: Model, pool_probabilities: np.ndarray) -> dict[str, Any]:
        """Return ``scores`` (name to float) and ``recall`` (list over classes; None if absent)."""
        inputs = self._features if self._items is None else self._items
        probabilities = model.predict_proba(inputs)
        scores = score(probabilities, self.__test, kind=self._kind)
        if self._kind == "multilabel":
            guess = pool_probabilities >= 0.5
            scores["pool_accuracy"] = float((guess == self.__pool).mean())
        else:
            scores["pool_accuracy"] = float(
                (pool_probabilities.argmax(axis=1) == self.__pool).mean()
            )
        recall = recall_per_class(probabilities, self.__test, kind=self._kind)
        return {
            "scores": {k: None if np.isnan(v) else float(v) for k, v in scores.items()},
            "recall": [None if np.isnan(v) else float(v) for v in recall],
        }
