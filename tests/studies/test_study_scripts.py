"""The scripts that read finished studies: fidelity of a proxy, and the factorial study."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.metrics import Curve, Experiment, Results, t_interval

ROOT = Path(__file__).parents[2]
GRID = np.array([10, 20, 40])


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def results(curves: Mapping[tuple[str, str], Any], seeds: int = 6) -> Results:
    """Return a study of these curves, a little higher for every seed."""
    names = list(dict.fromkeys(name for name, _ in curves))
    shift = np.linspace(-0.02, 0.02, seeds)
    return Results(
        "made", "", {},
        tuple(
            Experiment(n, "d", "raw", "linear", ("a", "b"), np.array([5, 5]), 100, 10)
            for n in names
        ),
        tuple(
            Curve(name, strategy, seed, grid, {"accuracy": np.asarray(scores) + shift[seed]},
                  np.ones((len(grid), 2)))
            for (name, strategy), (grid, scores) in curves.items()
            for seed in range(seeds)
        ),
    )  # fmt: skip


def line(slope: float, grid: np.ndarray = GRID) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve that needs 1 / slope times the labels of the one of slope 1."""
    return grid, 0.01 * slope * grid


def twelve() -> dict[tuple[str, str], Any]:
    """Pretraining needs a quarter, semi-supervised half, active half: together a thirty-second."""
    from benchmarks.factorial import LEARNING, PRETRAINING

    made: dict[tuple[str, str], Any] = {}
    small = np.array([1, 5, 10, 20, 40])
    for pretrained, gain in zip(PRETRAINING, (1, 4, 8), strict=True):
        for learning, more in zip(LEARNING, (1, 2), strict=True):
            name = f"News, {pretrained}, {learning}"
            extra = 2 if (gain, more) == (8, 2) else 1
            made[name, "random"] = line(gain * more, small)
            made[f"{name}, clusters", "uherding"] = line(2 * extra * gain * more, small)
            made[f"{name}, clusters", "margin"] = line(1, small)
    made["News, scratch, supervised", "random"] = line(1)
    return made


def rows(made: Mapping[tuple[str, str], Any], active: str = "uherding,margin") -> dict[Any, Any]:
    from benchmarks import factorial

    cells = factorial.curves_of(factorial.lines_of(results(made)), active.split(","))
    return {
        (row["kind"], row["cell"], row.get("reference")): row
        for kind in (factorial.labels, factorial.ingredients, factorial.queries)
        for row in kind("News", cells["News"])
    }


def test_labels_to_the_score_of_the_reference() -> None:
    found = rows(twelve())
    all_three = found["labels", "fine-tuned semi-supervised active", 40.0]
    assert all_three["needs"]["scratch supervised random"] == pytest.approx(40)
    assert all_three["needs"]["fine-tuned semi-supervised active"] == 1.0  # fewer were not tried
    assert all_three["floor"] == ["fine-tuned semi-supervised active"]
    assert found["labels", "frozen supervised random", 40.0]["value"] == pytest.approx(4)
    assert found["labels", "frozen supervised random", 20.0]["needs"] == pytest.approx(
        {"scratch supervised random": 20, "frozen supervised random": 5}
    )
    assert found["labels", "scratch supervised active", 40.0]["value"] == pytest.approx(2)
    row = found["labels", "frozen supervised random", 40.0]
    assert (row["low"], row["high"]) == pytest.approx((4, 4))  # seeds move both curves alike


def test_synergy_is_more_than_the_product() -> None:
    found = rows(twelve())
    assert found["ingredients", "frozen", 40.0]["value"] == pytest.approx(1.0)
    assert found["ingredients", "fine-tuned", 40.0]["value"] > 1.0


def test_what_queries_save_and_how_much_more_than_from_scratch() -> None:
    found = rows(twelve())
    assert found["queries", "frozen supervised", None]["value"] == pytest.approx(0.5)
    assert found["queries", "fine-tuned semi-supervised", None]["value"] == pytest.approx(0.75)
    assert found["difference", "fine-tuned semi-supervised", None]["value"] == pytest.approx(0.25)
    assert found["difference", "frozen supervised", None]["value"] == pytest.approx(0.0)
    assert ("difference", "scratch supervised", None) not in found


def test_the_active_strategy_is_the_first_that_is_there() -> None:
    slow = rows(twelve(), "margin,uherding")["queries", "frozen supervised", None]
    assert slow["value"] == 0.0  # at most: it is not there with as many labels as random has
    assert slow["censored"] == ["frozen supervised active"]
    assert slow["low"] == -np.inf
    assert rows(twelve(), "badge,uherding")["queries", "frozen supervised", None]["value"] > 0
    made = {key: value for key, value in twelve().items() if key[1] != "uherding"}
    assert ("queries", "frozen supervised", None) in rows(made)
    assert not [key for key in rows(made, "badge") if key[0] == "queries"]


