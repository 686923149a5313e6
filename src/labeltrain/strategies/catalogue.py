"""What is known of every strategy, as rows for people and programs."""

from __future__ import annotations

import inspect
from typing import Any

from labeltrain.strategies.base import Need, Strategy

REQUIRED = "required"


class Catalogue(list[dict[str, Any]]):
    """A list of cards that prints as a table: name, needs, summary."""

    def __repr__(self) -> str:
        rows = [(c["name"], ", ".join(c["needs"]) or "nothing", c["summary"]) for c in self]
        widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
        return "\n".join(
            f"{name:<{widths[0]}}  {needs:<{widths[1]}}  {summary}" for name, needs, summary in rows
        )


def card(name: str, strategy: type[Strategy]) -> dict[str, Any]:
    """Return what is known of a strategy.

    Examples
    --------
    >>> from labeltrain.strategies.catalogue import card
    >>> from labeltrain.strategies.margin import Margin
    >>> card("margin", Margin)["needs"]
    ['probabilities']
    """
    parameters: dict[str, Any] = {}
    if strategy.__init__ is not object.__init__:
        for title, parameter in inspect.signature(strategy).parameters.items():
            default = parameter.default
            parameters[title] = REQUIRED if default is inspect.Parameter.empty else default
    return {
        "name": name,
        "summary": strategy.summary,
        "needs": sorted(str(need) for need in _needs(strategy, parameters)),
        "parameters": parameters,
        "kinds": sorted(strategy.kinds),
        "sequential": strategy.sequential,
        "deterministic": strategy.deterministic,
        "nested": strategy.nested,
    }


def _needs(strategy: type[Strategy], parameters: dict[str, Any]) -> frozenset[Need]:
    """Return what the strategy needs as it is made by default: needs may follow from parameters."""
    if REQUIRED in parameters.values():
        return strategy.needs
    return strategy().needs
