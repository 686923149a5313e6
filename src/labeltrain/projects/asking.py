"""What to label next: the audit's share, then what the strategy picks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from labeltrain.kernels.threads import limited_threads
from labeltrain.loop import audit
from labeltrain.loop.checks import checked, refuse_unmet_needs
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.loop.sources import model_sources
from labeltrain.needs import OF_A_TRAINED_MODEL
from labeltrain.projects.state import ProjectState
from labeltrain.projects.training import fit, training_set
from labeltrain.rng import stream
from labeltrain.store import Event
from labeltrain.strategies import registry as strategies
from labeltrain.strategies.base import Need, Round, Strategy
from labeltrain.strategies.view import PoolView

if TYPE_CHECKING:
    from labeltrain.learners import Model
    from labeltrain.projects.project import Project

COLD_START = "clusters"


def choose(project: Project, count: int, strategy: str) -> tuple[Event | None, list[int]]:
    """Choose the next questions.

    Returns
    -------
    event : Event or None
        What to commit; None when nothing is left to ask.
    asked : list of int
        Positions to hand out, in the order to be answered.
    """
    state, seed = project.state, project.spec["seed"]
    number = state.rounds
    chosen = strategies.make(strategy)
    learner = project.learner().serving(chosen.needs)
    refuse_unmet_needs(chosen, learner.name, [Need.EMBEDDINGS, *learner.gives])
    candidates = free_positions(state, len(project.items.ids))
    turns = audit_turns(state, project.spec["audit_share"], count, len(candidates))
    # An answer that was volunteered counts from now on; the others are asked.
    volunteered = [_pick(project, p, "audit", "drawn at random") for p in turns if p in state.votes]
    picks = [_pick(project, p, "audit", "drawn at random") for p in turns if p not in state.votes]
    wanted = min(count - len(picks), len(candidates))
    used = chosen
    if wanted > 0:
        used, selected = _select(project, chosen, wanted, candidates, number)
        picks += selected
    if not picks:
        return None, []
    # In random order: who answers cannot tell the audit's items from the others.
    stream(seed, "order", number).shuffle(picks)
    body = {
        "round": number,
        "picks": volunteered + picks,
        "versions": {used.name: used.version},
    }
    return Event("", "opened", body), [pick["position"] for pick in picks]


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
    """The project's model, fitted when a strategy first looks: some never do."""

    def __init__(self, project: Project, needs: frozenset[Need]) -> None:
        self._project = project
        self._needs = needs

    @cached_property
    def _model(self) -> Model:
        own = self._project.learner()
        if own.serving(self._needs) is own:
            return self._project.fitted()
        return fit(self._project, self._needs)

    def predict_proba(self, inputs: Any) -> np.ndarray:
        return self._model.predict_proba(inputs)

    def hidden(self, inputs: Any) -> np.ndarray:
        return self._model.hidden(inputs)

    @property
    def head(self) -> Any:
        return self._model.head

    def committee(self, inputs: Any) -> np.ndarray:
        return self._model.committee(inputs)


def _select(
    project: Project, chosen: Strategy, count: int, candidates: np.ndarray, number: int
) -> tuple[Strategy, list[dict[str, Any]]]:
    state, seed = project.state, project.spec["seed"]
    training = training_set(project)
    blind = len(np.unique(training.labels)) < 2  # nothing to be uncertain about yet
    if blind and chosen.needs & OF_A_TRAINED_MODEL:
        chosen = strategies.make(COLD_START)
    learner, inputs = project.learner().serving(chosen.needs), project.inputs()
    late = _Late(project, chosen.needs)
    known = model_sources(
        learner,
        cast("Model", late),
        inputs,
        lambda: late.predict_proba(inputs),
        lambda: out_of_fold(learner, training, stream(seed, "out of fold", number)),
    )
    view = PoolView(
        len(project.items.ids),
        state.classes,
        labelled=training.labelled,
        labels=training.labels,
        pending=[p for p in state.pending if not state.is_audit(p)],
        candidates=candidates,
        round=Round(number, float(count)),
        history=state.history(),
        # A prior has no hidden layer: whoever wants one gets the features.
        sources={Need.EMBEDDINGS: project.features(), **({} if blind else known)},
    )
    # A strategy that looks at nothing computes nothing that threads could change.
    with limited_threads(project.threads) if chosen.needs else nullcontext():
        found = chosen.select(view, count, stream(seed, "select", number))
    picks = checked(found, view, count, chosen.name)
    return chosen, [
        _pick(project, int(p), chosen.name, why, float(s) if np.isfinite(s) else None, note)
        for p, s, why, note in zip(
            picks.positions, picks.scores, picks.why, picks.notes, strict=True
        )
    ]


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
