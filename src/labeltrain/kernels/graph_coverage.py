"""Greedy coverage where items are similar to their neighbours in a graph only."""

from __future__ import annotations

import numpy as np

from labeltrain.kernels.blocks import map_blocks, row_blocks
from labeltrain.kernels.coverage import Greedy
from labeltrain.kernels.similarity import Similarity
from labeltrain.kernels.similarity_graph import SimilarityGraph, similarity_graph

READ_ROWS = 8192


def greedy_coverage_on_graph(
    indices: np.ndarray,
    distances: np.ndarray,
    similarity: Similarity,
    count: int,
    *,
    candidates: np.ndarray,
    given: np.ndarray,
    weights: np.ndarray | None = None,
    modular: np.ndarray | None = None,
) -> Greedy:
    """Pick as :func:`~labeltrain.kernels.coverage.greedy_coverage`, neighbours being similar only.

    Parameters
    ----------
    indices, distances : ndarray, shape (n, k)
        Nearest neighbours, distances of any float type; the graph is made symmetric, and each item
        is similar to itself by 1. For ``cosine``, distances are between rows of length 1.
    similarity : Similarity
    count : int
        At most ``len(candidates)``.
    candidates, given : ndarray of int
    weights, modular : ndarray of float, shape (n,), optional

    Returns
    -------
    Greedy
        Equal gains go to the lowest position. The coverage is 0 for items that no pick and no
        given item is similar to: :func:`uncovered_share` says how many.

    Notes
    -----
    Exact for the sparse similarity, which is rounded to float32; gains are sums in float64. O(n k)
    memory; lazy, with a heap.
    """
    graph = similarity_graph(indices, distances, similarity)
    search = _Search(graph, candidates, given, weights, modular)
    return search.run(count)


def budgeted_coverage_on_graph(
    indices: np.ndarray,
    distances: np.ndarray,
    similarity: Similarity,
    budget: float,
    costs: np.ndarray,
    *,
    candidates: np.ndarray,
    given: np.ndarray,
    weights: np.ndarray | None = None,
    modular: np.ndarray | None = None,
) -> Greedy:
    """Pick items that together cost no more than a budget, the most gain per cost first.

    Parameters
    ----------
    indices, distances : ndarray, shape (n, k)
        As for :func:`greedy_coverage_on_graph`.
    similarity : Similarity
    budget : float
        What all picks may cost.
    costs : ndarray of float, shape (n,)
        Positive.
    candidates, given : ndarray of int
        What is given costs nothing.
    weights, modular : ndarray of float, shape (n,), optional

    Returns
    -------
    Greedy
        Equal gains per cost go to the lowest position. Nothing is picked that gains nothing, and
        an item that the rest of the budget cannot pay is passed over.

    Notes
    -----
    Gain per cost alone can be arbitrarily bad: a cheap item of little use may leave too little for
    the one that is worth all. So where the best affordable item alone gains more than all those
    picks, it comes first, and the rest of the budget goes on as before. The better of the two
    gains at least (1 - 1/e) / 2 of what any affordable set does.

    References
    ----------
    Khuller, Moss, Naor: The budgeted maximum coverage problem, 1999.
    Leskovec et al.: Cost-effective outbreak detection in networks, KDD 2007.
    """
    graph = similarity_graph(indices, distances, similarity)
    costs = np.asarray(costs, dtype=np.float64)
    search = _Search(graph, candidates, given, weights, modular)
    found = search.run(len(search.candidates), costs, budget)
    alone = np.where(costs[search.candidates] <= budget, search.gains, 0.0)
    if not len(alone) or alone.max() <= found.gains.sum():
        return found
    first = search.candidates[int(alone.argmax())]
    return search.run(len(search.candidates), costs, budget, first=int(first))


def uncovered_share(coverage: np.ndarray) -> float:
    """Return the share of items that nothing chosen is similar to.

    On a graph of k neighbours a pick covers its neighbours only: fewer than about n / k picks must
    leave some items out, and the search cannot tell those apart. Where the share is not small,
    more neighbours are needed.

    Parameters
    ----------
    coverage : ndarray of float, shape (n,)
        Of a :class:`~labeltrain.kernels.coverage.Greedy`.

    Returns
    -------
    float
        Between 0 and 1; 0 for an empty pool.
    """
    return float(np.mean(np.asarray(coverage) <= 0.0)) if len(coverage) else 0.0


class _Search:
    """Gains and coverage before the first pick; each run starts from there."""

    def __init__(
        self,
        graph: SimilarityGraph,
        candidates: np.ndarray,
        given: np.ndarray,
        weights: np.ndarray | None,
        modular: np.ndarray | None,
    ) -> None:
        from labeltrain.kernels._compiled_graph import all_gains, cover

        n = graph.n
        self.edges = (graph.starts, graph.others, graph.values)
        self.candidates = np.sort(np.asarray(candidates, dtype=np.int64))
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        self.modular = np.zeros(n) if modular is None else np.asarray(modular, dtype=np.float64)
        self.coverage = np.zeros(n, dtype=np.float32)  # as the values are
        for position in given:
            cover(*self.edges, self.coverage, position)
        self.gains = np.empty(len(self.candidates))

        def measure(rows: slice) -> None:
            items, gains = self.candidates[rows], self.gains[rows]
            all_gains(*self.edges, self.weights, self.coverage, items, gains)
            gains += self.modular[items]

        map_blocks(measure, row_blocks(len(self.candidates), READ_ROWS))

    def run(
        self,
        count: int,
        costs: np.ndarray | None = None,
        budget: float = np.inf,
        *,
        first: int | None = None,
    ) -> Greedy:
        """Pick up to `count` items; without costs, exactly that many."""
        from labeltrain.kernels._compiled_graph import cover, greedy_on_graph

        coverage, candidates, gains = self.coverage.copy(), self.candidates, self.gains
        prices = np.ones(len(coverage)) if costs is None else costs
        before: tuple[list[int], list[float], list[int]] = ([], [], [])
        if first is not None:
            at = int(np.searchsorted(candidates, first))
            nearest = cover(*self.edges, coverage, first)
            before = ([first], [float(gains[at])], [nearest])
            candidates, gains = np.delete(candidates, at), np.delete(gains, at)
            count, budget = count - 1, budget - prices[first]
        found = greedy_on_graph(
            *self.edges,
            self.weights,
            self.modular,
            prices,
            coverage,
            candidates,
            gains,
            count,
            budget,
            -np.inf if costs is None else 0.0,
        )
        parts = [np.concatenate([a, b]) for a, b in zip(before, found, strict=True)]
        positions, nearest = parts[0].astype(np.int64), parts[2].astype(np.int64)
        return Greedy(positions, parts[1], nearest, coverage.astype(np.float64))
