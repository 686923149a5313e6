"""The key `oracle` of an experiment: who answers in the simulation, and how often wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, field_validator, model_validator

from labeltrain.data.noise import confusion, rates
from labeltrain.loop.oracle import SimulatedOracle
from labeltrain.studies.fields import ClassName, Number, Strict, class_name, listed


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r}, for {name!r}, is not a share from 0 to 1")
    return float(value)


Share = Annotated[Number, Field(ge=0.0, le=1.0)]


class OracleSpec(Strict):
    """Who answers in the simulation."""

    noise: Number = Field(default=0.0, ge=0.0, le=1.0, description="share of wrong answers")
    flips: dict[ClassName, Any] | None = Field(
        default=None, description="share of wrong answers by class, or class: {taken for: share}"
    )
    annotators: Annotated[tuple[Share, ...], BeforeValidator(listed)] | None = Field(
        default=None, description="share of wrong answers of each, drawn anew at every ask"
    )

    @field_validator("flips")
    @classmethod
    def _shares(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        # Not a union of types: its errors would name both, and no reader would know which he meant.
        found: dict[str, Any] = {}
        for name, wrong in (value or {}).items():
            if isinstance(wrong, Mapping):
                found[name] = {class_name(k): _share(name, v) for k, v in wrong.items()}
            else:
                found[name] = _share(name, wrong)
        return found if value is not None else None

    @field_validator("flips", "annotators")
    @classmethod
    def _some(cls, value: object) -> object:
        if value is not None and not value:
            raise ValueError("nothing is given; leave it out")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> OracleSpec:
        ways = {"noise": self.noise, "flips": self.flips, "annotators": self.annotators}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        return self

    def shares(self, classes: Sequence[str], kind: str) -> np.ndarray | None:
        """Return `flips` as numbers: (C, C), or (C,) for multilabel; None without any.

        Raises
        ------
        BadInput
            See :func:`labeltrain.data.noise.confusion` and :func:`labeltrain.data.noise.rates`.
        """
        if self.flips is None:
            return None
        return (rates if kind == "multilabel" else confusion)(self.flips, classes)

    def oracle(
        self, labels: np.ndarray, classes: Sequence[str], kind: str, seed: int
    ) -> SimulatedOracle:
        """Return who answers for a pool with these labels."""
        return SimulatedOracle(
            labels,
            len(classes),
            noise=self.noise,
            flips=self.shares(classes, kind),
            annotators=self.annotators or (),
            seed=seed,
        )
