"""Kills, damage, moved files, two processes: a right result, or a clear refusal."""

from __future__ import annotations

import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from labeltrain import encoders
from labeltrain.encoders import registry
from labeltrain.encoders.base import Encoder
from labeltrain.errors import BadInput, StoreDamaged, StoreUnwritable, WorkspaceBusy
from labeltrain.projects import Project
from labeltrain.store.workspace import Workspace, repair, verify


class Fake(Encoder):
    """Counts letters; needs no download."""

    name = "fake"
    modalities = frozenset({"text"})
    dimension = 4
    encoded: ClassVar[list[int]] = []

    def fingerprint(self) -> dict[str, str | int | float]:
        return {"encoder": "fake", "version": 1}

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        Fake.encoded.append(len(items))
        return np.array([[len(t), t.count("a"), t.count("b"), 1] for t in items], np.float32)


def register_fake(monkeypatch: Any) -> None:
    entry = registry._Entry(Fake, ("text",), (), "fake")
    monkeypatch.setitem(registry._REGISTRY, "fake", entry)
    Fake.encoded.clear()


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: Any) -> Path:
    register_fake(monkeypatch)
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "items.csv"
    words = ["aaa", "bbb", "ab", "b"]
    path.write_text("id,text\n" + "".join(f"{k},{words[k % 4]} {k}\n" for k in range(60)))
    return path


def new(folder: Path, source: Path, **more: Any) -> Project:
    return Project.new(folder, source, classes=["a", "b"], encoder="fake", **more)


