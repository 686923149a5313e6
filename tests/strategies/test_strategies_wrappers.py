"""SEALS and AnchorAL: which part of the pool they leave, and any strategy inside them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.strategies import Need, Picks, PoolView, Strategy, registry
from labeltrain.strategies.anchor_al import AnchorAL
from labeltrain.strategies.base import Memo, Past, Round
from labeltrain.strategies.seals import Seals
from labeltrain.testing import StrategyContract, pool_view

INSIDE = [
    name
    for name in registry.names()
    if name not in ("seals", "anchoral", "second-opinion")
    and registry.get(name).__module__.startswith("labeltrain.")
]


class TestSealsOfFewNeighbours(StrategyContract):
    strategy = Seals
    parameters = {"base": "badge", "neighbours": 2}


class TestAnchorALOfAFewItems(StrategyContract):
    strategy = AnchorAL
    parameters = {"base": "k-center", "size": 5, "neighbours": 3}


class Ladder(Strategy):
    """Goes up the candidates, and down from the top after a 1."""

    name: ClassVar[str] = "test-ladder"
    sequential: ClassVar[bool] = True
    summary: ClassVar[str] = "for tests"

    def __init__(self, note: str = "") -> None:
        self.note = note

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        up = not any(past.answer == 1 for past in view.history)
        rows = view.candidates[:count] if up else view.candidates[::-1][:count]
        return Picks(rows, why="next", notes=tuple({"note": self.note} for _ in rows))


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, Ladder.name, Ladder)


def unit(view: PoolView) -> np.ndarray:
    x = view.embeddings.astype(float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def nearest(view: PoolView, position: int, k: int) -> list[int]:
    """The k candidates most similar to an item."""
    z = unit(view)
    gaps = np.linalg.norm(z[view.candidates] - z[position], axis=1)
    return view.candidates[np.argsort(gaps, kind="stable")[:k]].tolist()


# -- the part that is left -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_seals_leaves_the_neighbours_of_what_is_labelled_or_pending(kind: str, k: int) -> None:
    for seed in range(5):
        view = pool_view(n=90, kind=kind, labelled=6, pending=2, seed=seed)
        part = Seals(neighbours=k).part(view, 5, np.random.default_rng(0))
        known = [*view.labelled, *view.pending]
        assert part.tolist() == sorted({i for p in known for i in nearest(view, p, k)})


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("wrapper", ["seals", "anchoral"])
def test_in_mid_round_the_part_is_that_of_its_opening(wrapper: str, keeps: bool) -> None:
    """Whatever was answered since, and with or without what was kept of the group before."""
    truth = np.random.default_rng(0).integers(3, size=90)
    opening = pool_view(n=90, labelled=6, pending=0, seed=3, number=4, budget=9)
    reducer = registry.make(wrapper, {"base": "galaxy", "neighbours": 5})
    memo, past, part = Memo(), [], None
    for group in range(3):
        asked = np.array([p.position for p in past], dtype=np.int64)
        view = PoolView(
            90, 3, labelled=[*opening.labelled, *asked], labels=[*opening.labels, *truth[asked]],
            round=Round(4, 9, len(asked)), sources=opening._sources,
            history=[*opening.history, *past], memo=memo if keeps else None,
        )  # fmt: skip
        picks = reducer.select(view, 3, np.random.default_rng(group))
        assert picks.notes is not None
        seed = picks.notes[0]["part"]
        if part is None:
            part = set(reducer.part(opening, 9, np.random.default_rng(seed)).tolist())  # type: ignore[attr-defined]
            first = seed
        assert seed == first
        assert set(picks.positions.tolist()) <= part - set(asked.tolist())
        past += [
            Past(int(p), 4, int(truth[p]), note)
            for p, note in zip(picks.positions, picks.notes, strict=True)
        ]


def slow_anchoral(view: PoolView, anchors: list[int], k: int, size: int) -> list[int]:
    z = unit(view)
    found: dict[int, list[float]] = {}
    for anchor in anchors:
        for item in nearest(view, anchor, k):
            found.setdefault(item, []).append(float(z[item] @ z[anchor]))
    ranked = sorted(found, key=lambda item: (-float(np.mean(found[item])), item))
    return sorted(ranked[:size])


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize(("k", "size"), [(4, 1000), (10, 12), (1, 3)])
def test_anchoral_leaves_what_is_most_similar_to_the_anchors(kind: str, k: int, size: int) -> None:
    for seed in range(4):
        view = pool_view(n=90, kind=kind, labelled=9, pending=0, seed=seed)
        # With as many anchors as labels every labelled item (that has a label on) is one.
        on = view.labels.any(axis=1) if kind == "multilabel" else np.ones(9, dtype=bool)
        slow = slow_anchoral(view, view.labelled[on].tolist(), k, size)
        part = AnchorAL(anchors=9, neighbours=k, size=size).part(view, 5, np.random.default_rng(0))
        assert part.tolist() == slow


def test_anchoral_takes_as_many_anchors_of_rare_classes() -> None:
    # Class 0 lies around angle 0 (30 labels), class 1 around angle 1.5 (one label).
    angles = np.concatenate([np.linspace(0, 0.3, 60), np.linspace(1.4, 1.6, 20)])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labelled = [*range(0, 60, 2), 70]
    view = PoolView(80, 2, labelled=labelled, labels=[0] * 30 + [1], sources={"embeddings": points})
    for seed in range(10):
        part = AnchorAL(anchors=1, neighbours=5).part(view, 5, np.random.default_rng(seed))
        assert (part >= 60).sum() == 5
        assert len(part) == 10


# -- the strategy inside -------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["seals", "anchoral"])
@pytest.mark.parametrize("base", INSIDE)
def test_any_strategy_can_be_inside(wrapper: str, base: str) -> None:
    strategy = registry.make(wrapper, {"base": base, "neighbours": 8})
    assert strategy.needs == registry.make(base).needs | {Need.EMBEDDINGS}
    assert strategy.kinds == registry.make(base).kinds
    kind = min(strategy.kinds)  # multiclass, where it works on that
    view = pool_view(n=90, kind=kind, labelled=8, pending=0, only=strategy.needs)
    part = strategy.part(view, 6, np.random.default_rng(0))  # type: ignore[attr-defined]
    picks = strategy.select(view, 6, np.random.default_rng(0))
    assert set(picks.positions.tolist()) <= set(part.tolist())
    if wrapper == "seals":  # its part uses no randomness
        inside = registry.make(base).select(view.narrowed(part), 6, np.random.default_rng(0))
        assert picks.positions.tolist() == inside.positions.tolist()


@pytest.mark.parametrize("wrapper", ["seals", "anchoral"])
def test_what_the_part_cannot_fill_is_drawn(wrapper: str) -> None:
    view = pool_view(n=60, labelled=2, pending=0)
    strategy = registry.make(wrapper, {"neighbours": 2})
    part = strategy.part(view, 9, np.random.default_rng(0))  # type: ignore[attr-defined]
    drawn = np.zeros(60)
    for seed in range(200):
        picks = strategy.select(view, 9, np.random.default_rng(seed))
        k = len(part)
        assert sorted(picks.positions[:k]) == sorted(part)
        assert len(set(picks.positions.tolist())) == 9
        assert np.isfinite(picks.scores[:k]).all()
        assert np.isnan(picks.scores[k:]).all()
        assert all("random draw" in why for why in picks.why[k:])
        drawn[picks.positions[k:]] += 1
    outside = np.setdiff1d(view.candidates, part)
    assert (drawn[outside] > 0).all()
    assert drawn.sum() == drawn[outside].sum() == 200 * (9 - len(part))


@pytest.mark.parametrize("wrapper", ["seals", "anchoral"])
def test_without_labels_all_is_drawn(wrapper: str) -> None:
    found = labeltrain.select(
        wrapper, embeddings=np.eye(8), probabilities=np.full((8, 2), 0.5), budget=3
    )
    assert len(found) == 3
    assert set(found.why) == {"nothing to compare with yet: a random draw"}


@pytest.mark.parametrize("wrapper", ["seals", "anchoral"])
def test_a_sequential_strategy_stays_sequential(wrapper: str, ladder: None) -> None:
    strategy = registry.make(wrapper, {"base": "test-ladder", "options": {"note": "x"}})
    assert strategy.sequential
    view = pool_view(n=40, labelled=4, pending=0)
    truth = (np.arange(40) > 20).astype(int)
    asked: list[list[int]] = []

    def ask(rows: np.ndarray) -> list[int]:
        asked.append(rows.tolist())
        return truth[rows].tolist()

    found = labeltrain.select(
        wrapper, base="test-ladder", options={"note": "x"}, neighbours=2, budget=12, ask=ask,
        embeddings=view.embeddings, labelled=view.labelled, labels=truth[view.labelled], classes=2,
    )  # fmt: skip
    # Once it was all asked, the part grows with every answer: nothing has to be drawn at random.
    assert len(found) == len(asked) == 12
    assert set(found.why) == {"next"}
    assert all(note["note"] == "x" for note in found.notes)
    assert len({note["part"] for note in found.notes}) == 1
    known = view.labelled.tolist()
    for position in found.positions.tolist():
        now = PoolView(40, 2, labelled=known, sources={"embeddings": view.embeddings})
        if wrapper == "seals":
            assert position in {i for p in known for i in nearest(now, p, 2)}
        known.append(position)


def test_scores_reasons_and_notes_of_the_strategy_inside_are_kept() -> None:
    view = pool_view(n=60)
    strategy = Seals("margin", neighbours=3)
    picks = strategy.select(view, 4, np.random.default_rng(0))
    part = strategy.part(view, 4, np.random.default_rng(0))
    inside = registry.make("margin").select(view.narrowed(part), 4, np.random.default_rng(0))
    np.testing.assert_array_equal(picks.scores, inside.scores)
    assert picks.why == inside.why


def test_options_reach_the_strategy_inside() -> None:
    view = pool_view(n=60)
    arrays = {"embeddings": view.embeddings, "labelled": view.labelled, "labels": view.labels}
    found = labeltrain.select(
        "seals", **arrays, base="facility-location", options={"kernel": "cosine"}, neighbours=4,
        budget=5,
    )  # fmt: skip
    part = Seals(neighbours=4).part(
        PoolView(60, 3, **{k: v for k, v in arrays.items() if k != "embeddings"},
                 sources={"embeddings": view.embeddings}), 5, np.random.default_rng(0))  # fmt: skip
    inside = labeltrain.select(
        "facility-location", **arrays, kernel="cosine", candidates=part, budget=5
    )
    assert found.positions.tolist() == inside.positions.tolist()


def test_what_the_strategy_inside_needs_is_refused_by_name() -> None:
    with pytest.raises(MissingNeed, match=r"committee"):
        labeltrain.select("seals", embeddings=np.eye(4), base="bald", budget=1)
    with pytest.raises(MissingNeed, match="does not work on multilabel"):
        labeltrain.select(
            "seals", embeddings=np.eye(4), base="batch-bald", budget=1, kind="multilabel",
            committee=np.full((2, 4, 2), 0.5),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "margn"}, "did you mean 'margin'"),
        ({"base": "seals"}, "itself a pool reducer"),
        ({"base": "anchoral"}, "itself a pool reducer"),
        ({"base": "bait", "options": {"serach": "swap"}}, "did you mean 'search'"),
        ({"base": "clue", "options": {"temperature": 0}}, "temperature must be above 0"),
        ({"neighbours": 0}, "neighbours must be at least 1"),
        ({"neighbors": 5}, "did you mean 'neighbours'"),
    ],
)
@pytest.mark.parametrize("wrapper", ["seals", "anchoral"])
def test_impossible_parameters_are_refused(
    wrapper: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        labeltrain.select(wrapper, embeddings=np.eye(4), budget=1, **options)


# -- in a study ----------------------------------------------------------------------------------


def test_in_a_run_by_parameters() -> None:
    specs = [
        {"name": "seals", "parameters": {"base": "badge", "neighbours": 20}},
        {"name": "anchoral", "parameters": {"base": "bald", "size": 60}},
    ]
    results = labeltrain.run(dataset="digits", strategies=specs, batch=10, rounds=2, seeds=1)
    assert len(results.curves) == 2
    for curve in results.curves:
        assert all(0.1 < score <= 1.0 for score in curve.scores["accuracy"])
