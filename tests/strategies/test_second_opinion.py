"""Doubtful labels are asked again, and each answer costs a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain import Dataset, Project
from labeltrain.errors import BadInput
from labeltrain.learners import make as make_learner
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.journal import MemoryJournal
from labeltrain.loop.oracle import SimulatedOracle
from labeltrain.loop.state import State
from labeltrain.loop.trajectory import Plan, Pool, Trajectory
from labeltrain.store.ledger import Event
from labeltrain.strategies.base import Past, Round
from labeltrain.strategies.registry import make
from labeltrain.strategies.second_opinion import SecondOpinion
from labeltrain.strategies.view import PoolView
from labeltrain.testing import StrategyContract, blobs, pool_view


class TestOverMargin(StrategyContract):
    strategy = SecondOpinion
    parameters = {"share": 0.0}  # the suite lets nobody pick what is labelled


class TestOverGalaxy(StrategyContract):
    strategy = SecondOpinion
    parameters = {"base": "galaxy", "share": 0.0}


def view(history: list[Past] | None = None, **more: Any) -> PoolView:
    """Item 0 is surely wrong, 2 rather, 4 a little; 1 and 3 are right. Items 5 to 9 are open."""
    q = [0.99, 0.9, 0.8, 0.9, 0.6]  # of the other class, but for 1 and 3
    wrong = np.array([True, False, True, False, True])
    out = np.array([[a, 1 - a] if w else [1 - a, a] for a, w in zip(q, wrong, strict=True)])
    p = np.column_stack([np.linspace(0.1, 0.9, 10), np.linspace(0.9, 0.1, 10)])
    return PoolView(
        10, 2, labelled=np.arange(5), labels=np.ones(5, dtype=int),
        round=more.pop("round", Round(1, 10)), history=history or [],
        sources={"probabilities": p, "out_of_fold": out}, **more,
    )  # fmt: skip


def picks(count: int, given: PoolView, **options: Any) -> list[int]:
    found = make("second-opinion", options).select(given, count, np.random.default_rng(0))
    assert found.asks_again
    return found.positions.tolist()


def test_the_most_doubtful_come_first_and_the_base_has_the_rest() -> None:
    margin = make("margin").select(view(), 5, np.random.default_rng(0)).positions.tolist()
    assert picks(5, view(), share=0.4) == [0, 2, *margin[:3]]
    assert picks(5, view(), share=1.0) == [0, 2, 4, *margin[:2]]  # the others are not in doubt
    assert picks(5, view(), share=0.0) == margin
    assert picks(1, view(), share=0.5) == margin[:1]  # less than one item
    assert picks(5, view(), share=1.0, times=1) == margin


def test_the_score_is_how_much_likelier_another_class_is() -> None:
    found = make("second-opinion", {"share": 0.4}).select(view(), 5, np.random.default_rng(0))
    np.testing.assert_allclose(found.scores[:2], np.log([0.99 / 0.01, 0.8 / 0.2]))
    assert found.notes[:2] == ({"again": True, "was": "1"},) * 2


def test_nothing_is_asked_more_often_than_wanted() -> None:
    asked = [Past(0, 0, 1, None), Past(0, 0, 1, {"again": True})]
    assert 0 not in picks(5, view(asked), share=1.0)
    assert picks(5, view(asked), share=0.2, times=3)[0] == 0
    assert 2 not in picks(5, view([Past(2, 1, 1, None)]), share=1.0)  # of this very round
    # The label of item 0 came with the data: asked once, and once again.
    assert 0 not in picks(5, view([Past(0, 0, 1, {"again": True})]), share=1.0)


def test_the_share_is_of_the_round_whatever_the_groups() -> None:
    """One at a time, every second question of five is a second opinion at most."""
    history: list[Past] = []
    again = 0
    for turn in range(5):
        given = view(history, round=Round(1, 5, turn))
        found = make("second-opinion", {"share": 0.5, "base": "galaxy"}).select(
            given, 1, np.random.default_rng(turn)
        )
        (position,), (note,) = found.positions.tolist(), found.notes
        again += note == {"again": True, "was": "1"}
        history.append(Past(position, 1, 1, note))
        assert again <= 0.5 * (turn + 1)
    assert again == 2


def test_several_labels() -> None:
    out = np.array([[0.9, 0.2], [0.9, 0.8]])
    given = PoolView(
        4, 2, kind="multilabel", labelled=[0, 1], labels=[[1, 0], [1, 0]], round=Round(1, 4),
        sources={"probabilities": np.full((4, 2), 0.4), "out_of_fold": out},
    )  # fmt: skip
    assert picks(2, given, share=1.0, base="entropy")[0] == 1


def test_bad_options() -> None:
    for options, message in (
        ({"share": 1.5}, "share=1.5"), ({"times": 0}, "times=0"),
        ({"base": "second-opinion"}, "asks again itself"), ({"base": "marginn"}, "margin"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=message):
            make("second-opinion", options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("seals", {"base": "second-opinion"}), ("anchoral", {"base": "second-opinion"}),
        ("tailor", {"arms": ["margin", "second-opinion"]}),
    ],
)  # fmt: skip
def test_it_wraps_and_is_not_wrapped(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="labelled items again") as caught:
        make(name, options)
    assert "the other way round" in str(caught.value.remedy)
    assert make("second-opinion", {"base": name}).base == name


def run(strategy: str, seed: int, **options: Any) -> tuple[float, int, int]:
    """Return the share of labels in force that are right, labels spent, and items labelled."""
    X, y = blobs(400, d=8, classes=2, seed=seed, spread=1.5)
    oracle = SimulatedOracle(y[:300], 2, annotators=[0.2, 0.2, 0.2], seed=seed)
    trajectory = Trajectory(
        Pool(X[:300], [f"i{k}" for k in range(300)], ("a", "b")),
        make_learner("linear", {"scale": 1.0}),
        make(strategy, options),
        oracle,
        Evaluator(X[300:], y[300:], y[:300], 2),
        Plan(batch=20, rounds=5, seed_size=20, parallel=5, seed=seed),
    )
    state = trajectory.run()
    right = np.mean([answer == y[p] for p, answer in state.answers.items()])
    return float(right), oracle.labels, len(state.answers)


@pytest.mark.parametrize("base", ["random", "galaxy"])
def test_labels_in_force_are_more_often_right(base: str) -> None:
    """A fifth of all answers is wrong."""
    plain = [run(base, seed) for seed in range(4)]
    asked = [run("second-opinion", seed, base=base, share=0.4) for seed in range(4)]
    assert np.mean([a[0] for a in asked]) > np.mean([p[0] for p in plain]) + 0.04
    assert all(labels == 120 for _, labels, _ in (*plain, *asked))
    assert all(items < 120 for _, _, items in asked)


def test_select_replaces_the_answer() -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.normal(size=40))
    p = np.column_stack([1 / (1 + np.exp(3 * x)), 1 / (1 + np.exp(-3 * x))])
    labels = (x[[0, 5, 20, 35]] > 0).astype(int)
    labels[0] = 1  # wrong
    found = labeltrain.select(
        "second-opinion", base="galaxy", probabilities=p, labelled=[0, 5, 20, 35], labels=labels,
        out_of_fold=p[[0, 5, 20, 35]], budget=5, share=0.2,
        ask=lambda positions: (x[positions] > 0).astype(int), parallel=5,
    )  # fmt: skip
    assert found.positions[0] == 0
    assert found.answers[0] == 0
    assert len(set(found.positions.tolist())) == 5


def test_in_a_project_a_label_is_asked_again_and_changed(tmp_path: Path) -> None:
    X, y = blobs(80, d=4, classes=2, seed=1)
    ids = tuple(f"i{k}" for k in range(80))
    items: Any = X.astype(np.float32)
    with Project.new(
        tmp_path / "p", Dataset("mine", "features", items, ids), classes=["0", "1"],
        strategy="second-opinion", strategy_options={"share": 0.5}, audit_share=0.0,
    ) as project:  # fmt: skip
        told = {ids[k]: str(y[k]) for k in range(20)}
        told["i3"] = str(1 - y[3])
        project.tell(told)
        rows = [row["id"] for row in project.next(4)]
        assert "i3" in rows
        project.tell({row: str(y[int(row[1:])]) for row in rows})
        assert project.state.label(3) == str(y[3])
        assert "i3" not in [row["id"] for row in project.next(4)]


def test_a_question_that_is_asked_again_is_open_until_it_is_answered_again(tmp_path: Path) -> None:
    X, y = blobs(80, d=4, classes=2, seed=1)
    ids = tuple(f"i{k}" for k in range(80))
    folder, items = tmp_path / "p", X.astype(np.float32)
    dataset: Any = Dataset("mine", "features", items, ids)
    options = {"share": 0.5, "times": 3}
    with Project.new(
        folder, dataset, classes=["0", "1"], strategy="second-opinion", strategy_options=options,
        audit_share=0.0,
    ) as project:  # fmt: skip
        told = {ids[k]: str(y[k]) for k in range(20)}
        told["i3"] = wrong = str(1 - y[3])
        project.tell(told)
        rows = [row["id"] for row in project.next(4)]
        assert "i3" in rows
        assert project.status()["open"] == 4
        project.tell({row: str(y[int(row[1:])]) for row in rows if row != "i3"})
        assert project.status()["open"] == 1
    with Project.open(folder) as project:  # the page was closed
        assert [row["id"] for row in project.reissue()] == ["i3"]
        past = next(p for p in project.state.history() if p.position == 3)
        assert past.answer is None
        assert "i3" not in [row["id"] for row in project.next(4)]  # once is enough
        project.tell({"i3": wrong})  # the same person says the same again
        assert "i3" not in [row["id"] for row in project.reissue()]
        assert project.state.label(3) == wrong
        open_ = project.status()["open"]
        assert project.tell({"i3": wrong})["repeated"] == 1  # nobody asks now: nothing is stored
        assert project.status()["open"] == open_
        more = [row["id"] for row in project.next(4)]
        assert "i3" in more  # the third and last time
        project.tell({"i3": wrong})
        assert [past.note["again"] for past in project.state.history() if past.position == 3] == [
            True,
            True,
        ]
        assert "i3" not in [row["id"] for _ in range(3) for row in project.next(4)]
        project.tell({"i3": "withdraw"})
        assert "i3" not in [row["id"] for row in project.reissue()]
        assert not [past for past in project.state.history() if past.position == 3]


def test_the_answer_of_another_person_closes_the_question_too(tmp_path: Path) -> None:
    X, y = blobs(80, d=4, classes=2, seed=1)
    ids = tuple(f"i{k}" for k in range(80))
    dataset: Any = Dataset("mine", "features", X.astype(np.float32), ids)
    with Project.new(
        tmp_path / "p", dataset, classes=["0", "1"], strategy="second-opinion",
        strategy_options={"share": 0.5}, audit_share=0.0,
    ) as project:  # fmt: skip
        told = {ids[k]: str(y[k]) for k in range(20)}
        project.tell({**told, "i3": str(1 - y[3])}, annotator="ann")
        assert "i3" in [row["id"] for row in project.next(4)]
        project.tell({"i3": str(y[3])}, annotator="bob")
        assert "i3" not in [row["id"] for row in project.reissue()]


def again_loop(journal: Any, base: str = "tailor") -> Trajectory:
    X, y = blobs(200, d=5, classes=3, seed=2, spread=1.5)
    return Trajectory(
        Pool(X[:150], [f"i{k}" for k in range(150)], ("a", "b", "c")),
        make_learner("linear", {"scale": 1.0}),
        make("second-opinion", {"base": base, "share": 0.4, "times": 3}),
        SimulatedOracle(y[:150], 3, annotators=[0.25, 0.25, 0.25], seed=1),
        Evaluator(X[150:], y[150:], y[:150], 3),
        Plan(batch=12, rounds=4, seed_size=15, parallel=3, seed=1),
        journal,
        "r",
    )


def asked_in_groups(journal: MemoryJournal) -> list[list[int]]:
    bodies = [event.body for event in journal.events() if event.kind == "picked"]
    return [[pick["position"] for pick in body["picks"]] for body in bodies]


@pytest.mark.parametrize("lost", [False, True])
def test_resuming_in_mid_round_asks_the_same(lost: bool) -> None:
    """The models of a round were made of the labels of then, whatever was asked again since."""
    whole = MemoryJournal()
    trajectory, models = again_loop(whole), []
    while not trajectory.finished:
        trajectory.step()
        models.append(whole._model)
    picked, events = asked_in_groups(whole), list(whole.events())
    changed = [
        past for past in trajectory.state.history
        if (past.note or {}).get("again") and trajectory.state.times[past.position] > 1
    ]  # fmt: skip
    assert len(changed) >= 6
    for cut in range(3, len(events)):
        part = MemoryJournal()
        part.append(events[:cut])
        rounds = sum(event.kind == "scored" for event in events[:cut])
        later = again_loop(part)
        if lost:
            if not rounds:
                continue
            later._model = later._refitted()
        else:
            part._model = models[rounds - 1] if rounds else None
        later.run()
        assert asked_in_groups(part) == picked, cut


def test_labels_until_a_round_are_those_of_then() -> None:
    def picked(number: int, answer: Any, **note: Any) -> Event:
        pick = {"position": 5, "id": "5", "answer": answer, "note": note}
        body = {"round": number, "group": 0, "strategy": "s", "picks": [pick], "exhausted": False}
        return Event("", "picked", body)

    def scored(number: int) -> Event:
        return Event("", "scored", {"round": number, "model": {}})

    state = State.fold([picked(0, 1), scored(0), picked(1, 2, again=True), scored(1)])
    assert state.until(0).answers == {5: 1}
    assert state.until(0).rounds.tolist() == [0]
    assert state.until(1).answers == state.answers == {5: 2}
    assert state.until(1).rounds.tolist() == state.rounds.tolist() == [1]
    state.apply(picked(2, None, again=True))  # a skip changes nothing
    assert state.until(2).answers == {5: 2}


@pytest.mark.parametrize("base", ["galaxy", "direct", "tailor"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_base_sees_the_opening_of_a_round_as_it_was(base: str, kind: str) -> None:
    """Two labels are asked again and change: the labels of the opening do not."""
    given = pool_view(n=80, labelled=16, pending=0, kind=kind, number=3)
    if kind == "multilabel":  # the pool's labels are in no doubt
        given._sources["out_of_fold"] = 1 - given._sources["out_of_fold"]
    before = given.labels.copy()
    opinion = SecondOpinion(base, share=0.3)
    seen: list[PoolView] = []
    inside = opinion._base.select

    def spy(view: PoolView, count: int, rng: np.random.Generator) -> Any:
        seen.append(view)
        return inside(view, count, rng)

    vars(opinion._base)["select"] = spy
    found = opinion.select(given, 8, np.random.default_rng(0))
    both = zip(found.positions.tolist(), found.notes or (), strict=True)
    again = [position for position, note in both if "again" in (note or {})]
    assert again
    labels = before.copy()
    for position in again:
        row = given.labelled.tolist().index(position)
        labels[row] = 1 - labels[row] if kind == "multilabel" else (labels[row] + 1) % 3
    past = [
        Past(int(p), 3, None if p not in again else 0, n)
        for p, n in zip(found.positions, found.notes or (), strict=True)
    ]
    later = PoolView(
        80, 3, kind=kind, labelled=given.labelled, labels=labels, round=given.round,
        history=[*given.history, *past], sources=given._sources,
        candidates=np.setdiff1d(given.candidates, found.positions),
    )  # fmt: skip
    opinion.select(later, 4, np.random.default_rng(1))
    np.testing.assert_array_equal(seen[-1].labels, labels)
    np.testing.assert_array_equal(seen[-1].opened().labels, before)
