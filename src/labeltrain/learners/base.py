"""The contract of a learner: labels in, a model out that can be stored as plain arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from labeltrain.errors import MissingNeed
from labeltrain.needs import Need


@dataclass(frozen=True)
class Cost:
    """What a fit cost.

    Attributes
    ----------
    examples : int
        Processed, forward and backward.
    seconds : float
    prepared : float
        Seconds that earlier fits of the same items had spent already on what this one used too:
        alone it would have taken them.
    """

    examples: int
    seconds: float
    prepared: float = 0.0


@dataclass(frozen=True)
class Training:
    """Everything a learner may learn from.

    Attributes
    ----------
    features : ndarray of float32, shape (n, d)
        Of the whole pool; rows are global positions.
    labelled : ndarray of int64, shape (m,)
        Positions of the labelled items; may be empty.
    labels : ndarray of int64, shape (m,), or of int8, shape (m, C)
        Aligned with `labelled`.
    classes : int
    kind : {"multiclass", "multilabel"}
    rounds : ndarray of int64, shape (m,)
        The round in which each item was labelled.
    usable : ndarray of bool, shape (n,), optional
        Which items may be used without their label; audit items may not. All by default.
    items : sequence of length n, optional
        The items themselves, for learners that read them: texts, images.
    weak, strong : callable, optional
        Augmented views: positions -> features, for semi-supervised learners.
    names : tuple of str, optional
        Of the classes, for learners that read them.
    modality : str
        What `items` are: "text", "image"; empty: as they look.
    checkpoint : pathlib.Path, optional
        A file in which a long training may keep its state, to go on after a kill; the learner
        deletes it when it is done.
    """

    features: np.ndarray
    labelled: np.ndarray
    labels: np.ndarray
    classes: int
    kind: str = "multiclass"
    rounds: np.ndarray | None = None
    usable: np.ndarray | None = None
    items: Any = None
    weak: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    strong: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    names: tuple[str, ...] | None = None
    modality: str = ""
    checkpoint: Path | None = None

    @property
    def unlabelled(self) -> np.ndarray:
        """Positions without a label that may be used, ascending."""
        free = (
            np.ones(len(self.features), dtype=bool) if self.usable is None else self.usable.copy()
        )
        free[self.labelled] = False
        return np.flatnonzero(free)

    def prior(self) -> np.ndarray:
        """Class frequencies smoothed by one, float64 (C,); per label for multilabel."""
        if self.kind == "multilabel":
            return (self.labels.sum(axis=0) + 1.0) / (len(self.labels) + 2.0)
        counts = np.bincount(self.labels, minlength=self.classes) + 1.0
        return counts / counts.sum()


def drawn(
    views: np.ndarray | None,
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray] | None:
    """Return what draws one of the views (count, n, d) of each item, for :class:`Training`."""
    if views is None:
        return None
    return lambda positions, rng: views[rng.integers(len(views), size=len(positions)), positions]


def with_unseen(logits: np.ndarray, seen: np.ndarray, labels: int) -> np.ndarray:
    """Return class probabilities where some classes have no label yet.

    Those that have one share the softmax of their logits; the others together get the chance
    1/(m+1) that the next of m labels is new.

    Parameters
    ----------
    logits : ndarray of float64, shape (k, C)
        Those of unseen classes are not read.
    seen : ndarray of bool, shape (C,)
        At least one is True.
    labels : int
        The number m.

    Returns
    -------
    ndarray of float64, shape (k, C)
    """
    logits = np.where(seen, logits, -np.inf)
    logits -= logits.max(axis=1, keepdims=True)
    probabilities: np.ndarray = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    new = int((~seen).sum())
    if new:
        chance = 1.0 / (labels + 1.0)
        probabilities *= 1.0 - chance
        probabilities[:, ~seen] = chance / new
    return probabilities


class Model(ABC):
    """A fitted model."""

    name: ClassVar[str] = ""
    cost: Cost = Cost(0, 0.0)

    @abstractmethod
    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, float64 (k, C), of features (k, d)."""

    def hidden(self, features: np.ndarray) -> np.ndarray:
        """Return the last hidden layer (k, h); the features themselves when there is none."""
        return features

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, h) and bias (C,) that act on :meth:`hidden`."""
        raise MissingNeed(f"the model {self.name!r} has no head", "choose another learner")

    def posterior(self, features: np.ndarray) -> np.ndarray:
        """Return vectors (k, r) whose inner products are posterior covariances of the scores."""
        raise MissingNeed(
            f"the model {self.name!r} has no posterior", "choose another learner, such as ridge"
        )

    def committee(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities of several models, float64 (S, k, C)."""
        raise MissingNeed(f"the model {self.name!r} is no committee", "choose another learner")

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the model as named arrays without objects."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what of the model is not an array, as JSON values."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Model:
        """Rebuild a model from :meth:`arrays` and :meth:`facts`: equal to the last bit."""


