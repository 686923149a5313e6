"""A round in groups of several questions: open ones, skipped ones, and what is kept between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.strategies import Picks, PoolView, Strategy, registry
from labeltrain.strategies.base import Memo, Past, Round
from labeltrain.strategies.galaxy import Galaxy
from labeltrain.strategies.tailor import Tailor
from labeltrain.testing import pool_view

SEALS_OF_GALAXY = {"name": "seals", "parameters": {"base": "galaxy", "neighbours": 3}}
SEALS_OF_DIRECT = {"name": "seals", "parameters": {"base": "direct", "neighbours": 3}}
EVERY: dict[str, tuple[str, dict[str, Any]]] = {
    "galaxy": ("galaxy", {}),
    "galaxy, random": ("galaxy", {"choice": "random"}),
    "galaxy, shortest, out of fold": ("galaxy", {"choice": "shortest", "out_of_fold": True}),
    "galaxy of labelbench": ("galaxy", {"compat": "labelbench"}),
    "direct": ("direct", {}),
    "direct, greedy, out of fold": ("direct", {"shrinking": "greedy", "out_of_fold": True}),
    "direct of labelbench": ("direct", {"compat": "labelbench"}),
    "tailor": ("tailor", {}),
    "tailor, released": ("tailor", {"compat": "released"}),
    "tailor of each class": ("tailor", {"arms": [{"name": "galaxy", "each_class": True}, "badge"]}),
    "tailor of galaxy and seals": ("tailor", {"arms": ["galaxy", SEALS_OF_GALAXY]}),
    "tailor of direct and seals": ("tailor", {"arms": ["direct", SEALS_OF_DIRECT, "margin"]}),
    "seals of galaxy": ("seals", {"base": "galaxy", "neighbours": 3}),
    "seals of tailor": ("seals", {"base": "tailor", "neighbours": 4}),
    "anchoral of direct": ("anchoral", {"base": "direct", "neighbours": 5, "size": 25}),
    "anchoral of galaxy": ("anchoral", {"base": "galaxy", "neighbours": 2, "size": 9}),
    "anchoral of tailor": ("anchoral", {"base": "tailor", "neighbours": 5, "size": 25}),
    "second opinion of tailor": ("second-opinion", {"base": "tailor", "share": 0.4}),
    "second opinion of direct": ("second-opinion", {"base": "direct", "share": 0.4}),
    "second opinion of seals": (
        "second-opinion", {"base": "seals", "options": {"base": "galaxy", "neighbours": 3}}
    ),
}  # fmt: skip

Said = Callable[[int, int], Any]


class Game:
    """A round, or several, of any strategy: every fifth item is skipped."""

    def __init__(
        self, *, kind: str = "multiclass", pending: int = 0, n: int = 90, costs: bool = False
    ) -> None:
        self.start = pool_view(n=n, labelled=12, pending=pending, kind=kind, number=1, seed=3)
        rng = np.random.default_rng(8)
        self.truth: Any = rng.integers(3, size=n)
        if kind == "multilabel":
            self.truth = (rng.random((n, 3)) < [0.1, 0.4, 0.7]).astype(int)
        self.labels = dict(
            zip(self.start.labelled.tolist(), self.start.labels.tolist(), strict=True)
        )
        self.history = list(self.start.history)
        self.skipped: set[int] = set()
        self.costs = self.start.costs if costs else np.ones(n)
        self.asked = 0.0  # in this round

    def view(self, number: int, budget: float, memo: Memo | None) -> PoolView:
        start, known = self.start, list(self.labels)
        taken = {*known, *self.skipped, *start.pending.tolist()}
        out, labels = start.probabilities[known], np.array(list(self.labels.values()))
        return PoolView(
            start.n, 3, kind=start.kind, labelled=known, labels=labels,
            pending=start.pending,
            candidates=[
                i for i in range(start.n)
                if i not in taken and self.costs[i] <= budget - self.asked
            ],
            round=Round(number, budget, self.asked), history=self.history,
            sources={**start._sources, "out_of_fold": out, "costs": self.costs}, memo=memo,
        )  # fmt: skip

    def tell(self, number: int, picks: Picks) -> None:
        notes = picks.notes or (None,) * len(picks.positions)
        for position, note in zip(picks.positions.tolist(), notes, strict=True):
            if self.costs[position] > self.budget - self.asked:
                continue
            answer = None if position % 5 == 2 else np.array(self.truth[position]).tolist()
            if answer is not None:
                self.labels[position] = answer
            elif position not in self.labels:
                self.skipped.add(position)
            code = tuple(answer) if isinstance(answer, list) else answer
            self.history.append(Past(position, number, code, note, ""))
            self.asked += self.costs[position]

    def play(
        self,
        strategy: Strategy,
        parallel: int,
        *,
        rounds: int = 2,
        budget: int = 14,
        keep: bool = True,
        seen: Callable[[PoolView, Picks], None] | None = None,
    ) -> list[list[int]]:
        groups, self.budget = [], budget
        for number in range(1, rounds + 1):
            memo, self.asked, turn = Memo(), 0.0, 0
            while self.asked < budget:
                view = self.view(number, budget, memo if keep else None)
                count = min(parallel, int(budget - self.asked), len(view.candidates))
                if not count:
                    break
                picks = strategy.select(view, count, np.random.default_rng([number, turn]))
                if seen is not None:
                    seen(view, picks)
                groups.append(picks.positions.tolist())
                self.tell(number, picks)
                turn += 1
        return groups


# -- the memo ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("pending", [0, 9])
@pytest.mark.parametrize("name", EVERY)
def test_what_is_kept_between_groups_changes_nothing(
    name: str, pending: int, parallel: int
) -> None:
    base, options = EVERY[name]
    kept, dropped = (
        Game(pending=pending).play(registry.make(base, options), parallel, keep=keep)
        for keep in (True, False)
    )
    assert kept == dropped
    assert len(kept) >= 2 * (14 // parallel)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_kept_changes_nothing_where_items_cost(name: str) -> None:
    """Late in a round what costs too much is no candidate any more."""
    base, options = EVERY[name]
    both = [
        Game(costs=True).play(registry.make(base, options), 3, budget=23, keep=keep)
        for keep in (True, False)
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize("name", ["galaxy", "direct", "tailor", "second opinion of tailor"])
def test_what_is_kept_changes_nothing_of_several_labels(name: str) -> None:
    base, options = EVERY[name]
    both = [
        Game(kind="multilabel", pending=5).play(registry.make(base, options), 4, keep=keep)
        for keep in (True, False)
    ]
    assert both[0] == both[1]


def test_every_sequential_strategy_is_among_them() -> None:
    shipped = {
        name for name in registry.names()
        if registry.get(name).sequential and registry.get(name).__module__.startswith("labeltrain.")
    }  # fmt: skip
    assert shipped <= {base for base, _ in EVERY.values()}


# -- TAILOR asks each arm once a group -------------------------------------------------------------


@pytest.mark.parametrize("parallel", [1, 2, 5, 14])
@pytest.mark.parametrize("pending", [0, 9])
@pytest.mark.parametrize("arm", ["galaxy", "direct"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_tailor_of_one_arm_is_that_arm(kind: str, arm: str, pending: int, parallel: int) -> None:
    alone = Game(kind=kind, pending=pending).play(registry.make(arm), parallel)
    inside = Game(kind=kind, pending=pending).play(Tailor([arm]), parallel)
    assert inside == alone


def test_galaxy_alone_and_inside_through_select() -> None:
    n = 1001
    p = np.linspace(0.99, 0.01, n)
    for parallel in (1, 5, 20):
        common: dict[str, Any] = {
            "probabilities": np.column_stack([p, 1 - p]), "labelled": [0, n - 1], "labels": [0, 1],
            "budget": 20, "parallel": parallel, "ask": lambda rows: (rows >= 137).astype(int),
        }  # fmt: skip
        alone = labeltrain.select("galaxy", **common).positions.tolist()
        assert labeltrain.select("tailor", arms=["galaxy"], **common).positions.tolist() == alone


class Spying(Strategy):
    """Takes the first candidates, at most so many at a time, and says what it was asked."""

    name = "spying"
    sequential = True
    summary = "for tests"

    def __init__(self, most: int = 99, at: int = 0) -> None:
        self.most = most
        self.at = at

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        CALLS.append((self.at, count, view))
        rows = view.candidates[self.at :: 3][: min(count, self.most)]
        return Picks(rows, notes=tuple({"at": self.at} for _ in rows))


CALLS: list[tuple[int, int, PoolView]] = []


@pytest.fixture
def spying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, Spying.name, Spying)
    CALLS.clear()


def spies(*most: int) -> list[dict[str, Any]]:
    return [
        {"name": "spying", "label": f"spy {k}", "parameters": {"most": m, "at": k}}
        for k, m in enumerate(most)
    ]


@pytest.mark.usefixtures("spying")
def test_each_arm_is_asked_once_for_its_part_of_a_group() -> None:
    view = pool_view(budget=30, number=2)
    found = Tailor(spies(99, 99)).select(view, 12, np.random.default_rng(0))
    arms = [note["arm"] for note in found.notes or ()]
    first = list(dict.fromkeys(arms))
    assert sorted(arms.count(arm) for arm in first) == sorted(count for _, count, _ in CALLS)
    assert [f"spy {at}" for at, *_ in CALLS] == first  # in the order of their first draws
    mine = [p for p, arm in zip(found.positions.tolist(), arms, strict=True) if arm == first[0]]
    (_, _, one), (_, _, other) = CALLS
    assert set(other.candidates.tolist()) == set(one.candidates.tolist()) - set(mine)
    assert set(mine) <= set(other.pending.tolist())
    asked = [past for past in other.history if past.round == 2]
    assert [past.position for past in asked] == mine
    assert all(past.note is None and past.answer is None for past in asked)
    # Each arm's picks are in its own order, and where it was drawn.
    assert mine == one.candidates[CALLS[0][0] :: 3][: len(mine)].tolist()


@pytest.mark.usefixtures("spying")
def test_what_an_arm_cannot_fill_the_others_do() -> None:
    view = pool_view(budget=30, number=2)
    found = Tailor(spies(1, 99)).select(view, 12, np.random.default_rng(1))
    arms = [note["arm"] for note in found.notes or ()]
    assert len(set(found.positions.tolist())) == 12
    assert arms.count("spy 0") <= 2  # once asked, and once more when it was short
    found = Tailor(spies(0, 0)).select(view, 12, np.random.default_rng(1))
    assert len(set(found.positions.tolist())) == 12
    assert all("a random draw" in why for why in found.why)


@pytest.mark.usefixtures("spying")
def test_an_arm_plans_with_its_own_part_of_the_round() -> None:
    view = pool_view(budget=30, number=2)
    view = view.after(
        [
            *view.history,
            *(Past(int(p), 2, 0, {"arm": "spy 0", "seed": 4}, "tailor") for p in (1, 2, 3)),
        ],
        view.candidates[3:],
    )
    Tailor(spies(99, 99, 99)).select(view, 4, np.random.default_rng(0))
    for at, _, seen in CALLS:
        assert seen.round.budget == 10
        assert seen.round.spent == (view.costs[[1, 2, 3]].sum() if at == 0 else 0)
    CALLS.clear()
    Tailor(spies(99)).select(view, 4, np.random.default_rng(0))
    assert CALLS[0][2].round.budget == 30
    CALLS.clear()
    Tailor(spies(99, 99)).select(pool_view(budget=6, number=2), 6, np.random.default_rng(3))
    assert all(seen.round.budget >= count for _, count, seen in CALLS)


def test_direct_inside_shrinks_on_answers_alone() -> None:
    """All that it asks in one group comes from the same interval."""
    n = 1001
    p = np.linspace(0.99, 0.01, n)
    known = [0, 100, 180, 300, 500, 700, n - 1]
    found = labeltrain.select(
        "tailor", arms=["direct", "margin"], probabilities=np.column_stack([p, 1 - p]),
        labelled=known, labels=[0, 0, 1, 1, 0, 1, 1], budget=40, parallel=20,
        ask=lambda rows: (rows >= 137).astype(int),
    )  # fmt: skip
    notes = [note["note"] for note in found.notes[:20] if note["arm"] == "direct"]
    searching = [tuple(note["interval"]) for note in notes if note["phase"] == 1]
    assert len(searching) >= 3
    assert len(set(searching)) == 1
    assert {note["size"] for note in notes if note["phase"] == 1} == {len(searching)}


def test_tailor_over_galaxy_badge_and_margin_with_skipped_and_pending_items() -> None:
    """Each arm picks what it would alone, but for what the others took before it."""
    arms = ["galaxy", "badge", "margin"]
    used: set[str] = set()

    def compare(view: PoolView, picks: Picks) -> None:
        arms_of = [note["arm"] for note in picks.notes or ()]
        pairs = list(zip(picks.positions.tolist(), arms_of, strict=True))
        assert set(picks.positions.tolist()) <= set(view.candidates.tolist())
        opened = view.opened()
        seed = (picks.notes or ())[0]["seed"]
        before: list[int] = []
        for arm in dict.fromkeys(arm for _, arm in pairs):
            mine = [p for p, other in pairs if other == arm]
            used.add(arm)
            open_ = np.setdiff1d(view.candidates, before)
            if arm == "galaxy":
                history = [
                    Past(p.position, p.round, p.answer,
                         p.note.get("note") if (p.note or {}).get("arm") == arm else None)
                    for p in view.history
                ] + [Past(p, view.round.number, None) for p in before]  # fmt: skip
                here = view.after(history, open_, pending=np.array([*view.pending, *before]))
                alone = Galaxy().select(here, len(mine), np.random.default_rng(0))
                assert mine == alone.positions.tolist()
            else:
                size = min(len(opened.candidates), int(view.round.budget))
                whole = registry.make(arm).select(opened, size, np.random.default_rng([seed, 0]))
                left = [p for p in whole.positions.tolist() if p in set(open_.tolist())]
                assert mine == left[: len(mine)]
            before += mine

    game = Game(pending=9)
    groups = game.play(Tailor(arms), 6, rounds=3, budget=20, seen=compare)
    assert used == set(arms)
    assert len(groups) == 12
    positions = [position for group in groups for position in group]
    assert len(set(positions)) == 60
    assert sum(past.answer is None for past in game.history) >= 8
    assert not set(positions) & set(game.start.pending.tolist())


# -- notes ---------------------------------------------------------------------------------------


def renamed(notes: Any, old: Sequence[str]) -> Any:
    """Notes as they were kept before: with the indices of classes."""
    if isinstance(notes, dict):
        return {k: renamed(v, old) for k, v in notes.items()}
    return old.index(notes) if notes in old else notes


@pytest.mark.parametrize("name", ["galaxy", "direct", "tailor of each class", "tailor"])
def test_notes_have_names_of_classes_and_others_are_ignored(name: str) -> None:
    base, options = EVERY[name]
    game = Game()
    game.play(registry.make(base, options), 5, rounds=2)
    game.asked = 0.0
    view = game.view(3, 14, None)
    names = ("0", "1", "2")
    for past in view.history:
        note = past.note or {}
        inner = note.get("note", note)
        for key in {"class", "galaxy"} & set(inner or {}):
            assert inner[key] in names
    fresh = [Past(p.position, p.round, p.answer) for p in view.history]
    strange = [
        [Past(p.position, p.round, p.answer, renamed(p.note, names)) for p in view.history],
        [Past(p.position, p.round, p.answer, {"phase": 1, "class": "gone"}) for p in view.history],
        [Past(p.position, p.round, p.answer, {"galaxy": ["gone"]}) for p in view.history],
    ]
    if name in ("galaxy", "direct"):
        expected = registry.make(base, options).select(
            view.after(fresh, view.candidates), 5, np.random.default_rng(0)
        )
        for history in strange:
            found = registry.make(base, options).select(
                view.after(history, view.candidates), 5, np.random.default_rng(0)
            )
            assert found.positions.tolist() == expected.positions.tolist()


def test_an_arm_of_each_class_is_called_by_its_name() -> None:
    view = PoolView(
        40, ["ham", "spam"], labelled=[0, 39], labels=[0, 1], round=Round(1, 10),
        sources={"probabilities": np.column_stack([np.linspace(1, 0, 40), np.linspace(0, 1, 40)])},
    )  # fmt: skip
    arms = [{"name": "galaxy", "each_class": True}]
    found = Tailor(arms).select(view, 10, np.random.default_rng(0))
    assert {note["arm"] for note in found.notes or ()} == {"galaxy ham", "galaxy spam"}


# -- open questions of GALAXY ----------------------------------------------------------------------


def test_open_questions_of_an_earlier_round_split_their_gap() -> None:
    n = 102
    p = np.linspace(0.99, 0.01, n)

    def picks(pending: list[int]) -> list[int]:
        return labeltrain.select(
            "galaxy", probabilities=np.column_stack([p, 1 - p]), labelled=[0, n - 1],
            labels=[0, 1], budget=3, parallel=3, pending=pending,
            ask=lambda rows: (rows >= 30).astype(int),
        ).positions.tolist()  # fmt: skip

    assert picks([]) == [50, 75, 25]
    assert picks([50]) == [75, 25, 88]  # not 49, beside the open question
    assert picks([50, 75]) == [25, 88, 12]


# -- answers, options ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["galaxy", "direct", "tailor"])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_skip_among_rows_of_several_labels(name: str, skip: int) -> None:
    p = np.random.default_rng(0).random((20, 3))
    answers: list[Any] = [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    answers[skip] = None
    found = labeltrain.select(
        name, probabilities=p, kind="multilabel", budget=3, parallel=3, labelled=[0, 1],
        labels=[[0, 0, 1], [1, 0, 0]], ask=lambda rows: answers[: len(rows)], embeddings=p,
    )  # fmt: skip
    assert list(found.answers or ()) == answers
    assert found.history[skip].answer is None
    assert found.history[(skip + 1) % 3].answer == tuple(answers[(skip + 1) % 3])


def test_no_targets_are_refused() -> None:
    with pytest.raises(BadInput, match="targets has no rows"):
        labeltrain.select("nearest", embeddings=np.eye(4), targets=np.zeros((0, 4)), budget=1)


@pytest.mark.parametrize("each", ["no", 1, None])
def test_each_class_is_yes_or_no(each: Any) -> None:
    with pytest.raises(BadInput, match="each_class"):
        Tailor([{"name": "galaxy", "each_class": each}])


def test_direct_searches_no_more_than_half_of_its_part_inside_tailor() -> None:
    game = Game()
    strategy = Tailor(["direct", "margin", "entropy"])
    game.play(strategy, 3, rounds=1, budget=30)
    notes = [past.note["note"] for past in game.history if (past.note or {}).get("arm") == "direct"]
    assert sum(note["phase"] == 1 for note in notes) <= 5
