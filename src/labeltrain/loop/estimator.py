"""What a scikit-learn classifier lets strategies see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.learners.base import Learner, Training
from labeltrain.loop.as_numpy import library
from labeltrain.loop.inputs import matrix, probabilities
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.loop.pool_arrays import both_rows
from labeltrain.strategies.base import Need


@dataclass
class EstimatorPool:
    """A pool and the classifier that was fitted on its labelled rows.

    Attributes
    ----------
    estimator : classifier or None
        Fitted; None when there is nothing to predict with yet.
    X : array-like, data frame, sparse matrix or list, length n
    labelled : ndarray of int64, shape (m,)
    y : ndarray, shape (m,) or (m, C)
        Labels as the estimator takes them.
    codes : ndarray of int64, shape (m,) or (m, C)
        The same as class indices.
    classes : sequence
        In the order of the indices; more than the estimator knows is fine.
    kind : {"multiclass", "multilabel"}
    rng : numpy.random.Generator
    embed : callable, optional
        From rows of `X` to numbers (k, d), where `X` is none.
    """

    estimator: Any
    X: Any
    labelled: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    classes: Sequence[Any]
    kind: str
    rng: np.random.Generator
    embed: Callable[[Any], Any] | None = None

    def sources(self) -> dict[str, Any]:
        """Return the sources of a view, each computed on first use."""
        found: dict[str, Any] = {Need.EMBEDDINGS: lambda: self.features}
        if self.estimator is None:
            return found
        found |= {
            Need.PROBABILITIES: lambda: self.predicted(self.estimator, self.X),
            Need.COMMITTEE: self.committee,
            Need.OUT_OF_FOLD: self.out_of_fold,
        }
        if self.embed is None:
            found |= {Need.PREDICT: self.predict, Need.HEAD: self.head}
        return found

    @property
    def unwrapped(self) -> Any:
        """The estimator inside a wrapper of scikit-activeml, or found by a search."""
        inner = self.estimator
        if type(inner).__module__.startswith("skactiveml."):
            inner = getattr(inner, "estimator_", inner)
        return getattr(inner, "best_estimator_", inner)

    @property
    def is_pipeline(self) -> bool:
        """True when something happens to the rows before a fitted classifier sees them."""
        steps = getattr(self.unwrapped, "steps", ())
        return len(steps) > 1 and hasattr(self.unwrapped, "classes_")

    @cached_property
    def last_step(self) -> tuple[Any, Any]:
        """What the last step of a pipeline sees, (n, h), and this step."""
        seen, last = self.X, self.unwrapped
        while hasattr(last, "steps"):  # the last step may be a pipeline itself
            if len(last.steps) > 1:
                seen = last[:-1].transform(seen)
            last = last[-1]
        return matrix(f"what the steps before {type(last).__name__} return", seen), last

    @cached_property
    def features(self) -> np.ndarray:
        """The rows as numbers, (n, d): of a pipeline, what its last step sees."""
        if self.embed is not None:
            return matrix("what embed returned", self.embed(self.X))
        if self.is_pipeline:
            return self.last_step[0]
        try:
            return matrix("X", self.X)
        except BadInput as error:
            raise BadInput(error.problem, f"{error.remedy}; or give embed, X -> numbers") from error

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities of features such as :attr:`features`, (k, C)."""
        if self.is_pipeline:
            last = self.last_step[1]
            return self.predicted(last, features, np.asarray(self.estimator.classes_).tolist())
        if library(self.X) == "pandas":
            features = type(self.X)(features, columns=self.X.columns)
        return self.predicted(self.estimator, features)

    def predicted(self, estimator: Any, X: Any, classes: Sequence[Any] | None = None) -> np.ndarray:
        """Return class probabilities with one column per class of the pool, (k, C).

        `classes` are those of the columns, where the estimator itself knows them by number only.

        Raises
        ------
        MissingNeed
            The estimator gives no probabilities.
        """
        if not hasattr(estimator, "predict_proba"):
            raise MissingNeed(
                f"{type(estimator).__name__} has no predict_proba",
                "wrap it in sklearn.calibration.CalibratedClassifierCV, or choose a strategy that "
                "needs no probabilities (labeltrain list strategies)",
            )
        found = estimator.predict_proba(X)
        if self.kind == "multilabel" and isinstance(found, list):
            found = np.stack(
                [_of_ones(p, c) for p, c in zip(found, estimator.classes_, strict=True)], 1
            )
        name = f"what predict_proba of {type(estimator).__name__} returned"
        checked = probabilities(name, found, self.kind)
        own = estimator.classes_ if classes is None else classes
        return checked if self.kind == "multilabel" else self._aligned(checked, own)

    def _aligned(self, found: np.ndarray, own: Sequence[Any]) -> np.ndarray:
        place = {name: i for i, name in enumerate(self.classes)}
        columns = [place[name] for name in np.asarray(own).tolist()]
        if columns == list(range(len(self.classes))):
            return found
        result = np.zeros((len(found), len(self.classes)))
        result[:, columns] = found
        return result

    def committee(self) -> np.ndarray:
        """Return the probabilities of the members of an ensemble, (S, n, C).

        Raises
        ------
        MissingNeed
            The estimator is no ensemble of classifiers.
        """
        from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
        from sklearn.ensemble._forest import ForestClassifier

        ensemble, X = self.unwrapped, self.X
        if hasattr(ensemble, "steps"):
            X = ensemble[:-1].transform(X) if len(ensemble.steps) > 1 else X
            ensemble = ensemble[-1]
        kinds = (ForestClassifier, BaggingClassifier, VotingClassifier, AdaBoostClassifier)
        if not isinstance(ensemble, kinds):
            raise MissingNeed(
                f"{type(ensemble).__name__} is no ensemble, so there is no committee",
                "use for example sklearn.ensemble.BaggingClassifier(estimator)",
            )
        if not hasattr(ensemble, "estimators_"):
            raise MissingNeed("the committee was not fitted yet", "label a few items first")
        if not isinstance(ensemble, VotingClassifier) and library(X) != "scipy":
            X = np.asarray(X)  # their members are fitted without the names of columns
        everything = slice(None)
        taken = getattr(ensemble, "estimators_features_", [everything] * len(ensemble.estimators_))
        members = []
        for member, columns in zip(ensemble.estimators_, taken, strict=True):
            seen = X if columns is everything else X[:, columns]
            if self.kind == "multilabel":
                members.append(self.predicted(member, seen))
                continue
            if not hasattr(member, "predict_proba"):
                self.predicted(member, seen)  # says what is missing
            own = np.asarray(member.classes_)
            if not np.isin(own, ensemble.classes_).all() or not isinstance(
                ensemble, AdaBoostClassifier
            ):
                own = np.asarray(ensemble.classes_)[own.astype(np.int64)]  # members see indices
            name = f"what predict_proba of a member, {type(member).__name__}, returned"
            given = probabilities(name, member.predict_proba(seen), self.kind)
            members.append(self._aligned(given, own.tolist()))
        return np.stack(members)

    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (C, h) and bias (C,) of a logistic regression.

        It may stand at the end of a pipeline: `h` is then what the last step sees.

        Raises
        ------
        MissingNeed
            The estimator is none.
        """
        from sklearn.linear_model import LogisticRegression

        last = self.unwrapped
        while hasattr(last, "steps"):
            last = last[-1]
        if not isinstance(last, LogisticRegression):
            raise MissingNeed(
                f"{type(last).__name__} has no softmax head",
                "use sklearn.linear_model.LogisticRegression, alone or at the end of a pipeline, "
                "or another strategy",
            )
        if not hasattr(last, "coef_"):
            raise MissingNeed(
                f"{type(last).__name__} was not fitted yet", "label a few items first"
            )
        weights, bias = last.coef_, last.intercept_
        if len(weights) == 1:
            weights, bias = both_rows(weights, bias)
        known = np.asarray(self.estimator.classes_).tolist()
        if len(known) != len(weights):
            raise MissingNeed(
                f"{type(last).__name__} was fitted on {len(weights)} of {len(known)} classes",
                "label an item of each class first",
            )
        rows = [list(self.classes).index(name) for name in known]
        whole = np.zeros((len(self.classes), weights.shape[1]))
        lowest = np.full(len(self.classes), -np.inf if len(rows) < len(self.classes) else 0.0)
        whole[rows], lowest[rows] = weights, bias
        return whole, lowest

    def out_of_fold(self) -> np.ndarray:
        """Return cross-validated probabilities of the labelled rows, (m, C)."""
        m = len(self.labelled)
        training = Training(
            np.arange(m)[:, None], np.arange(m), self.codes, len(self.classes), self.kind
        )
        return out_of_fold(cast(Learner, _Clones(self)), training, self.rng)


@dataclass
class _Clones:
    """Fits clones of the pool's estimator; its features are row numbers of the labelled rows."""

    reads = "features"

    pool: EstimatorPool

    def fit(self, training: Training, rng: np.random.Generator) -> Any:
        from sklearn.base import clone

        if len(np.unique(training.labels, axis=0)) < 2:
            return _Prior(training.prior())
        rows = training.labelled
        estimator = clone(self.pool.estimator)
        estimator.fit(rows_of(self.pool.X, self.pool.labelled[rows]), self.pool.y[rows])
        return _Fitted(self.pool, estimator)


