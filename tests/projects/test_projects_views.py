"""Projects with encoded views, and with parameters of learner and encoder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.cli import main
from labeltrain.encoders import make as make_encoder
from labeltrain.encoders.augment import AugmentedItems
from labeltrain.errors import BadInput
from labeltrain.projects import Project, load_model
from labeltrain.projects.training import training_set

WORDS = [[f"{name}{k}" for k in range(10)] for name in ("sea", "rose")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    rows = [
        f"{' '.join(rng.choice(WORDS[i % 2], 8))},{('sea', 'rose')[i % 2] if i % 3 else ''}"
        for i in range(60)
    ]
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def begin(folder: Path, source: Path, **more: Any) -> Project:
    options: dict[str, Any] = {
        "learner": "fixmatch", "learner_options": {"steps": 5}, "encoder": "lsa",
        "encoder_options": {"dimensions": 6}, "strategy": "margin",
    }  # fmt: skip
    return Project.new(folder, str(source), **{**options, **more})


def test_a_learner_of_a_project_draws_from_the_encoded_views(tmp_path: Path, source: Path) -> None:
    with begin(tmp_path / "p", source, views=2) as project:
        training = training_set(project)
        items, reserved = project.items.dataset(), project.state.audit_order
        assert items is not None
        assert training.weak is not None
        assert training.strong is not None
        rest = np.setdiff1d(np.arange(60), reserved)
        fitted = make_encoder("lsa", dimensions=6).fitted([items.items[i] for i in rest])
        wanted = [
            fitted.encode(list(AugmentedItems(items, "strong", number, project.spec["seed"])))
            for number in range(2)
        ]
        drawn = training.strong(rest, np.random.default_rng(0))
        near = [np.abs(drawn - one[rest]).max(axis=1) < 1e-6 for one in wanted]
        assert np.logical_or(*near).all()
        assert min(one.sum() for one in near) > 0
        assert not training.weak(np.array(reserved), np.random.default_rng(0)).any()
        with_views = project.predict()
    with Project.open(tmp_path / "p") as project:
        assert project.predict() == with_views
    with begin(tmp_path / "q", source) as project:
        assert training_set(project).strong is None
        assert project.predict() != with_views


def test_views_serve_a_final_learner_too(tmp_path: Path, source: Path) -> None:
    found = []
    for views in (0, 1):
        more = {"learner": "linear", "learner_options": {}, "views": views}
        with begin(tmp_path / f"p{views}", source, **more) as project:
            project.final("mean-teacher", {"steps": 5}).save(tmp_path / "m.npz")
            found.append([row["confidence"] for row in project.predict(tmp_path / "m.npz")])
            assert project.model().predict(["sea1 sea2", "rose1 rose2"]) == ["sea", "rose"]
    assert found[0] != found[1]


def test_views_that_went_missing_are_made_again(tmp_path: Path, source: Path) -> None:
    with begin(tmp_path / "p", source, views=1) as project:
        before = project.views("weak")
        name = (project.state.encoded or {})["arrays"]
    (tmp_path / "p" / "arrays" / f"{name}.npz").unlink()
    with Project.open(tmp_path / "p") as project:
        with pytest.warns(UserWarning, match="encoded again"):
            after = project.views("weak")
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("views", [-1, 1.5, True, "2"])
def test_what_is_no_number_of_views_is_refused(tmp_path: Path, source: Path, views: Any) -> None:
    with pytest.raises(BadInput, match="is no number of views"):
        begin(tmp_path / "p", source, views=views)


def test_features_have_no_encoded_views(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(30, 3)))
    with pytest.raises(BadInput, match="only texts and images"):
        Project.new(tmp_path / "p", str(tmp_path / "f.npy"), classes=["a", "b"], views=1)


def test_the_command_takes_parameters_of_learner_and_encoder(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["labeltrain", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    words = ["project", "new", str(tmp_path / "p"), "--data", str(source), "--encoder", "lsa",
             "--learner", "fixmatch", "--views", "1", "--set", "steps=7",
             "--set", "encoder.dimensions=6"]  # fmt: skip
    assert run(*words) == 0
    with Project.open(tmp_path / "p") as project:
        assert project.spec["learner_options"] == {"steps": 7}
        assert project.spec["encoder_options"] == {"dimensions": 6}
        assert project.spec["views"] == 1
        assert project.features().shape == (60, 6)
        project.model().save(tmp_path / "m.npz")
    assert load_model(tmp_path / "m.npz").predict(["sea1 sea2"]) == ["sea"]
    capsys.readouterr()
    words[words.index("steps=7")] = "stepz=7"
    words[2] = str(tmp_path / "q")
    assert run(*words) == 2
    assert "stepz" in capsys.readouterr().err


def test_a_network_in_a_project_needs_no_strategy_named(tmp_path: Path, source: Path) -> None:
    more = {"learner": "transformer", "learner_options": {"steps": 2}, "strategy": "auto"}
    with begin(tmp_path / "p", source, **more) as project:
        assert project.spec["strategy"] == "margin"
        assert len(project.next(2)) == 2


def test_what_cannot_be_trained_is_not_announced(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with begin(tmp_path / "p", source):
        pass
    words = ["project", "save-model", str(tmp_path / "p"), "--out", str(tmp_path / "m.npz")]
    for more, said in (
        (["--final", "finetun"], "did you mean 'finetune'"),
        (["--final", "cnn"], "reads image, not text"),
        (["--final", "finetune", "--set", "method=meanteacher"], "mean-teacher"),
        (["--final", "mean-teacher", "--set", "stepz=3"], "known: "),
    ):
        monkeypatch.setattr(sys, "argv", ["labeltrain", *words, *more])
        with pytest.raises(SystemExit) as end:
            main()
        error = capsys.readouterr().err
        assert end.value.code == 2
        assert said in error
        assert " ..." not in error  # "finetune on 40 labels ..."


def test_a_file_that_is_no_model_is_said_to_be_none(source: Path) -> None:
    with pytest.raises(BadInput, match=r"t\.csv is not a model of labeltrain: it is no \.npz file"):
        load_model(source)


def test_predict_says_what_its_confidence_rests_on(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with begin(tmp_path / "p", source, learner="linear", learner_options={}) as project:
        project.model().save(tmp_path / "m.npz")
    words = ["labeltrain", "project", "predict", str(tmp_path / "p"), "--out"]
    for more in (
        [str(tmp_path / "a.csv")],
        [str(tmp_path / "b.csv"), "--model", tmp_path / "m.npz"],
    ):
        monkeypatch.setattr(sys, "argv", [*words, *map(str, more)])
        with pytest.raises(SystemExit):
            main()
        assert "confidence: calibrated on out-of-fold predictions of 40 labels" in (
            capsys.readouterr().out
        )
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
