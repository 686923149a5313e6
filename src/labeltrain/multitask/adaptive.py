"""The adaptive loop: draw, learn what tasks share, see which sources matter, draw more of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from labeltrain.errors import BadInput, BrokenContract
from labeltrain.multitask.allocation import allocate, mixed, moving_average, power_shares, top_tasks
from labeltrain.multitask.assessment import RESOLVED, Assessment, Representation, assess
from labeltrain.multitask.design import risk_bound
from labeltrain.multitask.linear import alternating_least_squares
from labeltrain.multitask.lookahead import by_steps
from labeltrain.multitask.plan import Plan
from labeltrain.multitask.records import Epoch, Identity, Outcome
from labeltrain.multitask.relevance import penalty_by_noise, penalty_by_residual, residual
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.sources import TaskSource
from labeltrain.rng import stream

NOISY = "heads are too noisy"  # how the warning begins
# With an attribute `raw` that is true it is given rows as they are under Plan.intercept, too: what
# is not linear in them needs no rows without means.
Learner = Callable[[Samples, np.random.Generator, Representation | None], Representation]


def linear_learner(dimension: int, ridge: float = 1e-8, steps: int = 100) -> Learner:
    """Return a learner of linear representations, by alternating least squares.

    Parameters
    ----------
    dimension : int
        K.
    ridge : float
    steps : int
        As in :func:`~labeltrain.multitask.linear.alternating_least_squares`.

    Returns
    -------
    callable
        ``(samples, rng, previous) -> Representation``; a network takes its place with the same
        arguments.
    """

    def learn(
        samples: Samples, rng: np.random.Generator, previous: Representation | None
    ) -> Representation:
        return alternating_least_squares(samples, dimension, ridge=ridge, steps=steps)

    return learn


def run(
    source: TaskSource,
    targets: Sequence[tuple[np.ndarray, np.ndarray]],
    plan: Plan,
    *,
    dimension: int,
    learner: Learner | None = None,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> Outcome:
    """Draw samples of source tasks for the sake of one or more targets, and learn from them.

    Parameters
    ----------
    source : TaskSource
    targets : sequence of (ndarray, ndarray)
        Rows (n, d) and values (n,) of each target.
    plan : Plan
    dimension : int
        K, of the representation.
    learner : callable, optional
        ``(samples, rng, previous) -> Representation``; linear by default. Under an intercept
        samples come without the means of their tasks, unless the learner has an attribute `raw`
        that is true.
    known : (ndarray, ndarray), optional
        True heads (K, M) of the sources and of the target, (K,) or (K, T), for methods that take
        them as known.

    Returns
    -------
    Outcome

    Notes
    -----
    1. Draw of all tasks alike. 2. Learn the representation from all source samples. 3. Refit all
    heads on it, whitened. 4. Solve ``W nu = w_T``. 5. Draw, by ``|nu|^q``, what each task lacks for
    the budget so far; nothing is taken back. From 2 again, until the budget is spent.

    Noisy heads give a wrong support, and a wrong support starves the tasks that matter. While
    the error of a head is more than 0.3 of the target's head, the share ``1 - (0.3 / error)^2`` of
    what the relevance would decide is drawn of all tasks alike instead, with a warning. The 0.3 is
    a rule of thumb, tried on made-up tasks.

    References
    ----------
    Chen et al.: Active multi-task representation learning, ICML 2022, arXiv 2202.00911. Wang et
    al.: Improved active multi-task representation learning via Lasso, ICML 2023, arXiv 2306.02556.

    Examples
    --------
    >>> from labeltrain.multitask.adaptive import run
    >>> from labeltrain.multitask.plan import Plan
    >>> from labeltrain.multitask.synthetic import generate
    >>> tasks = generate(0, features=8, dimension=3, tasks=10, noise=0.1)
    >>> outcome = run(tasks, [tasks.draw_target(60)], Plan("l1", 600, epochs=3), dimension=3)
    >>> int(outcome.counts.sum()), bool(outcome.epochs[-1].shares[:2].sum() > 0.5)
    (600, True)
    """
    aims = Samples.of(targets)
    refuse_impossible(source, aims.rows.shape[1], aims.counts, plan, dimension, known, learner)
    how, prices = plan.how, plan.prices(len(source.available))
    learn = _nothing if plan.method == "target-only" else learner or linear_learner(dimension)
    schedule = plan.schedule()
    least = _floor(plan, float(schedule[0]), dimension, prices)
    shares, relevance, floor = _first(plan, dimension, prices, known)
    pool, epochs, told = _Pool(source, aims.rows.shape[1]), list[Epoch](), list[str]()
    representation: Representation | None = None
    for number, budget in enumerate(schedule):
        started = time.perf_counter()
        pool.fill(_counts(source, plan, shares, float(budget), floor * least, pool.counts, prices))
        samples = pool.samples()
        rng = stream(plan.seed, "multitask", "learn", number)
        as_it_is = getattr(learn, "raw", False) or not plan.intercept
        representation = learn(samples if as_it_is else samples.centred(), rng, representation)
        seen = assess(representation, samples, aims, plan.ridge, intercept=plan.intercept)
        heads, wanted, penalty, uniform = seen.heads, seen.targets, float("nan"), plan.uniform
        if known is not None and how.known:
            heads, wanted = known[0], _columns(known[1])
        elif how.estimates:
            penalty = _penalty(plan, seen, int(aims.counts.min()))
            if how.relevance is None:
                new = by_steps(representation, samples, aims, intercept=plan.intercept)
            else:
                new = how.relevance(heads, wanted, penalty, np.sqrt(prices))
            relevance = moving_average(new, relevance, plan.keep)
            uniform = _uniform(plan, seen, told)
            shares, floor = _shares(plan, relevance, uniform, prices), 1
        epochs.append(
            Epoch(
                pool.counts.copy(), pool.counts / max(int(pool.counts.sum()), 1), relevance,
                *_measured(pool.counts, heads, wanted, None if how.affinity else relevance),
                float(np.linalg.svd(heads, compute_uv=False)[-1]), penalty, uniform, seen,
                representation, seen.centres, time.perf_counter() - started,
            )
        )  # fmt: skip
        last = representation
    return Outcome(
        last, epochs[-1].assessment.predictors, tuple(epochs), float(prices @ pool.counts),
        tuple(told),
    )  # fmt: skip


class _Pool:
    """What was drawn of each task so far."""

    def __init__(self, source: TaskSource, features: int) -> None:
        tasks = len(source.available)
        self.counts = np.zeros(tasks, dtype=np.int64)
        self._source = source
        self._parts: list[list[tuple[np.ndarray, np.ndarray]]] = [
            [(np.zeros((0, features)), np.zeros(0))] for _ in range(tasks)
        ]

    def fill(self, counts: np.ndarray) -> None:
        """Draw what each task lacks."""
        for m in np.flatnonzero(counts > self.counts):
            lacking = int(counts[m] - self.counts[m])
            rows, values = self._source.draw(int(m), lacking)
            if len(rows) != lacking:
                raise BrokenContract(
                    f"task {m} gave {len(rows)} samples of {lacking}",
                    "`available` of the task source says what it can give",
                )
            self._parts[m].append((rows, values))
            self.counts[m] = counts[m]

    def samples(self) -> Samples:
        """Return all of them."""
        return Samples.of(
            [(np.concatenate([p[0] for p in task]), np.concatenate([p[1] for p in task]))
             for task in self._parts]
        )  # fmt: skip


def _nothing(
    samples: Samples, rng: np.random.Generator, previous: Representation | None
) -> Representation:
    return Identity()


def _columns(target: np.ndarray) -> np.ndarray:
    target = np.asarray(target, dtype=np.float64)
    return target[:, None] if target.ndim == 1 else target


def _first(
    plan: Plan, dimension: int, prices: np.ndarray, known: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Return shares and relevance of the first epoch, and whether it has a floor (1 or 0)."""
    tasks, how = len(prices), plan.how
    if known is not None and how.known and how.relevance is not None:
        heads = np.asarray(known[0], dtype=np.float64)
        relevance = how.relevance(heads, _columns(known[1]), 0.0, np.sqrt(prices))
        return _shares(plan, relevance, plan.uniform, prices), relevance, 1
    shares = np.ones(tasks)
    if plan.method == "random":
        some = min(plan.top or 2 * dimension, tasks)
        shares[stream(plan.seed, "multitask", "tasks drawn").permutation(tasks)[some:]] = 0.0
    return shares, None, 0


