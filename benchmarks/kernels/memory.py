"""Peak resident memory of this process during a piece of work (Linux)."""

from __future__ import annotations

import ctypes
import gc
import threading
from pathlib import Path
from types import TracebackType

STATUS = Path("/proc/self/status")
PERIOD = 0.005  # seconds between two looks


def now() -> dict[str, int]:
    """Return bytes: resident, its highest value so far, anonymous and mapped from files."""
    names = {"VmRSS": "resident", "VmHWM": "highest", "RssAnon": "anonymous", "RssFile": "mapped"}
    lines = (line.split() for line in STATUS.read_text().splitlines())
    found = {parts[0].rstrip(":"): parts for parts in lines if parts}
    return {new: int(found[old][1]) * 1024 for old, new in names.items() if old in found}


class Peak:
    """Watch memory inside a ``with`` block.

    Attributes
    ----------
    before, after : dict
        What :func:`now` said; `after` has the peaks of resident, anonymous and mapped memory.
    """

    def __enter__(self) -> Peak:
        gc.collect()
        try:
            # What a warm-up has left in the heap must not hide what the work needs.
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the highest value starts anew
            self.exact = True
        except OSError:
            self.exact = False  # ru_maxrss would tell the parent's peak too, so looks must do
        self.before = now()
        self.after = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        seen = now()
        for name in ("resident", "anonymous", "mapped"):
            self.after[name] = max(self.after[name], seen[name])
        if self.exact:  # the kernel's own record misses no short peak
            self.after["resident"] = max(self.after["resident"], seen["highest"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
