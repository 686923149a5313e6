"""Selection via proxy in projects: a cheap learner asks, an expensive one is trained at the end."""

from __future__ import annotations

import csv
import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from test_projects_faults import register_fake
from test_projects_reading_items import answered, begin_texts, in_memory, shades, texts

from labeltrain import Dataset
from labeltrain.cli import main
from labeltrain.errors import BadInput, StoreUnwritable
from labeltrain.kernels.threads import available_threads, limited_threads
from labeltrain.learners import Learner, Model, PriorModel, Training, make, registry
from labeltrain.learners.tfidf import Tfidf
from labeltrain.loop.audit import FIRST, measure
from labeltrain.loop.out_of_fold import out_of_fold
from labeltrain.projects import Project, SavedModel, load_model
from labeltrain.projects.files import check_place
from labeltrain.projects.training import fit
from labeltrain.store.workspace import verify

shades = shades  # a fixture of that module
TRUTH = {name: label for name, (_, label) in texts().items()}
SMALL = {"width": 8, "layers": 1, "steps": 20, "batch": 8, "max_length": 8}  # of a transformer
Say = Callable[..., str]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: Any) -> Path:
    """Write texts whose encoder says nothing of their class."""
    register_fake(monkeypatch)
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "texts.csv"
    lines = [f"{name},{text}" for name, (text, _) in texts().items()]
    path.write_text("\n".join(["id,text", *lines]) + "\n")
    return path