def test_the_final_learner_is_the_one_that_counts() -> None:
    made = twelve()
    made["News, frozen, semi-supervised, final mean-teacher", "random"] = line(16)
    found = rows(made)
    assert found["labels", "frozen semi-supervised random", 40.0]["value"] == pytest.approx(4)
    assert found["labels", "frozen semi-supervised random", 40.0]["floor"]  # 10 labels, its first


def test_cells_that_are_missing_are_left_out() -> None:
    made = {k: v for k, v in twelve().items() if "fine-tuned" not in k[0]}
    found = rows(made)
    assert not [key for key in found if "fine-tuned" in key[1]]
    assert ("ingredients", "frozen", 40.0) in found
    without = {k: v for k, v in made.items() if k[0] != "News, scratch, supervised"}
    assert {kind for kind, _, _ in rows(without)} == {"queries", "difference"}


def test_cells_without_a_common_seed_are_not_compared() -> None:
    from benchmarks import factorial

    lines = factorial.lines_of(results(twelve()))
    late = [one._replace(seed=one.seed + 50 * ("frozen" in one.experiment)) for one in lines]
    cells = factorial.curves_of(late, ["uherding"])["News"]
    for kind in (factorial.labels, factorial.ingredients, factorial.queries):
        found = [row["cell"] for row in kind("News", cells)]
        assert found
        assert not any("frozen" in cell for cell in found) or kind is factorial.queries
    differences = [r["cell"] for r in factorial.queries("News", cells) if r["kind"] == "difference"]
    assert differences == ["fine-tuned supervised", "fine-tuned semi-supervised"]


def test_the_table_says_what_each_cell_needs() -> None:
    from benchmarks import factorial

    made = twelve()
    made["News, frozen, supervised, clusters", "uherding"] = line(0.1)
    cells = factorial.curves_of(factorial.lines_of(results(made)), ["uherding"])
    found = factorial.table(factorial.labels("News", cells["News"]))
    assert found[:2] == ["| News | 10 | 20 | 30 | 40 |", "|---|---|---|---|---|"]
    assert len(found) == 2 + 11
    needs = {text.split(" | ")[0]: text.split(" | ")[1:] for text in found[2:]}
    assert needs["| scratch, supervised, active"][3].startswith("20, 2.0 x (")
    assert needs["| frozen, supervised, active"] == ["not reached"] * 3 + ["not reached |"]
    assert needs["| fine-tuned, semi-supervised, active"][3] == "at most 1, at least 40.0 x |"


def test_fidelity_is_the_paired_difference() -> None:
    from benchmarks.fidelity import differences

    made = {
        ("News via proxy", "margin"): (GRID, [0.1, 0.2, 0.3]),
        ("News via proxy, final finetune", "margin"): (GRID[1:], [0.61, 0.7]),
        ("News in the loop", "margin"): (GRID, [0.5, 0.6, 0.72]),
    }
    study = results(made, seeds=3)
    curve = study.curves[-1]  # the last seed in the loop, at its last round, is a point worse
    curve.scores["accuracy"][-1] -= 0.01
    first, second = differences(study)
    assert (first["labels"], first["difference"]) == (20, pytest.approx(1.0))
    assert (second["labels"], second["difference"]) == (40, pytest.approx(-2.0 + 1 / 3))
    assert second["interval"] == pytest.approx(t_interval(np.array([-2.0, -2.0, -1.0])))
    assert second["seeds"] == 3


def test_the_script_reads_a_study(tmp_path: Path) -> None:
    import labeltrain

    name = "Digits, scratch, supervised"
    experiments = [
        {"name": name, "strategies": "random"},
        {"name": f"{name}, clusters", "strategies": "margin", "seed_set": {"method": "clusters"}},
    ]
    labeltrain.run(
        dataset="digits", batch=20, rounds=2, seeds=5, experiments=experiments,
        workspace=tmp_path / "w",
    )  # fmt: skip
    out = tmp_path / "out.jsonl"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "factorial.py", tmp_path / "w", "--out", out],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [json.loads(text) for text in out.read_text().splitlines()]
    assert [row["kind"] for row in found] == ["labels"] * 4 + ["queries"]
    assert found[3]["needs"]["scratch supervised random"] == 60
    assert len(done.stdout.splitlines()) == 5
    kept, picture = tmp_path / "curves.jsonl", tmp_path / "curves.png"
    script = [sys.executable, ROOT / "benchmarks" / "factorial.py"]
    subprocess.run([*script, tmp_path / "w", "--curves", kept], capture_output=True, check=True)
    again = subprocess.run(
        [*script, kept, "--plot", picture], capture_output=True, text=True, check=True
    )
    assert again.stdout == done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_docs_have_the_table_of_the_curves_that_are_kept() -> None:
    from benchmarks import factorial

    kept = sorted((ROOT / "studies" / "results" / "factorial").glob("*-curves.jsonl"))
    lines = [one for path in kept for one in factorial.read(path)]
    cells = factorial.curves_of(lines, ["uherding", "margin"])
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8").splitlines()
    for data, found in cells.items():
        table = factorial.table(factorial.labels(data, found))
        assert len(table) > 3
        start = page.index(table[0])
        assert page[start : start + len(table)] == table