class Learner(ABC):
    """Fits a model to the labels so far.

    Attributes
    ----------
    name : str
    continues : bool
        True when :meth:`fit` uses `previous`; the previous model is then persisted.
    remembers : bool
        True when what a model is depends on the one before, and is not only found sooner: projects
        keep it then, too.
    gives : frozenset of Need
        What a strategy can get from its models.
    kinds : frozenset of str
        Data it can learn from: "multiclass", "multilabel".
    reads : {"features", "items"}
        What :meth:`fit` and its models read; items are handed to ``predict_proba`` as a sequence.
    modalities : frozenset of str
        Kinds of items that a learner that reads items can take.
    uses_views : bool
        True when :meth:`fit` reads ``training.weak`` and ``training.strong``.
    imports : tuple of str
        Modules that take long to import, and that a fit uses: a study imports them before it looks
        at the clock.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    continues: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    gives: ClassVar[frozenset[Need]] = frozenset({Need.PROBABILITIES, Need.PREDICT, Need.HIDDEN})
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass", "multilabel"})
    uses_views: ClassVar[bool] = False
    imports: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[Literal["features", "items"]] = "features"
    modalities: ClassVar[frozenset[str]] = frozenset({"text", "image", "table", "features"})
    model: ClassVar[type[Model]]

    def serving(self, needs: frozenset[Need]) -> Learner:
        """Return this learner, or one like it that also gives what a strategy needs.

        The predictions must stay the same; only what costs more is switched on, such as a
        committee beside the model.
        """
        return self

    @abstractmethod
    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return a model of the labels so far.

        With no label, or labels of one class only, the model predicts the smoothed prior; it
        never raises for lack of labels.
        """


class PriorModel(Model):
    """Predicts the same class probabilities for every item: all one can say without labels."""

    name: ClassVar[str] = "prior"

    def __init__(self, probabilities: np.ndarray, dimension: int) -> None:
        self.probabilities = np.asarray(probabilities, dtype=np.float64)
        self.dimension = dimension

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return the prior once for every row."""
        return np.tile(self.probabilities, (len(features), 1))

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Zero weights and the log of the prior."""
        classes = len(self.probabilities)
        return np.zeros((classes, self.dimension)), np.log(self.probabilities)

    def posterior(self, features: np.ndarray) -> np.ndarray:
        """Return the same for every item: nothing is known of any."""
        return np.ones((len(features), 1))

    def committee(self, features: np.ndarray) -> np.ndarray:
        """Return the prior of two members, (2, k, C): without labels all agree."""
        return np.stack([self.predict_proba(features)] * 2)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the prior."""
        return {"probabilities": self.probabilities}

    def facts(self) -> dict[str, Any]:
        """Return the feature dimension."""
        return {"dimension": self.dimension}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> PriorModel:
        """Rebuild the prior."""
        return cls(arrays["probabilities"], int(facts["dimension"]))