def begin(folder: Path, source: Path, count: int = 80, **more: Any) -> Project:
    """Begin a project whose linear learner sees nothing of the classes, and label some."""
    project = begin_texts(folder, source, **{"learner": "linear", "audit_share": 0.5, **more})
    if count:
        answered(project, count)
    return project


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command; return what it printed."""

    def run(*words: Any, code: int = 0, error: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["labeltrain", "project", *map(str, words)])
        capsys.readouterr()
        ended: Any = 0
        try:
            main()
        except SystemExit as end:
            ended = end.code or 0
        said = capsys.readouterr()
        assert ended == code, said
        return said.err if error else said.out

    return run


# -- a learner that tells what it was given -------------------------------------------------------


class Heard(Learner):
    """Tells what it was given."""

    name: ClassVar[str] = "heard"
    reads = "items"
    kinds = frozenset({"multiclass"})
    modalities = frozenset({"text"})
    model = PriorModel
    trainings: ClassVar[list[Training]] = []
    threads: ClassVar[list[int]] = []

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps

    def fit(
        self, training: Training, rng: np.random.Generator, previous: Model | None = None
    ) -> Model:
        Heard.trainings.append(training)
        Heard.threads.append(available_threads())
        return PriorModel(training.prior(), 1)


@pytest.fixture
def heard(monkeypatch: Any) -> type[Heard]:
    monkeypatch.setitem(registry._LEARNERS, "heard", Heard)
    Heard.trainings.clear()
    Heard.threads.clear()
    return Heard


def test_audit_items_are_never_used(source: Path, tmp_path: Path, heard: type[Heard]) -> None:
    with begin(tmp_path / "p", source) as project:
        answered(project, 10)
        project.final("heard")
        (training,) = heard.trainings
        state, texts_ = project.state, [text for text, _ in texts().values()]
        audit = state.audit_set
        assert len(audit) == 60
        assert len(state.audited()) > FIRST
        assert not audit & set(training.labelled.tolist())
        assert not audit & set(training.unlabelled.tolist())
        assert training.usable is not None
        assert set(np.flatnonzero(~training.usable).tolist()) == audit
        assert len(training.labelled) + len(training.unlabelled) + len(audit) == 120
        assert [training.items[p] for p in range(120)] == texts_
        labels = [list(WORDS_OF)[c] for c in training.labels]
        assert labels == [TRUTH[project.items.ids[p]] for p in training.labelled]
        assert training.names == ("sport", "money")
        assert training.modality == "text"
        assert training.checkpoint is not None
        assert training.checkpoint.parent == tmp_path / "p" / "trainings"


WORDS_OF = ("sport", "money")


def test_a_state_is_kept_for_each_learner_with_its_options(
    source: Path, tmp_path: Path, heard: type[Heard]
) -> None:
    with begin(tmp_path / "p", source, learner="heard", strategy="random") as project:
        project.final("heard")
        project.final("heard", {"steps": 2})
        project.final("heard", {"steps": np.int64(2)})
        names = [None if t.checkpoint is None else t.checkpoint.name for t in heard.trainings]
        own, first, second, again = names
        assert own == "own.state"  # of the measurement
        assert len({own, first, second}) == 3
        assert second == again
        assert heard.trainings[0].names == WORDS_OF
        folder = project.folder
    if os.geteuid():
        folder.chmod(0o555)
        with Project.open(folder, read_only=True) as project:
            project.final("heard")
        folder.chmod(0o755)
        assert heard.trainings[-1].checkpoint is None


def test_threads_are_recorded_where_the_learner_reads_items(
    source: Path, tmp_path: Path, heard: type[Heard]
) -> None:
    options: dict[str, Any] = {"strategy": "random"}
    with limited_threads(3):
        begin(tmp_path / "p", source, learner="heard", **options).close()
        begin(tmp_path / "q", source, **options).close()
    heard.threads.clear()
    with limited_threads(2):  # another machine
        with Project.open(tmp_path / "p") as project:
            assert project.spec["threads"] == project.threads == 3
            fit(project)
            del project.spec["threads"]  # begun by an earlier version
            fit(project)
        assert heard.threads == [3, 1]
        with Project.open(tmp_path / "q") as project:
            assert "threads" not in project.spec
            assert project.threads == 1
            project.final("heard")
    assert heard.threads[-1] == 2


# -- what it makes, and what it leaves alone ------------------------------------------------------


def test_a_learner_of_texts_after_a_loop_on_features(source: Path, tmp_path: Path) -> None:
    with begin(tmp_path / "p", source) as project, begin(tmp_path / "q", source) as other:
        before, events = project.predict(), project.history()
        final = project.final("tfidf", {"strength": 100.0})
        facts = final.facts
        audited = project.state.audited()
        assert len(audited) == facts["audit"]["labels"] == facts["own"]["labels"] == 40
        guesses = final.predict([texts()[project.items.ids[p]][0] for p in audited])
        correct = sum(g == label for g, label in zip(guesses, audited.values(), strict=True))
        expected = measure(correct, 40, 1)
        shown = (facts["audit"]["score"], facts["audit"]["low"], facts["audit"]["high"])
        assert shown == (expected.score, expected.low, expected.high)
        assert facts["audit"]["score"] > max(0.9, facts["own"]["score"])
        latest = project.state.measurements[-1]
        assert facts["own"] == {
            "learner": "linear", **{k: v for k, v in latest.items() if k != "round"}
        }  # fmt: skip
        assert (facts["learner"], facts["learner_options"]) == ("tfidf", {"strength": 100.0})
        assert facts["training_labels"] == 40
        assert facts["calibrated_on"] == "audit"
        assert facts["examples"] > 0 < facts["seconds"]
        rows = project.predict(final)
        labels = project.state.labels()
        for position, row in enumerate(rows):
            told = labels.get(position)
            assert row["source"] == ("model" if told is None else "person")
            assert row["label"] == (row["model_label"] if told is None else told)
        assert np.mean([r["model_label"] == TRUTH[r["id"]] for r in rows]) > 0.9
        # Nothing of the project has changed.
        assert project.history() == events
        assert project.predict() == before
        assert project.next(20) == other.next(20)


def test_below_thirty_audit_labels_nothing_is_known(source: Path, tmp_path: Path) -> None:
    fits: list[int] = []
    whole = Tfidf.fit

    def counted(self: Tfidf, training: Training, *more: Any) -> Model:
        fits.append(len(training.labelled))
        return whole(self, training, *more)

    with begin(tmp_path / "p", source, 40) as project, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tfidf, "fit", counted)
        final = project.final("tfidf")
        assert fits == [20]  # no refits for a learner that reads items
        assert (final.facts["audit"], final.facts["own"]) == (None, None)
        assert (final.temperature, final.facts["calibrated_on"]) == (1.0, None)
        assert project._fitted is None  # its own was not fitted for nothing
        cheap = project.final("mlp", {"steps": 5, "width": 4})
        assert cheap.facts["calibrated_on"] == "out of fold"
        assert cheap.temperature != 1.0
        assert cheap.facts["examples"] == 5 * 64
        assert cheap.reads == "features"


PREDICTS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_projects_faults import Fake
from labeltrain.encoders import registry
registry._REGISTRY["fake"] = registry._Entry(Fake, ("text",), (), "fake")
from labeltrain.projects import Project
with Project.open(sys.argv[2], read_only=True) as project:
    print(json.dumps(project.predict(model=sys.argv[3])))
"""


