"""The names of the learners: one line each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from labeltrain.errors import (
    BadInput,
    LabelTrainError,
    StoreDamaged,
    refuse_unknown_parameters,
    unknown_name,
)
from labeltrain.learners.base import Learner, Model, PriorModel
from labeltrain.learners.closed_form.laplace import Laplace
from labeltrain.learners.closed_form.model import PosteriorModel
from labeltrain.learners.closed_form.ridge import Ridge
from labeltrain.learners.continual.baselines import BASELINES
from labeltrain.learners.continual.learner import continual
from labeltrain.learners.continual.model import ContinualModel
from labeltrain.learners.continual.variants import VARIANTS
from labeltrain.learners.linear import Linear, LinearModel
from labeltrain.learners.mlp import MLP, MLPModel
from labeltrain.learners.networks.finetune import FineTune
from labeltrain.learners.networks.model import NetworkModel
from labeltrain.learners.networks.scratch import SmallCNN, SmallTransformer
from labeltrain.learners.semi.learner import SemiModel, on_features
from labeltrain.learners.semi.methods import METHODS
from labeltrain.learners.semi.propagation import Propagation, PropagationModel
from labeltrain.learners.tfidf import Tfidf, TfidfModel

_OWN: tuple[type[Learner], ...] = (
    Linear,
    MLP,
    Tfidf,
    Propagation,
    *map(on_features, METHODS.values()),
    FineTune,
    SmallCNN,
    SmallTransformer,
    *map(continual, VARIANTS.values()),
    *BASELINES,
    Ridge,
    Laplace,
)
_LEARNERS: dict[str, type[Learner]] = {cls.name: cls for cls in _OWN}
_MODELS: dict[str, type[Model]] = {
    cls.name: cls
    for cls in (
        PriorModel,
        LinearModel,
        MLPModel,
        SemiModel,
        PropagationModel,
        TfidfModel,
        NetworkModel,
        ContinualModel,
        PosteriorModel,
    )
}


def register(learner: type[Learner]) -> type[Learner]:
    """Add a learner of your own, and its model class, under their names.

    Raises
    ------
    BadInput
        When a name is empty or taken by another class.
    """
    for table, cls in ((_LEARNERS, learner), (_MODELS, learner.model)):
        if not cls.name or table.get(cls.name, cls) is not cls:  # type: ignore[attr-defined]
            raise BadInput(
                f"the name {cls.name!r} of {cls.__qualname__} is empty or taken",
                "give the class another `name`",
            )
    _LEARNERS[learner.name] = learner
    _MODELS[learner.model.name] = learner.model
    return learner


def names() -> list[str]:
    """Return the names of all learners."""
    return sorted(_LEARNERS)


def get(name: str) -> type[Learner]:
    """Return the learner class of that name.

    Raises
    ------
    BadInput
        Unknown name; the message has the nearest one.
    """
    if name not in _LEARNERS:
        raise unknown_name("learner", name, _LEARNERS)
    return _LEARNERS[name]


def make(name: str, parameters: Mapping[str, Any] | None = None) -> Learner:
    """Build a learner from its name and parameters.

    Raises
    ------
    BadInput
        Unknown name or parameter, or a value out of range.
    """
    cls = get(name)
    given = dict(parameters or {})
    known = list(inspect.signature(cls).parameters)
    refuse_unknown_parameters(f"learner {name!r}", given, known)
    try:
        return cls(**given)
    except LabelTrainError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"learner {name!r}: {_blamed(cls, given)} cannot be used: {error}",
            "docs/learners.md says what each parameter takes",
        ) from error


def _blamed(cls: type[Learner], given: Mapping[str, Any]) -> str:
    """Write out the parameters that fail on their own; all of them if none does."""
    wrong = []
    for key, value in given.items():
        try:
            cls(**{key: value})
        except (TypeError, ValueError, OverflowError):
            wrong.append(key)
    return ", ".join(f"{key}={given[key]!r}" for key in wrong or given) or "its defaults"


def refuse_kind(name: str, kind: str) -> None:
    """Raise when the learner of that name cannot learn from data of this kind.

    Raises
    ------
    BadInput
        With the learners that can.
    """
    if kind not in get(name).kinds:
        fit = [other for other, cls in sorted(_LEARNERS.items()) if kind in cls.kinds]
        raise BadInput(
            f"the learner {name!r} does not work on {kind} data", f"use one of: {', '.join(fit)}"
        )


def refuse_modality(name: str, modality: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Raise when the learner of that name, with these parameters, reads items of another kind.

    Raises
    ------
    BadInput
    """
    learner = make(name, parameters)
    if learner.reads == "items" and modality not in learner.modalities:
        raise BadInput(
            f"the learner {name!r} reads {' or '.join(sorted(learner.modalities))}, not {modality}",
            "use a learner that reads features, such as linear",
        )


def describe() -> list[dict[str, Any]]:
    """Return name, summary and abilities of every learner."""
    return [
        {
            "name": name,
            "summary": cls.summary,
            "continues": cls.continues,
            "gives": sorted(cls.gives),
            "kinds": sorted(cls.kinds),
            "reads": cls.reads,
            "options": {
                key: None if parameter.default is parameter.empty else parameter.default
                for key, parameter in inspect.signature(cls).parameters.items()
            },
        }
        for name, cls in sorted(_LEARNERS.items())
    ]


def rebuild(name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Model:
    """Rebuild a stored model.

    Raises
    ------
    StoreDamaged
        When no learner makes models of that name.
    """
    if name not in _MODELS:
        raise StoreDamaged(
            f"a stored model is of kind {name!r}, which no learner here makes",
            "import the package that registers it, or update labeltrain",
        )
    return _MODELS[name].from_arrays(arrays, facts)
