"""One measurement in a process of its own: ``python -m benchmarks.kernels.child JOB.json``.

The job says which side does what on which files; the answer, and the picks, are written beside it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

THREADS = 2
if hasattr(os, "sched_setaffinity"):  # every side gets as many cores, whatever it counts by
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

import numpy as np
from benchmarks.kernels import arrays as data_arrays
from benchmarks.kernels import labeltrain_side, machine, peers, plain
from benchmarks.kernels.memory import Peak

SMALL = 2000  # rows of the warm-up, in which code is compiled


def side_of(name: str) -> Callable[..., plain.Work] | None:
    """Return what does the work of a side, or None where its library is not installed."""
    if name == "labeltrain":
        return labeltrain_side.side
    if name == "one-graph":
        return labeltrain_side.on_one_graph
    if name == "plain":
        return plain.side
    if importlib.util.find_spec(peers.PACKAGES[name]) is None:
        return None
    return peers.SIDES[name]


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run one side once, after a warm-up on a few rows."""
    side = side_of(job["side"])
    if side is None:
        return {"missing": f"{job['side']} is not installed"}
    settings = job["settings"]
    arrays = data_arrays.load(job["files"], settings["n"], settings["mapped"])
    few = {name: np.array(array[:SMALL]) for name, array in arrays.items()}
    started = time.perf_counter()
    k = min(settings["k"], 50, min(map(len, few.values())) // 4)
    side(job["strategy"], few, {**settings, "k": k, "labelled": min(settings["labelled"], 50)})()
    first_call = time.perf_counter() - started
    del few
    work = side(job["strategy"], arrays, settings)
    with Peak() as peak:
        started, busy = time.perf_counter(), time.process_time()
        picks = work()
        seconds = time.perf_counter() - started
        busy = time.process_time() - busy
    np.save(job["picks"], np.asarray(picks, dtype=np.int64))
    for seed in range(1, job["more_seeds"] + 1):
        more = side(job["strategy"], arrays, {**settings, "seed": seed})()
        np.save(f"{job['picks'].removesuffix('.npy')}-{seed}.npy", np.asarray(more, np.int64))
    return {
        "seconds": seconds,
        "processor_seconds": busy,
        "first_call": first_call,
        "before": peak.before,
        "peak": peak.after,
        "exact_peak": peak.exact,
    }


def main() -> None:
    """Read the job, do it, write the answer."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    answer = machine.limits(job["quick"]) if job.get("limits") else measure(job)
    path.with_suffix(".answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
