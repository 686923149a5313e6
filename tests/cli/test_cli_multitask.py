"""`labeltrain multitask` as its user meets it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labeltrain.multitask.methods import METHODS
from labeltrain.multitask.synthetic import generate

COMMAND = [sys.executable, "-c", "from labeltrain.cli import main; main()"]


def labeltrain(*words: str | Path, ok: bool = True) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )
    if ok:
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up shops: two of them make up a third."""
    tasks = generate(0, features=8, dimension=3, tasks=8, noise=0.1)
    path = tmp_path_factory.mktemp("data") / "sales.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["shop", "sold", *(f"x{i}" for i in range(8))])
        for m in range(9):
            x, y = tasks.draw_target(120) if m == 8 else tasks.draw(m, 120)
            for row, value in zip(x.round(4), y.round(4), strict=True):
                writer.writerow(["new" if m == 8 else f"shop{m}", value, *row])
    return path


def options(sales: Path, folder: Path) -> list[str]:
    return [
        "--target", "new", "--sources", str(sales), "--task-column", "shop", "--value-column",
        "sold", "--budget", "400", "--epochs", "3", "--target-labels", "16", "--seeds", "2",
        "--workspace", str(folder),
    ]  # fmt: skip


def test_methods_are_listed() -> None:
    rows = json.loads(labeltrain("multitask", "methods", "--json"))
    assert [row["name"] for row in rows] == list(METHODS)
    assert "L1-A-MTRL" in labeltrain("multitask", "methods")


def test_a_run_and_its_report(sales: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    said = labeltrain("multitask", "run", *options(sales, folder))
    for part in ("sales:new from 8 source tasks", "uniform", "target-only", "is missed"):
        assert part in said
    again = labeltrain("multitask", "run", *options(sales, folder))
    assert "nothing was run" in again
    held = json.loads(labeltrain("multitask", "report", folder, "--out", tmp_path / "r", "--json"))
    assert Path(held["html"]) == tmp_path / "r" / "multitask.html"
    assert all(Path(p).exists() for p in held["pictures"])
    first = held["methods"][0]
    assert first["method"] == "l1"
    assert sum(first["allocation"][-1]) == 400
    assert held["complete"]
    assert first["scores"]["mse"]["over"] == "seeds"
    assert "accuracy" not in first["scores"]
    assert "multitask" in labeltrain("multitask", "report", folder)
    assert "sound" in labeltrain("verify", folder)
    other = [w if w != "400" else "300" for w in options(sales, folder)]
    assert "holds another run" in labeltrain("multitask", "run", *other, ok=False)
    assert "holds a multitask" in labeltrain("report", folder, ok=False)


def test_labels_of_a_shipped_data_set(tmp_path: Path) -> None:
    text = labeltrain(
        "multitask", "run", "--target", "Class3", "--sources", "yeast:Class1,yeast:Class2",
        "--sources", "yeast:Class4", "--budget", "300", "--method", "l2", "--epochs", "2",
        "--components", "10", "--cost", "yeast:Class2=2", "--no-guard", "--workspace",
        tmp_path / "w", "--json",
    )  # fmt: skip
    held = json.loads(text)
    assert held["sources"] == ["yeast:Class1", "yeast:Class2", "yeast:Class4"]
    assert {m["method"] for m in held["methods"]} == {"l2", "uniform", "target-only"}
    scores = held["methods"][0]["scores"]
    assert set(scores) == {"mse", "explained", "accuracy", "auc"}
    assert scores["accuracy"]["over"] == "test items"
    assert held["spec"]["costs"] == {"yeast:Class2": 2.0}
    assert held["methods"][0]["spent"] <= 300


def test_a_killed_run_ends_as_if_it_was_not(sales: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    labeltrain("multitask", "run", *options(sales, whole))
    for wait in (1.5, 2.5, 3.5):
        process = subprocess.Popen(
            [*COMMAND, "multitask", "run", *options(sales, parts)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    labeltrain("multitask", "run", *options(sales, parts))
    found = [
        json.loads(labeltrain("multitask", "report", f, "--json")) for f in (whole, parts)
    ]  # fmt: skip
    for one in found:
        for key in ("html", "pictures"):
            del one[key]
        for method in one["methods"]:
            del method["seconds"]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (["--method", "l3"], "unknown method 'l3'"),
        (["--target", "nwe"], "did you mean 'sales:new'"),
        (["--value-column", "shop"], "--value-column"),
        (["--budget", "9000"], "all samples of all source tasks are"),
        (["--cost", "shop1"], "write TASK=2.5"),
        (["--cost", "shop1=2"], "did you mean 'sales:shop1'"),
    ],
)
def test_bad_input_is_said_plainly(
    change: list[str], match: str, sales: Path, tmp_path: Path
) -> None:
    given = options(sales, tmp_path / "w") + change
    assert match in labeltrain("multitask", "run", *given, ok=False).replace("\n", " ")
    assert not (tmp_path / "w").exists()
