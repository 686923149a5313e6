"""One function for each score, for people who want just one."""

from __future__ import annotations

import numpy as np

from labeltrain.metrics.scores import Kind, _tally, score


def accuracy(probabilities: np.ndarray, labels: np.ndarray, kind: Kind = "multiclass") -> float:
    """Share of right answers; multilabel: the mean over all binary questions at 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> accuracy(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]))
    0.5
    """
    return score(probabilities, labels, kind, ("accuracy",))["accuracy"]


def balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall over the classes that have test items.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0]])
    >>> balanced_accuracy(p, np.array([0, 0, 1]))
    0.5
    """
    return score(probabilities, labels, names=("balanced_accuracy",))["balanced_accuracy"]


def balanced_accuracy_min5(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall over classes with at least 5 test items; NaN if there is none.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.tile([0.9, 0.1], (6, 1))
    >>> balanced_accuracy_min5(p, np.array([0, 0, 0, 0, 0, 1]))
    1.0
    """
    return score(probabilities, labels, names=("balanced_accuracy_min5",))["balanced_accuracy_min5"]


def macro_f1(probabilities: np.ndarray, labels: np.ndarray, kind: Kind = "multiclass") -> float:
    """Mean F1 over the classes that have test items (multilabel: predictions at 0.5).

    Examples
    --------
    >>> import numpy as np
    >>> round(macro_f1(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])), 4)
    0.3333
    """
    return score(probabilities, labels, kind, ("macro_f1",))["macro_f1"]


def micro_f1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """F1 over all binary questions of a multilabel task, predictions at 0.5.

    NaN when nothing is positive and nothing is predicted positive.

    Examples
    --------
    >>> import numpy as np
    >>> micro_f1(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([[1, 0], [0, 1]]))
    0.5
    """
    return score(probabilities, labels, "multilabel", ("micro_f1",))["micro_f1"]


def mean_average_precision(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of non-interpolated average precision, multilabel.

    Classes without a positive are left out; tied items enter together, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9], [0.8], [0.1]])
    >>> round(mean_average_precision(p, np.array([[1], [0], [1]])), 4)
    0.8333
    """
    return score(probabilities, labels, "multilabel", ("map",))["map"]


def exact_match(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of items whose every class is right, multilabel, predictions at 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> exact_match(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([[1, 0], [1, 1]]))
    0.5
    """
    return score(probabilities, labels, "multilabel", ("exact_match",))["exact_match"]


def nll(probabilities: np.ndarray, labels: np.ndarray, kind: Kind = "multiclass") -> float:
    """Mean negative log likelihood, natural log, probabilities clipped at 1e-12.

    Multilabel: the mean binary cross-entropy over all items and classes.

    Examples
    --------
    >>> import numpy as np
    >>> round(nll(np.array([[0.5, 0.5]]), np.array([0])), 4)
    0.6931
    """
    return score(probabilities, labels, kind, ("nll",))["nll"]


def ece(probabilities: np.ndarray, labels: np.ndarray, kind: Kind = "multiclass") -> float:
    """Expected calibration error of the top label, 15 equal-width bins (Guo et al., 2017).

    Multilabel: of the answer given (yes or no) to every binary question.

    Examples
    --------
    >>> import numpy as np
    >>> round(ece(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])), 4)
    0.3
    """
    return score(probabilities, labels, kind, ("ece",))["ece"]


def recall_per_class(
    probabilities: np.ndarray, labels: np.ndarray, kind: Kind = "multiclass"
) -> np.ndarray:
    """Recall of each class.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
    labels : ndarray of int, shape (n,) or (n, C)
    kind : {"multiclass", "multilabel"}

    Returns
    -------
    ndarray of float64, shape (C,)
        NaN for a class without test items.

    Raises
    ------
    BadInput
        As :func:`labeltrain.metrics.score`.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0]])
    >>> recall_per_class(p, np.array([0, 1, 1])).tolist()
    [1.0, 0.5, nan]
    """
    return _tally(probabilities, labels, kind).recall
