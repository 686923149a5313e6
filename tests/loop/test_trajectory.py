"""The loop: budgets, resuming at any event, and strategies that GALAXY and TAILOR will need."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput, BrokenContract, MissingNeed
from labeltrain.learners import make as make_learner
from labeltrain.loop import Plan, Pool, SimulatedOracle, Trajectory
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.journal import MemoryJournal, StoreJournal
from labeltrain.needs import Need
from labeltrain.store import Workspace
from labeltrain.strategies import Picks, PoolView, Strategy
from labeltrain.strategies.margin import Margin
from labeltrain.strategies.random import Random
from labeltrain.testing import blobs


class Bisection(Strategy):
    """Sequential, as GALAXY: finds where sorted items change class by halving."""

    name = "bisection"
    needs = frozenset({Need.EMBEDDINGS})
    sequential = True

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        order = np.argsort(view.embeddings[:, 0], kind="stable")
        free = set(view.candidates.tolist())
        known = {int(p): int(view.label_of(int(p))) for p in view.labelled}
        marks = [i for i, p in enumerate(order) if int(p) in known]
        best: tuple[int, int] | None = None
        for left, right in itertools.pairwise(marks):
            if known[int(order[left])] != known[int(order[right])] and right - left > 1:
                best = min(best or (10**9, 0), (right - left, (left + right) // 2))
        if best is None:
            near = [p for p in order.tolist() if p in free]
            return Picks(np.array(near[:count]))
        return Picks(order[[best[1]]])


class Bandit(Strategy):
    """Keeps notes, as TAILOR: its posterior is a fold over the notes in the history."""

    name = "bandit"
    sequential = True

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        wins, tries = np.ones(2), np.full(2, 2.0)
        for past in view.history:
            if past.note is not None and past.strategy == self.name:
                tries[past.note["arm"]] += 1
                wins[past.note["arm"]] += past.answer == 0
        arm = int((wins / tries + 0.1 * rng.random(2)).argmax())
        half = view.candidates[view.candidates % 2 == arm]
        pool = half if len(half) >= count else view.candidates
        picks = rng.choice(pool, size=count, replace=False)
        return Picks(picks, notes=tuple({"arm": arm, "seen": len(view.history)} for _ in picks))


class FarFromPending(Strategy):
    """Aware of what is asked and not answered yet."""

    name = "far-from-pending"
    needs = frozenset({Need.EMBEDDINGS})

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        taken = np.concatenate([view.labelled, view.pending])
        gaps = np.linalg.norm(
            view.embeddings[view.candidates][:, None] - view.embeddings[taken][None], axis=2
        ).min(axis=1)
        return Picks(
            view.candidates[np.argsort(-gaps, kind="stable")[:count]], -np.sort(-gaps)[:count]
        )


def loop(
    strategy: Strategy,
    journal: Any = None,
    *,
    learner: str = "linear",
    plan: Plan | None = None,
    noise: float = 0.0,
    extra: dict[str, Any] | None = None,
    n: int = 90,
) -> Trajectory:
    features, truth = blobs(150)
    pool = Pool(features[:n], [f"i{k}" for k in range(n)], ("a", "b", "c"), extra=extra or {})
    return Trajectory(
        pool,
        make_learner(learner, {"steps": 20} if learner == "mlp" else None),
        strategy,
        SimulatedOracle(truth[:n], 3, noise=noise),
        Evaluator(features[100:], truth[100:], truth[:n], 3),
        plan or Plan(batch=6, rounds=4, seed_size=5, parallel=2, seed=3),
        journal,
        "r",
    )


def told(journal: MemoryJournal) -> list[Any]:
    """Return everything that must not depend on interruptions: all but seconds."""
    return [(e.kind, {k: v for k, v in e.body.items() if k != "seconds"}) for e in journal.events()]


@pytest.mark.parametrize("strategy", [Random(), Margin(), Bisection(), Bandit(), FarFromPending()])
@pytest.mark.parametrize("learner", ["linear", "mlp"])
def test_resuming_after_any_event_changes_nothing(strategy: Strategy, learner: str) -> None:
    whole = MemoryJournal()
    models: list[Any] = []
    trajectory = loop(strategy, whole, learner=learner)
    while not trajectory.finished:
        trajectory.step()
        models.append(whole._model)
    events = list(whole.events())
    for cut in range(len(events)):
        part = MemoryJournal()
        part.append(events[:cut])
        rounds = sum(e.kind == "scored" for e in events[:cut])
        part._model = models[rounds - 1] if rounds else None
        loop(strategy, part, learner=learner).run()
        assert told(part) == told(whole), cut


def test_a_sequential_strategy_sees_each_answer_before_the_next_question() -> None:
    features = np.linspace(0, 1, 65, dtype=np.float32)[:, None]
    truth = (np.arange(65) >= 41).astype(np.int64)
    pool = Pool(features, [str(k) for k in range(65)], ("low", "high"))
    oracle = SimulatedOracle(truth, 2)
    plan = Plan(batch=7, rounds=1, seed_size=0)
    journal = MemoryJournal()
    trajectory = Trajectory(
        pool, make_learner("linear"), Bisection(), oracle, Evaluator(features, truth, truth, 2),
        plan, journal,
    )  # fmt: skip
    # The ends are known; bisection finds the border between 40 and 41 in log2(64) questions.
    trajectory.step()
    from labeltrain.store import Event

    ends = [{"position": p, "id": str(p), "score": None, "answer": int(truth[p])} for p in (0, 64)]
    event = Event("", "picked", {"round": 1, "strategy": "given", "picks": ends})
    journal.append([event])
    trajectory.state.apply(event)
    trajectory.state.spent_in_round = 0
    trajectory.run()
    asked = [p.position for p in trajectory.state.history if p.strategy == "bisection"]
    assert asked[:6] == [32, 48, 40, 44, 42, 41]
    assert oracle.rounds == 7
    assert {40, 41} <= set(asked)


def test_parallel_answers_come_in_groups() -> None:
    trajectory = loop(Bandit(), plan=Plan(batch=7, rounds=2, seed_size=4, parallel=3))
    state = trajectory.run()
    assert trajectory.oracle.rounds == 1 + 2 * 3  # seed set; 3 + 3 + 1 in each round
    notes = [p.note["seen"] for p in state.history if p.note]
    assert notes == [4] * 3 + [7] * 3 + [10] + [11] * 3 + [14] * 3 + [17]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 20), st.integers(1, 25), st.integers(0, 5), st.integers(0, 9),
    st.sampled_from([Random(), Margin(), Bandit()]),
)  # fmt: skip
def test_budget_is_exact_and_picks_are_unique(
    seed_size: int, batch: int, rounds: int, seed: int, strategy: Strategy
) -> None:
    plan = Plan(batch=batch, rounds=rounds, seed_size=seed_size, parallel=4, seed=seed)
    if seed_size + batch * rounds > 90:
        with pytest.raises(BadInput, match="the pool holds 90"):
            loop(strategy, plan=plan)
        return
    state = loop(strategy, plan=plan).run()
    assert [s["labels"] for s in state.scored] == [seed_size + batch * r for r in range(rounds + 1)]
    assert len(state.answers) == len(state.history) == seed_size + batch * rounds


def test_same_seed_same_seed_set_for_every_strategy() -> None:
    states = [loop(s).run() for s in (Random(), Margin(), Bandit())]
    first = [[p.position for p in s.history[:5]] for s in states]
    assert first[0] == first[1] == first[2]
    scores = [s.scored[0]["scores"] for s in states]
    assert scores[0] == scores[1] == scores[2]


def test_a_budget_of_costs_is_never_overspent() -> None:
    costs = np.random.default_rng(0).uniform(0.5, 4.0, 90)
    plan = Plan(batch=7.5, rounds=4, seed_size=5)
    state = loop(Margin(), plan=plan, extra={"costs": costs}).run()
    spent = 0.0
    for number, body in enumerate(state.scored):
        inside = body["spent"] - spent
        assert inside <= (5 if number == 0 else 7.5) + 1e-9
        assert inside > 3
        spent = body["spent"]
    assert spent == pytest.approx(sum(costs[p.position] for p in state.history))


def test_the_last_items_of_a_pool_can_be_asked() -> None:
    state = loop(Margin(), plan=Plan(batch=30, rounds=2, seed_size=30)).run()
    assert len(state.answers) == 90
    assert state.scored[-1]["scores"]["pool_accuracy"] > 0.8


def test_noise_is_persistent_counted_and_hidden_from_the_evaluator() -> None:
    truth = np.arange(1000) % 4
    oracle = SimulatedOracle(truth, 4, noise=0.2, seed=5)
    answers = oracle.ask(np.arange(1000))
    assert (answers != truth).sum() == 200
    np.testing.assert_array_equal(oracle.ask(np.arange(1000)), answers)
    assert (oracle.labels, oracle.rounds) == (2000, 2)
    wrong = np.flatnonzero(answers != truth)
    counts = np.bincount((answers[wrong] - truth[wrong]) % 4, minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 40
    noisy = loop(Random(), noise=1.0).run()
    assert noisy.scored[-1]["scores"]["accuracy"] < 0.4  # trained on wrong, judged on clean
    with pytest.raises(BadInput, match="noise"):
        SimulatedOracle(truth, 4, noise=1.5)


def test_multilabel_noise_flips_single_labels() -> None:
    truth = np.zeros((500, 6), dtype=np.int64)
    flipped = SimulatedOracle(truth, 6, noise=0.1, seed=1).ask(np.arange(500))
    assert 0.07 < flipped.mean() < 0.13


class Rude(Margin):
    """Breaks the contract as told."""

    def __init__(self, how: str) -> None:
        self.how = how

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        good = view.candidates[:count]
        return {
            "twice": Picks(np.repeat(good[:1], count)),
            "labelled": Picks(view.labelled[:count]),
            "too many": Picks(view.candidates[: count + 1]),
            "outside": Picks(np.array([view.n])),
            "floats": Picks(good.astype(float)),
            "notes": Picks(good, notes=tuple(object() for _ in good)),
            "nan notes": Picks(good, notes=tuple(float("nan") for _ in good)),
            "short": Picks(good, scores=np.zeros(count - 1)),
        }[self.how]


@pytest.mark.parametrize(
    "how",
    ["twice", "labelled", "too many", "outside", "floats", "notes", "nan notes", "short"],
)
def test_a_strategy_that_breaks_the_contract_is_stopped(how: str) -> None:
    trajectory = loop(Rude(how))
    with pytest.raises(BrokenContract, match="'margin'"):
        trajectory.run()
    assert len(trajectory.state.history) == 5  # nothing of the broken round was kept


def test_needs_that_nobody_gives_are_refused_before_the_start() -> None:
    class Greedy(Random):
        name = "greedy"
        needs = frozenset({Need.SCORES, Need.GROUPS})

    with pytest.raises(MissingNeed, match=r"'greedy' needs groups, scores.*'linear'"):
        loop(Greedy())


def test_a_batch_strategy_is_asked_once_a_round() -> None:
    class Lazy(Random):
        name = "lazy"

        def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
            return Picks(view.candidates[: max(1, count // 2)])

    state = loop(Lazy()).run()
    assert [s["labels"] for s in state.scored] == [5, 8, 11, 14, 17]


def test_labels_of_the_pool_are_not_within_reach_of_a_strategy() -> None:
    import types

    found: list[Any] = []

    def walk(thing: Any, seen: set[int]) -> None:
        """Follow everything that is reachable but modules, classes and globals."""
        if id(thing) in seen or isinstance(thing, types.ModuleType | type | str | bytes | int):
            return
        seen.add(id(thing))
        if isinstance(thing, SimulatedOracle | Evaluator | Trajectory):
            found.append(thing)
        inside: list[Any] = []
        if isinstance(thing, types.FunctionType):
            inside += [cell.cell_contents for cell in thing.__closure__ or ()]
        elif isinstance(thing, types.MethodType):
            inside += [thing.__self__]
        elif isinstance(thing, dict):
            inside += thing.values()
        elif isinstance(thing, list | tuple | set | frozenset):
            inside += thing
        elif hasattr(thing, "__dict__"):
            inside += vars(thing).values()
        for one in inside:
            walk(one, seen)

    class Spy(Random):
        name = "spy"
        needs = frozenset({Need.PROBABILITIES, Need.OUT_OF_FOLD})

        def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
            assert len(view.labelled) == len(view.labels)
            assert view.out_of_fold.shape == (len(view.labelled), 3)
            walk(view, set())
            return super().select(view, count, rng)

    loop(Spy()).run()
    assert not found


def test_without_two_classes_the_seed_method_chooses() -> None:
    # All probabilities are tied then: margin would take the lowest positions, whatever they are.
    state = loop(Margin(), plan=Plan(batch=6, rounds=2, seed_size=0, seed_method="clusters")).run()
    assert [p.strategy for p in state.history] == ["seed:clusters"] * 6 + ["margin"] * 6
    assert [s["labels"] for s in state.scored] == [0, 6, 12]


@pytest.mark.parametrize("strategy", [Margin(), Bisection(), Bandit()])
def test_resuming_through_the_store_after_any_commit_changes_nothing(
    strategy: Strategy, tmp_path: Path
) -> None:
    class Cut(Exception):
        pass

    class Cutting(StoreJournal):
        left = 10**9

        def append(self, events: Any) -> None:
            super().append(events)
            self.left -= 1
            if self.left == 0:
                raise Cut

    def outcome(folder: Path) -> list[Any]:
        with Workspace.open(folder, "study", read_only=True) as workspace:
            return told(workspace)  # type: ignore[arg-type]

    with Workspace.create(tmp_path / "whole", "study", {}) as workspace:
        journal = StoreJournal(workspace, "r")
        loop(strategy, journal).run()
        commits = sum(1 for _ in journal.events())
    for cut in range(1, commits, 3):
        folder = tmp_path / str(cut)
        with Workspace.create(folder, "study", {}) as workspace:
            journal = Cutting(workspace, "r")
            journal.left = cut
            trajectory = loop(strategy, journal)
            with pytest.raises(Cut):
                trajectory.run()
        with Workspace.open(folder, "study") as workspace:
            loop(strategy, StoreJournal(workspace, "r")).run()
        assert outcome(folder) == outcome(tmp_path / "whole"), cut


def test_a_model_that_predicts_nan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from labeltrain.learners.linear import LinearModel

    real = LinearModel.predict_proba

    def predict(self: LinearModel, features: np.ndarray) -> np.ndarray:
        found = real(self, features)
        found[-1, 0] = np.nan
        return found

    monkeypatch.setattr(LinearModel, "predict_proba", predict)
    with pytest.raises(BrokenContract, match=r"learner 'linear' predicts NaN.*'i89'"):
        loop(Margin()).run()
