"""Cells of a study in worker processes: the same results, sooner."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import LabelTrainError
from labeltrain.kernels.processes import die_with, environment
from labeltrain.kernels.threads import limited_threads
from labeltrain.multitask.study.cells import Cell, FinishedCell, run_cell
from labeltrain.multitask.study.material import Material, SeedMaterial, of_seed
from labeltrain.multitask.study.spec import MultitaskStudySpec

_worker: dict[str, Any] = {}


class Worker:
    """Runs cells, and keeps what those of a seed share.

    Parameters
    ----------
    spec : MultitaskStudySpec
    material : Material
    """

    def __init__(self, spec: MultitaskStudySpec, material: Material) -> None:
        self._spec, self._material = spec, material
        self._seed, self._shared = -1, SeedMaterial((), ())

    def run(self, cell: Cell) -> FinishedCell:
        """Run a cell, with one thread."""
        with limited_threads(1):
            if cell.seed != self._seed:
                self._shared = of_seed(self._spec, self._material, cell.seed)
                self._seed = cell.seed
            return run_cell(self._spec, self._material, self._shared, cell)


def run_side_by_side(
    spec: MultitaskStudySpec, material: Material, cells: Sequence[Cell], workers: int
) -> Iterator[FinishedCell]:
    """Yield what each cell found, as they finish.

    Parameters
    ----------
    spec : MultitaskStudySpec
    material : Material
    cells : sequence of Cell
    workers : int
        Processes, with one thread each; features are shared through the page cache.

    Raises
    ------
    LabelTrainError
        When a worker was killed.
    """
    import multiprocessing
    import tempfile
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    workers = min(workers, len(cells))
    with tempfile.TemporaryDirectory(prefix="labeltrain-") as scratch, environment(1):
        path = Path(scratch) / "rows.npy"
        np.save(path, material.encoded.rows, allow_pickle=False)
        pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(spec, material.light(), str(path), os.getpid()),
        )
        try:
            for future in as_completed([pool.submit(_work, cell) for cell in cells]):
                yield future.result()
        except BaseException as error:
            # Stopped: what is committed stays, nothing else is worth waiting for.
            for child in multiprocessing.active_children():
                child.kill()
            if isinstance(error, BrokenProcessPool):
                raise LabelTrainError(
                    "a worker process was killed (out of memory?)",
                    "run the same command again: it goes on with the cells that are left; "
                    "--workers 1 uses less memory",
                ) from error
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start(spec: MultitaskStudySpec, material: Material, rows: str, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    die_with(parent)
    mapped = np.load(rows, mmap_mode="r", allow_pickle=False)
    encoded = replace(material.encoded, rows=mapped)
    _worker["worker"] = Worker(spec, replace(material, encoded=encoded))


def _work(cell: Cell) -> FinishedCell:
    return _worker["worker"].run(cell)
