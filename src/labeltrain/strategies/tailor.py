"""TAILOR: let a bandit choose, pick by pick, which of several strategies picks next."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.strategies.base import Past, Picks, Round, Strategy
from labeltrain.strategies.rare import label_counts
from labeltrain.strategies.view import PoolView

# Chosen on development seeds: docs/strategies.md.
DEFAULT_ARMS = {
    "multiclass": ("direct", "galaxy", "cbal"),
    "multilabel": ("direct", "galaxy", "emal"),
}
LEAST = 1e-6  # statistics fade, and a distribution needs something above 0


class Tailor(Strategy):
    """Draw the strategy of each pick by Thompson sampling: whoever finds rare labels picks more.

    Every strategy (arm) has a posterior of the labels that it finds: Dirichlet over the classes
    (multilabel: Beta for each). For each pick every arm's distribution is drawn, and the arm with
    the largest expected reward picks. A label of class k is worth ``1 / max(1, n_k)``, n_k being
    its number of labels at the start of the round (multilabel: ``-1 / n_k`` for a class that more
    than half of the labelled items have). Posteriors learn between rounds; what they knew fades by
    `discount`.

    Parameters
    ----------
    arms : sequence of str or mapping, optional
        By default direct, galaxy and cbal (multilabel: emal). Names of strategies, or mappings
        with ``name``, ``parameters``, and ``each_class: true`` for one arm a class, of a strategy
        that takes ``rare``. The default arms are ours; the paper's code has others.
    reward : {"diversity", "search"}
        "search" (multilabel) counts every label found alike.
    discount : float
        From 0 to 1, of the statistics of each earlier round.
    compat : {"", "released"}
        "released" does what the authors' code does: in multiclass data every draw is of the
        statistics plus 1 (which does not fade), and a class of more than half of the labels is
        penalised there too.

    Notes
    -----
    The arms of all picks of a group (``parallel``) are drawn first; then each is asked once for its
    number of picks. What one cannot fill, the others do. A strategy that picks a whole batch at
    once makes one when the round opens, and its picks are taken in order; one that learns from each
    answer is told of all answers, of what the others ask in this group, and of its own part of the
    round: an equal share of the budget. Skipped and pending items teach nothing. Scores and reasons
    are those of the arm.

    References
    ----------
    Zhang, Shao, Verma, Nowak: Algorithm selection for deep active learning with imbalanced
    datasets, NeurIPS 2023.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> p = np.linspace(0.95, 0.05, 10)
    >>> picks = labeltrain.select(
    ...     "tailor", arms=["galaxy", "margin"], probabilities=np.column_stack([p, 1 - p]),
    ...     labelled=[0, 9], labels=[0, 1], budget=4, ask=lambda positions: positions > 2,
    ... )
    >>> len(set(picks.positions.tolist()))
    4
    """

    name: ClassVar[str] = "tailor"
    version: ClassVar[int] = 3
    sequential: ClassVar[bool] = True
    summary: ClassVar[str] = "class imbalance: a bandit over several strategies"

    def __init__(
        self,
        arms: Sequence[str | Mapping[str, Any]] | None = None,
        reward: Literal["diversity", "search"] = "diversity",
        discount: float = 0.9,
        compat: Literal["", "released"] = "",
    ) -> None:
        if compat not in ("", "released"):
            raise BadInput(f"compat={compat!r} is unknown", "leave it out, or give released")
        if reward not in ("diversity", "search"):
            raise BadInput(f"reward={reward!r} is unknown", "known: diversity, search")
        if not 0.0 <= discount <= 1.0:
            raise BadInput(f"discount={discount!r} is no share", "give a number from 0 to 1")
        if arms is not None and (
            isinstance(arms, str | Mapping) or not isinstance(arms, Sequence) or not arms
        ):
            raise BadInput(f"arms={arms!r}", "give a list of strategies, such as [galaxy, badge]")
        self.arms = arms and [arm if isinstance(arm, str) else dict(arm) for arm in arms]
        self.reward = reward
        self.discount = discount
        self.compat = compat
        lists = DEFAULT_ARMS if self.arms is None else dict.fromkeys(DEFAULT_ARMS, self.arms)
        self._specs = {kind: [_Spec.read(arm) for arm in some] for kind, some in lists.items()}
        each = {kind: [spec.made(0) for spec in some] for kind, some in self._specs.items()}
        made = [arm for some in each.values() for arm in some]
        own = vars(self)
        own["needs"] = frozenset[Any]().union(*(arm.needs for arm in made))
        own["kinds"] = frozenset(
            kind for kind, some in each.items() if all(kind in arm.kinds for arm in some)
        )
        if reward == "search":  # in multiclass data every label would be worth the same
            own["kinds"] &= {"multilabel"}
        labels = [spec.label for spec in self._specs["multiclass"]]
        if len(set(labels)) < len(labels):
            raise BadInput(f"two arms have the same name: {labels}", "give each its own label")
        if not self.kinds:
            names = ", ".join(f"{a.name} ({', '.join(sorted(a.kinds))})" for a in made)
            raise BadInput(f"these arms share no kind of data: {names}", "leave one out")

    def inside(self) -> Sequence[Strategy]:
        """Return the arms, one of each kind."""
        return [spec.made(0) for some in self._specs.values() for spec in some]

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return `count` picks, each of the arm whose draw promises most."""
        specs, names = self._specs[view.kind], view.classes
        arms = [arm for spec in specs for arm in spec.arms(names)]
        now = [past for past in view.history if past.round == view.round.number]
        seeds = [past.note["seed"] for past in now if _is_mine(past.note)]
        own = _beside(rng)  # `rng` is of the arms: one alone picks as it does without TAILOR
        # What an arm draws at random is the same however often it is asked in a round.
        seed = int(seeds[0]) if seeds else int(own.integers(2**32))
        opened = view.opened()
        either = "multilabel" if self.compat else view.kind
        worth = rewards(label_counts(opened), len(opened.labelled), either, self.reward)
        statistics = posterior(
            opened.history,
            [arm.label for arm in arms],
            view.kind,
            len(worth),
            self.discount,
            start=2.0 if self.compat and view.kind == "multiclass" else 1.0,
        )
        order = [int(np.argmax(drawn(statistics, view.kind, own) @ worth)) for _ in range(count)]
        group = _Group(view, opened, arms, seed, rng)
        found = {m: group.ask(m, order.count(m)) for m in dict.fromkeys(order)}
        chosen = [found[m].pop(0) if found[m] else None for m in order]
        short = chosen.count(None)
        others: list[_Pick] = []
        for m in dict.fromkeys([*order, *range(len(arms))]):  # who can, fills for who could not
            others += group.ask(m, short - len(others))
        others += group.draw(arms[order[0]], short - len(others))
        picks = [others.pop(0) if pick is None else pick for pick in chosen]
        return Picks(
            np.array([pick.position for pick in picks], dtype=np.int64),
            np.array([pick.score for pick in picks]),
            tuple(pick.why for pick in picks),
            tuple(pick.note for pick in picks),
        )


