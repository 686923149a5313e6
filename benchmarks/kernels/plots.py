"""The pictures of the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.kernels.judge import Results, middle, slope
from benchmarks.kernels.rows import ROWS

COLOURS = {
    "labeltrain": "#1b6ca8",
    "plain": "#9a9a9a",
    "scikit-activeml": "#d1495b",
    "apricot": "#edae49",
    "submodlib": "#66a182",
    "small-text": "#8d6a9f",
    "one-graph": "#5f8fb0",
}


def draw(results: Results, folder: Path) -> dict[str, Path]:
    """Draw what there are records for, and return the files by their titles."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    compared = {
        name: record
        for name, record in results.items()
        if sum("seconds" in side for side in record["sides"].values()) > 1
    }
    if compared:
        drawn["Seconds beside other libraries"] = _bars(compared, folder / "benchmark-seconds.png")
    mapped = {
        strategy: points
        for strategy in ("margin", "k-center", "badge")
        if len(points := slope(results, strategy)[1]) > 1
    }
    if mapped:
        path = folder / "benchmark-slope.png"
        drawn["Seconds over the size of a memory-mapped pool"] = _lines(results, mapped, path)
    return drawn


def _bars(records: Results, path: Path) -> Path:
    from matplotlib import pyplot

    labels, ticks, place, seen = [], [], 0.0, set()
    total = sum(len(record["sides"]) + 1 for record in records.values())
    figure, axes = pyplot.subplots(figsize=(9.0, 0.8 + 0.19 * total), layout="constrained")
    for name, record in records.items():
        start = place
        for side, found in record["sides"].items():
            if "seconds" not in found:
                continue
            value = middle(found)
            shown = "plain numpy" if side == "plain" else side
            label = None if side in seen else shown
            seen.add(side)
            axes.barh(place, value, height=0.85, color=COLOURS[side], label=label)
            axes.text(value * 1.08, place, f"{value:.3g} s", va="center", fontsize=7)
            place += 1.0
        labels.append(ROWS[name].title)
        ticks.append((start + place - 1.0) / 2)
        place += 0.7
    axes.set_xscale("log")
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.01)
    axes.set_xlabel("seconds (median, log scale)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower center", ncols=6, bbox_to_anchor=(0.3, 1.0))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


def _lines(results: Results, mapped: dict[str, list[tuple[int, float]]], path: Path) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.0, 4.0), layout="constrained")
    for strategy, points in mapped.items():
        n, seconds = np.array(points, dtype=np.float64).T
        fitted = slope(results, strategy)[0]
        (drawn,) = axes.plot(n, seconds, "o", label=f"{strategy}: slope {fitted:.2f}")
        level = np.exp(np.mean(np.log(seconds)) - fitted * np.mean(np.log(n)))
        axes.plot(n, level * n**fitted, "-", color=drawn.get_color(), linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({n for points in mapped.values() for n, _ in points})
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.minorticks_off()
    axes.set_xlabel("items, 256 float32 features each, memory-mapped")
    axes.set_ylabel("seconds (fastest run)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path
