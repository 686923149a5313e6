"""Who answers wrongly, how often, and that it is the same after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data.noise import confusion
from labeltrain.errors import BadInput
from labeltrain.learners.registry import make as make_learner
from labeltrain.loop import Plan, Pool, SimulatedOracle, Trajectory
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.journal import MemoryJournal
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView
from labeltrain.testing.pools import blobs

EVERYTHING = np.arange(1000)


def test_uniform_noise_is_exact() -> None:
    truth = EVERYTHING % 5
    for seed in range(3):
        answers = SimulatedOracle(truth, 5, noise=0.1, seed=seed).ask(EVERYTHING)
        assert (answers != truth).sum() == 100  # none of those that are wrong kept its class
        assert set(answers) == set(range(5))
        again = SimulatedOracle(truth, 5, noise=0.1, seed=seed).ask(EVERYTHING)
        np.testing.assert_array_equal(answers, again)


def test_flips_by_class_stay_the_same() -> None:
    truth = np.repeat([0, 1, 2], [500, 300, 200])
    flips = confusion({"a": {"b": 0.2}, "c": 0.1}, ["a", "b", "c"])
    oracle = SimulatedOracle(truth, 3, flips=flips, seed=3)
    answers = oracle.ask(EVERYTHING)
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (truth, answers), 1)
    assert table.tolist() == [[400, 100, 0], [0, 300, 0], [10, 10, 180]]
    np.testing.assert_array_equal(oracle.ask(EVERYTHING, np.full(1000, 7)), answers)
    other = SimulatedOracle(truth, 3, flips=flips, seed=4).ask(EVERYTHING)
    assert (other != answers).any()


def test_flips_of_single_labels() -> None:
    truth = np.zeros((1000, 2), dtype=np.int64)
    answers = SimulatedOracle(truth, 2, flips=np.array([0.3, 0.0]), seed=1).ask(EVERYTHING)
    assert 0.25 < answers[:, 0].mean() < 0.35
    assert answers[:, 1].sum() == 0


def test_annotators_take_turns_and_each_item_has_its_own_order() -> None:
    truth = EVERYTHING % 3
    oracle = SimulatedOracle(truth, 3, annotators=[0.0, 1.0, 1.0])
    wrong = np.stack([oracle.ask(EVERYTHING, np.full(1000, t)) != truth for t in range(6)])
    # In three asks every annotator is asked once; only the first of them is always right.
    assert (wrong[:3].sum(axis=0) == 2).all()
    np.testing.assert_array_equal(wrong[:3], wrong[3:])
    assert (np.abs((~wrong[:3]).mean(axis=1) - 1 / 3) < 0.06).all()


def test_asking_again_draws_anew() -> None:
    truth = EVERYTHING % 4
    oracle = SimulatedOracle(truth, 4, annotators=[0.3], seed=2)
    asks = np.stack([oracle.ask(EVERYTHING, np.full(1000, t)) for t in range(5)])
    wrong = asks != truth
    assert (np.abs(wrong.mean(axis=1) - 0.3) < 0.05).all()
    # Independent: two asks are both wrong in 9 % of the items.
    assert abs((wrong[0] & wrong[1]).mean() - 0.09) < 0.03
    shift = (asks - truth)[wrong] % 4
    assert (np.abs(np.bincount(shift, minlength=4)[1:] / len(shift) - 1 / 3) < 0.05).all()
    # Of five answers the most frequent is right more often than one.
    votes = np.stack([(asks == c).sum(axis=0) for c in range(4)], axis=1)
    assert (votes.argmax(axis=1) == truth).mean() > 0.85
    assert (oracle.labels, oracle.rounds) == (5000, 5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9), st.lists(st.integers(0, 49), min_size=1, max_size=9), st.integers(0, 6))
def test_an_answer_depends_on_the_item_and_the_times_only(
    seed: int, positions: list[int], times: int
) -> None:
    truth = np.arange(50) % 3
    oracle = SimulatedOracle(truth, 3, annotators=[0.2, 0.5], seed=seed)
    oracle.ask(np.arange(50))  # what was asked before, of this or others, does not matter
    together = oracle.ask(np.array(positions), np.full(len(positions), times))
    fresh = SimulatedOracle(truth, 3, annotators=[0.2, 0.5], seed=seed)
    one_by_one = [fresh.ask(np.array([p]), np.array([times]))[0] for p in reversed(positions)]
    assert together.tolist() == one_by_one[::-1]


def test_annotators_of_several_labels() -> None:
    truth = np.tile([1, 0, 1], (1000, 1))
    oracle = SimulatedOracle(truth, 3, annotators=[0.2], seed=5)
    first, second = (oracle.ask(EVERYTHING, np.full(1000, t)) for t in (0, 1))
    assert (np.abs((first != truth).mean(axis=0) - 0.2) < 0.05).all()
    assert (first != second).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 0.1, "annotators": [0.1]}, "two ways"),
        ({"noise": 0.1, "flips": np.eye(3)}, "two ways"),
        ({"annotators": [0.1, 1.1]}, "no shares"),
        ({"flips": np.eye(2)}, r"shape \(2, 2\) do not fit 3 classes"),
        ({"flips": np.full((3, 3), -1.0)}, "shares from 0 to 1"),
    ],
)
def test_impossible_oracles(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SimulatedOracle(np.array([0, 1, 2]), 3, **options)
    with pytest.raises(BadInput, match="two classes"):
        SimulatedOracle(np.zeros(4, dtype=np.int64), 1, annotators=[0.1])


class AsksAgain(Strategy):
    """Asks half of its items again, one after the other, those asked least often first."""

    name = "asks-again"
    needs = frozenset({Need.EMBEDDINGS})
    sequential = True

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        times = np.zeros(view.n, dtype=np.int64)
        for past in view.history:
            times[past.position] += 1
        if rng.random() < 0.5 or not len(view.labelled):
            picks = rng.choice(view.candidates, min(count, len(view.candidates)), replace=False)
            return Picks(picks)
        order = np.lexsort((view.labelled, times[view.labelled]))
        return Picks(view.labelled[order[:count]], asks_again=True)


def loop(journal: MemoryJournal, oracle: SimulatedOracle) -> Trajectory:
    features, truth = blobs(150)
    pool = Pool(features[:90], [f"i{k}" for k in range(90)], ("a", "b", "c"))
    plan = Plan(batch=8, rounds=4, seed_size=3, parallel=2, seed=3)
    evaluator = Evaluator(features[100:], truth[100:], truth[:90], 3)
    return Trajectory(
        pool, make_learner("linear"), AsksAgain(), oracle, evaluator, plan, journal, "r"
    )


def annotated() -> SimulatedOracle:
    return SimulatedOracle(blobs(150)[1][:90], 3, annotators=[0.4, 0.4], seed=3)


def told(journal: MemoryJournal) -> list[Any]:
    return [(e.kind, {k: v for k, v in e.body.items() if k != "seconds"}) for e in journal.events()]


def test_answers_to_items_asked_again_are_the_same_after_a_resume() -> None:
    whole = MemoryJournal()
    models: list[Any] = []
    trajectory = loop(whole, annotated())
    while not trajectory.finished:
        trajectory.step()
        models.append(whole._model)
    state = trajectory.state
    assert sum(state.times.values()) == len(state.history) == 35
    assert max(state.times.values()) > 1
    answers: dict[int, list[Any]] = {}
    for past in state.history:
        answers.setdefault(past.position, []).append(past.answer)
    assert any(len(set(given)) > 1 for given in answers.values())  # it did give another answer
    assert all(state.answers[p] == given[-1] for p, given in answers.items())
    events = list(whole.events())
    for cut in range(len(events)):
        part = MemoryJournal()
        part.append(events[:cut])
        rounds = sum(e.kind == "scored" for e in events[:cut])
        part._model = models[rounds - 1] if rounds else None
        loop(part, annotated()).run()  # an oracle that was never asked goes on
        assert told(part) == told(whole), cut


def test_the_loop_says_how_often_an_item_was_asked() -> None:
    class Listening(SimulatedOracle):
        def _answer(self, positions: np.ndarray, asked: np.ndarray) -> np.ndarray:
            heard.extend(zip(positions.tolist(), asked.tolist(), strict=True))
            return super()._answer(positions, asked)

    heard: list[tuple[int, int]] = []
    truth = blobs(150)[1][:90]
    state = loop(MemoryJournal(), Listening(truth, 3, annotators=[0.1])).run()
    before: dict[int, int] = {}
    for position, times in heard:
        assert times == before.get(position, 0)
        before[position] = times + 1
    assert before == state.times
