"""Linear representations that tasks share: ``y = w_m' B' x``, with B (d, K) orthonormal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.multitask.samples import Samples

SOLVED = 0.02  # each step solves for B until the error is this share of what it was
SOLVES = 30  # rounds of conjugate gradients a step, at most
STARTS = 5  # random bases that steps towards tasks are taken from
NOTHING = 1e-26  # a mean squared error that is this share of the values' is rounding


@dataclass(frozen=True)
class SharedLinear:
    """A linear representation, with the heads it was learned with.

    Attributes
    ----------
    basis : ndarray of float64, shape (d, K)
        Orthonormal columns (but for one that took a step).
    heads : ndarray of float64, shape (K, M)
    error : float
        Mean squared error of the samples it was learned from.
    steps : int
        Steps taken.
    features : float, optional
        As many as d free ones would be, under the penalty: ``sum s / (s + penalty)`` over the
        eigenvalues s of the rows' second moments. d by default.

    Notes
    -----
    Only the span of the basis is determined: a turned basis with turned heads is the same model.
    """

    basis: np.ndarray
    heads: np.ndarray
    error: float
    steps: int
    features: float | None = None

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Return the representation of rows, float64 (n, K)."""
        return np.asarray(np.asarray(rows, dtype=np.float64) @ self.basis)

    def stepped(
        self, rows: np.ndarray, values: np.ndarray, head: np.ndarray, rate: float
    ) -> SharedLinear:
        """Return it after a step of the basis down a task's mean squared error, its head fixed."""
        missed = rows @ (self.basis @ head) - values
        slope = np.outer(rows.T @ missed, head) * (2.0 / max(len(rows), 1))
        return SharedLinear(self.basis - rate * slope, self.heads, self.error, self.steps)

    def starts(self) -> tuple[SharedLinear, ...]:
        """Return random bases as wide as this one: what steps towards tasks are taken from."""
        rng = np.random.default_rng(0)
        return tuple(
            SharedLinear(np.linalg.qr(rng.normal(size=self.basis.shape))[0], self.heads, np.nan, 0)
            for _ in range(STARTS)
        )

    @property
    def freedom(self) -> int:
        """Numbers that determine the representation, K (d - K), fewer under a penalty."""
        d, k = self.basis.shape
        return round(k * max((d if self.features is None else self.features) - k, 0.0))


