"""The names of the strategies: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labeltrain.errors import BadInput, refuse_unknown_parameters, unknown_name
from labeltrain.strategies.base import Strategy
from labeltrain.strategies.clusters import Clusters
from labeltrain.strategies.confidence import Confidence
from labeltrain.strategies.entropy import Entropy
from labeltrain.strategies.margin import Margin
from labeltrain.strategies.random import Random

_STRATEGIES: dict[str, type[Strategy]] = {
    s.name: s for s in (Random, Confidence, Margin, Entropy, Clusters)
}


def register(strategy: type[Strategy]) -> type[Strategy]:
    """Add a strategy of your own under its `name`; usable as a class decorator.

    Raises
    ------
    BadInput
        When the name is empty or taken by another class.
    """
    taken = _STRATEGIES.get(strategy.name)
    if not strategy.name or (taken is not None and taken is not strategy):
        raise BadInput(
            f"strategy name {strategy.name!r} of {strategy.__qualname__} is empty or taken",
            "give the class another `name`",
        )
    _STRATEGIES[strategy.name] = strategy
    return strategy


def names() -> list[str]:
    """Return the names of all strategies."""
    return sorted(_STRATEGIES)


def get(name: str) -> type[Strategy]:
    """Return the strategy class of that name.

    Raises
    ------
    BadInput
        Unknown name; the message has the nearest one.
    """
    if name not in _STRATEGIES:
        raise unknown_name("strategy", name, _STRATEGIES)
    return _STRATEGIES[name]


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
    try:
        return cls(**given)
    except BadInput:
        raise
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"strategy {name!r} does not take {given}: {error}", "check the values"
        ) from error


def describe() -> list[dict[str, Any]]:
    """Return name, needs and summary of every strategy."""
    return [
        {
            "name": name,
            "summary": cls.summary,
            "needs": sorted(cls.needs),
            "sequential": cls.sequential,
        }
        for name, cls in sorted(_STRATEGIES.items())
    ]
