"""How many threads a task uses: results depend on it in the last bits, so it is fixed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_limit: ContextVar[int | None] = ContextVar("threads", default=None)


def available_threads() -> int:
    """Return how many threads a kernel may use: the limit in force, else this process's cores."""
    limit = _limit.get()
    return limit if limit is not None else _cores()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Run with that many threads in BLAS and OpenMP, and in torch where it is used inside."""
    # Only libraries that are loaded already can be limited, and these are what a fit needs.
    import sklearn.cluster
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_limits

    token = _limit.set(threads)
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        _limit.reset(token)


@contextlib.contextmanager
def torch_threads(torch: Any) -> Iterator[None]:
    """Hand the limit in force to torch, which is loaded too late for `limited_threads`."""
    limit = _limit.get()
    if limit is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(limit)
    try:
        yield
    finally:
        torch.set_num_threads(before)
