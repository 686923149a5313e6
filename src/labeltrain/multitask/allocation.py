"""How many samples each source task gives, by its relevance."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput

NEAR = 1e-9  # numbers that differ by less are equal: rounding must not decide who gets a sample


def power_shares(
    relevance: np.ndarray,
    power: float = 1.0,
    *,
    costs: np.ndarray | None = None,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Return the share of samples of each task, ``|nu|^q / sqrt(cost)``, float64 (M,).

    Parameters
    ----------
    relevance : ndarray of float, shape (M,) or (M, T)
        Of several targets, the length over all of them counts.
    power : float
        q: 1 is the best for a given relevance, 2 the rule of the least-norm method, 0 shares
        equally among all tasks that have any relevance.
    costs : ndarray of float, shape (M,), optional
        Of one sample of each task, above 0.
    noise : ndarray of float, shape (M,), optional
        Standard deviation of each task's labels, above 0, where they differ.

    Returns
    -------
    ndarray of float64, shape (M,)
        Sums to 1. All equal where no task has any relevance.

    Notes
    -----
    With q = 1, ``noise * |nu| / sqrt(costs)`` minimises :func:`~labeltrain.multitask.design.\
risk_bound` for what is spent.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.allocation import power_shares
    >>> power_shares(np.array([2.0, -1.0, 2.0]), 2).round(3).tolist()
    [0.444, 0.111, 0.444]
    """
    sizes = np.abs(np.asarray(relevance, dtype=np.float64))
    if sizes.ndim == 2:
        sizes = np.linalg.norm(sizes, axis=1)
    if sizes.ndim != 1 or not len(sizes) or not np.isfinite(sizes).all():
        raise BadInput(
            f"a relevance of shape {np.shape(relevance)}", "give one finite number for each task"
        )
    if not np.isfinite(power) or power < 0:
        raise BadInput(f"power={power!r}", "give 0, 1, 2 or another number of 0 or more")
    sizes = sizes * positive("noise", noise, len(sizes))
    largest = sizes.max()
    if not largest > 0:
        return np.full(len(sizes), 1.0 / len(sizes))
    shares = np.where(sizes > 0, (sizes / largest) ** power, 0.0)
    shares = shares / np.sqrt(positive("costs", costs, len(sizes)))
    return np.asarray(shares / shares.sum())


def mixed(shares: np.ndarray, uniform: float) -> np.ndarray:
    """Return ``(1 - rho) p + rho / M``, so that no task is left out.

    Parameters
    ----------
    shares : ndarray of float64, shape (M,)
    uniform : float
        rho, from 0 to 1.

    Returns
    -------
    ndarray of float64, shape (M,)
    """
    if not 0 <= uniform <= 1:
        raise BadInput(f"uniform={uniform!r}", "give a number from 0 to 1")
    return (1.0 - uniform) * shares + uniform / len(shares)


def moving_average(new: np.ndarray, before: np.ndarray | None, keep: float) -> np.ndarray:
    """Return ``keep * before + (1 - keep) * new``; `new` where nothing was before.

    Parameters
    ----------
    new, before : ndarray of float64, shape (M,) or (M, T)
    keep : float
        From 0 up to, not including, 1.

    Returns
    -------
    ndarray of float64
    """
    if not 0 <= keep < 1:
        raise BadInput(f"keep={keep!r}", "give a number from 0 up to, not including, 1")
    return np.asarray(new if before is None else keep * before + (1.0 - keep) * new)


def top_tasks(relevance: np.ndarray, count: int) -> np.ndarray:
    """Return the relevance with all but the largest `count` set to 0; ties to the lowest task.

    Parameters
    ----------
    relevance : ndarray of float, shape (M,) or (M, T)
    count : int
        At least 1.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)
    """
    if count < 1:
        raise BadInput(f"count={count!r}", "keep one task or more")
    found = np.array(relevance, dtype=np.float64)
    sizes = np.abs(found) if found.ndim == 1 else np.linalg.norm(found, axis=1)
    found[np.lexsort((np.arange(len(sizes)), -sizes))[count:]] = 0.0
    return found


