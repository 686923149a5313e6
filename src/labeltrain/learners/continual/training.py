"""The one training loop of the learners that go on: new items, and old ones beside them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labeltrain.learners.continual.bodies import Body
from labeltrain.learners.continual.losses import new_share
from labeltrain.learners.continual.variant import Now, Variant

ADAMW, SGD = "adamw", "sgd"
MOMENTUM = 0.9  # of SGD
CLIP = {ADAMW: 1.0, SGD: math.inf}  # largest norm of a gradient; published as it is
CHANCES = 5  # times that a training begins again, at half the rate, before it stops
KNOWN = 0.9  # of the new items, for a round to end: a few are nothing beside those replayed
COOL = 0.25  # of the epochs so far, that a training goes on with a falling rate from a plateau
PROGRESS = 0.01  # of the loss on held-out items, or a thousandth where it is near 0
HELD, FEWEST, MOST = 0.1, 10, 256  # share of the old items that tell of a plateau; at least, most


@dataclass(frozen=True)
class Plan:
    """How a round is trained.

    Attributes
    ----------
    rows : ndarray of int64
        Rows of the labelled items that are passed over.
    epochs : int
        Passes at most.
    batch : int
        Of these rows, in a step.
    learning_rate, weight_decay : float
    optimizer : {"adamw", "sgd"}
        The rate falls along a cosine to 0 over all passes. That of SGD goes with the size of a
        step: it is ``learning_rate * (batch + replay) / batch``.
    enough : float, optional
        Share of a pass, new items and replayed ones, that is predicted right, from which on there
        is no further one. Where something is replayed, nine of ten of the new ones have to be, in
        the pass and once more after it: the last step, and units that drop out, change what a few
        items are taken for.
    examples : int, optional
        End after so many, instead of after `epochs`.
    steps : int
        At least so many, with more than `epochs` passes where there are few rows.
    patience : int, optional
        Passes without progress on held-out old items after which the rate falls and the training
        ends; None: all passes. Fewer than ten old items: all passes.
    captures : bool
        Report the logits of the first pass.
    """

    rows: np.ndarray
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    optimizer: str = ADAMW
    enough: float | None = None
    examples: int | None = None
    steps: int = 0
    patience: int | None = None
    captures: bool = False


@dataclass(frozen=True)
class Replay:
    """What is replayed beside.

    Attributes
    ----------
    variant : Variant
    old : ndarray of int64
        Rows of the labelled items that may be.
    count : int
        At most, in a step.
    targets : tensor of float, shape (m, C)
        Stored logits of all labelled items; NaN for items without.
    new, before : int
        Items of this round, and of all earlier ones.
    released : bool
    """

    variant: Variant
    old: np.ndarray
    count: int
    targets: Any
    new: int
    before: int
    released: bool = False


@dataclass
class Report:
    """What happened.

    Attributes
    ----------
    examples : int
        That went forward and back.
    replayed : int
        Old ones of these.
    looked_at : int
        That went forward only.
    steps, epochs : int
    rollbacks : int
        Times that it began again at half the rate.
    outputs : dict of int to ndarray
        Logits of new items before their first step, in training mode (as the published code has
        its targets); only where asked for.
    """

    examples: int = 0
    replayed: int = 0
    looked_at: int = 0
    steps: int = 0
    epochs: int = 0
    rollbacks: int = 0
    outputs: dict[int, np.ndarray] = field(default_factory=dict)


class _Diverged(Exception):
    """The loss or its gradient is no number."""


def train(
    body: Body, labels: Any, plan: Plan, rng: np.random.Generator, replay: Replay | None = None
) -> Report:
    """Train a network in place.

    Parameters
    ----------
    body : Body
    labels : tensor of int64, shape (m,)
        Of all labelled items.
    plan : Plan
    rng : numpy.random.Generator
        torch's own generator is the caller's.
    replay : Replay, optional
        Nothing is replayed without it, or without old items.

    Returns
    -------
    Report
    """
    held = {name: value.detach().clone() for name, value in body.network.state_dict().items()}
    report, slower = Report(), 1.0
    for chance in range(CHANCES):
        try:
            _pass_over(body, labels, plan, rng, replay, report, slower)
            break
        except _Diverged:
            body.network.load_state_dict(held)
            report.rollbacks, slower = chance + 1, slower * 0.5
    if report.rollbacks:
        how = "its weights stayed" if report.rollbacks == CHANCES else "it began again"
        warnings.warn(
            f"the training diverged {report.rollbacks} time{'s' * (report.rollbacks > 1)}, and "
            f"{how}: use a smaller learning_rate",
            stacklevel=2,
        )
    body.network.eval()
    return report


def _pass_over(
    body: Body,
    labels: Any,
    plan: Plan,
    rng: np.random.Generator,
    replay: Replay | None,
    report: Report,
    slower: float,
) -> None:
    if replay is not None and not len(replay.old):
        replay = None
    watch = _Watch.of(plan, replay, rng)
    old = watch.left if replay is not None else np.empty(0, dtype=np.int64)
    count = min(replay.count, len(old)) if replay is not None else 0
    if replay is not None:
        replay.variant.begin()
    rate = scaled_rate(plan, count)
    optimiser = optimiser_of(body, plan, rate)
    each = math.ceil(len(plan.rows) / plan.batch)
    total = max(plan.epochs, math.ceil(plan.steps / each)) * each
    if plan.examples is not None:
        total = max(1, math.ceil(plan.examples / min(plan.batch, len(plan.rows))))
    step = epoch = 0
    while step < total:
        order = plan.rows[rng.permutation(len(plan.rows))]
        right, seen = np.zeros(2), np.zeros(2)  # of new items, of replayed ones
        for start in range(0, len(order), plan.batch):
            if step >= total:
                break
            own = order[start : start + plan.batch]
            for group in optimiser.param_groups:
                group["lr"] = rate * slower * group["scale"] * watch.fall(step, total)
            good, many = _step(
                body, labels, own, old, count, optimiser, replay, report, rng, step, epoch,
                CLIP[plan.optimizer], plan.captures,
            )  # fmt: skip
            right, seen, step = right + good, seen + many, step + 1
        epoch += 1
        report.epochs = epoch
        if plan.enough is not None and right.sum() >= plan.enough * seen.sum():
            most = min(plan.enough, KNOWN)
            if replay is None or (
                right[0] >= most * seen[0] and _known(body, labels, plan.rows, report) >= most
            ):
                break
        if watch.ends(body, labels, epoch, each, report):
            break


def scaled_rate(plan: Plan, replayed: int) -> float:
    """Return the learning rate: that of SGD goes with the size of a step.

    Examples
    --------
    >>> plan = Plan(np.arange(9), 1, 20, 0.02, 0.0, "sgd")
    >>> round(scaled_rate(plan, 40), 10), scaled_rate(plan, 0)
    (0.06, 0.02)
    """
    if plan.optimizer != SGD:
        return plan.learning_rate
    return plan.learning_rate * (plan.batch + replayed) / plan.batch


def optimiser_of(body: Body, plan: Plan, rate: float) -> Any:
    """Return a new optimiser; nothing of it outlives a round."""
    import torch

    if plan.optimizer == SGD:
        return torch.optim.SGD(
            body.groups(), lr=rate, momentum=MOMENTUM, weight_decay=plan.weight_decay
        )
    return torch.optim.AdamW(body.groups(), lr=rate, weight_decay=plan.weight_decay, fused=True)


def _step(
    body: Body,
    labels: Any,
    own: np.ndarray,
    old: np.ndarray,
    count: int,
    optimiser: Any,
    replay: Replay | None,
    report: Report,
    rng: np.random.Generator,
    step: int,
    epoch: int,
    clip: float,
    captures: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Take one step; return how many were predicted right, new and replayed, and how many were."""
    import torch

    network, device = body.network, labels.device
    network.train()
    mine = labels[torch.from_numpy(own).to(device)]
    if replay is None or not count:
        with body.precision():
            new = network(body.views(own))
        new = new.float()
        loss = torch.nn.functional.cross_entropy(new, mine)
        good, many = [_right(new, mine), 0], [len(own), 0]
    else:
        now = Now(
            network, optimiser, body.inputs, body.vectors, labels, own, old, count, step,
            replay.released, rng,
        )  # fmt: skip
        again = replay.variant.chosen(now)
        report.looked_at += now.looked_at
        report.examples += now.trained
        places = torch.from_numpy(again).to(device)
        with body.precision():
            if replay.released and replay.variant.distils:  # batch statistics of their own
                new, known = network(body.views(own)), network(body.views(again))
            else:
                both = network(body.views(np.concatenate([own, again])))
                new, known = both[: len(own)], both[len(own) :]
        new, known = new.float(), known.float()
        loss = replay.variant.loss(
            new, mine, known, labels[places], replay.targets[places],
            new_share(replay.new, replay.before), replay.released,
        )  # fmt: skip
        good = [_right(new, mine), _right(known, labels[places])]
        many = [len(own), len(again)]
        report.replayed += len(again)
        report.examples += len(again)
    report.examples += len(own)
    report.steps += 1
    if captures and epoch == 0:
        for row, logits in zip(own.tolist(), new.detach().cpu().numpy(), strict=True):
            report.outputs[row] = logits.copy()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
    if not (math.isfinite(float(norm)) and math.isfinite(float(loss.detach()))):
        raise _Diverged
    optimiser.step()
    return np.array(good), np.array(many)


