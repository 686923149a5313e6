"""What the records say about the aims."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.kernels.arrays import Data
from benchmarks.kernels.rows import OURS, ROWS, Row, Target, least_work

Results = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One aim beside what was measured; `value` is None where a side is missing."""

    row: str
    target: Target
    aim: str
    value: float | None
    shown: str

    @property
    def met(self) -> bool | None:
        """Return whether the aim is reached."""
        if self.value is None:
            return None
        if self.target.measure in ("faster", "smaller"):
            return self.value >= self.target.bound
        return self.value <= self.target.bound


def best(side: dict[str, Any]) -> float:
    """Return the seconds of the fastest run."""
    return min(side["seconds"])


def middle(side: dict[str, Any]) -> float:
    """Return the median of the seconds."""
    return statistics.median(side["seconds"])


def measured_row(record: dict[str, Any]) -> Row:
    """Return the row as it was run, which may be a scaled one."""
    kept = record["row"]
    row = ROWS[kept["name"]]
    data = Data(**kept["data"])
    return Row(
        **{**vars(row), **{name: kept[name] for name in ("n", "k", "labelled")}, "data": data}
    )


def least_seconds(record: dict[str, Any]) -> float:
    """Return what the work takes at the machine's measured best, products and reading apart."""
    operations, read = least_work(measured_row(record))
    limits = record["limits"]
    products = operations / (limits["gflops_2"] * 1e9)
    return max(products, read / (limits["read_gb_per_second"] * 1e9))


def slope(results: Results, strategy: str) -> tuple[float, list[tuple[int, float]]]:
    """Return the slope of log seconds over log n of the memory-mapped rows, and the points."""
    points = [
        (record["row"]["n"], best(record["sides"][OURS]))
        for name, record in results.items()
        if name.startswith(f"mapped-{strategy}-") and "seconds" in record["sides"][OURS]
    ]
    points.sort()
    if len(points) < 2 or points[0][0] == points[-1][0]:
        return float("nan"), points
    n, seconds = np.log(np.array(points, dtype=np.float64)).T
    return float(np.polyfit(n, seconds, 1)[0]), points


def verdicts(results: Results) -> list[Verdict]:
    """Judge all aims of the rows that have a record."""
    return [
        _judge(results, name, target)
        for name, record in results.items()
        if "seconds" in record["sides"].get(OURS, {})
        for target in ROWS[name].targets
    ]


def _judge(results: Results, name: str, target: Target) -> Verdict:
    record = results[name]
    sides, bound = record["sides"], target.bound
    ours = sides[OURS]
    other = sides.get(target.against, {})
    value: float | None = None
    if target.measure == "faster":
        aim = f"{bound:g}x faster than {_called(target.against)}"
        if "seconds" in other:
            value = best(other) / best(ours)
        shown = f"{value:.1f}x" if value is not None else _why(other)
    elif target.measure == "smaller":
        aim = f"1/{bound:g} of the memory of {_called(target.against)}"
        if "seconds" in other:
            value = other["memory"] / max(ours["memory"], 1)
        shown = f"1/{value:.1f}" if value is not None else _why(other)
    elif target.measure == "seconds":
        value = best(ours)
        aim, shown = f"under {bound:g} s", f"{value:.1f} s"
    elif target.measure in ("memory", "resident"):
        value = float(ours[target.measure])
        where = "above the arrays" if target.measure == "memory" else "resident in all"
        aim, shown = f"under {bound / 1e9:g} GB {where}", f"{value / 1e9:.2f} GB"
    elif target.measure == "slope":
        fitted, points = slope(results, ROWS[name].strategy)
        value = fitted if len(points) > 2 else None
        aim = f"seconds linear in n (slope of the logs at most {bound:g})"
        shown = f"{fitted:.2f} over {len(points)} sizes"
    else:
        value = record["checks"].get(target.measure)
        aim = {
            "greedy": f"each pick is the farthest item, but for ties (within {bound:g})",
            "law": f"same law (mean D² left: within {bound:g} standard errors)",
            "value": f"same value (at most {bound:g} below)",
        }[target.measure]
        shown = "not compared" if value is None else f"{value:.2g}"
    return Verdict(name, target, aim, value, shown)


def _called(side: str) -> str:
    return "the plain loop" if side == "plain" else side


def _why(side: dict[str, Any]) -> str:
    return str(side.get("missing") or side.get("failed") or "not run")