def _floor(plan: Plan, first: float, dimension: int, prices: np.ndarray) -> int:
    most = int(first / prices.sum() + 1e-9)
    return min(2 * dimension, most) if plan.floor is None else plan.floor


def _counts(
    source: TaskSource,
    plan: Plan,
    shares: np.ndarray,
    budget: float,
    floor: int,
    drawn: np.ndarray,
    prices: np.ndarray,
) -> np.ndarray:
    if plan.method == "target-only":
        return drawn
    if plan.method == "all":
        return source.available.astype(np.int64)
    return allocate(
        shares, budget, floor=floor, drawn=drawn, available=source.available, costs=prices
    )


def _shares(plan: Plan, relevance: np.ndarray, uniform: float, prices: np.ndarray) -> np.ndarray:
    power = plan.how.power if plan.power is None else plan.power
    some = relevance if plan.top is None else top_tasks(relevance, plan.top)
    return mixed(power_shares(some, power, costs=prices), uniform)


def _penalty(plan: Plan, seen: Assessment, count: int) -> float:
    if not plan.how.penalised:
        return float("nan")
    if not isinstance(plan.penalty, str):
        return float(plan.penalty)
    if plan.penalty == "noise" and np.isfinite(seen.noise) and seen.noise > 0:
        return penalty_by_noise(seen.heads, seen.noise, count)
    return penalty_by_residual(seen.heads, seen.targets, plan.unexplained)