class _Pick(NamedTuple):
    position: int
    score: float
    why: str
    note: dict[str, Any]


class _Group:
    """Questions that are asked together: each arm is told of what the others ask."""

    def __init__(
        self,
        view: PoolView,
        opened: PoolView,
        arms: Sequence[_Arm],
        seed: int,
        rng: np.random.Generator,
    ) -> None:
        self._view, self._opened, self._arms = view, opened, arms
        self._seed, self._rng = seed, rng
        self._history = list(view.history)
        self._asked: list[int] = []
        self._free = np.zeros(view.n, dtype=bool)
        self._free[view.candidates] = True

    def ask(self, m: int, count: int) -> list[_Pick]:
        """Return at most `count` picks of an arm."""
        count = min(count, int(self._free.sum()))
        if count < 1:
            return []
        arm = self._arms[m]
        if arm.strategy.sequential:
            picks = arm.strategy.select(self._seen_by(arm, count), count, self._rng)
            places = list(range(len(picks.positions)))
        else:
            picks = self._batch(arm)
            places = np.flatnonzero(self._free[picks.positions])[:count].tolist()
        return [self._take(arm, *_entry(picks, place)) for place in places]

    def draw(self, arm: _Arm, count: int) -> list[_Pick]:
        """Return `count` random picks, where no arm has anything more to ask."""
        if count < 1:
            return []
        free = self._rng.choice(np.flatnonzero(self._free), count, replace=False)
        return [self._take(arm, int(p), float("nan"), "a random draw", None) for p in free]

    def _take(self, arm: _Arm, position: int, score: float, why: str, note: Any) -> _Pick:
        mine = {"arm": arm.label, "seed": self._seed}
        if note is not None:
            mine["note"] = note
        self._free[position] = False
        self._asked.append(position)
        self._history.append(Past(position, self._view.round.number, None, mine, Tailor.name))
        return _Pick(position, score, f"{arm.label}: {why}", mine)

    def _seen_by(self, arm: _Arm, count: int) -> PoolView:
        """Return what a strategy sees that learns from each answer: its part of the round."""
        view, number = self._view, self._view.round.number
        inner = [_seen_by(past, arm.label) for past in self._history]
        own = [
            past.position
            for past in self._history
            if past.round == number and _is_mine(past.note) and past.note["arm"] == arm.label
        ]
        spent = float(view.costs[own].sum()) if view.has("costs") else len(own)
        budget, many = view.round.budget, len(self._arms)
        budget = budget if many == 1 else max(count, round(budget / many))
        return view.after(
            inner,
            np.flatnonzero(self._free),
            pending=np.concatenate([view.pending, np.array(self._asked, dtype=np.int64)]),
            round=Round(number, budget, spent),
        )

    def _batch(self, arm: _Arm) -> Picks:
        """Return what a strategy picks for the whole round, in order."""
        opened, seed = self._opened, self._seed
        size = min(len(opened.candidates), max(1, int(opened.round.budget)))
        # Late in a round others may be candidates, as when items cost too much: another batch.
        return opened.memo(
            f"tailor {arm.label} {seed} of {opened.choice}",
            lambda: arm.strategy.select(opened, size, np.random.default_rng([seed, arm.number])),
        )


