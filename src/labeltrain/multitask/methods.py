"""The ways to decide how much of each source task is drawn, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import unknown_name
from labeltrain.multitask.design import least_group
from labeltrain.multitask.relevance import elastic_net, lasso, least_l1, least_norm


@dataclass(frozen=True)
class Method:
    """How samples are allotted.

    Attributes
    ----------
    summary : str
    power : float
        q of the shares ``|nu|^q``.
    relevance : callable, optional
        ``(heads, targets, penalty, weights) -> nu``; None where nothing is estimated.
    known : bool
        The true heads are given: an upper bound on what estimating them can reach.
    penalised : bool
        It has a penalty to be chosen.
    affinity : bool
        Relevance is how much a step on a source lowers the loss of the target: no heads are read.
    guarded : bool
        It starves tasks that it holds to be irrelevant, and so must not trust noisy heads.
    """

    summary: str
    power: float = 0.0
    relevance: Callable[[np.ndarray, np.ndarray, float, np.ndarray], np.ndarray] | None = None
    known: bool = False
    penalised: bool = False
    guarded: bool = False
    affinity: bool = False

    @property
    def estimates(self) -> bool:
        """Whether relevance is estimated between epochs."""
        return self.affinity or (self.relevance is not None and not self.known)


METHODS = {
    "l1": Method(
        "L1-A-MTRL: Lasso on estimated heads, shares by |nu|",
        1.0, lambda w, t, penalty, c: lasso(w, t, penalty, weights=c), penalised=True, guarded=True,
    ),
    "l2": Method(
        "L2-A-MTRL: least norm on estimated heads, shares by nu^2",
        2.0, lambda w, t, _, c: least_norm(w / c, t) / (c[:, None] if t.ndim == 2 else c),
    ),
    "elastic-net": Method(
        "like l1, but shares among tasks that are alike",
        1.0, lambda w, t, penalty, c: elastic_net(w, t, penalty, 0.5, weights=c), penalised=True,
        guarded=True,
    ),
    "optimal": Method(
        "the best shares for all targets together, if heads are taken to be exact",
        1.0, lambda w, t, _, c: least_group(w, t, weights=c)[0], guarded=True,
    ),
    "affinity": Method(
        "by how much a step on a source lowers the target's loss (TAG)", 1.0, affinity=True,
    ),
    "known-l1": Method(
        "least L1 norm on the true heads, shares by |nu|",
        1.0, lambda w, t, _, c: least_l1(w, t, weights=c), known=True,
    ),
    "known-l2": Method(
        "least norm on the true heads, shares by nu^2",
        2.0, lambda w, t, _, c: least_norm(w / c, t) / (c[:, None] if t.ndim == 2 else c),
        known=True,
    ),
    "uniform": Method("as many of each source task"),
    "random": Method("as many of each of a few source tasks, drawn by chance"),
    "all": Method("all samples there are, whatever the budget"),
    "target-only": Method("no source task: ridge regression on the target's features"),
}  # fmt: skip


def method_named(name: str) -> Method:
    """Return a method by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Method
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
