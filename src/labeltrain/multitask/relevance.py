"""Relevance: how a target task is made up of source tasks, ``W nu = w_T``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.relevance import largest_penalty

RANK = 1e-10  # singular values below this share of the largest are rounding


def least_norm(heads: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the relevance of least squared length, ``pinv(W) w_T``.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
        One column for each source task.
    target : ndarray of float, shape (K,) or (K, T)
        The head of the target task, or of each of T targets.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)
        Where the sources do not span the target: that of what they span of it.

    References
    ----------
    Chen et al.: Active multi-task representation learning, ICML 2022, arXiv 2202.00911.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import least_norm
    >>> least_norm(np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1])).round(3).tolist()
    [0.667, 0.333, 0.667]
    """
    heads, target = checked(heads, target)
    right, wanted = _spanned(heads, target)
    return np.asarray(right.T @ wanted)


def least_l1(
    heads: np.ndarray, target: np.ndarray, *, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the relevance of least (weighted) sum of sizes: at most K tasks have any.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    target : ndarray of float, shape (K,) or (K, T)
    weights : ndarray of float, shape (M,), optional
        Above 0; ``sum w_m |nu_m|`` is least. For samples that cost c_m each: ``sqrt(c_m)``.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)
        A vertex. Where the sources do not span the target: that of what they span of it.

    Notes
    -----
    A linear programme, solved by HiGHS; the vertex is then computed anew from its tasks, so that it
    is exact to rounding. The constraints are an orthonormal basis of the rows of W, so that
    ``Q W nu = Q w_T`` is the same programme for any invertible Q.

    References
    ----------
    Wang et al.: Improved active multi-task representation learning via Lasso, ICML 2023, arXiv
    2306.02556.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import least_l1
    >>> least_l1(np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1])).round(3).tolist()
    [0.5, 0.0, 1.0]
    """
    heads, target = checked(heads, target)
    scale = _weights(weights, heads.shape[1])
    right, wanted = _spanned(heads / scale, target)
    return each(lambda one: _vertex(right, one), wanted) / _like(scale, target)


def lasso(
    heads: np.ndarray,
    target: np.ndarray,
    penalty: float,
    *,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the relevance of least ``|W nu - w_T|^2 / 2 + penalty sum w_m |nu_m|``.

    For heads that are known up to noise. Columns are not normalised: a long head says more.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    target : ndarray of float, shape (K,) or (K, T)
    penalty : float
        Above 0. See :func:`penalty_by_residual` and :func:`penalty_by_noise`.
    weights : ndarray of float, shape (M,), optional
        Above 0; as in :func:`least_l1`.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)

    References
    ----------
    Wang et al.: Improved active multi-task representation learning via Lasso, ICML 2023, arXiv
    2306.02556.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import lasso
    >>> lasso(np.array([[2.0, 0, 1], [0, 1, 1]]), np.array([2.0, 1]), 0.1).round(3).tolist()
    [0.5, 0.0, 0.95]
    """
    return elastic_net(heads, target, penalty, 1.0, weights=weights)


