"""The one training loop of all networks and methods, for any views; supervised is one of them."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from labeltrain.kernels import clock
from labeltrain.learners.semi.checkpoint import Checkpoint
from labeltrain.learners.semi.weighting import Batch, Weighting, normalised

SNAPSHOTS = 10  # a training
STABLE = 0.005  # share of predictions that may change between two snapshots of a finished training
COOL = 0.25  # of the steps so far, that a training goes on with a falling rate once it is stable
RECENT = 10  # steps whose supervised loss is looked at
CHANCES = 5  # times that a training goes back before it stops
MOMENTUM = 0.97  # of the mean prediction that alignment divides by


class Source(Protocol):
    """Inputs of a network, by item; rows are counted from 0 among labelled or unlabelled ones."""

    def labelled(self, rows: np.ndarray) -> Any:
        """Return weak views of labelled items."""

    def weak(self, rows: np.ndarray) -> Any:
        """Return weak views of unlabelled items."""

    def strong(self, rows: np.ndarray) -> Any:
        """Return strong views of unlabelled items."""


@dataclass(frozen=True)
class Settings:
    """How a training runs.

    Attributes
    ----------
    steps : int
        Steps of the optimiser, whatever the number of labels.
    batch, ratio : int
        Labelled items a step, and unlabelled ones for each of them; fewer where there are fewer.
    learning_rate, final_rate, weight_decay : float
        AdamW; the rate falls along a cosine and is ``final_rate * learning_rate`` at the last step.
    warmup : float
        Share of the steps over which the rate rises from 0.
    weight : float
        Of the loss of unlabelled items; 0: labels only.
    average : float
        Decay of the average of the weights that is returned; 0 returns the last weights (a teacher
        then follows with 0.99).
    alignment : ndarray of float, shape (C,), or None
        Distribution of classes that predictions are aligned with (ReMixMatch).
    clip : float
        Largest norm of a gradient.
    mixed : bool
        Run the network in bfloat16 where that is safe (``torch.autocast``).
    """

    steps: int = 400
    batch: int = 64
    ratio: int = 7
    learning_rate: float = 2e-3
    final_rate: float = 0.0
    weight_decay: float = 1e-2
    weight: float = 1.0
    average: float = 0.99
    alignment: np.ndarray | None = None
    clip: float = 1.0
    warmup: float = 0.0
    mixed: bool = False

    def rate(self, step: int, cooled: tuple[int, int] | None = (0, -1)) -> float:
        """Return the learning rate of a step.

        Parameters
        ----------
        step : int
        cooled : tuple of (int, int) or None
            First and last step of the fall; -1 stands for the last step of the plan. None: the
            rate does not fall yet.
        """
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * self.steps))
        fall = 1.0
        if cooled is not None:
            first, last = cooled[0], cooled[1] if cooled[1] >= 0 else self.steps - 1
            done = min(1.0, max(0.0, (step - first) / max(1, last - first)))
            fall = 0.5 * (1.0 + math.cos(math.pi * done))
        return self.learning_rate * rising * (self.final_rate + (1.0 - self.final_rate) * fall)


@dataclass
class Report:
    """What happened in a training.

    Attributes
    ----------
    examples : int
        Views that went forward and back.
    rollbacks : int
        Times that it diverged, and went on from an earlier state at half the learning rate.
    stopped : int or None
        The step whose state was kept when it diverged too often.
    used : float
        Mean weight of unlabelled items over the last tenth of the steps.
    steps : int
        Steps that lead to the result.
    resumed : int or None
        The step at which a killed training went on.
    before : float
        Seconds of the training until then.
    """

    examples: int = 0
    rollbacks: int = 0
    stopped: int | None = None
    used: float = 0.0
    steps: int = 0
    resumed: int | None = None
    before: float = 0.0


@dataclass
class _State:
    """All that a step changes."""

    network: Any
    average: Any
    optimiser: Any
    weighting: Weighting | None
    mean: Any  # of the predictions, for alignment
    losses: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    guesses: np.ndarray | None = None  # at the last snapshot, where a stable training may end
    quiet: int = 0  # snapshots in a row at which few of them changed
    cooled: tuple[int, int] | None = None  # first and last step of the falling rate

    def copy(self) -> dict[str, Any]:
        return {
            "network": copy.deepcopy(self.network.state_dict()),
            "average": copy.deepcopy(self.average.state_dict()),
            "optimiser": copy.deepcopy(self.optimiser.state_dict()),
            "weighting": copy.deepcopy(self.weighting),
            "mean": None if self.mean is None else self.mean.clone(),
            "losses": list(self.losses),
            "used": list(self.used),
            "guesses": self.guesses,
            "quiet": self.quiet,
            "cooled": self.cooled,
        }

    def restore(self, held: dict[str, Any]) -> None:
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(copy.deepcopy(held[name]))
        self.weighting = copy.deepcopy(held["weighting"])
        self.mean = None if held["mean"] is None else held["mean"].clone()
        self.losses, self.used = list(held["losses"]), list(held["used"])
        self.guesses, self.quiet, self.cooled = held["guesses"], held["quiet"], held["cooled"]


def train(
    network: Any,
    source: Source,
    labels: Any,
    unlabelled: int,
    weighting: Weighting | None,
    settings: Settings,
    rng: np.random.Generator,
    *,
    class_weights: Any = None,
    offset: Any = None,
    groups: list[dict[str, Any]] | None = None,
    guess: Callable[[Any], np.ndarray] | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Any, Report]:
    """Train a network in place; return the one to use, and what happened.

    Parameters
    ----------
    network : torch.nn.Module
        From what `source` gives to logits (k, C).
    source : Source
    labels : tensor of int64, shape (m,)
        Of the labelled items; on the device of the network.
    unlabelled : int
    weighting : Weighting or None
        None: learn from labels only.
    settings : Settings
    rng : numpy.random.Generator
        Of the order of the items; torch's own generator is the caller's.
    class_weights : tensor of float32, shape (C,), optional
        Weight of each class in the supervised loss.
    offset : tensor of float, shape (C,), optional
        Added to the logits in the supervised loss only: logit adjustment.
    groups : list of dict, optional
        Parameters for the optimiser, each with ``params`` and ``scale``, a factor of the learning
        rate; all parameters that take a gradient by default.
    guess : callable, optional
        From the averaged network to its predictions of a fixed sample of items, int64 (s,). When
        two snapshots in a row change at most 0.5 % of them, the rate falls over the next quarter
        of the steps so far, at least a tenth of the plan, and the training ends: no label is spent
        on stopping. By default it ends after `settings.steps`, which is then also the limit.
    checkpoint : Checkpoint, optional
        Where the state is kept for a later call with the same arguments, which goes on from there
        to the same result.

    Returns
    -------
    network : torch.nn.Module
        The averaged weights, or `network`.
    Report
    """
    import torch

    device = labels.device
    with torch.no_grad():
        classes = int(network.eval()(source.labelled(np.zeros(1, dtype=np.int64))).shape[1])
    weighting = copy.deepcopy(weighting)
    if weighting is not None:
        weighting.begin(classes, unlabelled, device)
    if offset is not None:
        offset = offset.to(device=device, dtype=torch.float32) if offset.any() else None
    average = copy.deepcopy(network).requires_grad_(False).eval()
    if groups is None:
        groups = [{"params": [p for p in network.parameters() if p.requires_grad], "scale": 1.0}]
    optimiser = torch.optim.AdamW(
        groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    mean = None
    if settings.alignment is not None:
        mean = torch.full((classes,), 1.0 / classes, device=device)
    state = _State(network, average, optimiser, weighting, mean)
    state.cooled = (0, settings.steps - 1) if guess is None else None
    report = Report()
    own = list(batches(len(labels), settings.batch, settings.steps, rng))
    others = list(batches(unlabelled, settings.batch * settings.ratio, settings.steps, rng))
    begun = held = state.copy()  # nothing changes what is held
    at, slower = 0, 1.0
    before = 0  # times that it diverged until the state that is held
    spare = (0, begun)  # a later state than the one held, after going back to the beginning
    step = 0
    if checkpoint is not None and (kept := checkpoint.load(held, rng, device)) is not None:
        held, facts = kept
        state.restore(held)
        step = at = facts["step"]
        slower = facts["slower"]
        report = Report(**{**facts["report"], "resumed": at})
        before = report.rollbacks
    started = clock.seconds()
    try:
        while step <= _last(state, settings):
            if step % max(1, settings.steps // SNAPSHOTS) == 0 and step > at:
                if guess is not None:
                    _watch(state, guess, step, settings)
                if state.losses[-1] <= _tolerable(state.losses, classes):
                    held, at, before = state.copy(), step, report.rollbacks
                    spare = (0, begun)
                    if checkpoint is not None:
                        spent = report.before + clock.seconds() - started
                        told = {**asdict(report), "before": spent}
                        checkpoint.keep(held, rng, {"step": step, "slower": slower, "report": told})
            for group in optimiser.param_groups:
                group["lr"] = settings.rate(step, state.cooled) * slower * group["scale"]
            loss = _step(
                state, source, labels, own[step], others[step], settings, step, class_weights,
                offset, report,
            )  # fmt: skip
            state.losses.append(loss)
            if not _diverged(state.losses, classes):
                step += 1
                continue
            report.rollbacks += 1
            if report.rollbacks >= CHANCES:
                report.stopped = 0
                for where, good in sorted([spare, (at, held)], key=lambda one: -one[0]):
                    state.restore(good)
                    if _is_sound(state, source, labels, own[0]):
                        report.stopped = where
                        break
                else:
                    network.load_state_dict(begun["network"])
                    average.load_state_dict(begun["network"])
                break
            if step == at or report.rollbacks > before + 1:  # what is held is no better
                spare = max(spare, (at, held), key=lambda one: one[0])
                held, at, before = begun, 0, report.rollbacks
            state.restore(held)
            step, slower = at, slower * 0.5
    except BaseException:
        if checkpoint is not None:
            checkpoint.write()
        raise
    report.steps = step if report.stopped is None else report.stopped
    if report.rollbacks:
        how = "stopped at" if report.stopped is not None else "went back and on from an earlier"
        name = "labels only" if weighting is None else repr(weighting.name)
        warnings.warn(
            f"training with {name} diverged {report.rollbacks} "
            f"time{'s' if report.rollbacks > 1 else ''}, and {how} "
            f"step{'' if report.stopped is None else f' {report.stopped}'}: use a smaller "
            "learning_rate",
            stacklevel=2,
        )
    last = state.used[-max(1, settings.steps // 10) :]
    report.used = float(np.mean(last)) if last else 0.0
    return (average if settings.average > 0.0 else network.eval()), report


def _is_sound(state: _State, source: Source, labels: Any, rows: np.ndarray) -> bool:
    """Tell whether the averaged network does not do worse than knowing nothing, by far."""
    import torch

    with torch.no_grad():
        logits = state.average(source.labelled(rows)).float()
        chosen = labels[torch.from_numpy(rows).to(labels.device)]
        loss = float(torch.nn.functional.cross_entropy(logits, chosen))
    return loss <= 3.0 * math.log(max(logits.shape[1], 2)) + 3.0


def _last(state: _State, settings: Settings) -> int:
    """Return the last step as far as it is known."""
    return settings.steps - 1 if state.cooled is None else state.cooled[1]


def _watch(
    state: _State, guess: Callable[[Any], np.ndarray], step: int, settings: Settings
) -> None:
    """Begin the fall of the rate once predictions have settled, or the steps run out."""
    if state.cooled is not None:
        return
    guesses = guess(state.average)
    before, state.guesses = state.guesses, guesses
    changed = 1.0 if before is None else float(np.mean(before != guesses))
    state.quiet = state.quiet + 1 if changed <= STABLE else 0
    every = max(1, settings.steps // SNAPSHOTS)
    ahead = max(2, every, math.ceil(COOL * step))
    if state.quiet >= 2 or step + ahead + every > settings.steps:
        state.cooled = (step, min(settings.steps, step + ahead) - 1)


def _step(
    state: _State,
    source: Source,
    labels: Any,
    own: np.ndarray,
    others: np.ndarray,
    settings: Settings,
    step: int,
    class_weights: Any,
    offset: Any,
    report: Report,
) -> float:
    """Take one step; return the supervised loss, NaN where loss or gradient are no numbers."""
    import torch

    network, weighting = state.network, state.weighting
    network.train()
    chosen = labels[torch.from_numpy(own).to(labels.device)]
    batch = source.labelled(own)
    with _precision(settings, labels.device):
        logits = network(batch)
    judged = logits.float() if offset is None else logits.float() + offset
    supervised = torch.nn.functional.cross_entropy(judged, chosen, weight=class_weights)
    loss = supervised
    report.examples += len(own)
    if weighting is not None and len(others) and settings.weight > 0.0:
        weak = source.weak(others) if weighting.judges or weighting.trains_weak else None
        with torch.no_grad():
            q = None
            if weighting.judges:
                with _precision(settings, labels.device):
                    q = _judge(state, weak)
                q = _aligned(state, q.float().softmax(dim=1), settings)
            rows = torch.from_numpy(others).to(labels.device)
            progress = step / max(1, settings.steps - 1)
            targets, weights = weighting.targets(Batch(q, rows, progress))
            if not weighting.judges:  # its own targets are what is aligned
                targets = _aligned(state, targets, settings)
        batch = weak if weighting.trains_weak else source.strong(others)
        with _precision(settings, labels.device):
            logits = network(batch)
        logits = logits.float()
        unsupervised = (weights * weighting.losses(logits, targets)).mean()
        loss = loss + settings.weight * unsupervised + weighting.extra(logits, weights)
        state.used.append(float(weights.mean()))
        report.examples += (1 + weighting.judges) * len(others)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
    if not math.isfinite(float(norm)):
        return math.nan
    state.optimiser.step()
    _follow(state, settings.average or 0.99, step)
    return float(supervised.detach()) if math.isfinite(float(loss.detach())) else math.nan


def _precision(settings: Settings, device: Any) -> AbstractContextManager[Any]:
    import torch

    if not settings.mixed:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _judge(state: _State, weak: Any) -> Any:
    """Return the logits that targets are made of: without dropout."""
    if state.weighting is not None and state.weighting.teacher:
        return state.average(weak)
    state.network.eval()
    logits = state.network(weak)
    state.network.train()
    return logits


def _aligned(state: _State, q: Any, settings: Settings) -> Any:
    if state.mean is None or settings.alignment is None:
        return q
    import torch

    state.mean = MOMENTUM * state.mean + (1.0 - MOMENTUM) * q.mean(dim=0)
    wanted = torch.as_tensor(settings.alignment, dtype=q.dtype, device=q.device)
    return normalised(q * wanted / state.mean.clamp(min=1e-12))


def _follow(state: _State, decay: float, step: int) -> None:
    """Move the averaged weights; over the first steps they follow faster."""
    import torch

    decay = min(decay, (1.0 + step) / (10.0 + step))
    with torch.no_grad():
        mine, theirs = state.average.state_dict(), state.network.state_dict()
        for name, value in mine.items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1.0 - decay)
            else:
                value.copy_(theirs[name])


def _diverged(losses: list[float], classes: int) -> bool:
    """Return True when the loss is no number, or the network forgot what it knew.

    That is, over the last steps it is on average much worse than knowing nothing, or in every one
    of them worse than at its best, the first step included, by three quarters of what there is to
    know: a network that fell back to one constant answer. A few bad steps in a row are not that:
    at a high rate the loss may rise at first, and the training be better for it.
    """
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < RECENT:
        return False
    far = float(np.mean(losses[-RECENT:])) > 3.0 * math.log(max(classes, 2)) + 3.0
    return far or min(losses[-RECENT:]) > _tolerable(losses, classes)


def _tolerable(losses: list[float], classes: int) -> float:
    """Return the loss above which a step is a bad one: its state is not gone back to."""
    best = losses[0]
    if len(losses) >= RECENT:
        means = np.convolve(losses, np.full(RECENT, 1.0 / RECENT), mode="valid")
        best = min(best, float(means.min()))
    return best + 0.75 * math.log(max(classes, 2))


def batches(n: int, size: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows for each step: shuffled passes in whole batches; all rows where n is smaller.

    Within a batch no row comes twice.
    """
    if n <= size:
        for _ in range(steps):
            yield rng.permutation(n)
        return
    left = 0
    order = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        if left + size > len(order):
            order, left = rng.permutation(n), 0
        yield order[left : left + size]
        left += size
