"""The spec of a study: every option, checked before anything runs."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from labeltrain.errors import BadInput, nearest, refuse_unknown_parameters, unknown_name
from labeltrain.learners import registry as learners
from labeltrain.studies.answers import OracleSpec
from labeltrain.studies.fields import Number, Strict, Whole, whole
from labeltrain.studies.imbalance import ImbalanceSpec
from labeltrain.studies.overrides import no_list, overridden, read_yaml

NEAREST = "nearest"


def _as_texts(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class SeedSet(Strict):
    """The labels that are there before the first round."""

    size: Annotated[int | None, BeforeValidator(whole)] = Field(
        default=None, ge=0, description="items; as many as a batch if not set"
    )
    method: str = Field(
        default="random", description="a strategy that needs no model: random, clusters, typiclust"
    )
    examples: dict[str, Annotated[int, BeforeValidator(whole), Field(ge=1)]] = Field(
        default_factory=dict,
        description="of some classes so many items that are known beforehand; they count",
    )
    query: Annotated[tuple[str, ...], BeforeValidator(_as_texts)] = Field(
        default=(),
        description="texts that say what is looked for: the most similar items are asked",
    )

    @model_validator(mode="after")
    def _query_chooses(self) -> SeedSet:
        if self.query and self.method not in ("random", NEAREST):
            raise ValueError(f"query chooses the first items, and so does method={self.method}")
        if self.query:
            object.__setattr__(self, "method", NEAREST)
        elif self.method == NEAREST:
            raise ValueError(f"method={NEAREST} needs a query")
        return self


class ViewsSpec(Strict):
    """Augmented texts or images, encoded for semi-supervised learners."""

    count: Whole = Field(
        default=0, ge=0, description="of each item, weak and strong; 0: made of the features"
    )
    seed: Whole = Field(default=0, ge=0, description="of the augmentation")


class StrategySpec(Strict):
    """A strategy with its parameters."""

    name: str
    label: str = Field(default="", description="name in tables and plots")
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name in tables and plots."""
        if self.label or not self.parameters:
            return self.label or self.name
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in sorted(self.parameters.items()))})"


class FinalSpec(Strict):
    """The expensive learner of selection via proxy, trained on what the loop selected."""

    learner: str = Field(description="labeltrain list learners")
    learner_options: dict[str, Any] = Field(
        default_factory=dict, description="parameters of the learner"
    )
    at: tuple[Whole, ...] = Field(
        default=(), description="numbers of labels at which it is trained; once, at the end"
    )
    refresh: bool = Field(
        default=False, description="the loop goes on with features of the trained network"
    )

    @field_validator("at", mode="before")
    @classmethod
    def _at(cls, value: Any) -> Any:
        if isinstance(value, Integral) and not isinstance(value, bool):
            return (int(value),)
        if isinstance(value, str):
            return tuple(int(v) if v.strip().isdigit() else v for v in value.split(","))
        return value

    @field_validator("at")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(v < 1 for v in value) or list(value) != sorted(set(value)):
            raise ValueError("budgets are whole numbers from 1 on, each larger than the last")
        return value


