"""The key `imbalance` of an experiment: classes that are merged, and rare ones in the pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from labeltrain.data import Dataset, long_tailed, merged, thinned
from labeltrain.studies.fields import ClassName, ClassNames, Number, Strict, Whole


class ImbalanceSpec(Strict):
    """Which classes are merged, and which are made rare."""

    keep: ClassNames = Field(default=(), description="classes that stay; all others are `rest`")
    ratio: Number | None = Field(
        default=None, gt=0.0, le=1.0, description="items of a rare class by those of the largest"
    )
    minority: ClassNames = Field(
        default=(), description="the rare classes; those of keep, or the smallest, if not set"
    )
    counts: dict[ClassName, Whole] = Field(
        default_factory=dict, description="items that are left of some classes, in place of a ratio"
    )
    long_tail: Number | None = Field(
        default=None, ge=1.0, description="items of the first class by those of the last"
    )
    test: Literal["natural", "same"] = Field(
        default="natural", description="natural: test items as they are; same: rare there too"
    )

    @model_validator(mode="after")
    def _one_way(self) -> ImbalanceSpec:
        ways = {"ratio": self.ratio, "counts": self.counts, "long_tail": self.long_tail}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        if not given and not self.keep:
            raise ValueError("nothing is made rare; give keep, ratio, counts or long_tail")
        if self.minority and self.ratio is None:
            raise ValueError("minority says which classes a ratio is for; give a ratio")
        if self.test == "same" and self.ratio is None and self.long_tail is None:
            raise ValueError("test: same needs a ratio or a long_tail that test items can have too")
        return self

    def merged(self, dataset: Dataset) -> Dataset:
        """Return the data set with the classes that are not kept merged.

        Raises
        ------
        BadInput
            See :func:`labeltrain.data.merged`.
        """
        return merged(dataset, self.keep) if self.keep else dataset

    def thinned(
        self, dataset: Dataset, pool: np.ndarray, test: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what is left of the pool and of the test items.

        Raises
        ------
        BadInput
            See :func:`labeltrain.data.thinned` and :func:`labeltrain.data.long_tailed`.
        """
        pool = self._left(dataset, pool, seed, "pool")
        return pool, self._left(dataset, test, seed, "test") if self.test == "same" else test

    def _left(self, dataset: Dataset, among: np.ndarray, seed: int, part: str) -> np.ndarray:
        if self.long_tail is not None:
            return long_tailed(dataset, among, factor=self.long_tail, seed=seed, part=part)
        if self.ratio is not None:
            minority = self.minority or self.keep or None
            return thinned(
                dataset, among, ratio=self.ratio, minority=minority, seed=seed, part=part
            )
        if self.counts:
            return thinned(dataset, among, counts=self.counts, seed=seed, part=part)
        return among


def told(labels: np.ndarray, classes: Sequence[str]) -> str:
    """Say how many items there are of each class, the largest first.

    Examples
    --------
    >>> told(np.array([1, 1, 0]), ("rare", "common", "absent"))
    '2 common, 1 rare, 0 absent'
    """
    counts = labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=len(classes))
    order = np.argsort(-counts, kind="stable")
    named = [f"{counts[c]} {classes[c]}" for c in order]
    if len(order) > 6:
        return f"{len(order)} classes, {named[0]} to {named[-1]}"
    return ", ".join(named)
