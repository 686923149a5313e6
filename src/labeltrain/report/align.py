"""Which seeds and rounds of an experiment can be compared, and what has to be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labeltrain.errors import BadInput, unknown_name
from labeltrain.metrics.curves import Curve, Experiment, Results


@dataclass(frozen=True)
class Aligned:
    """The curves of one experiment on a common grid of labels.

    Attributes
    ----------
    labels : ndarray of int64, shape (R,)
        Rounds that every curve kept here has.
    seeds : tuple of int
        Seeds that at least one curve kept here has, ascending.
    strategies : tuple of str
        The baseline first, the others by name; without those whose curves are all too short.
    curves : dict of (str, int) to Curve
        The curves kept, by strategy and seed.
    left_out : tuple of str
        Sentences that say what was left out, and why.
    """

    labels: np.ndarray
    seeds: tuple[int, ...]
    strategies: tuple[str, ...]
    curves: dict[tuple[str, int], Curve]
    left_out: tuple[str, ...]

    def scores(self, strategy: str, metric: str) -> np.ndarray:
        """Return scores (S, R); a row of NaN where the seed or one of its scores is missing."""
        out = np.full((len(self.seeds), len(self.labels)), np.nan)
        for row, seed in enumerate(self.seeds):
            curve = self.curves.get((strategy, seed))
            if curve is not None and metric in curve.scores:
                values = curve.scores[metric][np.isin(curve.labels, self.labels)]
                if np.isfinite(values).all():
                    out[row] = values
        return out

    def spent(self, strategy: str, steps: tuple[str, ...]) -> np.ndarray:
        """Return seconds (S, R) of some steps from the start to the end of each round.

        Rounds between those kept are counted, too. A row of NaN where the seed is missing, or its
        seconds of a step are.
        """

        def together(curve: Curve) -> np.ndarray | None:
            if not steps or not set(steps) <= set(curve.seconds):
                return None
            return np.sum([curve.seconds[step] for step in steps], axis=0)

        return self._until(strategy, together)

    def examples(self, strategy: str) -> np.ndarray:
        """Return examples (S, R) of training from the start; a row of NaN where unknown."""
        return self._until(strategy, lambda curve: curve.examples)

    def _until(self, strategy: str, part: Callable[[Curve], np.ndarray | None]) -> np.ndarray:
        out = np.full((len(self.seeds), len(self.labels)), np.nan)
        for row, seed in enumerate(self.seeds):
            curve = self.curves.get((strategy, seed))
            values = None if curve is None else part(curve)
            if curve is not None and values is not None:
                sums = np.cumsum(values, dtype=np.float64)[np.isin(curve.labels, self.labels)]
                if np.isfinite(sums).all():
                    out[row] = sums
        return out

    def metrics(self) -> tuple[str, ...]:
        """Return the scores that any curve has, in the order they first appear."""
        return tuple(dict.fromkeys(m for c in self.curves.values() for m in c.scores))

    def final_recall(self, strategy: str) -> np.ndarray | None:
        """Return the recall per class at the last common round, a mean over seeds."""
        return self._final(strategy, lambda curve: curve.recall)

    def final_found(self, strategy: str) -> np.ndarray | None:
        """Return the labels of each class at the last common round, a mean over seeds."""
        return self._final(strategy, lambda curve: curve.found)

    def final_groups(self, strategy: str) -> float | None:
        """Return how often answers were waited for until the last common round, on average."""
        found = self._final(
            strategy, lambda curve: None if curve.groups is None else curve.groups[:, None]
        )
        return None if found is None else float(found[0])

    def _final(
        self, strategy: str, part: Callable[[Curve], np.ndarray | None]
    ) -> np.ndarray | None:
        rows = []
        for seed in self.seeds:
            curve = self.curves.get((strategy, seed))
            values = None if curve is None else part(curve)
            if curve is not None and values is not None and values.ndim == 2:
                rows.append(values[int(np.searchsorted(curve.labels, self.labels[-1]))])
        if not rows or len({len(r) for r in rows}) > 1:
            return None
        table = np.asarray(rows, dtype=np.float64)
        known = np.isfinite(table)
        total = np.where(known, table, 0.0).sum(axis=0)
        out = np.full(table.shape[1], np.nan)
        np.divide(total, known.sum(axis=0), out=out, where=known.any(axis=0))
        return out


def check(results: Results) -> None:
    """Refuse results whose curves and experiments do not fit together."""
    names = [e.name for e in results.experiments]
    if len(set(names)) < len(names):
        raise BadInput(f"experiments are named {names}", "give each experiment its own name")
    seen = set()
    for c in results.curves:
        who = f"curve of {c.strategy!r}, seed {c.seed}, in {c.experiment!r}"
        if c.experiment not in names:
            raise unknown_name("experiment of a curve", c.experiment, names)
        if (c.experiment, c.strategy, c.seed) in seen:
            raise BadInput(f"two {who}", "keep one curve for each strategy and seed")
        seen.add((c.experiment, c.strategy, c.seed))
        if c.labels.ndim != 1 or (np.diff(c.labels) <= 0).any():
            raise BadInput(f"labels of the {who} do not increase", "one number for each round")
        for metric, values in c.scores.items():
            if values.shape != c.labels.shape:
                raise BadInput(
                    f"{metric} of the {who} has shape {values.shape}",
                    f"expected one score for each of its {len(c.labels)} rounds",
                )
        counted = {f"seconds of {step}": values for step, values in c.seconds.items()}
        counted |= {} if c.examples is None else {"examples": c.examples}
        for what, values in counted.items():
            if values.shape != c.labels.shape:
                raise BadInput(
                    f"{what} of the {who} have shape {values.shape}",
                    f"expected one number for each of its {len(c.labels)} rounds",
                )
        if c.recall.ndim == 2 and len(c.recall) != len(c.labels):
            raise BadInput(
                f"recall of the {who} has {len(c.recall)} rows",
                f"expected one for each of its {len(c.labels)} rounds",
            )


def align(experiment: Experiment, results: Results) -> Aligned:
    """Choose the seeds and rounds of one experiment that can be compared.

    Rounds are those of the finished curves. When some curves stopped early, the experiment is
    cut where most scores remain (curves times rounds): a seed that stopped early is dropped, or
    the last rounds are dropped, whichever costs less. Neither choice looks at a score.

    Parameters
    ----------
    experiment : Experiment
    results : Results

    Returns
    -------
    Aligned
    """
    own = [c for c in results.curves if c.experiment == experiment.name]
    left_out = [
        f"{c.strategy}, seed {c.seed}: no round finished yet." for c in own if not len(c.labels)
    ]
    own = [c for c in own if len(c.labels)]
    base = _rounds(own, results.baseline)
    best, cut = 0, 0
    for rounds in range(1, len(base) + 1):
        covered = sum(bool(np.isin(base[:rounds], c.labels).all()) for c in own)
        if covered * rounds >= best:
            best, cut = covered * rounds, rounds
    labels = base[:cut]
    if cut < len(base):
        left_out.append(
            f"Rounds after {labels[-1]} labels (up to {base[-1]}): "
            "not every trajectory has got there yet."
        )
    kept = {}
    for c in own:
        if np.isin(labels, c.labels).all():
            kept[c.strategy, c.seed] = c
        elif c.labels[-1] < labels[-1]:
            left_out.append(
                f"{c.strategy}, seed {c.seed}: stopped at {c.labels[-1]} of {labels[-1]} labels."
            )
        else:
            left_out.append(f"{c.strategy}, seed {c.seed}: scored at other numbers of labels.")
    extra = sorted({int(x) for c in kept.values() for x in c.labels} - {int(x) for x in base})
    if extra:
        left_out.append(
            f"Scores at {', '.join(map(str, extra[:8]))}{' ...' if len(extra) > 8 else ''} "
            "labels: not every finished trajectory has them."
        )
    names = {name for name, _ in kept}
    for name in sorted({c.strategy for c in own} - names):
        left_out.append(f"{name}: not compared, none of its curves is long enough.")
    return Aligned(
        labels=labels,
        seeds=tuple(sorted({seed for _, seed in kept})),
        strategies=tuple(sorted(names, key=lambda n: (n != results.baseline, n))),
        curves=kept,
        left_out=tuple(left_out),
    )


def _rounds(curves: list[Curve], baseline: str) -> np.ndarray:
    """Labels at which finished curves were scored; of the longest one if none is finished."""
    if not curves:
        return np.empty(0, dtype=np.int64)
    finished = [c for c in curves if c.complete] or [max(curves, key=lambda c: len(c.labels))]
    common = finished[0].labels
    for c in finished[1:]:
        common = np.intersect1d(common, c.labels)
    if not len(common):
        return min(finished, key=lambda c: c.strategy != baseline).labels
    return common