def allocate(
    shares: np.ndarray,
    budget: float,
    *,
    floor: int = 0,
    drawn: np.ndarray | None = None,
    available: np.ndarray | None = None,
    costs: np.ndarray | None = None,
) -> np.ndarray:
    """Return how many samples each task has given once the budget is spent, int64 (M,).

    ``n_m = floor + t p_m``, at least what was drawn before and at most what there is, with t such
    that the budget is spent; then rounded.

    Parameters
    ----------
    shares : ndarray of float, shape (M,)
        0 or more, of any sum; from :func:`power_shares`.
    budget : float
        For all samples, those drawn before included.
    floor : int
        Samples that every task gives (all it has, where that is less).
    drawn : ndarray of int, shape (M,), optional
        What was drawn before, and is never taken back. Nothing by default.
    available : ndarray of float, shape (M,), optional
        Most that each task can give, those drawn before included; inf by default.
    costs : ndarray of float, shape (M,), optional
        Of one sample; 1 by default: then the sum is the budget, exactly, unless all tasks together
        have less.

    Returns
    -------
    ndarray of int64, shape (M,)

    Notes
    -----
    Without a floor and with q = 1 this minimises the risk bound under these limits. Budget that no
    task with a share can take goes to all others alike. `costs` decide here what the budget buys;
    that dear tasks should give less is in the shares.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.allocation import allocate, power_shares
    >>> allocate(power_shares(np.array([0.5, 0, 1])), 100, floor=10).tolist()
    [33, 10, 57]
    >>> allocate(np.ones(3), 10, drawn=np.array([8, 0, 0])).tolist()
    [8, 1, 1]
    """
    shares = np.asarray(shares, dtype=np.float64)
    tasks = len(shares)
    if shares.ndim != 1 or not tasks or not np.isfinite(shares).all() or shares.min() < 0:
        raise BadInput("shares that are no list of finite numbers of 0 or more", "see power_shares")
    if floor < 0:
        raise BadInput(f"floor={floor!r}", "give a whole number of 0 or more")
    prices = positive("costs", costs, tasks)
    low, high = _limits(tasks, drawn, available)
    base = np.minimum(float(floor), high)
    least = np.maximum(low, base)
    if float(prices @ least) > budget * (1 + NEAR):
        raise BadInput(
            f"a floor of {floor} samples a task and what was drawn take {prices @ least:g} of a "
            f"budget of {budget:g}",
            "give a larger budget or a smaller floor",
        )
    amounts = _filled(shares, budget, base, least, high, prices)
    room = np.isfinite(high) & (amounts >= high - NEAR)
    if not room.all() and float(prices @ amounts) < budget * (1 - NEAR):
        open_to_all = np.where(room, 0.0, 1.0)
        amounts = _filled(open_to_all, budget, amounts, amounts, high, prices)
    return rounded(amounts, budget, costs=costs)


def rounded(amounts: np.ndarray, budget: float, *, costs: np.ndarray | None = None) -> np.ndarray:
    """Return whole numbers: rounded down, and one more for the largest parts that were cut off.

    Parameters
    ----------
    amounts : ndarray of float64, shape (M,)
        0 or more.
    budget : float
        What one more each may cost in all; ties to the lowest task.
    costs : ndarray of float, shape (M,), optional
        1 by default: then the sum is that of the amounts, if that is whole.

    Returns
    -------
    ndarray of int64, shape (M,)

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.allocation import rounded
    >>> rounded(np.array([1.5, 1.5, 2.0]), 5).tolist()
    [2, 1, 2]
    """
    amounts = np.asarray(amounts, dtype=np.float64)
    whole = np.floor(amounts + NEAR)
    parts = np.maximum(amounts - whole, 0.0)
    prices = positive("costs", costs, len(amounts))
    left = budget - float(prices @ whole)
    slack = NEAR * max(1.0, abs(budget))
    for m in np.lexsort((np.arange(len(amounts)), -np.round(parts / NEAR))):
        if parts[m] > NEAR and prices[m] <= left + slack:
            whole[m] += 1
            left -= prices[m]
    return whole.astype(np.int64)


def positive(name: str, values: np.ndarray | None, tasks: int) -> np.ndarray:
    """Return one number above 0 for each task; ones where none are given.

    Parameters
    ----------
    name : str
        For the error.
    values : ndarray of float, shape (M,) or None
    tasks : int

    Returns
    -------
    ndarray of float64, shape (M,)
    """
    if values is None:
        return np.ones(tasks)
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (tasks,):
        raise BadInput(f"{name} of shape {found.shape}", f"give one for each of {tasks} tasks")
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if len(bad):
        raise BadInput(f"{name} of task {bad[0]}: {found[bad[0]]}", "give numbers above 0")
    return found


def _limits(
    tasks: int, drawn: np.ndarray | None, available: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    low = np.zeros(tasks) if drawn is None else np.asarray(drawn, dtype=np.float64)
    high = np.full(tasks, np.inf) if available is None else np.asarray(available, dtype=np.float64)
    for name, values in (("drawn", low), ("available", high)):
        if values.shape != (tasks,) or np.isnan(values).any() or (values < 0).any():
            raise BadInput(
                f"{name} is no list of {tasks} numbers of 0 or more", "give one for each task"
            )
    over = np.flatnonzero(low > high)
    if len(over):
        raise BadInput(
            f"task {over[0]} has given {low[over[0]]:g} samples of {high[over[0]]:g}",
            "count what was drawn before in `available`",
        )
    return low, np.floor(high)


def _filled(
    shares: np.ndarray,
    budget: float,
    base: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
    prices: np.ndarray,
) -> np.ndarray:
    """Return ``clip(base + t shares, least, most)`` that costs the budget, or all there is.

    What it costs is piecewise linear in t, and grows: between the two bends that hold the budget
    between them, t is found by a division.
    """
    some = shares > 0
    if not some.any():
        return least
    growing, rest = shares[some], float(prices[~some] @ least[~some])

    def amounts(t: float) -> np.ndarray:
        return np.clip(base[some] + t * growing, least[some], most[some])

    starts, ends = (least[some] - base[some]) / growing, (most[some] - base[some]) / growing
    bends = np.unique(np.concatenate([[0.0], starts, ends[np.isfinite(ends)]]))
    spent = np.array([rest + float(prices[some] @ amounts(t)) for t in bends])
    before = int(np.searchsorted(spent, budget, side="right")) - 1
    t = float(bends[max(before, 0)])
    moving = (starts <= t) & (t < ends)
    slope = float(prices[some][moving] @ growing[moving])
    if slope > 0:
        t += (budget - spent[max(before, 0)]) / slope
    found = least.copy()
    found[some] = amounts(t)
    return found
