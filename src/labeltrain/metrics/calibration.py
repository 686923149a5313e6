"""Temperature scaling: one number that makes probabilities honest."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.metrics.checks import as_multiclass
from labeltrain.metrics.scores import SMALLEST

#: Temperatures are looked for between these.
COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature under which held-out labels are most likely.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
        Of items the model was not trained on, such as out-of-fold predictions.
    labels : ndarray of int, shape (n,)

    Returns
    -------
    float
        In [0.05, 20]; above 1 the model was too sure of itself.

    Raises
    ------
    BadInput
        As :func:`labeltrain.metrics.score`.

    Notes
    -----
    The loss is convex in 1/T, so it has one minimum in log T, which is where it is searched.

    References
    ----------
    Guo et al., On calibration of modern neural networks, ICML 2017, arXiv 1706.04599.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.tile([0.99, 0.01], (4, 1))
    >>> t = fit_temperature(p, np.array([0, 0, 0, 1]))
    >>> apply_temperature(p, t)[0].round(3).tolist()
    [0.75, 0.25]
    """
    from scipy.optimize import minimize_scalar

    p, y = as_multiclass(probabilities, labels)
    logs = np.log(np.maximum(p.astype(np.float64), SMALLEST))
    # Only differences to the true class matter: loss = mean log sum exp((l - l_true) / T).
    gaps = logs - logs[np.arange(len(y)), y][:, None]
    largest = gaps.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        scale = float(np.exp(-log_temperature))
        sums = np.exp((gaps - largest) * scale).sum(axis=1)
        return float((np.log(sums) + largest[:, 0] * scale).mean())

    bounds = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    inside = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    # A bounded search never tries the ends themselves.
    best = min((float(inside.x), *bounds), key=loss)
    return float(np.clip(np.exp(best), COLDEST, HOTTEST))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log p / T).

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
    temperature : float
        Above 0. Larger is flatter.

    Returns
    -------
    ndarray of float64, shape (n, C)
        Rows sum to 1. The order within a row never changes (below 1e-12 all are equal).

    Raises
    ------
    BadInput
        If the temperature is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> apply_temperature(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise BadInput(f"temperature is {temperature}", "give a positive number")
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), SMALLEST))
    scaled = logs / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
