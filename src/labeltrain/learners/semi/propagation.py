"""Label propagation and label spreading on a graph of neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels import clock
from labeltrain.kernels.duplicates import equal_rows
from labeltrain.kernels.propagation import harmonic, neighbour_graph, neighbour_weights, spread
from labeltrain.kernels.retrieval import nearest_candidates
from labeltrain.learners.base import Cost, Learner, Model, PriorModel, Training
from labeltrain.needs import Need

Method = Literal["spreading", "harmonic"]
ClassMass = Literal["none", "labels", "uniform"]


class PropagationModel(Model):
    """Class probabilities of the items of the graph; of others, by their neighbours there."""

    name: ClassVar[str] = "propagation"

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays = dict(arrays)
        self._facts = dict(facts)

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities, float64 (k, C).

        A row that is equal to an item of the graph has that item's probabilities, any other the
        mean over its nearest items, weighted as the edges of the graph.
        """
        known = self._arrays
        index, distance = _neighbours(
            known["points"], unit_rows(features), int(self._facts["neighbours"])
        )
        own = distance.mean(axis=1)
        weights = neighbour_weights(distance, own, known["scales"][index])
        weights /= weights.sum(axis=1, keepdims=True)
        result = np.einsum("ik,ikc->ic", weights, known["probabilities"][index])
        same = distance[:, 0] <= 0.0 if len(result) else np.empty(0, dtype=bool)
        result[same] = known["probabilities"][index[same, 0]]
        return result / result.sum(axis=1, keepdims=True)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the items of the graph, their scales and their probabilities."""
        return dict(self._arrays)

    def facts(self) -> dict[str, Any]:
        """Return the number of neighbours."""
        return dict(self._facts)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> PropagationModel:
        """Rebuild the model."""
        return cls(arrays, facts)


@dataclass(frozen=True)
class _Graph:
    """What depends on the features only, and so is the same in every round."""

    features: np.ndarray
    usable: np.ndarray | None
    neighbours: int
    node: np.ndarray  # (n,) of each item; -1 where it may not be used
    points: np.ndarray
    graph: Any
    scales: np.ndarray
    seconds: float  # that it took

    def is_of(self, training: Training, neighbours: int) -> bool:
        mine, theirs = self.usable, training.usable
        if neighbours != self.neighbours or (mine is None) != (theirs is None):
            return False
        if mine is not None and theirs is not None and not np.array_equal(mine, theirs):
            return False
        same = self.features is training.features
        return same or np.array_equal(self.features, training.features)


KEPT = 3
_searched: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]] = []


def _neighbours(points: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k points nearest to each row, and their distances; of equal points only those.

    A model is asked about the same pool and test items in every round, and only the labels change:
    what was found is kept, what was longest to search first: rows of the pool need no search.
    """
    k = min(k, len(points))
    for held, asked, index, distance, _ in _searched:
        if index.shape[1] == k and np.array_equal(asked, rows) and _same(held, points):
            return index, distance
    place = {row.tobytes(): number for number, row in enumerate(points)}
    same = np.array([place.get(row.tobytes(), -1) for row in rows], dtype=np.int64)
    index = np.repeat(same[:, None], k, axis=1)
    distance = np.zeros(index.shape)
    n, other = len(points), np.flatnonzero(same < 0)
    if len(other):
        together = np.concatenate([points, rows[other]])
        asked_rows = np.arange(n, n + len(other))
        index[other], distance[other] = nearest_candidates(together, asked_rows, np.arange(n), k)
    found = [one for one in _searched if _same(one[0], points)]  # another pool's are of no use
    found.insert(0, (points, rows, index, distance, len(other)))
    _searched[:] = sorted(found, key=lambda one: -one[4])[:KEPT]
    return index, distance


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or np.array_equal(one, other)


_graph: _Graph | None = None  # the last one: it takes seconds, and most fits are of the same pool


