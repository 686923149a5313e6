"""The spec of a study of many targets: every option, checked before anything is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from labeltrain.data.question_sets import TASKS
from labeltrain.errors import BadInput, refuse_unknown_parameters
from labeltrain.multitask.corruptions import CONDITIONS
from labeltrain.multitask.features import COMPONENTS
from labeltrain.multitask.methods import METHODS
from labeltrain.multitask.reading import Reading
from labeltrain.multitask.spec import ALONE, BASELINE, RunSpec, Whole, make_spec

EACH = "each"
STEPS = 100  # of alternating least squares, at most, where a study does not say
#: What a method may have of its own; the others are those of the study.
OF_A_METHOD = (
    "epochs", "growth", "floor", "mixing", "keep", "power", "penalty", "unexplained", "top",
    "guard",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConditionsSpec(_Strict):
    """Images under conditions, dealt out to one task for each condition and class."""

    dataset: str = Field(description="images as one array, such as mnist-5k")
    names: tuple[str, ...] = Field(default=tuple(CONDITIONS), description="of the conditions")
    test: Whole = Field(ge=1, description="images that are tested on, under each condition")
    seed: Whole = Field(default=0, ge=0, description="of noise, directions and places")

    @field_validator("names")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in CONDITIONS:
                raise ValueError(f"no condition {name!r}; known: {', '.join(CONDITIONS)}")
        if len(set(value)) < len(value):
            raise ValueError("a condition is given twice")
        return value


class MethodSpec(_Strict):
    """A method, with options of its own."""

    name: str
    label: str = Field(default="", description="in tables; the name and the options if none")
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        known = [name for name, method in METHODS.items() if not method.known]
        if value not in known:
            raise ValueError(f"no method {value!r}; known: {', '.join(known)}")
        return value

    @field_validator("options")
    @classmethod
    def _of_a_method(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name not in OF_A_METHOD:
                raise ValueError(f"no option {name!r}; known: {', '.join(OF_A_METHOD)}")
        return value

    @property
    def title(self) -> str:
        """The name in tables and pictures."""
        told = ", ".join(f"{k}={v}" for k, v in sorted(self.options.items()))
        return self.label or self.name + (f"({told})" if told else "")


def _range(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)-(\d+)", value.strip())):
        return tuple(range(int(match[1]), int(match[2]) + 1))
    return value if isinstance(value, list | tuple) else (value,)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class MultitaskStudySpec(_Strict):
    """Does relevance help, over many targets?"""

    kind: Literal["multitask"]
    title: str
    conditions: ConditionsSpec | None = Field(default=None, description="tasks of images")
    questions: dict[str, Whole] | None = Field(
        default=None, description="question sets as tasks: how many questions of each"
    )
    sources: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        default=(), description="tasks of data sets, files, folders, as in `multitask run`"
    )
    reading: dict[str, Any] = Field(default_factory=dict, description="of the user's own files")
    targets: Literal["each"] | tuple[str, ...] = "each"
    apart: bool = Field(default=False, description="no sources of the target's own row")
    methods: tuple[MethodSpec, ...]
    budgets: Annotated[tuple[float, ...], BeforeValidator(_listed)] = Field(min_length=1)
    seeds: Annotated[tuple[Whole, ...], BeforeValidator(_range)] = Field(min_length=1)
    target_labels: Whole = Field(default=50, ge=2)
    test_share: float = Field(default=0.5, gt=0, lt=1)
    epochs: Whole = Field(default=4, ge=1)
    growth: float = 1.0
    dimension: Whole | None = Field(default=None, ge=1)
    ridge: float | None = Field(default=None, gt=0)
    components: Whole = Field(default=COMPONENTS, ge=1)
    encoder: str = "auto"
    encoder_options: dict[str, Any] = Field(default_factory=dict)
    representation: Literal["linear", "mlp", "cnn"] = "linear"
    network: dict[str, Any] = Field(default_factory=dict, description="options of mlp and cnn")
    steps: Whole = Field(default=STEPS, ge=1, description="of alternating least squares, at most")

    @field_validator("methods", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple):
            raise ValueError(f"{value!r}: give names of methods")
        return tuple({"name": v} if isinstance(v, str) else v for v in listed)

    @field_validator("budgets")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value[0] <= 0 or any(a >= b for a, b in pairwise(value)):
            raise ValueError("budgets are above 0, and rise")
        return value

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value) or min(value) < 0:
            raise ValueError("seeds are different whole numbers of 0 or more")
        return value

    @property
    def read(self) -> Reading:
        """How files are read."""
        held = dict(self.reading)
        if held.get("columns") is not None:
            held["columns"] = tuple(held["columns"])
        return Reading(**held)

    def run(self, method: MethodSpec, target: str, budget: float, seed: int) -> RunSpec:
        """Return what one method does for one target.

        Parameters
        ----------
        method : MethodSpec
        target : str
        budget : float
        seed : int

        Returns
        -------
        RunSpec
        """
        given = {
            "target": target, "sources": self.sources or ("study",), "budget": budget,
            "method": method.name, "beside": (), "seeds": (seed,),
            "target_labels": self.target_labels, "test_share": self.test_share,
            "epochs": self.epochs, "growth": self.growth, "dimension": self.dimension,
            "ridge": self.ridge, "components": self.components, "encoder": self.encoder,
            "encoder_options": self.encoder_options, "representation": self.representation,
            "network": self.network,
            "reading": self.reading,
        }  # fmt: skip
        return make_spec({**given, **method.options})

    def as_json(self) -> dict[str, Any]:
        """Return all options as plain values."""
        return self.model_dump(mode="json")

    @property
    def key(self) -> str:
        """A name of all that the results depend on beside the data."""
        held = {k: v for k, v in self.as_json().items() if k != "title"}
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def make_study_spec(values: Mapping[str, Any]) -> MultitaskStudySpec:
    """Check a spec.

    Parameters
    ----------
    values : mapping
        Keys of a spec with ``kind: multitask``.

    Returns
    -------
    MultitaskStudySpec

    Raises
    ------
    BadInput
        Names every key that is wrong.
    """
    remedy = "docs/multitask.md lists the keys of a study"
    refuse_unknown_parameters("a study", values, MultitaskStudySpec.model_fields)
    try:
        spec = MultitaskStudySpec.model_validate(dict(values))
    except ValidationError as error:
        told = []
        for one in error.errors():
            where = ".".join(str(part) for part in one["loc"])
            told.append(f"{where}: {one['msg'].removeprefix('Value error, ')}")
        raise BadInput("; ".join(told), remedy) from error
    if sum(map(bool, (spec.conditions, spec.questions, spec.sources))) != 1:
        raise BadInput("tasks come from one of conditions, questions and sources", remedy)
    for task in spec.questions or ():
        if task not in TASKS:
            raise BadInput(f"no question set {task!r}", f"known: {', '.join(TASKS)}")
    if spec.representation != "linear" and spec.steps != STEPS:
        raise BadInput(
            f"steps={spec.steps} with the representation {spec.representation}: they are those of "
            "alternating least squares",
            "leave it out; options of the network say how long it is trained",
        )
    titles = [method.title for method in spec.methods]
    if len(set(titles)) < len(titles):
        raise BadInput("two methods have the same name and options", "give them labels")
    for method in spec.methods:
        fixed = method.name in (BASELINE, ALONE)
        if fixed and method.title != method.name:
            raise BadInput(
                f"{method.title!r}: {method.name} is what others are compared with",
                "name it without a label or options",
            )
        if not fixed and method.title in (BASELINE, ALONE):
            raise BadInput(
                f"a method {method.name} with the label {method.title!r}", "choose another"
            )
        spec.run(method, "target", spec.budgets[0], spec.seeds[0])
    if BASELINE not in titles:
        raise BadInput(
            f"methods lack {BASELINE}, so that nothing can be compared", f"add {BASELINE}"
        )
    return spec
