"""Kill a study with SIGKILL again and again; it must end as if nothing had happened.

Half of the kills come from outside at a random moment, half from inside at a random one of the
file operations of a commit: before or after a write is flushed or a file is renamed, and within
an SQLite transaction. Prints one line a trial and `N of N identical`; exit status 1 otherwise.

    python benchmarks/kill.py --trials 50
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = {
    "dataset": "digits",
    "strategies": ["random", "margin"],
    "batch": 20,
    "rounds": 6,
    "seeds": 2,
}

CHILD = """
import json, os, signal, sys
folder, spec = sys.argv[1], json.loads(sys.argv[2])
workers, fatal = int(sys.argv[3]), int(sys.argv[4])
from pathlib import Path
from labeltrain.store import ledger
from labeltrain.studies import run_study
from labeltrain.studies.spec import parse_spec

calls = 0
def count():
    global calls
    calls += 1
    if calls == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(function):
    def call(*arguments, **options):
        count()
        result = function(*arguments, **options)
        count()
        return result
    return call

if fatal:
    os.fsync, os.replace, os.unlink = watched(os.fsync), watched(os.replace), watched(os.unlink)
    connect = ledger.sqlite3.connect
    class Connection(ledger.sqlite3.Connection):
        def execute(self, text, *rest):
            if text.startswith(("BEGIN", "INSERT", "COMMIT", "PRAGMA", "UPDATE")):
                count()
            return super().execute(text, *rest)
        def executescript(self, text):
            count()
            result = super().executescript(text)
            count()
            return result
    ledger.sqlite3.connect = lambda *a, **o: connect(*a, factory=Connection, **o)
if __name__ == "__main__":
    run_study(parse_spec(spec), Path(folder), workers=workers)
    if fatal:
        print("calls", calls)
"""


def outcome(folder: Path) -> dict[str, list[str]]:
    """Return picks, answers, scores and models by run; all but seconds."""
    from labeltrain.store import Workspace

    found: dict[str, list[str]] = {}
    with Workspace.open(folder, "study", read_only=True) as workspace:
        for event in workspace.events():
            if event.kind in ("picked", "scored"):
                body = {k: v for k, v in event.body.items() if k != "seconds"}
                found.setdefault(event.run, []).append(json.dumps(body, sort_keys=True))
    return found


def start(script: Path, folder: Path, workers: int, fatal: int) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    words = [sys.executable, str(script), str(folder), json.dumps(SPEC), str(workers), str(fatal)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the run has begun to write."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from labeltrain.store import Workspace

    rng = random.Random(options.seed)
    identical, moments = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "child.py"
        script.write_text(CHILD)
        begun = time.monotonic()
        first = start(script, Path(scratch) / "whole", 1, 10**9)
        wait_for(Path(scratch) / "whole" / "head.json", first)
        startup = time.monotonic() - begun
        said, errors = first.communicate()
        if first.returncode:
            sys.exit(errors)
        length = time.monotonic() - begun - startup
        calls = int(said.split()[-1])
        expected = outcome(Path(scratch) / "whole")
        print(f"unbroken run: {length:.1f} s, {calls} file operations", flush=True)
        for trial in range(options.trials):
            folder = Path(scratch) / f"t{trial}"
            workers = 1 + trial % 2 if trial % 4 > 1 else 1
            inside = trial % 2 == 0
            # A quarter strikes while the workspace is being made.
            early = trial % 4 < 2 and trial % 8 < 4
            fatal = rng.randrange(1, 40 if early else calls) if inside else 0
            moment = rng.uniform(0.0, 0.03 if early else length)
            process = start(script, folder, 1 if inside else workers, fatal)
            if inside:
                process.wait()
                where = f"file operation {fatal} of {calls}"
            else:
                wait_for(folder / ("ledger.sqlite" if early else "head.json"), process)
                time.sleep(moment)
                process.send_signal(signal.SIGKILL)
                process.wait()
                where = f"{moment:.2f} s, {workers} worker(s)"
            killed = process.returncode == -signal.SIGKILL
            process.communicate()
            done = sum(map(len, outcome(folder).values())) if Workspace.exists(folder) else 0
            again = start(script, folder, workers, 0)
            _, errors = again.communicate()
            same = again.returncode == 0 and outcome(folder) == expected
            identical += same
            moments.append(done)
            print(
                f"{trial + 1:3}: killed={killed} at {where}, after {done} events: "
                f"{'identical' if same else 'DIFFERENT ' + errors[-300:]}",
                flush=True,
            )
    print(f"{identical} of {options.trials} identical; killed after {sorted(set(moments))} events")
    return 0 if identical == options.trials else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
