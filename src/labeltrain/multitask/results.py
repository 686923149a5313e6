"""What a workspace of a run holds, read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.multitask.running import KIND
from labeltrain.store import Workspace


@dataclass(frozen=True)
class MethodRun:
    """One method with one seed.

    Attributes
    ----------
    seed : int
    method : str
    dimension : int
    ridge : float
    warnings : tuple of str
    epochs : tuple of dict
        Numbers of each epoch: ``spent``, ``samples``, ``uniform`` (share mixed in), ``unsure``,
        ``missed``, ``scores`` and others; None where there is none.
    counts : ndarray of int64, shape (E, M)
        Samples of each source task after each epoch.
    relevance : ndarray of float64, shape (E, M)
        nan for methods that do not estimate it.
    predictions : ndarray of float64, shape (E, n)
        Of the target's test items.
    test : ndarray of int64, shape (n,)
        Their positions in the target's data set.
    test_values : ndarray of float64, shape (n,)
    drawn : tuple of ndarray of int64
        Positions of the items that were drawn of each source task, in order.
    seconds : float
    """

    seed: int
    method: str
    dimension: int
    ridge: float
    warnings: tuple[str, ...]
    epochs: tuple[dict[str, Any], ...]
    counts: np.ndarray
    relevance: np.ndarray
    predictions: np.ndarray
    test: np.ndarray
    test_values: np.ndarray
    drawn: tuple[np.ndarray, ...]
    seconds: float

    def score(self, name: str, epoch: int = -1) -> float:
        """Return a score after an epoch; nan where there is none."""
        value = self.epochs[epoch]["scores"].get(name)
        return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class RunResults:
    """A run, finished or not.

    Attributes
    ----------
    spec : dict
        Options.
    data : dict
        ``sources`` and ``target`` (each with ``name``, ``row``, ``column``, ``items``),
        ``data_sets``, ``shared``, ``left_out``, ``encoder``, ``features``.
    runs : tuple of MethodRun
    complete : bool
    versions : dict of str to str
        Of packages, and the machine, when it was begun; empty where they were not kept.
    """

    spec: dict[str, Any]
    data: dict[str, Any]
    runs: tuple[MethodRun, ...]
    complete: bool
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The method, and those beside it."""
        return tuple(dict.fromkeys((self.spec["method"], *self.spec["beside"])))

    def of(self, method: str) -> list[MethodRun]:
        """Return the runs of a method, by seed."""
        return sorted((r for r in self.runs if r.method == method), key=lambda r: r.seed)


def read_results(folder: str | Path) -> RunResults:
    """Read the results of a workspace.

    Parameters
    ----------
    folder : path

    Returns
    -------
    RunResults

    Raises
    ------
    BadInput
        There is none, or it is of another kind.
    StoreDamaged
        A file does not hold what it should.
    """
    with Workspace.open(Path(folder), KIND, read_only=True) as store:
        body = store.first().body
        runs = tuple(_run(store, event.body) for event in store.events(kind="outcome"))
    spec = body["spec"]
    wanted = {(seed, m) for seed in spec["seeds"] for m in (spec["method"], *spec["beside"])}
    complete = wanted <= {(r.seed, r.method) for r in runs}
    return RunResults(spec, body["data"], runs, complete, body.get("versions", {}))


def _run(store: Workspace, body: dict[str, Any]) -> MethodRun:
    held, _ = store.load_arrays(body["arrays"])
    ends = np.cumsum(held["drawn_counts"])[:-1]
    return MethodRun(
        body["seed"], body["method"], body["dimension"], body["ridge"], tuple(body["warnings"]),
        tuple(body["epochs"]), held["counts"], held["relevance"], held["predictions"],
        held["test"], held["test_values"], tuple(np.split(held["drawn"], ends)), body["seconds"],
    )  # fmt: skip
