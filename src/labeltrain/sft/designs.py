"""The designs: names under which prompts are chosen, and the strategies behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labeltrain.errors import refuse_unknown_parameters, unknown_name
from labeltrain.needs import Need
from labeltrain.strategies import registry
from labeltrain.strategies.base import Strategy
from labeltrain.strategies.task_relevance import GRADIENTS, TaskRelevance

DRAWN = ("random", "random-balanced", "task-diversity", "task-relevance")


@dataclass(frozen=True)
class Design:
    """One way to choose prompts.

    Attributes
    ----------
    strategy : str
        Its strategy; `labeltrain.select` with the same arrays makes the same picks.
    parameters : dict
    summary : str
    paper : bool
        One of the eight of Bhatt et al. 2024.
    width : bool
        It has a kernel width, which is set by the rule of :mod:`labeltrain.sft.width`.
    """

    strategy: str
    summary: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    paper: bool = False
    width: bool = False


def _uncertain(score: str, summary: str, *, paper: bool = True) -> Design:
    return Design("token-uncertainty", summary, {"score": score}, paper=paper)


DESIGNS: dict[str, Design] = {
    "random": Design("random", "by chance", paper=True),
    "mean-entropy": _uncertain("mean-entropy", "largest mean entropy of the answer's tokens"),
    "least-confidence": _uncertain("least-confidence", "least likely answer as a whole"),
    "mean-margin": _uncertain("mean-margin", "smallest mean gap between the two likeliest tokens"),
    "min-margin": _uncertain("min-margin", "smallest gap anywhere in the answer"),
    "max-entropy": _uncertain("max-entropy", "largest entropy anywhere in the answer"),
    "k-center": Design(
        "k-center", "farthest from all that is chosen", {"normalise": True}, paper=True
    ),
    "facility-location": Design(
        "facility-location", "together similar to the whole pool", paper=True, width=True
    ),
    "least-confidence-norm": _uncertain(
        "least-confidence-norm", "least likely answer, per token", paper=False
    ),
    "random-balanced": Design("random-balanced", "by chance, as many of every task"),
    "task-diversity": Design("task-diversity", "as many of every task", {"weighted": False}),
    "weighted-task-diversity": Design(
        "task-diversity", "more of the tasks in which the model is less confident"
    ),
    "facility-location-uncertainty": Design(
        "facility-location",
        "similar to the pool, and uncertain",
        {"uncertainty": 1.0, "score": "mean-entropy"},
        width=True,
    ),
    "filter-then-cover": Design(
        "filter-then-cover", "of the most uncertain, those that cover them", width=True
    ),
    "gist": Design("gist", "uncertain, and far from each other"),
    "fisher-sft": Design("fisher-sft", "most information on the last layer, by prompts alone"),
    "rds": Design("rds", "most similar to prompts of the target"),
    "task-relevance": Design("task-relevance", "more of the tasks that the target is made up of"),
}


def design(name: str) -> Design:
    """Return the design of that name.

    Raises
    ------
    BadInput
        Unknown name.
    """
    if name not in DESIGNS:
        raise unknown_name("design", name, DESIGNS)
    return DESIGNS[name]


def made(name: str, parameters: Mapping[str, Any], gamma: float | None) -> Strategy:
    """Return the strategy of a design.

    Parameters
    ----------
    name : str
    parameters : mapping
        Given by the user; they win over those of the design.
    gamma : float or None
        The kernel width, for designs that have one.

    Raises
    ------
    BadInput
        Unknown parameter.
    """
    import inspect

    chosen = design(name)
    cls = registry.get(chosen.strategy)
    known = [] if cls.__init__ is object.__init__ else list(inspect.signature(cls).parameters)
    refuse_unknown_parameters(f"design {name!r}", parameters, known)
    own = dict(chosen.parameters)
    if chosen.width and gamma is not None:
        own["gamma"] = gamma
    return registry.make(chosen.strategy, own | dict(parameters))


def needs_scores(strategy: Strategy) -> bool:
    """Return True for a strategy that reads what the model was unsure of."""
    return Need.SCORES in strategy.needs


def needs_gradients(strategy: Strategy) -> bool:
    """Return True for a strategy whose embeddings are gradients of answers."""
    return isinstance(strategy, TaskRelevance) and strategy.by == GRADIENTS


def needs_embeddings(strategy: Strategy) -> bool:
    """Return True for a strategy that reads features of prompts."""
    reads = bool(strategy.needs & {Need.EMBEDDINGS, Need.HIDDEN})
    return reads and not needs_gradients(strategy)


def needs_targets(strategy: Strategy) -> bool:
    """Return True for a strategy that goes by examples of what the model is meant for."""
    return Need.TARGETS in strategy.needs


def needs_tasks(strategy: Strategy) -> bool:
    """Return True for a strategy that goes by the tasks of the prompts."""
    return Need.GROUPS in strategy.needs


def has_prefixes(strategy: Strategy) -> bool:
    """Return True where every prefix of a choice is the choice for a smaller budget.

    Of random draws: a draw of that size. Shares of tasks are filled one prompt after another.
    """
    return strategy.nested or strategy.name in DRAWN


def looks_at_embeddings(strategy: Strategy, tasks: Iterable[str]) -> bool:
    """Return True if a choice reads features: clusters stand for tasks that no prompt has."""
    return needs_embeddings(strategy) or (needs_tasks(strategy) and not any(tasks))
