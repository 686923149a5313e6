"""The script that reads the study of designs for fine-tuning."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = [sys.executable, ROOT / "benchmarks" / "sft_designs.py"]
KEPT = ROOT / "studies" / "results" / "sft"
GAIN = {"random": 0.0, "gist": 0.12, "k-center": -0.05}


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def a_cell(stages: list[str], design: str, budget: int, seed: int, nll: float) -> Any:
    from benchmarks.sft_designs import Cell

    macro = {"nll": nll, "exact_match": 0.25, "choice_accuracy": 0.5}
    return Cell(stages, design, budget, seed, macro, {"a": nll}, {"a": budget}, 1.0, {"train": 1.0})


def made() -> list[Any]:
    """Doubling takes 0.1 off the NLL of all; gist is 0.12 below random, k-center 0.05 above."""
    found = [a_cell([], "untuned", 0, -1, 2.5)]
    for seed in range(6):
        for design, gain in GAIN.items():
            for budget in (50, 100, 200):
                wobble = 0.004 * (seed % 3 - 1) * (design != "random")
                nll = 1.5 - 0.1 * math.log2(budget / 25) - gain + 0.02 * seed + wobble
                found.append(a_cell(["confirm"], design, budget, seed, nll))
    for seed, design in ((7, "random"), (8, "random"), (7, "gist"), (8, "gist"), (7, "fisher-sft")):
        found.append(a_cell(["screen"], design, 100, seed, 1.0 + 0.1 * len(design) + 0.01 * seed))
    return found


def test_designs_against_random_with_more_answers() -> None:
    from benchmarks.sft_designs import ahead, curves

    cells = [cell for cell in made() if "confirm" in cell.stages]
    page = {row.split(" | ")[0]: row for row in ahead(cells)[3:]}
    half = 2.5706 * 0.004 * math.sqrt(4 / 5) / math.sqrt(6)  # t of 5 degrees of freedom
    told = f"{-0.02:+.3f} ({-0.02 - half:+.3f} to {-0.02 + half:+.3f})"
    assert page["| gist"] == f"| gist | {told} | {told} |"
    assert page["| k-center"].startswith("| k-center | +0.150 (")
    assert page["| random"].startswith("| random | +0.100 (+0.100 to +0.100) | +0.100")
    rows = curves(cells)
    assert rows[1] == "| NLL with | 50 answers | 100 answers | 200 answers |"
    assert [row.split(" | ")[0] for row in rows[3:]] == ["| random", "| gist", "| k-center"]
    assert rows[3] == "| random | 1.450 | 1.350 | 1.250 |"
    assert rows[4].startswith("| gist | 1.330, -0.120 (-0.")


def test_pairs_are_of_the_same_seed() -> None:
    from benchmarks.sft_designs import _paired

    cells = [a_cell(["c"], d, 50, s, float(v)) for d, s, v in (
        ("random", 3, 1), ("random", 1, 2), ("gist", 1, 5), ("gist", 2, 6), ("gist", 3, 7),
    )]  # fmt: skip
    mine, other = _paired(cells, ("gist", 50), ("random", 50))
    np.testing.assert_array_equal(mine, [5, 7])
    np.testing.assert_array_equal(other, [2, 1])


def test_label_saving_and_seeds_that_find_a_gain() -> None:
    from benchmarks.sft_designs import power, saving, seeds_for

    cells = [cell for cell in made() if "confirm" in cell.stages]
    rows = {row.split(" | ")[0]: row for row in saving(cells)[3:]}
    need = 50 + 50 * (0.08 / 0.1)  # 1.25 lies at 0.8 between 1.33 and 1.23
    assert rows["| gist"].startswith(f"| gist | 200 | {need:.0f} | {1 - need / 200:.0%} (")
    assert rows["| k-center"].startswith("| k-center | 200 | not reached | below 0%")
    partial = [cell for cell in cells if (cell.seed, cell.budget) != (5, 200)]
    rows = {row.split(" | ")[0]: row for row in saving(partial)[3:]}
    need = 50 + 50 * (0.08 - 0.0008) / 0.1  # of whole seeds, whose mean wobble is -0.0008
    assert rows["| gist"].startswith(f"| gist | 200 | {need:.0f} | ")
    assert "| random" not in rows
    spread = 0.004 * math.sqrt(4 / 5)
    first = power(cells)[3]
    assert first.startswith(f"| 50 | 0.100 | {spread:.3f} | 2 | ")
    assert seeds_for(0.1, 0.1) == 10  # (1.96 + 0.84)^2 = 7.85 by the normal distribution
    assert seeds_for(0.05, 0.1) == 34
    rng = np.random.default_rng(0)
    for seeds, least, most in ((9, 0.0, 0.8), (10, 0.8, 1.0)):  # by trials of the test itself
        gaps = rng.normal(0.1, 0.1, (20_000, seeds))
        t = gaps.mean(axis=1) / gaps.std(axis=1, ddof=1) * math.sqrt(seeds)
        assert least - 0.01 < np.mean(abs(t) > {9: 2.306, 10: 2.262}[seeds]) < most + 0.01


def test_what_other_stages_have_of_the_same_seeds_stands_beside() -> None:
    from benchmarks.sft_designs import markdown

    cells = [cell for cell in made() if "confirm" in cell.stages]
    later = [a_cell(["further"], "random", 400, seed, 1.0) for seed in range(6)]
    some = [a_cell(["hidden"], "rds", b, s, 1.4 - b / 500) for s in range(6) for b in (50, 100)]
    other = [a_cell(["further"], "random", 800, 77, 0.5)]
    text = "\n".join(markdown([*cells, *later, *some, *other]))
    assert "| 50 against 100 | 100 against 200 | 200 against 400 |" in text
    assert "| random | 1.450 | 1.350 | 1.250 | 1.000 |" in text
    (row,) = (row for row in text.split("\n") if row.startswith("| rds | 1.300, -0.150"))
    assert row.endswith("|  |  |")  # no budget above 100
    (row,) = (row for row in text.split("\n") if row.startswith("| rds | 100 | "))
    assert float(row.split("|")[3].split()[-1]) == 50  # random's 1.35 with 100, here less with 50
    assert text.count("| NLL (answers) of 100 |") == 1


def test_tasks_have_their_nll_and_their_answers() -> None:
    from benchmarks.sft_designs import by_task

    cells = [cell for cell in made() if "confirm" in cell.stages]
    cells[7] = cells[7]._replace(nll={"a": 9.0, "b": 1.0})
    rows = by_task([c._replace(nll={"b": 2.0, **c.nll}) for c in cells])
    assert rows[1] == "| NLL (answers) of 100 | a | b |"
    gist = np.mean([c.nll["a"] for c in cells if (c.design, c.budget) == ("gist", 100)])
    row = next(row for row in rows if row.startswith("| gist"))
    assert row == f"| gist | {gist:.2f} (100.0) | 2.00 (0.0) |"


def test_a_study_of_the_nll_alone_has_tables_too(tmp_path: Path) -> None:
    from benchmarks.sft_designs import draw, markdown

    cells = [cell._replace(macro={"nll": cell.macro["nll"]}) for cell in made()]
    text = "\n".join(markdown(cells))
    assert "| none | 2.500 | 1 |  |  |" in text
    assert "nan" not in text
    draw(cells, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_the_screen_and_random() -> None:
    from benchmarks.sft_designs import fall, gate, screen

    cells = made()
    rows = screen([cell for cell in cells if "screen" in cell.stages])
    assert rows[1].startswith("| 100 answers | NLL | seed 7 | seed 8 | exact")
    assert [row.split(" | ")[0] for row in rows[3:]] == ["| gist", "| random", "| fisher-sft"]
    assert rows[-1].startswith("| fisher-sft | 2.070 | 2.070 |  | 25.0 | 50.0 |")
    told = gate(cells)
    assert told[3] == "| none | 2.500 | 1 | 1.1 |".replace("1.1", "25.0 | 50.0")
    assert told[4].startswith("| 50 | 1.450 ± 0.015 | 6 |")
    gap, errors = fall(cells, 50, 200, "gist")
    wobble = 0.004 * np.std([-1, 0, 1, -1, 0, 1], ddof=1) / math.sqrt(6)
    assert (gap, errors) == pytest.approx((0.08, 0.08 / wobble))


def test_cells_that_are_kept_give_the_same_tables(tmp_path: Path) -> None:
    kept, again = tmp_path / "cells.jsonl", tmp_path / "again.jsonl"
    kept.write_text("".join(json.dumps(cell._asdict()) + "\n" for cell in made()))
    picture = tmp_path / "p" / "curves.png"
    done = subprocess.run(
        [*SCRIPT, kept, "--cells", again, "--plot", picture],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert again.read_text() == kept.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert done.stdout.count("|---|") >= 6


@pytest.mark.parametrize("kept", sorted(KEPT.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_docs_have_the_tables_of_the_cells_that_are_kept(kept: Path) -> None:
    from benchmarks.sft_designs import markdown, read

    docs = (ROOT / "docs" / "sft.md").read_text(encoding="utf-8")
    tables = "\n".join(markdown(read(kept))).strip().split("\n\n")
    assert len(tables) >= 2
    for table in tables:
        assert table in docs


def of_design(rows: list[str], design: str) -> list[str]:
    """Return the cells of a row of a table."""
    (row,) = (row for row in rows if row.startswith(f"| {design} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_docs_say_what_the_cells_say() -> None:
    from benchmarks.sft_designs import FORM, fall, power, read, saving

    cells = read(KEPT / "cells.jsonl")
    docs = " ".join((ROOT / "docs" / "sft.md").read_text(encoding="utf-8").split())
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    confirm = [c for c in cells if "confirm" in c.stages]
    _, _, need, saved = of_design(saving(confirm), "min-margin")
    share, low, high = re.findall(r"\d+", saved)
    assert f"with {need}, {share} % less ({low} to {high} %)" in docs
    assert f"reaches with {need} answers what 200 random ones give ({share} % fewer" in readme
    assert f"({share} % fewer, {low} to {high} %" in readme
    rise, errors = fall(confirm, 50, 200)
    assert f"falls by {rise:.2f}, {errors:.0f} standard errors" in docs
    gap, errors = fall(cells, 200, 200, FORM)
    assert f"{gap:.2f} above 200 true ones, {errors:.1f} standard errors" in docs
    half, quarter = (
        sorted(int(of_design(power(confirm), budget)[place]) for budget in ("50", "100"))
        for place in (4, 5)
    )
    assert f"half of a doubling needs {half[0]} to {half[1]} seeds" in docs
    assert f"a quarter {quarter[0]} to {quarter[1]}" in docs
    screened = {c.design: c for c in cells if c.stages == ["screen"] and c.seed == 1000}
    for design, task, answers in (
        ("max-entropy", "nq-open", 80), ("mean-margin", "privacy-policy", 79),
        ("random", "asdiv", 5), ("max-entropy", "asdiv", 0), ("mean-margin", "asdiv", 0),
    ):  # fmt: skip
        assert screened[design].tasks.get(task, 0) == answers
    chose = [c.score("nll") for c in cells if c.seed in (1000, 1001) and c.budget == 200
             and c.design == "random"]  # fmt: skip
    assert f"({screened_mean(cells):.3f} and {np.mean(chose):.3f})" in docs
    longest = max(c.seconds.get("select", 0.0) for c in cells)
    assert f"Choosing takes {longest:.1f} seconds at most" in docs


def screened_mean(cells: Any) -> float:
    mine = [c for c in cells if c.design == "min-margin" and "screen" in c.stages]
    return float(np.mean([c.score("nll") for c in mine]))


def test_the_docs_say_what_the_cells_of_the_skewed_pool_say() -> None:
    from benchmarks.sft_designs import ahead, read, saving

    cells = read(KEPT / "skewed.jsonl")
    docs = " ".join((ROOT / "docs" / "sft.md").read_text(encoding="utf-8").split())
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    _, _, need, saved = of_design(saving(cells), "random-balanced")
    share, low, high = re.findall(r"\d+", saved)
    assert int(low) > 0
    assert (
        f"with {need} answers what 100 random ones give, {share} % less ({low} to {high} %)" in docs
    )
    assert f"reaches with {need} answers what 100 random ones give ({share} % fewer, " in readme
    gap, low, high = re.findall(r"[-+]\d\.\d+", of_design(ahead(cells), "random-balanced")[-1])
    assert f"({gap[1:]} above, from {low[1:]} below to {high[1:]} above)" in docs
    _, _, need, _ = of_design(saving(cells), "random-balanced(tasks hidden)")
    assert f"with {need} answers for random's 100" in docs
    counts = yaml.safe_load((ROOT / "studies" / "sft-skewed.yaml").read_text())["pool"]["tasks"]

    def as_the_pool(design: str) -> str:
        mine = [c for c in cells if (c.design, c.budget) == (design, 50)]
        each = [sum(c.nll[t] * n for t, n in counts.items()) / sum(counts.values()) for c in mine]
        return f"{np.mean(each):.2f}"

    assert f"({as_the_pool('random-balanced')} against {as_the_pool('random')})" in docs
    assert f"({as_the_pool('random-balanced(tasks hidden)')} with 50 answers)" in docs


def test_the_form_of_answers_is_told_by_task_and_a_stage_once() -> None:
    from benchmarks.sft_designs import FORM, form, markdown

    cells = [cell for cell in made() if "confirm" in cell.stages or cell.design == "untuned"]
    assert form(cells) == []
    cells += [a_cell(["form"], FORM, 200, seed, 1.9 + 0.02 * seed) for seed in range(3)]
    rows = form(cells)
    assert rows[1] == "| NLL | a | mean |"
    assert rows[3:] == [
        "| untuned | 2.50 | 2.500 |",
        "| 50 random | 1.42 | 1.420 |",  # of the three seeds
        "| 100 random | 1.32 | 1.320 |",
        "| 200 random | 1.22 | 1.220 |",
        "| 200, dealt out anew | 1.92 | 1.920 |",
    ]
    twice = [
        cell._replace(stages=[*cell.stages, *(["again"] if cell.stages else [])]) for cell in cells
    ]
    assert markdown(twice) == markdown(cells)


def test_fewer_seeds_than_random_has_are_said() -> None:
    from benchmarks.sft_designs import curves

    cells = [c for c in made() if "confirm" in c.stages and (c.design, c.seed) != ("gist", 0)]
    row = next(row for row in curves(cells) if row.startswith("| gist"))
    assert row.count("), 5 seeds |") == 3
    assert "seeds" not in next(row for row in curves(cells) if row.startswith("| k-center"))


def test_designs_of_one_budget_and_the_same_seeds_stand_together() -> None:
    from benchmarks.sft_designs import markdown

    rest = [a_cell(["rest"], "rds", 100, seed, 1.0) for seed in (7, 8)]
    text = "\n".join(markdown([*made(), *rest]))
    assert text.count("| 100 answers | NLL |") == 1
    assert "\n| rds | 1.000 | 1.000 | 1.000 |" in text


@pytest.mark.parametrize(
    ("kept", "stands"),
    [
        ("cells", {("facility-location", 200)}),
        ("skewed", {("random-balanced", 100), ("weighted-task-diversity", 100)}),
    ],
)
def test_the_differences_that_the_docs_say_stand_a_correction(
    kept: str, stands: set[tuple[str, int]]
) -> None:
    """By Holm, over all differences from random with as many answers in a study's tables."""
    from benchmarks.sft_designs import RANDOM, _paired, _together, read
    from scipy.stats import ttest_rel

    cells = read(KEPT / f"{kept}.jsonl")
    cells = _together(cells, "confirm" if kept == "cells" else "skewed")
    found = []
    for one in sorted({(c.design, c.budget) for c in cells if c.design != RANDOM}):
        mine, other = _paired(cells, one, (RANDOM, one[1]))
        if len(mine) > 1:
            found.append((float(ttest_rel(mine, other).pvalue), one))
    assert len(found) == {"cells": 12, "skewed": 11}[kept]
    found.sort()
    left = set()
    for place, (p, one) in enumerate(found):
        if p * (len(found) - place) > 0.05:
            break
        left.add(one)
    assert left == stands
