"""`docs/benchmarks.md`, made from the records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.kernels import plots
from benchmarks.kernels.arrays import CENTRES, GROUP, SPREAD
from benchmarks.kernels.judge import (
    Results,
    best,
    least_seconds,
    measured_row,
    middle,
    slope,
    verdicts,
)
from benchmarks.kernels.rows import OURS, ROWS, least_work

HEAD = """# Speed and memory of the selection kernels

`make bench` writes this page: LabelTrain, a plain ten-line numpy reference and other libraries do
the same work on the same arrays, each run in a fresh process, in alternating order, in one go. One
row again: `python -m benchmarks.kernels --rows NAME` (`--list` names them); the other rows keep
their records in `benchmarks/results/kernels.json`.
"""
METHOD = f"""## How it is measured
- **Arrays**: float32, saved once, loaded by all sides. *Clustered*: {CENTRES} Gaussian blobs,
  normal centres, spread {SPREAD:g}; *isotropic*: one normal distribution. Where nothing is said:
  clustered. Probabilities: a softmax of random linear functions. 100 items are labelled for
  k-center, BADGE and margin, none for the others. Everything with seed 0.
- **Calls**: `labeltrain.select(...)`, checks of the arrays included. The plain loops read the pool
  once for every pick (`benchmarks/kernels/plain.py`). apricot and submodlib get similarities made
  by one matrix product and one exponential, which counts; they use their lazy optimizers.
  apricot compiles its loops in every call; here it does so once. On a graph of 64 neighbours they
  get a sparse matrix, made by blocks of products and a partition of each row, which counts, too.
- **Graphs**: the graph is part of the work, but for the greedy search alone: there each of 64
  neighbours is drawn from {GROUP:,} items, some more often than others, that lie anywhere in
  memory. *one-graph* is LabelTrain without parts: by how much the objective is lower in parts
  stands under the aims and the picks compared.
- **Seconds**: the fastest run, which ratios and aims are about, and the median. Runs above 30 s
  are made once. The first call, on 2,000 rows, is timed apart: there code is compiled or loaded.
- **Memory**: the highest resident memory during the work, from the kernel's record, minus what was
  resident before it, arrays and libraries included. *In all*: with arrays, libraries and the pages
  of memory-mapped files, whose content was in the page cache.
- **Limit**: what the method asks for (every distance to every pick once; every pair of items once)
  at the rate of a large float32 matrix product on two threads, or one pass over the arrays at the
  rate of reading memory, whichever takes longer; both measured just before the row, on a machine
  whose speed may double or halve within minutes: *times the limit* is a rough number, below 1 too.
  k-means has no fixed work, so TypiClust has only the pass.
- **Same picks**: k-center: by how much a pick is nearer than the farthest item at its time, at
  most, in float64. Facility location and MaxHerding: the objective in float64. BADGE: D² left
  after the last draw, in float64, means over seeds; the chi-square test of its law is in
  `tests/kernels/test_kernels_d2_sampling.py`.
"""


def write(results: Results, out: Path) -> None:
    """Write the page, and the pictures beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures = plots.draw(results, out.parent / "pictures")
    parts = [HEAD, _machine(results), "## Aims\n" + aims(results), _short(results)]
    for title, picture in pictures.items():
        parts.append(f"![{title}](pictures/{picture.name})\n")
    parts += ["## Everything measured\n" + _table(results), _checks(results), METHOD]
    out.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def aims(results: Results) -> str:
    """Return the table of aims."""
    lines = ["| work | aim | measured | met |", "|---|---|---|---|"]
    last = ""
    for verdict in verdicts(results):
        title = _row_title(results, verdict.row)
        met = {True: "yes", False: "**no**", None: "–"}[verdict.met]
        lines.append(
            f"| {title if title != last else ''} | {verdict.aim} | {verdict.shown} | {met} |"
        )
        last = title
    return "\n".join(lines) + "\n"


def _title(record: dict[str, Any]) -> str:
    row = measured_row(record)
    if row == ROWS[row.name]:
        return row.title
    return f"{row.title} (scaled: n={row.n:,}, k={row.k:,})"


def _row_title(results: Results, name: str) -> str:
    return _title(results[name]) if name in results else ROWS[name].title


def _machine(results: Results) -> str:
    if not results:
        return "Nothing has been measured yet.\n"
    records = list(results.values())
    dates = sorted({record["date"] for record in records})
    machine = records[-1]["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    others = sum(record["machine"] != machine for record in records)
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, {machine['memory_gb']} GB, "
        f"{machine['system']}; Python {machine['python']}, {versions}.",
        f"Measured {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}; "
        f"float32 matrix products {_span(records, 'gflops_2')} GFlop/s on two threads "
        f"({_span(records, 'gflops_1')} on one), reading {_span(records, 'read_gb_per_second')} "
        f"GB/s; load average before the rows {_loads(records)}.",
    ]
    if others:
        lines.append(f"{others} rows were measured on another machine or with other versions.")
    return "\n".join(lines) + "\n"


