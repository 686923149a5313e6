"""BatchBALD's greedy search: joint mutual information of a batch and a committee."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.uncertainty import TINY

BLOCK = 64  # candidates looked at together: their joint tables are held in memory
SPENT = 0.02  # of the log2 S bits of S members, or of a joint's first gain: below this is noise
TINIEST = 1e-9  # bits; less is rounding


def greedy_joint_information(
    committee: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    configurations: int = 1024,
    spent: float = SPENT,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick, again and again, what raises the mutual information of batch and member most.

    Parameters
    ----------
    committee : ndarray of float, shape (S, n, C)
    count : int
        At most n.
    rng : numpy.random.Generator
        Used once the batch has more joint labellings than `configurations`.
    configurations : int
        Joint labellings of the batch that are kept: all of them while they are no more than this
        (exact), else so many drawn from their distribution.
    spent : float
        See the notes; 0 goes on with one joint until gains are rounding.

    Returns
    -------
    rows : ndarray of int64, shape (count,)
        In pick order; ties to the lowest row.
    gains : ndarray of float64, shape (count,)
        What each pick added, in bits.

    Notes
    -----
    The joint information is submodular, so a gain of an earlier moment is an upper bound: only
    the leading candidates are evaluated again (lazy greedy), `BLOCK` at a time. A committee of S
    members carries log2 S bits at most; when all but `SPENT` of them are told, or gains have fallen
    to that share of the first, a new joint begins with the next pick: what is left is noise.
    """
    members, n, _ = committee.shape
    noise = _expected_entropy(committee)
    fresh = _Joint(members, configurations)
    alone = fresh.gains(committee, np.arange(n), noise)
    bounds = alone.copy()
    joint = fresh
    left = np.ones(n, dtype=bool)
    rows: list[int] = []
    gains: list[float] = []
    told = first = 0.0  # bits the joint has, and what its first pick gave
    while len(rows) < count:
        enough = told > 0.0 and told >= (1.0 - spent) * np.log2(members)
        if not enough:
            best, gain = _lazy_best(joint, committee, noise, bounds, left)
            enough = joint is not fresh and gain <= max(TINIEST, spent * first)
        if enough:
            joint, bounds = fresh, np.where(left, alone, -np.inf)
            told = first = 0.0
            continue
        rows.append(best)
        gains.append(gain)
        told, first = told + gain, first or gain
        left[best] = False
        bounds[best] = -np.inf
        joint = joint.extended(committee[:, best], rng)
    return np.asarray(rows, dtype=np.int64), np.asarray(gains)


def _lazy_best(
    joint: _Joint, committee: np.ndarray, noise: np.ndarray, bounds: np.ndarray, left: np.ndarray
) -> tuple[int, float]:
    """Evaluate the leaders of `bounds` until the best is above all that are stale."""
    fresh = np.zeros(len(bounds), dtype=bool)
    fresh[~left] = True
    while True:
        stale = np.where(fresh, -np.inf, bounds)
        top = float(np.where(fresh, bounds, -np.inf).max())
        if top >= stale.max():
            # A stale bound that equals it may hide a tie at a lower row.
            ties = np.flatnonzero(stale == top)
            if len(ties) == 0 or top == -np.inf:
                break
            leaders = ties[:BLOCK]
        else:
            size = min(2 * BLOCK, int((~fresh).sum()))
            leaders = np.argpartition(-stale, size - 1)[:size]
        bounds[leaders] = joint.gains(committee, leaders, noise)
        fresh[leaders] = True
    best = int(np.where(left, bounds, -np.inf).argmax())
    return best, max(float(bounds[best]), 0.0)


def _expected_entropy(committee: np.ndarray) -> np.ndarray:
    bits = np.zeros(committee.shape[1])
    for member in committee:
        p = np.asarray(member, dtype=np.float64)
        bits -= (p * np.log2(np.maximum(p, TINY))).sum(axis=1)
    return bits / len(committee)


class _Joint:
    """The joint distribution of the labels of a batch: its labellings, or a sample of them."""

    def __init__(
        self, members: int, limit: int, table: np.ndarray | None = None, *, sampled: bool = False
    ) -> None:
        self.limit = limit
        self.table = np.ones((1, members)) if table is None else table  # (K, S): p(labelling | s)
        self.sampled = sampled
        self.chance = self.table.mean(axis=1)  # (K,): p(labelling)
        self.entropy = -float((self.chance * np.log2(np.maximum(self.chance, 1e-300))).sum())

    def gains(self, committee: np.ndarray, rows: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return what each row would add to the joint information, in bits."""
        result = np.empty(len(rows))
        # Drawn labellings are an estimate already: float32, scaled so that none is tiny.
        kind: Any = np.float32 if self.sampled else np.float64
        scale = self.table.mean(axis=1, keepdims=True) if self.sampled else np.ones((1, 1))
        table = (self.table / (scale * len(self.table[0]))).astype(kind)

        def evaluate(part: slice) -> None:
            p = np.asarray(committee[:, rows[part]], dtype=kind)  # (S, k, C)
            members, k, classes = p.shape
            joint = table @ p.reshape(members, k * classes)  # (K, k C): p(y | labelling) if drawn
            terms = np.log(np.maximum(joint, np.finfo(kind).tiny))  # log2 is several times slower
            terms *= joint
            total = terms.sum(axis=0, dtype=np.float64).reshape(k, classes).sum(axis=1) / np.log(2)
            result[part] = -total / len(table) if self.sampled else -total

        map_blocks(evaluate, row_blocks(len(rows), BLOCK))
        # Drawn: the entropy of the item given each labelling, so that of the batch is not in it.
        return result - noise[rows] - (0.0 if self.sampled else self.entropy)

    def extended(self, member_probabilities: np.ndarray, rng: np.random.Generator) -> _Joint:
        """Return the joint with one more item, whose probabilities are (S, C)."""
        p = np.asarray(member_probabilities, dtype=np.float64)
        members, classes = p.shape
        if not self.sampled and len(self.table) * classes <= self.limit:
            table = (self.table[:, None, :] * p.T).reshape(-1, members)
            return _Joint(members, self.limit, table[table.any(axis=1)])
        table = self.table
        if not self.sampled:
            table = table[rng.choice(len(table), self.limit, p=self.chance / self.chance.sum())]
        # The label of the new item given each labelling: a draw from its predictive distribution.
        predictive = table @ p
        cumulative = np.cumsum(predictive, axis=1)
        drawn = (rng.random((len(table), 1)) * cumulative[:, -1:] > cumulative).sum(axis=1)
        extended = table * p.T[drawn]
        extended /= np.maximum(extended.max(axis=1, keepdims=True), 1e-300)  # only ratios count
        return _Joint(members, self.limit, extended, sampled=True)
