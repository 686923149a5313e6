"""Scores of predicted probabilities against known labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.metrics.checks import as_multiclass, as_multilabel

Kind = Literal["multiclass", "multilabel"]

#: Probabilities below this are raised to it before a logarithm is taken.
SMALLEST = 1e-12
#: Equal-width bins of the calibration error.
BINS = 15
#: Test items a class needs to count in ``balanced_accuracy_min5``.
FEW = 5


class Metric(NamedTuple):
    """What a score means.

    Attributes
    ----------
    description : str
    kinds : tuple of str
        Kinds of labels it is defined for.
    higher_is_better : bool
    """

    description: str
    kinds: tuple[str, ...]
    higher_is_better: bool


class _Tally:
    """Counts that several scores share, each computed once."""

    def __init__(self, probabilities: np.ndarray, labels: np.ndarray, kind: Kind) -> None:
        self.probabilities = probabilities
        self.labels = labels
        self.kind = kind
        self.classes = probabilities.shape[1]

    @cached_property
    def predicted(self) -> np.ndarray:
        if self.kind == "multiclass":
            return np.asarray(self.probabilities.argmax(axis=1))
        return self.probabilities >= 0.5

    @cached_property
    def correct(self) -> np.ndarray:
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def support(self) -> np.ndarray:
        if self.kind == "multiclass":
            return np.bincount(self.labels, minlength=self.classes)
        return np.asarray(self.labels.sum(axis=0))

    @cached_property
    def hits(self) -> np.ndarray:
        if self.kind == "multiclass":
            return np.bincount(self.labels[self.correct], minlength=self.classes)
        return np.asarray((self.predicted & self.labels).sum(axis=0))

    @cached_property
    def predicted_as(self) -> np.ndarray:
        if self.kind == "multiclass":
            return np.bincount(self.predicted, minlength=self.classes)
        return np.asarray(self.predicted.sum(axis=0))

    @cached_property
    def recall(self) -> np.ndarray:
        out = np.full(self.classes, np.nan)
        np.divide(self.hits, self.support, out=out, where=self.support > 0)
        return out


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _accuracy(t: _Tally) -> float:
    return float(t.correct.mean())


def _balanced_accuracy(t: _Tally) -> float:
    return _mean(t.recall[t.support > 0])


def _balanced_accuracy_min5(t: _Tally) -> float:
    return _mean(t.recall[t.support >= FEW])


def _macro_f1(t: _Tally) -> float:
    present = t.support > 0
    return _mean(2.0 * t.hits[present] / (t.support + t.predicted_as)[present])


def _micro_f1(t: _Tally) -> float:
    total = int(t.support.sum() + t.predicted_as.sum())
    return 2.0 * float(t.hits.sum()) / total if total else float("nan")


def _nll(t: _Tally) -> float:
    if t.kind == "multiclass":
        true = t.probabilities[np.arange(len(t.labels)), t.labels]
    else:
        true = np.where(t.labels, t.probabilities, 1.0 - t.probabilities)
    return float(-np.log(np.maximum(true.astype(np.float64), SMALLEST)).mean())


def _ece(t: _Tally) -> float:
    if t.kind == "multiclass":
        confidence = t.probabilities.max(axis=1).astype(np.float64)
    else:
        p = t.probabilities.astype(np.float64)
        confidence = np.maximum(p, 1.0 - p).ravel()
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    right = np.bincount(bins, weights=t.correct.ravel(), minlength=BINS)
    claimed = np.bincount(bins, weights=confidence, minlength=BINS)
    return float(np.abs(right - claimed).sum() / len(confidence))


def _map(t: _Tally) -> float:
    present = np.flatnonzero(t.support > 0)
    found = [_average_precision(t.probabilities[:, c], t.labels[:, c]) for c in present]
    return _mean(np.asarray(found))


def _average_precision(probability: np.ndarray, positive: np.ndarray) -> float:
    """Non-interpolated average precision; tied items enter together."""
    order = np.argsort(-probability)
    ranked = probability[order]
    last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(positive[order])[last_of_tie]
    return float((np.diff(found, prepend=0) * found / (last_of_tie + 1)).sum() / found[-1])


def _exact_match(t: _Tally) -> float:
    return float(t.correct.all(axis=1).mean())


_BOTH = ("multiclass", "multilabel")
_SCORES: dict[str, tuple[Metric, Callable[[_Tally], float]]] = {
    "accuracy": (
        Metric("share of right answers (multilabel: mean over the binary questions)", _BOTH, True),
        _accuracy,
    ),
    "balanced_accuracy": (
        Metric("mean recall over the classes that have test items", ("multiclass",), True),
        _balanced_accuracy,
    ),
    "balanced_accuracy_min5": (
        Metric(f"mean recall over classes with at least {FEW} test items", ("multiclass",), True),
        _balanced_accuracy_min5,
    ),
    "macro_f1": (
        Metric("mean F1 over the classes that have test items (multilabel: at 0.5)", _BOTH, True),
        _macro_f1,
    ),
    "micro_f1": (Metric("F1 over all binary questions, at 0.5", ("multilabel",), True), _micro_f1),
    "map": (
        Metric("mean non-interpolated average precision over classes", ("multilabel",), True),
        _map,
    ),
    "exact_match": (
        Metric("share of items with every class right, at 0.5", ("multilabel",), True),
        _exact_match,
    ),
    "nll": (Metric("mean negative log likelihood, natural log", _BOTH, False), _nll),
    "ece": (
        Metric(f"expected calibration error of the answer given, {BINS} equal bins", _BOTH, False),
        _ece,
    ),
}

#: Every score by name: (description, kinds, higher_is_better).
METRICS: dict[str, Metric] = {name: metric for name, (metric, _) in _SCORES.items()}


def _tally(probabilities: np.ndarray, labels: np.ndarray, kind: str) -> _Tally:
    if kind == "multiclass":
        return _Tally(*as_multiclass(probabilities, labels), "multiclass")
    if kind == "multilabel":
        return _Tally(*as_multilabel(probabilities, labels), "multilabel")
    raise unknown_name("kind of labels", str(kind), _BOTH)


def score(
    probabilities: np.ndarray,
    labels: np.ndarray,
    kind: Kind = "multiclass",
    names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Score predicted probabilities against known labels.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
        Multiclass rows sum to 1; multilabel entries are independent.
    labels : ndarray of int, shape (n,) or (n, C)
        Multiclass: class positions. Multilabel: 0 or 1.
    kind : {"multiclass", "multilabel"}
    names : sequence of str, optional
        Scores to compute; all that are defined for `kind` if not given.

    Returns
    -------
    dict of str to float
        NaN where a score is undefined, such as ``balanced_accuracy_min5`` when no class has
        five test items. A class without test items never counts in a mean over classes, so the
        classes averaged over are the same for every model scored on the same items.

    Raises
    ------
    BadInput
        If shapes do not match, a value is not finite or not a probability, a label is not a
        class, or a name is unknown or not defined for `kind`.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> s = score(p, np.array([0, 1, 1, 0]), names=["accuracy", "balanced_accuracy", "nll"])
    >>> {name: round(value, 3) for name, value in s.items()}
    {'accuracy': 0.75, 'balanced_accuracy': 0.75, 'nll': 0.4}
    """
    tally = _tally(probabilities, labels, kind)
    if names is None:
        names = [name for name, metric in METRICS.items() if kind in metric.kinds]
    out = {}
    for name in names:
        if name not in _SCORES:
            raise unknown_name("score", name, METRICS)
        metric, compute = _SCORES[name]
        if kind not in metric.kinds:
            fitting = ", ".join(k for k, m in METRICS.items() if kind in m.kinds)
            raise BadInput(f"score {name!r} is not defined for {kind} labels", f"use: {fitting}")
        out[name] = compute(tally)
    return out