class Propagation(Learner):
    """Labels spread over the graph of nearest neighbours of the pool; a closed form, in seconds.

    Parameters
    ----------
    method : {"spreading", "harmonic"}
        "spreading": ``(I - alpha S)^-1 Y`` with S the normalised graph, after which labels may be
        overruled by their neighbourhood; "harmonic": labelled items keep their labels.
    neighbours : int
        Edges of each item.
    alpha : float
        In (0, 1), of "spreading": how far labels reach.
    class_mass : {"none", "labels", "uniform"}
        Scale each class so that its share of the pool is what its share of the labels is, or the
        same for all classes.

    Notes
    -----
    The graph is built once for a pool, O(n^2 d); a round is some tens of products of a sparse
    matrix, O(n neighbours C) each. Edges weigh ``exp(-d^2 / (s_i s_j))``, d the distance between
    rows of length 1 and s the mean distance of an item to its neighbours. Equal rows are one item
    of the graph. New items take the mean of their neighbours.

    References
    ----------
    Zhou, Bousquet, Lal, Weston, Schoelkopf: Learning with local and global consistency, NeurIPS
    2003. Zhu, Ghahramani, Lafferty: Semi-supervised learning using Gaussian fields and harmonic
    functions, ICML 2003 (also for class mass). New items: Delalleau, Bengio, Le Roux: Efficient
    non-parametric function induction in semi-supervised learning, AISTATS 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from labeltrain.learners import Training, make
    >>> angle = np.linspace(0.0, 3.0, 31)
    >>> X = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    >>> training = Training(X, np.array([0, 30]), np.array([0, 1]), classes=2)
    >>> model = make("propagation", {"neighbours": 2}).fit(training, np.random.default_rng(0))
    >>> model.predict_proba(X)[[3, 27]].argmax(axis=1).tolist()
    [0, 1]
    """

    name: ClassVar[str] = "propagation"
    summary: ClassVar[str] = "labels spread over a graph of neighbours; seconds, for few labels"
    imports: ClassVar[tuple[str, ...]] = ("scipy.sparse.linalg", "scipy.sparse.csgraph")
    gives: ClassVar[frozenset[Need]] = frozenset(
        {Need.PROBABILITIES, Need.PREDICT, Need.HIDDEN, Need.OUT_OF_FOLD}
    )
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    model: ClassVar[type[Model]] = PropagationModel

    def __init__(
        self,
        method: Method = "spreading",
        neighbours: int = 15,
        alpha: float = 0.7,
        class_mass: ClassMass = "none",
    ) -> None:
        if method not in ("spreading", "harmonic"):
            raise BadInput(f"method={method!r} is unknown", "use spreading or harmonic")
        if isinstance(neighbours, bool) or not isinstance(neighbours, int) or neighbours < 1:
            raise BadInput(f"neighbours={neighbours!r} is no number of edges", "such as 20")
        if not isinstance(alpha, int | float) or not 0.0 < alpha <= 0.999:
            raise BadInput(f"alpha={alpha!r}", "give a number above 0, at most 0.999")
        if class_mass not in ("none", "labels", "uniform"):
            raise BadInput(f"class_mass={class_mass!r}", "use none, labels or uniform")
        self.method = method
        self.neighbours = neighbours
        self.alpha = float(alpha)
        self.class_mass = class_mass

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        """Return the probabilities of the whole pool, as a model; draws nothing from `rng`."""
        started = clock.seconds()
        seen = np.bincount(training.labels, minlength=training.classes) > 0
        if seen.sum() < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        graph, prepared = _graph_of(training, self.neighbours)
        nodes, row = np.unique(graph.node[training.labelled], return_inverse=True)
        votes = np.zeros((len(nodes), training.classes))
        np.add.at(votes, (row, training.labels), 1.0)
        votes /= votes.sum(axis=1, keepdims=True)  # equal items that were labelled differently
        if self.method == "spreading":
            seeds = np.zeros((len(graph.points), training.classes))
            seeds[nodes] = votes
            mass = spread(graph.graph, seeds, self.alpha)
        else:
            mass = harmonic(graph.graph, nodes, votes)
        probabilities = self._probabilities(mass, graph, training)
        model = PropagationModel(
            {"points": graph.points, "scales": graph.scales, "probabilities": probabilities},
            {"neighbours": self.neighbours},
        )
        model.cost = Cost(len(graph.points), clock.seconds() - started, prepared)
        return model

    def _probabilities(self, mass: np.ndarray, graph: _Graph, training: Training) -> np.ndarray:
        """Return rows that sum to 1; the prior where no label reaches."""
        prior = training.prior()
        total = mass.sum(axis=1, keepdims=True)
        reached = total[:, 0] > 1e-12
        result = np.divide(mass, total, out=np.tile(prior, (len(mass), 1)), where=reached[:, None])
        if self.class_mass != "none":
            target = prior if self.class_mass == "labels" else np.ones(len(prior)) / len(prior)
            size = np.bincount(graph.node[graph.node >= 0], minlength=len(mass))
            held = size @ result / size.sum()
            result *= np.divide(target, held, out=np.ones_like(held), where=held > 1e-12)
            result /= result.sum(axis=1, keepdims=True)
        # As the linear learner: a class without a label shares the chance that the next is new.
        unseen = np.bincount(training.labels, minlength=training.classes) == 0
        if unseen.any():
            chance = 1.0 / (len(training.labels) + 1.0)
            result[:, unseen] = 0.0
            result *= (1.0 - chance) / result.sum(axis=1, keepdims=True)
            result[:, unseen] = chance / unseen.sum()
        return result


def _graph_of(training: Training, neighbours: int) -> tuple[_Graph, float]:
    """Return the graph of the pool, and the seconds that an earlier fit spent on it."""
    global _graph
    held = _graph
    if held is not None and held.is_of(training, neighbours):
        return held, held.seconds
    started = clock.seconds()
    usable = training.usable
    items = np.arange(len(training.features)) if usable is None else np.flatnonzero(usable)
    rows = unit_rows(training.features[items])
    kept, place = np.unique(equal_rows(rows), return_inverse=True)
    node = np.full(len(training.features), -1, dtype=np.int64)
    node[items] = place
    points = np.ascontiguousarray(rows[kept])
    graph, scales = neighbour_graph(points, neighbours, normalise=False)
    _graph = _Graph(
        training.features, None if usable is None else usable.copy(), neighbours, node, points,
        graph, scales, clock.seconds() - started,
    )  # fmt: skip
    return _graph, 0.0


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Return rows of length 1, float32 (n, d); zero rows stay zero."""
    rows = np.ascontiguousarray(features, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    unit = np.divide(rows, lengths, out=np.zeros(rows.shape), where=lengths > 0)
    return unit.astype(np.float32)
