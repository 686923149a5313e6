"""The ledger: append-only events in SQLite, chained by checksums.

Everything a workspace knows is a fold over its events. Events that belong together are appended
in one transaction (WAL, synchronous=FULL). Each event carries a checksum of itself and of all
events before it, so a lost, torn or flipped row is found, wherever it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeltrain.errors import StoreDamaged, StoreUnwritable, WorkspaceBusy

VERSION = 1
GENESIS = hashlib.sha256(b"labeltrain ledger").hexdigest()
BUSY_SECONDS = 60.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    time REAL NOT NULL,
    body TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS owner (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL)
    STRICT;
INSERT OR IGNORE INTO owner VALUES (1, 0);
CREATE VIEW IF NOT EXISTS runs AS
    SELECT run, time, body FROM events WHERE kind = 'run';
CREATE VIEW IF NOT EXISTS rounds AS
    SELECT run, time, body ->> 'round' AS round, body ->> 'labels' AS labels,
           body -> 'scores' AS scores FROM events WHERE kind = 'scored';
CREATE VIEW IF NOT EXISTS picks AS
    SELECT e.run, e.time, e.body ->> 'round' AS round, p.key AS rank,
           p.value ->> 'position' AS position, p.value ->> 'id' AS id,
           p.value ->> 'score' AS score, p.value ->> 'answer' AS answer
    FROM events e, json_each(e.body, '$.picks') p WHERE e.kind IN ('picked', 'opened');
CREATE VIEW IF NOT EXISTS answers AS
    SELECT e.run, e.time, a.value ->> 'id' AS id, a.value ->> 'what' AS what,
           a.value ->> 'label' AS label, a.value ->> 'annotator' AS annotator
    FROM events e, json_each(e.body, '$.answers') a WHERE e.kind = 'answered';
"""


@dataclass(frozen=True)
class Event:
    """One fact that happened: of which run, of which kind, and its JSON body."""

    run: str
    kind: str
    body: dict[str, Any]
    seq: int = 0
    time: float = 0.0


def _digest(previous: str, seq: int, run: str, kind: str, when: float, body: str) -> str:
    text = "\x1f".join((previous, str(seq), run, kind, repr(when), body))
    return hashlib.sha256(text.encode()).hexdigest()


