"""Strategies against hand-worked numbers and slow, obviously correct twins; laws; multilabel."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.kernels.clusters import k_means, representatives
from labeltrain.strategies import PoolView, registry
from labeltrain.strategies.features import unit_rows
from labeltrain.testing import pool_view


def picks(name: str, view: PoolView, count: int, seed: int = 0, **parameters: Any) -> Any:
    """Return what a strategy picks of a view, with a generator that a twin can start again."""
    found = registry.make(name, parameters).select(view, count, np.random.default_rng(seed))
    assert len(found.positions) == count
    return found


def source(view: PoolView, **changes: Any) -> PoolView:
    """Return a view with some of its arrays replaced."""
    return PoolView(
        view.n,
        view.classes,
        kind=view.kind,
        labelled=view.labelled,
        labels=view.labels,
        pending=view.pending,
        round=view.round,
        history=view.history,
        sources={**view._sources, **changes},
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def bits(p: Any) -> float:
    """The entropy of one distribution."""
    return -sum(float(q) * math.log2(float(q)) for q in np.ravel(p) if q > 0)


# -- BADGE ---------------------------------------------------------------------------------------


def gradients(view: PoolView) -> np.ndarray:
    """Explicit gradient embeddings, (n, C h)."""
    p = view.probabilities
    if view.kind == "multilabel":
        residual = p - (p > 0.5)
    else:
        residual = p - np.eye(p.shape[1])[p.argmax(axis=1)]
    return (residual[:, :, None] * view.hidden[:, None, :].astype(float)).reshape(view.n, -1)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_badge_starts_at_the_longest_gradient_and_measures_explicit_distances(kind: str) -> None:
    view = pool_view(n=80, kind=kind, pending=0)
    found = picks("badge", view, 25)
    g = gradients(view)
    lengths = (g[view.candidates] ** 2).sum(axis=1)
    assert found.positions[0] == view.candidates[lengths.argmax()]
    assert found.scores[0] == pytest.approx(lengths.max(), rel=1e-6)
    for k in range(1, 25):
        before = g[found.positions[:k]]
        nearest = ((g[found.positions[k]] - before) ** 2).sum(axis=1).min()
        assert found.scores[k] == pytest.approx(nearest, rel=1e-5, abs=1e-6)


def test_badge_counts_pending_items_as_picked_and_labelled_ones_not() -> None:
    view = pool_view(n=60, pending=4)
    found = picks("badge", view, 1)
    g = gradients(view)
    nearest = ((g[found.positions[0]] - g[view.pending]) ** 2).sum(axis=1).min()
    assert found.scores[0] == pytest.approx(nearest, rel=1e-5)


def test_badge_draws_no_duplicate_before_everything_else() -> None:
    view = pool_view(n=60, labelled=0, pending=0)
    p, h = (np.tile(a[:15], (4, 1)) for a in (view.probabilities, view.hidden))
    for seed in range(20):
        found = picks("badge", source(view, probabilities=p, hidden=h), 30, seed)
        assert len(set((found.positions[:15] % 15).tolist())) == 15
        assert (found.scores[:15] > 0).all()
        assert (found.scores[15:] == 0).all()


def test_badge_draws_by_squared_distance() -> None:
    view = pool_view(n=12, labelled=2, pending=0, seed=3)
    g = gradients(view)[view.candidates]
    first = int((g**2).sum(axis=1).argmax())
    weights = ((g - g[first]) ** 2).sum(axis=1)
    counts = np.zeros(10)
    for seed in range(1500):
        second = picks("badge", view, 2, seed).positions[1]
        counts[np.searchsorted(view.candidates, second)] += 1
    assert counts[first] == 0
    others = np.arange(10) != first
    assert chisquare(counts[others], 1500 * weights[others] / weights.sum()).pvalue > 1e-3


# -- k-center ------------------------------------------------------------------------------------


def test_k_center_on_a_line() -> None:
    found = labeltrain.select(
        "k-center", embeddings=np.array([[0.0], [1.0], [4.0], [9.0]]), labelled=[0], budget=3
    )
    assert found.positions.tolist() == [3, 2, 1]
    assert found.scores.tolist() == [9.0, 4.0, 1.0]


def test_k_center_keeps_away_from_pending_items_too() -> None:
    points = np.array([[0.0], [3.0], [8.0], [9.0]])
    for pending, pick in (([], 3), ([3], 1)):
        found = labeltrain.select(
            "k-center", embeddings=points, labelled=[0], pending=pending, budget=1
        )
        assert found.positions.tolist() == [pick]


# -- BAIT ----------------------------------------------------------------------------------------


class SlowBait:
    """BAIT with explicit Fisher matrices and direct inverses."""

    def __init__(self, view: PoolView, dimensions: int | None, ridge: float = 0.01) -> None:
        z = view.hidden.astype(float)
        z = z - z.mean(axis=0)
        if dimensions is not None:
            _, _, axes = np.linalg.svd(z, full_matrices=False)
            z = z @ axes[:dimensions].T
        self.z = z / math.sqrt((z**2).sum(axis=1).mean())
        self.p, self.kind = view.probabilities, view.kind
        self.target = sum(self.fisher(i) for i in range(view.n)) / view.n
        self.start = ridge * np.eye(len(self.target))
        for i in [*view.labelled, *view.pending]:
            self.start = self.start + self.fisher(i)

    def fisher(self, i: int) -> np.ndarray:
        p = self.p[i]
        middle = np.diag(p * (1 - p)) if self.kind == "multilabel" else np.diag(p) - np.outer(p, p)
        return np.kron(middle, np.outer(self.z[i], self.z[i]))

    def value(self, batch: Any) -> float:
        matrix = self.start + sum(self.fisher(i) for i in batch)
        return float(np.trace(np.linalg.solve(matrix, self.target)))

    def greedy(self, candidates: list[int], count: int) -> list[int]:
        chosen: list[int] = []
        while len(chosen) < 2 * count:
            left = [i for i in candidates if i not in chosen]
            chosen.append(min(left, key=lambda i: self.value([*chosen, i])))
        while len(chosen) > count:
            chosen.remove(min(chosen, key=lambda i: self.value([j for j in chosen if j != i])))
        return chosen


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("dimensions", [None, 2])
def test_bait_is_its_slow_twin(kind: str, dimensions: int | None) -> None:
    view = pool_view(n=30, kind=kind, labelled=3, pending=1, seed=1)
    width = 1000 if dimensions is None else 3 * dimensions
    slow = SlowBait(view, dimensions)
    found = picks("bait", view, 4, width=width).positions.tolist()
    assert found == slow.greedy(view.candidates.tolist(), 4)


def test_bait_swaps_never_make_it_worse() -> None:
    view = pool_view(n=40, labelled=3, pending=0)
    slow = SlowBait(view, None)
    for seed in range(5):
        start = view.candidates[
            np.random.default_rng(seed).choice(len(view.candidates), 5, replace=False)
        ]
        values = [slow.value(start)]
        for sweeps in (1, 2, 4):
            found = picks("bait", view, 5, seed, search="swap", sweeps=sweeps)
            values.append(slow.value(found.positions))
        assert all(b <= a + 1e-9 for a, b in pairwise(values)), values
        assert values[-1] < values[0]


# -- committees ----------------------------------------------------------------------------------


def test_bald_numbers_by_hand() -> None:
    one = [[0.9, 0.1], [1.0, 0.0], [0.5, 0.5], [0.8, 0.2]]
    two = [[0.1, 0.9], [0.0, 1.0], [0.5, 0.5], [0.8, 0.2]]
    found = labeltrain.select("bald", committee=[one, two], budget=4)
    # H(.5) - H(.9) = 1 - 0.468996; sure and opposite: one bit; agreement: nothing.
    assert found.positions.tolist() == [1, 0, 2, 3]
    assert found.scores == pytest.approx([1.0, 0.531004, 0.0, 0.0], abs=1e-6)


def test_bald_of_labels_is_the_sum_over_them() -> None:
    one, two = [[0.9, 1.0]], [[0.1, 0.0]]
    found = labeltrain.select("bald", committee=[one, two], budget=1, kind="multilabel")
    assert found.scores == pytest.approx([1.531004], abs=1e-6)


def test_batch_bald_counts_what_two_items_tell_alike_once() -> None:
    # Four members: items 0 and 1 tell whether the member is one of the first two, item 2 whether
    # it is the first of its pair: a bit each, and the second of 0 and 1 tells nothing new.
    halves = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    pairs = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    committee = np.stack([halves, halves, pairs], axis=1)
    found = labeltrain.select("batch-bald", committee=committee, budget=2)
    assert found.positions.tolist() == [0, 2]
    assert found.scores == pytest.approx([1.0, 1.0])
    plain = labeltrain.select("bald", committee=committee, budget=2)
    assert plain.positions.tolist() == [0, 1]


def slow_joint_information(committee: np.ndarray, batch: list[int]) -> float:
    """I(y_batch; member) over all joint labellings, in bits."""
    members, _, classes = committee.shape
    labellings = list(product(range(classes), repeat=len(batch)))
    joint = [
        [math.prod(committee[s, i, y] for i, y in zip(batch, ys, strict=True)) for ys in labellings]
        for s in range(members)
    ]
    alone = np.mean([[bits(committee[s, i]) for s in range(members)] for i in batch], axis=1).sum()
    return bits(np.mean(joint, axis=0)) - float(alone)


def test_batch_bald_is_its_slow_twin() -> None:
    rng = np.random.default_rng(2)
    committee = rng.dirichlet(np.full(3, 0.5), size=(8, 20))
    view = PoolView(20, 3, labelled=[4], labels=[0], sources={"committee": committee})
    found = picks("batch-bald", view, 3)
    batch: list[int] = []
    for k in range(3):
        left = [i for i in view.candidates.tolist() if i not in batch]
        before = slow_joint_information(committee, batch) if batch else 0.0
        gains = [slow_joint_information(committee, [*batch, i]) - before for i in left]
        batch.append(left[int(np.argmax(gains))])
        assert found.scores[k] == pytest.approx(max(gains), abs=1e-9)
    assert found.positions.tolist() == batch


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("name", ["power-bald", "power-margin"])
def test_power_strategies_draw_one_after_the_other_by_the_power_of_the_score(
    name: str, power: float
) -> None:
    rng = np.random.default_rng(1)
    committee = rng.dirichlet(np.ones(3), size=(4, 5))
    p = committee.mean(axis=0)
    if name == "power-bald":
        weights = np.array(
            [bits(p[i]) - np.mean([bits(committee[s, i]) for s in range(4)]) for i in range(5)]
        )
    else:
        top = np.sort(p, axis=1)
        weights = 1.0 - (top[:, -1] - top[:, -2])
    weights = weights**power
    view = PoolView(5, 3, sources={"committee": committee, "probabilities": p})
    strategy = registry.make(name, {"power": power})
    counts = np.zeros((5, 5))
    for seed in range(3000):
        i, j = strategy.select(view, 2, np.random.default_rng(seed)).positions
        counts[i, j] += 1
    chances = weights[:, None] / weights.sum() * weights / (weights.sum() - weights[:, None])
    off = ~np.eye(5, dtype=bool)
    assert chisquare(counts[off], 3000 * chances[off]).pvalue > 1e-3
    assert counts[~off].sum() == 0


# -- Cluster-Margin ------------------------------------------------------------------------------


def slow_average_linkage(points: np.ndarray, clusters: int) -> list[list[int]]:
    groups = [[i] for i in range(len(points))]
    gaps = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    while len(groups) > clusters:
        pairs = [(a, b) for a in range(len(groups)) for b in range(a)]
        a, b = min(pairs, key=lambda ab: gaps[np.ix_(groups[ab[0]], groups[ab[1]])].mean())
        groups[b] += groups.pop(a)
    return groups


def test_cluster_margin_is_its_slow_twin() -> None:
    compared = 0
    for seed in range(12):
        view = pool_view(n=32, labelled=5, pending=0, seed=seed)
        count, factor = 6, 2.5
        found = picks("cluster-margin", view, count, seed, factor=factor, clusters=3)
        top = np.sort(view.probabilities, axis=1)
        margins = (top[:, -1] - top[:, -2])[view.candidates]
        few = np.argsort(margins, kind="stable")[: math.ceil(factor * count)]
        h = view.hidden[view.candidates].astype(float)
        z = h / np.linalg.norm(h, axis=1, keepdims=True)
        means = np.stack([z[g].mean(axis=0) for g in slow_average_linkage(z, 3)])
        assigned = ((z[few, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        groups = [list(np.flatnonzero(assigned == c)) for c in range(3) if (assigned == c).any()]
        groups.sort(key=len)
        if len({len(g) for g in groups}) < len(groups):
            continue  # clusters of one size may take turns in either order
        compared += 1
        luck = np.random.default_rng(seed).permutation(len(few))
        for group in groups:
            group.sort(key=lambda row: luck[row])
        slow: list[int] = []
        turn = 0
        while len(slow) < count:
            slow += [int(g[turn]) for g in groups if turn < len(g)]
            turn += 1
        slow = slow[:count]
        assert found.positions.tolist() == view.candidates[few[slow]].tolist()
        assert found.scores == pytest.approx(margins[few[slow]])
    assert compared >= 5


def test_cluster_margin_of_labels_is_the_smallest_gap() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.55], [0.2, 0.99]])
    found = labeltrain.select(
        "cluster-margin", embeddings=np.eye(3), probabilities=p, budget=1, factor=1.0,
        kind="multilabel",
    )  # fmt: skip
    assert found.positions.tolist() == [1]
    assert found.scores == pytest.approx([0.1])


# -- TypiClust -----------------------------------------------------------------------------------


def slow_typiclust(view: PoolView, count: int, seed: int, clusters: int) -> list[int]:
    """The authors' loop, with distances instead of squared ones, and the small clusters last."""
    known = [*view.labelled, *view.pending]
    relevant = np.array([*known, *view.candidates])
    z = unit_rows(view.embeddings, relevant)
    assigned, _ = k_means(z, min(len(known) + count, clusters), np.random.default_rng(seed))
    z = z.astype(float)
    names, sizes = np.unique(assigned, return_counts=True)
    labels = np.array([(assigned[: len(known)] == c).sum() for c in names])
    order = sorted(range(len(names)), key=lambda c: (labels[c], -sizes[c]))
    state = assigned.copy()
    state[: len(known)] = -1
    chosen: list[int] = []
    for queue in (
        [names[c] for c in order if sizes[c] > 5],
        [names[c] for c in order if sizes[c] <= 5],
    ):
        while len(chosen) < count and any((state == c).any() for c in queue):
            for c in queue:
                inside = np.flatnonzero(state == c)
                if len(inside) == 0 or len(chosen) == count:
                    continue
                gaps = np.sort(np.linalg.norm(z[inside, None] - z[inside], axis=2), axis=1)
                k = min(20, len(inside) // 2)
                far = gaps[:, 1 : k + 1].mean(axis=1) if k else np.zeros(len(inside))
                best = inside[int(np.argmax(1.0 / (far + 1e-5)))]
                chosen.append(int(best))
                state[best] = -1
    return relevant[chosen].tolist()


@pytest.mark.parametrize("labelled", [0, 6])
@pytest.mark.parametrize(("count", "clusters"), [(5, 500), (12, 500), (14, 3), (40, 500)])
def test_typiclust_is_its_slow_twin(labelled: int, count: int, clusters: int) -> None:
    for seed in range(4):
        view = pool_view(n=70, labelled=labelled, pending=2 if labelled else 0, seed=seed)
        found = picks("typiclust", view, count, seed, clusters=clusters)
        assert found.positions.tolist() == slow_typiclust(view, count, seed, clusters)


# -- CLUE and the cold start ---------------------------------------------------------------------


def binary(entropies: list[float]) -> np.ndarray:
    """Return binary distributions of these entropies in bits."""
    from scipy.optimize import brentq

    def chance(h: float) -> float:
        if h in (0.0, 1.0):
            return h / 2
        return float(brentq(lambda q: bits([q, 1 - q]) - h, 1e-12, 0.5))

    return np.array([[chance(h), 1 - chance(h)] for h in entropies])


def test_clue_takes_the_item_nearest_to_the_weighted_mean() -> None:
    points = np.array([[0.0], [1.0], [4.0], [100.0], [101.0], [104.0]])
    even = labeltrain.select("clue", embeddings=points, probabilities=binary([1] * 6), budget=2)
    assert sorted(even.positions.tolist()) == [1, 4]  # means 5/3 and 305/3
    heavy = binary(
        [0.1, 0.1, 1.0, 1.0, 0.1, 0.1]
    )  # weighted means (0.1 + 4) / 1.2, 100 + 0.5 / 1.2
    found = labeltrain.select("clue", embeddings=points, probabilities=heavy, budget=2)
    assert sorted(found.positions.tolist()) == [2, 3]
    assert found.scores == pytest.approx([1.0, 1.0], abs=1e-6)


def test_clue_is_not_pulled_by_items_the_model_is_sure_of() -> None:
    points = np.array([[0.0], [0.2], [10.0], [10.2], [500.0], [501.0], [502.0]])
    p = binary([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    for seed in range(10):
        found = labeltrain.select(
            "clue", embeddings=points, probabilities=p, budget=2, seed=seed
        ).positions
        assert sorted((found // 2).tolist()) == [0, 1]


def test_clue_of_labels_weighs_by_summed_entropies_and_heat_evens_them_out() -> None:
    points = np.zeros((2, 1))
    p = np.array([[0.5, 0.5], [0.9, 1.0]])
    found = labeltrain.select(
        "clue", embeddings=points, probabilities=p, budget=2, kind="multilabel"
    )
    worth = dict(zip(found.positions.tolist(), found.scores.tolist(), strict=True))
    assert worth == pytest.approx({0: 2.0, 1: bits([0.9, 0.1])}, abs=1e-6)
    hot = labeltrain.select(
        "clue", embeddings=points, probabilities=[[0.5, 0.5], [0.9, 0.1]], budget=2, temperature=2.0
    )
    worth = dict(zip(hot.positions.tolist(), hot.scores.tolist(), strict=True))
    softened = np.sqrt([0.9, 0.1]) / np.sqrt([0.9, 0.1]).sum()
    assert worth == pytest.approx({0: 1.0, 1: bits(softened)}, abs=1e-6)


def test_clusters_takes_the_item_nearest_to_each_mean_largest_group_first() -> None:
    angles = np.array([0.0, 0.002, 0.01, 1.0, 1.002, 2.5])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lengths = np.array([1.0, 5.0, 2.0, 3.0, 1.0, 9.0])[:, None]  # length does not count
    for seed in range(5):
        found = labeltrain.select("clusters", embeddings=points * lengths, budget=3, seed=seed)
        assert found.positions[0] == 1  # angle 0.002 is nearest to the mean of the first three
        assert found.positions[2] == 5
        assert found.scores.tolist() == [3.0, 2.0, 1.0]


# -- DropQuery -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("enough", [1.0, 3.0, 25.0])
def test_dropquery_is_its_slow_twin(kind: str, enough: float) -> None:
    view = pool_view(n=90, kind=kind, pending=0)
    weights, bias = np.random.default_rng(7).normal(size=(3, 6)), np.array([3.0, -1.0, 1.0])

    def predict(x: np.ndarray) -> np.ndarray:
        logits = x @ weights.T + bias  # because of the bias the scale of the features counts
        return 1.0 / (1.0 + np.exp(-logits)) if kind == "multilabel" else softmax(logits)

    view = source(view, predict=predict)
    passes, rate, count = 5, 0.5, 6
    found = picks("dropquery", view, count, 3, passes=passes, rate=rate, enough=enough)
    rng = np.random.default_rng(3)
    points = view.embeddings[view.candidates]

    def decision(features: np.ndarray) -> list[Any]:
        p = predict(features)
        return [tuple(row > 0.5) if kind == "multilabel" else int(row.argmax()) for row in p]

    plain, mismatch = decision(points), np.zeros(len(points), dtype=int)
    for _ in range(passes):
        kept = rng.random(points.shape, dtype=np.float32) >= rate
        dropped = decision(np.where(kept, points / np.float32(1 - rate), np.float32(0)))
        mismatch += [a != b for a, b in zip(plain, dropped, strict=True)]
    few = np.flatnonzero(mismatch > passes / 2)
    for least in range(passes // 2, -1, -1):
        if len(few) >= enough * count:
            break
        few = np.flatnonzero(mismatch >= least)
    rows, _ = representatives(unit_rows(points[few]), count, rng)
    assert found.positions.tolist() == view.candidates[few[rows]].tolist()
    assert found.scores.tolist() == mismatch[few[rows]].tolist()


def test_dropquery_prefers_what_flips_in_most_passes() -> None:
    # Ten items that depend on one feature each time, thirty that never flip.
    points = np.ones((40, 4), dtype=np.float32)
    points[10:] = 0.0

    def predict(x: np.ndarray) -> np.ndarray:
        first = (x[:, :1] > 0).astype(float)
        return np.concatenate([first, 1.0 - first], axis=1)

    for seed in range(5):
        found = labeltrain.select(
            "dropquery", embeddings=points, predict=predict, budget=4, rate=0.9, enough=1, seed=seed
        )
        assert (found.positions < 10).all()
    whole = labeltrain.select("dropquery", embeddings=points, predict=predict, budget=40)
    assert sorted(set(whole.scores.tolist()))[0] == 0.0  # lowered until all are candidates


def test_dropquery_keeps_candidates_enough_for_the_batch() -> None:
    with pytest.raises(BadInput, match="enough must be at least 1"):
        labeltrain.select("dropquery", embeddings=np.eye(3), predict=softmax, budget=2, enough=0.5)


# -- ALFA-Mix ------------------------------------------------------------------------------------


def slow_flips(view: PoolView, count: int, step: float) -> dict[int, float]:
    """The paper's elementwise mixing, and gradients by differences: item -> cap at its flip."""
    weights, bias = view.head
    hidden = view.hidden.astype(float)
    known, size = hidden[view.labelled], hidden.shape[1]

    def predict(z: np.ndarray) -> int:
        return int((weights @ z + bias).argmax())

    def gradient(z: np.ndarray) -> np.ndarray:
        label = predict(z)

        def loss(at: np.ndarray) -> float:
            return -math.log(softmax(weights @ at + bias)[label])

        tiny = 1e-6 * np.eye(size)
        return np.array([(loss(z + e) - loss(z - e)) / 2e-6 for e in tiny])

    gradient_of = {i: gradient(hidden[i]) for i in view.candidates.tolist()}
    anchors = [
        known[view.labels == c].mean(axis=0) if (view.labels == c).any() else known.mean(axis=0)
        for c in range(len(weights))
    ]
    flips: dict[int, float] = {}
    cap = 0.0
    while cap < 1.0 and len(flips) <= count:
        cap += step
        eps = cap / math.sqrt(size)
        for i in view.candidates.tolist():
            z, g = hidden[i], gradient_of[i]
            for anchor in anchors:
                gap = anchor - z
                alpha = eps * np.linalg.norm(gap) * g / (np.linalg.norm(g) * gap)
                if i not in flips and predict((1 - alpha) * z + alpha * anchor) != predict(z):
                    flips[i] = cap
    return flips


@pytest.mark.parametrize(("count", "seen"), [(3, 3), (8, 2), (8, 1), (50, 3)])
def test_alfa_mix_is_its_slow_twin(count: int, seen: int) -> None:
    view = pool_view(n=80, pending=0, labelled=10, seed=4)
    weights = np.random.default_rng(9).normal(size=(3, 6)) * 0.3
    view = PoolView(
        80,
        3,
        labelled=view.labelled,
        labels=view.labels % seen,
        sources={"hidden": view.hidden + 2.0, "head": (weights, np.array([0.1, 0.0, -0.1]))},
    )
    found = picks("alfa-mix", view, count, 5, step=0.0625)
    flips = slow_flips(view, count, 0.0625)
    rng = np.random.default_rng(5)
    few = np.array(sorted(flips))
    rows, _ = representatives(unit_rows(view.hidden, few), min(count, len(few)), rng)
    k = len(rows)
    assert found.positions[:k].tolist() == few[rows].tolist()
    assert found.scores[:k] == pytest.approx([flips[i] for i in few[rows].tolist()])
    assert np.isnan(found.scores[k:]).all()
    assert not set(found.positions[k:].tolist()) & set(flips)


# -- definitions on multilabel data --------------------------------------------------------------


def test_scores_of_labels_by_hand() -> None:
    p = np.array([[0.9, 0.2], [0.6, 0.99], [0.5, 0.7]])
    gap = {0: 0.6, 1: 0.2, 2: 0.0}
    sure = {0: 0.85, 1: 0.795, 2: 0.6}
    worth = {i: bits([p[i, 0], 1 - p[i, 0]]) + bits([p[i, 1], 1 - p[i, 1]]) for i in range(3)}
    for name, expected, falling in [
        ("margin", gap, False), ("confidence", sure, False), ("entropy", worth, True),
    ]:  # fmt: skip
        found = labeltrain.select(name, probabilities=p, budget=3, kind="multilabel")
        order = sorted(expected, key=expected.get, reverse=falling)  # type: ignore[arg-type]
        assert found.positions.tolist() == order, name
        assert found.scores == pytest.approx([expected[i] for i in order]), name
    found = labeltrain.select("power-margin", probabilities=p, budget=3, kind="multilabel")
    assert dict(zip(found.positions.tolist(), found.scores, strict=True)) == pytest.approx(gap)


def test_half_precision_zeros_have_no_entropy() -> None:
    p = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3]], dtype=np.float16)
    for kind, expected in (("multiclass", [2, 1, 0]), ("multilabel", [2, 1, 0])):
        found = labeltrain.select("entropy", probabilities=p, budget=3, kind=kind)
        assert found.positions.tolist() == expected
        assert np.isfinite(found.scores).all()


def test_facility_location_ranks_labels_by_their_smallest_gap() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.55], [0.2, 0.99]])
    found = labeltrain.select(
        "facility-location", embeddings=np.ones((3, 2)), probabilities=p, budget=1,
        uncertainty=1.0, kind="multilabel",
    )  # fmt: skip
    assert found.positions.tolist() == [1]
    assert found.scores == pytest.approx([2.0])  # coverage 1, and the highest of three ranks: 1


