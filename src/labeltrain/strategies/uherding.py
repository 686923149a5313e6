"""UHerding: coverage of what the model is uncertain about, for any budget."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from labeltrain.errors import MissingNeed
from labeltrain.kernels.coverage import greedy_coverage
from labeltrain.kernels.rows import MEMORY
from labeltrain.kernels.similarity import Similarity, length_factors
from labeltrain.kernels.uncertainty import entropy, margin
from labeltrain.strategies.base import Need, Picks, Strategy
from labeltrain.strategies.view import PoolView

LEAST = 1e-12  # probabilities below this count as this in logarithms
COOLEST, HOTTEST = 0.1, 20.0  # temperatures looked at
APART = 1e-6  # labelled items of length 1 nearer than this are the same


class UHerding(Strategy):
    """Greedily maximise ``mean_i u_i max_{s in S} exp(-\\|z_i - z_s\\|^2 / sigma^2)``.

    z are embeddings of length 1, S is what is labelled, pending and picked, and u is the
    uncertainty after temperature scaling. sigma, the smallest distance between two labelled items,
    shrinks as labels come in, so that the rule goes from covering the pool to plain uncertainty.
    Equal gains go to the lowest position.

    Parameters
    ----------
    uncertainty : {"margin", "entropy"}
        1 - margin, or the entropy as a share of its maximum.
    memory : int
        Bytes to use beside the embeddings; the picks do not depend on it.

    Notes
    -----
    The temperature minimises the negative log-likelihood of the out-of-fold probabilities of the
    labelled items. (The authors minimise the calibration error on 30 % of the labelled items,
    which a handful of labels does not determine.) With fewer than two labels per class seen, or
    one class only, u is flat, as at infinite temperature: the rule is then MaxHerding. sigma is 1
    until two labelled items differ. Time as :class:`MaxHerding`; a small sigma needs more items
    measured in float64.

    References
    ----------
    Bae, Oliveira, Sutherland: Uncertainty Herding: one active learning method for all label
    budgets, ICLR 2025.

    Examples
    --------
    >>> import labeltrain, numpy as np
    >>> E = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.0, 1.0]])
    >>> P = np.array([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.2, 0.8], [0.1, 0.9]])
    >>> labeltrain.select(
    ...     "uherding", embeddings=E, probabilities=P, labelled=[0, 4], labels=[0, 1],
    ...     out_of_fold=P[[0, 4]], budget=1,
    ... ).positions.tolist()
    [2]
    """

    name: ClassVar[str] = "uherding"
    needs: ClassVar[frozenset[Need]] = frozenset(
        {Need.EMBEDDINGS, Need.PROBABILITIES, Need.OUT_OF_FOLD}
    )
    kinds: ClassVar[frozenset[str]] = frozenset({"multiclass"})
    deterministic: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    summary: ClassVar[str] = "uncertain items that stand for many others; for any budget"

    def __init__(self, *, uncertainty: str = "margin", memory: int = MEMORY) -> None:
        if uncertainty not in ("margin", "entropy"):
            raise ValueError(f"uncertainty is {uncertainty!r}, expected 'margin' or 'entropy'")
        self.uncertainty = uncertainty
        self.memory = memory

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        """Return the `count` candidates that greedily raise the uncertainty coverage most."""
        sigma = smallest_distance(view.embeddings, view.labelled)
        temperature = self._temperature(view)
        weights = np.ones(view.n)
        if math.isfinite(temperature):
            scaled = heated(view.probabilities, temperature)
            if self.uncertainty == "margin":
                weights = np.clip(1.0 - margin(scaled), 0.0, 1.0)
            else:
                weights = np.clip(entropy(scaled) / math.log2(scaled.shape[1]), 0.0, 1.0)
            if weights.max(initial=0.0) <= LEAST:
                weights[:] = 1.0  # certain of everything: nothing to tell items apart by
        found = greedy_coverage(
            view.embeddings,
            Similarity("gaussian", sigma**2, normalise=True),
            count,
            candidates=view.candidates,
            given=np.concatenate([view.labelled, view.pending]),
            weights=weights,
            memory=self.memory,
        )
        why = tuple(f"stands for {n} similar items, by uncertainty" for n in found.nearest)
        return Picks(found.positions, found.gains / view.n, why=why)

    def _temperature(self, view: PoolView) -> float:
        if len(view.labels) != len(view.labelled):
            raise MissingNeed(
                f"strategy {self.name!r} needs the labels of the labelled items", "give labels=..."
            )
        classes = len(np.unique(view.labels))
        if classes < 2 or len(view.labels) < 2 * classes:
            return math.inf  # out-of-fold rows of so few labels say nothing
        return best_temperature(view.out_of_fold, view.labels)


def heated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities with their logarithms divided by the temperature: (n, C) -> (n, C)."""
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), LEAST)) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def best_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, 0.1 to 20, under which the labels are most likely."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        likely = heated(probabilities, math.exp(log_temperature))[rows, labels]
        return -math.fsum(np.log(np.maximum(likely, LEAST)))

    found = minimize_scalar(
        loss,
        bounds=(math.log(COOLEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return math.exp(float(found.x))


def smallest_distance(points: np.ndarray, positions: np.ndarray) -> float:
    """Return the smallest distance, above 1e-6, between some rows brought to length 1; else 1."""
    chosen = np.asarray(points[positions], dtype=np.float64)
    unit = chosen * length_factors(chosen)[:, None]
    best = 4.0 + APART
    for start in range(0, len(unit), 1024):
        block = unit[start : start + 1024]
        lengths = np.einsum("ij,ij->i", unit, unit)
        squares = lengths[start : start + 1024, None] + lengths - 2.0 * block @ unit.T
        squares[squares <= APART**2] = np.inf
        at = int(np.argmin(squares))
        i, j = divmod(at, len(unit))
        if np.isfinite(squares[i, j]):
            best = min(best, float(np.square(block[i] - unit[j]).sum()))
    return math.sqrt(best) if best <= 4.0 else 1.0
