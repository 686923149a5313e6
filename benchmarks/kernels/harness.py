"""Run rows: every measurement in a fresh process, sides in alternating order, and keep results."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.kernels import arrays as data_arrays
from benchmarks.kernels import checks, machine
from benchmarks.kernels.rows import ROWS, Row

LONG = 30.0  # seconds; longer runs are not repeated
ROOT = Path(__file__).parents[2]
PATIENCE = 3600  # seconds until a run counts as failed


def run_row(row: Row, folder: Path, repeats: int | None = None) -> dict[str, Any]:
    """Measure all sides of a row and return its record."""
    paths = data_arrays.make(row.data, folder)
    quick = row.n < ROWS[row.name].n  # a trial
    limits = _child({"limits": True, "quick": quick}, folder / "limits.json")
    sides: dict[str, list[dict[str, Any]]] = {side: [] for side in row.sides}
    picks: checks.Picks = {}
    for turn in range(row.repeats if repeats is None else repeats):
        order = row.sides if turn % 2 == 0 else row.sides[::-1]
        for side in order:
            runs = sides[side]
            if runs and ("seconds" not in runs[0] or runs[0]["seconds"] > LONG):
                continue
            answer = _measure(row, side, turn, paths, folder)
            runs.append(answer)
            said = f"{answer['seconds']:.3f} s" if "seconds" in answer else str(answer)[:2000]
            print(f"  {row.name}, {side}: {said}", flush=True)
            if turn == 0 and "seconds" in answer:
                picks[side] = [np.load(path) for path in _picks(row, side, folder)]
    found = {}
    if row.check and len(picks) > 1:
        arrays = data_arrays.load({name: str(path) for name, path in paths.items()}, row.n, True)
        found = checks.check(row, arrays, picks)
    return {
        "row": asdict(row),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine.description(),
        "limits": limits,
        "load_average": os.getloadavg()[0],
        "sides": {side: _summary(runs) for side, runs in sides.items()},
        "checks": found,
    }


def _picks(row: Row, side: str, folder: Path) -> list[Path]:
    first = folder / f"{row.name}-{side}-picks.npy"
    seeds = [folder / f"{first.stem}-{seed}.npy" for seed in range(1, row.more_seeds + 1)]
    return [path for path in [first, *seeds] if path.exists()]


def _measure(
    row: Row, side: str, turn: int, paths: dict[str, Path], folder: Path
) -> dict[str, Any]:
    many = row.more_seeds if turn == 0 and side in ("labeltrain", "plain") else 0
    job = {
        "side": side,
        "strategy": row.strategy,
        "files": {name: str(path) for name, path in paths.items()},
        "picks": str(folder / f"{row.name}-{side}-picks.npy"),
        "more_seeds": many,
        "settings": {
            "n": row.n,
            "k": row.k,
            "labelled": row.labelled,
            "mapped": row.mapped,
            "seed": 0,
            "parameters": row.parameters,
        },
    }
    return _child(job, folder / "job.json")


def _child(job: dict[str, Any], path: Path) -> dict[str, Any]:
    answer = path.with_suffix(".answer.json")
    answer.unlink(missing_ok=True)
    path.write_text(json.dumps(job))
    threads = str(machine.THREADS)
    environment = dict(os.environ)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        environment[f"{name}_NUM_THREADS"] = threads
    command = [sys.executable, "-m", "benchmarks.kernels.child", str(path)]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {PATIENCE} s"}
    if not answer.exists():
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        if "limits" in job:
            raise RuntimeError("\n".join(lines))
        print(done.stderr[-3000:], file=sys.stderr)
        return {"failed": lines[-1]}
    return json.loads(answer.read_text())


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return seconds of each run, and the highest memory of all."""
    timed = [run for run in runs if "seconds" in run]
    if not timed:
        return {key: runs[0][key] for key in ("missing", "failed") if key in runs[0]}
    return {
        "seconds": [run["seconds"] for run in timed],
        "processor_seconds": min(run["processor_seconds"] for run in timed),
        "first_call": max(run["first_call"] for run in timed),
        "memory": max(run["peak"]["resident"] - run["before"]["resident"] for run in timed),
        "resident": max(run["peak"]["resident"] for run in timed),
        "anonymous": max(run["peak"]["anonymous"] for run in timed),
        "exact_peak": all(run["exact_peak"] for run in timed),
    }


def load_results(path: Path) -> dict[str, Any]:
    """Return earlier records, by row."""
    return json.loads(path.read_text()) if path.exists() else {}


def save_results(path: Path, results: dict[str, Any]) -> None:
    """Write all records, in place of the old ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    temporary.replace(path)
