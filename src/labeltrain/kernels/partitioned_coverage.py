"""Greedy coverage of a pool in parts, for pools that are too large for one graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from labeltrain.kernels.coverage import Greedy
from labeltrain.kernels.graph_coverage import greedy_coverage_on_graph
from labeltrain.kernels.neighbours import approximate_neighbours, nearest_neighbours
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import Similarity

SPARE = 2  # times as many candidates as picks come out of the parts


def partitioned_coverage(
    points: np.ndarray,
    neighbours: int,
    similarity: Similarity,
    count: int,
    parts: int,
    rng: np.random.Generator,
    *,
    candidates: np.ndarray,
    given: np.ndarray,
    weights: np.ndarray | None = None,
    modular: np.ndarray | None = None,
    approximate: bool = False,
    memory: int = MEMORY,
) -> Greedy:
    """Pick about as :func:`~labeltrain.kernels.graph_coverage.greedy_coverage_on_graph` does.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Any float type and order; may be a memory map. Finite.
    neighbours : int
        Of each item in the graph of its part.
    similarity : Similarity
    count : int
        At most ``len(candidates)``.
    parts : int
    rng : numpy.random.Generator
        Draws the parts, and what approximate neighbours need.
    candidates, given : ndarray of int
    weights, modular : ndarray of float, shape (n,), optional
    approximate : bool
        Look for neighbours around each item only.
    memory : int
        Bytes to use beside `points` and the graphs; the picks do not depend on it.

    Returns
    -------
    Greedy
        Gains and coverage are those of the second step.

    Notes
    -----
    In two steps, as GreeDi. The pool is cut into random parts; each gets what is given, too, and
    picks greedily on a graph of its own: in all twice as many items as are asked for, or as many as
    a part holds where that is more, but no part more than `count`. Then the greedy search chooses
    among these candidates by their coverage of the whole pool, each item being similar to those
    candidates that are nearest to it: to 2 m / n times as many as it has neighbours in a part,
    where m of n items are candidates, which reaches somewhat farther than the whole graph would.

    O(n^2 d / parts + n m d); the graph of the second step has about 2 m `neighbours` edges. What
    GreeDi promises needs `count` picks of every part; that is given up for few candidates. What is
    lost against the whole graph depends on the data and the width of the kernel: ``make bench``
    measures it for 50,000 clustered items in 4 parts.

    References
    ----------
    Mirzasoleiman, Karbasi, Sarkar, Krause: Distributed submodular maximization, JMLR 2016.
    """
    n = len(points)
    options: dict[str, Any] = {"normalise": similarity.normalise, "memory": memory}
    given = np.unique(np.asarray(given, dtype=np.int64))

    def near(rows: np.ndarray, k: int, **more: Any) -> tuple[np.ndarray, np.ndarray]:
        if approximate:
            return approximate_neighbours(rows, k, int(rng.integers(2**31)), **options, **more)
        return nearest_neighbours(rows, k, **options, **more)

    parts = max(1, min(parts, len(candidates)))
    quota = min(count, max(-(-SPARE * count // parts), -(-n // parts**2)))
    chosen = []
    for part, own in _parts(n, parts, candidates, given, rng):
        found = greedy_coverage_on_graph(
            *near(points[part], neighbours),
            similarity,
            min(quota, len(own)),
            candidates=np.searchsorted(part, own),
            given=np.searchsorted(part, given),
            weights=None if weights is None else weights[part],
            modular=None if modular is None else modular[part],
        )
        chosen.append(part[found.positions])
    best = np.concatenate(chosen)
    among = np.union1d(best, given)
    return greedy_coverage_on_graph(
        *near(points, min(neighbours, -(-2 * neighbours * len(among) // n)), among=among),
        similarity,
        count,
        candidates=best,
        given=given,
        weights=weights,
        modular=modular,
    )


def _parts(
    n: int, parts: int, candidates: np.ndarray, given: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the items of each part and the candidates among them, both ascending.

    Candidates are dealt out apart from the others, so that each part has as many.
    """
    others = np.ones(n, dtype=bool)
    others[candidates] = False
    others[given] = False
    mine = np.array_split(rng.permutation(np.sort(candidates)), parts)
    rest = np.array_split(rng.permutation(np.flatnonzero(others)), parts)
    return [
        (np.unique(np.concatenate([own, more, given])), np.sort(own))
        for own, more in zip(mine, rest, strict=True)
    ]