# -- laws ----------------------------------------------------------------------------------------

COVERING = [
    ("k-center", {}),
    ("max-herding", {}),
    ("prob-cover", {"delta": 0.4}),
    ("facility-location", {"kernel": "cosine"}),
    ("badge", {}),
]


@pytest.mark.parametrize(("name", "parameters"), COVERING)
def test_a_labelled_item_that_is_there_twice_changes_nothing(
    name: str, parameters: dict[str, Any]
) -> None:
    view = pool_view(n=70, labelled=9, pending=0)
    twin = int(view.labelled[4])
    arrays = {
        "hidden" if name in ("k-center", "badge") else "embeddings": view.hidden,
        "probabilities": view.probabilities,
    }
    more = {key: np.concatenate([a, a[[twin]]]) for key, a in arrays.items()}
    labels = view.labels.tolist()
    once = labeltrain.select(
        name, **parameters, **arrays, labelled=view.labelled, labels=labels, budget=12
    )
    twice = labeltrain.select(
        name, **parameters, **more, labelled=[*view.labelled, 70], labels=[*labels, labels[4]],
        budget=12,
    )  # fmt: skip
    assert once.positions.tolist() == twice.positions.tolist()


@pytest.mark.parametrize("name", ["k-center", "bait"])
def test_moving_the_origin_changes_nothing(name: str) -> None:
    view = pool_view(n=60)
    here = np.round(view.hidden.astype(np.float64) * 64) / 64  # so that the sums are exact
    there = here + np.array([64.0, -32.0, 8.0, 0.5, 16.0, -4.0])
    one, two = (
        picks(name, source(view, hidden=h.astype(np.float32)), 10).positions for h in (here, there)
    )
    assert one.tolist() == two.tolist()