def killed(action: Callable[[], None], after: float | None = None) -> None:
    """Run `action` in a child that dies by SIGKILL: by itself, or after some seconds."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(3)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child ended with {status}"


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("where", ["encode", "write_items", "create", "append"])
def test_new_that_was_killed_is_run_again(
    texts: Path, tmp_path: Path, monkeypatch: Any, where: str
) -> None:
    from labeltrain.projects import founding
    from labeltrain.store.ledger import Ledger

    def start() -> None:
        if where == "encode":
            Fake.encode = die  # type: ignore[method-assign]
        elif where == "write_items":
            founding.write_items = die
        elif where == "create":
            Workspace.create = die  # type: ignore[method-assign]
        else:
            Ledger.append = die  # type: ignore[method-assign]
        new(tmp_path / "p", texts)

    killed(start)
    with new(tmp_path / "p", texts) as project:
        assert len(project.next(5)) == 5
    assert verify(tmp_path / "p")["arrays"] == 2
    with pytest.raises(BadInput, match="holds a project already") as refusal:
        new(tmp_path / "p", texts)
    assert "project status" in refusal.value.remedy


def test_acknowledged_answers_survive_any_kill(begin: Any, tmp_path: Path) -> None:
    project, truth = begin(n=200, audit_share=0.3)
    project.close()
    said = tmp_path / "said"
    said.touch()

    def work() -> None:
        with Project.open(project.folder) as mine, said.open("ab", buffering=0) as log:
            while True:
                for row in mine.next(3) or mine.reissue():
                    mine.tell({row["id"]: truth[row["id"]]})
                    log.write(f"{row['id']}\n".encode())

    for k in range(6):
        killed(work, after=0.04 + 0.03 * k)
        with Project.open(project.folder) as again:
            told = {again.items.ids[p] for p in again.state.labels()}
            assert set(said.read_text().split()) <= told
            assert all(again.state.label(p) == truth[again.items.ids[p]] for p in again.state.votes)
            waiting = again.state.pending
            assert [r["id"] for r in again.reissue()] == [again.items.ids[p] for p in waiting]
    assert said.read_text()


def test_a_measurement_that_a_kill_prevented_is_made_up_for(begin: Any, monkeypatch: Any) -> None:
    project, truth = begin(audit_share=0.5)
    rows = project.next(80)
    monkeypatch.setattr(Project, "_measure_if_due", lambda self: None)
    project.tell({r["id"]: truth[r["id"]] for r in rows})
    monkeypatch.undo()
    project.close()
    with Project.open(project.folder, read_only=True) as again:
        status = again.status()
        assert status["audit"]["due"]
        assert status["audit"]["score"] is None  # nothing is written by looking
    with Project.open(project.folder) as again:
        status = again.status()["audit"]
        assert (status["due"], status["measured_on"]) == (False, 40)


def test_one_writer_any_number_of_readers(begin: Any) -> None:
    project, truth = begin()
    rows = project.next(5)
    with pytest.raises(WorkspaceBusy, match="in use by another process"):
        Project.open(project.folder)
    with Project.open(project.folder, read_only=True) as reader:
        assert reader.status()["open"] == 5
        assert len(reader.predict()) == 120
        for change in (lambda: reader.next(1), lambda: reader.tell({"i000": "ant"})):
            with pytest.raises(BadInput, match="open for reading only"):
                change()
        project.tell({r["id"]: truth[r["id"]] for r in rows})  # the reader stops nobody
    with Project.open(project.folder, read_only=True) as reader:
        assert reader.status()["labels"] == 5


def test_a_closed_project_says_so(begin: Any) -> None:
    project, _ = begin()
    project.close()
    project.close()
    with pytest.raises(BadInput, match="was closed"):
        project.next(1)


def test_the_project_moves_and_the_source_goes(texts: Path, tmp_path: Path) -> None:
    with new(tmp_path / "p", texts) as project:
        asked = [r["id"] for r in project.next(5)]
    texts.unlink()
    shutil.move(tmp_path / "p", tmp_path / "elsewhere")
    with Project.open(tmp_path / "elsewhere") as project:
        assert [r["id"] for r in project.reissue()] == asked
        assert project.tell(dict.fromkeys(asked, "a"))["new"] == 5
        assert len(project.next(3)) == 3


def array_of(project: Project, what: str) -> Path:
    name = project.spec["items"] if what == "items" else project.state.encoded["arrays"]  # type: ignore[index]
    return project.folder / "arrays" / f"{name}.npz"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("what", ["items", "features"])
@pytest.mark.parametrize("how", ["flip", "cut"])
def test_damaged_arrays_are_named_repaired_and_made_again(
    texts: Path, tmp_path: Path, what: str, how: str
) -> None:
    with new(tmp_path / "p", texts) as project:
        asked = [r["id"] for r in project.next(6)]
        project.tell({i: "ab"[k % 2] for k, i in enumerate(asked)})
        before = project.predict()
        path = array_of(project, what)
    flip(path) if how == "flip" else path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreDamaged) as refusal, Project.open(tmp_path / "p") as project:
        project.predict()
    assert path.name in refusal.value.problem
    assert refusal.value.remedy == f"run: labeltrain repair {tmp_path / 'p'}"
    repair(tmp_path / "p")
    if what == "features":
        texts.unlink()  # the snapshot of the items is enough
    with pytest.warns(UserWarning, match=path.name), Project.open(tmp_path / "p") as project:
        assert project.predict() == before
    verify(tmp_path / "p")


def test_answers_are_kept_when_the_features_are_damaged(begin: Any) -> None:
    project, truth = begin(audit_share=0.5)
    rows = project.next(80)
    path = array_of(project, "features")
    project.close()
    flip(path)
    with Project.open(project.folder) as again:
        with pytest.warns(UserWarning, match="the answers are kept, but not measured"):
            again.tell({r["id"]: truth[r["id"]] for r in rows})
        assert len(again.state.labels()) == 80
    path.unlink()
    with (
        pytest.warns(UserWarning, match="encoded again"),
        pytest.raises(StoreDamaged, match="given from Python"),
        Project.open(project.folder) as again,
    ):
        again.predict()


def test_features_are_not_made_from_other_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    with Project.new(tmp_path / "p", tmp_path / "x.npy", classes=["a", "b"]) as project:
        path = array_of(project, "features")
    path.unlink()
    np.save(tmp_path / "x.npy", X + 1)
    with (
        pytest.warns(UserWarning, match="encoded again"),
        pytest.raises(BadInput, match=r"x\.npy is not what it was"),
        Project.open(tmp_path / "p") as project,
    ):
        project.predict()
    np.save(tmp_path / "x.npy", X)
    with pytest.warns(UserWarning, match="encoded again"), Project.open(tmp_path / "p") as project:
        assert np.array_equal(project.features(), X)
    with warnings.catch_warnings(), Project.open(tmp_path / "p") as project:
        warnings.simplefilter("error")
        project.features()


def test_missing_items_need_the_same_source(texts: Path, tmp_path: Path) -> None:
    with new(tmp_path / "p", texts) as project:
        path = array_of(project, "items")
    path.unlink()
    content = texts.read_text()
    texts.write_text(content.replace("aaa", "aba"))
    with pytest.raises(StoreDamaged, match="not what it was"):
        Project.open(tmp_path / "p")
    texts.unlink()
    with pytest.raises(StoreDamaged, match="cannot be made again"):
        Project.open(tmp_path / "p")
    texts.write_text(content)
    with pytest.warns(UserWarning, match="made again"), Project.open(tmp_path / "p") as project:
        assert len(project.items.ids) == 60


def test_tables_are_made_again_from_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{k if k % 5 else ''},{['red', 'blue'][k % 2]},{k / 7}\n" for k in range(40))
    path.write_text(f"size,colour,id_\n{rows}")
    with Project.new(tmp_path / "p", path, classes=["a", "b"]) as project:
        before = project.features().copy()
        features = array_of(project, "features")
    features.unlink()
    path.unlink()
    with pytest.warns(UserWarning, match="encoded again"), Project.open(tmp_path / "p") as project:
        assert np.array_equal(project.features(), before)
    assert features.exists()


def test_a_damaged_ledger_is_named(begin: Any) -> None:
    project, _ = begin()
    project.next(5)
    project.close()
    path = project.folder / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    where = content.find(b'"strategy":"clusters"')
    content[where + 14] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StoreDamaged, match=r"ledger\.sqlite") as refusal:
        Project.open(project.folder)
    assert "labeltrain repair" in refusal.value.remedy


def test_no_project_here(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a labeltrain workspace"):
        Project.open(tmp_path)


def test_a_failed_write_changes_nothing(begin: Any, monkeypatch: Any) -> None:
    project, _ = begin()
    rows = project.next(2)

    def full(*_: Any) -> None:
        raise StoreUnwritable("cannot write: disk full", "free some disk space")

    monkeypatch.setattr(project._workspace.ledger, "append", full)
    with pytest.raises(StoreUnwritable):
        project.tell({rows[0]["id"]: "ant"})
    assert project.state.votes == {}
    monkeypatch.undo()
    assert project.tell({rows[0]["id"]: "ant"})["new"] == 1


def test_encoding_is_done_once(texts: Path, tmp_path: Path) -> None:
    with new(tmp_path / "p", texts) as project:
        project.next(3)
    with new(tmp_path / "q", texts) as project, Project.open(tmp_path / "p") as other:
        assert np.array_equal(project.features(), other.features())
    assert Fake.encoded == [60]
    assert encoders.names()
