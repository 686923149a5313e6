"""The spec of a study of designs: every option, checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labeltrain.data.question_sets import TASKS
from labeltrain.errors import BadInput, nearest, unknown_name
from labeltrain.sft.designs import (
    DESIGNS,
    made,
    needs_gradients,
    needs_targets,
    needs_tasks,
)
from labeltrain.sft.evaluation import LOW_IS_GOOD, METRICS
from labeltrain.sft.scorer import POOLINGS
from labeltrain.sft.training import TrainSettings

UNTUNED = "untuned"  # the model as it comes, among the results
ALONE = "examples alone"  # trained on the target's examples, and on no answer of the pool


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolSpec(_Strict):
    """Where prompts and answers come from: question sets, or files."""

    tasks: dict[str, int] | tuple[str, ...] = Field(
        default=(), description="question sets that ship in a package; or how many prompts of each"
    )
    prompts: int | None = Field(default=None, ge=2, description="of the pool of question sets")
    test: int = Field(default=40, ge=1, description="held-out questions of each set")
    seed: int = Field(default=0, ge=0)
    file: str | None = Field(default=None, description="prompts with answers, instead of sets")
    test_file: str | None = Field(default=None, description="held-out prompts with answers")

    @field_validator("tasks", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if not isinstance(value, Mapping | list | tuple):
            raise ValueError(f"{value!r}: a list of question sets, or how many prompts of each")
        for task in value:
            if task not in TASKS:
                raise ValueError(f"no question set {task!r}; known: {', '.join(TASKS)}")
            count = value[task] if isinstance(value, Mapping) else 1
            if not _whole(count) or count < 1:
                raise ValueError(f"{task}: {count!r} prompts; give a whole number, 1 or more")
        _refuse_twice(value, "question sets")
        return value


class ScoreSpec(_Strict):
    """How the pool is scored."""

    max_new_tokens: int = Field(default=32, ge=1)
    max_prompt_tokens: int = Field(default=160, ge=8)
    dtype: str = "float32"
    pooling: str = "weighted"
    batch_tokens: int = Field(default=8192, ge=1)


class TargetSpec(_Strict):
    """What the model is meant for: a task that is no candidate, and the only one that is scored."""

    task: str = Field(description="of the pool, and of the held-out prompts")
    examples: int = Field(default=16, ge=1, description="given with answers; each seed has its own")
    learn: bool = Field(default=True, description="all designs train on the examples, too")


class DesignSpec(_Strict):
    """A design with parameters of its strategy, and what it looks at."""

    name: str
    label: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    embeddings: str = Field(default="", description="instead of that of the study")
    answers: Literal["true", "shuffled"] = Field(
        default="true", description="shuffled within tasks: what the form of answers alone teaches"
    )
    tasks: Literal["named", "hidden"] = Field(
        default="named", description="hidden: chosen as if prompts had none, by clusters instead"
    )
    first: int = Field(
        default=0, ge=0, description="so many of the budget are a balanced choice, answered before"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DESIGNS:
            close = nearest(value, DESIGNS)
            raise ValueError(
                f"no design {value!r}; {f'did you mean {close!r}? ' if close else ''}"
                f"known: {', '.join(DESIGNS)}"
            )
        return value

    @property
    def title(self) -> str:
        """The name in tables and plots."""
        told = [f"{k}={v}" for k, v in sorted(self.parameters.items())]
        told += [f"embeddings={self.embeddings}"] if self.embeddings else []
        told += [] if self.answers == "true" else ["answers shuffled"]
        told += [] if self.tasks == "named" else ["tasks hidden"]
        told += [f"after {self.first} balanced"] if self.first else []
        return self.label or self.name + (f"({', '.join(told)})" if told else "")

    def same(self, other: DesignSpec) -> bool:
        """Tell whether another one is this design, whatever their labels."""
        return self.model_copy(update={"label": ""}) == other.model_copy(update={"label": ""})


class StageSpec(_Strict):
    """Some designs at some budgets, with seeds of their own."""

    name: str
    designs: tuple[DesignSpec, ...]
    best: int = Field(default=0, ge=0, description="so many more, the best of an earlier stage")
    of: str = Field(default="", description="that stage")
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]
    target: TargetSpec | None = None

    @field_validator("designs", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not listed:
            raise ValueError(f"{value!r}: give names of designs")
        return tuple({"name": v} if isinstance(v, str) else v for v in listed)

    @field_validator("seeds", mode="before")
    @classmethod
    def _range(cls, value: Any) -> Any:
        if isinstance(value, str) and (match := re.fullmatch(r"(\d+)-(\d+)", value.strip())):
            value = tuple(range(int(match[1]), int(match[2]) + 1))
        listed = value if isinstance(value, list | tuple) else (value,)
        if not listed or not all(_whole(seed) and seed >= 0 for seed in listed):
            raise ValueError(f"{value!r}: give whole numbers from 0 on, such as 0-4 or [0, 1, 2]")
        _refuse_twice(listed, "seeds")
        return listed

    @field_validator("budgets", mode="before")
    @classmethod
    def _rising(cls, value: Any) -> Any:
        listed = value if isinstance(value, list | tuple) else (value,)
        if not listed or not all(_whole(budget) and budget >= 1 for budget in listed):
            raise ValueError(f"{value!r}: give whole numbers of answers, 1 or more")
        if any(a >= b for a, b in pairwise(listed)):
            raise ValueError("budgets have to rise")
        return listed


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse_twice(values: Iterable[Any], what: str) -> None:
    listed = list(values)
    twice = [value for value in listed if listed.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is given twice; {what} count once")


class EvaluateSpec(_Strict):
    """How trained models are scored."""

    metrics: tuple[str, ...] = ("nll", "exact_match", "choice_accuracy")
    main: str = Field(default="nll", description="designs are compared by it")
    max_new_tokens: int = Field(default=24, ge=1)
    batch_tokens: int = Field(default=8192, ge=1)

    @field_validator("metrics")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for metric in value:
            if metric not in METRICS:
                raise ValueError(f"no metric {metric!r}; known: {', '.join(METRICS)}")
        return value


class SFTStudySpec(_Strict):
    """Which design needs the fewest answers?"""

    kind: Literal["sft"]
    title: str
    model: str
    pool: PoolSpec
    subpool: int | None = Field(
        default=None, ge=2, description="each seed has a pool of its own, drawn of so many prompts"
    )
    score: ScoreSpec = ScoreSpec()
    embeddings: str = Field(default="minilm", description="last, mean, weighted, or an encoder")
    whiten: int | None = Field(default=None, ge=1)
    train: dict[str, Any] = Field(default_factory=dict)
    evaluate: EvaluateSpec = EvaluateSpec()
    stages: tuple[StageSpec, ...]
    threads: int | None = Field(default=None, ge=1)

    def training(self, seed: int) -> TrainSettings:
        """Return how models are trained."""
        given = {"max_prompt_tokens": self.score.max_prompt_tokens, **self.train}
        return TrainSettings(self.model, seed=seed, **given)

    @property
    def largest(self) -> int:
        """The largest budget of all stages, which the kernel width is set for."""
        return max(budget for stage in self.stages for budget in stage.budgets)

    @property
    def low_is_good(self) -> bool:
        """Tell whether less of the main metric is better."""
        return self.evaluate.main in LOW_IS_GOOD


def parsed_spec(values: Mapping[str, Any]) -> SFTStudySpec:
    """Check a spec.

    Raises
    ------
    BadInput
        Names every key that is wrong.
    """
    try:
        spec = SFTStudySpec(**values)
    except ValidationError as error:
        told = []
        for one in error.errors():
            where = ".".join(str(part) for part in one["loc"])
            told.append(f"{where}: {one['msg'].removeprefix('Value error, ')}")
        raise BadInput("; ".join(told), "docs/sft.md lists the keys of a study") from error
    if spec.pool.file is None and not spec.pool.tasks:
        raise BadInput("pool: there are no tasks and no file", "give one of both")
    if spec.pool.file is not None and spec.pool.tasks:
        raise BadInput("pool: there are tasks and a file", "give one of both")
    if spec.pool.file is not None and spec.pool.test_file is None:
        raise BadInput("pool: a file needs a test_file", "held-out prompts with answers")
    if isinstance(spec.pool.tasks, Mapping) and spec.pool.prompts is not None:
        raise BadInput(
            "pool: tasks say how many prompts of each, and prompts how many in all", "one of both"
        )
    if spec.evaluate.main not in spec.evaluate.metrics:
        raise BadInput(f"evaluate.main={spec.evaluate.main!r} is no metric of it", "add it")
    names = [stage.name for stage in spec.stages]
    if not names or len(set(names)) < len(names):
        raise BadInput("stages: give at least one, each with a name of its own", "stages: ...")
    for place, stage in enumerate(spec.stages):
        if bool(stage.best) != bool(stage.of) or (stage.of and stage.of not in names[:place]):
            raise BadInput(
                f"stage {stage.name!r}: best={stage.best}, of={stage.of!r}",
                "name an earlier stage, and how many of its designs go on",
            )
        if (
            stage.target is not None
            and spec.pool.tasks
            and (stage.target.task not in spec.pool.tasks)
        ):
            raise BadInput(
                f"stage {stage.name!r}: target.task={stage.target.task!r} is none of the pool's",
                f"one of: {', '.join(spec.pool.tasks)}",
            )
    _check_designs(spec)
    known = sorted(set(TrainSettings.__dataclass_fields__) - {"model", "seed"})
    for key in spec.train:
        if key not in known:
            raise unknown_name("key of train:", key, known)
    spec.training(0)
    return spec


def _check_designs(spec: SFTStudySpec) -> None:
    """Refuse, before anything is scored, designs that could not choose or be told apart."""
    titled: dict[str, DesignSpec] = {}
    for stage in spec.stages:
        for place, one in enumerate(stage.designs):
            what = f"stage {stage.name!r}: the design {one.title!r}"
            if any(one.same(other) for other in stage.designs[:place]):
                raise BadInput(f"{what} stands there twice", "name each design once")
            if (one.label in DESIGNS and one.label != one.name) or one.label in (UNTUNED, ALONE):
                raise BadInput(f"{what} has the name of another", "give another label")
            if not titled.setdefault(one.title, one).same(one):
                raise BadInput(f"{what} is not the one before of that name", "give it a label")
            strategy = made(one.name, one.parameters, None)
            if needs_targets(strategy) and stage.target is None:
                raise BadInput(
                    f"{what} needs prompts of a target, which the stage has not",
                    "give it one: target: {task: NAME, examples: 16}",
                )
            if needs_gradients(strategy) and not one.first:
                raise BadInput(
                    f"{what} goes by gradients of answers, and there are none at the start",
                    "give it first: N, how many of its budget are a balanced choice before",
                )
            if one.first >= stage.budgets[0]:
                raise BadInput(
                    f"{what} begins with {one.first} answers of a budget of {stage.budgets[0]}",
                    "give a smaller first, or larger budgets",
                )
            if one.tasks == "hidden" and not needs_tasks(strategy):
                raise BadInput(f"{what} does not look at tasks", "leave out tasks: hidden")
            source = one.embeddings or spec.embeddings
            kept = [part.strip() for part in spec.score.pooling.split(",")]
            if source in POOLINGS and source not in kept:
                raise BadInput(
                    f"{what} looks at embeddings {source!r}, and score.pooling keeps "
                    f"{', '.join(kept)}",
                    f"give score pooling: {','.join([*kept, source])}",
                )