ROTATED = [
    ("k-center", {}), ("max-herding", {}), ("facility-location", {}), ("uherding", {}),
    ("prob-cover", {"delta": 0.4}), ("bait", {}), ("seals", {"neighbours": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters"), ROTATED)
def test_rotating_the_space_changes_nothing(name: str, parameters: dict[str, Any]) -> None:
    view = pool_view(n=60)
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))
    turned = view.hidden.astype(np.float64) @ turn
    plain = view.hidden.astype(np.float64)
    one, two = (
        picks(name, source(view, hidden=h, embeddings=h), 10, **parameters).positions
        for h in (plain, turned)
    )
    assert one.tolist() == two.tolist()


UNIT = [
    "anchoral", "clusters", "facility-location", "max-herding", "prob-cover", "seals", "typiclust",
    "uherding",
]  # fmt: skip


@pytest.mark.parametrize("name", UNIT)
def test_the_length_of_a_row_does_not_count(name: str) -> None:
    view = pool_view(n=60)
    powers = 2.0 ** np.random.default_rng(0).integers(-3, 4, size=(60, 1))  # exact in any precision
    stretched = source(view, embeddings=view.embeddings * powers.astype(np.float32))
    assert picks(name, view, 10).positions.tolist() == picks(name, stretched, 10).positions.tolist()


@pytest.mark.parametrize(
    "name", ["margin", "confidence", "entropy", "bald", "badge", "bait", "power-bald", "clue"]
)
def test_the_order_of_classes_does_not_count(name: str) -> None:
    view = pool_view(n=60)
    order = [2, 0, 1]
    other = source(
        view,
        probabilities=view.probabilities[:, order],
        committee=view.committee[:, :, order],
    )
    assert picks(name, view, 10).positions.tolist() == picks(name, other, 10).positions.tolist()


@pytest.mark.parametrize("name", ["bald", "batch-bald", "power-bald"])
def test_the_order_of_members_does_not_count(name: str) -> None:
    view = pool_view(n=60)
    other = source(view, committee=view.committee[[2, 0, 1]])
    assert picks(name, view, 6).positions.tolist() == picks(name, other, 6).positions.tolist()
