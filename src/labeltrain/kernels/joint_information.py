"""BatchBALD's greedy search: joint mutual information of a batch and a committee."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.uncertainty import TINY

BLOCK = 64  # candidates looked at together: their joint tables are held in memory
SPENT = 1e-9  # bits; less is rounding


def greedy_joint_information(
    committee: np.ndarray, count: int, rng: np.random.Generator, *, configurations: int = 4096
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
    members carries log2 S bits at most; when they are spent, a new joint begins with the next
    pick, since all gains would be zero from there on.
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
    while len(rows) < count:
        best, gain = _lazy_best(joint, committee, noise, bounds, left)
        if gain <= SPENT and joint is not fresh:
            joint, bounds = fresh, np.where(left, alone, -np.inf)
            continue
        rows.append(best)
        gains.append(gain)
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
        if sampled:
            self.entropy = -float(np.log2(self.chance).mean())
        else:
            self.entropy = -float((self.chance * np.log2(np.maximum(self.chance, 1e-300))).sum())

    def gains(self, committee: np.ndarray, rows: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return what each row would add to the joint information, in bits."""
        result = np.empty(len(rows))
        scale = 1.0 / (self.chance * len(self.chance)) if self.sampled else None

        def evaluate(part: slice) -> None:
            p = np.asarray(committee[:, rows[part]], dtype=np.float64)  # (S, k, C)
            members, k, classes = p.shape
            joint = self.table @ p.reshape(members, k * classes) / members  # (K, k C)
            terms = joint * np.log2(np.maximum(joint, 1e-300))
            total = terms.sum(axis=0) if scale is None else scale @ terms
            result[part] = -total.reshape(k, classes).sum(axis=1)

        map_blocks(evaluate, row_blocks(len(rows), BLOCK))
        return result - self.entropy - noise[rows]

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
        return _Joint(members, self.limit, np.maximum(table * p.T[drawn], 1e-300), sampled=True)