def elastic_net(
    heads: np.ndarray,
    target: np.ndarray,
    penalty: float,
    l1_share: float = 0.5,
    *,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the relevance under a penalty of sizes and squares, which shares among like tasks.

    Least ``|W nu - w_T|^2 / 2 + penalty (a sum |u_m| + (1 - a) / 2 sum u_m^2)``, with ``u_m = w_m
    nu_m``.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    target : ndarray of float, shape (K,) or (K, T)
    penalty : float
        Above 0.
    l1_share : float
        a, above 0 and up to 1.
    weights : ndarray of float, shape (M,), optional
        Above 0; as in :func:`least_l1`.

    Returns
    -------
    ndarray of float64, shape (M,) or (M, T)

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import elastic_net
    >>> elastic_net(np.array([[1.0, 1.0]]), np.array([1.0]), 0.5, 0.5).round(3).tolist()
    [0.333, 0.333]
    """
    heads, target = checked(heads, target)
    if not np.isfinite(penalty) or penalty <= 0:
        raise BadInput(f"penalty={penalty!r}", "give a number above 0, or use least_l1")
    if not 0 < l1_share <= 1:
        raise BadInput(f"l1_share={l1_share!r}", "give a number above 0 and up to 1")
    scale = _weights(weights, heads.shape[1])
    scaled = heads / scale
    found = each(lambda one: _coordinate_descent(scaled, one, penalty, l1_share), target)
    return found / _like(scale, target)


def penalty_by_residual(
    heads: np.ndarray,
    target: np.ndarray,
    share: float = 0.15,
    *,
    l1_share: float = 1.0,
    weights: np.ndarray | None = None,
) -> float:
    """Return the largest penalty that leaves at most this share of the target unexplained.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    target : ndarray of float, shape (K,) or (K, T)
        Of several targets, the one with most left unexplained counts.
    share : float
        Between 0 and 1, on top of what no source explains:
        ``|W nu - w_T| <= share |w_T| + |r|``, r being that rest.
    l1_share : float
        As in :func:`elastic_net`.
    weights : ndarray of float, shape (M,), optional
        As in :func:`least_l1`.

    Returns
    -------
    float
        To a thousandth. What is left grows with the penalty, so halving finds it. Where heads are
        nearly alike it may leave more: none below 1e-4 of the largest sensible one is tried.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import penalty_by_residual
    >>> round(penalty_by_residual(np.eye(2), np.array([1.0, 0.0]), 0.2), 3)
    0.2
    """
    heads, target = checked(heads, target)
    if not 0 < share < 1:
        raise BadInput(f"share={share!r}", "give a number between 0 and 1")
    scale = _weights(weights, heads.shape[1])
    high = float(np.abs((heads / scale).T @ target).max()) / l1_share
    if high <= 0:
        return 1.0  # the target is 0, or the sources are: nothing is left under any penalty
    allowed = share + residual(heads, target, least_norm(heads, target))

    def fits(penalty: float) -> bool:
        found = elastic_net(heads, target, penalty, l1_share, weights=scale)
        return bool((residual(heads, target, found) <= allowed).all())

    return largest_penalty(fits, high)


def penalty_by_noise(heads: np.ndarray, noise: float, count: int) -> float:
    """Return a penalty of the size of what noise in the target's head does to the sources.

    ``noise * max |w_m| * sqrt(K / count)``, the order of ``max |w_m . e|`` for an error e of the
    target's head.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    noise : float
        Standard deviation of the labels around their function.
    count : int
        Samples of the target.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import penalty_by_noise
    >>> round(penalty_by_noise(np.eye(6), 0.3, 200), 3)
    0.052
    """
    heads = np.asarray(heads, dtype=np.float64)
    if noise < 0 or count < 1:
        raise BadInput(
            f"noise={noise!r} and count={count!r}", "give a noise of 0 or more and a count of 1 up"
        )
    longest = float(np.linalg.norm(heads, axis=0).max(initial=0.0))
    return noise * longest * float(np.sqrt(len(heads) / count))


def residual(heads: np.ndarray, target: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """Return which share of the target's head is left unexplained, ``|W nu - w_T| / |w_T|``.

    Under :func:`least_norm` it is what no source explains, however many samples are drawn.

    Parameters
    ----------
    heads : ndarray of float, shape (K, M)
    target : ndarray of float, shape (K,) or (K, T)
    relevance : ndarray of float, shape (M,) or (M, T)

    Returns
    -------
    ndarray of float64, shape () or (T,)
        0 for a target that is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.relevance import residual
    >>> float(residual(np.array([[1.0], [0.0]]), np.array([3.0, 4.0]), np.array([3.0])))
    0.8
    """
    heads, target = checked(heads, target)
    left = np.linalg.norm(heads @ relevance - target, axis=0)
    size = np.linalg.norm(target, axis=0)
    return np.where(size > 0, left / np.where(size > 0, size, 1.0), 0.0)


def checked(heads: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return heads and target as float64, of shapes that fit.

    Raises
    ------
    BadInput
        Shapes that do not fit, numbers that are not finite.
    """
    heads = np.asarray(heads, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    if heads.ndim != 2 or not heads.shape[1]:
        raise BadInput(
            f"heads of shape {heads.shape}", "give one column for each source task, (K, M)"
        )
    if target.ndim not in (1, 2) or len(target) != len(heads):
        raise BadInput(
            f"a target of shape {target.shape} beside heads of shape {heads.shape}",
            f"give the target's head with {len(heads)} entries, or one column for each target",
        )
    for name, values in (("heads", heads), ("target", target)):
        if not np.isfinite(values).all():
            place = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(values)))
            raise BadInput(f"{name} has {values[place]} at {place}", "give finite numbers")
    return heads, target


