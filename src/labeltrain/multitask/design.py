"""The bound that allocations are compared by, and the best allocation for several targets."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.multitask.allocation import positive, power_shares
from labeltrain.multitask.relevance import RANK, least_l1, least_norm, residual

LEAST = 1e-10  # share of a task that is as good as none, and keeps the design regular


def risk_bound(
    counts: np.ndarray, relevance: np.ndarray, *, noise: np.ndarray | None = None
) -> np.ndarray:
    """Return ``R(n, nu)``, the sum of ``nu_m^2 / n_m``: what the target's risk is bounded by.

    Parameters
    ----------
    counts : ndarray of float, shape (M,)
        Samples of each task.
    relevance : ndarray of float, shape (M,) or (M, T)
    noise : ndarray of float, shape (M,), optional
        Standard deviation of each task's labels; ones by default.

    Returns
    -------
    ndarray of float64, shape () or (T,)
        inf where a task that matters has no samples.

    Notes
    -----
    With ``delta_m`` the part of task m that the learned representation misses, joint least squares
    bounds ``sum n_m |delta_m|^2``, and the target misses ``sum nu_m delta_m``: the bound is the
    inequality of Cauchy and Schwarz. It holds for every nu with ``W nu = w_T``.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.design import risk_bound
    >>> float(risk_bound(np.array([500, 0, 1000]), np.array([0.5, 0, 1.0])))
    0.0015
    """
    counts = np.asarray(counts, dtype=np.float64)
    squares = np.asarray(relevance, dtype=np.float64) ** 2
    if counts.ndim != 1 or len(squares) != len(counts):
        raise BadInput(
            f"counts of shape {counts.shape} beside a relevance of shape {squares.shape}",
            "give one count for each task",
        )
    squares = (squares.T * positive("noise", noise, len(counts)) ** 2).T
    with np.errstate(divide="ignore"):
        each = np.where(counts > 0, 1.0 / counts, np.inf)
    safe = np.where(np.isinf(each), 0.0, each)
    starved = (squares[np.isinf(each)] > 0).any(axis=0)
    return np.asarray(np.where(starved, np.inf, safe @ squares))


def least_group(
    heads: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    tolerance: float = 1e-6,
    steps: int = 20_000,
) -> tuple[np.ndarray, float]:
    """Return the relevance to several targets under which the fewest samples serve them all.

    Least ``sum_m w_m |nu_m|``, ``|nu_m|`` being the length of a task's relevance over all targets.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
        One column for each source task.
    targets : ndarray of float, shape (K,) or (K, T)
    weights : ndarray of float, shape (M,), optional
        Above 0; ``noise * sqrt(costs)``, where these differ.
    tolerance : float
        It ends once the bound is proved to be within this share of the least one.
    steps : int
        At most.

    Returns
    -------
    relevance : ndarray of float64, shape (M,) or (M, T)
        Where the sources do not span a target: that of what they span of it.
    gap : float
        How far above the least bound this one can be at most, as a share of it; 0 for one target.

    Notes
    -----
    With ``n_m`` in proportion to ``|nu_m|`` it minimises the sum of the targets' bounds over both.
    One target: the c-optimal design, which is ``|nu|`` of least L1 norm (Elfving). Several: an
    A-optimal design. The relevance for given shares and the shares for a given relevance are closed
    formulas, and taken in turn; together they are the multiplicative update
    ``p_m <- p_m |Y' w_m|`` with ``Y = (sum p_m w_m w_m')^-1 targets``. Any Y with all
    ``|Y' w_m| <= 1`` proves a lower bound, ``trace(targets' Y)``.

    References
    ----------
    Elfving: Optimum allocation in linear regression theory, 1952. Yu: Monotonic convergence of a
    general algorithm for computing optimal designs, Annals of Statistics 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.design import least_group
    >>> nu, gap = least_group(np.eye(2), np.array([[3.0, 4.0], [0.0, 1.0]]))
    >>> np.linalg.norm(nu, axis=1).round(3).tolist()
    [5.0, 1.0]
    """
    if targets.ndim == 1 or targets.shape[1] == 1:
        return least_l1(heads, targets, weights=weights), 0.0
    scale = positive("weights", weights, heads.shape[1])
    left, values, _ = np.linalg.svd(heads / scale, full_matrices=False)
    inside = left[:, : int((values > RANK * values[0]).sum())]
    relevance, gap = _by_turns(inside.T @ heads / scale, inside.T @ targets, tolerance, steps)
    return relevance / scale[:, None], gap


def optimal_shares(
    heads: np.ndarray,
    targets: np.ndarray,
    *,
    importance: np.ndarray | None = None,
    costs: np.ndarray | None = None,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Return the shares of samples that make the sum of the targets' bounds least.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
        One column for each source task.
    targets : ndarray of float, shape (K,) or (K, T)
    importance : ndarray of float, shape (T,), optional
        Of each target, above 0; ones by default.
    costs : ndarray of float, shape (M,), optional
        Of one sample; shares are still those of samples.
    noise : ndarray of float, shape (M,), optional
        Standard deviation of each task's labels.

    Returns
    -------
    ndarray of float64, shape (M,)
        Sum to 1.

    Raises
    ------
    BadInput
        If the sources do not span the targets: no allocation makes that bound finite.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.design import optimal_shares
    >>> optimal_shares(np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1])).round(3).tolist()
    [0.333, 0.0, 0.667]
    """
    heads = np.asarray(heads, dtype=np.float64)
    wanted = np.asarray(targets, dtype=np.float64)
    tasks = heads.shape[1]
    if importance is not None and wanted.ndim == 2:
        wanted = wanted * np.sqrt(positive("importance", importance, wanted.shape[1]))
    left = np.atleast_1d(residual(heads, wanted, least_norm(heads, wanted)))
    if (left > 1e-6).any():
        t = int(np.argmax(left))
        raise BadInput(
            f"the sources leave {left[t]:.1%} of target {t} unexplained",
            "add sources, or give what they span of it: heads @ least_norm(heads, targets)",
        )
    scale = positive("noise", noise, tasks) * np.sqrt(positive("costs", costs, tasks))
    relevance, _ = least_group(heads, wanted, weights=scale)
    return power_shares(relevance, 1.0, costs=costs, noise=noise)


def _by_turns(
    heads: np.ndarray, targets: np.ndarray, tolerance: float, steps: int
) -> tuple[np.ndarray, float]:
    """Return the relevance of least sum of lengths (M, T), and its proved gap."""
    from scipy.linalg import cho_factor, cho_solve

    shares = np.full(heads.shape[1], 1.0 / heads.shape[1])
    relevance, best, gap = np.zeros((heads.shape[1], targets.shape[1])), 0.0, 0.0
    for _ in range(steps if targets.any() else 0):
        dual = cho_solve(cho_factor((heads * shares) @ heads.T), targets)
        steep = heads.T @ dual
        relevance = shares[:, None] * steep
        lengths = np.linalg.norm(relevance, axis=1)
        best = max(best, float((targets * dual).sum() / np.linalg.norm(steep, axis=1).max()))
        gap = float((lengths.sum() / best) ** 2 - 1.0)
        if gap <= tolerance:
            break
        shares = np.maximum(lengths / lengths.sum(), LEAST)
        shares /= shares.sum()
    return relevance, gap
