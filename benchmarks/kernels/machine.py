"""What this machine can do at best, and what it is."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
SIZE = 1536  # of the square matrices
BYTES = 2**29  # read to measure the bandwidth
PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "scikit-activeml",
    "apricot-select",
    "submodlib-py",
    "small-text",
)


def limits(quick: bool = False) -> dict[str, float]:
    """Return GFlop/s of float32 matrix products with 1 and 2 threads, and GB/s of reading."""
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    size, read = (256, 2**24) if quick else (SIZE, BYTES)
    left = rng.standard_normal((size, size), dtype=np.float32)
    right = left.T.copy()
    found = {}
    for threads in (1, THREADS):
        with threadpool_limits(threads):
            seconds = _best(lambda: left @ right, 8)
        found[f"gflops_{threads}"] = 2.0 * size**3 / seconds / 1e9
    memory = np.ones(read // 4, dtype=np.float32)
    halves = np.split(memory, THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        # A maximum takes less time than the memory needs to deliver.
        seconds = _best(lambda: list(pool.map(np.max, halves)), 5)
    found["read_gb_per_second"] = read / seconds / 1e9
    return found


def _best(work: Any, repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def description() -> dict[str, Any]:
    """Return the processor, memory, system and versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    processor = platform.processor() or platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    total = [
        int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")
    ]
    return {
        "processor": processor,
        "threads": THREADS,
        "memory_gb": round(total[0] / 2**20, 1) if total else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
