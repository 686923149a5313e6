"""The command line as its user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

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
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "w"
    options = ["--strategies", "random,margin", "--batch", "20", "--rounds", "2", "--seeds", "6"]
    said = labeltrain("run", "--dataset", "digits", *options, "--workspace", folder)
    assert "margin" in said
    return folder


def test_help_is_quick() -> None:
    labeltrain("--help")
    best = min(_seconds("--help") for _ in range(3))
    assert best < 1.0  # 0.4 s on an idle machine: benchmarks/round_speed.py prints it


def _seconds(*words: str) -> float:
    started = time.perf_counter()
    labeltrain(*words)
    return time.perf_counter() - started


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['labeltrain', '--help']\n"
        "from labeltrain.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'scipy', 'sklearn', 'pyarrow', 'matplotlib', 'numpy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize("what", ["strategies", "learners", "encoders", "datasets", "metrics"])
def test_every_listing_takes_json(what: str) -> None:
    rows = json.loads(labeltrain("list", what, "--json"))
    assert len(rows) > 1
    assert all(row["name"] for row in rows)
    assert rows[0]["name"] in labeltrain("list", what)


def test_data_list_show_and_fetch() -> None:
    names = [row["name"] for row in json.loads(labeltrain("data", "list", "--json"))]
    assert {"digits", "reuters-r8", "reuters-r52", "20newsgroups", "mnist-5k"} <= set(names)
    facts = json.loads(labeltrain("data", "show", "digits", "--json"))
    assert facts["items"] == 1797
    assert sum(facts["class_counts"].values()) == 1797
    assert "1797 items, 10 classes" in labeltrain("data", "fetch", "digits")


def test_items_with_several_labels_are_shown_run_and_reported(tmp_path: Path) -> None:
    facts = json.loads(labeltrain("data", "show", "yeast", "--json"))
    assert facts["kind"] == "multilabel"
    assert facts["class_counts"]["Class14"] == 34
    assert facts["first"][0]["label"] == "Class7, Class8, Class12, Class13"
    options = ["--strategies", "random,margin", "--batch", "20", "--rounds", "3", "--seeds", "2"]
    for metric in ("map", "macro_f1"):
        folder = tmp_path / metric
        labeltrain("run", "--dataset", "yeast", "--metric", metric, *options, "--workspace", folder)
        found = json.loads(labeltrain("report", folder, "--json"))
        scores = found["experiments"][0]["strategies"][0]["final"]
        assert found["experiments"][0]["labels"] == [20, 40, 60, 80]
        assert 0.3 < scores["map"]["value"] < 0.5
        assert 0.2 < scores["macro_f1"]["value"] < 0.5
        assert "Class14" in Path(found["html"]).read_text(encoding="utf-8")
    refused = ["--strategies", "uherding", *options[2:]]
    said = labeltrain("run", "--dataset", "yeast", *refused, "--workspace", folder / "x", ok=False)
    assert "'uherding' does not work on multilabel data" in said


def test_rare_classes_and_annotators_by_options_and_in_a_spec(tmp_path: Path) -> None:
    options = ["--keep", "8,3", "--ratio", "0.05", "--annotators", "0.1,0.2"]
    more = ["--batch", "10", "--rounds", "1", "--seeds", "2", "--workspace", tmp_path / "w"]
    labeltrain("run", "--dataset", "digits", *options, *more)
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "dataset: digits\nimbalance: {keep: [8, 3], ratio: 0.05}\noracle: {annotators: [0.1, 0.2]}"
    )
    assert json.loads(labeltrain("run", spec, *more, "--json"))["worked"] is False
    page = json.loads(labeltrain("report", tmp_path / "w", "--json"))["html"]
    assert "1008 rest, 50 8, 50 3" in Path(page).read_text(encoding="utf-8")
    said = labeltrain("run", "--dataset", "digits", "--keep", "eight", ok=False)
    assert "unknown class in keep 'eight'" in said
    said = labeltrain("run", "--dataset", "digits", "--long-tail", "5", "--ratio", "0.1", ok=False)
    assert "ratio and long_tail exclude each other" in said


def test_running_again_does_nothing(study: Path) -> None:
    options = ["--strategies", "random,margin", "--batch", "20", "--rounds", "2", "--seeds", "6"]
    said = labeltrain("run", "--dataset", "digits", *options, "--workspace", study)
    assert "nothing was run" in said


def test_a_spec_with_overrides_equals_options(study: Path, tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text("dataset: digits\nstrategies: [random, margin]\nbatch: 20\nrounds: 9\n")
    said = labeltrain(
        "run", spec, "--set", "rounds=2", "--seeds", "6", "--workspace", study, "--json"
    )
    assert json.loads(said)["worked"] is False


def test_report_writes_a_page_and_pictures(study: Path, tmp_path: Path) -> None:
    found = json.loads(labeltrain("report", study, "--out", tmp_path / "r", "--json"))
    assert Path(found["html"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert all(Path(p).stat().st_size > 5000 for p in found["pictures"])
    strategies = found["experiments"][0]["strategies"]
    assert {s["name"] for s in strategies} == {"random", "margin"}
    margin = next(s for s in strategies if s["name"] == "margin")
    assert 0.5 < margin["final"]["accuracy"]["value"] < 1
    assert [s["share"] for s in margin["savings"]] == [0.5, 0.75, 0.9, 1.0]


def test_verify_and_repair(study: Path) -> None:
    assert "is sound" in labeltrain("verify", study)
    assert "nothing was changed" in labeltrain("repair", study)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "no data set is given"),
        (["run", "--dataset", "nowhere.csv"], "nowhere.csv"),
        (["run", "--dataset", "digits", "--strategies", "magin"], "did you mean 'margin'"),
        (["run", "--dataset", "digits", "--set", "bach=3"], "did you mean 'batch'"),
        (["run", "--dataset", "digits", "--rounds", "999", "--seeds", "1"], "the pool holds"),
        (["run", "nospec.yaml"], "cannot read nospec.yaml"),
        (["report", "nowhere"], "not a labeltrain workspace"),
        (["data", "show", "digitz"], "digits"),
        (["project", "status", "nowhere"], "not a labeltrain workspace"),
        (["verify", "nowhere"], "not a labeltrain workspace"),
    ],
)
def test_errors_name_the_problem_and_a_remedy(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = labeltrain(*words, ok=False)
    assert message in said
    assert "remedy:" in said


def test_own_data_of_one_class_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", X=np.eye(30, dtype=np.float32), y=np.zeros(30, dtype=int))
    said = labeltrain("run", "--dataset", tmp_path / "d.npz", ok=False)
    assert "class" in said
    assert "remedy:" in said


def test_own_table_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["size,colour,label"]
    for _ in range(150):
        size, red = rng.normal(), rng.random() < 0.5
        rows.append(f"{size:.3f},{'red' if red else 'blue'},{'yes' if size > 0 else 'no'}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows))
    options = ["--batch", "10", "--rounds", "2", "--seeds", "1", "--workspace", tmp_path / "w"]
    assert "margin" in labeltrain("run", "--dataset", path, *options)
