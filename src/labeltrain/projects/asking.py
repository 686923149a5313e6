"""What to label next: the audit's share, then what the strategy picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache as cached
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.kernels.threads import limited_threads
from labeltrain.learners.base import PriorModel
from labeltrain.loop import audit
from labeltrain.loop.checks import checked, refuse_unmet_needs
from labeltrain.loop.out_of_fold import frozen_out_of_fold
from labeltrain.loop.sources import model_sources
from labeltrain.needs import OF_A_TRAINED_MODEL
from labeltrain.projects.content import encoded_query
from labeltrain.projects.state import AUDIT, OpenRound, ProjectState
from labeltrain.projects.training import fit, kept_model, training_set
from labeltrain.rng import stream
from labeltrain.store import Event
from labeltrain.strategies import registry as strategies
from labeltrain.strategies.base import Memo, Need, Round, Strategy
from labeltrain.strategies.view import PoolView

if TYPE_CHECKING:
    from labeltrain.learners import Model
    from labeltrain.projects.project import Project

COLD_START = "clusters"
QUERIED = "nearest"  # in its place, where a query says what is looked for
GROUPS = 10  # of a round of a strategy that learns from each answer


def choose(
    project: Project,
    count: int,
    strategy: str,
    of: int | None = None,
    query: Sequence[str] = (),
) -> tuple[Event | None, list[int], Model | None]:
    """Choose the next questions.

    Parameters
    ----------
    project : Project
    count : int
    strategy : str
    of : int, optional
        Questions in the whole round of a strategy that learns from each answer; a round that is
        open goes on, of the same model, until it has so many.
    query : sequence of str
        What is looked for, in words: the texts most similar to it are asked, whatever `strategy`.

    Returns
    -------
    event : Event or None
        What to commit; None when nothing is left to ask.
    asked : list of int
        Positions to hand out, in the order to be answered.
    model : Model or None
        The model they were chosen by, where the project's learner goes on from it.

    Raises
    ------
    BadInput
        `of` for a strategy that picks a whole batch at once, or less than `count`.
    """
    state, seed = project.state, project.spec["seed"]
    chosen = strategies.make(QUERIED) if query else project.strategy(strategy)
    targets = encoded_query(project.spec, query) if query else project.targets()
    if of is not None and (not chosen.sequential or of < count):
        raise BadInput(
            f"of={of} with count={count} and strategy {strategy!r}",
            f"give {count} or more"
            if chosen.sequential
            else "leave it out: only galaxy, direct, tailor and their like learn from each answer",
        )
    learner = project.learner().serving(chosen.needs)
    if Need.TARGETS in chosen.needs and targets is None:
        raise BadInput(
            f"strategy {chosen.name!r} needs to know what is looked for", "say so: --query 'TEXT'"
        )
    queried = [] if targets is None else [Need.TARGETS]
    refuse_unmet_needs(chosen, learner.name, [Need.EMBEDDINGS, *queried, *learner.gives])
    candidates = free_positions(state, len(project.items.ids))
    turns = audit_turns(state, project.spec["audit_share"], count, len(candidates))
    # An answer that was volunteered counts from now on; the others are asked.
    volunteered = [_pick(project, p, AUDIT, "drawn at random") for p in turns if p in state.votes]
    picks = [_pick(project, p, AUDIT, "drawn at random") for p in turns if p not in state.votes]
    again = len(state.training()[0]) if chosen.asks_again else 0
    wanted = min(count - len(picks), len(candidates) + again)
    used, now = chosen, _round(state, chosen, count, of)
    model: Model | None = None
    if wanted > 0:
        used, selected, model = _select(project, chosen, wanted, candidates, now, targets)
        picks += selected
    if not picks:
        return None, [], None
    # In random order: who answers cannot tell the audit's items from the others.
    group = (now.groups,) if now.groups else ()
    stream(seed, "order", now.number, *group).shuffle(picks)
    body = {
        "round": now.number,
        "picks": volunteered + picks,
        "versions": {used.name: used.version},
    }
    if used.sequential:
        body |= {"strategy": used.name, "budget": now.budget}
    return Event("", "opened", body), [pick["position"] for pick in picks], model


def _round(state: ProjectState, strategy: Strategy, count: int, of: int | None) -> OpenRound:
    """Return the round to go on with, or a new one."""
    open_ = state.opened
    if (
        open_ is not None
        and strategy.sequential
        and open_.strategy == strategy.name
        and open_.asked < open_.budget
        and open_.classes == state.classes  # else the model knows less classes than there are
        and of in (None, open_.budget)
    ):
        return open_
    budget = (of or GROUPS * count) if strategy.sequential else count
    return OpenRound(state.rounds, strategy.name, budget, 0, 0, list(state.classes))


def free_positions(state: ProjectState, n: int) -> np.ndarray:
    """Return the items a strategy may pick: not answered, not asked, not set aside."""
    free = np.ones(n, dtype=bool)
    free[state.audit_order] = False
    free[list(state.votes)] = False
    free[state.pending] = False
    return np.flatnonzero(free)


def audit_turns(state: ProjectState, share: float, count: int, candidates: int) -> list[int]:
    """Return the audit items whose turn comes with the next `count` questions.

    Those whose answer was withdrawn come first: their turn has been. The others come strictly in
    the order drawn at the start. Once the strategy has nothing left to pick from, all questions
    are the audit's.
    """
    again = [p for p in state.audit_order if p in state.returned]
    waiting = [p for p in state.audit_order if p not in state.asked]
    standing = state.audit_asked - len(again)
    wanted = audit.due(share, state.questions + count, standing, len(again) + len(waiting))
    turns = again[:count]
    questions = len(turns)
    for position in waiting:
        short = questions + candidates < count  # the strategy cannot fill the batch
        if questions == count or (len(turns) >= wanted and not short):
            break
        turns.append(position)
        questions += position not in state.votes
    return turns


class _Late:
    """The model of a round, fitted when a strategy first looks: some never do."""

    def __init__(
        self, project: Project, needs: frozenset[Need], at: ProjectState, now: OpenRound
    ) -> None:
        self._project, self._needs, self._at, self._now = project, needs, at, now

    @property
    def to_keep(self) -> Model | None:
        """The model, if it was fitted for a new round and the learner goes on from it."""
        fitted: Model | None = vars(self).get("_model")
        if fitted is None or self._now.groups or not self._project.learner().remembers:
            return None
        return None if isinstance(fitted, PriorModel) else fitted

    @cached_property
    def _model(self) -> Model:
        own = self._project.learner()
        kept = self._project.state.model
        if self._now.groups and kept is not None and kept["round"] == self._now.number:
            found = kept_model(self._project, self._project.state)
            if found is not None:
                return found
        if self._at is self._project.state and own.serving(self._needs) is own:
            return self._project.fitted()
        return fit(self._project, self._needs, self._at)

    def predict_proba(self, inputs: Any) -> np.ndarray:
        return self._model.predict_proba(inputs)

    def hidden(self, inputs: Any) -> np.ndarray:
        return self._model.hidden(inputs)

    @property
    def head(self) -> Any:
        return self._model.head

    def posterior(self, inputs: Any) -> np.ndarray:
        return self._model.posterior(inputs)

    def committee(self, inputs: Any) -> np.ndarray:
        return self._model.committee(inputs)


def _at_opening(project: Project, now: OpenRound) -> ProjectState:
    """Return the state that the round was opened in: its model is that of the labels of then."""
    if now.groups == 0:
        return project.state
    before: list[Event] = []
    for event in project.events():
        if event.kind == "opened" and event.body["round"] == now.number:
            break
        before.append(event)
    return ProjectState.fold(before)


def _select(
    project: Project,
    chosen: Strategy,
    count: int,
    candidates: np.ndarray,
    now: OpenRound,
    targets: np.ndarray | None,
) -> tuple[Strategy, list[dict[str, Any]], Model | None]:
    state, seed, number = project.state, project.spec["seed"], now.number
    at = _at_opening(project, now)
    before, known = training_set(project, state=at), training_set(project)
    blind = len(np.unique(before.labels)) < 2  # nothing to be uncertain about yet
    if blind and chosen.needs & OF_A_TRAINED_MODEL:
        chosen = strategies.make(COLD_START if targets is None else QUERIED)
    query: dict[str, Any] = {} if targets is None else {Need.TARGETS: targets}
    learner, inputs = project.learner().serving(chosen.needs), project.inputs()
    late, memo = _Late(project, chosen.needs, at, now), Memo()
    probabilities = cached(lambda: late.predict_proba(inputs))
    offered = model_sources(
        learner,
        cast("Model", late),
        inputs,
        probabilities,
        frozen_out_of_fold(
            learner,
            before,
            stream(seed, "out of fold", number),
            lambda positions: probabilities()[positions],
            known.labelled,
            memo,
        ),
    )
    whole = now.budget if chosen.sequential else count
    view = PoolView(
        len(project.items.ids),
        state.classes,
        labelled=known.labelled,
        labels=known.labels,
        pending=[
            p
            for p in state.pending
            if not state.is_audit(p) and (chosen.asks_again or p not in state.asked_again)
        ],
        candidates=candidates,
        round=Round(number, float(whole), float(now.asked)),
        history=state.history(),
        # A prior has no hidden layer: whoever wants one gets the features.
        sources={Need.EMBEDDINGS: project.features(), **query, **({} if blind else offered)},
        memo=memo,
    )
    if chosen.sequential:
        count = min(count, now.budget - now.asked)
    group = (now.groups,) if now.groups else ()
    # A strategy that looks at nothing computes nothing that threads could change.
    with limited_threads(project.threads) if chosen.needs else nullcontext():
        found = chosen.select(view, count, stream(seed, "select", number, *group))
    picks = checked(found, view, count, chosen.name)
    asked = [
        _pick(project, int(p), chosen.name, why, float(s) if np.isfinite(s) else None, note)
        for p, s, why, note in zip(
            picks.positions, picks.scores, picks.why, picks.notes, strict=True
        )
    ]
    return chosen, asked, late.to_keep


def _pick(
    project: Project,
    position: int,
    strategy: str,
    why: str,
    score: float | None = None,
    note: Any = None,
) -> dict[str, Any]:
    return {
        "position": int(position),
        "id": project.items.ids[position],
        "strategy": strategy,
        "score": score,
        "why": why,
        "note": note,
    }


def question(project: Project, position: int) -> Mapping[str, Any]:
    """Return what is handed out: nothing in it tells why the item was chosen."""
    return {**project.items.row(position), "label": ""}
