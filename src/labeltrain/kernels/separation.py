"""One class against the rest on a line: rankings, separation thresholds, intervals, walks.

The pool is ranked by how much each item looks like the class, rank 0 first. What is labelled is
given by `ranks`, ascending, and `signs`, +1 for the class and -1 for any other. An item that may
not be asked though it has no label (pending, skipped) is in neither; it is `taken`.
"""

from __future__ import annotations

import numpy as np


def class_order(
    probabilities: np.ndarray, column: int, largest: np.ndarray | None = None
) -> np.ndarray:
    """Return the items from the most to the least like one class, by margin.

    The margin is ``p_k - max p``, 0 for all that are predicted k. Ties go to the larger maximum, so
    among the items predicted k to the more confident one, and then to the lower index.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
        Rows sum to 1.
    column : int
        The class k.
    largest : ndarray of float, shape (n,), optional
        The row maxima, when they are known already.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    largest = probabilities.max(axis=1) if largest is None else largest
    return _ascending(largest - probabilities[:, column], -largest)


def label_order(probabilities: np.ndarray, column: int) -> np.ndarray:
    """Return the items by descending probability of one label, multilabel; ties to the lower index.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, C)
    column : int

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    return _ascending(-probabilities[:, column])


def _ascending(keys: np.ndarray, seconds: np.ndarray | None = None) -> np.ndarray:
    """Sort by keys, ties by `seconds`, then by index: stable where it matters, quick elsewhere."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return order
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] = same
    tied[:-1] |= same
    where = np.flatnonzero(tied)
    few = order[where]
    first = (few,) if seconds is None else (few, seconds[few])
    order[where] = few[np.lexsort((*first, ordered[where]))]
    return order


def version_interval(ranks: np.ndarray, signs: np.ndarray, n: int) -> tuple[int, int]:
    """Return the ranks between which labels do not say where the class ends.

    Parameters
    ----------
    ranks : ndarray of int64, shape (m,)
        Of the labelled items, ascending.
    signs : ndarray of int, shape (m,)
        +1 or -1.
    n : int
        Length of the line.

    Returns
    -------
    first : int
        Rank of the last +1 before the first -1; 0 if there is none.
    last : int
        Rank of the first -1 after the last +1; n - 1 if there is none.
    """
    positive, negative = ranks[signs > 0], ranks[signs < 0]
    above = positive if len(negative) == 0 else positive[positive < negative[0]]
    below = negative if len(positive) == 0 else negative[negative > positive[-1]]
    first = int(above[-1]) if len(above) else 0
    last = int(below[0]) if len(below) else n - 1
    return first, last


def losses(ranks: np.ndarray, signs: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Return the wrong labels of "the first j are of the class, the rest are not", for each j.

    Parameters
    ----------
    ranks, signs : ndarray, shape (m,)
        See :func:`version_interval`.
    cuts : ndarray of int, shape (k,)
        The values of j, from 0 to n.

    Returns
    -------
    ndarray of int64, shape (k,)
    """
    sums = np.concatenate([[0], np.cumsum(signs, dtype=np.int64)])
    return np.count_nonzero(signs > 0) - sums[np.searchsorted(ranks, cuts)]


def threshold(ranks: np.ndarray, signs: np.ndarray) -> int:
    """Return the optimal separation threshold: the smallest j of the fewest wrong labels.

    It is also where the classes are most unbalanced on either side: the loss of j is a constant
    minus the prefix sum of signs.

    Parameters
    ----------
    ranks, signs : ndarray, shape (m,)
        See :func:`version_interval`.

    Returns
    -------
    int
        From 0 to n; 0 without a label.
    """
    sums = np.cumsum(signs, dtype=np.int64)
    if len(sums) == 0 or sums.max() <= 0:
        return 0
    return int(ranks[np.argmax(sums)]) + 1


