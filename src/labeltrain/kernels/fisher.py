"""BAIT's search: batches that make the expected variance of the predictions small."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks

ROWS = 512  # items updated at a time
LEADING = 64  # classes of an item that its factor is made of, at least


def item_factors(probabilities: np.ndarray, rank: int, *, labels: bool = False) -> np.ndarray:
    """Return U (n, C, r) with U U' = diag(p) - p p', or as near to it as `rank` columns come.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
    rank : int
        Columns kept, those of the largest eigenvalues; exact from C - 1 on.
    labels : bool
        True for independent labels: U U' = diag(p (1 - p)), exact from C on.

    Notes
    -----
    O(n m^3) for m = min(C, max(64, 4 rank)): of more classes, only the m most likely ones of each
    item enter its factor. Of flat distributions over 300 classes the leading eigenvalues then lose
    half a per cent, and U U' exceeds the matrix by up to 6 per cent of the largest.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    n, classes = p.shape
    if labels:
        spread = np.sqrt(np.maximum(p * (1.0 - p), 0.0))
        r = max(1, min(rank, classes))
        top = np.argsort(-spread, axis=1, kind="stable")[:, :r]
        factors = np.zeros((n, classes, r))
        rows = np.arange(n)[:, None]
        factors[rows, top, np.arange(r)] = spread[rows, top]
        return factors
    r = max(1, min(rank, classes - 1))
    m = min(classes, max(LEADING, 4 * r))
    factors = np.zeros((n, classes, r))

    def fill(rows: slice) -> None:
        block = p[rows]
        if m < classes:
            top = np.sort(np.argsort(-block, axis=1, kind="stable")[:, :m], axis=1)
            block = np.take_along_axis(block, top, axis=1)
        matrices = -block[:, :, None] * block[:, None, :]
        diagonal = np.arange(m)
        matrices[:, diagonal, diagonal] += block
        values, vectors = np.linalg.eigh(matrices)
        found = vectors[:, :, -r:] * np.sqrt(np.maximum(values[:, None, -r:], 0.0))
        if m < classes:
            np.put_along_axis(factors[rows], top[:, :, None], found, axis=1)
        else:
            factors[rows] = found

    map_blocks(fill, row_blocks(n, max(1, min(ROWS, 2**21 // m**2))))
    return factors


def fisher_sum(
    points: np.ndarray, probabilities: np.ndarray, *, labels: bool = False
) -> np.ndarray:
    """Return sum_i (diag(p_i) - p_i p_i') ⊗ z_i z_i', float64 (C d, C d).

    Parameters
    ----------
    points : ndarray of float64, shape (n, d)
    probabilities : ndarray of float64, shape (n, C)
    labels : bool
        True for independent labels: diag(p (1 - p)) in place of diag(p) - p p'.
    """
    n, d = points.shape
    classes = probabilities.shape[1]

    def add(rows: slice) -> np.ndarray:
        z, p = points[rows], probabilities[rows]
        total = np.zeros((classes, d, classes, d))
        if not labels:
            outer = (p[:, :, None] * z[:, None, :]).reshape(len(z), -1)
            total -= (outer.T @ outer).reshape(total.shape)
        weights = p * (1.0 - p) if labels else p
        for c in range(classes):
            total[c, :, c, :] += (z * weights[:, c, None]).T @ z
        return total.reshape(classes * d, classes * d)

    total = np.zeros((classes * d, classes * d))
    # A few blocks at a time: each holds a matrix of the full size.
    blocks = row_blocks(n, 4096)
    for start in range(0, len(blocks), 4):
        for part in map_blocks(add, blocks[start : start + 4]):
            total += part
    return total


class FisherSearch:
    """Adds items to and takes items from M, and knows what each would change of tr(M^-1 F).

    Parameters
    ----------
    points : ndarray of float64, shape (n, d)
        The items that can be added.
    factors : ndarray of float64, shape (n, C, r)
        See :func:`item_factors`.
    matrix : ndarray of float64, shape (C d, C d)
        M at the start: positive definite.
    target : ndarray of float64, shape (C d, C d)
        F.

    Notes
    -----
    An item adds V V' with V = U ⊗ z, so M^-1 changes by the Woodbury identity, and so do the small
    matrices g = V'M^-1 V and h = V'M^-1 F M^-1 V of all the other items: O(n D r) a pick for
    D = C d, where evaluating each item anew would take O(n D²).
    """

    def __init__(
        self, points: np.ndarray, factors: np.ndarray, matrix: np.ndarray, target: np.ndarray
    ) -> None:
        self.points = points
        self.factors = factors
        self.target = target
        self.inverse = np.asfortranarray(np.linalg.inv(matrix))  # symmetric; BLAS writes into it
        n, _, r = factors.shape
        self.g = np.empty((n, r, r))
        self.h = np.empty((n, r, r))
        per_item = factors.shape[1] ** 2 * points.shape[1]
        rows = int(np.clip(2**22 // max(per_item, 1), 1, ROWS))
        for whole, small in (
            (self.inverse, self.g),
            (self.inverse @ target @ self.inverse, self.h),
        ):
            self._start(whole, small, row_blocks(n, rows))

    @property
    def objective(self) -> float:
        """tr(M^-1 F)."""
        return float((self.inverse * self.target).sum())

    def _start(self, whole: np.ndarray, small: np.ndarray, blocks: list[slice]) -> None:
        """Fill small[i] with V_i' whole V_i."""
        classes, d = self.factors.shape[1], self.points.shape[1]
        turned = whole.reshape(classes, d, classes * d).transpose(1, 0, 2).reshape(d, -1)

        def fill(rows: slice) -> None:
            z, u = self.points[rows], self.factors[rows]
            once = (z @ turned).reshape(len(z), classes * classes, d)
            twice = np.einsum("kcd,kd->kc", once, z).reshape(len(z), classes, classes)
            small[rows] = u.transpose(0, 2, 1) @ twice @ u

        map_blocks(fill, blocks)

    def gains(self) -> np.ndarray:
        """Return what adding each item would take off tr(M^-1 F), float64 (n,)."""
        return self._changes(1.0)

    def losses(self) -> np.ndarray:
        """Return what taking each item away again would add to tr(M^-1 F), float64 (n,)."""
        return self._changes(-1.0)

    def _changes(self, sign: float) -> np.ndarray:
        from labeltrain.kernels import _compiled_fisher as compiled

        result = np.empty(len(self.points))

        def fill(rows: slice) -> None:
            compiled.changes(self.g[rows], self.h[rows], sign, result[rows])

        map_blocks(fill, row_blocks(len(result), 4 * ROWS))
        return result

    def move(self, item: int, sign: float) -> None:
        """Add (sign 1) or take away (sign -1) an item."""
        from scipy.linalg.blas import dgemm

        from labeltrain.kernels import _compiled_fisher as compiled

        u, z = self.factors[item], self.points[item]
        v = (u[:, None, :] * z[None, :, None]).reshape(-1, u.shape[1])
        held = np.abs(v).max(axis=0) > 0.0
        v = v[:, held]
        if v.shape[1] == 0:
            return  # it says nothing: M stays
        moved = self.inverse @ v
        values, vectors = np.linalg.eigh(np.eye(v.shape[1]) + sign * (v.T @ moved))
        w = moved @ (vectors / np.sqrt(np.maximum(values, 1e-12)))
        fw = self.target @ w
        y = self.inverse @ fw
        middle = w.T @ fw
        self.inverse = dgemm(-sign, w, w, beta=1.0, c=self.inverse, trans_b=True, overwrite_c=True)
        classes, d, q = u.shape[0], len(z), w.shape[1]
        stacked = np.concatenate([w, y], axis=1).reshape(classes, d, 2 * q)
        both = np.ascontiguousarray(stacked.transpose(1, 0, 2)).reshape(d, -1)

        def update(rows: slice) -> None:
            seen = (self.points[rows] @ both).reshape(-1, classes, 2 * q)
            compiled.update_items(
                self.factors[rows],
                np.ascontiguousarray(seen[:, :, :q]),
                np.ascontiguousarray(seen[:, :, q:]),
                middle,
                sign,
                self.g[rows],
                self.h[rows],
            )

        map_blocks(update, row_blocks(len(self.points), ROWS))


def forward_backward(search: FisherSearch, count: int, oversample: float) -> np.ndarray:
    """Add the best item `oversample` x `count` times, then take the least missed ones away.

    Returns
    -------
    ndarray of int64, shape (count,)
        In the order in which they were added; ties to the lowest row.
    """
    n = len(search.points)
    size = min(n, max(count, int(np.ceil(oversample * count))))
    chosen: list[int] = []
    free = np.ones(n, dtype=bool)
    for _ in range(size):
        best = int(np.where(free, search.gains(), -np.inf).argmax())
        free[best] = False
        chosen.append(best)
        search.move(best, 1.0)
    # Only what was chosen can be taken away: the rest need not be kept up to date.
    kept = np.asarray(chosen)
    search.points, search.factors = search.points[kept], search.factors[kept]
    search.g, search.h = search.g[kept], search.h[kept]
    held = np.ones(len(kept), dtype=bool)
    while held.sum() > count:
        # Of equals the one added last goes.
        losses = np.where(held, search.losses(), np.inf)
        worst = len(losses) - 1 - int(losses[::-1].argmin())
        held[worst] = False
        search.move(worst, -1.0)
    return kept[held]


def swap(
    search: FisherSearch, count: int, proposals: int, sweeps: int, rng: np.random.Generator
) -> np.ndarray:
    """Start at random; in turn replace each item by the best of a few proposals and itself.

    Returns
    -------
    ndarray of int64, shape (count,)
    """
    n = len(search.points)
    chosen = rng.choice(n, count, replace=False)
    free = np.ones(n, dtype=bool)
    free[chosen] = False
    for item in chosen:
        search.move(int(item), 1.0)
    for slot in [*range(count)] * sweeps:
        old = int(chosen[slot])
        search.move(old, -1.0)
        others = np.flatnonzero(free)
        proposed = rng.choice(others, min(proposals, len(others)), replace=False)
        options = np.concatenate([[old], proposed]).astype(np.int64)
        best = int(options[search.gains()[options].argmax()])
        free[old], free[best] = True, False
        chosen[slot] = best
        search.move(best, 1.0)
    return chosen.astype(np.int64)
