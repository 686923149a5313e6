"""`labeltrain.ActiveLearner`: query and teach, around any scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.loop.as_numpy import library
from labeltrain.loop.checks import checked
from labeltrain.loop.estimator import EstimatorPool, rows_in, rows_of, stacked
from labeltrain.loop.inputs import column
from labeltrain.loop.pool_arrays import refuse_missing
from labeltrain.loop.select import resolved
from labeltrain.needs import OF_A_TRAINED_MODEL
from labeltrain.rng import stream
from labeltrain.strategies import registry
from labeltrain.strategies.base import Need, Past, Round, Strategy
from labeltrain.strategies.view import PoolView


class ActiveLearner:
    """A classifier that says what to label next, with the interface of modAL's learner.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Not cloned: it is fitted in place. One that is fitted already may be given as it is.
    strategy : str or Strategy
        A name of :func:`labeltrain.strategies`, or a strategy that was made already.
    X_training : array-like, data frame, sparse matrix or list, length m, optional
        Rows that are labelled already.
    y_training : array-like, shape (m,) or (m, C), optional
        Their labels, of any type that the estimator takes; rows of 0/1 for multilabel data.
    seed : int
        Queries are fixed by the seed, their number, and what was taught.
    embed : callable, optional
        From rows of X to numbers (k, d), for strategies that read embeddings when X is text.
    **options
        Parameters of the strategy.

    Attributes
    ----------
    estimator : scikit-learn classifier
    strategy : Strategy
    X_training, y_training
        Everything that was taught, in its order; None before.

    Examples
    --------
    >>> import numpy as np, labeltrain
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.arange(20.0)[:, None]
    >>> y = np.where(X[:, 0] < 9, "low", "high")
    >>> learner = labeltrain.ActiveLearner(
    ...     LogisticRegression(), "margin", X_training=X[[0, 19]], y_training=y[[0, 19]]
    ... )
    >>> rows, instances = learner.query(X[1:19])
    >>> instances
    array([[9.]])
    >>> learner.teach(instances, y[1:19][rows])
    >>> learner.predict(X[[2, 12]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        estimator: Any,
        strategy: str | Strategy = "margin",
        *,
        X_training: Any = None,
        y_training: Any = None,
        seed: int = 0,
        embed: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        if not hasattr(estimator, "fit") or isinstance(estimator, type):
            raise BadInput(f"{estimator!r} is no estimator", "give a classifier, an instance")
        self.estimator = estimator
        _refuse_of_select(options)
        self.strategy = resolved(strategy, options)
        if self.strategy.asks_again:
            raise BadInput(
                f"strategy {self.strategy.name!r} asks labelled rows again: no pool has them",
                "use labeltrain.select, or another strategy",
            )
        self.seed = int(seed)
        self.embed = embed
        self.X_training: Any = None
        self.y_training: Any = None
        self._queries = 0
        self._asked: _Asked | None = None
        self._past: list[_Taught] = []
        if (X_training is None) != (y_training is None):
            raise BadInput("X_training and y_training come together", "give both, or none")
        if X_training is not None:
            self.teach(X_training, y_training)

    def __repr__(self) -> str:
        taught = 0 if self.y_training is None else len(self.y_training)
        return f"{type(self).__name__}({self.estimator!r}, {self.strategy.name!r}, {taught} labels)"

    def query(self, X_pool: Any, n_instances: int = 1) -> tuple[np.ndarray, Any]:
        """Choose rows of the pool to label next.

        Parameters
        ----------
        X_pool : array-like, data frame, sparse matrix or list, length n
            Rows without a label. Delete what was taught: the learner remembers it.
        n_instances : int
            How many; what there is when the pool is smaller.

        Returns
        -------
        positions : ndarray of int64, shape (n_instances,)
            Row numbers of `X_pool`, in the order in which they were picked.
        instances : as `X_pool`
            These rows.

        Raises
        ------
        MissingNeed
            The strategy reads what the estimator does not give, or nothing was taught yet.
        """
        n = rows_in(X_pool)
        if isinstance(n_instances, bool) or int(n_instances) != n_instances or n_instances < 1:
            raise BadInput(f"n_instances={n_instances!r}", "give an integer of 1 or more")
        count = min(int(n_instances), n)
        if count == 0:
            raise BadInput("X_pool has no rows", "there is nothing left to label")
        view = self._view(X_pool, n, count)
        rng = stream(self.seed, "query", self._queries)
        picks = checked(self.strategy.select(view, count, rng), view, count, self.strategy.name)
        rows = picks.positions - len(view.labelled)
        instances = rows_of(X_pool, rows)
        self._queries += 1
        self._asked = _Asked(instances, picks.notes, self._queries)
        return rows, instances

    def teach(self, X: Any, y: Any, only_new: bool = False, **fit_options: Any) -> None:
        """Add labelled rows and fit the estimator on everything that was taught.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or list, length k
        y : array-like, shape (k,) or (k, C)
        only_new : bool
            Fit on these rows alone, for estimators whose ``fit`` goes on from where it stands.
        **fit_options
            Handed to ``estimator.fit``.
        """
        given = y if isinstance(y, np.ndarray) else _labels(y)
        if rows_in(X) != len(given):
            raise BadInput(f"{rows_in(X)} rows and {len(given)} labels", "align X and y")
        if len(given) == 0:
            raise BadInput("there are no rows to teach", "give at least one, or leave them out")
        first = self.X_training is None
        if not first:
            _refuse_mixed(self.y_training, given)
        X_all = X if first else stacked(self.X_training, X)
        y_all = given if first else np.concatenate([self.y_training, given])
        self.estimator.fit(*((X, given) if only_new else (X_all, y_all)), **fit_options)
        start = 0 if first else len(self.y_training)
        self.X_training, self.y_training = X_all, y_all
        if self._asked is not None and self._asked.are(X):
            notes, number = self._asked.notes, self._asked.number
            self._past += [_Taught(start + i, note, number) for i, note in enumerate(notes)]
        self._asked = None

    def fit(self, X: Any, y: Any, **fit_options: Any) -> ActiveLearner:
        """Forget what was taught, and teach these rows."""
        held = self.X_training, self.y_training, self._past, self._asked
        self.X_training, self.y_training, self._past, self._asked = None, None, [], None
        try:
            self.teach(X, y, **fit_options)
        except BaseException:
            self.X_training, self.y_training, self._past, self._asked = held
            raise
        return self

    def predict(self, X: Any, **options: Any) -> Any:
        """Return the estimator's predictions."""
        return self.estimator.predict(X, **options)

    def predict_proba(self, X: Any, **options: Any) -> Any:
        """Return the estimator's class probabilities."""
        return self.estimator.predict_proba(X, **options)

    def score(self, X: Any, y: Any, **options: Any) -> Any:
        """Return the estimator's score on these rows."""
        return self.estimator.score(X, y, **options)

    def _view(self, X_pool: Any, n: int, count: int) -> PoolView:
        y = self.y_training
        m = 0 if y is None else len(y)
        fitted = hasattr(self.estimator, "classes_")
        kind = "multilabel" if _is_multilabel(self.estimator, y) else "multiclass"
        classes = self._classes(kind, fitted)
        codes = _codes(y, classes, kind)
        if not fitted and OF_A_TRAINED_MODEL & self.strategy.needs:
            cold = [
                c["name"] for c in registry.describe() if not OF_A_TRAINED_MODEL & set(c["needs"])
            ]
            raise MissingNeed(
                f"strategy {self.strategy.name!r} reads the model, and nothing was taught yet",
                "teach a few labelled rows first, or begin with a strategy that needs no model: "
                + ", ".join(cold),
            )
        pool = EstimatorPool(
            self.estimator if fitted else None,
            X_pool if m == 0 else stacked(self.X_training, X_pool),
            np.arange(m),
            np.empty(0) if y is None else y,
            codes,
            classes,
            kind,
            stream(self.seed, "out of fold", self._queries),
            self.embed,
        )
        sources = pool.sources()
        refuse_missing(self.strategy, sources, kind, "use labeltrain.select, which takes ")
        name = self.strategy.name
        return PoolView(
            m + n,
            [str(c) for c in classes],
            kind=kind,
            labelled=np.arange(m),
            labels=codes,
            round=Round(self._queries + 1, float(count)),
            history=[
                Past(t.position, t.number, _plain(codes[t.position]), t.note, name)
                for t in self._past
            ],
            sources=sources,
        )

    def _classes(self, kind: str, fitted: bool) -> Sequence[Any]:
        if kind == "multilabel":
            y = self.y_training
            return range(len(self.estimator.classes_) if y is None else y.shape[1])
        seen = [] if self.y_training is None else self.y_training.tolist()
        known = np.asarray(self.estimator.classes_).tolist() if fitted else []
        return [*known, *sorted(set(seen) - set(known))]


@dataclass(frozen=True)
class _Asked:
    """What the last query returned."""

    instances: Any
    notes: tuple[Any, ...]
    number: int

    def are(self, X: Any) -> bool:
        """Return True when these are the rows of the query, in its order."""
        if rows_in(X) != len(self.notes):
            return False
        if library(X) == "scipy":
            return library(self.instances) == "scipy" and (self.instances != X).nnz == 0
        return bool(np.array_equal(np.asarray(X), np.asarray(self.instances)))


@dataclass(frozen=True)
class _Taught:
    """A pick that was taught: its row in the training data, its note, its query's number."""

    position: int
    note: Any
    number: int


def _refuse_of_select(options: Mapping[str, Any]) -> None:
    taken = {"labelled", "labels", "candidates", "pending", "ids", "kind", "classes", "budget"}
    for name in options:
        if name == "query_strategy":
            raise BadInput("ActiveLearner takes no 'query_strategy'", "its name here is strategy")
        if name in taken or name in set(Need):
            raise BadInput(
                f"ActiveLearner takes no {name!r}: it knows what was taught, and the estimator",
                f"labeltrain.select takes {name}",
            )


def _refuse_mixed(known: np.ndarray, given: np.ndarray) -> None:
    words = [any(isinstance(v, str) for v in y.reshape(-1).tolist()) for y in (known, given)]
    if words[0] != words[1]:
        kinds = ["names" if w else "numbers" for w in words]
        raise BadInput(
            f"labels taught before are {kinds[0]}, these are {kinds[1]}: {given[:3].tolist()}",
            "use one kind of label",
        )


def _labels(y: Any) -> np.ndarray:
    if hasattr(y, "columns") or np.ndim(y) == 2:
        return np.asarray(y)
    return column("y", y)


def _is_multilabel(estimator: Any, y: np.ndarray | None) -> bool:
    if y is None:
        return isinstance(getattr(estimator, "classes_", None), list)
    return y.ndim == 2 and y.shape[1] > 1


def _codes(y: np.ndarray | None, classes: Sequence[Any], kind: str) -> np.ndarray:
    if y is None:
        return np.empty((0, len(classes)) if kind == "multilabel" else 0, dtype=np.int64)
    if kind == "multilabel":
        return y.astype(np.int64)
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[label] for label in y.reshape(-1).tolist()], dtype=np.int64)


def _plain(code: Any) -> Any:
    return tuple(code.tolist()) if np.ndim(code) else int(code)
