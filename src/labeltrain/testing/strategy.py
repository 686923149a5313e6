"""What every query strategy must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from labeltrain.errors import MissingNeed
from labeltrain.learners import registry as learners
from labeltrain.loop.checks import CheckedPicks, checked
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.oracle import SimulatedOracle
from labeltrain.loop.trajectory import Plan, Pool, Trajectory
from labeltrain.strategies.base import Need, Strategy
from labeltrain.strategies.view import PoolView
from labeltrain.testing.pools import blobs, pool_view, token_scores


class StrategyContract:
    """Inherit, set `strategy` (and `parameters`), and run pytest.

    Attributes
    ----------
    strategy : type of Strategy
    parameters : mapping

    Notes
    -----
    The laws a class declares are tested: ``deterministic`` (the generator is not used, permuting
    the pool permutes the picks) and ``nested`` (picks made in two goes are those made in one).
    """

    strategy: ClassVar[type[Strategy]]
    parameters: ClassVar[Mapping[str, Any]] = {}

    def made(self) -> Strategy:
        """Return the strategy with its parameters; what it needs may follow from them."""
        return self.strategy(**self.parameters)

    def pick(self, view: PoolView, count: int, seed: int = 0) -> CheckedPicks:
        """Select, and check what every selection must satisfy."""
        strategy = self.made()
        picks = strategy.select(view, count, np.random.default_rng(seed))
        return checked(picks, view, count, strategy.name)

    def kinds(self) -> list[str]:
        """Return the kinds of data the strategy declares to work on."""
        return [k for k in ("multiclass", "multilabel", "none") if self.made().works_on(k)]

    def view(self, **options: Any) -> PoolView:
        """Return a pool of the first kind of data the strategy works on; see `pool_view`."""
        return pool_view(kind=self.kinds()[0], **options)

    def test_it_has_a_name_and_a_summary(self) -> None:
        assert self.strategy.name
        assert self.strategy.summary

    def test_it_picks_exactly_what_is_asked(self) -> None:
        for kind in self.kinds():
            for count in (1, 7):
                assert len(self.pick(pool_view(kind=kind), count).positions) == count

    def test_it_can_pick_the_whole_pool(self) -> None:
        for kind in self.kinds():
            view = pool_view(n=40, kind=kind)
            picks = self.pick(view, len(view.candidates))
            assert sorted(picks.positions) == sorted(view.candidates)

    def test_it_works_on_a_pool_of_one_candidate(self) -> None:
        for kind in self.kinds():
            view = pool_view(n=16, labelled=12, pending=3, kind=kind)
            assert self.pick(view, 1).positions.tolist() == view.candidates.tolist()

    def test_same_view_and_seed_give_the_same_picks(self) -> None:
        for kind in self.kinds():
            first, second = (self.pick(pool_view(kind=kind), 9).positions for _ in range(2))
            assert first.tolist() == second.tolist()

    def test_it_reads_only_what_it_declares(self) -> None:
        for kind in self.kinds():
            only = frozenset(self.made().needs)
            assert len(self.pick(pool_view(kind=kind, only=only), 5).positions) == 5

    def test_it_is_refused_a_view_without_what_it_needs(self) -> None:
        needed = set(self.made().needs)
        if Need.HIDDEN in needed:
            needed.discard(Need.EMBEDDINGS)  # hidden falls back on embeddings
        for need in needed - {Need.HIDDEN}:
            view = self.view(only=frozenset(needed - {need}))
            try:
                self.pick(view, 2)
            except MissingNeed:
                continue
            raise AssertionError(f"{self.strategy.name} declares {need} and did without it")

    def test_it_keeps_out_labelled_and_pending_items(self) -> None:
        for kind in self.kinds():
            view = pool_view(n=60, labelled=20, pending=20, kind=kind)
            taken = {*view.labelled.tolist(), *view.pending.tolist()}
            assert not taken & set(self.pick(view, 20).positions.tolist())

    def test_it_keeps_to_a_smaller_candidate_set(self) -> None:
        whole = self.view(n=80)
        few = whole.candidates[::3]
        view = PoolView(
            80,
            3,
            kind=whole.kind,
            labelled=whole.labelled,
            labels=whole.labels,
            pending=whole.pending,
            candidates=few,
            round=whole.round,
            history=whole.history,
            sources=whole._sources,
        )
        assert set(self.pick(view, 6).positions.tolist()) <= set(few.tolist())

    def test_it_survives_identical_items(self) -> None:
        view = self.view(n=60, features=np.ones((60, 4), dtype=np.float32))
        assert len(self.pick(view, 10).positions) == 10

    def test_it_survives_zero_vectors(self) -> None:
        view = self.view(n=60, features=np.zeros((60, 4), dtype=np.float32))
        assert len(self.pick(view, 10).positions) == 10

    def test_it_survives_certain_probabilities(self) -> None:
        view = self.view(n=60)
        certain = np.zeros((60, 3))
        certain[:, 0] = 1.0
        view._sources[Need.PROBABILITIES] = certain
        assert len(self.pick(view, 10).positions) == 10

    def test_it_takes_half_single_and_double_precision(self) -> None:
        for dtype in (np.float16, np.float32, np.float64):
            points = blobs(60)[0].astype(dtype)
            view = self.view(n=60, features=points, dtype=dtype)
            assert len(self.pick(view, 8).positions) == 8

    def test_it_takes_read_only_and_fortran_arrays(self) -> None:
        points = np.asfortranarray(blobs(60)[0])
        points.flags.writeable = False
        plain = self.pick(self.view(n=60, features=np.ascontiguousarray(points)), 8)
        assert self.pick(self.view(n=60, features=points), 8).positions.tolist() == (
            plain.positions.tolist()
        )

    def test_permuting_the_pool_permutes_the_picks(self) -> None:
        if not self.made().deterministic:
            return
        view = self.view(n=90, pending=0)
        order = np.random.default_rng(7).permutation(90)
        place = np.argsort(order)
        sources = {
            name: value[order] if isinstance(value, np.ndarray) and len(value) == 90 else value
            for name, value in view._sources.items()
        }
        sources[Need.COMMITTEE] = view._sources[Need.COMMITTEE][:, order]
        sources[Need.SCORES] = {k: v[order] for k, v in view._sources[Need.SCORES].items()}
        moved = PoolView(
            90,
            3,
            kind=view.kind,
            labelled=place[view.labelled],
            labels=view.labels,
            round=view.round,
            sources=sources,
        )
        there = order[self.pick(moved, 12).positions]
        assert there.tolist() == self.pick(view, 12).positions.tolist()

    def test_a_deterministic_strategy_does_not_use_the_generator(self) -> None:
        if not self.made().deterministic:
            return
        one, two = (self.pick(self.view(), 9, seed=seed).positions.tolist() for seed in (1, 2))
        assert one == two

    def test_nested_picks_in_two_goes_are_those_in_one(self) -> None:
        if not (self.made().nested and self.made().deterministic):
            return
        for kind in self.kinds():
            view = pool_view(n=70, kind=kind, pending=0)
            whole = self.pick(view, 14).positions.tolist()
            first = self.pick(view, 5).positions
            later = PoolView(
                70,
                3,
                kind=kind,
                labelled=view.labelled,
                labels=view.labels,
                pending=first,
                round=view.round,
                sources=view._sources,
            )
            assert [*first.tolist(), *self.pick(later, 9).positions.tolist()] == whole

    def test_it_runs_in_the_loop_and_spends_exactly_its_budget(self) -> None:
        features, truth = blobs(150)
        kind = self.kinds()[0]
        if kind == "multilabel":
            truth = np.eye(3, dtype=np.int64)[truth]
        extra: dict[str, Any] = {
            Need.GROUPS: np.arange(100) % 4,
            Need.PRIOR: np.full((100, 3), 1 / 3),
            Need.TARGETS: features[:10],
            Need.SCORES: token_scores(100, np.random.default_rng(0)),
        }
        wanted = {k: v for k, v in extra.items() if k in self.made().needs}
        ids = [f"i{k}" for k in range(100)]
        pool = Pool(features[:100], ids, ("a", "b", "c"), kind, extra=wanted)
        oracle = SimulatedOracle(truth[:100], 3)
        evaluator = Evaluator(features[100:], truth[100:], truth[:100], 3, kind)
        plan = Plan(batch=9, rounds=3, seed_size=8, parallel=4)
        trajectory = Trajectory(
            pool,
            learners.make("ridge" if Need.POSTERIOR in self.made().needs else "linear"),
            self.made(),
            oracle,
            evaluator,
            plan,
        )
        state = trajectory.run()
        assert [s["labels"] for s in state.scored] == [8, 17, 26, 35]
        assert oracle.labels == 35
        assert len(state.answers) == 35
