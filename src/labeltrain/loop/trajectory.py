"""One run of the loop: a strategy, a learner and an oracle, round after round."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, BrokenContract, StoreMissing
from labeltrain.kernels import clock
from labeltrain.learners.base import Cost, Learner, Model, Training, drawn
from labeltrain.loop.budget import affordable, purchasable, with_labelled, within
from labeltrain.loop.checks import checked, refuse_unmet_needs
from labeltrain.loop.evaluate import Evaluator
from labeltrain.loop.final import Final
from labeltrain.loop.journal import Journal, MemoryJournal
from labeltrain.loop.oracle import Oracle
from labeltrain.loop.out_of_fold import frozen_out_of_fold
from labeltrain.loop.sources import model_sources
from labeltrain.loop.state import State
from labeltrain.needs import OF_A_TRAINED_MODEL
from labeltrain.rng import stream
from labeltrain.store.ledger import Event
from labeltrain.strategies.base import Memo, Need, Picks, Round, Strategy
from labeltrain.strategies.registry import make as make_strategy
from labeltrain.strategies.view import PoolView

# What of a model's facts goes into the event of a round.
TOLD = (
    "steps", "used", "rollbacks", "stopped", "epochs", "replayed", "looked_at", "memory_items",
    "memory_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Pool:
    """What is known of the pool without asking.

    Attributes
    ----------
    features : ndarray of float32, shape (n, d)
    ids : sequence of str, length n
    classes : tuple of str
    kind : {"multiclass", "multilabel"}
    extra : dict of str to array
        Any of ``groups``, ``costs``, ``prior``, ``targets``, ``scores``.
    views : dict of str to ndarray of float32, shape (count, n, d)
        Features of augmented items, ``weak`` and ``strong``; may be empty.
    items : sequence of length n, optional
        The items themselves, for learners that read them.
    modality : str
        What the items are: "text", "image".
    """

    features: np.ndarray
    ids: Sequence[str]
    classes: tuple[str, ...]
    kind: str = "multiclass"
    extra: Mapping[str, Any] = field(default_factory=dict)
    views: Mapping[str, np.ndarray] = field(default_factory=dict)
    items: Any = None
    modality: str = ""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Plan:
    """How much is asked, and when.

    Attributes
    ----------
    batch : float
        Budget of each round.
    rounds : int
        Rounds after the seed set.
    seed_size : int
        Size of the seed set.
    seed_method : str
        A strategy that needs no model, such as ``random`` or ``clusters``. It also chooses in later
        rounds while fewer than two classes are labelled, in place of strategies that ask a model.
    parallel : int
        How many a sequential strategy may ask at once.
    seed : int
    given : tuple of int
        Positions that the seed set begins with: examples that were known beforehand.
    """

    batch: float = 50
    rounds: int = 10
    seed_size: int = 50
    seed_method: str = "random"
    parallel: int = 1
    seed: int = 0
    given: tuple[int, ...] = ()

    def refuse_if_too_large(self, pool: Pool) -> None:
        """Raise when the plan asks for more labels than the pool holds.

        Raises
        ------
        BadInput
            With the largest number of rounds that fits.
        """
        if "costs" in pool.extra:
            return  # a budget of costs, not of items: rounds end when nothing is affordable
        wanted = self.seed_size + self.batch * self.rounds
        if wanted > len(pool):
            fits = max(0, int((len(pool) - self.seed_size) // self.batch))
            raise BadInput(
                f"{self.seed_size} + {self.rounds} rounds of {self.batch:g} = {wanted:g} labels "
                f"are asked for, but the pool holds {len(pool)} items",
                f"use at most {fits} rounds, or a smaller batch or seed set",
            )


class Trajectory:
    """The loop of one strategy and one seed; see :meth:`run`.

    Its whole memory is the journal: a new Trajectory on the same journal goes on where the last
    one stopped, with the same result.
    """

    def __init__(
        self,
        pool: Pool,
        learner: Learner,
        strategy: Strategy,
        oracle: Oracle,
        evaluator: Evaluator,
        plan: Plan,
        journal: Journal | None = None,
        run: str = "",
        final: Final | None = None,
    ) -> None:
        self.pool = pool
        self.learner = learner = learner.serving(strategy.needs)
        self.strategy = strategy
        self.oracle = oracle
        self.evaluator = evaluator
        self.plan = plan
        self.journal = journal if journal is not None else MemoryJournal()
        self.run_name = run
        self.final = final
        self._model: Model | None = None
        self._probabilities: np.ndarray | None = None
        self._folds: list[Cost] = []  # of out-of-fold fits since the last round was scored
        self._seconds_store = 0.0
        given = [n for n in Need if n in pool.extra] + [Need.EMBEDDINGS, *learner.gives]
        refuse_unmet_needs(strategy, learner.name, given, pool.kind)
        plan.refuse_if_too_large(pool)
        self.state = State.fold(self.journal.events())
        self._first = (pool, evaluator)  # with the features that the final learner is trained on
        if self.state.refreshed is not None:
            self._renew(self.journal.load_features(self.state.refreshed["features"]))

    @property
    def finished(self) -> bool:
        """True when every round is scored, or the pool is used up, and no training is due."""
        return self._ended and not self._due()

    @property
    def _ended(self) -> bool:
        state = self.state
        return state.round > self.plan.rounds or (
            state.exhausted and bool(state.scored) and state.groups == 0
        )

    def _due(self) -> list[int | str]:
        """Return the budgets for which the final learner is to be trained now."""
        state = self.state
        if self.final is None or not state.scored or state.groups:
            return []
        done = [budget for body in state.finals for budget in body["budgets"]]
        return self.final.due(state.scored[-1]["labels"], done, self._ended)

    def run(self, after_round: Callable[[dict[str, Any]], None] | None = None) -> State:
        """Go on until finished; call `after_round` with the body of each scored or final event."""
        while not self.finished:
            body = self.step()
            if after_round is not None:
                after_round(body)
        return self.state

    def step(self) -> dict[str, Any]:
        """Do one round: select, ask, commit, fit, score, commit; or a training that is due."""
        if due := self._due():
            return self._finish(due)
        timing = {"select": 0.0, "store": self._seconds_store}
        memo = Memo()
        budget = float(self.plan.seed_size if self.state.round == 0 else self.plan.batch)
        while not self.state.exhausted:
            left = budget - self.state.spent_in_round
            count = affordable(self._costs, self._open(left), left)
            # A batch strategy is asked once a round, also when it picked fewer than it might.
            once = 1 + (self.state.round == 0 and bool(self.plan.given))
            if count == 0 or (self.state.groups >= once and not self._asker().sequential):
                break
            self._ask(count, budget, memo, timing)
        return self._learn(timing)

    # -- selecting -----------------------------------------------------------------------------

    def _asker(self) -> Strategy:
        """Return who chooses: the seed method while there is nothing to be uncertain about."""
        blind = len(set(self.state.answers.values())) < 2
        if self.state.round == 0 or (blind and self.strategy.needs & OF_A_TRAINED_MODEL):
            return make_strategy(self.plan.seed_method)
        return self.strategy

    @property
    def _costs(self) -> np.ndarray | None:
        costs = self.pool.extra.get("costs")
        return None if costs is None else np.asarray(costs, dtype=np.float64)

    def _free(self) -> np.ndarray:
        free = np.ones(len(self.pool), dtype=bool)
        free[self.state.positions] = False
        free[list(self.state.skipped)] = False
        return np.flatnonzero(free)

    def _purchasable(self, left: float) -> np.ndarray:
        free = np.zeros(len(self.pool), dtype=bool)
        free[self._free()] = True
        return purchasable(self._costs, free, left)

    def _open(self, left: float) -> np.ndarray:
        """Return what may be asked: fresh items, and labelled ones where those are asked again."""
        places = self._purchasable(left)
        if not (len(places) and self._asker().asks_again):
            return places
        return with_labelled(self._costs, places, self.state.positions, len(self.pool), left)

    def _ask(self, count: int, budget: float, memo: Memo, timing: dict[str, float]) -> None:
        started = clock.seconds()
        state, number = self.state, self.state.round
        strategy = self._asker()
        if strategy.sequential:
            count = min(count, self.plan.parallel)
        view = self.view(budget, memo)
        open_ = len(self._free())
        if number == 0:
            rng = stream(self.plan.seed, "seed set")
        else:
            rng = stream(self.plan.seed, "select", number, state.groups)
        known = self.plan.given if number == state.groups == 0 else ()
        found = Picks(np.array(known[:count])) if known else strategy.select(view, count, rng)
        picks = checked(found, view, count, strategy.name)
        costs = self._costs
        keep = within(costs, picks.positions, budget - state.spent_in_round)
        timing["select"] += clock.seconds() - started
        answers = self.oracle.ask(picks.positions[keep], state.asked(picks.positions[keep]))
        rows = []
        for row, answer in zip(keep, answers, strict=True):
            position = int(picks.positions[row])
            score = float(picks.scores[row])
            pick: dict[str, Any] = {
                "position": position,
                "id": self.pool.ids[position],
                "score": score if np.isfinite(score) else None,
                "answer": _plain(answer),
            }
            if picks.notes[row] is not None:
                pick["note"] = picks.notes[row]
            if costs is not None:
                pick["cost"] = float(costs[position])
            rows.append(pick)
        fresh = len({r["position"] for r in rows} - state.answers.keys())
        exhausted = len(rows) == 0 or fresh == open_
        event = Event(
            self.run_name,
            "picked",
            {
                "round": number,
                "group": state.groups,
                "strategy": "seed:given"
                if known
                else strategy.name
                if strategy is self.strategy
                else f"seed:{strategy.name}",
                "version": strategy.version,
                "picks": rows,
                "exhausted": exhausted,
            },
        )
        started = clock.seconds()
        self.journal.append([event])
        timing["store"] += clock.seconds() - started
        state.apply(event)

    def view(self, budget: float, memo: Memo | None = None) -> PoolView:
        """Return what a strategy may see now."""
        state, pool = self.state, self.pool
        sources: dict[str, Any] = {**pool.extra, "embeddings": pool.features}
        if state.round > 0:
            # Nothing here may lead back to the oracle: arrays and closures over what is known.
            sources |= model_sources(
                self.learner,
                self._current_model(),
                self._inputs,
                self._pool_probabilities(),
                self._out_of_fold(memo or Memo()),
            )
        return PoolView(
            len(pool),
            pool.classes,
            kind=pool.kind,
            labelled=state.positions,
            labels=state.labels(pool.kind, len(pool.classes)),
            candidates=self._purchasable(budget - self.state.spent_in_round),
            round=Round(state.round, budget, state.spent_in_round),
            history=state.history,
            sources=sources,
            memo=memo,
        )

    def _out_of_fold(self, memo: Memo) -> Callable[[], np.ndarray]:
        number, probabilities = self.state.round, self._pool_probabilities()
        return frozen_out_of_fold(
            self.learner,
            self._training(until=number - 1),
            stream(self.plan.seed, "out of fold", number),
            probabilities.__getitem__,
            self.state.positions,
            memo,
            self._folds,
        )

    def _current_model(self) -> Model:
        if self._model is None:
            try:
                self._model = self.journal.load_model(self.state.model or {})
            except StoreMissing as error:
                warnings.warn(f"{error.problem}; it is fitted again", stacklevel=2)
                self._model = self._refitted()
        return self._model

    def _refitted(self) -> Model:
        """Fit every round again, each from the one before: the model that was lost."""
        model: Model | None = None
        state = self.state
        first = 0 if self.learner.continues else state.scored[-1]["round"]
        if state.refreshed is not None:
            last = int(state.refreshed["round"])
            model = self._fit_renewed(last)
            first = max(first, last + 1)
        for number in range(first, self.state.round):
            rng = stream(self.plan.seed, "fit", number)
            model = self.learner.fit(self._training(until=number), rng, model)
        if model is None:
            raise BadInput("no round was scored yet", "run a round first")
        return model

    @property
    def _inputs(self) -> Any:
        """What the model predicts from: features or items of the whole pool."""
        return self.pool.features if self.learner.reads == "features" else self.pool.items

    def _pool_probabilities(self) -> np.ndarray:
        if self._probabilities is None:
            found = self._current_model().predict_proba(self._inputs)
            wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
            if len(wrong):
                raise BrokenContract(
                    f"the model of learner {self.learner.name!r} predicts NaN or infinity for item "
                    f"{self.pool.ids[wrong[0]]!r} ({len(wrong)} in all)",
                    "this is a bug in the learner, or its training diverged",
                )
            self._probabilities = found
        return self._probabilities

    # -- learning ------------------------------------------------------------------------------

    def _training(self, until: int | None = None, pool: Pool | None = None) -> Training:
        """Return the labels so far, or those known after the round `until`, of another `pool`."""
        state = self.state if until is None else self.state.until(until)
        pool = self.pool if pool is None else pool
        return Training(
            pool.features,
            state.positions,
            state.labels(pool.kind, len(pool.classes)),
            len(pool.classes),
            pool.kind,
            state.rounds,
            items=pool.items,
            weak=drawn(pool.views.get("weak")),
            strong=drawn(pool.views.get("strong")),
            names=pool.classes,
            modality=pool.modality,
            checkpoint=self.journal.checkpoint(),
        )

    def _found(self) -> list[int]:
        """Return how many items of each class were answered so far."""
        labels = self.state.labels(self.pool.kind, len(self.pool.classes))
        if self.pool.kind == "multilabel":
            return [int(number) for number in labels.sum(axis=0)]
        return [int(number) for number in np.bincount(labels, minlength=len(self.pool.classes))]

    def _learn(self, timing: dict[str, float]) -> dict[str, Any]:
        state = self.state
        number = state.round
        previous = None
        if self.learner.continues and state.scored:
            previous = self._current_model()
        started = clock.seconds()
        rng = stream(self.plan.seed, "fit", number)
        self._model = self.learner.fit(self._training(), rng, previous)
        self._probabilities = None
        trained = clock.seconds()
        probabilities = self._pool_probabilities()
        predicted = clock.seconds()
        scored = self.evaluator.score(self._model, probabilities, self.learner.reads)
        evaluated = clock.seconds()
        # The next round chooses by these predictions; else only the study wants them.
        chosen_by = self.strategy.needs & OF_A_TRAINED_MODEL and number < self.plan.rounds
        predicting = "select" if chosen_by else "evaluate"
        seconds = {"select": timing["select"], "evaluate": evaluated - predicted}
        seconds[predicting] += predicted - trained
        items = {"select": sum(c.examples for c in self._folds), "evaluate": self.evaluator.size}
        self._folds.clear()
        items[predicting] += len(self.pool)
        reference = self.journal.save_model(self._model)
        body = {
            "round": number,
            "labels": len(state.history),
            "spent": state.spent,
            "groups": state.groups_in_all,
            "found": self._found(),
            **scored,
            "model": reference,
            "facts": _told(self._model),
            "seconds": {
                "train": _spent(self._model, trained - started),
                **seconds,
                # Up to here; the commit of this very event is counted in the next round.
                "store": timing["store"] + clock.seconds() - evaluated,
            },
            "prepared": self._model.cost.prepared,
            "examples": self._model.cost.examples,
            "predicted": items,
        }
        event = Event(self.run_name, "scored", body)
        started = clock.seconds()
        self.journal.append([event])
        if state.model is not None and state.model != reference:
            self.journal.drop_model(state.model)
        self._seconds_store = clock.seconds() - started
        state.apply(event)
        return body

    # -- the expensive learner -----------------------------------------------------------------

    def _finish(self, due: list[int | str]) -> dict[str, Any]:
        """Train the final learner on the labels so far, score it, and renew features if wanted."""
        final, state = self.final, self.state
        if final is None:
            raise BadInput("there is no final learner", "give one")
        number, labels = int(state.scored[-1]["round"]), int(state.scored[-1]["labels"])
        started = clock.seconds()
        pool, evaluator = self._first
        training = self._training(pool=pool)
        model = final.learner.fit(training, stream(self.plan.seed, "final", labels))
        trained = clock.seconds()
        scored = evaluator.score(model, None, final.learner.reads)
        evaluated = clock.seconds()
        features = reference = None
        old = state.refreshed["features"] if state.refreshed else None
        if final.refresh and not self._ended and len(set(state.answers.values())) > 1:
            whole = pool.features if final.learner.reads == "features" else pool.items
            arrays = {
                "pool": model.hidden(whole),
                "test": model.hidden(evaluator.inputs(final.learner.reads)),
            }
            features = self.journal.save_features(arrays)
            self._renew(arrays)
            encoded = clock.seconds()
            self._model = self._fit_renewed(number)
            reference = self.journal.save_model(self._model)
        else:
            encoded = clock.seconds()
        body = {
            "round": number,
            "labels": labels,
            "budgets": due,
            **scored,
            "facts": _told(model),
            "features": features,
            "model": reference,
            "seconds": {
                "final": _spent(model, trained - started),
                "evaluate": evaluated - trained,
                "encode": encoded - evaluated,
                "train": clock.seconds() - encoded,
            },
            "prepared": model.cost.prepared,
            "examples": model.cost.examples,
            "predicted": {"evaluate": evaluator.size},
        }
        event = Event(self.run_name, "final", body)
        self.journal.append([event])
        if reference is not None and state.model not in (None, reference):
            self.journal.drop_model(state.model or {})
        if features is not None and old not in (None, features):
            self.journal.drop_model(old or {})
        state.apply(event)
        return body

    def _fit_renewed(self, number: int) -> Model:
        """Fit the loop's own learner to the labels of a round on renewed features, from nothing."""
        rng = stream(self.plan.seed, "fit renewed", number)
        return self.learner.fit(self._training(until=number), rng)

    def _renew(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on with other features."""
        self.pool = replace(self.pool, features=arrays["pool"], views={})
        self.evaluator = self.evaluator.renewed(arrays["test"])
        self._model = self._probabilities = None


def _spent(model: Model, seconds: float) -> float:
    """Return what a fit took, with the processes before this one that were killed in it."""
    return max(seconds, model.cost.seconds)


def _told(model: Model) -> dict[str, Any]:
    """Return what a model says of its training: steps, whether it diverged, what it remembers."""
    facts = model.facts()
    return {key: facts[key] for key in TOLD if key in facts}


def _plain(answer: Any) -> Any:
    """Return an answer as a JSON value: a class, a list of 0/1, or None for a skip."""
    if np.ndim(answer):
        row = [int(v) for v in answer]
        return None if min(row) < 0 else row
    return None if int(answer) < 0 else int(answer)
