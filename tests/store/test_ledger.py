"""The ledger and the arrays: durable, checked, repairable."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import (
    BadInput,
    LabelTrainError,
    StoreDamaged,
    StoreMissing,
    StoreUnwritable,
    WorkspaceBusy,
)
from labeltrain.store import Event, Ledger, Workspace
from labeltrain.store import arrays as array_files
from labeltrain.store.workspace import repair, verify


def make(folder: Path, events: int = 40, *, checkpoint: bool = True) -> list[dict]:
    """Write a workspace and return the bodies of its events."""
    workspace = Workspace.create(folder, "study", {"number": -1})
    for number in range(events):
        workspace.append([Event(f"run{number % 3}", "picked", {"number": number, "x": "é" * 40})])
    if checkpoint:
        workspace.close()
    else:  # as a kill leaves it: everything in the write-ahead log
        workspace.ledger._db.execute("PRAGMA wal_autocheckpoint = 0")
        os.close(workspace._lock)
    return [{"number": n} for n in range(-1, events)]


def numbers(folder: Path) -> list[int]:
    with Workspace.open(folder, "study", read_only=True) as workspace:
        return [e.body["number"] for e in workspace.events()]


def test_events_come_back_in_order_and_by_run(tmp_path: Path) -> None:
    make(tmp_path / "w")
    assert numbers(tmp_path / "w") == list(range(-1, 40))
    with Workspace.open(tmp_path / "w", "study") as workspace:
        assert [e.body["number"] for e in workspace.events(run="run1")] == list(range(1, 40, 3))
        seq = next(workspace.events(run="run1")).seq
        assert next(workspace.events(after=seq)).body["number"] == 2


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "w", "study", {}) as workspace:
        with pytest.raises(TypeError):
            workspace.append(
                [Event("r", "picked", {"a": 1}), Event("r", "scored", {"b": object()})]
            )
        assert [e.kind for e in workspace.events()] == ["study"]
        workspace.append([Event("r", "picked", {"a": 1})])
        assert [e.kind for e in workspace.events()] == ["study", "picked"]


@pytest.mark.parametrize("what", ["truncate", "flip"])
def test_a_torn_or_flipped_ledger_is_refused_or_right(tmp_path: Path, what: str) -> None:
    """Peers fail this: a cut tail bricks some, a flipped bit goes unnoticed in others."""
    make(tmp_path / "w")
    good = (tmp_path / "w" / "ledger.sqlite").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(100):
        if what == "truncate":
            damaged = good[: int(rng.integers(len(good)))]
        else:
            place = int(rng.integers(len(good)))
            damaged = bytearray(good)
            damaged[place] ^= 1 << int(rng.integers(8))
        folder = tmp_path / f"t{trial}"
        folder.mkdir()
        (folder / "ledger.sqlite").write_bytes(bytes(damaged))
        (folder / "head.json").write_bytes((tmp_path / "w" / "head.json").read_bytes())
        try:
            found = numbers(folder)
        except LabelTrainError as error:
            refused += 1
            assert str(folder) in str(error), error
            assert error.remedy
        else:
            assert found == list(range(-1, 40)), (what, trial)
    assert refused > 20


@pytest.mark.parametrize("what", ["truncate", "flip"])
def test_a_damaged_log_never_loses_acknowledged_events_in_silence(
    tmp_path: Path, what: str
) -> None:
    # SQLite cuts a damaged write-ahead log off without a word; head.json knows better.
    script = (
        "import os,sys; sys.path.insert(0, sys.argv[2])\n"
        "from labeltrain.store import Event, Workspace; from pathlib import Path\n"
        "w = Workspace.create(Path(sys.argv[1]), 'study', {'number': -1})\n"
        "w.ledger._db.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "[w.append([Event('r', 'picked', {'number': n})]) for n in range(40)]\n"
        "os._exit(9)\n"
    )
    made = tmp_path / "made"
    subprocess.run([sys.executable, "-c", script, str(made), "src"], check=False)
    log = (made / "ledger.sqlite-wal").read_bytes()
    assert len(log) > 4096
    rng = np.random.default_rng(1)
    refused = 0
    for trial in range(60):
        damaged = bytearray(log)
        if what == "truncate":
            damaged = damaged[: int(rng.integers(len(log)))]
        else:
            damaged[int(rng.integers(len(log)))] ^= 1 << int(rng.integers(8))
        folder = tmp_path / f"t{trial}"
        folder.mkdir()
        for name in ("ledger.sqlite", "head.json"):
            (folder / name).write_bytes((made / name).read_bytes())
        (folder / "ledger.sqlite-wal").write_bytes(bytes(damaged))
        try:
            assert numbers(folder) == list(range(-1, 40)), trial
        except LabelTrainError as error:
            refused += 1
            assert str(folder) in str(error)
    assert refused > 10


def test_repair_keeps_everything_before_the_damage(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    make(folder)
    database = sqlite3.connect(folder / "ledger.sqlite")
    database.execute("UPDATE events SET body = replace(body, '25', '26') WHERE seq = 27")
    database.commit()
    database.close()
    with pytest.raises(StoreDamaged, match="event 27 does not match") as caught:
        numbers(folder)
    assert f"labeltrain repair {folder}" in caught.value.remedy
    found = repair(folder)
    assert found["events"] == 26
    assert found["lost"] == 15
    assert (Path(found["kept_in"]) / "ledger.sqlite").exists()
    assert numbers(folder) == list(range(-1, 25))
    with Workspace.open(folder, "study") as workspace:
        workspace.append([Event("r", "picked", {"number": 25})])
    assert verify(folder)["events"] == 27
    assert repair(folder)["damaged"] is False


def test_a_deleted_last_event_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    make(folder)
    database = sqlite3.connect(folder / "ledger.sqlite")
    database.execute("DELETE FROM events WHERE seq = 41")
    database.commit()
    database.close()
    with pytest.raises(StoreDamaged, match="last 1 event"):
        numbers(folder)


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    make(folder)
    database = sqlite3.connect(folder / "ledger.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreDamaged, match="version 99"):
        numbers(folder)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "w", "study", {}):
        with pytest.raises(WorkspaceBusy, match="in use"):
            Workspace.open(tmp_path / "w", "study")
        Workspace.open(tmp_path / "w", "study", read_only=True).close()  # readers are welcome
    Workspace.open(tmp_path / "w", "study").close()


def test_a_writer_that_lost_its_workspace_is_refused(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "w", "study", {}) as workspace:
        orphan = Workspace.join(tmp_path / "w", workspace.ledger.epoch)
        orphan.append([Event("r", "picked", {"number": 1})])
    with Workspace.open(tmp_path / "w", "study") as workspace:
        with pytest.raises(WorkspaceBusy, match="taken over"):
            orphan.append([Event("r", "picked", {"number": 2})])
        assert [e.kind for e in workspace.events()] == ["study", "picked"]
    orphan.ledger._db.close()


def test_missing_wrong_or_foreign_workspaces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a labeltrain workspace"):
        Workspace.open(tmp_path / "nothing", "study")
    Workspace.create(tmp_path / "w", "project", {}).close()
    with pytest.raises(BadInput, match="holds a project, not a study"):
        Workspace.open(tmp_path / "w", "study")
    with pytest.raises(BadInput, match="holds a project already"):
        Workspace.create(tmp_path / "w", "study", {})
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="is a file"):
        Workspace.create(tmp_path / "file", "study", {})
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "ledger.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreDamaged, match=r"ledger\.sqlite is damaged"):
        Workspace.open(tmp_path / "junk", "study")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from labeltrain.errors import StoreUnwritable
from labeltrain.store import Event, Workspace
w = Workspace.create(Path(sys.argv[1]), "study", {"number": -1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
n = 0
try:
    while n < 10_000:
        w.append([Event("r", "picked", {"number": n, "x": "y" * 500})])
        n += 1
except StoreUnwritable as error:
    print(n, error)
"""


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    # A limit on file sizes stands in for a full disk: writes fail half way in the same place.
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "w")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot write" in done.stdout, done
    assert "free some disk space" in done.stdout
    acknowledged = int(done.stdout.split()[0])
    assert acknowledged > 0
    assert numbers(tmp_path / "w")[: acknowledged + 1] == list(range(-1, acknowledged))


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the refusal of the system is played back.
    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreUnwritable, match="Read-only file system"):
        Workspace.create(tmp_path / "w", "study", {})


