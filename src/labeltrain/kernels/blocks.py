"""Work over blocks of rows in threads, with results that do not depend on their number."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from labeltrain.kernels.threads import available_threads

T = TypeVar("T")
B = TypeVar("B")


@functools.cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def row_blocks(n: int, rows: int) -> list[slice]:
    """Cut ``range(n)`` into slices of at most `rows` rows."""
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]


def map_blocks(work: Callable[[B], T], blocks: Iterable[B]) -> list[T]:
    """Return ``[work(b) for b in blocks]``, computed in the threads this task may use.

    Every call of `work` runs with one BLAS thread, so its result is the same to the last bit
    whatever the number of threads; it should release the GIL most of the time (numpy products,
    compiled loops). The first exception is raised.
    """
    blocks = list(blocks)
    threads = min(available_threads(), len(blocks))
    with _libraries().limit(limits=1, user_api="blas"):
        if threads <= 1:
            return [work(block) for block in blocks]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, blocks))


def float32_rows(points: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Return some rows as a C-ordered float32 array; a view where they are that already.

    `points` may be a memory map, of any float type and order: nothing but these rows is read.
    """
    return np.ascontiguousarray(points[rows], dtype=np.float32)


def compact(positions: np.ndarray) -> np.ndarray | slice:
    """Return ascending positions as a slice where none is left out: rows are then not copied."""
    if len(positions) and int(positions[-1]) - int(positions[0]) + 1 == len(positions):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions
