"""What a run of the adaptive loop is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.multitask.allocation import positive
from labeltrain.multitask.methods import Method, method_named


@dataclass(frozen=True)
class Plan:
    """The method, its budget and its options.

    Attributes
    ----------
    method : str
        A name of :data:`~labeltrain.multitask.methods.METHODS`.
    budget : float
        Samples of all source tasks together; with `costs`, what they may cost.
    epochs : int
        How often it learns; relevance is estimated before every epoch but the first.
    growth : float
        Each epoch draws this many times as many samples as the one before.
    floor : int, optional
        Samples that every task gives before the rest goes by relevance. By default twice the
        dimension, but no more than each gives in the first epoch.
    uniform : float
        Share of the rest that goes to all tasks alike, from 0 to 1.
    keep : float
        How much of the relevance of the epoch before is kept, from 0 up to, not including, 1.
    power : float, optional
        q of the shares ``|nu|^q``; the method's own by default.
    penalty : float or str
        Of methods that have one; "residual": the largest that leaves at most `unexplained` of the
        target's head; "noise": by the estimated noise of the labels.
    unexplained : float
        See `penalty`.
    top : int, optional
        Only that many most relevant tasks are drawn beyond the floor; "random" draws that many
        tasks (twice the dimension by default).
    costs : tuple of float, optional
        Of one sample of each task.
    guard : bool
        Warn, and draw of all tasks alike as far as is needed, where heads are too noisy to tell
        which tasks matter.
    ridge : float
        Penalty of all heads that relevance is read from, a sample.
    intercept : bool
        Every task has an intercept of its own, which no other knows of: rows and values of a task
        are taken without their means.
    seed : int

    Examples
    --------
    >>> from labeltrain.multitask.plan import Plan
    >>> Plan("l1", 2400, epochs=4, growth=2.0).schedule().tolist()
    [160.0, 480.0, 1120.0, 2400.0]
    """

    method: str
    budget: float
    epochs: int = 4
    growth: float = 1.0
    floor: int | None = None
    uniform: float = 0.0
    keep: float = 0.0
    power: float | None = None
    penalty: float | str = "residual"
    unexplained: float = 0.15
    top: int | None = None
    costs: tuple[float, ...] | None = None
    guard: bool = True
    ridge: float = 1e-8
    intercept: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that mean nothing."""
        method_named(self.method)
        _whole("epochs", self.epochs, 1)
        for name, least in (("floor", 0), ("top", 1)):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), least)
        _number("budget", self.budget, 0.0)
        _number("growth", self.growth, 0.0, above=True)
        _number("uniform", self.uniform, 0.0, 1.0)
        _number("keep", self.keep, 0.0, 1.0, below=True)
        _number("unexplained", self.unexplained, 0.0, 1.0, above=True, below=True)
        _number("ridge", self.ridge, 0.0)
        if self.power is not None:
            _number("power", self.power, 0.0)
        if isinstance(self.penalty, str):
            if self.penalty not in ("residual", "noise"):
                raise BadInput(f"penalty={self.penalty!r}", "use residual, noise or a number")
        else:
            _number("penalty", self.penalty, 0.0, above=True)

    @property
    def how(self) -> Method:
        """The method."""
        return method_named(self.method)

    def schedule(self) -> np.ndarray:
        """Return what may be spent by the end of each epoch, in all; float64 (E,)."""
        epochs = self.epochs if self.how.estimates else 1
        parts = np.cumsum(self.growth ** np.arange(epochs))
        found: np.ndarray = self.budget * parts / parts[-1]
        return found if self.costs is not None else np.rint(found)

    def prices(self, tasks: int) -> np.ndarray:
        """Return the cost of one sample of each task, float64 (M,)."""
        return positive("costs", None if self.costs is None else np.array(self.costs), tasks)


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise BadInput(f"{name}={value!r}", f"give a whole number, {least} or more")


def _number(
    name: str,
    value: Any,
    low: float,
    high: float = np.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> None:
    fine = isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(float(value))
    if fine:
        number = float(value)
        fine = (low < number if above else low <= number) and (
            number < high if below else number <= high
        )
    if not fine:
        ends = f"{'above' if above else 'from'} {low:g}"
        if np.isfinite(high):
            ends += f" {'and below' if below else 'to'} {high:g}"
        raise BadInput(f"{name}={value!r}", f"give a number {ends}")