def minimisers(ranks: np.ndarray, signs: np.ndarray, n: int) -> tuple[int, int]:
    """Return the smallest and the largest j of the fewest wrong labels.

    Parameters
    ----------
    ranks, signs, n
        See :func:`version_interval`.

    Returns
    -------
    first, last : int
        From 0 to n.
    """
    sums = np.concatenate([[0], np.cumsum(signs, dtype=np.int64)])
    best = np.flatnonzero(sums == sums.max())
    first = 0 if best[0] == 0 else int(ranks[best[0] - 1]) + 1
    last = int(ranks[best[-1]]) if best[-1] < len(ranks) else n
    return first, last


def walk(taken: np.ndarray, n: int, start: int, count: int) -> np.ndarray:
    """Return the free ranks nearest to a threshold: left, right, left, right ...

    A side that meets a taken item moves on and has had its turn, so that the order is that of the
    distance. When one side ends, the other goes on.

    Parameters
    ----------
    taken : ndarray of int64, shape (t,)
        Ranks that may not be picked, ascending.
    n : int
    start : int
        The threshold: ranks below it are on the left.
    count : int

    Returns
    -------
    ndarray of int64
        At most `count`, nearest first. O(count + t).
    """
    reach = count + len(taken)
    near = np.arange(max(0, start - reach), min(n, start + reach))
    where = np.searchsorted(taken, near)
    free = np.ones(len(near), dtype=bool)
    inside = where < len(taken)
    free[inside] = taken[where[inside]] != near[inside]
    near = near[free]
    turns = np.where(near < start, 2 * (start - 1 - near), 2 * (near - start) + 1)
    return near[np.argsort(turns, kind="stable")[:count]]


def count_free(taken: np.ndarray, first: int, last: int) -> int:
    """Return how many of the ranks from `first` to `last`, both included, are free.

    Parameters
    ----------
    taken : ndarray of int64, shape (t,)
        Ascending.
    first, last : int

    Returns
    -------
    int
    """
    inside = np.searchsorted(taken, last, side="right") - np.searchsorted(taken, first)
    return max(0, last - first + 1 - int(inside))


