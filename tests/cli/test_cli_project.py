"""`labeltrain project` as its user meets it."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labeltrain.cli import main
from labeltrain.projects import Project, load_model

Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command; return what it printed; with `fails`, its error; or `both`."""

    def run(*words: Any, fails: bool = False, both: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["labeltrain", "project", *map(str, words)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
        said = capsys.readouterr()
        assert code == (2 if fails else 0), said
        return said.err + said.out if both else said.err if fails else said.out

    return run


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A table of two groups, with ids like 007."""
    rng = np.random.default_rng(0)
    truth = {f"{k:03d}": ("no", "yes, really")[k % 2] for k in range(120)}
    path = tmp_path / "items.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "size", "colour"])
        for k, item in enumerate(truth):
            size = rng.normal(4.0 * (k % 2))
            writer.writerow([item, f"{size:.3f}", "red" if k % 3 else "blue"])
    return path, truth


def fill(todo: Path, done: Path, truth: dict[str, str], upto: int = 10**9) -> list[str]:
    with todo.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:upto]:
        row["label"] = truth[row["id"]]
    with done.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [row["id"] for row in rows]


CLASSES = 'no,"yes, really"'


def test_a_project_from_beginning_to_end(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    path, truth = table
    p, todo, done = tmp_path / "p", tmp_path / "todo.csv", tmp_path / "done.csv"
    said = say("new", p, "--data", path, "--classes", CLASSES, "--audit", "0.5")
    assert '120 items; classes: no, "yes, really"' in said
    assert f"labeltrain project next {p}" in said
    assert "first accuracy after about 60 labels: 30 of them, drawn at random, measure" in said
    assert "not known yet: 0 of 30 audit labels, about 60 labels more" in say("status", p)
    said = say("next", p, "--count", "20", "--out", todo)
    assert '20 items. Fill in label: no, "yes, really"; or skip.' in said
    assert todo.read_text().splitlines()[0] == "id,size,colour,label"
    assert "is there already" in say("next", p, "--out", todo, fails=True)
    fill(todo, done, truth, upto=15)
    assert "not all that is in it was told" in say("next", p, "--out", done, fails=True)
    assert say("tell", p, done) == "15 new; 15 labels in all\n"
    assert say("tell", p, done) == "15 repeated; 15 labels in all\n"
    said = say("next", p, "--count", "60", "--out", done)  # all in it was told
    shutil.move(done, todo)
    assert "5 items asked earlier have no answer yet; --reissue" in said
    fill(todo, done, truth)
    assert json.loads(say("tell", p, done, "--json"))["new"] == 60
    again = tmp_path / "again.jsonl"
    assert "5 items" in say("next", p, "--reissue", "--out", again)
    waiting = [json.loads(line)["id"] for line in again.read_text().splitlines()]
    assert len(waiting) == 5
    said = say("status", p)
    assert "95 %, valid at any time" in said
    assert "75 labels of 120 items in 2 rounds; 5 open" in said
    said = say("next", p, "--count", "500", "--out", todo, "--force")
    assert "500 were asked for; no more are left." in said
    fill(todo, done, truth)
    say("tell", p, done)
    assert "nothing new is left to ask" in say("next", p, "--out", tmp_path / "no.csv")
    assert not (tmp_path / "no.csv").exists()
    (tmp_path / "rest.csv").write_text(
        "id;label\n" + "".join(f'{int(i)};"{truth[i]}"\n' for i in waiting)  # 007 became 7
    )
    assert "5 new; 120 labels" in say("tell", p, tmp_path / "rest.csv")
    assert "is left to ask: every item" in say("next", p, "--out", tmp_path / "no.csv")
    assert "nothing is open" in say("next", p, "--reissue", "--out", tmp_path / "no.csv")

    out = tmp_path / "all.csv"
    assert "120 items" in say("predict", p, "--out", out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["id"]: r["label"] for r in rows} == truth
    assert "120 answers" in say("export", p, "--out", tmp_path / "export.parquet")
    assert "0 open" in say("status", p)
    said = say("status", p)
    assert "it will not be measured again, because only 60 random items are set aside" in said
    events = json.loads(say("history", p, "--json"))
    assert [set(e) for e in events] == [{"time", "event", "what"}] * len(events)
    assert "measured" in {e["event"] for e in events}
    assert "items set aside for the audit" in say("history", p)
    say("save-model", p, "--out", tmp_path / "m.npz")
    assert load_model(tmp_path / "m.npz").classes == ("no", "yes, really")
    assert "ends in .npz" in say("save-model", p, "--out", tmp_path / "m.pkl", fails=True)


def test_what_a_model_without_labels_says_is_no_news(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    p = tmp_path / "p"
    say("new", p, "--data", table[0], "--classes", CLASSES)
    say("next", p, "--out", tmp_path / "todo.csv")
    for words in (
        ("predict", p, "--out", tmp_path / "all.csv"),
        ("save-model", p, "--out", tmp_path / "m.npz"),
    ):
        said = say(*words, both=True)
        assert "warning: no label trains the model so far, so it predicts the same" in said
        assert f"labeltrain project tell {p} FILE" in said


def test_status_says_what_trains_and_how_to_wait_less(
    say: Say, tmp_path: Path, monkeypatch: Any
) -> None:
    x = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    p, todo = tmp_path / "p", tmp_path / "todo.csv"
    hint = "; a larger --audit than 0.1 at `project new` brings it sooner"
    said = say("new", p, "--data", tmp_path / "x.npy", "--classes", "low,high")
    assert f"about 300 labels: 30 of them, drawn at random, measure{hint}\n" in said
    assert f"about 300 labels more{hint}\n" in say("status", p)
    assert "train" not in say("status", p)  # no label yet, so nothing to tell apart
    say("next", p, "--count", "30", "--out", todo)
    with todo.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['id']},{'high' if x[int(row['id']), 0] > 0 else 'low'}" for row in rows]
    todo.write_text("\n".join(["id,label", *lines]))
    say("tell", p, todo)
    said = "27 of the labels train; 3 are audit labels, which measure and never train\n"
    assert said in say("status", p)
    q = tmp_path / "q"
    assert "sooner" not in say(
        "new", q, "--data", tmp_path / "x.npy", "--classes", "low,high", "--audit", "0.3"
    )
    assert "sooner" not in say("status", q)


def test_status_json_has_the_documented_keys(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    say("new", tmp_path / "p", "--data", table[0], "--classes", CLASSES)
    found = json.loads(say("status", tmp_path / "p", "--json"))
    page = (Path(__file__).parents[2] / "docs" / "projects.md").read_text(encoding="utf-8")

    def keys(value: dict[str, Any], before: str = "") -> list[str]:
        names = []
        for key, inner in value.items():
            names.append(before + key)
            if isinstance(inner, dict) and key not in ("classes", "annotators"):
                names += keys(inner, f"{before}{key}.")
        return names

    assert [name for name in keys(found) if f"`{name}`" not in page] == []
    documented = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `audit.")}
    assert documented == {f"audit.{key}" for key in found["audit"]}


def test_a_file_that_cannot_be_written_loses_no_choice(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: Any
) -> None:
    p = tmp_path / "p"
    say("new", p, "--data", table[0], "--classes", CLASSES)
    (tmp_path / "file").write_text("")
    assert "cannot write" in say("next", p, "--out", tmp_path / "file" / "x.csv", fails=True)
    assert "unknown kind of file" in say("next", p, "--out", tmp_path / "x.xlsx", fails=True)
    (tmp_path / "d.csv").mkdir()
    assert "is a directory" in say("predict", p, "--out", tmp_path / "d.csv", fails=True)
    with Project.open(p, read_only=True) as project:
        assert project.state.rounds == 0  # found out before anything was chosen
    from labeltrain.errors import StoreUnwritable
    from labeltrain.projects import files

    def full(*_: Any) -> None:
        raise StoreUnwritable("cannot write todo.csv: No space left", "free some disk space")

    monkeypatch.setattr(files, "replace_bytes", full)
    said = say("next", p, "--count", "7", "--out", tmp_path / "todo.csv", fails=True)
    assert "free some disk space; the choice is kept" in said
    assert f"labeltrain project next {p} --reissue --out FILE" in said
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["labeltrain"])
    with Project.open(p) as project:
        assert len(project.reissue()) == 7


def test_errors_name_the_item_and_the_remedy(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    path, _ = table
    p, answers = tmp_path / "p", tmp_path / "a.csv"
    assert "at least two" in say("new", p, "--data", path, fails=True)
    assert "not a labeltrain workspace" in say("status", p, fails=True)
    say("new", p, "--data", path, "--classes", "cat,dog")
    assert "holds a project already" in say(
        "new", p, "--data", path, "--classes", "a,b", fails=True
    )
    for text, problem, remedy in [
        ("", "is empty", "header"),
        ("id,label\n000,catt\n", "'catt' is not a class", "did you mean 'cat'"),
        ("id,label\n0O1,cat\n", "'0O1' (row 1)", "did you mean"),
        ("id,label\n000,cat\n000,dog\n", "two different answers", "annotator"),
        ("key,label\n000,cat\n", "no column 'id'", "--id-column"),
        ("id,verdict\n000,cat\n", "no column 'label'", "--label-column"),
    ]:
        answers.write_text(text)
        said = say("tell", p, answers, fails=True)
        assert problem in said
        assert remedy in said
    assert "did you mean 'margin'" in say(
        "next", p, "--out", tmp_path / "t.csv", "--strategy", "margn", fails=True
    )
    assert "not a number of items" in say(
        "next", p, "--out", tmp_path / "t.csv", "--count", "0", fails=True
    )
    answers.write_text("id,label\n000,yak\n001,skip\n")
    said = say("tell", p, answers, "--add-classes")
    assert said == "new class: yak\n1 new, 1 skipped, 2 unasked; 1 label in all\n"
    assert "yak" in say("status", p)


def test_a_mistyped_class_is_named_and_dropped(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    p, answers = tmp_path / "p", tmp_path / "a.csv"
    say("new", p, "--data", table[0], "--classes", "positive,negative")
    answers.write_text("id,label\n000,postive\n001,negative\n")
    said = say("tell", p, answers, "--add-classes", "--json", both=True)
    assert "warning: the new class 'postive' is spelt almost like 'positive'" in said
    assert f"labeltrain project drop-class {p} postive" in said
    assert json.loads(said[said.index("{") :])["classes_added"] == ["postive"]
    assert "is the answer to 1 item: '000'" in say("drop-class", p, "postive", fails=True)
    answers.write_text("id,label\n000,positive\n001,negative\n")
    assert "1 changed, 1 repeated" in say("tell", p, answers)
    assert say("drop-class", p, "postive") == "dropped; classes: positive, negative\n"
    assert "postive" not in say("status", p)
    assert "class dropped: postive" in say("history", p)


def test_one_of_everything_is_in_the_singular(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    p, todo = tmp_path / "p", tmp_path / "todo.csv"
    say("new", p, "--data", table[0], "--classes", CLASSES)
    assert f"{todo}: 1 item. Fill in" in say("next", p, "--count", "1", "--out", todo)
    said = say("next", p, "--count", "1", "--out", tmp_path / "b.csv")
    assert "1 item asked earlier has no answer yet; --reissue writes it again." in said
    fill(todo, todo, table[1])
    assert say("tell", p, todo) == "1 new; 1 label in all\n"
    assert "1 label of 120 items in 2 rounds; 1 open" in say("status", p)
    assert "1 answer\n" in say("export", p, "--out", tmp_path / "e.csv")
    assert "round 1: 1 item chosen" in say("history", p)


def test_looking_while_another_process_works(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    p = tmp_path / "p"
    say("new", p, "--data", table[0], "--classes", CLASSES)
    with Project.open(p):
        assert "0 labels of 120 items" in say("status", p)
        say("predict", p, "--out", tmp_path / "all.csv")
        said = say("next", p, "--out", tmp_path / "todo.csv", fails=True)
        assert "in use by another process" in said
        assert not (tmp_path / "todo.csv").exists()


def test_several_annotators_and_an_audit_share_of_zero(
    say: Say, table: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    p, answers = tmp_path / "p", tmp_path / "a.csv"
    said = say("new", p, "--data", table[0], "--classes", "cat,dog", "--audit", "0")
    assert "accuracy: it will never be measured, because its share of the questions is 0; " in said
    assert "to know it, begin a new project with --audit 0.25 or more\n" in said
    said = say("new", tmp_path / "q", "--data", table[0], "--classes", "cat,dog")
    assert (
        "accuracy: it will never be measured, because the first measurement takes 30 random "
        "labels, and only 12 of the 120 items are set aside for it; to know it, begin a new "
        "project with --audit 0.25 or more\n"
    ) in said
    assert "--audit 0.25 or more" in say("status", tmp_path / "q")
    answers.write_text("id,label,annotator\n000,cat,Ann\n000,dog,Bob\n001,cat,Ann\n001,cat,Bob\n")
    say("tell", p, answers)
    said = say("status", p)
    assert "agreement on 2 items with several annotators: 0.500 of pairs" in said
    assert "1 with different labels" in said


def test_images_and_features(say: Say, tmp_path: Path, monkeypatch: Any) -> None:
    from labeltrain.data import load

    digits = load("digits")
    assert digits.labels is not None
    np.savez(tmp_path / "x.npz", X=np.asarray(digits.items)[:80], y=digits.labels[:80])
    say("new", tmp_path / "p", "--data", tmp_path / "x.npz")
    assert "80 labels of 80 items" in say("status", tmp_path / "p")
    say("predict", tmp_path / "p", "--out", tmp_path / "all.tsv")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(12):
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(folder / f"{k}.png")
    from labeltrain.encoders.efficientnet import EfficientNetLite0

    def brightness(self: Any, items: Any) -> np.ndarray:
        return np.array([[np.asarray(Image.open(i)).mean(), 1.0] for i in items], np.float32)

    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(EfficientNetLite0, "encode", brightness)
    monkeypatch.setattr(EfficientNetLite0, "fingerprint", lambda self: {"encoder": "brightness"})
    say("new", tmp_path / "q", "--data", folder, "--classes", "dark,light")
    say("next", tmp_path / "q", "--count", "4", "--out", tmp_path / "todo.csv")
    with (tmp_path / "todo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(Path(r["path"]).is_file() for r in rows)
    (folder / "old").mkdir()
    (folder / "0.png").rename(folder / "old" / "0.png")
    options = ["--data", folder, "--classes", "dark,light"]
    assert "or ignore the subfolders with --label-column ''" in say(
        "new", tmp_path / "r", *options, "--label-column", "kind", fails=True
    )
    assert "12 items; classes: dark, light" in say(
        "new", tmp_path / "r", *options, "--label-column", ""
    )
