"""Run a study in a workspace: every cell is committed when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput
from labeltrain.multitask.running import Progress
from labeltrain.multitask.study.cells import Cell, FinishedCell, cells_of, refuse_impossible_cell
from labeltrain.multitask.study.material import Material, of_seed, prepared, simulated
from labeltrain.multitask.study.spec import MultitaskStudySpec
from labeltrain.multitask.study.workers import Worker, run_side_by_side
from labeltrain.store import Event, Workspace
from labeltrain.store.versions import versions

STUDY_KIND = "multitask-study"
FORMAT = 1


def run_study(
    spec: MultitaskStudySpec,
    folder: str | Path,
    progress: Progress | None = None,
    *,
    workers: int = 1,
) -> int:
    """Run a study, or go on with it; return how many cells were run.

    Parameters
    ----------
    spec : MultitaskStudySpec
    folder : path
        A study that was stopped goes on, to the same result; a finished one does nothing.
    progress : Progress, optional
    workers : int
        Processes; the results are the same.

    Returns
    -------
    int

    Raises
    ------
    BadInput
        Something that cannot be run, another study in the workspace, data that changed since.
    """
    folder = Path(folder)
    if workers < 1:
        raise BadInput(f"workers={workers} is below 1", "give a positive number")
    held = None
    if Workspace.exists(folder):
        with Workspace.open(folder, STUDY_KIND, read_only=True) as store:
            _refuse_other(store, spec)
            held = store.first().body["data"]
            if not _left(store, spec, tuple(held["targets"])):
                return 0
    material = prepared(spec, _counted(progress))
    facts = material.facts()
    if held is None:
        _refuse_impossible(spec, material)
        body = {
            "format": FORMAT,
            "spec": spec.as_json(),
            "key": spec.key,
            "data": facts,
            "versions": versions(),
        }
        store = Workspace.create(folder, STUDY_KIND, body)
    elif held["key"] != facts["key"]:
        raise BadInput(
            f"the data of {folder} changed since the study began",
            "bring it back as it was, or choose another --workspace",
        )
    else:
        store = Workspace.open(folder, STUDY_KIND)
    with store:
        left = _left(store, spec, material.targets)
        every = len(cells_of(spec, material.targets))
        if progress is not None:
            progress.stage("targets and seeds", float(every))
            progress.advance_to(float(every - len(left)))
        for number, found in enumerate(_run(spec, material, left, workers), start=1):
            about = {"target": found.body["target"], "seed": found.body["seed"]}
            name = store.save_arrays(found.arrays, about)
            store.append([Event("", "cell", {**found.body, "arrays": name})])
            if progress is not None:
                progress.advance_to(float(every - len(left) + number))
    return len(left)


def _run(
    spec: MultitaskStudySpec, material: Material, cells: list[Cell], workers: int
) -> Iterator[FinishedCell]:
    if workers > 1 and len(cells) > 1:
        yield from run_side_by_side(spec, material, cells, workers)
        return
    worker = Worker(spec, material)
    for cell in cells:
        yield worker.run(cell)


def _refuse_impossible(spec: MultitaskStudySpec, material: Material) -> None:
    """Refuse what could not be carried out, before there is a workspace."""
    seed = spec.seeds[0]
    shared = of_seed(spec, material, seed)
    for target in material.targets:
        simulation = simulated(spec, material, shared, target, seed)
        refuse_impossible_cell(spec, simulation, target, seed)


def _left(store: Workspace, spec: MultitaskStudySpec, targets: tuple[str, ...]) -> list[Cell]:
    done = {Cell(e.body["target"], e.body["seed"]) for e in store.events(kind="cell")}
    return [cell for cell in cells_of(spec, targets) if cell not in done]


def _refuse_other(store: Workspace, spec: MultitaskStudySpec) -> None:
    body = store.first().body
    if body.get("format") != FORMAT:
        raise BadInput(
            f"{store.folder} was made by another version (format {body.get('format')})",
            "run it with that version of labeltrain, or choose another --workspace",
        )
    if body["key"] == spec.key:
        return
    differing = sorted(_differences(body["spec"], spec.as_json()))
    raise BadInput(
        f"{store.folder} holds another study; it has {'; '.join(differing[:4])}",
        "choose another --workspace, or run with the same spec",
    )


def _differences(held: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {held.get(name)!r}, not {mine.get(name)!r}"
        for name in {*held, *mine}
        if held.get(name) != mine.get(name)
    ]


def _counted(progress: Progress | None) -> Callable[[str], Callable[[int, int], None] | None]:
    """Return what makes, for a stage, the counter of its items."""

    def stage(name: str) -> Callable[[int, int], None] | None:
        if progress is None:
            return None
        begun = False

        def show(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                progress.stage(name, float(total))
                begun = True
            progress.advance_to(float(done), float(total))

        return show

    return stage