class _Arm(NamedTuple):
    label: str
    strategy: Strategy
    number: int


class _Spec(NamedTuple):
    """One entry of `arms`."""

    name: str
    parameters: dict[str, Any]
    each_class: bool
    label: str

    @classmethod
    def read(cls, given: Any) -> _Spec:
        if isinstance(given, str):
            return cls(given, {}, False, given)
        known = {"name", "parameters", "each_class", "label"}
        if not isinstance(given, Mapping) or "name" not in given or not given.keys() <= known:
            raise BadInput(
                f"arm {given!r}", f"give a name, or a mapping with {', '.join(sorted(known))}"
            )
        parameters = dict(given.get("parameters") or {})
        if not isinstance(each := given.get("each_class", False), bool):
            raise BadInput(f"each_class={each!r} in arm {given['name']!r}", "give true or false")
        return cls(
            given["name"],
            parameters,
            each,
            str(given.get("label") or given["name"]),
        )

    def made(self, k: int) -> Strategy:
        from labeltrain.strategies.registry import make

        only = {"rare": [k]} if self.each_class else {}
        strategy = make(self.name, {**self.parameters, **only})
        if isinstance(strategy, Tailor):
            raise BadInput("tailor cannot be an arm of itself", "list its arms instead")
        if strategy.asks_again:
            raise BadInput(
                f"{self.name} asks for labelled items again, and is no arm",
                f"wrap it the other way round: base='tailor' in {self.name!r}",
            )
        return strategy

    def arms(self, classes: Sequence[str]) -> list[_Arm]:
        if not self.each_class:
            return [_Arm(self.label, self.made(0), 0)]
        return [_Arm(f"{self.label} {c}", self.made(k), k) for k, c in enumerate(classes)]


def rewards(counts: np.ndarray, labelled: int, kind: str, reward: str = "diversity") -> np.ndarray:
    """Return what a label of each class is worth, float64 (C,).

    Parameters
    ----------
    counts : ndarray of int, shape (C,)
        Labelled items of each class.
    labelled : int
        Labelled items.
    kind : {"multiclass", "multilabel"}
    reward : {"diversity", "search"}
    """
    if reward == "search":
        return np.ones(len(counts))
    worth = 1.0 / np.maximum(1, counts)
    return np.where(2 * counts > labelled, -worth, worth) if kind == "multilabel" else worth


def posterior(
    history: Sequence[Past],
    arms: Sequence[str],
    kind: str,
    classes: int,
    discount: float,
    start: float = 1.0,
) -> np.ndarray:
    """Return the statistics of every arm after these rounds.

    Returns
    -------
    ndarray of float64, shape (M, C, 1) or (M, C, 2)
        Multiclass: labels of each class found, after a start with 1; multilabel: labels that were
        on, and off. All of an earlier round, the start included, is multiplied by `discount`; what
        `start` is above 1 is not, as in the released code.
    """
    index = {arm: m for m, arm in enumerate(arms)}
    width = 2 if kind == "multilabel" else 1
    found = np.ones((len(arms), classes, width))
    mine = [past for past in history if _is_mine(past.note)]
    for number in sorted({past.round for past in mine}):
        found *= discount
        for past in mine:
            m = index.get(past.note["arm"])
            if past.round != number or past.answer is None or m is None:
                continue
            if isinstance(past.answer, tuple):
                on = np.array(past.answer)
                found[m, :, 0] += on
                found[m, :, 1] += 1 - on
            else:
                found[m, past.answer, 0] += 1
    return found + (start - 1.0)


def drawn(statistics: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a draw of every arm's label probabilities, float64 (M, C)."""
    kept = np.maximum(statistics, LEAST)
    if kind == "multilabel":
        return rng.beta(kept[..., 0], kept[..., 1])
    return np.stack([rng.dirichlet(row) for row in kept[..., 0]])


def _beside(rng: np.random.Generator) -> np.random.Generator:
    """Return another generator that follows from this one, which stays as it is."""
    return np.random.default_rng(copy.deepcopy(rng).integers(2**32, size=4))


def _is_mine(note: Any) -> bool:
    return isinstance(note, dict) and "arm" in note


def _seen_by(past: Past, label: str) -> Past:
    """Return a past pick with the note of the arm that made it, and with none for the others."""
    note = past.note.get("note") if _is_mine(past.note) and past.note["arm"] == label else None
    return Past(past.position, past.round, past.answer, note, past.strategy)


def _entry(picks: Picks, place: int) -> tuple[int, float, str, Any]:
    score = float("nan") if picks.scores is None else float(picks.scores[place])
    why = picks.why if isinstance(picks.why, str) else picks.why[place]
    note = None if picks.notes is None else picks.notes[place]
    return int(picks.positions[place]), score, why, note
