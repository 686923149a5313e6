"""Cells of a study in worker processes: the same results, and more of them in an hour.

Of a small model the steps are too small to keep several threads busy, so that as many processes
with a thread each do more.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

from labeltrain.errors import LabelTrainError
from labeltrain.kernels.processes import die_with, environment
from labeltrain.kernels.threads import available_threads
from labeltrain.sft.cells import Cell, Finished, trained_cell
from labeltrain.sft.material import Material
from labeltrain.sft.study_spec import SFTStudySpec

_worker: dict[str, Any] = {}


def trained_by(
    spec: SFTStudySpec, material: Material, cells: Sequence[Cell], workers: int
) -> Iterator[Finished]:
    """Yield what each cell found, as they finish.

    Parameters
    ----------
    spec : SFTStudySpec
    material : Material
    cells : sequence of Cell
    workers : int
        Processes; each has its part of the cores, unless the spec gives `threads`.

    Raises
    ------
    LabelTrainError
        When a worker was killed.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    workers = min(workers, len(cells))
    threads = spec.threads or max(1, available_threads() // workers)
    with environment(threads):
        pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(spec.model_copy(update={"threads": threads}), material, os.getpid()),
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


def _start(spec: SFTStudySpec, material: Material, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    die_with(parent)
    _worker["spec"], _worker["material"] = spec, material


def _work(cell: Cell) -> Finished:
    try:
        return trained_cell(_worker["spec"], _worker["material"], cell)
    finally:
        gc.collect()  # a trainer and its model hold each other, and are large
