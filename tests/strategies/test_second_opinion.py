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
from labeltrain.loop.oracle import SimulatedOracle
from labeltrain.loop.trajectory import Plan, Pool, Trajectory
from labeltrain.strategies.base import Past, Round
from labeltrain.strategies.registry import make
from labeltrain.strategies.second_opinion import SecondOpinion
from labeltrain.strategies.view import PoolView
from labeltrain.testing import StrategyContract, blobs


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
    assert found.notes[:2] == ({"again": True}, {"again": True})


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
        again += note == {"again": True}
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
