"""Choosing which prompts get answered."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.loop.select import Selection, select
from labeltrain.needs import Need
from labeltrain.sft.budget import Budget, costs, parsed_budget
from labeltrain.sft.candidates import candidates_of, clusters_for_tasks, to_cluster
from labeltrain.sft.designs import (
    design,
    has_prefixes,
    made,
    needs_embeddings,
    needs_gradients,
    needs_scores,
    needs_targets,
    needs_tasks,
)
from labeltrain.sft.embedding import Embedded
from labeltrain.sft.gradients import Gradients
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.repeats import NEAR, Repeats, find_repeats
from labeltrain.sft.scored_pool import ScoredPool
from labeltrain.sft.width import Width, kernel_width
from labeltrain.strategies.task_relevance import TaskRelevance
from labeltrain.strategies.task_vectors import Relevance
from labeltrain.strategies.view import PoolView

GRAPH = 20_000  # prompts; above, similarities are those to the nearest neighbours only
NEIGHBOURS = 64
TRIES = 8  # batches, to find the one that a budget of money pays
MOST_PAIRS = 64_000_000  # of neighbours: half a gigabyte


@dataclass(frozen=True)
class Choice:
    """Which prompts were chosen, and how.

    Attributes
    ----------
    method, strategy : str
        The design and its strategy.
    parameters : dict
        Of the strategy: `labeltrain.select` with these makes the same picks.
    positions : ndarray of int64, shape (k,)
        In the pool, in the order of the picks.
    scores : ndarray of float64, shape (k,)
    why : tuple of str
    reserve : ndarray of int64
        Who comes next, for prompts that cannot be answered.
    nested : bool
        Every prefix is the choice for a smaller budget (of random draws: a draw of that size).
    width : Width or None
        How the kernel width was set in this call.
    clusters : int
        How many clusters stood for the tasks that the prompts do not have; 0: they have tasks, or
        the design does not go by them.
    repeats : Repeats
    left_out : int
        Prompts that repeat another one, and so were no candidates.
    exhausted : bool
        The pool held less than the budget.
    spent : float
        In the unit of the budget.
    seconds : float
    relevance : Relevance or None
        Of each task, of a design that goes by it.
    """

    method: str
    strategy: str
    parameters: dict[str, Any]
    positions: np.ndarray
    scores: np.ndarray
    why: tuple[str, ...]
    reserve: np.ndarray
    nested: bool
    width: Width | None
    clusters: int
    repeats: Repeats
    left_out: int
    exhausted: bool
    spent: float
    seconds: float
    relevance: Relevance | None = None


@dataclass(frozen=True)
class Question:
    """What is to be chosen.

    Attributes
    ----------
    method : str
        See :data:`labeltrain.sft.designs.DESIGNS`.
    budget : str
        5000, 20%, 400000tokens, 800usd.
    parameters : dict
        Of the strategy.
    seed : int
    largest : str or None
        The largest budget that will ever be used, which the kernel width is set for; this one by
        default.
    gamma : float or None
        A kernel width that was set before.
    neighbours : int or None
        How many neighbours counted as similar when the width was set.
    near : float or None
        Prompts that share this part of their words' runs count as the same; None: only equal ones.
    repeats : {"leave-out", "keep"}
        Whether those that repeat another prompt may be chosen.
    reserve : float
        How many more are ranked behind the choice, as a share of it.
    prices : dict
        ``price_per_answer``, ``price_per_1000_tokens``, ``cost_field``.
    """

    method: str
    budget: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    largest: str | None = None
    gamma: float | None = None
    neighbours: int | None = None
    near: float | None = NEAR
    repeats: str = "leave-out"
    reserve: float = 0.1
    prices: Mapping[str, Any] = field(default_factory=dict)


def choose(
    question: Question,
    prompts: Sequence[Prompt],
    *,
    scored: ScoredPool | None = None,
    embeddings: Embedded | None = None,
    targets: np.ndarray | None = None,
    gradients: Gradients | None = None,
    answered: Sequence[int] = (),
    pending: Sequence[int] = (),
    skipped: Sequence[int] = (),
    repeats: Repeats | None = None,
) -> Choice:
    """Choose prompts by a design.

    Parameters
    ----------
    question : Question
    prompts : sequence of Prompt
        The pool.
    scored : ScoredPool, optional
        For designs that read what the model was unsure of.
    embeddings : Embedded, optional
        For designs that look at the prompts.
    targets : ndarray of float, shape (t, d), optional
        Embeddings of the prompts that the model is meant for.
    gradients : Gradients, optional
        Of answers, those of the target among them, for designs that go by these.
    answered, pending : sequence of int
        Positions that have an answer, or wait for one: designs build on them, and never pick them
        again.
    skipped : sequence of int
        Positions that nobody can answer: never picked, and not built on.
    repeats : Repeats, optional
        Found already.

    Raises
    ------
    BadInput
        Unknown design or parameter, a budget that is not understood, something that is missing.
    """
    started = time.perf_counter()
    n = len(prompts)
    budget = parsed_budget(question.budget)
    if question.repeats not in ("leave-out", "keep"):
        raise BadInput(f"repeats={question.repeats!r}", "give leave-out or keep")
    if not 0.0 <= question.reserve <= 10.0:
        raise BadInput(f"reserve={question.reserve}", "give a share, such as 0.1")
    if question.near is not None and not 0.0 < question.near <= 1.0:
        raise BadInput(f"near={question.near}", "give a share above 0, or leave it out")
    tokens = None if scored is None else scored.prompt_tokens + scored.scores["tokens"]
    prices = costs(budget, prompts, tokens, **question.prices)
    known = sorted({int(p) for p in answered})
    waiting = sorted({int(p) for p in pending} - set(known))
    if repeats is None:
        repeats = find_repeats(prompts, threshold=question.near, seed=0)
    candidates, left_out = candidates_of(n, known, waiting, skipped, repeats, question.repeats)
    most = budget.prompts(n)
    if most is not None and most < 1:
        raise BadInput(f"{budget.text} of {n} prompts is less than one", "give a larger share")
    gamma, width = _width(question, budget, embeddings, n, prices)
    parameters = dict(question.parameters)
    if design(question.method).strategy == "facility-location":
        _on_a_graph(parameters, question, budget, n, prices)
    strategy = made(question.method, parameters, gamma)
    _refuse_missing(question.method, strategy, scored, embeddings, targets, gradients)
    arrays: dict[str, Any] = {}
    if needs_scores(strategy) and scored is not None:
        arrays["scores"] = scored.scores
    if needs_embeddings(strategy) and embeddings is not None:
        arrays["embeddings"] = embeddings.array
    if needs_targets(strategy) and targets is not None:
        arrays["targets"] = targets
    if needs_gradients(strategy) and gradients is not None:
        arrays |= {"embeddings": gradients.rows, "targets": gradients.targets}
    clusters = 0
    if needs_tasks(strategy):
        arrays["groups"] = np.array([prompt.task for prompt in prompts])
        if not any(prompt.task for prompt in prompts):
            arrays["groups"] = clusters_for_tasks(to_cluster(embeddings, question.method))
            clusters = len(np.unique(arrays["groups"]))

    def picked(amount: float, taken: Sequence[int], given: np.ndarray | None) -> Selection:
        if given is None and Need.COSTS in strategy.needs:
            given = np.ones(n)  # of the reserve each replaces one
        more: dict[str, Any] = {} if given is None else {"costs": given}
        return select(
            strategy,
            budget=amount,
            labelled=known,
            pending=[*waiting, *taken],
            candidates=candidates,
            seed=question.seed,
            kind="none",
            ids=[prompt.id for prompt in prompts],
            **more,
            **arrays,
        )

    nested = has_prefixes(strategy)
    if prices is None or nested or np.ptp(prices) == 0 or Need.COSTS in strategy.needs:
        found = picked(float(most) if most is not None else budget.amount, (), prices)
    else:
        found = _largest_paid(
            lambda count: picked(float(count), (), None), budget.amount, prices, candidates
        )
    more = min(int(np.ceil(question.reserve * len(found))), int(candidates.size) - len(found))
    reserve = picked(more, found.positions.tolist(), None).positions if more > 0 else np.empty(0)
    spent = float(len(found)) if prices is None else float(prices[found.positions].sum())
    if not len(found) and len(candidates):
        raise BadInput(f"{budget.text} buys no prompt", "give a larger budget")
    view = PoolView(n, 0, kind="none", labelled=known, sources=arrays)
    relevance = strategy.explained(view) if isinstance(strategy, TaskRelevance) else None
    return Choice(
        question.method,
        strategy.name,
        dict(strategy.parameters()),
        found.positions,
        found.scores,
        found.why,
        reserve.astype(np.int64),
        nested,
        width,
        clusters,
        repeats,
        left_out,
        found.exhausted,
        spent,
        time.perf_counter() - started,
        relevance,
    )


def _largest_paid(
    pick: Callable[[int], Selection], budget: float, prices: np.ndarray, candidates: np.ndarray
) -> Selection:
    """Return the largest batch that the budget pays, of a design whose batch depends on its size.

    To buy its picks one by one would give it the size that the cheapest prompts allow, and then
    keep a part of a batch that was made for that size.
    """
    low, high, best = 0, len(candidates) + 1, None
    count = int(budget / float(prices[candidates].mean())) if len(candidates) else 0
    for _ in range(TRIES):
        count = min(max(count, low + 1), high - 1)
        if count <= low:
            break
        found = pick(count)
        cost = float(prices[found.positions].sum())
        if cost <= budget:
            low, best = count, found
        else:
            high = count
        count = int(count * budget / cost)
    return pick(0) if best is None else best


def _width(
    question: Question,
    budget: Budget,
    embeddings: Embedded | None,
    n: int,
    prices: np.ndarray | None,
) -> tuple[float | None, Width | None]:
    chosen = design(question.method)
    given = question.parameters.get("gamma")
    if not chosen.width or given is not None or embeddings is None:
        return None, None
    if question.parameters.get("kernel", "gaussian") != "gaussian":
        return None, None
    if question.gamma is not None:
        return question.gamma, None
    size = _largest(question, budget, n, prices)
    normalise = bool(question.parameters.get("normalise", True))
    width = kernel_width(embeddings.array, size, normalise=normalise, seed=0)
    if not width.fits:
        warnings.warn(
            f"no kernel width meets both conditions of the rule; {width.gamma} comes nearest "
            "(set one with --set gamma=...)",
            stacklevel=3,
        )
    return width.gamma, width


def _largest(question: Question, budget: Budget, n: int, prices: np.ndarray | None) -> int:
    """Return how many prompts the largest budget is for, about."""
    largest = parsed_budget(question.largest) if question.largest is not None else budget
    size = largest.prompts(n)
    if size is None:
        if prices is None:
            raise BadInput(
                f"the largest budget {largest.text!r} counts {largest.unit}, this one prompts",
                "give both in one unit",
            )
        size = int(largest.amount / float(prices.mean()))
    return min(max(size, 1), n)


def _on_a_graph(
    parameters: dict[str, Any],
    question: Question,
    budget: Budget,
    n: int,
    prices: np.ndarray | None,
) -> None:
    """Say how facility location searches: a large pool on a graph, money by gain per cost."""
    plain = parameters.get("parts") is None and not design(question.method).parameters
    if prices is not None and np.ptp(prices) > 0 and plain and not parameters.get("uncertainty"):
        parameters.setdefault("per_cost", True)
    if n > GRAPH or parameters.get("per_cost"):
        if "neighbours" not in parameters and question.neighbours is None:
            size = _largest(question, budget, n, prices)
            parameters["neighbours"] = neighbours_for(n, size)
        parameters.setdefault("neighbours", question.neighbours)


def neighbours_for(n: int, budget: int) -> int:
    """Return how many neighbours of each prompt count as similar.

    About 4 n / budget, so that the picks together are neighbours of all; at least 64, and no more
    than memory allows: half a gigabyte of pairs.

    Examples
    --------
    >>> from labeltrain.sft.selection import neighbours_for
    >>> neighbours_for(100_000, 20_000), neighbours_for(100_000, 2_000), neighbours_for(10**6, 500)
    (64, 200, 64)
    """
    most = max(NEIGHBOURS, MOST_PAIRS // n)
    return min(max(NEIGHBOURS, -(-4 * n // budget)), most, n - 1)


def _refuse_missing(
    method: str,
    strategy: Any,
    scored: ScoredPool | None,
    embeddings: Embedded | None,
    targets: np.ndarray | None,
    gradients: Gradients | None,
) -> None:
    if needs_scores(strategy) and scored is None:
        raise BadInput(
            f"design {method!r} reads how sure a model was of its answers",
            "labeltrain sft score POOL --model ... first",
        )
    if needs_embeddings(strategy) and embeddings is None:
        raise BadInput(
            f"design {method!r} looks at the prompts",
            "--embeddings minilm, or score with a model and --pooling",
        )
    if needs_gradients(strategy):
        if gradients is None:
            raise BadInput(
                f"design {method!r} with by=gradients needs gradients of answers",
                "--target FILE, with answered prompts of the target, in a workspace with answers",
            )
    elif needs_targets(strategy) and targets is None:
        raise BadInput(
            f"design {method!r} needs prompts of the target", "--target FILE, with a few of them"
        )
