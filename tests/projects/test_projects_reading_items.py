"""Projects whose learner reads the items themselves: texts, images."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas
import pytest
from PIL import Image
from test_projects_faults import Fake, die, flip, killed, register_fake

from labeltrain import Dataset
from labeltrain.cli import main
from labeltrain.data import read_image
from labeltrain.encoders import registry as encoder_names
from labeltrain.encoders.base import Encoder
from labeltrain.errors import BadInput, MissingNeed, StoreDamaged
from labeltrain.learners import Cost, Learner, Model, PriorModel, Training, make, registry
from labeltrain.learners.tfidf import Tfidf, TfidfModel
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.needs import Need
from labeltrain.projects import Project, content, load_model
from labeltrain.projects.training import training_set
from labeltrain.store.workspace import repair, verify

WORDS = {"sport": ["goal", "cup", "team", "match"], "money": ["bank", "share", "rate", "loan"]}
NEW = ["a goal for the team", "the bank and its rate"]


def texts(n: int = 120) -> dict[str, tuple[str, str]]:
    """Return id to text and class."""
    rng = np.random.default_rng(0)
    found = {}
    for k in range(n):
        name = ("sport", "money")[k % 2]
        words = [*rng.choice(WORDS[name], 4), *rng.choice(["the", "and", "for", "its"], 3)]
        found[f"t{k:03d}"] = (" ".join(words) + f" {k}", name)
    return found


@pytest.fixture
def source(tmp_path: Path, monkeypatch: Any) -> Path:
    """Write texts whose encoder says nothing of their class."""
    register_fake(monkeypatch)
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "texts.csv"
    lines = [f"{name},{text}" for name, (text, _) in texts().items()]
    path.write_text("\n".join(["id,text", *lines]) + "\n")
    return path


def begin_texts(folder: Path, source: Path, **more: Any) -> Project:
    options = {"classes": list(WORDS), "encoder": "fake", "learner": "tfidf", **more}
    return Project.new(folder, source, **options)


def answered(project: Project, count: int) -> list[str]:
    rows = [row["id"] for row in project.next(count)]
    truth = texts()
    project.tell({i: truth[i][1] for i in rows})
    return rows


def test_a_session_with_a_learner_that_reads_texts(source: Path, tmp_path: Path) -> None:
    truth = {name: label for name, (_, label) in texts().items()}
    with begin_texts(tmp_path / "p", source, audit_share=0.5) as project:
        assert {r["confidence"] for r in project.predict()} == {0.5}  # no label yet
        answered(project, 20)
        answered(project, 60)
        strategies = {p["strategy"] for p in project.state.asked.values()}
        assert strategies == {"clusters", "uherding", "audit"}
        audit = project.status()["audit"]
        assert audit["measured_on"] == 40
        assert audit["score"] > 0.9  # the features alone could not say
        rows = project.predict()
        assert np.mean([r["model_label"] == truth[r["id"]] for r in rows]) > 0.9
        assert len(project.next(5, strategy="margin")) == 5
        assert len(project.export()) == 80
        state = project.state
    source.unlink()
    with Project.open(tmp_path / "p") as again:
        assert again.state == state
        assert again.predict() == rows
        assert len(again.reissue()) == 5
        assert again.status()["learner"] == "tfidf"
    assert verify(tmp_path / "p")["arrays"] == 2  # the snapshot of the texts is enough


def test_the_model_is_the_one_of_the_texts(source: Path, tmp_path: Path) -> None:
    with begin_texts(tmp_path / "p", source, audit_share=0.0) as project:
        answered(project, 40)
        training = training_set(project)
        expected = make("tfidf").fit(training, np.random.default_rng(0))
        wanted = [text for text, _ in texts().values()]
        assert list(project.inputs()) == wanted
        assert np.array_equal(
            project.fitted().predict_proba(project.inputs()), expected.predict_proba(wanted)
        )
        held_out = out_of_fold(project.learner(), training, np.random.default_rng(0))
        assert (held_out.argmax(axis=1) == training.labels).mean() > 0.9


def test_items_and_learner_stay_the_same_objects(
    source: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    seen: list[tuple[int, int]] = []
    fit = Tfidf.fit

    def watched(self: Tfidf, training: Training, *more: Any) -> Model:
        seen.append((id(self), id(training.items)))
        return fit(self, training, *more)

    monkeypatch.setattr(Tfidf, "fit", watched)
    with begin_texts(tmp_path / "p", source, audit_share=0.3) as project:
        for _ in range(3):
            answered(project, 40)
        project.predict()
        once = len(seen)
        assert project.model() is project.model()
        assert len(seen) == once
        assert project.inputs() is project.inputs("items") is project.inputs()
    assert once > 3
    assert len(set(seen)) == 1


def test_a_learner_of_features_loads_no_items(
    source: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the items were loaded")

    monkeypatch.setattr("labeltrain.projects.shared.load_contents", never)
    with begin_texts(tmp_path / "p", source, learner="linear", audit_share=0.5) as project:
        answered(project, 80)
        project.predict()
        assert project.inputs() is project.features()
        assert training_set(project).items is None
        assert "contents" not in project.spec
    with (
        begin_texts(tmp_path / "q", source) as project,
        pytest.raises(AssertionError, match="were loaded"),
    ):
        answered(project, 10)


LOADS = """
import json, sys
import labeltrain.encoders as encoders
def never(*_, **__): raise AssertionError("an encoder was made")
encoders.make = never
from labeltrain.projects import load_model
model = load_model(sys.argv[1])
print(json.dumps([model.reads, model.predict(sys.argv[2:]), model.predict_proba(sys.argv[2:]).tolist()]))
"""  # noqa: E501


def test_a_saved_model_predicts_new_texts_elsewhere(source: Path, tmp_path: Path) -> None:
    with begin_texts(tmp_path / "p", source, audit_share=0.5) as project:
        project.model().save(tmp_path / "none.npz")
        answered(project, 80)
        rows = project.predict()
        project.model().save(tmp_path / "m.npz")
    Fake.encoded.clear()
    model = load_model(tmp_path / "m.npz")
    again = model.predict_proba([text for text, _ in texts().values()])
    assert np.array_equal(again.max(axis=1), [r["model_confidence"] for r in rows])
    assert model.predict(np.array(NEW)) == ["sport", "money"]
    assert Fake.encoded == []
    said = subprocess.run(
        [sys.executable, "-c", LOADS, str(tmp_path / "m.npz"), *NEW],
        check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    reads, labels, probabilities = json.loads(said.stdout)
    assert (reads, labels) == ("items", ["sport", "money"])
    assert np.array_equal(probabilities, model.predict_proba(NEW))
    assert model.predict([]) == []
    without = load_model(tmp_path / "none.npz")  # a model of no label reads texts too
    assert without.predict_proba(NEW).tolist() == [[0.5, 0.5]] * 2
    for wrong, message in [
        ("a goal", "is one text"),
        (["a goal", None], "item 1 is NoneType, not a text"),
        (b"a goal", "items is one bytes"),
        (Path("a"), "items is one PosixPath"),
        (pandas.DataFrame({"text": NEW}), "items is DataFrame"),
        (Dataset("new", "text", NEW, ("a", "b")), r"items is a Dataset\n.*dataset\.items"),
        (Image.new("RGB", (8, 8)), "items is Image, not a list"),
        ((text for text in NEW), "items is generator, not a list"),
    ]:
        with pytest.raises(BadInput, match=message):
            model.predict(wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="reads texts, not features"):
        model.probabilities_of_features(np.zeros((2, 4)))


def test_a_model_file_of_an_earlier_version_reads_features(
    begin: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from labeltrain.projects import model as models

    project, _ = begin()
    project.model().save(tmp_path / "m.npz")
    split = models.array_files.from_bytes

    def earlier(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, facts = split(data)
        assert facts.pop("reads") == "features"
        return arrays, facts

    monkeypatch.setattr(models.array_files, "from_bytes", earlier)
    assert load_model(tmp_path / "m.npz").reads == "features"


@pytest.mark.parametrize("what", ["table", "features"])
def test_what_the_learner_cannot_read_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: Any, what: str
) -> None:
    table, arrays = tmp_path / "t.csv", tmp_path / "x.npy"
    table.write_text("size,colour\n" + "".join(f"{k},red\n" for k in range(9)))
    np.save(arrays, np.eye(9, dtype=np.float32))
    path = {"table": table, "features": arrays}[what]
    with pytest.raises(BadInput, match=f"'tfidf' reads text, not {what}") as refusal:
        Project.new(tmp_path / "p", path, classes=["a", "b"], learner="tfidf")
    assert "such as linear" in refusal.value.remedy
    pictures: Any = np.zeros((9, 4, 4), np.uint8)
    held = Dataset("pictures", "image", pictures, tuple(f"i{k}" for k in range(9)))
    with pytest.raises(BadInput, match="'tfidf' reads text, not image"):
        Project.new(tmp_path / "p", held, classes=["a", "b"], learner="tfidf")
    assert not (tmp_path / "p").exists()


def test_a_strategy_that_needs_more_than_it_gives_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingNeed, match="committee") as refusal:
        begin_texts(tmp_path / "p", source, strategy="bald")
    assert "tfidf" in str(refusal.value)
    assert not (tmp_path / "p").exists()


def test_killed_in_the_middle_of_a_round(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    begin_texts(tmp_path / "p", source, audit_share=0.5).close()
    truth = texts()

    def work() -> None:
        with Project.open(tmp_path / "p") as mine:
            answered(mine, 40)
            asked = [row["id"] for row in mine.next(30)]
            Tfidf.fit = die  # type: ignore[method-assign]
            mine.tell({i: truth[i][1] for i in asked})  # it measures when the answers are safe

    killed(work)
    with Project.open(tmp_path / "p") as again:
        assert len(again.state.labels()) == 70
        assert again.status()["audit"]["measured_on"] == 35
        assert len(answered(again, 10)) == 10
    begin_texts(tmp_path / "q", source, audit_share=0.5).close()
    with Project.open(tmp_path / "q") as whole, Project.open(tmp_path / "p") as again:
        for count in (40, 30, 10):
            answered(whole, count)
        assert whole.predict() == again.predict()


def test_answers_are_kept_when_the_learner_cannot_read_the_texts(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """No word is in two texts: the learner says so, and the answers stay."""
    register_fake(monkeypatch)
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "".join(f"word{k}\n" for k in range(100)))
    options: dict[str, Any] = {"encoder": "fake", "learner": "tfidf", "audit_share": 0.5}
    with Project.new(tmp_path / "p", path, classes=["a", "b"], **options) as project:
        rows = [row["id"] for row in project.next(80)]
        with pytest.warns(UserWarning, match=r"(?s)are kept, but not measured.*lower `rarest`"):
            project.tell({i: "ab"[k % 2] for k, i in enumerate(rows)})
        assert len(project.state.labels()) == 80
        assert project.state.measurements == []
        with pytest.raises(BadInput, match="lower `rarest`"):
            project.predict()


# -- images ---------------------------------------------------------------------------------------


class Brightness(Encoder):
    """One number that says nothing; needs no download."""

    name = "blank"
    modalities = frozenset({"image"})
    dimension = 1

    def fingerprint(self) -> dict[str, str | int | float]:
        return {"encoder": "blank", "version": 1}

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        return np.arange(len(items), dtype=np.float32)[:, None]


class ShadeModel(Model):
    """The nearest shade of grey; its hidden layer is the shade."""

    name = "shade"

    def __init__(self, shades: np.ndarray) -> None:
        self.shades = shades

    def predict_proba(self, features: Any) -> np.ndarray:
        odds = np.exp(-np.abs(self.hidden(features) - self.shades[None]) / 20.0)
        return odds / odds.sum(axis=1, keepdims=True)

    def hidden(self, features: Any) -> np.ndarray:
        return np.array([[np.asarray(read_image(i)).mean()] for i in features])

    def arrays(self) -> dict[str, np.ndarray]:
        return {"shades": self.shades}

    def facts(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> ShadeModel:
        return cls(arrays["shades"])


class Shade(Learner):
    """The mean shade of each class."""

    name: ClassVar[str] = "shade"
    gives = frozenset({Need.PROBABILITIES, Need.HIDDEN, Need.OUT_OF_FOLD})
    reads = "items"
    modalities = frozenset({"image"})
    model = ShadeModel

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        seen = np.bincount(training.labels, minlength=training.classes) > 0
        if seen.sum() < 2:
            return PriorModel(training.prior(), training.features.shape[1])
        shades = np.array(
            [
                np.mean([np.asarray(read_image(training.items[p])).mean() for p in own])
                for c in range(training.classes)
                for own in [training.labelled[training.labels == c].tolist()]
            ]
        )
        model = ShadeModel(shades)
        model.cost = Cost(len(training.labels), 0.0)
        return model


@pytest.fixture
def shades(tmp_path: Path, monkeypatch: Any) -> np.ndarray:
    """Register the learner and the encoder; return 40 images, dark and light by turns."""
    for table, cls in ((registry._LEARNERS, Shade), (registry._MODELS, ShadeModel)):
        monkeypatch.setitem(table, "shade", cls)
    entry = encoder_names._Entry(Brightness, ("image",), (), "blank")
    monkeypatch.setitem(encoder_names._REGISTRY, "blank", entry)
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    levels = np.where(np.arange(40) % 2 == 0, 40, 200)[:, None, None]
    return (levels + rng.integers(-20, 20, size=(40, 6, 6))).astype(np.uint8)


def save_pictures(folder: Path, shades: np.ndarray) -> Path:
    folder.mkdir()
    for k, picture in enumerate(shades):
        Image.fromarray(picture).save(folder / f"{k:02d}.png")
    return folder


def save_array(path: Path, shades: np.ndarray) -> Path:
    np.save(path, shades)
    return path


def in_memory(_: Path, shades: np.ndarray) -> Dataset:
    held: Any = shades
    return Dataset("mine", "image", held, tuple(f"{k:02d}" for k in range(len(shades))))


Kept = Callable[[Path, np.ndarray], Any]


@pytest.mark.parametrize("kept", [save_pictures, save_array, in_memory])
def test_images_are_read_as_they_were_given(
    shades: np.ndarray, tmp_path: Path, monkeypatch: Any, kept: Kept
) -> None:
    where = tmp_path / ("pictures" if kept is save_pictures else "pictures.npy")
    options = {"classes": ["dark", "light"], "encoder": "blank", "learner": "shade"}
    with Project.new(
        tmp_path / "p", kept(where, shades), strategy="k-center", audit_share=0.0, **options
    ) as project:
        name = {i: ("dark", "light")[p % 2] for p, i in enumerate(project.items.ids)}
        for count in (3, 3, 4):  # the first batch has no model and no hidden layer yet
            rows = [row["id"] for row in project.next(count)]
            project.tell({i: name[i] for i in rows})
        project.tell({i: name[i] for i in project.items.ids[:2]})
        before = project.predict()
        assert all(r["model_label"] == name[r["id"]] for r in before)
        assert ("contents" in project.spec) == (kept is not save_pictures)
        project.model().save(tmp_path / "m.npz")
    if kept is save_array:
        where.unlink()  # the project keeps the pixels
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with Project.open(tmp_path / "p") as again:
        assert again.predict() == before
        assert len(again.next(5)) == 5
        assert again.inputs() is again.inputs()
    model = load_model(tmp_path / "m.npz")
    assert model.predict(shades[:4]) == ["dark", "light"] * 2


def test_pixels_that_are_missing_are_read_again_or_refused(
    shades: np.ndarray, tmp_path: Path
) -> None:
    path = save_array(tmp_path / "x.npy", shades)
    options = {"classes": ["dark", "light"], "encoder": "blank", "learner": "shade"}
    with Project.new(tmp_path / "p", path, **options) as project:
        project.tell({i: ("dark", "light")[p % 2] for p, i in enumerate(project.items.ids[:20])})
        before = project.predict()
        pixels = tmp_path / "p" / "arrays" / f"{project.spec['contents']}.npz"
    flip(pixels)
    with pytest.raises(StoreDamaged) as refusal, Project.open(tmp_path / "p") as project:
        project.predict()
    assert "labeltrain repair" in refusal.value.remedy
    repair(tmp_path / "p")
    assert not pixels.exists()
    np.save(path, shades + 1)
    with (
        pytest.raises(StoreDamaged, match=r"x\.npy is not what it was"),
        Project.open(tmp_path / "p") as project,
    ):
        project.predict()
    np.save(path, shades)
    with pytest.warns(UserWarning, match="made again"), Project.open(tmp_path / "p") as project:
        assert project.predict() == before
    assert verify(tmp_path / "p")["arrays"] >= 3


def test_images_in_memory_of_several_sizes_are_refused(shades: np.ndarray, tmp_path: Path) -> None:
    several: Any = [shades[0], shades[1, :4]]
    held = Dataset("mine", "image", several, ("a", "b"))
    with pytest.raises(BadInput, match="several sizes") as refusal:
        content.write_contents(tmp_path, held, Shade())
    assert "save them as files" in refusal.value.remedy


def test_relative_paths_hold_when_the_working_directory_changes(
    shades: np.ndarray, tmp_path: Path, monkeypatch: Any
) -> None:
    save_pictures(tmp_path / "pictures", shades)
    monkeypatch.chdir(tmp_path)
    paths = sorted(Path("pictures").iterdir())
    held = Dataset("mine", "image", paths, tuple(p.stem for p in paths))
    with Project.new(
        tmp_path / "p", held, classes=["dark", "light"], encoder="blank", learner="shade"
    ) as project:
        project.tell({"00": "dark", "01": "light"})
    monkeypatch.chdir("/")
    with Project.open(tmp_path / "p") as again:
        assert [r["model_label"] for r in again.predict()] == ["dark", "light"] * 20


# -- the command line -----------------------------------------------------------------------------


def test_the_command_line_with_a_learner_that_reads_texts(
    source: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*words: Any) -> str:
        monkeypatch.setattr(sys, "argv", ["labeltrain", "project", *map(str, words)])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        assert not code, said
        return said.out

    p, todo, out = tmp_path / "p", tmp_path / "todo.csv", tmp_path / "all.csv"
    say(
        "new", p, "--data", source, "--classes", "sport,money", "--learner", "tfidf",
        "--encoder", "fake", "--audit", "0.5",
    )  # fmt: skip
    truth = texts()
    for _ in range(2):
        say("next", p, "--count", "40", "--out", todo, "--force")
        with todo.open(newline="") as file:
            rows = [{**row, "label": truth[row["id"]][1]} for row in csv.DictReader(file)]
        with todo.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        assert "40 new" in say("tell", p, todo)
    found = json.loads(say("status", p, "--json"))
    assert (found["learner"], found["audit"]["measured_on"]) == ("tfidf", 40)
    say("predict", p, "--out", out)
    with out.open(newline="") as file:
        guessed = [row["model_label"] == truth[row["id"]][1] for row in csv.DictReader(file)]
    assert np.mean(guessed) > 0.9
    assert "80 answers" in say("export", p, "--out", tmp_path / "export.csv")
    say("save-model", p, "--out", tmp_path / "m.npz")
    model = load_model(tmp_path / "m.npz")
    assert isinstance(model.model, TfidfModel)
    assert model.predict(NEW) == ["sport", "money"]
