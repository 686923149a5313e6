"""A project that knows what it looks for, and a strategy with parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain import Dataset, Project
from labeltrain.cli import main
from labeltrain.errors import BadInput, MissingNeed

GOALS = ["the striker scored a late goal", "a penalty kick won the cup", "the keeper saved a goal"]
BANKS = [f"the bank raised its rates to {n} percent" for n in range(40)]


def texts(folder: Path) -> tuple[Path, dict[str, str]]:
    rows = BANKS[:25] + GOALS + BANKS[25:]
    folder.mkdir(exist_ok=True)
    path = folder / "mine.csv"
    path.write_text("id,text\n" + "".join(f"t{i},{text}\n" for i, text in enumerate(rows)))
    return path, {f"t{i}": "sport" if t in GOALS else "money" for i, t in enumerate(rows)}


def begun(folder: Path, **options: Any) -> tuple[Project, dict[str, str]]:
    path, truth = texts(folder)
    options = {"audit_share": 0.0, "classes": ["money", "sport"], **options}
    return Project.new(folder / "p", path, encoder="minilm", **options), truth


def test_a_query_finds_a_rare_class_at_once(tmp_path: Path) -> None:
    project, truth = begun(tmp_path, strategy="direct", query="a football match")
    with project:
        first = project.next(3)
        assert {row["text"] for row in first} == set(GOALS)
        assert {e["strategy"] for e in project.state.asked.values()} == {"nearest"}
        project.tell({row["id"]: truth[row["id"]] for row in first})
        second = project.next(3)  # one class only: still by the query
        project.tell({row["id"]: truth[row["id"]] for row in second})
        project.next(3)
        used = {pick["strategy"] for pick in project.state.asked.values()}
        assert used == {"nearest", "direct"}
    without, _ = begun(tmp_path / "other", strategy="direct")
    with without:
        found = {row["text"] for row in without.next(3)}
        assert found != set(GOALS)


def test_the_query_is_there_after_the_arrays_were_lost(tmp_path: Path) -> None:
    project, _ = begun(tmp_path, strategy="margin", query=["football", "sport"])
    with project:
        before = project.targets()
        assert before is not None
        assert before.shape[0] == 2
    for path in (tmp_path / "p" / "arrays").glob("*.npz"):
        if path.stem != project.spec["items"]:
            path.unlink()
    with Project.open(tmp_path / "p") as again:
        with pytest.warns(UserWarning, match="encoded again"):
            found = again.targets()
        np.testing.assert_array_equal(found, before)
        assert {row["text"] for row in again.next(3)} <= set(GOALS)


def test_a_query_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    points = Dataset("mine", "features", np.eye(4, dtype=np.float32), ("a", "b", "c", "d"))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="the query is a text"):
        Project.new(tmp_path / "p", points, classes=["x", "y"], query="football")
    with pytest.raises(BadInput, match="' ' is no text"):
        begun(tmp_path, query=["football", " "])
    with pytest.raises(MissingNeed, match="targets"):
        begun(tmp_path, strategy="nearest")
    project, _ = begun(tmp_path, strategy="nearest", query="football")
    with project:
        assert project.next(1)[0]["text"] in GOALS


def test_a_strategy_has_its_parameters(tmp_path: Path) -> None:
    project, truth = begun(tmp_path, strategy="direct", strategy_options={"rare": ["sport"]})
    with project:
        project.tell({i: truth[i] for i in ("t0", "t1", "t25")})
        assert project.strategy().rare == ["sport"]
        assert project.strategy("galaxy").rare is None
        project.next(4)
        notes = [p["note"] for p in project.state.asked.values() if p["strategy"] == "direct"]
        assert {note["class"] for note in notes} == {1}
    with Project.open(tmp_path / "p") as again:
        assert again.strategy().rare == ["sport"]


def test_bad_parameters_of_a_strategy_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'rare'"):
        begun(tmp_path, strategy="direct", strategy_options={"rares": ["sport"]})
    with pytest.raises(BadInput, match="none is named"):
        begun(tmp_path, strategy_options={"rare": ["sport"]})
    assert not (tmp_path / "p").exists()


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr("sys.argv", ["labeltrain", *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = texts(tmp_path)
    folder, out = tmp_path / "p", tmp_path / "todo.csv"
    assert not command(
        monkeypatch, "project", "new", str(folder), "--data", str(path), "--classes", "money,sport",
        "--encoder", "minilm", "--strategy", "direct", "--set", "strategy.rare=sport",
        "--query", "a football match", "--query", "a goal in football", "--audit", "0",
    )  # fmt: skip
    asked = ["project", "next", str(folder), "--count", "3", "--out", str(out)]
    assert not command(monkeypatch, *asked)
    rows = out.read_text().splitlines()[1:]
    assert sum(any(goal in row for goal in GOALS) for row in rows) == 3
    with Project.open(folder) as project:
        assert project.spec["query"] == ["a football match", "a goal in football"]
        assert project.spec["strategy_options"] == {"rare": "sport"}
    wrong = ["project", "new", str(tmp_path / "q"), "--data", str(path), "--set", "strategy=direct"]
    assert command(monkeypatch, *wrong)