def _span(records: list[dict[str, Any]], name: str) -> str:
    values = [record["limits"][name] for record in records]
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def _loads(records: list[dict[str, Any]]) -> str:
    loads = [record["load_average"] for record in records]
    return f"{min(loads):.1f} to {max(loads):.1f}"


def _short(results: Results) -> str:
    """Say what falls short, and how far from the machine's limit we are there."""
    found = verdicts(results)
    missed = [verdict for verdict in found if verdict.met is False]
    unknown = [verdict for verdict in found if verdict.met is None]
    reached = sum(verdict.met is True for verdict in found)
    lines = ["## What falls short\n" + f"{reached} of {len(found)} aims are met."]
    for verdict in missed:
        record = results[verdict.row]
        if verdict.failed:
            lines.append(f"- **{_title(record)}**: aim {verdict.aim}: {verdict.shown}.")
            continue
        seconds, least = best(record["sides"][OURS]), least_seconds(record)
        lines.append(
            f"- **{_title(record)}**: aim {verdict.aim}, measured {verdict.shown}. It takes "
            f"{_seconds(seconds)}, {seconds / least:.1f} times the limit of {_seconds(least)} "
            f"({_limit(record)})."
        )
    for verdict in unknown:
        lines.append(f"- {_row_title(results, verdict.row)}: {verdict.aim}: {verdict.shown}.")
    return "\n".join(lines) + "\n"


def _limit(record: dict[str, Any]) -> str:
    operations, read = least_work(measured_row(record))
    limits = record["limits"]
    if operations / limits["gflops_2"] >= read / limits["read_gb_per_second"]:
        return f"{operations / 1e9:,.0f} GFlop at {limits['gflops_2']:.0f} GFlop/s"
    return f"{read / 1e9:.2g} GB read once at {limits['read_gb_per_second']:.0f} GB/s"


def _seconds(value: float) -> str:
    if value < 0.1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _table(results: Results) -> str:
    lines = [
        "| work | side | fastest | median (runs) | against LabelTrain | first call | memory above "
        "| in all | limit | times the limit |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in results.values():
        ours = record["sides"].get(OURS, {})
        for side, found in record["sides"].items():
            first = side == OURS
            title = _title(record) if first else ""
            if "seconds" not in found:
                why = found.get("missing") or found.get("failed")
                lines.append(f"| {title} | {side} | {why} | | | | | | | |")
                continue
            ratio = best(found) / best(ours) if "seconds" in ours else float("nan")
            least = least_seconds(record)
            lines.append(
                f"| {title} | {side} | {_seconds(best(found))} "
                f"| {_seconds(middle(found))} ({len(found['seconds'])}) "
                f"| {'' if first else f'{ratio:.1f}x the time'} | {_seconds(found['first_call'])} "
                f"| {found['memory'] / 1e6:,.0f} MB | {found['resident'] / 1e6:,.0f} MB "
                f"| {_seconds(least) if first else ''} "
                f"| {f'{best(found) / least:.1f}' if first else ''} |"
            )
    mapped = [name for name in results if name.startswith("mapped-")]
    text = "\n".join(lines) + "\n"
    if mapped:
        text += "\nMemory-mapped, slope of log seconds over log n: "
        strategies = dict.fromkeys(ROWS[name].strategy for name in mapped)
        slopes = [f"{strategy} {slope(results, strategy)[0]:.2f}" for strategy in strategies]
        text += ", ".join(slopes) + ". Highest anonymous memory: "
        peaks = [
            f"{ROWS[name].title.split(' x ')[0]} "
            f"{results[name]['sides'][OURS]['anonymous'] / 1e6:,.0f} MB"
            for name in mapped
            if "anonymous" in results[name]["sides"][OURS]
        ]
        text += ", ".join(peaks) + ".\n"
    return text


def _checks(results: Results) -> str:
    """Say what the comparison of picks found."""
    lines = []
    for record in results.values():
        found, title = record["checks"], _title(record)
        if "shortfall" in found:
            far = ", ".join(f"{side} {value:.1e}" for side, value in found["shortfall"].items())
            same = ", ".join(f"{side} {count:,}" for side, count in found["same_picks"].items())
            lines.append(
                f"- {title}: a pick is nearer than the farthest item by at most, relatively: "
                f"{far}. Of {found['of']:,} picks, the same in the same place as ours: {same}."
            )
        if "values" in found:
            values = ", ".join(f"{side} {value:.9f}" for side, value in found["values"].items())
            lines.append(f"- {title}: objective: {values}.")
        if "potentials" in found:
            left = ", ".join(
                f"{side} {value:.6g} ({found['seeds'][side]} seeds)"
                for side, value in found["potentials"].items()
            )
            lines.append(f"- {title}: D² left after the last draw: {left}.")
    return "### Picks compared\n" + "\n".join(lines) + "\n" if lines else ""
