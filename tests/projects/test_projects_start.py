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
    plain, _ = begun(tmp_path / "plain", strategy="margin")
    with plain:
        with pytest.raises(BadInput, match="needs to know what is looked for"):
            plain.next(1, strategy="nearest")
        with pytest.raises(BadInput, match="leave one out"):
            plain.next(1, strategy="margin", query="football")
    project, _ = begun(tmp_path, strategy="nearest", query="football")
    with project:
        assert project.next(1)[0]["text"] in GOALS


def test_a_query_can_be_made_later_too(tmp_path: Path) -> None:
    project, truth = begun(tmp_path, strategy="margin")
    with project:
        project.tell({i: truth[i] for i in ("t0", "t1", "t2", "t3")})
        assert {row["text"] for row in project.next(3, query="a football match")} == set(GOALS)
        assert {pick["strategy"] for pick in project.state.asked.values()} == {"nearest"}
    features = Dataset("mine", "features", np.eye(4, dtype=np.float32), ("a", "b", "c", "d"))  # type: ignore[arg-type]
    other = Project.new(tmp_path / "f", features, classes=["x", "y"])
    with other, pytest.raises(BadInput, match="the query is a text"):
        other.next(1, query="football")


def test_a_rare_class_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    for strategy, options in (
        ("direct", {"rare": ["sports"]}),
        ("seals", {"base": "galaxy", "options": {"rare": "sports"}}),
        ("second-opinion", {"base": "direct", "options": {"rare": "sports"}}),
        ("tailor", {"arms": ["margin", {"name": "direct", "parameters": {"rare": "sports"}}]}),
    ):
        with pytest.raises(BadInput, match="rare has 'sports'") as caught:
            begun(tmp_path, strategy=strategy, strategy_options=options)
        assert "did you mean 'sport'" in str(caught.value.remedy)
    assert not (tmp_path / "p").exists()


def test_probabilities_of_every_class(tmp_path: Path) -> None:
    project, truth = begun(tmp_path, strategy="direct")
    with project:
        project.tell({i: truth[i] for i in ("t0", "t1", "t25", "t26")})
        rows = project.predict(probabilities=True)
        assert list(rows[0])[-2:] == ["probability of money", "probability of sport"]
        for row in rows:
            p = {c: row[f"probability of {c}"] for c in ("money", "sport")}
            assert sum(p.values()) == pytest.approx(1.0)
            assert max(p, key=p.__getitem__) == row["model_label"]
            assert max(p.values()) == row["model_confidence"]
        assert "probability of sport" not in project.predict()[0]


def test_a_strategy_has_its_parameters(tmp_path: Path) -> None:
    project, truth = begun(tmp_path, strategy="direct", strategy_options={"rare": ["sport"]})
    with project:
        project.tell({i: truth[i] for i in ("t0", "t1", "t25")})
        assert project.strategy().rare == ["sport"]
        assert project.strategy("galaxy").rare is None
        project.next(4)
        notes = [p["note"] for p in project.state.asked.values() if p["strategy"] == "direct"]
        assert {note["class"] for note in notes} == {project.state.classes[1]}
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


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, truth = texts(tmp_path)
    folder, out = tmp_path / "p", tmp_path / "todo.csv"
    assert not command(
        monkeypatch, "project", "new", str(folder), "--data", str(path), "--classes", "money,sport",
        "--encoder", "minilm", "--strategy", "direct", "--set", "strategy.rare=sport",
        "--set", "logit_adjustment=0.7",
        "--query", "a football match", "--query", "a goal in football", "--audit", "0",
    )  # fmt: skip
    asked = ["project", "next", str(folder), "--count", "3", "--out", str(out)]
    assert not command(monkeypatch, *asked)
    rows = out.read_text().splitlines()[1:]
    assert sum(any(goal in row for goal in GOALS) for row in rows) == 3
    with Project.open(folder) as project:
        assert project.spec["query"] == ["a football match", "a goal in football"]
        assert project.spec["strategy_options"] == {"rare": "sport"}
    capsys.readouterr()
    answers = tmp_path / "answers.csv"
    lines = "".join(f"{i},{truth[i]}\n" for i in ("t0", "t1", "t25", "t26"))
    answers.write_text("id,label\n" + lines)
    assert not command(monkeypatch, "project", "tell", str(folder), str(answers))
    short = [*asked[:-3], "3", "--of", "4", "--force", "--out", str(out)]
    assert not command(monkeypatch, *short)
    assert "no more are left" not in capsys.readouterr().out
    assert not command(monkeypatch, *short)
    assert "the round of 4 ends here; the next begins a new one" in capsys.readouterr().out
    predicted = tmp_path / "all.csv"
    arguments = ["project", "predict", str(folder), "--out", str(predicted), "--probabilities"]
    assert not command(monkeypatch, *arguments)
    assert "makes up for rare classes" in capsys.readouterr().out
    assert "probability of sport" in predicted.read_text().splitlines()[0]
    wrong = ["project", "new", str(tmp_path / "q"), "--data", str(path), "--set", "strategy=direct"]
    assert command(monkeypatch, *wrong)
