"""What the loop checks: that a strategy can run, and that its picks keep the contract."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeltrain.errors import BrokenContract, MissingNeed
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView


def refuse_unmet_needs(
    strategy: Strategy, learner: str, given: Iterable[str], kind: str | None = "multiclass"
) -> None:
    """Raise before a run starts when the strategy asks for what cannot be given.

    Where the kind of the data is not known yet, `kind` is None.

    Raises
    ------
    MissingNeed
        Names the strategy, the learner and what is missing.
    """
    offered = set(given)
    if Need.EMBEDDINGS in offered:
        offered.add(Need.HIDDEN)  # a view without a hidden layer gives its embeddings
    missing = sorted(set(strategy.needs) - offered)
    if missing:
        pool_side = {Need.GROUPS, Need.COSTS, Need.TARGETS, Need.SCORES, Need.PRIOR}
        remedy = (
            "give the pool these arrays"
            if set(missing) <= pool_side
            else "choose another learner (labeltrain list learners) or strategy"
        )
        raise MissingNeed(
            f"strategy {strategy.name!r} needs {', '.join(missing)}, "
            f"which learner {learner!r} and this pool do not give",
            remedy,
        )
    if kind is not None and not strategy.works_on(kind):
        raise MissingNeed(
            f"strategy {strategy.name!r} does not work on {kind} data",
            f"it works on {', '.join(sorted(strategy.kinds))}",
        )


@dataclass(frozen=True)
class CheckedPicks:
    """Picks that keep the contract, with nothing left out; see :class:`Picks`."""

    positions: np.ndarray
    scores: np.ndarray
    why: tuple[str, ...]
    notes: tuple[Any, ...]


def checked(picks: Picks, view: PoolView, count: int, name: str) -> CheckedPicks:
    """Return the picks in their stored form, or raise when they break the contract.

    Raises
    ------
    BrokenContract
        Duplicates, too many, labelled or pending items, wrong lengths, notes that are not JSON.
    """

    def refuse(what: str) -> BrokenContract:
        return BrokenContract(f"strategy {name!r} {what}", "this is a bug in the strategy")

    if not isinstance(picks, Picks):
        raise refuse(f"returned {type(picks).__name__}, not Picks(positions, ...)")
    positions = np.asarray(picks.positions)
    if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
        raise refuse(f"returned positions of shape {positions.shape}, dtype {positions.dtype}")
    positions = positions.astype(np.int64)
    k = len(positions)
    if k > count:
        raise refuse(f"returned {k} picks, {count} were asked for")
    if k and (positions.min() < 0 or positions.max() >= view.n):
        raise refuse(f"picked a position outside the pool of {view.n}")
    if len(np.unique(positions)) != k:
        raise refuse("picked the same item twice")
    allowed = np.zeros(view.n, dtype=bool)
    allowed[view.candidates] = True
    if picks.asks_again:
        allowed[view.labelled] = True
    if not allowed[positions].all():
        bad = positions[~allowed[positions]][:5].tolist()
        what = "neither candidates nor labelled" if picks.asks_again else "not candidates"
        raise refuse(f"picked items that are {what}: positions {bad}")
    scores = np.full(k, np.nan) if picks.scores is None else np.asarray(picks.scores, float)
    why = (picks.why,) * k if isinstance(picks.why, str) else tuple(picks.why)
    notes = (None,) * k if picks.notes is None else tuple(picks.notes)
    for what, length in (("scores", len(scores)), ("reasons", len(why)), ("notes", len(notes))):
        if length != k:
            raise refuse(f"returned {length} {what} for {k} picks")
    try:
        json.dumps(notes, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise refuse(f"returned notes that are not JSON: {error}") from error
    return CheckedPicks(positions, scores, why, notes)