class Ledger:
    """One SQLite file of events; see the module text.

    Parameters
    ----------
    path : Path
        The file; made when `create`.
    create : bool
    epoch : int, optional
        The ownership this connection writes under. A writer whose epoch is no longer the
        current one is refused: a worker that outlived its run cannot write into the next one.
    read_only : bool
    """

    def __init__(
        self, path: Path, *, create: bool = False, epoch: int | None = None, read_only: bool = False
    ) -> None:
        self.path = path
        self.epoch = epoch
        self._process = os.getpid()
        if not create and not path.exists():
            raise StoreDamaged(
                f"{path} is missing", "give the directory of a run or project, or start a new one"
            )
        with self._translated("open"):
            if read_only and not os.access(path.parent, os.W_OK):
                self._db = _connect_read_only(path)
            else:
                self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            self._db.execute("PRAGMA trusted_schema = OFF")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if create and not tables:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
            elif version != VERSION:
                raise StoreDamaged(
                    f"{path} has ledger version {version}; this labeltrain reads {VERSION}",
                    "use a newer labeltrain, or, if the file was damaged, "
                    f"run: labeltrain repair {path.parent}",
                )
            self._db.execute("PRAGMA synchronous = FULL")

    def _translated(self, doing: str) -> _Translated:
        return _Translated(self.path, doing)

    @property
    def head_path(self) -> Path:
        """The file that says how far the ledger had come at the last commit."""
        return self.path.with_name("head.json")

    def take_ownership(self) -> int:
        """Start a new epoch: writers of older ones are refused from now on."""
        with self._translated("write"):
            self._db.execute("BEGIN IMMEDIATE")
            epoch = int(self._db.execute("SELECT epoch FROM owner").fetchone()[0]) + 1
            self._db.execute("UPDATE owner SET epoch = ?", (epoch,))
            self._db.execute("COMMIT")
        self.epoch = epoch
        return epoch

    def append(self, events: Sequence[Event]) -> None:
        """Append events in one durable transaction: all of them or none.

        Raises
        ------
        StoreUnwritable
            Full disk, read-only directory.
        WorkspaceBusy
            Another process has taken the workspace over.
        """
        if not events:
            return
        if os.getpid() != self._process:
            raise WorkspaceBusy(
                f"{self.path} was opened by another process, of which this one is a fork",
                "open the workspace again in this process",
            )
        with self._translated("write"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                epoch = self._db.execute("SELECT epoch FROM owner").fetchone()[0]
                if self.epoch is not None and epoch != self.epoch:
                    raise WorkspaceBusy(
                        f"another process has taken over {self.path.parent}",
                        "let that process finish",
                    )
                row = self._db.execute(
                    "SELECT seq, digest FROM events ORDER BY seq DESC LIMIT 1"
                ).fetchone()
                seq, digest = row or (0, GENESIS)
                for event in events:
                    seq += 1
                    now = event.time or time.time()
                    body = json.dumps(event.body, ensure_ascii=False, separators=(",", ":"))
                    digest = _digest(digest, seq, event.run, event.kind, now, body)
                    self._db.execute(
                        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
                        (seq, event.run, event.kind, now, body, digest),
                    )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._write_head(seq, digest)

    def _write_head(self, seq: int, digest: str) -> None:
        # A lower bound on how far the ledger has come: guards acknowledged events against a
        # damaged write-ahead log, which SQLite would cut off in silence.
        from labeltrain.store.files import replace_bytes

        text = json.dumps({"seq": seq, "digest": digest, "check": _check(seq, digest)})
        replace_bytes(self.head_path, text.encode(), durable=False)

    def events(
        self, *, run: str | None = None, kind: str | None = None, after: int = 0
    ) -> Iterator[Event]:
        """Yield events in order, of one run or kind and after a sequence number when asked."""
        where: list[str] = ["seq > ?"]
        values: list[str | int] = [after]
        for column, value in (("run", run), ("kind", kind)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        clause = " AND ".join(where)
        with self._translated("read"):
            rows = self._db.execute(
                f"SELECT run, kind, body, seq, time FROM events WHERE {clause} ORDER BY seq", values
            ).fetchall()
        for row in rows:
            yield Event(row[0], row[1], json.loads(row[2]), row[3], row[4])

    def verify(self) -> None:
        """Check every page, every event and the end of the chain.

        Raises
        ------
        StoreDamaged
            Names the file and the command that repairs it.
        """
        remedy = f"run: labeltrain repair {self.path.parent}"
        with self._translated("read"):
            report = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if report != "ok":
                raise StoreDamaged(f"{self.path} is damaged: {report}", remedy)
        head = read_head(self.head_path)  # before the walk: a writer may append meanwhile
        seen = _walk(self._db)
        bad = seen.problem
        if head is None and seen.seq > 1:
            warnings.warn(
                f"{self.head_path} is missing or damaged: whether the last events are all there "
                "cannot be checked until something is written",
                stacklevel=3,
            )
        if bad is None and head is not None:
            seq, digest = head
            if seq > seen.seq:
                bad = f"its last {seq - seen.seq} event(s) are missing"
            elif seq and seen.digests.get(seq) != digest:
                bad = f"event {seq} is not the one that was written"
        if bad is not None:
            raise StoreDamaged(f"{self.path} is damaged: {bad}", remedy)

    def salvage(self) -> list[Event]:
        """Return the intact events: of a project all, of a study those before the first damage."""
        before: list[Event] = []
        _walk(self._db, keep=before)
        if not before or before[0].kind != "project":
            return before
        intact: list[Event] = []
        previous = (0, GENESIS)
        seq = 0
        try:
            last = self._db.execute("SELECT max(seq) FROM events").fetchone()[0] or 0
        except sqlite3.DatabaseError:
            return before
        # Row by row: one that cannot be read must not hide those after it.
        while seq < last:
            seq += 1
            try:
                row = self._db.execute(
                    "SELECT run, kind, time, body, digest FROM events WHERE seq = ?", (seq,)
                ).fetchone()
                if row is None:
                    continue
                run, kind, when, body, digest = row
                chained = previous[0] == seq - 1
                if not chained or digest == _digest(previous[1], seq, run, kind, when, body):
                    intact.append(Event(run, kind, json.loads(body), seq, when))
                previous = (seq, str(digest))
            except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, TypeError):
                continue
        return intact

    def close(self) -> None:
        """Fold the write-ahead log into the file and close."""
        try:
            with self._translated("close"):
                if self.epoch is not None:
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._db.close()


@dataclass
class _Walked:
    seq: int
    digests: dict[int, str]
    problem: str | None


def _walk(db: sqlite3.Connection, keep: list[Event] | None = None) -> _Walked:
    previous, last, problem = GENESIS, 0, None
    digests: dict[int, str] = {}
    try:
        for seq, run, kind, when, body, digest in db.execute(
            "SELECT seq, run, kind, time, body, digest FROM events ORDER BY seq"
        ):
            if seq != last + 1:
                problem = f"event {last + 1} is missing"
                break
            if digest != _digest(previous, seq, run, kind, when, body):
                problem = f"event {seq} does not match its checksum"
                break
            if keep is not None:
                keep.append(Event(run, kind, json.loads(body), seq, when))
            previous, last = digest, seq
            digests[seq] = digest
    except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError) as error:
        problem = f"event {last + 1} cannot be read ({error})"
    return _Walked(last, digests, problem)


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a ledger in a directory where nothing can be written."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    database = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)
    try:
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        # SQLite cannot make its files beside it: then no writer is there, unless a log is left.
        database.close()
        if _needs_recovery(path):
            raise
        database = sqlite3.connect(f"{uri}&immutable=1", uri=True, timeout=BUSY_SECONDS)
    return database