def _uniform(plan: Plan, seen: Assessment, told: list[str]) -> float:
    """Return the share drawn of all tasks alike, and warn once where heads are too noisy."""
    if not plan.guard or not plan.how.guarded or seen.unsure <= RESOLVED:
        return plan.uniform
    share = 1.0 - (RESOLVED / seen.unsure) ** 2
    if not told:
        told.append(
            f"{NOISY} to tell which source tasks matter: their error is about "
            f"{seen.unsure:.2f} of the target's head, and should be {RESOLVED} or less. So "
            f"{share:.0%} of what relevance would decide is drawn of all tasks alike; a larger "
            f"first epoch, fewer source tasks or a smaller dimension would help"
        )
        warnings.warn(told[0], stacklevel=3)
    return max(plan.uniform, share)


def _measured(
    counts: np.ndarray, heads: np.ndarray, wanted: np.ndarray, relevance: np.ndarray | None
) -> tuple[float, float]:
    if relevance is None:
        return float("nan"), float("nan")
    return (
        float(np.sum(risk_bound(counts, relevance))),
        float(np.max(residual(heads, wanted, relevance))),
    )


def refuse_impossible(
    source: TaskSource,
    features: int,
    counts: np.ndarray,
    plan: Plan,
    dimension: int,
    known: tuple[np.ndarray, np.ndarray] | None,
    learner: Learner | None = None,
) -> None:
    """Refuse, before anything is drawn, what could not be carried out.

    Parameters
    ----------
    source : TaskSource
    features : int
    counts : ndarray of int, shape (T,)
        Samples of each target.
    plan, dimension, known, learner
        As in :func:`run`.

    Raises
    ------
    BadInput
    """
    tasks = len(source.available)
    most = features if plan.method == "target-only" else min(features, tasks)
    if learner is None and not 1 <= dimension <= most:
        raise BadInput(
            f"dimension={dimension} for {features} features and {tasks} source tasks",
            f"give a whole number from 1 to {most}",
        )
    few = np.flatnonzero(counts < 2)
    if len(few):
        raise BadInput(
            f"target {few[0]} has {counts[few[0]]} samples", "give two or more: it is all "
            "that tells which sources matter",
        )  # fmt: skip
    if plan.how.known and (known is None or np.shape(known[0])[-1] != tasks):
        raise BadInput(
            f"method {plan.method} without the true heads of {tasks} source tasks",
            "give known=(heads, target); only made-up tasks have them",
        )
    if plan.method == "target-only":
        return
    prices, first = plan.prices(tasks), float(plan.schedule()[0])
    if plan.method == "all":
        if not np.isfinite(source.available).all():
            raise BadInput("method all with a source that has no end", "use uniform")
        return
    worth = float(prices @ source.available)
    if plan.budget > worth:
        raise BadInput(
            f"a budget of {plan.budget:g}, and all samples of all source tasks are {worth:g}",
            "give a smaller budget, or use method all",
        )
    least = max(plan.floor or 0, int(plan.how.estimates))
    if least * float(prices.sum()) > first:
        raise BadInput(
            f"the first epoch has {first:g} to spend on {tasks} source tasks, {least} samples each",
            "give a larger budget, fewer epochs, a smaller growth or a smaller floor",
        )
