"""The script that reads the studies of continual learners, on a small study of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain

ROOT = Path(__file__).parents[2]
SCRIPT = [sys.executable, ROOT / "benchmarks" / "continual.py"]


@pytest.fixture(autouse=True)
def _scripts_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def a_line(learner: str, seed: int, score: float, train: float, examples: int) -> Any:
    from benchmarks.continual import Line

    seconds = {"train": [train] * 3, "select": [1.0] * 3, "store": [0.0] * 3, "evaluate": [9.0] * 3}
    wobble = 0.002 * (seed % 2) * (learner != "retrain")
    scores = [score + wobble + 0.01 * seed + step for step in (0.0, 0.1, 0.2)]
    return Line("D", learner, "margin", seed, [10, 20, 30], scores, seconds, [examples] * 3)


def made() -> list[Any]:
    return [
        a_line(learner, seed, score, train, examples)
        for seed in range(6)
        for learner, score, train, examples in (
            ("retrain", 0.5, 5.0, 100), ("cal-er", 0.501, 0.5, 10), ("no-replay", 0.4, 0.5, 5),
        )
    ]  # fmt: skip


def test_a_learner_beside_retraining() -> None:
    from benchmarks.continual import markdown, rows_of

    rows = {row["learner"]: row for row in rows_of(made())}
    good = rows["cal-er"]
    assert good["final"][0] == pytest.approx(0.2)  # points: 0.1, and half of the seeds 0.2 more
    assert good["mean"][0] == pytest.approx(0.2)
    half = 2.5706 * 0.1 * np.sqrt(6 / 5) / np.sqrt(6)
    assert good["final"][1:] == pytest.approx([0.2 - half, 0.2 + half], abs=1e-4)
    assert good["total"][0] == pytest.approx(6.0 / 1.5)  # what is tested does not count
    assert good["train"][0] == pytest.approx(10.0)
    assert good["examples"][0] == pytest.approx(10.0)
    assert good["holds"]
    assert not rows["no-replay"]["holds"]
    assert rows["retrain"]["final"][0] == 0.0
    page = markdown(rows_of(made()))
    assert page[1].startswith("| D, margin | final, %")
    assert page[3].startswith("| **cal-er** |")
    assert any(line.startswith("| no-replay |") for line in page)
    (own,) = [line for line in page if line.startswith("| retrain |")]
    assert own == "| retrain | 72.5 |  |  | 18.00 |  |  |  |"
    with pytest.raises(SystemExit, match="retrain"):
        rows_of([line for line in made() if line.learner != "retrain"])


def test_how_the_gain_grows_with_the_rounds() -> None:
    from benchmarks.continual import by_rounds

    lines = made()
    lines = [
        line._replace(seconds={**line.seconds, "train": [1.0, 1.0, 10.0]})
        if line.learner == "retrain" else line
        for line in lines
    ]  # fmt: skip
    rows = by_rounds(lines)
    assert rows[1] == "| D, times less in all after | 1 rounds | 2 rounds |"
    assert rows[3] == "| cal-er | 1.3 | 3.3 |"  # 4 / 3 and 15 / 4.5 seconds
    assert rows[4] == "| no-replay | 1.3 | 3.3 |"


KEPT = sorted((ROOT / "studies" / "results" / "continual").glob("*-curves.jsonl"))


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_the_docs_have_the_tables_of_the_curves_that_are_kept(kept: Path) -> None:
    from benchmarks.continual import by_rounds, markdown, read, rows_of

    docs = (ROOT / "docs" / "continual.md").read_text(encoding="utf-8")
    lines = read(kept)
    tables = "\n".join([*markdown(rows_of(lines)), *by_rounds(lines)]).strip().split("\n\n")
    assert len(tables) >= 2
    for table in tables:
        assert table in docs


def test_on_a_study(tmp_path: Path) -> None:
    options = {"first_epochs": 10, "network_options": {"width": 16, "learning_rate": 1e-2}}
    own: dict[str, dict[str, Any]] = {
        "retrain": {}, "warm-start-matched": {"replay": 8},
        "cal-sds2": {"replay": 8, "stop": "epochs"},
    }  # fmt: skip
    experiments = [
        {"name": f"Digits, {learner}", "learner": learner,
         "learner_options": {**options, **own[learner]},
         "strategies": ["margin"], "batch": 20, "rounds": 2, "dataset": "digits"}
        for learner in ("retrain", "cal-sds2", "warm-start-matched")
    ]  # fmt: skip
    labeltrain.run(experiments=experiments, seeds=2, workspace=tmp_path / "w")
    kept, picture = tmp_path / "curves.jsonl", tmp_path / "p" / "seconds.png"
    done = subprocess.run(
        [*SCRIPT, tmp_path / "w", "--curves", kept, "--out", tmp_path / "rows.jsonl"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("\n|") >= 4
    again = subprocess.run(
        [*SCRIPT, kept, "--plot", picture], capture_output=True, text=True, check=True
    )
    assert again.stdout == done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(text) for text in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["learner"] for row in rows} == {"retrain", "cal-sds2", "warm-start-matched"}
    assert all(row["seeds"] == 2 for row in rows)
    # Rounds of a continual learner cost as many examples, whatever was labelled before.
    examples = {
        line["learner"]: line["examples"] for line in map(json.loads, kept.read_text().splitlines())
    }
    assert examples["cal-sds2"][1] == examples["cal-sds2"][2] > 0
