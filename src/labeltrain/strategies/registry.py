"""The names of the strategies: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from numbers import Integral, Real
from typing import Any, get_args, get_type_hints

from labeltrain.errors import BadInput, LabelTrainError, refuse_unknown_parameters, unknown_name
from labeltrain.strategies.base import Strategy

# name: module and class, loaded when it is first asked for.
_SHIPPED: dict[str, tuple[str, str]] = {
    "alfa-mix": ("alfa_mix", "AlfaMix"),
    "anchoral": ("anchor_al", "AnchorAL"),
    "badge": ("badge", "Badge"),
    "bait": ("bait", "Bait"),
    "balanced-entropy": ("balanced_entropy", "BalancedEntropy"),
    "bald": ("bald", "Bald"),
    "base": ("balanced_selection", "BalancedSelection"),
    "batch-bald": ("batch_bald", "BatchBald"),
    "cbal": ("class_balanced", "ClassBalanced"),
    "clue": ("clue", "Clue"),
    "cluster-margin": ("cluster_margin", "ClusterMargin"),
    "clusters": ("clusters", "Clusters"),
    "confidence": ("confidence", "Confidence"),
    "direct": ("direct", "Direct"),
    "dropquery": ("drop_query", "DropQuery"),
    "emal": ("emal", "Emal"),
    "entropy": ("entropy", "Entropy"),
    "facility-location": ("facility_location", "FacilityLocation"),
    "filter-then-cover": ("filter_then_cover", "FilterThenCover"),
    "fisher-sft": ("fisher_sft", "FisherSFT"),
    "galaxy": ("galaxy", "Galaxy"),
    "gist": ("gist", "Gist"),
    "k-center": ("k_center", "KCenter"),
    "margin": ("margin", "Margin"),
    "max-herding": ("max_herding", "MaxHerding"),
    "most-likely-positive": ("most_likely_positive", "MostLikelyPositive"),
    "nearest": ("nearest", "Nearest"),
    "posterior-variance": ("posterior_variance", "PosteriorVariance"),
    "power-bald": ("power_bald", "PowerBald"),
    "power-margin": ("power_margin", "PowerMargin"),
    "prob-cover": ("prob_cover", "ProbCover"),
    "random": ("random", "Random"),
    "random-balanced": ("random_balanced", "RandomBalanced"),
    "rds": ("rds", "RDS"),
    "seals": ("seals", "Seals"),
    "second-opinion": ("second_opinion", "SecondOpinion"),
    "similar": ("similar", "Similar"),
    "tailor": ("tailor", "Tailor"),
    "task-diversity": ("task_diversity", "TaskDiversity"),
    "task-relevance": ("task_relevance", "TaskRelevance"),
    "token-uncertainty": ("token_uncertainty", "TokenUncertainty"),
    "typiclust": ("typiclust", "TypiClust"),
    "uherding": ("uherding", "UHerding"),
}
# What others call them.
_ALSO = {
    "coreset": "k-center",
    "core-set": "k-center",
    "kcenter": "k-center",
    "k-center-greedy": "k-center",
    "least-confidence": "confidence",
    "max-entropy": "entropy",
    "uncertainty": "margin",
    "k-means": "clusters",
    "kmeans": "clusters",
    "probcover": "prob-cover",
    "herding": "max-herding",
    "submodular": "facility-location",
    "balanced-selection": "base",
    "class-balanced": "cbal",
    "flqmi": "similar",
    "fl2mi": "similar",
    "mlp": "most-likely-positive",
    "balanced-random": "random-balanced",
    "stratified": "random-balanced",
    "weighted-task-diversity": "task-diversity",
    "mean-entropy": "token-uncertainty",
    "mean-margin": "token-uncertainty",
    "min-margin": "token-uncertainty",
    "token-entropy": "token-uncertainty",
    "uncertain-cover": "filter-then-cover",
    "fishersft": "fisher-sft",
    "log-det": "fisher-sft",
    "d-optimal": "fisher-sft",
    "rds+": "rds",
    "rds-plus": "rds",
}
_registered: dict[str, type[Strategy]] = {}


def register(strategy: type[Strategy]) -> type[Strategy]:
    """Add a strategy of your own under its `name`; usable as a class decorator.

    Raises
    ------
    BadInput
        When the name is empty or taken by another class.
    """
    taken = get(strategy.name) if strategy.name in names() else None
    if not strategy.name or (taken is not None and taken is not strategy):
        raise BadInput(
            f"strategy name {strategy.name!r} of {strategy.__qualname__} is empty or taken",
            "give the class another `name`",
        )
    _registered[strategy.name] = strategy
    return strategy


def names() -> list[str]:
    """Return the names of all strategies."""
    return sorted({*_SHIPPED, *_registered})


def get(name: str) -> type[Strategy]:
    """Return the strategy class of that name.

    Raises
    ------
    BadInput
        Unknown name; the message has the nearest one.
    """
    if name in _registered:
        return _registered[name]
    if name not in _SHIPPED:
        if (known := _ALSO.get(str(name).lower().replace("_", "-"))) is not None:
            raise BadInput(f"unknown strategy {name!r}", f"it is called {known!r} here")
        raise unknown_name("strategy", name, names())
    module, cls = _SHIPPED[name]
    strategy: type[Strategy] = getattr(import_module(f"labeltrain.strategies.{module}"), cls)
    return strategy


def make(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """Build a strategy from its name and parameters.

    Raises
    ------
    BadInput
        Unknown name or parameter.
    """
    import inspect

    cls = get(name)
    given = dict(parameters or {})
    known = [] if cls.__init__ is object.__init__ else list(inspect.signature(cls).parameters)
    refuse_unknown_parameters(f"strategy {name!r}", given, known)
    for parameter, value in given.items():
        if isinstance(value, float) and value.is_integer() and _takes_whole(cls, parameter):
            given[parameter] = value = int(value)  # 1e9, as one writes memory
        _refuse_wrong_type(f"strategy {name!r}", cls, parameter, value)
    _refuse_negative_memory(f"strategy {name!r}", given)
    try:
        return cls(**given)
    except LabelTrainError:
        raise
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"strategy {name!r} does not take {given}: {error}", "check the values"
        ) from error


_PLAIN = {int: (Integral, "a whole number"), float: (Real, "a number"), str: (str, "a name")}


def _takes_whole(cls: type[Strategy], parameter: str) -> bool:
    hint = get_type_hints(cls.__init__).get(parameter)
    options = get_args(hint) or (hint,)
    return int in options and float not in options


def _refuse_wrong_type(owner: str, cls: type[Strategy], parameter: str, value: Any) -> None:
    """Raise when a value is not of the type that the parameter is annotated with.

    Only plain types are looked at: numbers must not be NaN, and True is no number.
    """
    hint = get_type_hints(cls.__init__).get(parameter)
    options = get_args(hint) or (hint,)
    expected = []
    for option in options:
        if option is type(None):
            expected.append("None")
            if value is None:
                return
        elif option is bool:
            expected.append("true or false")
            if isinstance(value, bool):
                return
        elif option in _PLAIN:
            kind, words = _PLAIN[option]
            expected.append(words)
            if isinstance(value, kind) and not isinstance(value, bool) and value == value:
                return
        else:
            return  # a mapping, a literal: the strategy checks it itself
    raise BadInput(f"{owner}: {parameter}={value!r}", f"give {' or '.join(expected)}")


def _refuse_negative_memory(owner: str, given: Mapping[str, Any]) -> None:
    memory = given.get("memory")
    if isinstance(memory, Real) and memory < 1:
        raise BadInput(f"{owner}: memory={given['memory']!r}", "give bytes, for example 2**30")


def describe() -> list[dict[str, Any]]:
    """Return what every strategy needs, takes and keeps; prints as a table."""
    from labeltrain.strategies.catalogue import Catalogue, card

    return Catalogue(card(name, get(name)) for name in names())