def _weights(weights: np.ndarray | None, tasks: int) -> np.ndarray:
    if weights is None:
        return np.ones(tasks)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (tasks,):
        raise BadInput(f"weights of shape {found.shape}", f"give one for each of {tasks} tasks")
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if len(bad):
        raise BadInput(f"the weight of task {bad[0]} is {found[bad[0]]}", "give numbers above 0")
    return found


def _like(scale: np.ndarray, target: np.ndarray) -> np.ndarray:
    return scale[:, None] if target.ndim == 2 else scale


def each(solve: Callable[[np.ndarray], np.ndarray], target: np.ndarray) -> np.ndarray:
    """Return what is solved for a target (K,), or for each column of several (K, T)."""
    if target.ndim == 1:
        return solve(target)
    return np.stack([solve(target[:, t]) for t in range(target.shape[1])], axis=1)


def _spanned(heads: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return V (r, M) with orthonormal rows and b, so that ``V nu = b`` is ``W nu = w_T``."""
    left, values, right = np.linalg.svd(heads, full_matrices=False)
    rank = int((values > RANK * max(values[0], np.finfo(float).tiny)).sum()) if len(values) else 0
    size = values[:rank] if target.ndim == 1 else values[:rank, None]
    return right[:rank], (left[:, :rank].T @ target) / size


def _vertex(right: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return nu of least L1 norm with ``right @ nu = wanted``."""
    from scipy.optimize import linprog

    tasks = right.shape[1]
    size = float(np.linalg.norm(wanted))
    if not size:
        return np.zeros(tasks)
    # nu = plus - minus, both at least 0; in units of the right side, for HiGHS's tolerances.
    answer = linprog(
        np.ones(2 * tasks), A_eq=np.hstack([right, -right]), b_eq=wanted / size,
        bounds=(0, None), method="highs-ds",
    )  # fmt: skip
    if answer.x is None:
        raise BadInput(
            f"the linear programme of the relevance was not solved: {answer.message}",
            "use least_norm or lasso for these heads",
        )
    rough = (answer.x[:tasks] - answer.x[tasks:]) * size
    some = np.flatnonzero(np.abs(rough) > 1e-9 * np.abs(rough).max())
    exact = np.zeros(tasks)
    exact[some] = np.linalg.lstsq(right[:, some], wanted, rcond=None)[0]
    return exact


def _coordinate_descent(
    heads: np.ndarray, target: np.ndarray, penalty: float, l1_share: float
) -> np.ndarray:
    from sklearn.linear_model import ElasticNet

    size = float(np.linalg.norm(target))
    if not size or penalty * l1_share >= float(np.abs(heads.T @ target).max()):
        return np.zeros(heads.shape[1])
    # scikit-learn divides the squares by the rows, which are K here.
    model = ElasticNet(
        alpha=penalty / len(heads), l1_ratio=l1_share, fit_intercept=False, tol=1e-10,
        max_iter=100_000,
    )  # fmt: skip
    return np.asarray(model.fit(heads, target).coef_, dtype=np.float64)