def alternating_least_squares(
    samples: Samples,
    dimension: int,
    *,
    ridge: float = 1e-8,
    steps: int = 100,
    tolerance: float = 1e-7,
    start: np.ndarray | None = None,
) -> SharedLinear:
    """Return the representation and heads of least squared error over all samples.

    Heads for a given basis, the basis for given heads, in turn.

    Parameters
    ----------
    samples : Samples
    dimension : int
        K, at most the features and the tasks.
    ridge : float
        Penalty of the squares of each task's direction ``B w_m``, a sample and in units of the mean
        square of a feature. A tiny one decides where a task has fewer samples than K; a large one
        (0.1, say) is for fewer samples in all than the basis has numbers.
    steps : int
        At most.
    tolerance : float
        It ends once the basis turns by less than this angle.
    start : ndarray of float64, shape (d, K), optional
        A basis to begin with; :func:`spectral_start` by default.

    Returns
    -------
    SharedLinear

    Notes
    -----
    Tasks are compressed to d + 1 rows, and the normal equations of the basis, ``sum_m G_m B w_m
    w_m' = sum_m h_m w_m'``, are never built (dK x dK): conjugate gradients need two products of all
    rows with a (d, K) matrix a round. Were all tasks' ``G_m`` alike, they would be a product of a
    d x d and a K x K matrix, and that is what they are preconditioned with. O(M d^2 K) a round.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.multitask.linear import alternating_least_squares
    >>> from labeltrain.multitask.samples import Samples
    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> found = alternating_least_squares(Samples.of([(x, x[:, 1]), (x, -2 * x[:, 1])]), 1)
    >>> np.abs(found.basis[:, 0]).round(6).tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    _check(samples, dimension)
    small = samples.compressed()
    penalty = ridge * mean_square(small)
    basis = spectral_start(small, dimension) if start is None else np.linalg.qr(start)[0]
    return in_turn(
        small,
        basis,
        lambda b: heads_of(b, small, penalty),
        penalty=penalty,
        steps=steps,
        tolerance=tolerance,
    )


def in_turn(
    samples: Samples,
    basis: np.ndarray,
    heads_for: Callable[[np.ndarray], np.ndarray],
    *,
    penalty: float = 0.0,
    steps: int = 100,
    tolerance: float = 1e-7,
) -> SharedLinear:
    """Take heads for a given basis and the basis for given heads in turn, until it stands still.

    Parameters
    ----------
    samples : Samples
        Compressed.
    basis : ndarray of float64, shape (d, K)
        To begin with; orthonormal columns.
    heads_for : callable
        From a basis to the heads (K, M) of least squared error on it.
    penalty : float
        Of the squares of each task's direction, a sample.
    steps : int
        At most.
    tolerance : float
        It ends once the basis turns by less than this angle.

    Returns
    -------
    SharedLinear
    """
    second = samples.rows.T @ samples.rows / int(samples.counts.sum())
    free = float(len(second))
    if penalty > 0:
        sizes = np.maximum(np.linalg.eigvalsh(second), 0.0)
        free = float((sizes / (sizes + penalty)).sum())
    second[np.diag_indices(len(second))] += penalty + 1e-9 * mean_square(samples)
    factor = np.linalg.inv(second)
    taken = 0
    while taken < steps:
        taken += 1
        heads = heads_for(basis)
        fresh = np.linalg.qr(basis_for(heads, basis, samples, factor, penalty))[0]
        turned = float(np.linalg.norm(fresh - basis @ (basis.T @ fresh)))
        basis = fresh
        if turned <= tolerance:
            break
    heads = heads_for(basis)
    return SharedLinear(basis, heads, _error(basis, heads, samples), taken, free)


def alternating_descent(
    samples: Samples,
    dimension: int,
    *,
    ridge: float = 1e-8,
    steps: int = 500,
    tolerance: float = 1e-7,
    truncation: float = 9.0,
) -> SharedLinear:
    """Return a representation for tasks with fewer samples than features (AltGDmin).

    Heads by least squares, then one step of the basis down the gradient. Every task counts alike,
    however many samples it has.

    Parameters
    ----------
    samples : Samples
    dimension : int
        K, at most the features and the tasks.
    ridge : float
        As in :func:`alternating_least_squares`.
    steps : int
        At most.
    tolerance : float
        It ends once a step turns the basis by less than this angle.
    truncation : float
        The start leaves out values whose square is above this many times the mean square.

    Returns
    -------
    SharedLinear

    Notes
    -----
    It begins with the K leading left singular vectors of the columns ``mean of x y`` of all tasks,
    which need samples in all, not in each. A step that makes the error larger is halved; one that
    does not is lengthened by a tenth. O(n d K) a step.

    References
    ----------
    Nayer, Vaswani: Fast and sample-efficient federated low rank matrix recovery from column-wise
    linear and quadratic projections, IEEE Transactions on Information Theory 2023.
    """
    _check(samples, dimension)
    scale = mean_square(samples)
    basis = _moment_start(samples, dimension, truncation)
    samples = samples.compressed()
    weights = 1.0 / np.maximum(samples.counts, 1)[samples.owners]
    heads = heads_of(basis, samples, ridge * scale)
    now = _error(basis, heads, samples, weights)
    step = 0.5 / max(scale * np.linalg.norm(heads, 2) ** 2, np.finfo(float).tiny)
    taken = 0
    while taken < steps:
        taken += 1
        own = heads.T[samples.owners]
        missed = np.einsum("nk,nk->n", samples.rows @ basis, own) - samples.values
        slope = samples.rows.T @ ((weights * missed)[:, None] * own)
        while True:
            fresh = np.linalg.qr(basis - step * slope)[0]
            turned = float(np.linalg.norm(fresh - basis @ (basis.T @ fresh)))
            found = heads_of(fresh, samples, ridge * scale)
            error = _error(fresh, found, samples, weights)
            if error <= now or turned <= tolerance:
                break
            step *= 0.5
        if error <= now:
            basis, heads, now = fresh, found, error
        if turned <= tolerance:
            break
        step *= 1.1
    return SharedLinear(basis, heads, _error(basis, heads, samples), taken)


def heads_of(basis: np.ndarray, samples: Samples, penalty: float) -> np.ndarray:
    """Return the head of each task on a fixed basis, by ridge regression, float64 (K, M).

    Parameters
    ----------
    basis : ndarray of float64, shape (d, K)
    samples : Samples
    penalty : float
        Of the squares of a head, a sample; a task without samples has the head 0.

    Returns
    -------
    ndarray of float64, shape (K, M)
    """
    encoded = samples.rows @ basis
    k, bounds = basis.shape[1], samples.starts
    products = np.empty((samples.tasks, k, k))
    sides = np.empty((samples.tasks, k, 1))
    for m in range(samples.tasks):
        own = encoded[bounds[m] : bounds[m + 1]]
        np.matmul(own.T, own, out=products[m])
        np.matmul(own.T, samples.values[bounds[m] : bounds[m + 1], None], out=sides[m])
    tiny = np.finfo(float).tiny ** 0.5  # for tasks without samples
    products[:, np.arange(k), np.arange(k)] += (penalty * samples.counts + tiny)[:, None]
    return np.ascontiguousarray(np.linalg.solve(products, sides)[:, :, 0].T)


def left_out_head(
    rows: np.ndarray, values: np.ndarray, penalties: np.ndarray, *, centred: bool = False
) -> tuple[np.ndarray, float]:
    """Return the ridge head of the penalty with the least error of left-out samples.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, K)
        Encoded samples.
    values : ndarray of float64, shape (n,)
    penalties : ndarray of float64, shape (p,)
        Above 0, of the squares of the head.
    centred : bool
        Rows and values are without their means: an intercept was fitted, too, which is then anew
        without the sample that is left out.

    Returns
    -------
    head : ndarray of float64, shape (K,)
    error : float
        Mean squared error of each sample under the head of all others.

    Notes
    -----
    One singular value decomposition: errors are ``(y - f) / (1 - h)``, h being the leverage.
    """
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    inside = left.T @ values
    best, found = np.inf, np.zeros(rows.shape[1])
    intercept = 1.0 / len(rows) if centred else 0.0
    for penalty in penalties:
        shrunk = sizes**2 / (sizes**2 + penalty)
        kept = np.maximum(1.0 - intercept - (left**2) @ shrunk, 1e-12)
        error = float((((values - left @ (shrunk * inside)) / kept) ** 2).mean())
        if error < best:
            best = error
            found = right.T @ (sizes / (sizes**2 + penalty) * inside)
    return found, best


def spectral_start(samples: Samples, dimension: int) -> np.ndarray:
    """Return the K directions that ridge regressions of the tasks share most, (d, K).

    The leading left singular vectors of ``sqrt(n_m) theta_m``, each theta shrunk as if signal and
    noise were alike: few samples say little.
    """
    d = samples.rows.shape[1]
    penalty = d * mean_square(samples)
    columns = np.zeros((d, samples.tasks))
    for m, (rows, values) in enumerate(samples):
        if not len(rows):
            continue
        if len(rows) < d:
            inner = rows @ rows.T
            inner[np.diag_indices(len(rows))] += penalty
            columns[:, m] = rows.T @ np.linalg.solve(inner, values)
        else:
            whole = rows.T @ rows
            whole[np.diag_indices(d)] += penalty
            columns[:, m] = np.linalg.solve(whole, rows.T @ values)
    return _leading(columns * np.sqrt(samples.counts), dimension)


def _moment_start(samples: Samples, dimension: int, truncation: float) -> np.ndarray:
    limit = truncation * float((samples.values**2).mean())
    kept = np.where(samples.values**2 <= limit, samples.values, 0.0)
    columns = np.zeros((samples.rows.shape[1], samples.tasks))
    for m, (a, b) in enumerate(zip(samples.starts[:-1], samples.starts[1:], strict=True)):
        columns[:, m] = samples.rows[a:b].T @ kept[a:b] / max(b - a, 1)
    return _leading(columns, dimension)


def _leading(columns: np.ndarray, dimension: int) -> np.ndarray:
    return np.ascontiguousarray(np.linalg.svd(columns, full_matrices=False)[0][:, :dimension])


def basis_for(
    heads: np.ndarray,
    basis: np.ndarray,
    samples: Samples,
    factor: np.ndarray,
    penalty: float = 0.0,
) -> np.ndarray:
    """Return the basis of (nearly) least squared error for given heads.

    Parameters
    ----------
    heads : ndarray of float64, shape (K, M)
    basis : ndarray of float64, shape (d, K)
        Where the search begins.
    samples : Samples
    factor : ndarray of float64, shape (d, d)
        Inverse of the rows' second moments (and the penalty): the preconditioner's one half.
    penalty : float
        Of the squares of each task's direction ``B w_m``, a sample.

    Returns
    -------
    ndarray of float64, shape (d, K)
    """
    own = heads.T[samples.owners]
    weighed = (heads * samples.counts) @ heads.T
    heavy = weighed.copy()
    # Directions that no head has are left as they are: there the equations say nothing.
    tiny = 1e-12 * max(float(np.trace(heavy)), np.finfo(float).tiny)
    heavy[np.diag_indices(len(heavy))] += tiny
    across = np.linalg.inv(heavy)

    def times(b: np.ndarray) -> np.ndarray:
        inner = np.einsum("nk,nk->n", samples.rows @ b, own)
        return np.asarray(samples.rows.T @ (inner[:, None] * own) + penalty * (b @ weighed))

    missed = samples.values - np.einsum("nk,nk->n", samples.rows @ basis, own)
    left = samples.rows.T @ (missed[:, None] * own) - penalty * (basis @ weighed)
    found = basis.copy()
    ready = factor @ left @ across
    direction, size = ready, float((left * ready).sum())
    first = size
    for _ in range(SOLVES):
        if size <= SOLVED**2 * first or size <= 0.0:
            break
        image = times(direction)
        curved = float((direction * image).sum())
        if curved <= 0.0:
            break
        found += size / curved * direction
        left = left - size / curved * image
        ready = factor @ left @ across
        before, size = size, float((left * ready).sum())
        direction = ready + size / before * direction
    return found


def _error(
    basis: np.ndarray, heads: np.ndarray, samples: Samples, weights: np.ndarray | None = None
) -> float:
    own = heads.T[samples.owners]
    squares = (np.einsum("nk,nk->n", samples.rows @ basis, own) - samples.values) ** 2
    if weights is not None:
        return float(weights @ squares)
    return float(squares.sum() / max(int(samples.counts.sum()), 1))


def mean_square(samples: Samples) -> float:
    """Return the mean square of a feature; 1 where all are 0.

    Parameters
    ----------
    samples : Samples

    Returns
    -------
    float
    """
    total = int(samples.counts.sum()) * samples.rows.shape[1]
    found = float((samples.rows**2).sum()) / max(total, 1)
    return found if found > 0 else 1.0


def _check(samples: Samples, dimension: int) -> None:
    d, most = samples.rows.shape[1], samples.tasks
    if not 1 <= dimension <= min(d, most):
        raise BadInput(
            f"dimension={dimension} for {d} features and {most} tasks",
            f"give a whole number from 1 to {min(d, most)}",
        )
    if not len(samples.rows):
        raise BadInput("no samples", "draw some of each task first")