def _right(logits: Any, labels: Any) -> int:
    return int((logits.detach().argmax(dim=1) == labels).sum())


def _known(body: Body, labels: Any, rows: np.ndarray, report: Report) -> float:
    """Return the share of some items that are predicted right in evaluation mode."""
    import torch

    logits = torch.from_numpy(outputs_of(body, rows))
    report.looked_at += len(rows)
    return _right(logits, labels[torch.from_numpy(rows).to(labels.device)].cpu()) / len(rows)


class _Watch:
    """Tells from held-out old items when there is no progress any more, and lets the rate fall.

    Without them the rate falls along a cosine over all steps.
    """

    def __init__(self, held: np.ndarray, left: np.ndarray, patience: int) -> None:
        self.held, self.left, self.patience = held, left, patience
        self._best, self._since = math.inf, 0
        self._cooled: tuple[int, int] | None = None  # first and last step of the fall
        self._last = 0

    @classmethod
    def of(cls, plan: Plan, replay: Replay | None, rng: np.random.Generator) -> _Watch:
        old = np.empty(0, dtype=np.int64) if replay is None else replay.old
        none = old[:0]
        if plan.patience is None or len(old) < FEWEST:
            return cls(none, old, 0)
        order = rng.permutation(len(old))
        size = min(max(round(HELD * len(old)), FEWEST // 2), MOST)
        return cls(old[order[:size]], np.sort(old[order[size:]]), plan.patience)

    def fall(self, step: int, total: int) -> float:
        if not len(self.held):
            return 0.5 * (1.0 + math.cos(math.pi * step / total))
        if self._cooled is None:
            return 1.0
        first, last = self._cooled
        return 0.5 * (1.0 + math.cos(math.pi * (step - first) / max(1, last - first)))

    def ends(self, body: Body, labels: Any, epoch: int, each: int, report: Report) -> bool:
        """Tell whether the training is over, after an epoch."""
        if not len(self.held):
            return False
        if self._cooled is not None:
            return epoch >= self._last
        loss = _loss(body, labels, self.held)
        report.looked_at += len(self.held)
        if loss < self._best - PROGRESS * (self._best + 0.1):
            self._best, self._since = loss, 0
        else:
            self._since += 1
        if self._since >= self.patience:
            more = max(1, math.ceil(COOL * epoch))
            self._cooled, self._last = (epoch * each, (epoch + more) * each), epoch + more
        return False


def _loss(body: Body, labels: Any, rows: np.ndarray) -> float:
    import torch

    body.network.eval()
    with torch.no_grad():
        _, logits = body.vectors(body.inputs(rows))
    places = torch.from_numpy(rows).to(labels.device)
    return float(torch.nn.functional.cross_entropy(logits.float(), labels[places]))


def outputs_of(body: Body, rows: np.ndarray, batch: int = 256) -> np.ndarray:
    """Return the logits of labelled items in evaluation mode, float32 (k, C)."""
    import torch

    body.network.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), batch):
            _, logits = body.vectors(body.inputs(rows[start : start + batch]))
            found.append(logits.float().cpu().numpy())
    return np.concatenate(found)
