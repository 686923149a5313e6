"""How good predictions of the target are on items that nothing was learned from."""

from __future__ import annotations

import numpy as np

from labeltrain.multitask.tasks import Kind

SCORES = ("mse", "explained", "accuracy", "auc")


def target_scores(predicted: np.ndarray, values: np.ndarray, kind: Kind) -> dict[str, float]:
    """Return the scores of predictions of held-out items.

    Parameters
    ----------
    predicted, values : ndarray of float64, shape (n,)
    kind : {"binary", "number"}

    Returns
    -------
    dict of str to float
        ``mse``; ``explained``, 1 - mse / variance (below 0: worse than the mean of the test items);
        and for binary targets ``accuracy`` (at 0.5) and ``auc``. nan where items are all alike.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.scores import target_scores
    >>> target_scores(np.array([0.1, 0.4, 0.8]), np.array([0.0, 1.0, 1.0]), "binary")["auc"]
    1.0
    """
    squares = (predicted - values) ** 2
    spread = float(values.var())
    found = {
        "mse": float(squares.mean()),
        "explained": 1.0 - float(squares.mean()) / spread if spread > 0 else float("nan"),
    }
    if kind == "binary":
        found["accuracy"] = float(((predicted >= 0.5) == (values >= 0.5)).mean())
        found["auc"] = _auc(predicted, values >= 0.5)
    return found


def _auc(predicted: np.ndarray, positive: np.ndarray) -> float:
    """Return how often a positive item is ranked above another; ties count half."""
    from scipy.stats import rankdata

    some = int(positive.sum())
    others = len(positive) - some
    if not some or not others:
        return float("nan")
    above = float(rankdata(predicted)[positive].sum()) - some * (some + 1) / 2.0
    return above / (some * others)
