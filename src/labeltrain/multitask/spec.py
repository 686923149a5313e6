"""All that decides a run on known data, checked before anything is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from labeltrain.errors import BadInput, refuse_unknown_parameters, unknown_name
from labeltrain.multitask.features import COMPONENTS
from labeltrain.multitask.methods import method_named
from labeltrain.multitask.neural import NeuralLearner, network_options
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.reading import Reading
from labeltrain.multitask.tasks import Task

BASELINE, ALONE = "uniform", "target-only"


def _whole(value: Any) -> Any:
    """Pass whole numbers and None; pydantic alone would read true and 2.0 as numbers too."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("not a whole number")
    return value


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Whole = Annotated[int, BeforeValidator(_whole)]


class RunSpec(BaseModel):
    """A run: sources, target, method and its options, seeds.

    Attributes are the options of ``labeltrain multitask run``, of the same names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str = Field(description="a task of the sources, or a data set that is one task")
    sources: tuple[str, ...] = Field(min_length=1, description="data sets, files, folders")
    budget: float = Field(ge=0, description="samples of all source tasks together")
    method: str = Field(default="l1", description="how the budget is shared")
    beside: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        default=(BASELINE, ALONE), description="methods run with the same seeds"
    )
    target_labels: Whole = Field(default=50, ge=2, description="labelled samples of the target")
    test_share: float = Field(
        default=0.5, gt=0, lt=1, description="of the target's items, where sources share them"
    )
    seeds: tuple[Whole, ...] = Field(default=(0,), min_length=1, description="one run for each")
    epochs: Whole = Field(default=4, ge=1, description="how often it learns")
    growth: float = Field(default=1.0, description="samples of an epoch by those of the one before")
    floor: Whole | None = Field(default=None, description="samples of every task")
    mixing: float = Field(default=0.0, description="share that goes to all tasks alike")
    keep: float = Field(default=0.0, description="relevance kept of the epoch before")
    power: float | None = Field(default=None, description="q of the shares |nu|^q")
    penalty: float | str = Field(default="residual", description="of l1 and elastic-net")
    unexplained: float = Field(default=0.15, description="of the target's head, by the penalty")
    top: Whole | None = Field(default=None, description="only so many tasks beyond the floor")
    costs: dict[str, float] = Field(default_factory=dict, description="of a sample of a task")
    guard: bool = Field(default=True, description="mix where heads are too noisy")
    dimension: Whole | None = Field(default=None, ge=1, description="K; by left-out loss if none")
    ridge: float | None = Field(default=None, gt=0, description="by left-out loss if none")
    components: Whole = Field(default=COMPONENTS, ge=1, description="features are reduced to them")
    encoder: str = Field(default="auto", description="of texts and images")
    encoder_options: dict[str, Any] = Field(default_factory=dict, description="of the encoder")
    representation: Literal["linear", "mlp", "cnn"] = Field(
        default="linear", description="what tasks share"
    )
    network: dict[str, Any] = Field(default_factory=dict, description="options of mlp and cnn")
    reading: dict[str, Any] = Field(default_factory=dict, description="of the user's own files")

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> Any:
        if isinstance(value, str):
            text = value.strip()
            try:
                if "-" in text[1:]:
                    first, last = text.split("-")
                    value = tuple(range(int(first), int(last) + 1))
                elif "," in text:
                    value = tuple(int(part) for part in text.split(","))
                else:
                    value = int(text)
            except ValueError:
                raise ValueError(f"{text!r} is not a number, a list or a range a-b") from None
        if isinstance(value, int) and not isinstance(value, bool):
            value = tuple(range(value))
        return value

    @field_validator("seeds")
    @classmethod
    def _seeds_distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value) or min(value) < 0:
            raise ValueError("seeds are different whole numbers of 0 or more")
        return value

    @property
    def methods(self) -> tuple[str, ...]:
        """The method and those beside it, each once."""
        return tuple(dict.fromkeys((self.method, *self.beside)))

    @property
    def read(self) -> Reading:
        """How files are read."""
        held = dict(self.reading)
        if held.get("columns") is not None:
            held["columns"] = tuple(held["columns"])
        return Reading(**held)

    def plan(self, method: str, seed: int, tasks: tuple[Task, ...] | None = None) -> Plan:
        """Return what a method does with a seed.

        Parameters
        ----------
        method : str
        seed : int
        tasks : tuple of Task, optional
            The sources, whose costs are wanted; all cost 1 without.

        Returns
        -------
        Plan
        """
        return Plan(
            method,
            self.budget,
            epochs=self.epochs,
            growth=self.growth,
            floor=self.floor,
            uniform=self.mixing,
            keep=self.keep,
            power=self.power,
            penalty=self.penalty,
            unexplained=self.unexplained,
            top=self.top,
            costs=None if tasks is None else self._costs(tasks),
            guard=self.guard,
            intercept=True,
            seed=seed,
        )

    def _costs(self, tasks: tuple[Task, ...]) -> tuple[float, ...] | None:
        if not self.costs:
            return None
        names = [task.name for task in tasks]
        for name in self.costs:
            if name not in names:
                raise unknown_name("source task in costs", name, names)
        return tuple(self.costs.get(name, 1.0) for name in names)

    def as_json(self) -> dict[str, Any]:
        """Return all options as plain values."""
        return self.model_dump(mode="json")

    @property
    def key(self) -> str:
        """A name of all that the result depends on beside the data."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def make_spec(values: Mapping[str, Any]) -> RunSpec:
    """Build a spec from plain values.

    Parameters
    ----------
    values : mapping
        Options by name.

    Returns
    -------
    RunSpec

    Raises
    ------
    BadInput
        Unknown options (with the nearest known one), impossible values, methods that need true
        heads.

    Examples
    --------
    >>> from labeltrain.multitask.spec import make_spec
    >>> make_spec({"target": "yeast:Class1", "sources": ["yeast"], "budget": 500}).methods
    ('l1', 'uniform', 'target-only')
    """
    refuse_unknown_parameters("a run", values, RunSpec.model_fields)
    try:
        spec = RunSpec.model_validate(dict(values))
    except ValidationError as error:
        told = []
        for one in error.errors():
            where = ".".join(str(part) for part in one["loc"])
            told.append(f"{where}: {one['msg'].removeprefix('Value error, ')}")
        raise BadInput("; ".join(told), "docs/multitask.md lists the options") from error
    refuse_unknown_parameters("reading", spec.reading, Reading.__dataclass_fields__)
    _refuse_network(spec)
    for name in spec.methods:
        if method_named(name).known:
            raise BadInput(
                f"method {name} takes the true heads of all tasks as known",
                "use it on made-up tasks, from Python; here use l1, l2, elastic-net or optimal",
            )
        spec.plan(name, spec.seeds[0])  # refuses options that mean nothing
    return spec


def _refuse_network(spec: RunSpec) -> None:
    """Refuse options of networks that mean nothing."""
    if spec.representation == "linear":
        if spec.network:
            raise BadInput(
                f"network options ({', '.join(spec.network)}) for a linear representation",
                "leave them out, or give representation mlp or cnn",
            )
        return
    if spec.ridge is not None:
        raise BadInput(
            f"ridge={spec.ridge:g} with the representation {spec.representation}",
            "leave it out: the penalty of networks is weight_decay",
        )
    shape = (1, 1, 1) if spec.representation == "cnn" else None
    NeuralLearner(spec.dimension or 1, spec.representation, shape, **network_options(spec.network))