@dataclass
class _Fitted:
    pool: EstimatorPool
    estimator: Any

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        rows = self.pool.labelled[features[:, 0]]
        return self.pool.predicted(self.estimator, rows_of(self.pool.X, rows))


@dataclass
class _Prior:
    prior: np.ndarray

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return np.tile(self.prior, (len(features), 1))


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, data frame, sparse matrix or list."""
    from sklearn.utils import _safe_indexing

    return _safe_indexing(X, rows)


def rows_in(X: Any) -> int:
    """Return the number of rows of an array, data frame, sparse matrix or list."""
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)


def stacked(first: Any, second: Any) -> Any:
    """Return the rows of both, in the container they came in."""
    if len({np.ndim(x) for x in (first, second)}) > 1:
        raise BadInput(
            f"what was taught has {np.ndim(first)} dimensions, this X has {np.ndim(second)}",
            "give rows of the same kind: a column of texts as a list or a series",
        )
    widths = [x.shape[1] for x in (first, second) if len(getattr(x, "shape", ())) == 2]
    if len(set(widths)) > 1:
        raise BadInput(
            f"what was taught has {widths[0]} columns, this X has {widths[1]}",
            "give rows with the same columns",
        )
    kinds = {library(first), library(second)}
    if kinds == {"scipy"}:
        from scipy.sparse import vstack

        return vstack([first, second], format="csr")
    if kinds == {"pandas"}:
        from pandas import concat

        return concat([first, second], ignore_index=True)
    if kinds == {"polars"}:
        return first.vstack(second) if hasattr(first, "vstack") else first.append(second)
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    if "scipy" in kinds:
        raise BadInput("X is sparse in one place and dense in another", "make them alike")
    return np.concatenate([np.asarray(first), np.asarray(second)])


def _of_ones(found: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the probability of class 1 of one output of a multilabel classifier."""
    where = np.flatnonzero(np.asarray(classes) == 1)
    return found[:, where[0]] if len(where) else np.zeros(len(found))
