"""What seconds are measured by: the clock on the wall, or the time of the processor."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

WALL, PROCESSOR = "wall", "processor"
CLOCKS: dict[str, Callable[[], float]] = {WALL: time.perf_counter, PROCESSOR: time.process_time}
_clock: ContextVar[str] = ContextVar("clock", default=WALL)


def seconds() -> float:
    """Return the reading of the clock in force; only differences mean anything."""
    return CLOCKS[_clock.get()]()


@contextlib.contextmanager
def counted_by(clock: str) -> Iterator[None]:
    """Measure inside by a clock of :data:`CLOCKS`.

    Parameters
    ----------
    clock : {"wall", "processor"}
        "processor" counts what this process computes, all its threads together: it does not see
        what else a machine does, nor waiting, nor a GPU.

    Examples
    --------
    >>> import time
    >>> from labeltrain.kernels.clock import counted_by, seconds
    >>> with counted_by("processor"):
    ...     before = seconds()
    ...     time.sleep(0.2)
    ...     seconds() - before < 0.1
    True
    """
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)
