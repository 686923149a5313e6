"""What designs save when prompts are chosen for fine-tuning.

    python benchmarks/sft_designs.py runs/sft [--cells FILE] [--plot FILE]
    python benchmarks/sft_designs.py studies/results/sft/cells.jsonl [--plot FILE]

Reads a study, or the cells of one that were kept with `--cells`, and prints tables in Markdown:

- `random`: the mean over tasks of the NLL of held-out answers by number of answers, those with
  answers dealt out anew within their tasks beside it (what the form of answers alone gives), in all
  and of each task;
- of every stage with one budget and several designs, with what others have of its seeds: all, best
  first;
- of every stage with several budgets and designs, with what other stages have of its seeds: the
  designs at each, and their differences from random with the same seeds; the design at N against
  random at the next budget; label saving at random's score with as many as the design went to; how
  many seeds would show a gain as large as that of doubling random's labels; and the NLL and the
  answers of each task at one budget.

Intervals are 95 %: t intervals of paired differences, not corrected for their number; label saving
as in reports, but of the NLL, where reports take the likelihood. Means are over all seeds that a
design has, differences over those that random has too; so many are said where they are fewer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labeltrain.metrics import label_saving, t_interval

RANDOM, UNTUNED, ALONE = "random", "untuned", "examples alone"
POWER, LEVEL = 0.8, 0.05
FORM = f"{RANDOM}(answers shuffled)"


class Cell(NamedTuple):
    """One training."""

    stages: list[str]
    design: str
    budget: int
    seed: int
    macro: dict[str, float]  # mean over tasks
    nll: dict[str, float]  # by task
    tasks: dict[str, int]  # answers of each
    tflop: float  # to train
    seconds: dict[str, float]

    def score(self, metric: str) -> float:
        """Return a mean over tasks."""
        return self.macro[metric]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a workspace, or a file of cells")
    parser.add_argument("--cells", type=Path, help="write a line of JSON for each cell")
    parser.add_argument("--plot", type=Path, help="a picture of the curves")
    options = parser.parse_args()
    cells = read(options.source)
    print("\n".join(markdown(cells)).strip())
    if options.cells:
        text = "".join(json.dumps(cell._asdict()) + "\n" for cell in cells)
        options.cells.parent.mkdir(parents=True, exist_ok=True)
        options.cells.write_text(text, encoding="utf-8")
    if options.plot:
        draw(cells, options.plot)


def read(source: Path) -> list[Cell]:
    """Return the cells of a workspace, or of a file of them."""
    if not source.is_dir():
        return [Cell(**json.loads(t)) for t in source.read_text(encoding="utf-8").splitlines()]
    from labeltrain.sft import cells, study
    from labeltrain.sft.study_spec import parsed_spec
    from labeltrain.sft.workspace import PromptWorkspace

    with PromptWorkspace.open(source, read_only=True) as workspace:
        body = study.spec_of(workspace)
        if body is None:
            raise SystemExit(f"{source} holds no study")
        spec = parsed_spec(body)
        held = study.cells_of(workspace)
        stages: dict[str, list[str]] = {UNTUNED: []}  # of cells that some stage has
        for stage in spec.stages:
            for one in study.designs_of(workspace, spec, stage):
                for budget in stage.budgets:
                    for seed in stage.seeds:
                        key = cells.Cell(one, budget, seed, stage.target).key
                        if key in held:
                            stages.setdefault(key, []).append(stage.name)
            if stage.target is not None:
                for seed in stage.seeds:
                    stages.setdefault(cells.alone_key(stage.target, seed), [])
    return [_cell(one, stages[key]) for key, one in held.items() if key in stages]


def _cell(body: dict[str, Any], stages: list[str]) -> Cell:
    train = body.get("train", {})
    return Cell(
        stages,
        body["design"],
        body["budget"],
        body["seed"],
        {name: round(value, 5) for name, value in body["macro"].items()},
        {name: round(value, 4) for name, value in body["by_task"]["nll"].items()},
        body.get("tasks", {}),
        round(train.get("flops", 0.0) / 1e12, 3),
        {
            "train": round(train.get("seconds", 0.0), 1),
            "select": round(body.get("select_seconds", 0.0), 3),
            "evaluate": round(body["evaluate_seconds"], 1),
        },
    )


def markdown(cells: Sequence[Cell]) -> list[str]:
    """Return the tables."""
    stages = list(dict.fromkeys(stage for cell in cells for stage in cell.stages))
    text = [*gate(cells), *form(cells)]
    told: list[list[Cell]] = []
    for stage in stages:
        mine = [cell for cell in cells if stage in cell.stages]
        designs = {cell.design for cell in mine}
        budgets = {cell.budget for cell in mine}
        mine = _together(cells, stage, None if len(budgets) > 1 else budgets)
        if len({cell.design for cell in mine}) < 2 or mine in told:
            continue
        told.append(mine)
        if len(budgets) > 1 and len(designs) > 1:
            text += [*curves(mine), *ahead(mine), *saving(mine), *power(mine), *by_task(mine)]
        elif len(budgets) == 1 and len(designs) > 2:
            text += screen(mine)
    return text


def _together(
    cells: Sequence[Cell], stage: str, budgets: Container[int] | None = None
) -> list[Cell]:
    """Return the cells of a stage, and those of other stages that have its seeds."""
    seeds = {cell.seed for cell in cells if stage in cell.stages}
    return [
        cell for cell in cells
        if stage in cell.stages
        or (
            cell.seed in seeds
            and cell.design != ALONE
            and (budgets is None or cell.budget in budgets)
        )
    ]  # fmt: skip


def gate(cells: Sequence[Cell]) -> list[str]:
    """Return how far random sampling goes."""
    text = _head("Random answers", "NLL", "seeds", "exact match, %", "choice accuracy, %")
    for name in (UNTUNED, ALONE, FORM, RANDOM):
        for budget in sorted({cell.budget for cell in cells if cell.design == name}):
            mine = _at(cells, name, budget)
            scores = _scores(mine, "nll")
            spread = f" ± {_error(scores):.3f}" if len(scores) > 1 else ""
            titles = {UNTUNED: "none", ALONE: "none but the target's examples", RANDOM: f"{budget}"}
            title = titles.get(name, f"{budget}, dealt out anew")
            text.append(
                f"| {title} | {scores.mean():.3f}{spread} | {len(scores)} | "
                f"{_percent(mine, 'exact_match')} | {_percent(mine, 'choice_accuracy')} |"
            )
    return text


def form(cells: Sequence[Cell]) -> list[str]:
    """Return what the form of answers teaches of each task, and what they say beside it."""
    shuffled = [cell for cell in cells if cell.design == FORM]
    if not shuffled:
        return []
    seeds, many = {cell.seed for cell in shuffled}, max(cell.budget for cell in shuffled)
    rows = {
        "untuned": [cell for cell in cells if cell.design == UNTUNED],
        **{
            f"{budget} random": [c for c in _at(cells, RANDOM, budget) if c.seed in seeds]
            for budget in sorted({c.budget for c in cells if c.design == RANDOM})
            if seeds <= {c.seed for c in _at(cells, RANDOM, budget)}
        },
        f"{many}, dealt out anew": _at(shuffled, FORM, many),
    }
    tasks = sorted({task for cell in shuffled for task in cell.nll})
    text = _head("NLL", *tasks, "mean")
    for name, mine in rows.items():
        each = (f"{np.mean([cell.nll[task] for cell in mine]):.2f}" for task in tasks)
        text.append(f"| {name} | {' | '.join(each)} | {_mean(mine, 'nll'):.3f} |")
    return text


def fall(cells: Sequence[Cell], few: int, many: int, other: str = RANDOM) -> tuple[float, float]:
    """Return by how much the NLL falls within seeds, and in standard errors.

    Parameters
    ----------
    few, many : int
        Numbers of answers, of random at the end.
    other : str
        The design with few.
    """
    first, last = _paired(cells, (other, few), (RANDOM, many))
    gaps = first - last
    return float(gaps.mean()), float(gaps.mean() / _error(gaps))


def screen(cells: Sequence[Cell]) -> list[str]:
    """Return the designs at one budget, best first."""
    (budget,) = {cell.budget for cell in cells}
    held = {
        name: {c.seed: c for c in cells if c.design == name}
        for name in dict.fromkeys(cell.design for cell in cells)
    }
    ordered = sorted(held, key=lambda name: _mean(held[name].values(), "nll"))
    seeds = sorted({cell.seed for cell in cells})
    shown = (f"seed {seed}" for seed in seeds)
    text = _head(f"{budget} answers", "NLL", *shown, "exact match, %", "choice accuracy, %")
    for name in ordered:
        mine = held[name]
        each = (f"{mine[s].score('nll'):.3f}" if s in mine else "" for s in seeds)
        text.append(
            f"| {name} | {_mean(mine.values(), 'nll'):.3f} | {' | '.join(each)} | "
            f"{_percent(mine.values(), 'exact_match')} | "
            f"{_percent(mine.values(), 'choice_accuracy')} |"
        )
    return text


def curves(cells: Sequence[Cell]) -> list[str]:
    """Return the designs at each budget, and their differences from random."""
    budgets = sorted({cell.budget for cell in cells})
    text = _head("NLL with", *(f"{budget} answers" for budget in budgets))
    for name in _ordered(cells):
        row = []
        for budget in budgets:
            mine, other = _paired(cells, (name, budget), (RANDOM, budget))
            has = _at(cells, name, budget)
            fewer = f", {len(mine)} seeds" if len(mine) < len(_at(cells, RANDOM, budget)) else ""
            if not has:
                row.append("")
            elif name == RANDOM or not len(mine):
                row.append(f"{_mean(has, 'nll'):.3f}")
            else:
                row.append(f"{_mean(has, 'nll'):.3f}, {_interval(mine - other)}{fewer}")
        text.append(f"| {name} | {' | '.join(row)} |")
    return text


def ahead(cells: Sequence[Cell]) -> list[str]:
    """Return each design against random with the next larger number of answers."""
    steps = list(_steps(cells))
    text = _head(
        "NLL above random's (negative: as good with less)",
        *(f"{few} against {many}" for few, many in steps),
    )
    for name in _ordered(cells):
        row = []
        for few, many in steps:
            mine, other = _paired(cells, (name, few), (RANDOM, many))
            row.append(_interval(mine - other) if len(mine) else "")
        text.append(f"| {name} | {' | '.join(row)} |")
    return text


def saving(cells: Sequence[Cell]) -> list[str]:
    """Return the share of labels that designs save, over the budgets that they went to."""
    text = _head("Design", "for the score of so many random answers", "it needs", "saved")
    for name in _ordered(cells):
        budgets = sorted({cell.budget for cell in cells if cell.design == name})
        held = {
            design: [
                {c.seed: c.score("nll") for c in _at(cells, design, budget)} for budget in budgets
            ]
            for design in (name, RANDOM)
        }
        common = sorted(set.intersection(*(set(one) for row in held.values() for one in row)))
        if name == RANDOM or len(budgets) < 2 or not common:
            continue
        mine, other = (
            -np.array([[one[seed] for one in held[design]] for seed in common])
            for design in (name, RANDOM)
        )
        (found,) = label_saving(
            np.array(budgets),
            mine,
            other,
            shares=[1.0],
        )
        need = "not reached" if found.status == "never" else f"{found.labels_method:.0f}"
        value = f"below {found.bound:.0%}" if found.status == "never" else ""
        if found.value is not None:
            value = f"{found.value:.0%}"
        elif found.status == "at_start":
            value, need = f"at least {found.bound:.0%}", f"at most {budgets[0]}"
        # No limit at all: not one resample of the seeds reaches the score.
        if found.low is not None and found.high is not None and found.low < found.high:
            low = "…" if np.isneginf(found.low) else f"{found.low:.0%}"
            high = "…" if np.isposinf(found.high) else f"{found.high:.0%}"
            value += f" ({low} to {high})"
        text.append(f"| {name} | {budgets[-1]} | {need} | {value} |")
    return text


def power(cells: Sequence[Cell]) -> list[str]:
    """Return how many seeds show half of what doubling random's answers gives."""
    text = _head(
        "Answers", "NLL that twice as many give random", "spread of paired differences",
        "seeds to find all of it", "half", "a quarter",
    )  # fmt: skip
    for few, many in _steps(cells):
        if many != 2 * few:
            continue
        now, then = _paired(cells, (RANDOM, few), (RANDOM, many))
        gain = float((now - then).mean())
        spreads = []
        for name in _ordered(cells):
            mine, other = _paired(cells, (name, few), (RANDOM, few))
            if name != RANDOM and len(mine) > 1:
                spreads.append(float((mine - other).std(ddof=1)))
        if not spreads or gain <= 0:
            continue
        spread = float(np.sqrt(np.mean(np.square(spreads))))
        seeds = (f"{seeds_for(share * gain, spread)}" for share in (1.0, 0.5, 0.25))
        text.append(f"| {few} | {gain:.3f} | {spread:.3f} | {' | '.join(seeds)} |")
    return text