def is_unborn(path: Path) -> bool:
    """Return True for a ledger that was never finished: a sound file without any event."""
    try:
        database = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return True
            return not database.execute("SELECT count(*) FROM events").fetchone()[0]
        finally:
            database.close()
    except sqlite3.DatabaseError:
        return False


def _check(seq: int, digest: str) -> str:
    return hashlib.sha256(f"{seq} {digest}".encode()).hexdigest()


def read_head(path: Path) -> tuple[int, str] | None:
    """Return (seq, digest), or None when the file is absent or unreadable (it is only a bound)."""
    try:
        held = json.loads(path.read_bytes())
        seq, digest = int(held["seq"]), str(held["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (seq, digest) if held.get("check") == _check(seq, digest) else None


def _needs_recovery(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


class _Translated:
    """Turn SQLite's errors into ours, naming the file and the remedy."""

    def __init__(self, path: Path, doing: str) -> None:
        self.path = path
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, sqlite3.Error | UnicodeDecodeError):
            return
        text = str(error)
        low = text.lower()
        folder = self.path.parent
        if "full" in low or "disk i/o" in low:
            raise StoreUnwritable(
                f"cannot {self.doing} {self.path}: {text}",
                "free some disk space and run the same command again; what was committed is kept",
            ) from error
        if "readonly" in low or "read-only" in low or "unable to open" in low:
            raise StoreUnwritable(
                f"cannot {self.doing} {self.path}: {text}",
                f"make {folder} writable, or choose another directory",
            ) from error
        if "locked" in low or "busy" in low:
            raise WorkspaceBusy(
                f"{self.path} is held by another process", "wait for it, or stop it"
            ) from error
        raise StoreDamaged(
            f"{self.path} is damaged: {text}", f"run: labeltrain repair {folder}"
        ) from error