def elsewhere(script: str, *words: Any, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), *map(str, words)],
        check=check, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("learner", "options"), [("mlp", {"steps": 20}), ("tfidf", {}), ("transformer", SMALL)]
)
def test_a_saved_final_model_predicts_the_same_in_another_process(
    source: Path, tmp_path: Path, learner: str, options: dict[str, Any]
) -> None:
    with begin(tmp_path / "p", source) as project:
        final = project.final(learner, options)
        final.save(tmp_path / "m.npz")
        rows = project.predict(final)
        assert project.predict(model=tmp_path / "m.npz") == rows
        assert rows != project.predict()
    said = elsewhere(PREDICTS, tmp_path / "p", tmp_path / "m.npz")
    assert json.loads(said.stdout) == rows
    assert load_model(tmp_path / "m.npz").facts == final.facts


# -- kills ----------------------------------------------------------------------------------------

DIES = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from labeltrain.learners.semi import checkpoint
from labeltrain.projects import Project
save = checkpoint.Checkpoint.keep
saves = []
def dying(self, *more):
    self._seconds = 0.0
    save(self, *more)
    saves.append(1)
    if len(saves) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.Checkpoint.keep = dying
with Project.open(sys.argv[2]) as project:
    project.final("transformer", eval(sys.argv[3]))
