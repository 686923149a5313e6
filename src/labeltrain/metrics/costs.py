"""What selection via proxy costs, beside the training of the expensive learner alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: The steps that are booked apart, in the order in which they are shown.
BOOKED = ("encode", "proxy", "select", "refresh", "final", "evaluate")
#: Those that a labelling campaign pays for; scores on test items are the study's own.
PAID = ("encode", "proxy", "select", "refresh", "final")


@dataclass(frozen=True)
class CostLedger:
    """Seconds and examples of one strategy up to one training of the expensive learner.

    Attributes
    ----------
    experiment, strategy : str
    learner : str
        The expensive one.
    labels : int
        At its last training.
    seeds : int
        Over which the numbers are means.
    seconds, examples : dict of str to float
        ``encode`` (of the pool and its views, once for all seeds), ``proxy`` (all fits of the
        loop's learner), ``select`` (with the predictions that strategies choose by), ``refresh``
        (earlier trainings of the expensive learner whose features the loop went on with, and their
        encodings), ``final`` (its last training), ``evaluate``. Examples are items that a model
        was trained on or predicted, as often as it was.
    cache : {"empty", "partly filled", "filled"}
        The cache of features, before. What came from it took no seconds.
    always : float
        Seconds, of those of ``encode``, spent on what is never cached.
    alone : float, optional
        Seconds of the last training had there been none before it, whose tokens and activations it
        used; those of ``final`` if not given.

    Examples
    --------
    >>> seconds = {"encode": 10.0, "proxy": 5.0, "select": 1.0, "final": 100.0}
    >>> ledger = CostLedger("a", "margin", "finetune", 500, 3, seconds, {})
    >>> round(ledger.ratio, 2), round(ledger.ratio_from_cache, 2)
    (1.16, 1.06)
    """

    experiment: str
    strategy: str
    learner: str
    labels: int
    seeds: int
    seconds: Mapping[str, float]
    examples: Mapping[str, float]
    cache: str = "empty"
    always: float = 0.0
    alone: float | None = None

    @property
    def ratio(self) -> float:
        """Seconds of everything over seconds of the last training alone; NaN if that took none."""
        return self._ratio(self.seconds)

    @property
    def ratio_from_cache(self) -> float:
        """The same when all features that can be cached are there already."""
        return self._ratio({**self.seconds, "encode": self.always})

    @property
    def training_alone(self) -> float:
        """Seconds of the last training alone: what the ratios divide by."""
        return self.seconds.get("final", 0.0) if self.alone is None else self.alone

    def _ratio(self, seconds: Mapping[str, float]) -> float:
        alone = self.training_alone
        return sum(seconds.get(step, 0.0) for step in PAID) / alone if alone > 0 else float("nan")
