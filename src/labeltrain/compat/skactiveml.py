"""LabelTrain's strategies where scikit-activeml expects one of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.errors import BadInput, MissingExtra, MissingNeed
from labeltrain.loop.checks import checked
from labeltrain.loop.estimator import EstimatorPool
from labeltrain.loop.pool_arrays import refuse_missing
from labeltrain.loop.select import resolved
from labeltrain.rng import stream
from labeltrain.strategies.base import Round, Strategy
from labeltrain.strategies.view import PoolView

try:
    from skactiveml.base import SingleAnnotatorPoolQueryStrategy
    from skactiveml.utils import is_labeled
except ImportError as error:
    raise MissingExtra(
        "labeltrain.compat.skactiveml needs the package 'scikit-activeml', which is not installed",
        "pip install 'scikit-activeml>=1.0.1'",
    ) from error


class SkactivemlStrategy(SingleAnnotatorPoolQueryStrategy):  # type: ignore[misc]
    """A LabelTrain strategy with the interface of scikit-activeml's pool-based strategies.

    Parameters
    ----------
    strategy : str or labeltrain.strategies.Strategy
        A name of :func:`labeltrain.strategies`, or a strategy that was made already.
    missing_label : scalar, str, nan or None
        What stands in `y` for a label that is not known.
    random_state : int, RandomState or None
    **options
        Parameters of the strategy.

    Examples
    --------
    >>> import numpy as np
    >>> from skactiveml.classifier import SklearnClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labeltrain.compat.skactiveml import SkactivemlStrategy
    >>> X = np.arange(20.0)[:, None]
    >>> y = np.full(20, np.nan)
    >>> y[[0, 19]] = 0, 1
    >>> clf = SklearnClassifier(LogisticRegression(), classes=[0, 1])
    >>> SkactivemlStrategy("margin", random_state=0).query(X, y, clf, batch_size=2).tolist()
    [9, 10]
    """

    def __init__(
        self,
        strategy: str | Strategy = "margin",
        missing_label: Any = np.nan,
        random_state: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.strategy = strategy
        self.options = options

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all parameters, those of the strategy included."""
        return {**super().get_params(deep=deep), **self.options}

    def set_params(self, **params: Any) -> SkactivemlStrategy:
        """Set parameters; those that are not the adapter's own are the strategy's."""
        own = super().get_params(deep=True)
        super().set_params(**{k: v for k, v in params.items() if k in own})
        self.options = {**self.options, **{k: v for k, v in params.items() if k not in own}}
        return self

    def query(
        self,
        X: Any,
        y: Any,
        clf: Any = None,
        fit_clf: bool = True,
        sample_weight: Any = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        """Choose which candidates to label next.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Labelled and unlabelled items.
        y : array-like, shape (n,)
            Their labels; `missing_label` where not known.
        clf : skactiveml.base.SkactivemlClassifier, optional
            Needed by strategies that read predictions.
        fit_clf : bool
            Fit a clone on `X` and `y`; otherwise `clf` is used as it is.
        sample_weight : array-like, shape (n,), optional
            For the fit.
        candidates : array-like, optional
            Indices of unlabelled rows of `X`, or feature vectors (k, d) that are not in `X`. All
            unlabelled rows by default.
        batch_size : int
        return_utilities : bool

        Returns
        -------
        query_indices : ndarray of int64, shape (batch_size,)
            Rows of `X`, or of `candidates` when these are vectors, in the order of the picks.
        utilities : ndarray, shape (batch_size, n) or (batch_size, k)
            Only with `return_utilities`. LabelTrain's strategies score what they pick, so these
            are ranks: the pick that comes first has the utility `batch_size`, the last one 1, other
            candidates 0; NaN marks what is no candidate, or was picked in an earlier row.

        Raises
        ------
        MissingNeed
            The strategy reads what `clf` does not give, or there is no `clf`.
        """
        from sklearn.base import clone
        from sklearn.utils.validation import check_is_fitted

        X, y, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True
        )
        fresh, places = self._transform_candidates(candidates, X, y, allow_only_unlabeled=True)
        start = 0
        rows = X
        if places is None:  # vectors from elsewhere: they follow the pool
            start, rows = len(X), np.concatenate([X, fresh])
            places = start + np.arange(len(fresh))
        labelled = np.flatnonzero(is_labeled(y, self.missing_label_))
        model = clf
        if clf is not None and fit_clf:
            weight = {} if sample_weight is None else {"sample_weight": sample_weight}
            model = clone(clf).fit(X, y, **weight)
        elif clf is not None:
            check_is_fitted(clf)
        classes = [] if model is None else np.asarray(model.classes_).tolist()
        classes += [label for label in np.unique(y[labelled]).tolist() if label not in classes]
        codes = np.array([classes.index(label) for label in y[labelled].tolist()], dtype=np.int64)
        strategy = resolved(self.strategy, self.options)
        if strategy.asks_again:
            raise BadInput(
                f"strategy {strategy.name!r} asks labelled items again; none is a candidate",
                "use labeltrain.select, or another strategy",
            )
        seed = int(self.random_state_.randint(2**31))
        rows = rows.reshape(len(rows), -1) if model is None else rows
        pool = EstimatorPool(
            model, rows, labelled, y[labelled], codes, classes, "multiclass",
            stream(seed, "out of fold"),
        )  # fmt: skip
        sources = pool.sources()
        if model is None:
            _refuse_without_model(strategy, sources)
        refuse_missing(strategy, sources, "multiclass", "use labeltrain.select, which takes ")
        view = PoolView(
            len(rows),
            [str(c) for c in classes],
            labelled=labelled,
            labels=codes,
            candidates=np.sort(places),
            round=Round(len(labelled), float(batch_size)),
            sources=sources,
        )
        count = min(int(batch_size), len(places))
        picked = np.empty(0, dtype=np.int64)
        if count:
            rng = stream(seed, "select")
            picks = checked(strategy.select(view, count, rng), view, count, strategy.name)
            picked = picks.positions - start
        if not return_utilities:
            return picked
        utilities = np.full((len(picked), len(rows) - start), np.nan)
        utilities[:, places - start] = 0.0
        for turn, row in enumerate(picked):
            utilities[: turn + 1, row] = len(picked) - turn
            utilities[turn + 1 :, row] = np.nan
        return picked, utilities


def _refuse_without_model(strategy: Strategy, given: dict[str, Any]) -> None:
    missing = sorted(set(strategy.needs) - set(given) - {"hidden"})
    if missing:
        raise MissingNeed(
            f"strategy {strategy.name!r} needs {', '.join(missing)}, and there is no clf",
            "give query(..., clf=...), a classifier of scikit-activeml",
        )