"""


def test_a_killed_training_goes_on(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from labeltrain.learners.semi import training

    steps: list[int] = []
    step = training._step

    def counted(*more: Any) -> float:
        steps.append(1)
        return step(*more)

    with begin(tmp_path / "p", source) as project:
        state = project.state
    ended = elsewhere(DIES, tmp_path / "p", SMALL, check=False)
    assert ended.returncode == -9, ended.stderr
    (kept,) = (tmp_path / "p" / "trainings").iterdir()
    assert verify(tmp_path / "p")["arrays"] == 2
    monkeypatch.setattr(training, "_step", counted)
    with Project.open(tmp_path / "p") as project:
        assert project.state == state
        project.final("transformer", {**SMALL, "steps": 10})  # another training
        assert (len(steps), kept.exists()) == (10, True)
        steps.clear()
        again = project.final("transformer", SMALL)
        assert len(steps) == 10  # of 20
        assert not kept.exists()
        steps.clear()
        whole = project.final("transformer", SMALL)
        assert len(steps) == 20
        assert project.predict(again) == project.predict(whole)
        assert again.facts["examples"] == whole.facts["examples"]


def test_ctrl_c_leaves_the_project_sound(
    source: Path, tmp_path: Path, monkeypatch: Any, say: Say
) -> None:
    import signal

    with begin(tmp_path / "p", source) as project:
        events = project.history()
    whole = Tfidf.fit

    def interrupted(self: Tfidf, *more: Any) -> Model:
        signal.raise_signal(signal.SIGINT)  # to this thread, at once: `kill` picks any
        return whole(self, *more)

    command = ("save-model", tmp_path / "p", "--out", tmp_path / "m.npz", "--final", "tfidf")
    # What a shell starts in the background ignores interrupts, the tests in it, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tfidf, "fit", interrupted)
            assert "the same command goes on" in say(*command, code=130, error=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "m.npz").exists()
    assert verify(tmp_path / "p")["events"] == len(events)
    with Project.open(tmp_path / "p") as project:
        assert project.history() == events
        assert len(project.next(5)) == 5
        assert say(*command)  # also while another process has the project
    assert load_model(tmp_path / "m.npz").facts["learner"] == "tfidf"


def test_a_fold_lets_go_of_its_model_before_the_next(source: Path, tmp_path: Path) -> None:
    made: list[weakref.ref[Model]] = []

    class Watched(Tfidf):
        def fit(self, training: Training, *more: Any) -> Model:
            gc.collect()
            assert all(model() is None for model in made)
            model = super().fit(training, *more)
            made.append(weakref.ref(model))
            return model

    items = [text for text, _ in texts().values()]
    labels = np.arange(120) % 2
    training = Training(np.zeros((120, 1)), np.arange(60), labels[:60], 2, items=items)
    out_of_fold(Watched(), training, np.random.default_rng(0))
    assert len(made) == 5


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learner", "options", "message"),
    [
        ("finetun", {}, "unknown learner 'finetun'\n.*did you mean 'finetune'"),
        ("tfidf", {"strenght": 3}, "'tfidf' has no parameter 'strenght'\n.*'strength'"),
        ("mlp", {"steps": 0}, "steps"),
        ("cnn", {}, "'cnn' reads image, not text"),
        ("tfidf", 3, "options=3 names no learner"),
        (3, {}, "learner=3 with"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(
    source: Path, tmp_path: Path, monkeypatch: Any, learner: Any, options: Any, message: str
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("worked")

    with begin(tmp_path / "p", source) as project:
        for place in ("features", "fitted", "learner"):
            monkeypatch.setattr(project, place, never)
        with pytest.raises(BadInput, match=f"(?s){message}"):
            project.final(learner, options)


def test_too_few_labels_and_closed_projects_are_refused(source: Path, tmp_path: Path) -> None:
    with begin(tmp_path / "p", source, 0) as project:
        with pytest.raises(BadInput, match="labels of 0 classes train so far") as refusal:
            project.final("tfidf")
        assert "project next" in refusal.value.remedy
        project.tell({"t000": "sport", "t002": "sport"})
        with pytest.raises(BadInput, match="labels of 1 class train"):
            project.final("tfidf")
    with pytest.raises(BadInput, match="was closed"):
        project.final("tfidf")


def changed(saved: SavedModel, path: Path, **parts: Any) -> Path:
    """Write a model file of which some parts differ."""
    import dataclasses

    facts = {**saved.facts, **parts.pop("facts", {})}
    dataclasses.replace(saved, facts=facts, **parts).save(path)
    return path


def test_models_that_do_not_fit_are_refused(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    with begin(tmp_path / "p", source) as project:
        features, words = project.model(), project.final("tfidf")
        cases: list[tuple[SavedModel, dict[str, Any], str]] = [
            (
                words,
                {"facts": {"modality": "image"}},
                "of the kind image, and this project .* text",
            ),
            (words, {"classes": ("sport", "cash")}, "know the class 'money' .*predicts.*'cash'"),
            (words, {"classes": ("sport", "money", "x")}, "predicts the class 'x', which this"),
            (features, {"encoder": "minilm"}, "encoder 'minilm' .* has those of 'fake'"),
            (features, {"encoder_options": {"a": 1}}, "with {'a': 1}, .* with its defaults"),
        ]
        for saved, parts, message in cases:
            with pytest.raises(BadInput, match=message) as refusal:
                project.predict(changed(saved, path, **parts))
            assert "save-model" in refusal.value.remedy
        # The order of the classes is the model's own; its encoder is nothing to one of texts.
        project.predict(changed(words, path, encoder="minilm"))
        with pytest.raises(BadInput, match="is no model"):
            project.predict(model=3)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=r"texts\.csv is not a model"):
            project.predict(source)
        project.tell({"t001": "cup final"}, add_classes=True)
        with pytest.raises(BadInput, match="not know the class 'cup final' of this project\n"):
            project.predict(words)


def test_a_model_of_another_table_or_of_wider_features_is_refused(tmp_path: Path) -> None:
    saved: list[SavedModel] = []
    for k, name in enumerate("ab"):
        path = tmp_path / f"{name}.csv"
        path.write_text("size,label\n" + "".join(f"{i + k},{'xy'[i % 2]}\n" for i in range(40)))
        with Project.new(tmp_path / name, path) as project:
            saved.append(project.final("mlp", {"steps": 2}))
            assert len(project.predict(saved[-1])) == 40
            if k:
                with pytest.raises(BadInput, match="the rows of another table"):
                    project.predict(saved[0])
    for width in (2, 3):
        items: Any = np.eye(40, width, dtype=np.float32)
        held = Dataset("mine", "features", items, tuple(map(str, range(40))))
        with Project.new(tmp_path / str(width), held, classes=["x", "y"]) as project:
            project.tell({str(k): "xy"[k % 2] for k in range(10)})
            if width == 3:
                with pytest.raises(BadInput, match="do not fit the model"):
                    project.predict(saved[-1])
            saved.append(project.final("mlp", {"steps": 2}))


# -- images ---------------------------------------------------------------------------------------


def test_pixels_are_kept_for_a_final_learner(shades: np.ndarray, tmp_path: Path) -> None:
    options = {"classes": ["dark", "light"], "encoder": "blank", "strategy": "random"}
    with Project.new(tmp_path / "p", in_memory(tmp_path, shades), **options) as project:
        names = {i: ("dark", "light")[p % 2] for p, i in enumerate(project.items.ids)}
        project.tell({i: names[i] for i in project.items.ids[:16]})
        final = project.final("shade")
        assert all(r["model_label"] == names[r["id"]] for r in project.predict(final))
        small = project.final("cnn", {"width": 8, "size": 8, "steps": 2, "batch": 8})
        assert small.predict_proba(shades).shape == (40, 2)
    with Project.open(tmp_path / "p") as project:
        del project.spec["contents"]  # begun by an earlier version
        with pytest.raises(BadInput, match="holds features of its items") as refusal:
            project.final("shade")
        assert "export" in refusal.value.remedy
        assert len(project.next(3)) == 3
    several: Any = [shades[0], shades[1, :4], *shades[2:]]
    held = Dataset("mine", "image", several, tuple(map(str, range(40))))
    with Project.new(tmp_path / "q", held, **options) as project:
        assert "contents" not in project.spec  # of several sizes: the loop goes on without


# -- the command line -----------------------------------------------------------------------------


def test_the_command_line(source: Path, tmp_path: Path, say: Say) -> None:
    p, out, all_ = tmp_path / "p", tmp_path / "m.npz", tmp_path / "all.csv"
    begin(p, source, 40).close()
    said = say("save-model", p, "--out", out, "--final", "tfidf", "--set", "strength=1e2")
    assert "tfidf: 20 labels, " in said
    assert "accuracy: not known yet: 20 of 30 audit labels\n" in said
    assert "confidence: not calibrated: 20 of 30 audit labels\n" in said
    assert f"Or: labeltrain project predict {p} --out all.csv --model {out}" in said
    assert load_model(out).facts["learner_options"] == {"strength": 100.0}
    with Project.open(p) as project:
        answered(project, 40)
        score = project.status()["audit"]["score"]
    said = say("save-model", p, "--out", out, "--final", "tfidf", "--set", "strength=100")
    assert "on 40 random audit labels; of linear, the project's own: " in said
    assert f"own: {score:.3f} (" in said
    assert "calibrated on the audit labels" in said
    found = json.loads(say("save-model", p, "--out", out, "--final", "mlp", "--set", "steps=3",
                           "--json"))  # fmt: skip
    assert {"out", "temperature", "learner", "learner_options", "training_labels", "seconds",
            "examples", "calibrated_on", "audit", "own", "audit_labels"} <= set(found)  # fmt: skip
    assert (found["own"]["score"], found["own"]["learner"]) == (score, "linear")
    assert found["examples"] == 192
    say("save-model", p, "--out", out, "--final", "tfidf")
    assert "120 items" in say("predict", p, "--out", all_, "--model", out)
    with all_.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with Project.open(p) as project:
        expected: list[Mapping[str, Any]] = project.predict(out)
    assert [{**r, "confidence": str(r["confidence"]), "model_confidence":
             str(r["model_confidence"])} for r in expected] == rows  # fmt: skip
    plain = json.loads(say("save-model", p, "--out", out, "--json"))
    assert plain["audit"]["score"] == score
    assert "own" not in plain


def test_the_command_line_refuses_before_it_works(
    source: Path, tmp_path: Path, say: Say, monkeypatch: Any
) -> None:
    p, out = tmp_path / "p", tmp_path / "m.npz"
    begin(p, source).close()

    def never(*_: Any) -> Any:
        raise AssertionError("worked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tfidf, "fit", never)
        blocked = tmp_path / "blocked"
        blocked.touch()
        for words, message in [
            (("--set", "steps=3"), "--set steps=3 is for another learner"),
            (("--final", "tfidf", "--set", "strength"), "is not key=value"),
            (("--final", "tfidf", "--set", "strngth=3"), "did you mean 'strength'?"),
            (("--final", "cnn"), "reads image, not text"),
            (("--final", "nothing"), "unknown learner 'nothing'"),
        ]:
            assert message in say("save-model", p, "--out", out, *words, code=2, error=True)
        for place, message in [(tmp_path, "ends in .npz"), (blocked / "m.npz", "cannot write")]:
            words = ("--final", "tfidf")
            assert message in say("save-model", p, "--out", place, *words, code=2, error=True)
    assert not out.exists()
    said = say("predict", p, "--out", tmp_path / "a.csv", "--model", out, code=2, error=True)
    assert "cannot read" in said
    with pytest.raises(StoreUnwritable):
        check_place(blocked / "m.npz")


# -- the real thing -------------------------------------------------------------------------------


def test_fine_tuning_after_a_linear_loop(source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("LABELTRAIN_CACHE")  # the weights are there
    path = tmp_path / "few.csv"
    path.write_text("".join(line + "\n" for line in source.read_text().splitlines()[:41]))
    options = {"steps": 2, "max_length": 16, "adapt": "last", "layers": 1, "device": "cpu"}
    with Project.new(
        tmp_path / "p", path, classes=list(WORDS_OF), encoder="minilm", audit_share=0.2
    ) as project:
        rows = [row["id"] for row in project.next(20)]
        project.tell({i: TRUTH[i] for i in rows})
        for method in ("none", "mean-teacher"):
            final = project.final("finetune", {**options, "method": method})
            final.save(tmp_path / "m.npz")
            predicted = project.predict(final)
            guessed = [r["model_label"] == TRUTH[r["id"]] for r in predicted]
            assert np.mean(guessed) > 0.8
            said = elsewhere(PREDICTS, tmp_path / "p", tmp_path / "m.npz")
            assert json.loads(said.stdout) == predicted
        assert make("finetune", options).name == final.facts["learner"]
        assert not list((tmp_path / "p" / "trainings").glob("*"))