def draw_free(
    taken: np.ndarray, first: int, last: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw free ranks from `first` to `last`, uniformly, without replacement.

    Parameters
    ----------
    taken : ndarray of int64, shape (t,)
        Ascending.
    first, last : int
        Both included.
    count : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64
        `count` of them, or all there are. O(t + count).
    """
    inside = taken[np.searchsorted(taken, first) : np.searchsorted(taken, last, side="right")]
    size = max(0, last - first + 1 - len(inside))
    drawn = rng.choice(size, min(count, size), replace=False) if size else np.empty(0, np.int64)
    # The i-th free rank is i plus the taken ones at or below it.
    before = inside - first - np.arange(len(inside))
    return (first + drawn + np.searchsorted(before, drawn, side="right")).astype(np.int64)


def shrink(
    ranks: np.ndarray,
    signs: np.ndarray,
    taken: np.ndarray,
    interval: tuple[int, int],
    target: int,
    *,
    keep: bool = True,
) -> tuple[int, int]:
    """Return the part of an interval, with at most `target` free ranks, whose ends are least wrong.

    Of all parts with so many, that with the smallest larger loss of its two ends; then with the
    smallest sum of both, then the most central, then the first.

    Parameters
    ----------
    ranks, signs
        See :func:`version_interval`.
    taken : ndarray of int64
        All ranks that are not free, labelled ones included, ascending.
    interval : tuple of int
        First and last rank.
    target : int
    keep : bool
        Evidence alone shrinks: only parts that hold every j of the fewest wrong labels in the
        interval, and where these have more than `target` free ranks, just them.

    Returns
    -------
    first, last : int

    Notes
    -----
    Nuggehalli, Zhang, Jain, Nowak (DIRECT), as in the paper; keeping the minimisers is ours: on the
    flat stretch between the lowest +1 and the highest -1 no label says where the threshold is.
    O(length of the interval).
    """
    core = _core(ranks, signs, *interval) if keep else None
    return _least_wrong(ranks, signs, taken, interval, target, core)


def _core(ranks: np.ndarray, signs: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Return the smallest and the largest minimiser of the loss among j = first ... last."""
    inside = ranks[(ranks >= first) & (ranks < last)]
    cuts = np.concatenate([[first], inside + 1])
    found = losses(ranks, signs, cuts)
    best = np.flatnonzero(found == found.min())
    upper = int(inside[best[-1]]) if best[-1] < len(inside) else last
    return int(cuts[best[0]]), upper


def _least_wrong(
    ranks: np.ndarray,
    signs: np.ndarray,
    taken: np.ndarray,
    interval: tuple[int, int],
    target: int,
    core: tuple[int, int] | None,
) -> tuple[int, int]:
    first, last = interval
    if count_free(taken, first, last) <= target:
        return interval
    if core is not None and count_free(taken, *core) > target:
        return core
    line = np.arange(first, last + 1)
    free = np.ones(len(line), dtype=np.int64)
    free[taken[(taken >= first) & (taken <= last)] - first] = 0
    held = np.cumsum(free)  # free ranks up to and with each
    before = held - free
    loss = losses(ranks, signs, line)
    never = len(ranks) + 1
    low, high = (last, first) if core is None else core
    parts = np.arange(held[-1] - target + 1)  # free ranks before the part
    starts = _best_of_groups(np.where(line <= low, loss, never), before, parts)
    # Seen from the far end, an end is a start.
    far = held[-1] - held[::-1]
    ends = _best_of_groups(np.where(line >= high, loss, never)[::-1], far, parts[::-1])
    ends = len(line) - 1 - ends
    a, b = loss[starts], loss[ends]
    a, b = np.where(line[starts] <= low, a, never), np.where(line[ends] >= high, b, never)
    off_centre = np.abs(starts + ends - (len(line) - 1))
    best = np.lexsort((starts, off_centre, a + b, np.maximum(a, b)))[0]
    return int(line[starts[best]]), int(line[ends[best]])


def _best_of_groups(loss: np.ndarray, group: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return, for each wanted group of consecutive entries, the first with the smallest loss.

    Groups ascend from 0 without a gap; O(n), no sort.
    """
    starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    least = np.minimum.reduceat(loss, starts)
    hits = np.flatnonzero(loss == np.repeat(least, np.diff(np.append(starts, len(group)))))
    own = group[hits]
    return hits[np.append(True, own[1:] != own[:-1])][wanted]


def shrink_greedily(
    ranks: np.ndarray,
    signs: np.ndarray,
    taken: np.ndarray,
    interval: tuple[int, int],
    target: int,
    coin: np.random.Generator | None,
) -> tuple[int, int]:
    """Drop the end with the larger loss, again and again, until `target` free ranks are left.

    Parameters
    ----------
    ranks, signs, taken, interval, target
        See :func:`shrink`.
    coin : numpy.random.Generator or None
        Tosses when both ends are equally wrong, as in the published code; None stops there when
        no loss is smaller, and drops the first of the two otherwise, so that no end ever moves into
        the set of minimisers.

    Returns
    -------
    first, last : int
    """
    first, last = interval
    line = np.arange(first, last + 1)
    loss = losses(ranks, signs, line)
    free = np.ones(len(line), dtype=bool)
    free[taken[(taken >= first) & (taken <= last)] - first] = False
    left, right, count = 0, len(line) - 1, int(free.sum())
    least = loss.min() if len(loss) else 0
    while count > target and left < right:
        if loss[left] == loss[right]:
            if coin is None and loss[left] == least:
                break
            drop_left = coin is None or bool(coin.random() < 0.5)
        else:
            drop_left = bool(loss[left] > loss[right])
        if drop_left:
            count -= bool(free[left])
            left += 1
        else:
            count -= bool(free[right])
            right -= 1
    return int(line[left]), int(line[right])


def shrunk_size(free: int, rounds: int) -> int:
    """Return how many free ranks an interval keeps after this of `rounds` rounds left.

    Parameters
    ----------
    free : int
        Ranks that are free now.
    rounds : int
        Rounds left, this one included; the last does not shrink.

    Returns
    -------
    int
        ``free ** (1 - 1 / rounds)``, rounded up.
    """
    if rounds <= 1 or free == 0:
        return free
    return int(np.ceil(free ** (1.0 - 1.0 / rounds)))