def by_task(cells: Sequence[Cell]) -> list[str]:
    """Return the NLL of each task, and the answers that are spent on it, at the middle budget."""
    budgets = [
        budget for budget in sorted({cell.budget for cell in cells})
        if len({cell.design for cell in cells if cell.budget == budget}) > 1
    ]  # fmt: skip
    middle = [cell for cell in cells if cell.budget == budgets[len(budgets) // 2]]
    tasks = sorted({task for cell in middle for task in cell.nll})
    text = _head(f"NLL (answers) of {middle[0].budget}", *tasks)
    for name in _ordered(middle):
        mine = [cell for cell in middle if cell.design == name]
        row = []
        for task in tasks:
            nll = np.mean([cell.nll[task] for cell in mine])
            row.append(f"{nll:.2f} ({np.mean([cell.tasks.get(task, 0) for cell in mine]):.1f})")
        text.append(f"| {name} | {' | '.join(row)} |")
    return text


def seeds_for(gap: float, spread: float) -> int:
    """Return how many paired seeds find a difference four times of five, by a t test at 5 %.

    Examples
    --------
    >>> seeds_for(0.05, 0.05)
    10
    """
    low, high = 1, 2
    while _found(gap / spread, high) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _found(gap / spread, middle) >= POWER else (middle, high)
    return high


def _found(size: float, seeds: int) -> float:
    """Return how probably a paired t test finds a difference of so many of its spreads."""
    from scipy.stats import nct, t

    limit, moved = t.ppf(1 - LEVEL / 2, seeds - 1), size * np.sqrt(seeds)
    return float(nct.sf(limit, seeds - 1, moved) + nct.cdf(-limit, seeds - 1, moved))


def _steps(cells: Sequence[Cell]) -> Iterator[tuple[int, int]]:
    budgets = sorted({cell.budget for cell in cells})
    yield from pairwise(budgets)


def _ordered(cells: Sequence[Cell]) -> list[str]:
    """Return the designs: random first, then by their mean over all cells."""
    names = {cell.design for cell in cells}
    return sorted(
        names,
        key=lambda name: (name != RANDOM, _mean([c for c in cells if c.design == name], "nll")),
    )


def _at(cells: Sequence[Cell], design: str, budget: int) -> list[Cell]:
    return [cell for cell in cells if (cell.design, cell.budget) == (design, budget)]


def _paired(
    cells: Sequence[Cell], one: tuple[str, int], other: tuple[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the NLL of two designs on the seeds that both have."""
    first = {cell.seed: cell.score("nll") for cell in _at(cells, *one)}
    second = {cell.seed: cell.score("nll") for cell in _at(cells, *other)}
    common = sorted(set(first) & set(second))
    return np.array([first[s] for s in common]), np.array([second[s] for s in common])


def _scores(cells: Sequence[Cell], metric: str) -> np.ndarray:
    return np.array([cell.score(metric) for cell in cells])


def _mean(cells: Any, metric: str) -> float:
    return float(np.mean([cell.score(metric) for cell in cells]))


def _percent(cells: Iterable[Cell], metric: str) -> str:
    """Return the mean over cells in percent; nothing where a study did not measure it."""
    values = [cell.macro[metric] for cell in cells if metric in cell.macro]
    return f"{100 * np.mean(values):.1f}" if values else ""


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _interval(gaps: np.ndarray) -> str:
    found = t_interval(gaps)
    shown = f"{gaps.mean():+.3f}"
    return shown if found is None else f"{shown} ({found[0]:+.3f} to {found[1]:+.3f})"


def _head(*cells: str) -> list[str]:
    return ["", f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Draw the mean curves of the stages with several designs and budgets, a seed a thin line."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mine: list[Cell] = []
    for stage in dict.fromkeys(stage for cell in cells for stage in cell.stages):
        some = [cell for cell in cells if stage in cell.stages]
        if len({c.budget for c in some}) > 1 and len({c.design for c in some}) > 1:
            mine += [cell for cell in _together(cells, stage) if cell not in mine]
    figure, ax = plt.subplots(figsize=(7, 4.4))
    for i, name in enumerate(_ordered(mine)):
        colour = plt.get_cmap("tab20")(2 * i % 20 + i // 10)
        budgets = sorted({cell.budget for cell in mine if cell.design == name})
        means = [_mean(_at(mine, name, budget), "nll") for budget in budgets]
        ax.plot(budgets, means, color=colour, marker="o", label=name, linewidth=2)
        for seed in {cell.seed for cell in mine}:
            row = [(c.budget, c.score("nll")) for c in mine if (c.design, c.seed) == (name, seed)]
            if row:
                x, y = zip(*sorted(row), strict=True)
                ax.plot(x, y, color=colour, linewidth=0.6, alpha=0.5)
    ax.set_xscale("log", base=2)
    ticks = sorted({cell.budget for cell in mine})
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.set_xlabel("answers")
    ax.set_ylabel("NLL of held-out answers, mean over tasks")
    ax.grid(alpha=0.3)
    ax.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