class ExperimentSpec(Strict):
    """One data set, encoder and learner, on which strategies are compared."""

    name: str = Field(default="", description="name in the report; the data set's if not set")
    dataset: str = Field(description="a shipped data set (labeltrain list datasets) or a path")
    dataset_options: dict[str, Any] = Field(
        default_factory=dict, description="how to read a path: text_column, label_column ..."
    )
    encoder: str = Field(default="auto", description="labeltrain list encoders; auto: by the data")
    encoder_options: dict[str, Any] = Field(
        default_factory=dict, description="such as max_length, size, device"
    )
    learner: str = Field(default="linear", description="labeltrain list learners")
    learner_options: dict[str, Any] = Field(
        default_factory=dict, description="parameters of the learner"
    )
    final: FinalSpec | None = Field(
        default=None,
        description="an expensive learner, trained at the end or `at` some numbers of labels",
    )
    views: ViewsSpec = Field(
        default=ViewsSpec(), description="encoded views for semi-supervised learners"
    )
    strategies: tuple[StrategySpec, ...] = Field(
        default=(StrategySpec(name="random"), StrategySpec(name="margin")),
        min_length=1,
        description="names, or name, label and parameters each",
    )
    batch: Whole = Field(default=50, ge=1, description="labels asked each round")
    rounds: Whole = Field(default=10, ge=0, description="rounds after the seed set")
    seed_set: SeedSet = Field(
        default=SeedSet(), description="size (a batch if not set) and method (random, clusters ...)"
    )
    seeds: tuple[Whole, ...] = Field(
        default=tuple(range(10)), min_length=1, description="a number of seeds, a list, or a-b"
    )
    split: Literal["own", "redraw"] = Field(
        default="own", description="own: one fixed pool/test split; redraw: one for every seed"
    )
    test_fraction: Number = Field(default=0.3, gt=0.0, lt=1.0, description="if there is no split")
    imbalance: ImbalanceSpec | None = Field(
        default=None, description="classes that are merged, and rare ones in the pool"
    )
    oracle: OracleSpec = Field(
        default=OracleSpec(), description="wrong answers: noise, flips or annotators"
    )
    parallel: Whole = Field(default=1, ge=1, description="answers a sequential strategy waits for")
    metric: str = Field(default="accuracy", description="score on which label saving is computed")

    @field_validator("final", mode="before")
    @classmethod
    def _final(cls, value: Any) -> Any:
        return {"learner": value} if isinstance(value, str) else value

    @field_validator("strategies", mode="before")
    @classmethod
    def _strategies(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [v.strip() for v in value.split(",") if v.strip()]
        if isinstance(value, Sequence):
            return tuple({"name": v} if isinstance(v, str) else v for v in value)
        return value

    @field_validator("strategies")
    @classmethod
    def _distinct(cls, value: tuple[StrategySpec, ...]) -> tuple[StrategySpec, ...]:
        titles = [s.title for s in value]
        twice = sorted({t for t in titles if titles.count(t) > 1})
        if twice:
            raise ValueError(
                f"strategy {', '.join(twice)} is listed twice; give each its own label"
            )
        return value

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> Any:
        if isinstance(value, str):
            text, backwards = value.strip(), False
            try:
                if "-" in text[1:]:
                    first, last = text.split("-")
                    value = list(range(int(first), int(last) + 1))
                    backwards = not value
                elif "," in text:
                    value = [int(v) for v in text.split(",")]
                else:
                    value = int(text)
            except ValueError:
                raise ValueError(f"seeds {text!r} is not a number, a list or a range a-b") from None
            if backwards:
                raise ValueError(
                    f"the range of seeds {text!r} runs backwards; write {last}-{first}"
                )
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 1:
                raise ValueError("at least one seed is needed")
            value = list(range(value))
        return value

    @field_validator("seeds")
    @classmethod
    def _seeds_distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a seed is listed twice")
        if min(value) < 0:
            raise ValueError("seeds are 0 or more")
        return value

    @property
    def title(self) -> str:
        """The name in the report."""
        path = Path(self.dataset)
        return self.name or (path.stem if path.suffix else path.name) or self.dataset

    @property
    def final_title(self) -> str:
        """The name of its expensive learner in the report."""
        return f"{self.title}, final {self.final.learner if self.final else ''}"

    @property
    def seed_size(self) -> int:
        """Size of the seed set."""
        return self.batch if self.seed_set.size is None else self.seed_set.size


class StudySpec(Strict):
    """Experiments that are reported together."""

    title: str = Field(default="", description="title of the report")
    baseline: str = Field(default="random", description="strategy the others are compared with")
    threads: Whole = Field(default=1, ge=1, description="threads of one task; part of the result")
    clock: Literal["wall", "processor"] = Field(
        default="wall", description="of all seconds of a round"
    )
    experiments: tuple[ExperimentSpec, ...] = Field(min_length=1, description="see below")

    def as_json(self) -> dict[str, Any]:
        """Return the spec with every default filled in, as JSON values."""
        values = self.model_dump(mode="json")
        if values["clock"] == "wall":  # specs from before there was another keep their key
            del values["clock"]
        for experiment in values["experiments"]:
            for name in ("final", "imbalance"):  # specs from before there was one keep their key
                if experiment[name] is None:
                    del experiment[name]
            for name in ("examples", "query"):
                if not experiment["seed_set"][name]:
                    del experiment["seed_set"][name]
            for name in ("flips", "annotators"):
                if experiment["oracle"][name] is None:
                    del experiment["oracle"][name]
        return values

    def as_yaml(self) -> str:
        """Return the spec with every default filled in, as YAML."""
        import yaml

        # Leaf lists on one line: ten seeds are one fact.
        return yaml.safe_dump(
            self.as_json(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
        )

    @property
    def key(self) -> str:
        """A hash of the whole spec."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


STUDY_KEYS = ("title", "baseline", "threads", "clock", "experiments")


def parse_spec(values: Mapping[str, Any]) -> StudySpec:
    """Build a spec from plain values, as they stand in YAML.

    The keys of an experiment may stand at the top: they then hold for every entry of
    ``experiments``, or, when that is missing, make the only experiment.

    Raises
    ------
    BadInput
        Unknown keys (with the nearest valid one), impossible values.
    """
    known = [*STUDY_KEYS, *ExperimentSpec.model_fields]
    _refuse_unknown(values, known, "")
    common = {k: v for k, v in values.items() if k not in STUDY_KEYS}
    study = {k: v for k, v in values.items() if k in STUDY_KEYS and k != "experiments"}
    listed = values.get("experiments")
    if listed is None:
        listed = [{}]
    if not isinstance(listed, list) or not listed or not all(isinstance(e, dict) for e in listed):
        raise no_list()
    merged: list[dict[str, Any]] = []
    for number, one in enumerate(listed):
        _refuse_unknown(one, list(ExperimentSpec.model_fields), f"experiments.{number}.")
        merged.append({**common, **one})
        if "dataset" not in merged[-1]:
            raise BadInput("no dataset is given", "add dataset: NAME (labeltrain list datasets)")
    try:
        spec = StudySpec.model_validate({**study, "experiments": merged})
    except ValidationError as error:
        raise _readable(error) from error
    _check_names(spec)
    titles = [e.title for e in spec.experiments]
    if not spec.title:
        spec = spec.model_copy(update={"title": f"Label savings on {', '.join(titles)}"})
    if len(set(titles)) != len(titles):
        raise BadInput(f"two experiments are called {titles!r}", "give each its own name:")
    for experiment in spec.experiments:
        if experiment.final is not None and experiment.final_title in titles:
            raise BadInput(
                f"an experiment is called {experiment.final_title!r}, as the final learner of "
                f"{experiment.title!r} is in the report",
                "give it another name:",
            )
    return spec


def _check_names(spec: StudySpec) -> None:
    """Refuse titles that make no run name, a baseline nobody runs, unknown reading options."""
    from labeltrain.data import load

    readable = [name for name in inspect.signature(load).parameters if name != "source"]
    for experiment in spec.experiments:
        if "/" in experiment.title:
            raise BadInput(
                f"the experiment name {experiment.title!r} contains '/', which separates the "
                "parts of run names",
                "give the experiment a `name:` without '/'",
            )
        for strategy in experiment.strategies:
            if "/" in strategy.title:
                raise BadInput(
                    f"the strategy name {strategy.title!r} contains '/', which separates the "
                    "parts of run names",
                    "give the strategy a `label:` without '/'",
                )
        refuse_unknown_parameters("dataset_options", experiment.dataset_options, readable)
    known = {
        strategy.title for experiment in spec.experiments for strategy in experiment.strategies
    }
    # The default may be absent: a stored spec names it too, and then nothing is compared.
    if spec.baseline not in known and spec.baseline != StudySpec.model_fields["baseline"].default:
        raise unknown_name("baseline", spec.baseline, known)


def load_spec(
    path: Path, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> StudySpec:
    """Read a YAML spec; apply ``key=value`` overrides (``seed_set.size=20``) and dotted options.

    Raises
    ------
    BadInput
        File missing or not YAML; unknown keys; impossible values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", "check the path") from error
    except ValueError as error:
        raise BadInput(f"{path} is not YAML: {error}", "repair the file") from error
    values = read_yaml(text, str(path), "repair the file")
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no mapping", "write keys such as `dataset: digits`")
    return parse_spec(overridden(values, overrides, options or {}))


def _refuse_unknown(values: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in values:
        if key not in known:
            close = _option_of_a_learner(str(key), values) or nearest(str(key), known)
            raise BadInput(
                f"unknown key {where + str(key)!r}",
                f"did you mean {close!r}?" if close else f"known: {', '.join(sorted(known))}",
            )


def _option_of_a_learner(key: str, values: Mapping[str, Any]) -> str | None:
    """Return the whole key of a learner's parameter; None if it is none."""
    final = values.get("final")
    last = final.get("learner") if isinstance(final, Mapping) else final
    for name, where in ((values.get("learner", "linear"), ""), (last, "final.")):
        if not isinstance(name, str) or name not in learners.names():
            continue
        if key in inspect.signature(learners.get(name)).parameters:
            return f"{where}learner_options.{key}"
    return None


def _readable(error: ValidationError) -> BadInput:
    lines, remedy = [], "docs/studies.md says what each key takes"
    problems = error.errors()
    for problem in problems:
        if len(problem["loc"]) == 1 and problem["loc"][0] == "experiments" and len(problems) > 1:
            continue  # only says that one of its parts is wrong
        where = ".".join(str(part) for part in problem["loc"] if part != "experiments")
        where = where.removeprefix("0.")
        lines.append(f"{where}={problem.get('input')!r}: {problem['msg']}")
        if problem["type"] == "missing" and problem["loc"][-2:] == ("final", "learner"):
            remedy = "say which learner is trained: --final finetune, or final: {learner: finetune}"
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            fields = {
                *SeedSet.model_fields,
                *ImbalanceSpec.model_fields,
                *ViewsSpec.model_fields,
                *FinalSpec.model_fields,
                *OracleSpec.model_fields,
                *StrategySpec.model_fields,
            }
            close = nearest(name, fields)
            if close:
                remedy = f"did you mean {close!r}?"
            if problem["loc"][-2:-1] == ("final",):
                remedy = f"a parameter of its learner is final.learner_options.{name}"
        if problem["type"] == "literal_error":
            close = nearest(str(problem.get("input")), _options(problem))
            if close:
                remedy = f"did you mean {close!r}?"
    return BadInput("; ".join(lines), remedy)


def _options(problem: Any) -> list[str]:
    import re

    return re.findall(r"'([^']+)'", problem.get("ctx", {}).get("expected", ""))