def test_arrays_are_named_by_content_and_checked(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6.0).reshape(2, 3), "b": np.array([True, False])}
    name = array_files.save(tmp_path, arrays, {"C": 0.1, "n": 3})
    assert array_files.save(tmp_path, arrays, {"n": 3, "C": 0.1}) == name
    found, facts = array_files.load(tmp_path, name)
    np.testing.assert_array_equal(found["w"], arrays["w"])
    assert facts == {"C": 0.1, "n": 3}
    path = tmp_path / f"{name}.npz"
    good = path.read_bytes()
    for place in range(0, len(good), 37):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(StoreDamaged, match="does not match"):
            array_files.load(tmp_path, name)
    path.unlink()
    with pytest.raises(StoreMissing, match="is missing"):
        array_files.load(tmp_path, name)


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        array_files.to_bytes({"x": np.array([object()])}, {})


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=5), st.integers() | st.text() | st.none() | st.floats(allow_nan=False)
        ),
        max_size=10,
    )
)
def test_any_json_body_survives(bodies: list[dict]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite", create=True)
        ledger.append([Event("r", "k", body) for body in bodies])
        ledger.verify()
        assert [e.body for e in ledger.events()] == [json.loads(json.dumps(b)) for b in bodies]
        ledger.close()


def test_repair_keeps_every_intact_answer_of_a_project(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    with Workspace.create(folder, "project", {"number": -1}) as workspace:
        for number in range(40):
            workspace.append([Event("", "answered", {"number": number})])
    database = sqlite3.connect(folder / "ledger.sqlite")
    database.execute("UPDATE events SET body = replace(body, '7', '8') WHERE seq = 9")
    database.execute("DELETE FROM events WHERE seq = 20")
    database.commit()
    database.close()
    for _ in range(2):  # the second finds nothing to do
        found = repair(folder)
    assert found["damaged"] is False
    with Workspace.open(folder, "project", read_only=True) as workspace:
        kept = [e.body["number"] for e in workspace.events()]
    assert kept == [n for n in range(-1, 40) if n not in (7, 18)]


def test_a_fork_may_not_write_through_the_handle_it_was_born_with(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "w", "study", {}) as workspace:
        workspace.ledger._process -= 1  # as a forked child sees it
        with pytest.raises(WorkspaceBusy, match="fork"):
            workspace.append([Event("r", "picked", {})])


def test_a_lost_head_is_said(tmp_path: Path) -> None:
    make(tmp_path / "w")
    (tmp_path / "w" / "head.json").unlink()
    with pytest.warns(UserWarning, match=r"head\.json is missing"):
        assert numbers(tmp_path / "w") == list(range(-1, 40))
