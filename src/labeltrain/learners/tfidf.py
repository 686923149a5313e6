"""TF-IDF with logistic regression: texts from scratch, without any pretrained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labeltrain.data import take
from labeltrain.errors import BadInput
from labeltrain.kernels import clock
from labeltrain.kernels.row_space import row_space_of
from labeltrain.learners.balance import Adjustment
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training, with_unseen
from labeltrain.learners.quiet_fit import quiet_fit
from labeltrain.needs import Need

SPAN = 1500  # labels up to which fitting in their span is faster than on all words
KEPT = 3  # sequences of texts whose vectors are kept: the pool's, the test's, and another


class _Vectors:
    """TF-IDF vectors over fixed terms; those of the `kept` longest sequences of texts are kept.

    A round then costs a fit, not the reading of all texts.
    """

    def __init__(self, terms: Sequence[str], idf: np.ndarray, kept: int = 0) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectoriser = TfidfVectorizer(
            sublinear_tf=True, vocabulary={term: place for place, term in enumerate(terms)}
        )
        self._vectoriser.idf_ = idf
        self._kept = kept
        self._held: list[tuple[list[str], Any]] = []

    def of(self, texts: Iterable[str]) -> Any:
        """Return a sparse row for each text."""
        wanted = list(texts)
        for held, rows in self._held:
            if held == wanted:  # the very same strings are equal at a glance
                return rows
        rows = self._vectoriser.transform(wanted)
        longest = sorted([(wanted, rows), *self._held], key=lambda pair: -len(pair[0]))
        self._held = longest[: self._kept]
        return rows


class TfidfModel(Model):
    """A vocabulary with inverse document frequencies, and a linear map of them."""

    name: ClassVar[str] = "tfidf"

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        facts: Mapping[str, Any],
        vectors: _Vectors | None = None,
    ) -> None:
        self._arrays = dict(arrays)
        self._facts = dict(facts)
        self._vectors = vectors

    def predict_proba(self, features: Any) -> np.ndarray:
        """Return class probabilities, float64 (k, C), of k texts.

        A class without a label shares the chance 1/(m+1) that the next of m labels is new.
        """
        a = self._arrays
        seen = a["seen"].astype(bool)
        logits = np.zeros((len(features), len(seen)))
        if len(features):
            if self._vectors is None:
                self._vectors = _Vectors(self._facts["terms"], a["idf"])
            rows = self._vectors.of(features)
            logits[:, seen] = rows @ a["weights"][seen].T.astype(np.float64) + a["bias"][seen]
        return with_unseen(logits, seen, self._facts["labels"])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return frequencies, weights, bias, and which classes were seen."""
        return dict(self._arrays)

    def facts(self) -> dict[str, Any]:
        """Return the terms and the number of labels."""
        return dict(self._facts)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> TfidfModel:
        """Rebuild the model."""
        return cls(arrays, facts)


@dataclass(frozen=True)
class _Pool:
    """The texts of a pool as vectors: the same in every round."""

    items: list[str]
    usable: np.ndarray | None
    terms: list[str]
    idf: np.ndarray
    vectors: _Vectors
    seconds: float  # that it took

    def is_of(self, training: Training) -> bool:
        mine, theirs = self.usable, training.usable
        if (mine is None) != (theirs is None) or self.items != list(training.items):
            return False
        return mine is None or theirs is None or np.array_equal(mine, theirs)


