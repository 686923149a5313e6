"""Selection via proxy: the expensive learner inside a trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labeltrain.learners import Training, make
from labeltrain.learners.base import Learner
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.final import Final
from labeltrain.loop.journal import MemoryJournal
from labeltrain.loop.oracle import SimulatedOracle
from labeltrain.loop.trajectory import Plan, Pool, Trajectory
from labeltrain.rng import stream
from labeltrain.strategies.registry import make as make_strategy
from labeltrain.testing.pools import blobs

N = 120


class Killed(Exception):
    """Stands for a kill."""


class Recording(Learner):
    """A perceptron that notes what it was trained on."""

    name = "recording"
    gives = make("mlp").gives
    model = make("mlp").model

    def __init__(self, die_at: int = -1) -> None:
        self.inner = make("mlp", {"steps": 20, "width": 8})
        self.seen: list[list[int]] = []
        self.die_at = die_at

    def fit(self, training: Training, rng: Any, previous: Any = None) -> Any:
        if len(self.seen) == self.die_at:
            raise Killed
        self.seen.append(sorted(training.labelled.tolist()))
        return self.inner.fit(training, rng)


def trajectory(
    final: Final | None, journal: MemoryJournal | None = None, rounds: int = 3
) -> Trajectory:
    features, truth = blobs(N + 60, d=6, spread=2.0)
    pool = Pool(features[:N], [str(i) for i in range(N)], ("a", "b", "c"))
    return Trajectory(
        pool,
        make("linear"),
        make_strategy("margin"),
        SimulatedOracle(truth[:N], 3),
        Evaluator(features[N:], truth[N:], truth[:N], 3),
        Plan(batch=10, rounds=rounds, seed_size=10, seed=4),
        journal,
        "run",
        final,
    )


def finals(journal: MemoryJournal) -> list[dict[str, Any]]:
    return [event.body for event in journal.events() if event.kind == "final"]


def picks(journal: MemoryJournal) -> list[list[int]]:
    return [
        [p["position"] for p in e.body["picks"]] for e in journal.events() if e.kind == "picked"
    ]


def test_it_is_trained_once_at_the_end_on_all_that_was_selected() -> None:
    journal, learner = MemoryJournal(), Recording()
    state = trajectory(Final(learner), journal).run()
    (body,) = finals(journal)
    assert (body["labels"], body["budgets"], body["round"]) == (40, ["end"], 3)
    assert learner.seen == [sorted(state.positions.tolist())]
    assert body["features"] is None
    assert "pool_accuracy" not in body["scores"]
    assert body["examples"] == 20 * 64
    assert body["seconds"]["final"] > 0.0


def test_it_changes_nothing_of_the_loop() -> None:
    with_it, without = MemoryJournal(), MemoryJournal()
    trajectory(Final(Recording(), (20, 40)), with_it).run()
    trajectory(None, without).run()
    assert picks(with_it) == picks(without)


def test_it_is_trained_at_the_first_round_that_has_the_labels() -> None:
    journal, learner = MemoryJournal(), Recording()
    trajectory(Final(learner, (12, 15, 30)), journal).run()
    assert [(b["labels"], b["budgets"]) for b in finals(journal)] == [(20, [12, 15]), (30, [30])]
    assert [len(seen) for seen in learner.seen] == [20, 30]


def test_its_score_is_that_of_the_learner_on_these_labels() -> None:
    journal = MemoryJournal()
    state = trajectory(Final(make("mlp", {"steps": 20})), journal).run()
    features, truth = blobs(N + 60, d=6, spread=2.0)
    labelled = state.positions
    training = Training(features[:N], labelled, truth[:N][labelled], 3)
    model = make("mlp", {"steps": 20}).fit(training, stream(4, "final", 40))
    right = model.predict_proba(features[N:]).argmax(axis=1) == truth[N:]
    assert finals(journal)[0]["scores"]["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize("die_at", [0, 1])
def test_a_kill_in_a_training_changes_nothing(refresh: bool, die_at: int) -> None:
    whole, broken = MemoryJournal(), MemoryJournal()
    trajectory(Final(Recording(), (20, 30), refresh), whole).run()
    with pytest.raises(Killed):
        trajectory(Final(Recording(die_at), (20, 30), refresh), broken).run()
    trajectory(Final(Recording(), (20, 30), refresh), broken).run()
    assert picks(broken) == picks(whole)
    assert [b["scores"] for b in finals(broken)] == [b["scores"] for b in finals(whole)]


def test_refreshed_features_are_those_of_the_trained_network() -> None:
    journal = MemoryJournal()
    loop = trajectory(Final(make("mlp", {"steps": 20, "width": 5}), (20,), True), journal)
    before = loop.pool.features
    loop.run()
    assert loop.pool.features.shape == (N, 5)
    labelled = [p for row in picks(journal)[:2] for p in row]
    _features, truth = blobs(N + 60, d=6, spread=2.0)
    training = Training(before, np.array(labelled), truth[labelled], 3)
    model = make("mlp", {"steps": 20, "width": 5}).fit(training, stream(4, "final", 20))
    np.testing.assert_array_equal(loop.pool.features, model.hidden(before))
    without = MemoryJournal()
    trajectory(None, without).run()
    assert picks(journal)[:2] == picks(without)[:2]


def test_no_refresh_after_the_last_round() -> None:
    journal = MemoryJournal()
    loop = trajectory(Final(Recording(), (40,), True), journal)
    loop.run()
    assert finals(journal)[0]["features"] is None
    assert loop.pool.features.shape == (N, 6)


def test_a_lost_model_after_a_refresh_is_fitted_again() -> None:
    class Losing(MemoryJournal):
        lost = False

        def load_model(self, reference: Any) -> Any:
            from labeltrain.errors import StoreMissing

            if self.lost:
                raise StoreMissing("the model is gone", "nothing")
            return super().load_model(reference)

    journal, whole = Losing(), MemoryJournal()
    trajectory(Final(Recording(), (20,), True), whole).run()
    loop = trajectory(Final(Recording(), (20,), True), journal)
    for _ in range(4):  # seed set, round 1, training, round 2
        loop.step()
    journal.lost = True
    with pytest.warns(UserWarning, match="fitted again"):
        trajectory(Final(Recording(), (20,), True), journal).step()
    assert picks(journal) == picks(whole)


def test_with_one_class_it_says_the_prior() -> None:
    features, _truth = blobs(N, d=6)
    truth = np.zeros(N, dtype=np.int64)
    journal = MemoryJournal()
    Trajectory(
        Pool(features, [str(i) for i in range(N)], ("a", "b")),
        make("linear"),
        make_strategy("margin"),
        SimulatedOracle(truth, 2),
        Evaluator(features, truth, truth, 2),
        Plan(batch=5, rounds=2, seed_size=5),
        journal,
        "run",
        Final(make("mlp"), (5, 10), True),
    ).run()
    assert [b["features"] for b in finals(journal)] == [None, None]
    assert finals(journal)[-1]["scores"]["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("at", "labels", "done", "ended", "due"),
    [
        ((), 10, [], False, []),
        ((), 10, [], True, ["end"]),
        ((), 10, ["end"], True, []),
        ((5, 10, 20), 10, [], False, [5, 10]),
        ((5, 10, 20), 10, [5], False, [10]),
        ((5, 10, 20), 15, [5, 10], True, []),
    ],
)
def test_what_is_due(
    at: tuple[int, ...], labels: int, done: list[int | str], ended: bool, due: list[int | str]
) -> None:
    assert Final(make("linear"), at).due(labels, done, ended) == due
