"""The strategies for imbalanced data: numbers by hand, slow twins, laws."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.loop.checks import checked
from labeltrain.strategies import PoolView, registry
from labeltrain.strategies.most_likely_positive import MostLikelyPositive
from labeltrain.strategies.rare import label_counts, rare_classes
from labeltrain.testing import pool_view

OURS = ("balanced-entropy", "base", "cbal", "emal", "most-likely-positive", "similar")
RNG = np.random.default_rng(0)  # none of these draws


def picks(name: str, view: PoolView, count: int, **parameters: Any) -> Any:
    found = registry.make(name, parameters).select(view, count, RNG)
    return checked(found, view, count, name)


def probabilities_view(p: Any, labels: Any = (), **options: Any) -> PoolView:
    """Return a view of these rows, and of one more certain row for each label."""
    p = np.asarray(p, dtype=float)
    more = np.eye(p.shape[1])[np.zeros(len(labels), dtype=int)]
    labelled = np.arange(len(p), len(p) + len(labels))
    sources = {"probabilities": np.concatenate([p, more])}
    sources["hidden"] = np.ones((len(p) + len(labels), 2))
    classes = options.pop("classes", p.shape[1])
    return PoolView(
        len(p) + len(labels), classes, labelled=labelled, labels=labels, sources=sources, **options
    )


# -- all of them ---------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(OURS), st.data())
def test_picks_are_as_many_as_asked_unique_and_candidates(name: str, data: Any) -> None:
    n, classes = data.draw(st.integers(2, 30)), data.draw(st.integers(1, 5))
    kind = data.draw(st.sampled_from(sorted(registry.get(name).kinds)))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    known = data.draw(st.integers(0, n - 1))
    waiting = data.draw(st.integers(0, n - 1 - known))
    order = rng.permutation(n)
    labels: np.ndarray = rng.integers(0, classes, known)
    p = rng.dirichlet(np.ones(classes), size=n)
    if kind == "multilabel":
        labels, p = rng.integers(0, 2, (known, classes)), rng.random((n, classes))
    if data.draw(st.booleans()):
        p = np.round(p)  # certain, with ties
    points = rng.integers(-1, 2, (n, 3)).astype(float)
    head = (rng.integers(-1, 2, (classes, 3)).astype(float), rng.normal(size=classes))
    free = np.sort(order[known + waiting :])
    few = free[: data.draw(st.integers(1, len(free)))]
    view = PoolView(
        n,
        classes,
        kind=kind,
        labelled=order[:known],
        labels=labels,
        pending=order[known : known + waiting],
        candidates=few,
        sources={"probabilities": p, "hidden": points, "head": head},
    )
    count = data.draw(st.integers(1, len(few)))
    found = picks(name, view, count)
    assert len(set(found.positions.tolist())) == count
    assert set(found.positions.tolist()) <= set(few.tolist())
    assert all(found.why)
    if name != "base":  # has no distance where there is no border
        assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("name", OURS)
def test_equal_items_are_taken_from_the_lowest_position(name: str) -> None:
    kind = min(registry.get(name).kinds)
    view = pool_view(n=50, kind=kind, labelled=10, pending=0, features=np.ones((50, 4)))
    view._sources["probabilities"] = np.tile([[0.5, 0.3, 0.2]], (50, 1))
    assert picks(name, view, 6).positions.tolist() == view.candidates[:6].tolist()


@pytest.mark.parametrize(
    ("name", "known_as"),
    [("base", "balanced-selection"), ("similar", "FLQMI"), ("cbal", "class_balanced"),
     ("most-likely-positive", "mlp")],
)  # fmt: skip
def test_other_names_lead_here(name: str, known_as: str) -> None:
    with pytest.raises(BadInput, match=name):
        registry.make(known_as)


# -- which classes are rare ----------------------------------------------------------------------


def test_rare_classes_have_fewer_labels_than_average() -> None:
    view = probabilities_view(np.full((3, 4), 0.25), labels=[0, 0, 0, 1, 1, 2])
    assert label_counts(view).tolist() == [3, 2, 1, 0]
    assert rare_classes(view).tolist() == [2, 3]  # 1.5 on average


def test_rare_labels_are_on_in_fewer_items_than_average() -> None:
    rows = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    view = probabilities_view(np.full((2, 3), 0.5), labels=rows, kind="multilabel")
    assert label_counts(view).tolist() == [3, 2, 1]
    assert rare_classes(view).tolist() == [2]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_without_labels_the_predictions_say_what_is_rare(kind: str) -> None:
    view = probabilities_view([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]], kind=kind)
    assert label_counts(view).tolist() == [0, 0, 0]
    assert rare_classes(view).tolist() == [2]  # sums 1.1, 0.7 and 0.2; 0.67 on average
    balanced = probabilities_view([[0.5, 0.3, 0.2]] * 8, labels=[0, 1, 2])
    assert rare_classes(balanced).tolist() == [1, 2]


def test_when_nothing_tells_them_apart_all_classes_are_rare() -> None:
    assert rare_classes(probabilities_view(np.full((7, 3), 1 / 3))).tolist() == [0, 1, 2]
    assert rare_classes(probabilities_view(np.ones((2, 1)), labels=[0])).tolist() == [0]


def test_rare_classes_by_name_and_index() -> None:
    view = PoolView(4, ["ham", "spam", "eggs"])
    assert rare_classes(view, "spam").tolist() == [1]
    assert rare_classes(view, 2).tolist() == [2]
    assert rare_classes(view, ["spam", 0, np.int64(1)]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("rare", "message"),
    [("spma", "did you mean 'spam'"), (3, "none of the 3 classes"), (-1, "-1"), ([], "no class"),
     ([True], "True"), (1.5, "1.5")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["most-likely-positive", "similar"])
def test_unknown_rare_classes_are_refused(name: str, rare: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        labeltrain.select(
            name, probabilities=np.full((4, 3), 1 / 3), embeddings=np.eye(4), budget=1, rare=rare,
            classes=["ham", "spam", "eggs"],
        )  # fmt: skip


# -- most likely positive ------------------------------------------------------------------------


def test_most_likely_positive_by_hand() -> None:
    p = [[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.1, 0.6, 0.3], [0.9, 0.1, 0.0], [0.5, 0.4, 0.1]]
    view = probabilities_view(p, labels=[0, 0, 0], classes=["x", "y", "z"])
    found = picks("most-likely-positive", view, 4)  # y and z are rare
    assert found.positions.tolist() == [2, 1, 4, 0]
    assert found.scores.tolist() == [0.6, 0.4, 0.4, 0.2]
    assert found.why == (
        "probability 0.60 of being y",
        "probability 0.40 of being z",
        "probability 0.40 of being y",
        "probability 0.20 of being y",
    )
    assert picks("most-likely-positive", view, 2, rare="z").positions.tolist() == [1, 2]
    assert picks("most-likely-positive", view, 2, rare=[0]).positions.tolist() == [3, 0]


def test_most_likely_positive_of_a_rare_label() -> None:
    rows = np.array([[1, 0], [1, 1], [1, 0]])
    view = probabilities_view([[0.9, 0.3], [0.1, 0.8], [0.2, 0.5]], labels=rows, kind="multilabel")
    assert picks("most-likely-positive", view, 3).positions.tolist() == [1, 2, 0]


def test_named_classes_need_no_labels() -> None:
    given: dict[str, Any] = {"probabilities": np.eye(3), "labelled": [0], "budget": 1}
    with pytest.raises(MissingNeed, match="labels"):
        labeltrain.select("most-likely-positive", **given)
    found = labeltrain.select("most-likely-positive", **given, rare=2)
    assert found.positions.tolist() == [2]


# -- BASE ----------------------------------------------------------------------------------------


def base_view(points: Any, weights: Any, bias: Any) -> PoolView:
    sources = {"hidden": np.asarray(points, float), "head": (np.array(weights), np.array(bias))}
    return PoolView(len(points), len(weights), sources=sources)


def slow_base(view: PoolView, count: int) -> tuple[list[int], list[float]]:
    weights, bias = view.head
    classes = len(weights)
    taken: list[int] = []
    values: list[float] = []
    for c in range(classes):
        ranked = []
        for i in view.candidates.tolist():
            if i in taken:
                continue
            z = weights @ view.hidden[i] + bias
            top = int(z.argmax())
            to = [
                (z[top] - z[k]) / np.linalg.norm(weights[top] - weights[k])
                for k in range(classes)
                if k != top and (k == c or top == c)
            ]
            ranked.append((min(to), i))
        quota = count // classes + (1 if c < count % classes else 0)
        for value, i in sorted(ranked)[:quota]:
            taken.append(i)
            values.append(value)
    return taken, values


def test_base_on_a_line() -> None:
    # z = (x, -x): the border is at 0, and |2 x| / 2 = |x| away.
    view = base_view([[5.0], [1.0], [-2.0], [-3.0], [4.0]], [[1.0], [-1.0]], [0.0, 0.0])
    found = picks("base", view, 3)
    assert found.positions.tolist() == [1, 2, 3]
    assert found.scores.tolist() == [1.0, 2.0, 3.0]
    # The bias moves the border to -1.
    view = base_view([[5.0], [1.0], [-2.0], [-3.0], [4.0]], [[1.0], [-1.0]], [2.0, 0.0])
    found = picks("base", view, 4)
    assert found.positions.tolist() == [2, 1, 3, 4]
    assert found.scores.tolist() == [1.0, 2.0, 2.0, 5.0]


def test_base_measures_items_of_a_class_to_their_nearest_border() -> None:
    # Three classes: z = (x, y, 0). Items 0 and 1 are predicted 0, 2 is predicted 1, 3 class 2.
    points = [[3.0, 2.5], [1.0, -4.0], [0.0, 6.0], [-5.0, -4.0]]
    view = base_view(points, [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0.0, 0.0, 0.0])
    half = 0.5 / math.sqrt(2.0)
    # Class 0: item 0 is half away from class 1; item 1 is 1 away from class 2. Class 1: item 3 is
    # 4 away from it, item 2 is 6/√2 away from class 0. Class 2: what is left.
    found = picks("base", view, 4)
    assert found.positions.tolist() == [0, 1, 3, 2]
    assert found.scores.tolist() == pytest.approx([half, 1.0, 4.0, 6.0])
    assert found.why[2] == "close to the border of 1"


@pytest.mark.parametrize("count", [1, 2, 5, 9, 30])
def test_base_is_its_slow_twin(count: int) -> None:
    for seed in range(6):
        view = pool_view(n=60, classes=4, labelled=8, pending=3, seed=seed)
        slow, values = slow_base(view, count)
        found = picks("base", view, count)
        assert found.positions.tolist() == slow
        assert found.scores == pytest.approx(values, rel=1e-5)


def test_base_serves_the_first_classes_when_the_batch_is_small() -> None:
    view = pool_view(n=60, classes=5)
    why = picks("base", view, 7).why
    assert [w[-1] for w in why] == list("0011234")
    assert [w[-1] for w in picks("base", view, 2).why] == list("01")


def test_base_without_borders() -> None:
    view = base_view([[1.0], [2.0], [3.0]], [[0.0], [0.0]], [1.0, 0.0])  # a prior, no model
    found = picks("base", view, 2)
    assert found.positions.tolist() == [0, 1]
    assert np.isnan(found.scores).all()
    view = base_view([[1.0], [2.0], [3.0]], [[1.0]], [0.0])
    assert picks("base", view, 2).scores.tolist() == [0.0, 0.0]


# -- SIMILAR -------------------------------------------------------------------------------------


class SlowSimilar:
    """FLQMI with explicit gradients and a plain greedy loop."""

    def __init__(self, view: PoolView, rare: list[int], queries: int, eta: float) -> None:
        p, multilabel = view.probabilities, view.kind == "multilabel"
        guess = (p > 0.5) * 1.0 if multilabel else np.eye(p.shape[1])[p.argmax(axis=1)]
        truth = view.labels if multilabel else np.eye(p.shape[1], dtype=int)[view.labels]
        chosen: list[int] = []
        for c in rare:
            few = [i for i in range(len(view.labelled)) if truth[i, c]][:queries]
            chosen += [i for i in few if i not in chosen]
        hidden = view.hidden.astype(float)
        pool = np.stack([np.outer(a, h).ravel() for a, h in zip(p - guess, hidden, strict=True)])
        known = view.labelled[chosen]
        asked = [
            np.outer(p[i] - truth[k], hidden[i]).ravel() for k, i in zip(chosen, known, strict=True)
        ]
        self.s = np.array([[self.similarity(g, q) for q in asked] for g in pool])
        self.view, self.eta = view, eta

    @staticmethod
    def similarity(g: np.ndarray, q: np.ndarray) -> float:
        length = np.linalg.norm(g) * np.linalg.norm(q)
        return 0.5 + 0.5 * float(g @ q / length if length > 0 else 0.0)

    def value(self, batch: list[int]) -> float:
        if not batch:
            return 0.0
        s = self.s[batch]
        return float(s.max(axis=0).sum() + self.eta * s.max(axis=1).sum())

    def greedy(self, count: int) -> tuple[list[int], list[float]]:
        batch = self.view.pending.tolist()
        gains = []
        for _ in range(count):
            before = self.value(batch)
            left = [i for i in self.view.candidates.tolist() if i not in batch]
            gain = [self.value([*batch, i]) - before for i in left]
            best = next(k for k, g in enumerate(gain) if g >= max(gain) - 1e-10)
            gains.append(gain[best])
            batch.append(left[best])
        return batch[len(self.view.pending) :], gains


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize(("queries", "eta"), [(5, 1.0), (1, 1.0), (100, 0.0), (2, 3.0)])
def test_similar_is_its_slow_twin(kind: str, queries: int, eta: float) -> None:
    for seed in range(3):
        view = pool_view(n=60, kind=kind, labelled=14, pending=seed, seed=seed)
        rare = rare_classes(view).tolist()
        slow, gains = SlowSimilar(view, rare, queries, eta).greedy(12)
        for memory in (2**30, 1):
            found = picks("similar", view, 12, queries=queries, eta=eta, memory=memory)
            assert found.positions.tolist() == slow
            assert found.scores == pytest.approx(gains)


def test_similar_makes_the_picks_of_the_cosine_itself() -> None:
    view = pool_view(n=40, labelled=12, pending=0, seed=5)
    slow = SlowSimilar(view, rare_classes(view).tolist(), 5, 1.0)
    slow.s = 2.0 * slow.s - 1.0
    assert picks("similar", view, 8).positions.tolist() == slow.greedy(8)[0]


def test_similar_by_hand() -> None:
    # Two labels of the rare class 1, predicted 0: their residuals are (.8, -.8) and (.6, -.6).
    # An item predicted 1 has the same signs, so its cosine is that of the features.
    hidden = np.array(
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [3.0, 0.1], [0.0, 2.0], [1, 0]]
    )
    p1 = np.array([0.2, 0.4, 0.3, 0.3, 0.7, 0.6, 0.9])
    view = PoolView(
        7,
        2,
        labelled=[0, 1, 2, 3],
        labels=[1, 1, 0, 0],
        sources={"hidden": hidden, "probabilities": np.stack([1 - p1, p1], axis=1)},
    )
    # 2:2 is no minority: say which class is rare.
    found = picks("similar", view, 3, rare=1)
    # s of item 4: (1 + .999) / 2 and (1 + .033) / 2; of 5: 1/2 and 1; of 6: 1 and 1/2. Gains of the
    # first pick: 4: 1.516 + .9997, 5: 2.5, 6: 2.5. Then 6 gains .0003 + 1, and 5 gains .483 + 1.
    assert found.positions.tolist() == [4, 5, 6]
    a, b = (1 + 3 / math.hypot(3, 0.1)) / 2, (1 + 0.1 / math.hypot(3, 0.1)) / 2
    assert found.scores == pytest.approx([2 * a + b, (1 - b) + 1, (1 - a) + 1])
    assert found.why == ("like a labelled item of 1",) * 3


def test_similar_takes_the_gradients_of_queries_at_their_true_labels() -> None:
    # The query is predicted 0 and labelled 1: items predicted 1 change the model as it does.
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    view = PoolView(
        4, 2, labelled=[0], labels=[1], sources={"hidden": np.ones((4, 1)), "probabilities": p}
    )
    found = picks("similar", view, 1, rare=1)
    assert found.positions.tolist() == [3]
    assert found.scores == pytest.approx([2.0])


def test_similar_asks_by_the_first_labels_of_each_rare_class() -> None:
    view = pool_view(n=80, classes=4, labelled=30, pending=0)
    whole = picks("similar", view, 10, rare=[1, 2], queries=3)
    kept = [np.flatnonzero(view.labels == c)[:3] for c in (1, 2)]
    rows = np.concatenate(kept)
    fewer = PoolView(
        80,
        4,
        labelled=view.labelled[rows],
        labels=view.labels[rows],
        candidates=view.candidates,
        sources=view._sources,
    )
    alone = picks("similar", fewer, 10, rare=[1, 2], queries=99)
    assert whole.positions.tolist() == alone.positions.tolist()


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_similar_without_a_rare_label_is_most_likely_positive(kind: str) -> None:
    view = pool_view(n=50, kind=kind, labelled=0)
    found = picks("similar", view, 8)
    other = MostLikelyPositive().select(view, 8, RNG)
    assert found.positions.tolist() == other.positions.tolist()
    assert all(w.startswith("no labelled item of a rare class yet: probab") for w in found.why)


def test_one_labelled_rare_item_is_enough_for_similar() -> None:
    # The published code draws at random while classes have fewer than five labels, and always.
    view = probabilities_view([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], labels=[0, 0, 1])
    found = picks("similar", view, 3)
    assert found.why == ("like a labelled item of 1",) * 3


# -- CBAL ----------------------------------------------------------------------------------------


def objective(p: np.ndarray, missing: np.ndarray, weight: float, batch: Any) -> float:
    rows = p[list(batch)]
    information = -sum(float(q) * math.log(q) for q in rows.ravel() if q > 0)
    return -information + weight * float(np.abs(missing - rows.sum(axis=0)).sum())


def deficit(labels: np.ndarray, classes: int, count: int) -> np.ndarray:
    known = np.bincount(labels, minlength=classes)
    return np.maximum(0.0, (len(labels) + count) / classes - known)


def slow_cbal(view: PoolView, count: int, weight: float) -> tuple[list[int], list[float]]:
    classes = len(view.classes)
    missing = deficit(view.labels, classes, count + len(view.pending))
    batch = view.pending.tolist()
    gains = []
    for _ in range(count):
        before = objective(view.probabilities, missing, weight, batch)
        left = [i for i in view.candidates.tolist() if i not in batch]
        gain = [before - objective(view.probabilities, missing, weight, [*batch, i]) for i in left]
        best = next(k for k, g in enumerate(gain) if g >= max(gain) - 1e-9)
        gains.append(gain[best])
        batch.append(left[best])
    return batch[len(view.pending) :], gains


O2 = np.array([[0.9, 0.1], [0.55, 0.45], [0.5, 0.5], [0.1, 0.9]])


def test_cbal_oracle_o2() -> None:
    view = probabilities_view(O2, labels=[0] * 8 + [1] * 2)
    assert deficit(view.labels, 2, 2).tolist() == [0, 4]
    entropies = [-objective(O2, np.zeros(2), 0.0, [i]) for i in range(4)]
    assert entropies == pytest.approx([0.3251, 0.6881, 0.6931, 0.3251], abs=5e-5)
    for weight, batch in ((0.0, {1, 2}), (0.1, {1, 2}), (1.0, {2, 3})):
        found = picks("cbal", view, 2, weight=weight)
        assert set(found.positions.tolist()) == batch
        before = objective(O2, np.array([0.0, 4.0]), weight, [])
        after = objective(O2, np.array([0.0, 4.0]), weight, batch)
        assert found.scores.sum() == pytest.approx(before - after)
    assert picks("cbal", view, 2).why[0] == "may be 1, which lacks labels"


def test_cbal_without_weight_is_entropy() -> None:
    view = pool_view(n=90, classes=4)
    found = picks("cbal", view, 25, weight=0.0)
    entropy = picks("entropy", view, 25)
    assert found.positions.tolist() == entropy.positions.tolist()
    assert found.scores == pytest.approx(entropy.scores * math.log(2.0))


@pytest.mark.parametrize("weight", [0.3, 1.0, 20.0])
def test_cbal_is_its_slow_twin(weight: float) -> None:
    for seed in range(5):
        view = pool_view(n=50, classes=4, labelled=3 * seed, pending=seed, seed=seed)
        for count in (1, 4, 15):
            slow, gains = slow_cbal(view, count, weight)
            found = picks("cbal", view, count, weight=weight)
            assert found.positions.tolist() == slow
            assert found.scores == pytest.approx(gains, abs=1e-9)


def test_cbal_is_close_to_the_best_batch_of_small_pools() -> None:
    best_found = 0
    gaps = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        classes, count = int(rng.integers(2, 5)), int(rng.integers(1, 5))
        p = rng.dirichlet(np.full(classes, rng.choice([0.3, 1.0, 3.0])), size=10)
        labels = rng.integers(0, classes, 8) * rng.integers(0, 2, 8)  # mostly class 0
        view = probabilities_view(p, labels=labels)
        missing = deficit(labels, classes, count)
        values = [objective(p, missing, 1.0, batch) for batch in combinations(range(10), count)]
        value = objective(p, missing, 1.0, picks("cbal", view, count).positions)
        assert value >= min(values) - 1e-9
        best_found += value <= min(values) + 1e-9
        gaps.append((value - min(values)) / (max(values) - min(values)))
    assert best_found >= 0.7 * 150
    assert np.mean(gaps) < 0.02
    assert max(gaps) < 0.3


def test_cbal_gains_are_measured_again_only_near_the_end_of_a_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from labeltrain.strategies import class_balanced

    fell: list[bool] = []
    plain = class_balanced.lazy_greedy

    def watched(n: int, count: int, gains: Any, take: Any, **options: Any) -> Any:
        def noted(row: int) -> bool:
            fell.append(take(row))
            return fell[-1]

        return plain(n, count, gains, noted, **options)

    monkeypatch.setattr(class_balanced, "lazy_greedy", watched)
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=200)
    picks("cbal", probabilities_view(p), 60)  # each class lacks 20
    assert not any(fell[:40])
    assert any(fell[40:])


# -- balanced entropy, EMAL ----------------------------------------------------------------------


def test_balanced_entropy_by_hand() -> None:
    # Entropies 1, 0.811, 1.5 and 0; predicted 0 (a tie), 1, 2, 1; labels 3, 1, 4.
    p = [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0]]
    view = probabilities_view(p, labels=[0, 0, 0, 1, 2, 2, 2, 2])
    found = picks("balanced-entropy", view, 4)
    assert found.positions.tolist() == [1, 2, 0, 3]
    assert found.scores == pytest.approx([0.811278 / 2, 1.5 / 5, 1.0 / 4, 0.0], abs=1e-6)
    assert found.why[0] == "uncertain; looks like 1 (labels so far: 1)"


def test_balanced_entropy_without_labels_is_entropy() -> None:
    view = pool_view(n=60, labelled=0)
    found = picks("balanced-entropy", view, 20)
    assert found.positions.tolist() == picks("entropy", view, 20).positions.tolist()


def test_emal_oracle_o4() -> None:
    view = probabilities_view([[0.5, 0.9], [0.6, 0.6], [0.1, 0.9]], kind="multilabel")
    found = picks("emal", view, 3)
    assert found.positions.tolist() == [1, 0, 2]
    assert found.scores == pytest.approx([0.2, 0.4, 0.8])


def test_emal_is_for_multilabel_data_only() -> None:
    with pytest.raises(MissingNeed, match="does not work on multiclass"):
        labeltrain.select("emal", probabilities=O2, budget=1)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("cbal", {"weight": -1.0}, "weight is -1"),
        ("cbal", {"weight": float("nan")}, "weight=nan"),
        ("similar", {"queries": 0}, "queries must be at least 1"),
        ("similar", {"eta": -0.1}, "eta is -0.1"),
        ("similar", {"memory": 0}, "memory=0"),
    ],
)
def test_wrong_parameters_are_refused(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        registry.make(name, parameters)
