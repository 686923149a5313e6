"""TAILOR: let a bandit choose, pick by pick, which of several strategies picks next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.strategies.base import Past, Picks, Strategy
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
    A strategy that picks a whole batch at once is asked for one batch when the round opens, and its
    picks are taken in order; one that learns from each answer is told of all answers. Skipped and
    pending items teach nothing. Scores and reasons are those of the arm.

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
    version: ClassVar[int] = 2
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
        arms = [arm for spec in self._specs[view.kind] for arm in spec.arms(len(view.classes))]
        number = view.round.number
        now = [past for past in view.history if past.round == number and _is_mine(past.note)]
        # What an arm draws at random is the same however often it is asked in a round.
        seed = int(now[0].note["seed"]) if now else int(rng.integers(2**32))
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
        free = np.zeros(view.n, dtype=bool)
        free[view.candidates] = True
        chosen: list[tuple[int, float, str, Any]] = []
        history = list(view.history)
        for _ in range(count):
            draws = drawn(statistics, view.kind, rng)
            m = int(np.argmax(draws @ worth))
            arm = arms[m]
            if arm.strategy.sequential:
                inner = [_seen_by(past, arm.label) for past in history]
                here = view.after(inner, np.flatnonzero(free))
                found = _first(arm.strategy.select(here, 1, rng), 0)
            else:
                ready = self._batch(arm, opened, seed)
                places = np.flatnonzero(free[ready.positions])
                if len(places):
                    found = _first(ready, int(places[0]))
                else:  # its batch is used up, or it stopped early
                    found = (
                        int(rng.choice(np.flatnonzero(free))),
                        float("nan"),
                        "a random draw",
                        None,
                    )
            position, score, why, note = found
            free[position] = False
            mine = {"arm": arm.label, "seed": seed}
            if note is not None:
                mine["note"] = note
            chosen.append((position, score, f"{arm.label}: {why}", mine))
            history.append(Past(position, number, None, mine, self.name))
        return Picks(
            np.array([position for position, *_ in chosen], dtype=np.int64),
            np.array([score for _, score, *_ in chosen]),
            tuple(why for *_, why, _ in chosen),
            tuple(note for *_, note in chosen),
        )

    def _batch(self, arm: _Arm, opened: PoolView, seed: int) -> Picks:
        """Return what a strategy picks for the whole round, in order."""
        size = min(len(opened.candidates), max(1, int(opened.round.budget)))
        return opened.memo(
            f"tailor {arm.label} {seed}",
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
        return cls(
            given["name"],
            parameters,
            bool(given.get("each_class", False)),
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

    def arms(self, classes: int) -> list[_Arm]:
        if not self.each_class:
            return [_Arm(self.label, self.made(0), 0)]
        return [_Arm(f"{self.label} {k}", self.made(k), k) for k in range(classes)]


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


def _is_mine(note: Any) -> bool:
    return isinstance(note, dict) and "arm" in note


def _seen_by(past: Past, label: str) -> Past:
    """Return a past pick with the note of the arm that made it, and with none for the others."""
    note = past.note.get("note") if _is_mine(past.note) and past.note["arm"] == label else None
    return Past(past.position, past.round, past.answer, note, past.strategy)


def _first(picks: Picks, place: int) -> tuple[int, float, str, Any]:
    score = float("nan") if picks.scores is None else float(picks.scores[place])
    why = picks.why if isinstance(picks.why, str) else picks.why[place]
    note = None if picks.notes is None else picks.notes[place]
    return int(picks.positions[place]), score, why, note