class Tfidf(Learner):
    """Logistic regression on TF-IDF vectors of the texts: the from-scratch counterpart.

    Words of two letters or more, lower-cased; ``(1 + log tf) idf``, rows of length 1. Vocabulary
    and idf come from all texts of the pool, labelled or not.

    Parameters
    ----------
    strength : float
        scikit-learn's ``C``.
    rarest : int
        A word must be in so many texts of the pool.
    class_weight, logit_adjustment, prior
        For rare classes, as of :class:`~labeltrain.learners.linear.Linear`.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.learners import Training, make
    >>> texts = ["a goal and a cup", "shares and a bank", "the cup was won", "the bank lost"]
    >>> training = Training(
    ...     np.zeros((4, 1)), np.array([0, 1]), np.array([0, 1]), classes=2, items=texts
    ... )
    >>> model = make("tfidf", {"rarest": 1}).fit(training, np.random.default_rng(0))
    >>> model.predict_proba(texts).argmax(axis=1).tolist()
    [0, 1, 0, 1]
    """

    name: ClassVar[str] = "tfidf"
    summary: ClassVar[str] = "logistic regression on TF-IDF of texts; no pretrained model"
    imports: ClassVar[tuple[str, ...]] = ("sklearn.linear_model", "sklearn.feature_extraction.text")
    gives: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES, Need.OUT_OF_FOLD})
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    reads = "items"
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})
    model: ClassVar[type[Model]] = TfidfModel

    def __init__(
        self,
        strength: float = 3000.0,
        rarest: int = 2,
        class_weight: str = "none",
        logit_adjustment: float = 0.0,
        prior: str = "pool",
    ) -> None:
        if not isinstance(strength, int | float) or not 0.0 < strength < float("inf"):
            raise BadInput(f"strength={strength!r} is not a positive number", "such as 3000")
        if isinstance(rarest, bool) or not isinstance(rarest, int) or rarest < 1:
            raise BadInput(f"rarest={rarest!r} is no number of texts", "such as 2")
        self.adjustment = Adjustment.checked(self.name, logit_adjustment, prior, class_weight)
        self.class_weight = class_weight
        self.strength = float(strength)
        self.rarest = rarest
        self._pool: _Pool | None = None

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of the labels so far; draws nothing from `rng`.

        Raises
        ------
        BadInput
            No texts, or no word that is in enough of them.
        """
        from sklearn.linear_model import LogisticRegression

        started = clock.seconds()
        if training.items is None:
            raise BadInput("the learner 'tfidf' reads texts, and there are none", "give texts")
        seen = np.bincount(training.labels, minlength=training.classes) > 0
        if seen.sum() < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        pool, prepared = self._pool_of(training)
        rows = pool.vectors.of(training.items)[training.labelled]
        weight = "balanced" if self.class_weight == "balanced" else None
        fitted = LogisticRegression(C=self.strength, class_weight=weight, max_iter=1000)
        if rows.nnz and len(training.labels) <= min(SPAN, rows.shape[1]):
            basis, reduced = row_space_of((rows @ rows.T).toarray())
            iterations = quiet_fit(fitted, reduced, training.labels)
            fitted.coef_ = (fitted.coef_ @ basis.T) @ rows
        else:
            iterations = quiet_fit(fitted, rows, training.labels)
        weights = np.zeros((training.classes, len(pool.terms)), dtype=np.float32)
        bias = np.zeros(training.classes)
        if seen.sum() == 2:  # one row of two classes: its sign says which
            second = fitted.classes_[1]
            weights[second], bias[second] = fitted.coef_[0], fitted.intercept_[0]
        else:
            weights[fitted.classes_], bias[fitted.classes_] = fitted.coef_, fitted.intercept_
        model = TfidfModel(
            {"idf": pool.idf, "weights": weights, "bias": bias, "seen": seen},
            {"terms": pool.terms, "labels": len(training.labels), "iterations": iterations},
            pool.vectors,
        )
        if self.adjustment.strength:
            everything = model.predict_proba(training.items)
            bias[seen] -= self.adjustment.afterwards(
                training, np.flatnonzero(seen), everything.__getitem__, fitted=True
            )
        spent = clock.seconds() - started
        model.cost = Cost(len(training.labels) * iterations, spent, prepared)
        return model

    def _pool_of(self, training: Training) -> tuple[_Pool, float]:
        """Return the texts as vectors, and the seconds that an earlier fit spent on them."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        if self._pool is not None and self._pool.is_of(training):
            return self._pool, self._pool.seconds
        started = clock.seconds()
        usable = training.usable
        everything = np.arange(len(training.features))
        texts = take(training.items, everything if usable is None else np.flatnonzero(usable))
        vectoriser = TfidfVectorizer(sublinear_tf=True, min_df=min(self.rarest, len(texts)))
        try:
            vectoriser.fit(texts)
        except ValueError as error:
            raise BadInput(
                f"no word is in {self.rarest} of the texts ({error})", "lower `rarest`"
            ) from error
        terms = vectoriser.get_feature_names_out().tolist()
        held = None if usable is None else usable.copy()
        idf = vectoriser.idf_.astype(np.float64)
        vectors = _Vectors(terms, idf, KEPT)
        vectors.of(training.items)
        seconds = clock.seconds() - started
        self._pool = _Pool(list(training.items), held, terms, idf, vectors, seconds)
        return self._pool, 0.0
