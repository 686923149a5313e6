"""`labeltrain select` as its user meets it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import labeltrain

COMMAND = [sys.executable, "-c", "from labeltrain.cli import main; main()"]


def run(*words: str | Path, ok: bool = True) -> str:
    done = subprocess.run(
        [*COMMAND, "select", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == (0 if ok else 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if ok else done.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("select")
    rng = np.random.default_rng(0)
    np.save(folder / "E.npy", rng.normal(size=(60, 4)).astype(np.float32))
    np.save(folder / "P.npy", rng.dirichlet(np.ones(3), size=60))
    np.save(folder / "M.npy", rng.dirichlet(np.ones(3), size=(4, 60)))
    np.save(folder / "M1.npy", np.load(folder / "M.npy")[0])
    np.save(folder / "mask.npy", np.arange(60) < 3)
    (folder / "L.txt").write_text("7\n3\n", encoding="utf-8")
    (folder / "y.txt").write_text("no\nyes\n", encoding="utf-8")
    (folder / "ids.txt").write_text("".join(f"item {k}\n" for k in range(60)), encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o444)
    return folder


def test_the_command_of_the_readme(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "picks.csv"
    said = run(
        "badge", "--embeddings", files / "E.npy", "--probabilities", files / "P.npy",
        "--labelled", files / "L.txt", "--budget", "10", "--out", out,
    )  # fmt: skip
    assert "10 of 10 picks" in said
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["position", "score", "why"]
    same = labeltrain.select(
        "badge", embeddings=np.load(files / "E.npy"), probabilities=np.load(files / "P.npy"),
        labelled=[7, 3], budget=10,
    )  # fmt: skip
    assert [int(row["position"]) for row in rows] == same.positions.tolist()
    assert [float(row["score"]) for row in rows] == pytest.approx(same.scores)
    assert list(tmp_path.iterdir()) == [out]


def test_ids_labels_classes_and_json(files: Path) -> None:
    found = json.loads(run(
        "margin", "--probabilities", files / "P.npy", "--labelled", files / "L.txt",
        "--labels", files / "y.txt", "--classes", "yes,no,other", "--ids", files / "ids.txt",
        "--budget", "2", "--json",
    ))  # fmt: skip
    picks = found["picks"]
    assert [pick["id"] for pick in picks] == [f"item {pick['position']}" for pick in picks]
    assert found["exhausted"] is False


@pytest.mark.parametrize("suffix", [".txt", ".npy", ".jsonl", ".parquet", ".tsv"])
def test_picks_in_other_formats(files: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"picks{suffix}"
    run("margin", "--probabilities", files / "P.npy", "--budget", "3", "--out", out)
    same = labeltrain.select("margin", probabilities=np.load(files / "P.npy"), budget=3)
    if suffix == ".txt":
        assert [int(x) for x in out.read_text().split()] == same.positions.tolist()
        out.chmod(0o644)
        run("margin", "--probabilities", files / "P.npy", "--labelled", out, "--budget", "1")
    elif suffix == ".npy":
        assert np.load(out).tolist() == same.positions.tolist()
    else:
        assert out.stat().st_size > 0


def test_a_table_on_the_screen_and_an_exhausted_pool(files: Path) -> None:
    said = run("random", "--embeddings", files / "E.npy", "--labelled", files / "mask.npy",
               "--budget", "99")  # fmt: skip
    assert len([line for line in said.splitlines() if "│" in line]) == 57


def test_a_committee_of_files_and_a_parameter(files: Path) -> None:
    one = run("bald", "--committee", files / "M.npy", "--budget", "3", "--json")
    assert len(json.loads(one)["picks"]) == 3
    two = [word for _ in range(2) for word in ("--committee", files / "M1.npy")]
    assert len(json.loads(run("bald", *two, "--budget", "3", "--json"))["picks"]) == 3
    run("alfa-mix", "--set", "step=0.1", "--budget", "1", "--embeddings", files / "E.npy", ok=False)


def test_what_is_wrong_is_said_in_a_line(files: Path, tmp_path: Path) -> None:
    bad, odd = tmp_path / "bad.npy", tmp_path / "odd.txt"
    bad.write_bytes(b"not an array")
    odd.write_text("1\n\n2\n", encoding="utf-8")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    p = ("--probabilities", files / "P.npy", "--budget", "1")
    cases = [
        (("margn", *p), "did you mean 'margin'"),
        (("margin", "--embeddings", files / "E.npy", "--budget", "1"), "needs probabilities"),
        (("margin", "--probabilities", tmp_path / "none.npy", "--budget", "1"), "No such file"),
        (("margin", "--probabilities", bad, "--budget", "1"), "no sound .npy"),
        (("random", "--embeddings", tmp_path / "objects.npy", "--budget", "1"), "no sound .npy"),
        (("margin", "--probabilities", files / "y.txt", "--budget", "1"), ".npy files"),
        (("margin", *p, "--labelled", odd), "line 2 is empty"),
        (("margin", *p, "--labelled", files / "y.txt"), "give positions"),
        (("margin", *p, "--set", "x"), "not key=value"),
        (("dropquery", *p, "--set", "pases=2"), "did you mean 'passes'"),
        (("margin", *p, "--scores", "x"), "NAME=FILE"),
        (("margin", *p, "--out", tmp_path / "picks.xls"), "unknown kind of file"),
        (("margin", *p, "--kind", "regression"), "known: multiclass"),
        (("margin", "--probabilities", files / "P.npy", "--budget", "-1"), "budget"),
        (("margin", *p, "--labelled", files / "L.txt", "--labels", files / "y.txt"), "classes"),
    ]
    for words, message in cases:
        assert message in run(*words, ok=False), words
    assert not (tmp_path / "picks.xls").exists()


def test_a_file_that_is_there_is_replaced_only_when_told(files: Path, tmp_path: Path) -> None:
    args = ("margin", "--probabilities", files / "P.npy", "--budget", "2")
    before = (files / "P.npy").read_bytes()
    assert "is there already" in run(*args, "--out", files / "P.npy", ok=False)
    assert (files / "P.npy").read_bytes() == before
    out = tmp_path / "again.csv"
    run(*args, "--out", out)
    run(*args, "--out", out, "--force")


def test_picks_of_one_call_are_the_pending_items_of_the_next(files: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.tsv"
    base = ["random", "--embeddings", files / "E.npy", "--budget", "5"]
    run(*base, "--out", first)
    run(*base, "--pending", first, "--out", second)
    picked = {line.split(",")[0] for line in first.read_text().splitlines()[1:]}
    more = {line.split("\t")[0] for line in second.read_text().splitlines()[1:]}
    assert len(picked) == len(more) == 5
    assert not picked & more
    run(*base, "--labelled", second)
    # Cells may be empty, and numbers written as spreadsheets do.
    (tmp_path / "sheet.tsv").write_text("note\tposition\tx\n\t3.0\t5\n")
    said = json.loads(run(*base[:-1], "60", "--labelled", tmp_path / "sheet.tsv", "--json"))
    assert {pick["position"] for pick in said["picks"]} == set(range(60)) - {3}
    (tmp_path / "plain.csv").write_text("3\n5\n")  # one value a line, whatever the suffix
    run(*base, "--labelled", tmp_path / "plain.csv")
    # Only items are looked up so: costs are never positions.
    assert "costs" in run(*base, "--costs", first, ok=False)
    (tmp_path / "bad.csv").write_text("id,score\na,1\n")
    assert "no column 'position'" in run(*base, "--labelled", tmp_path / "bad.csv", ok=False)


def test_numbers_with_an_exponent_are_numbers(files: Path) -> None:
    run("max-herding", "--embeddings", files / "E.npy", "--budget", "2", "--set", "bandwidth=1e-1")


def test_a_budget_of_costs_and_multilabel_rows_in_text(files: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "costs.txt", np.linspace(0.5, 2.0, 60))
    found = json.loads(
        run(
            "margin", "--probabilities", files / "P.npy", "--costs", tmp_path / "costs.txt",
            "--budget", "7.5", "--json",
        )
    )  # fmt: skip
    costs = np.linspace(0.5, 2.0, 60)
    assert 0 < sum(costs[pick["position"]] for pick in found["picks"]) <= 7.5
    told = run(
        "margin", "--probabilities", files / "P.npy", "--costs", tmp_path / "costs.txt",
        "--budget", "7.5", "--out", tmp_path / "bought.csv",
    )  # fmt: skip
    assert f"{len(found['picks'])} picks that cost" in told
    assert "of 7.5" in told
    (tmp_path / "Y.txt").write_text("1 0 1\n0 0 1\n")
    run(
        "margin", "--probabilities", files / "P.npy", "--labelled", files / "L.txt", "--labels",
        tmp_path / "Y.txt", "--kind", "multilabel", "--budget", "3",
    )  # fmt: skip
