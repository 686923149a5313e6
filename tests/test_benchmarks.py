"""The benchmark harness runs on tiny sizes, agrees with the library, and judges by its records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(300, 8)).astype(np.float32)
PROBABILITIES = RNG.dirichlet(np.ones(4), size=300).astype(np.float32)
ARRAYS = {"points": POINTS, "probabilities": PROBABILITIES}


@pytest.fixture(autouse=True)
def _benchmarks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def settings(labelled: int = 10, k: int = 20) -> dict[str, Any]:
    return {"n": 300, "k": k, "labelled": labelled, "mapped": False, "seed": 0}


def test_a_run_writes_records_table_and_pictures(tmp_path: Path) -> None:
    page, results = tmp_path / "docs" / "page.md", tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.kernels", "--scale", "0.005", "--quick"]
    rows = ["k-center-200k", "mapped-margin-250k", "mapped-margin-500k"]
    done = subprocess.run(
        [*command, "--rows", *rows, "--out", page, "--results", results],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    records = json.loads(results.read_text())
    assert list(records) == rows
    for record in records.values():
        for side in record["sides"].values():
            assert side["seconds"][0] > 0.0
            assert side["resident"] > side["memory"] >= 0
        assert record["limits"]["gflops_2"] > 0.0
    assert records["k-center-200k"]["checks"]["greedy"] < 1e-5
    text = page.read_text(encoding="utf-8")
    assert "8x faster than the plain loop" in text
    assert "scaled: n=1,000" in text
    assert text == text.replace("nan", "")
    for picture in ("benchmark-seconds.png", "benchmark-slope.png"):
        assert f"pictures/{picture}" in text
        assert (page.parent / "pictures" / picture).stat().st_size > 1000
    assert "8x faster than the plain loop" in done.stdout


def test_the_plain_k_center_picks_what_we_pick() -> None:
    from benchmarks.kernels import checks, labeltrain_side, plain

    ours = labeltrain_side.side("k-center", ARRAYS, settings())()
    assert plain.side("k-center", ARRAYS, settings())().tolist() == ours.tolist()
    assert checks.shortfall(POINTS, np.arange(10), ours) < 1e-6
    turned = ours[::-1]  # not greedy any more
    assert checks.shortfall(POINTS, np.arange(10), turned) > 1e-3


def test_the_plain_badge_draws_new_unlabelled_items() -> None:
    from benchmarks.kernels import plain

    picks = plain.side("badge", ARRAYS, settings())()
    assert len(set(picks.tolist())) == 20
    assert picks.min() >= 10


@pytest.mark.parametrize(
    ("peer", "strategy"),
    [
        ("scikit-activeml", "k-center"),
        ("scikit-activeml", "badge"),
        ("scikit-activeml", "max-herding"),
        ("scikit-activeml", "prob-cover"),
        ("scikit-activeml", "typiclust"),
        ("apricot", "facility-location"),
        ("submodlib", "facility-location"),
    ],
)
def test_a_peer_does_the_same_work(peer: str, strategy: str) -> None:
    from benchmarks.kernels import checks, labeltrain_side, peers
    from benchmarks.kernels.rows import ROWS

    labelled = 10 if strategy in ("k-center", "badge") else 0
    given = settings(labelled, k=12)
    theirs = peers.SIDES[peer](strategy, ARRAYS, given)()
    ours = labeltrain_side.side(strategy, ARRAYS, given)()
    assert len(set(theirs.tolist())) == 12
    if strategy == "k-center":
        assert checks.shortfall(POINTS, np.arange(10), theirs) < 1e-5
    if strategy in ("facility-location", "max-herding"):
        row = next(row for row in ROWS.values() if row.strategy == strategy and row.check)
        found = checks.check(row, ARRAYS, {"labeltrain": [ours], peer: [theirs]})
        assert abs(found["value"]) < 1e-6


def record(name: str, **sides: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from benchmarks.kernels.rows import ROWS

    measured = {
        side: {"seconds": [s, 2 * s], "first_call": 1.0, "memory": m, "resident": 2 * m}
        for side, (s, m) in sides.items()
    }
    return {
        "row": asdict(ROWS[name]),
        "date": "2000-01-01",
        "machine": {"processor": "p", "threads": 2, "memory_gb": 1, "system": "s", "python": "3"}
        | {"versions": {}},
        "limits": {"gflops_1": 1.0, "gflops_2": 2.0, "read_gb_per_second": 1.0},
        "load_average": 0.0,
        "sides": measured,
        "checks": {"law": 1.0},
    }


def test_aims_are_judged_by_what_was_measured(tmp_path: Path) -> None:
    from benchmarks.kernels import judge, page
    from benchmarks.kernels.rows import ROWS

    results = {"badge-20k": record("badge-20k", labeltrain=(1.0, 100), plain=(1.5, 100))}
    results["badge-20k"]["sides"]["scikit-activeml"] = {"missing": "it is not installed"}
    here = [verdict for verdict in judge.verdicts(results) if verdict.row == "badge-20k"]
    found = {verdict.aim: verdict.met for verdict in here}
    assert found["2x faster than the plain loop"] is False
    assert found["150x faster than scikit-activeml"] is None
    assert [met for aim, met in found.items() if aim.startswith("same law")] == [True]
    page.write(results, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    aims = sum(len(row.targets) for row in ROWS.values())
    assert f"1 of {aims} aims are met" in text
    assert "aim 2x faster than the plain loop, measured 1.5x" in text
    assert "it is not installed" in text


def test_a_row_of_ours_that_fails_counts_as_missed_and_one_not_run_is_said(tmp_path: Path) -> None:
    from benchmarks.kernels import judge, page

    failed = record("k-center-200k", plain=(9.0, 100))
    failed["sides"]["labeltrain"] = {"failed": "MemoryError"}
    found = judge.verdicts({"k-center-200k": failed})
    assert {v.met for v in found if v.row == "k-center-200k"} == {False}
    assert {(v.met, v.shown) for v in found if v.row == "badge-20k"} == {(None, "not run")}
    page.write({"k-center-200k": failed}, tmp_path / "page.md")
    assert "MemoryError" in (tmp_path / "page.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [False, True])
def test_the_wait_for_the_next_questions_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: bool
) -> None:
    from benchmarks.project_speed import waits

    from labeltrain import Dataset

    monkeypatch.chdir(tmp_path)
    truth = [("a", "b")[int(value > 0.0)] for value in POINTS[:, 0]]
    items = Dataset("points", "features", POINTS, tuple(str(i) for i in range(len(POINTS))))
    found = waits(items, truth, "ridge", labels=30, batch=10, command=command)
    assert [labels for labels, _ in found] == [10, 20, 30]
    assert all(seconds > 0.0 for _, seconds in found)
    assert not list(tmp_path.iterdir())  # the project is taken away
