"""What a workspace of a study holds, read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.multitask.spec import ALONE
from labeltrain.multitask.study.cells import cells_of
from labeltrain.multitask.study.running import STUDY_KIND
from labeltrain.multitask.study.spec import MultitaskStudySpec, make_study_spec
from labeltrain.store import Workspace


@dataclass(frozen=True)
class CellRun:
    """One method at one budget, for one target with one seed.

    Attributes
    ----------
    title : str
        Of the method.
    budget : float
    warnings : tuple of str
    epochs : tuple of dict
        As of :class:`~labeltrain.multitask.results.MethodRun`.
    counts : ndarray of int64, shape (E, M)
    relevance : ndarray of float64, shape (E, M)
        nan for methods that do not estimate it.
    seconds : float
    """

    title: str
    budget: float
    warnings: tuple[str, ...]
    epochs: tuple[dict[str, Any], ...]
    counts: np.ndarray
    relevance: np.ndarray
    seconds: float

    def score(self, name: str) -> float:
        """Return a score at the end; nan where there is none."""
        value = self.epochs[-1]["scores"].get(name)
        return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class TargetResults:
    """All methods at all budgets, for one target with one seed.

    Attributes
    ----------
    target : str
    seed : int
    dimension : int
    ridge : float
    sources : tuple of str
        M names, the columns of counts and relevance.
    runs : tuple of CellRun
    seconds : float
    """

    target: str
    seed: int
    dimension: int
    ridge: float
    sources: tuple[str, ...]
    runs: tuple[CellRun, ...]
    seconds: float

    def of(self, title: str, budget: float) -> CellRun | None:
        """Return a method at a budget; target-only has one run for all budgets."""
        for run in self.runs:
            if run.title == title and (run.budget == budget or title == ALONE):
                return run
        return None


@dataclass(frozen=True)
class StudyResults:
    """A study, finished or not.

    Attributes
    ----------
    spec : MultitaskStudySpec
    data : dict
        ``tasks`` (each with ``name``, ``row``, ``column``, ``items``), ``targets``, ``data_sets``,
        ``encoder``, ``features``.
    cells : tuple of TargetResults
    complete : bool
    versions : dict of str to str
        Of packages, and the machine, when it was begun; empty where they were not kept.
    """

    spec: MultitaskStudySpec
    data: dict[str, Any]
    cells: tuple[TargetResults, ...]
    complete: bool
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def factors(self) -> dict[str, tuple[str, str]]:
        """Row and column of each task, by name."""
        return {t["name"]: (t["row"], t["column"]) for t in self.data["tasks"]}


def read_study(folder: str | Path) -> StudyResults:
    """Read the results of a study.

    Parameters
    ----------
    folder : path

    Returns
    -------
    StudyResults

    Raises
    ------
    BadInput
        There is none, or it is of another kind.
    StoreDamaged
        A file does not hold what it should.
    """
    with Workspace.open(Path(folder), STUDY_KIND, read_only=True) as store:
        body = store.first().body
        cells = [_cell(store, event.body) for event in store.events(kind="cell")]
    spec = make_study_spec(body["spec"])
    wanted = {(c.target, c.seed) for c in cells_of(spec, tuple(body["data"]["targets"]))}
    # Worker processes finish in any order.
    cells.sort(key=lambda c: (c.seed, c.target))
    complete = wanted <= {(c.target, c.seed) for c in cells}
    return StudyResults(spec, body["data"], tuple(cells), complete, body.get("versions", {}))


def _cell(store: Workspace, body: dict[str, Any]) -> TargetResults:
    held, _ = store.load_arrays(body["arrays"])
    runs = tuple(
        CellRun(
            run["title"], run["budget"], tuple(run["warnings"]), tuple(run["epochs"]),
            held[f"counts-{i}"], held[f"relevance-{i}"], run["seconds"],
        )
        for i, run in enumerate(body["runs"])
    )  # fmt: skip
    return TargetResults(
        body["target"], body["seed"], body["dimension"], body["ridge"], tuple(body["sources"]),
        runs, body["seconds"],
    )  # fmt: skip
