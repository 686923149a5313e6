"""A workspace: one directory with a ledger, arrays, and a lock."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from labeltrain.errors import BadInput, StoreDamaged, WorkspaceBusy
from labeltrain.store import arrays as array_files
from labeltrain.store.files import unwritable
from labeltrain.store.ledger import Event, Ledger, is_unborn, read_head

LEDGER = "ledger.sqlite"
HEAD = "head.json"
KINDS = ("study", "project", "sft", "multitask", "multitask-study")


class Workspace:
    """A directory that holds a study or a project.

    Use :meth:`create`, :meth:`open` or :meth:`join`; it is a context manager.
    """

    def __init__(self, folder: Path, ledger: Ledger, lock: int | None) -> None:
        self.folder = folder
        self.ledger = ledger
        self._lock = lock

    @staticmethod
    def exists(folder: Path) -> bool:
        """Return True when `folder` holds a ledger.

        A process killed while it made the ledger leaves one without events: that is none yet, and
        :meth:`create` goes on with it.
        """
        path = folder / LEDGER
        return path.exists() and ((folder / HEAD).exists() or not is_unborn(path))

    @classmethod
    def create(
        cls, folder: Path, kind: str, body: Mapping[str, Any], more: Sequence[Event] = ()
    ) -> Workspace:
        """Make a new workspace, with its first events, and own it.

        Raises
        ------
        BadInput
            When the directory is a file, or holds a workspace already.
        StoreUnwritable
            When it cannot be written.
        """
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is a file", "give a directory")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        lock = _acquire(folder)
        try:
            ledger = Ledger(folder / LEDGER, create=True)
            held = next(iter(ledger.events()), None)
            if held is not None:
                ledger.close()
                raise BadInput(f"{folder} holds a {held.kind} already", "choose another directory")
            ledger.take_ownership()
            ledger.append([Event("", kind, dict(body)), *more])
        except BaseException:
            os.close(lock)
            raise
        return cls(folder, ledger, lock)

    @classmethod
    def open(cls, folder: Path, kind: str, *, read_only: bool = False) -> Workspace:
        """Open a workspace, checking all of it; own it unless `read_only`.

        Raises
        ------
        StoreDamaged
            Torn, flipped or missing files.
        WorkspaceBusy
            Another process owns it.
        BadInput
            There is none, or it is of another kind.
        """
        if not cls.exists(folder):
            raise BadInput(f"{folder} is not a labeltrain workspace", "check the path")
        lock = None if read_only else _acquire(folder)
        try:
            ledger = Ledger(folder / LEDGER, read_only=read_only)
            ledger.verify()
            found = next(iter(ledger.events()), None)
            if found is None or found.kind not in KINDS:
                raise StoreDamaged(
                    f"{folder / LEDGER} has no first event",
                    f"run: labeltrain repair {folder}, or delete the directory and start again",
                )
            if found.kind != kind:
                raise BadInput(
                    f"{folder} holds a {found.kind}, not a {kind}",
                    "`labeltrain project` is for projects, `sft` for prompts, `multitask` for "
                    "source tasks, `run` and `report` for studies",
                )
            if not read_only:
                ledger.take_ownership()
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise
        return cls(folder, ledger, lock)

    @classmethod
    def join(cls, folder: Path, epoch: int) -> Workspace:
        """Open a workspace from a worker process, writing under its owner's epoch."""
        return cls(folder, Ledger(folder / LEDGER, epoch=epoch), None)

    @property
    def arrays_folder(self) -> Path:
        """Where arrays lie."""
        return self.folder / "arrays"

    def first(self) -> Event:
        """Return the event that made the workspace."""
        return next(iter(self.ledger.events()))

    def append(self, events: Sequence[Event]) -> None:
        """Append events durably, all or none."""
        self.ledger.append(events)

    def events(
        self, *, run: str | None = None, kind: str | None = None, after: int = 0
    ) -> Iterator[Event]:
        """Yield events in order."""
        return self.ledger.events(run=run, kind=kind, after=after)

    def save_arrays(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> str:
        """Write arrays; the name that comes back goes into an event."""
        return array_files.save(self.arrays_folder, arrays, facts)

    def load_arrays(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Read arrays by name, checked."""
        return array_files.load(self.arrays_folder, name)

    def drop_arrays(self, name: str) -> None:
        """Delete arrays that no later event refers to."""
        with contextlib.suppress(OSError):
            (self.arrays_folder / f"{name}.npz").unlink()

    def close(self) -> None:
        """Close the ledger and give the lock back."""
        try:
            self.ledger.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _acquire(folder: Path) -> int:
    """Take the directory's lock; it is freed when the process ends, however it ends."""
    import fcntl

    path = folder / "lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(handle, 100).decode(errors="replace").strip()
        os.close(handle)
        raise WorkspaceBusy(
            f"{folder} is in use by another process{f' ({holder})' if holder else ''}",
            "wait until it ends, or stop it",
        ) from error
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()}".encode(), 0)
    except OSError as error:
        os.close(handle)
        raise unwritable(path, error) from error
    return handle


def _unused(path: Path) -> Path:
    """Return `path`, or, when it is there already, the first of path-2, path-3 ... that is not."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def kind_of(folder: Path) -> str:
    """Return what a workspace holds, such as "study"; "" where there is none that can be read."""
    if not Workspace.exists(folder):
        return ""
    ledger = Ledger(folder / LEDGER, read_only=True)
    try:
        first = next(iter(ledger.events()), None)
    finally:
        ledger.close()
    return "" if first is None else first.kind


def verify(folder: Path) -> dict[str, int]:
    """Check the ledger and every array of a workspace.

    Returns
    -------
    dict of str to int
        Number of ``events`` and ``arrays``.

    Raises
    ------
    StoreDamaged
        Names the first damaged file and the command that repairs it.
    """
    if not Workspace.exists(folder):
        raise BadInput(f"{folder} is not a labeltrain workspace", "check the path")
    ledger = Ledger(folder / LEDGER, read_only=True)
    try:
        ledger.verify()
        events = sum(1 for _ in ledger.events())
    finally:
        ledger.close()
    paths = array_files.ours(folder / "arrays")
    for path in paths:
        array_files.load(folder / "arrays", path.stem)
    return {"events": events, "arrays": len(paths)}


def repair(folder: Path) -> dict[str, Any]:
    """Rebuild a damaged workspace from its intact events.

    Of a project every intact event is kept, wherever it is: people's answers cannot be made
    again. Of a study those before the first damaged one are: a run makes the rest again. The
    damaged files are kept beside the new ones under ``damaged-<time>``. Arrays that do not match
    their name are set aside too; a run makes them again.

    Returns
    -------
    dict
        ``events`` kept, ``lost`` (at least; None when unknown), ``kept_in``, ``arrays`` set aside.
    """
    import hashlib
    import shutil

    if not Workspace.exists(folder):
        raise BadInput(f"{folder} is not a labeltrain workspace", "check the path")
    lock = _acquire(folder)
    try:
        path = folder / LEDGER
        aside = _unused(folder / f"damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        bad_arrays = [
            p
            for p in array_files.ours(folder / "arrays")
            if hashlib.sha256(p.read_bytes()).hexdigest() != p.stem
        ]
        problem: str | None = None
        good: list[Event] = []
        expected: int | None = None
        try:
            ledger = Ledger(path)
        except StoreDamaged as error:
            problem = error.problem
        else:
            try:
                ledger.verify()
            except StoreDamaged as error:
                problem = error.problem
                good = ledger.salvage()
            finally:
                ledger.close()
        if problem is None and not bad_arrays:
            return {"damaged": False, "events": None, "lost": 0, "kept_in": None, "arrays": 0}
        aside.mkdir()
        for file in bad_arrays:
            shutil.move(file, aside / file.name)
        lost: int | None = 0
        if problem is not None:
            head = read_head(folder / HEAD)
            expected = head[0] if head else None
            lost = None if expected is None else max(0, expected - len(good))
            for name in (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", HEAD):
                if (folder / name).exists():
                    shutil.move(folder / name, aside / name)
            if good:
                fresh = Ledger(path, create=True)
                fresh.take_ownership()
                fresh.append(good)
                fresh.close()
        return {
            "damaged": True,
            "problem": problem,
            "events": len(good) if problem else None,
            "lost": lost,
            "kept_in": str(aside),
            "arrays": len(bad_arrays),
        }
    finally:
        os.close(lock)
