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

    @property
    def size(self) -> int:
        """Number of test items."""
        return len(self.__test)

    def inputs(self, reads: str) -> Any:
        """Return what a model predicts the test from: its features, or its items."""
        return self._features if reads == "features" else self._items

    def renewed(self, features: np.ndarray) -> Evaluator:
        """Return an evaluator on other features of the same test items."""
        return Evaluator(features, self.__test, self.__pool, self._classes, self._kind, self._items)

    def score(
        self, model: Model, pool_probabilities: np.ndarray | None, reads: str = "features"
    ) -> dict[str, Any]:
        """Return ``scores`` (name to float) and ``recall`` (list over classes; None if absent).

        Parameters
        ----------
        model : Model
        pool_probabilities : ndarray or None
            Its predictions for the pool; None: no pool accuracy.
        reads : {"features", "items"}
            What the model predicts from.
        """
        probabilities = model.predict_proba(self.inputs(reads))
        scores = score(probabilities, self.__test, kind=self._kind)
        if pool_probabilities is not None:
            if self._kind == "multilabel":
                right = (pool_probabilities >= 0.5) == self.__pool
            else:
                right = pool_probabilities.argmax(axis=1) == self.__pool
            scores["pool_accuracy"] = float(right.mean())
        recall = recall_per_class(probabilities, self.__test, kind=self._kind)
        return {
            "scores": {k: None if np.isnan(v) else float(v) for k, v in scores.items()},
            "recall": [None if np.isnan(v) else float(v) for v in recall],
        }
