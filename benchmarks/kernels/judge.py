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
    """One aim beside what was measured; `value` is None where a side is missing or failed."""

    row: str
    target: Target
    aim: str
    value: float | None
    shown: str
    failed: bool = False  # our own side did not get through

    @property
    def met(self) -> bool | None:
        """Return whether the aim is reached."""
        if self.failed:
            return False
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
    """Judge all aims there are: of rows that were not run, or failed, too."""
    return [_judge(results, name, target) for name, row in ROWS.items() for target in row.targets]


def _judge(results: Results, name: str, target: Target) -> Verdict:
    ours = results[name]["sides"].get(OURS, {}) if name in results else {}
    if "seconds" not in ours:
        return Verdict(name, target, _aim(target), None, _why(ours), failed="failed" in ours)
    value, shown = _measured(results, name, target)
    return Verdict(name, target, _aim(target), value, shown)


def _aim(target: Target) -> str:
    """Return the aim in words."""
    bound = target.bound
    return {
        "faster": f"{bound:g}x faster than {_called(target.against)}",
        "smaller": f"1/{bound:g} of the memory of {_called(target.against)}",
        "seconds": f"under {bound:g} s",
        "memory": f"under {bound / 1e9:g} GB above the arrays",
        "resident": f"under {bound / 1e9:g} GB resident in all",
        "slope": f"seconds linear in n (slope of the logs at most {bound:g})",
        "greedy": f"each pick is the farthest item, but for ties (within {bound:g})",
        "law": f"same law (mean D² left: within {bound:g} standard errors)",
        "value": f"same value (at most {bound:g} below)",
    }[target.measure]


def _measured(results: Results, name: str, target: Target) -> tuple[float | None, str]:
    """Return what was measured, as a number and in words."""
    record = results[name]
    ours, other = record["sides"][OURS], record["sides"].get(target.against, {})
    if target.measure in ("faster", "smaller"):
        if "seconds" not in other:
            return None, _why(other)
        if target.measure == "faster":
            ratio = best(other) / best(ours)
            return ratio, f"{ratio:.1f}x"
        ratio = other["memory"] / max(ours["memory"], 1)
        return ratio, f"1/{ratio:.1f}"
    if target.measure == "seconds":
        return best(ours), f"{best(ours):.1f} s"
    if target.measure in ("memory", "resident"):
        return float(ours[target.measure]), f"{ours[target.measure] / 1e9:.2f} GB"
    if target.measure == "slope":
        fitted, points = slope(results, ROWS[name].strategy)
        return fitted if len(points) > 2 else None, f"{fitted:.2f} over {len(points)} sizes"
    value = record["checks"].get(target.measure)
    return value, "not compared" if value is None else f"{value:.2g}"


def _called(side: str) -> str:
    return "the plain loop" if side == "plain" else side


def _why(side: dict[str, Any]) -> str:
    return str(side.get("missing") or side.get("failed") or "not run")
