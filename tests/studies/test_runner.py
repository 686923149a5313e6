"""Studies: resumed, killed, in one process or several, always the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from study_tools import SMALL, outcome

import labeltrain
from labeltrain.errors import BadInput, StoreDamaged, WorkspaceBusy
from labeltrain.store import Workspace
from labeltrain.store.workspace import repair
from labeltrain.studies import read_results, run_study
from labeltrain.studies.spec import parse_spec


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "w"
    assert run_study(parse_spec(SMALL), folder)
    return folder


def test_a_finished_study_does_nothing(whole: Path) -> None:
    before = outcome(whole)
    assert run_study(parse_spec(SMALL), whole) is False
    assert outcome(whole) == before


def test_two_workers_give_the_same_selections(whole: Path, tmp_path: Path) -> None:
    run_study(parse_spec(SMALL), tmp_path / "w", workers=2)
    assert outcome(tmp_path / "w") == outcome(whole)


def test_results_hold_every_curve(whole: Path) -> None:
    results = read_results(whole)
    assert results.complete
    assert len(results.curves) == 4
    curve = results.curves[0]
    assert curve.labels.tolist() == [20, 40, 60, 80, 100]
    assert curve.recall.shape == (5, 10)
    assert set(curve.seconds) == {"train", "select", "evaluate", "store"}
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "nll", "ece", "pool_accuracy"):
        assert np.isfinite(curve.scores[name]).all()
    assert results.experiments[0].test_counts.sum() == results.experiments[0].test_size


def test_only_the_last_model_of_a_run_is_kept(whole: Path) -> None:
    assert len(list((whole / "arrays").glob("*.npz"))) == 4


def run_in_process(folder: Path, workers: int = 1, rounds: int = 4) -> subprocess.Popen[bytes]:
    options = ["--set", "strategies=[random,margin]", "--batch", "20", "--rounds", str(rounds)]
    return subprocess.Popen(
        [sys.executable, "-c", "from labeltrain.cli import main; main()", "run", "--dataset",
         "digits", *options, "--seeds", "2", "--workspace", str(folder), "--workers", str(workers)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments_it_ends_the_same(
    whole: Path, tmp_path: Path, workers: int
) -> None:
    # benchmarks/kill.py does this 50 times; see docs/reliability.md.
    rng = random.Random(workers)
    folder = tmp_path / "w"
    for attempt in range(4):
        process = run_in_process(folder, workers)
        deadline = time.monotonic() + 60
        # The first strikes while the workspace is being made.
        awaited = folder / ("head.json" if attempt else "ledger.sqlite")
        while process.poll() is None and not awaited.exists():
            time.sleep(0.001)
            assert time.monotonic() < deadline
        time.sleep(rng.uniform(0.0, 1.5 if attempt else 0.01))
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = run_in_process(folder, workers)
    _, said = last.communicate(timeout=120)
    assert last.returncode == 0, said
    assert outcome(folder) == outcome(whole)


def test_an_interrupted_study_is_a_valid_partial_result(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class Impatient:
        def stage(self, name: str, total: float) -> None:
            self.name = name

        def advance_to(self, done: float, total: float | None = None) -> None:
            if self.name == "rounds" and done > 0.4 * (total or np.inf):
                raise Stop

    with pytest.raises(Stop):
        run_study(parse_spec(SMALL), tmp_path / "w", progress=Impatient())
    results = read_results(tmp_path / "w")
    assert not results.complete
    assert {c.complete for c in results.curves} == {True, False}
    run_study(parse_spec(SMALL), tmp_path / "w")
    assert read_results(tmp_path / "w").complete


def test_another_spec_in_the_same_workspace_is_refused(whole: Path) -> None:
    with pytest.raises(BadInput, match=r"batch was 20, now 10"):
        run_study(parse_spec({**SMALL, "batch": 10}), whole)


def test_two_processes_on_one_workspace_are_refused(whole: Path) -> None:
    with Workspace.open(whole, "study"), pytest.raises(WorkspaceBusy):
        run_study(parse_spec(SMALL), whole)


def test_changed_data_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 4)).astype(np.float32), rng.integers(0, 2, 120)
    np.savez(tmp_path / "d.npz", X=X, y=y)
    values = {"dataset": str(tmp_path / "d.npz"), "batch": 5, "rounds": 2, "seeds": 1}
    run_study(parse_spec(values), tmp_path / "w")
    database = tmp_path / "w" / "ledger.sqlite"
    assert database.exists()
    np.savez(tmp_path / "d.npz", X=X + 1, y=y)
    # Drop the last events, so that there is something left to do.
    with Workspace.open(tmp_path / "w", "study") as workspace:
        kept = [e for e in workspace.events() if e.kind != "session"][:-2]
    import shutil

    shutil.rmtree(tmp_path / "w")
    with Workspace.create(tmp_path / "w", "study", kept[0].body) as workspace:
        workspace.append(kept[1:])
    with pytest.raises(BadInput, match="changed since the study began"):
        run_study(parse_spec(values), tmp_path / "w")


def test_a_damaged_model_is_named_and_repaired(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    longer = parse_spec({**SMALL, "rounds": 8})

    class Stop(Exception):
        pass

    class Impatient:
        def stage(self, name: str, total: float) -> None:
            self.name = name

        def advance_to(self, done: float, total: float | None = None) -> None:
            if self.name == "rounds" and done > 0.2 * (total or np.inf):
                raise Stop

    with pytest.raises(Stop):
        run_study(longer, folder, progress=Impatient())
    path = next((folder / "arrays").glob("*.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(bytes(content))
    with pytest.raises(StoreDamaged, match=f"{path.name}.*\n.*labeltrain repair"):
        run_study(longer, folder)
    assert repair(folder)["arrays"] == 1
    with pytest.warns(UserWarning, match="fitted again"):
        run_study(longer, folder)
    run_study(longer, tmp_path / "whole")
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_redrawn_splits_differ_by_seed_and_are_shared_by_strategies(tmp_path: Path) -> None:
    spec = parse_spec({**SMALL, "split": "redraw", "rounds": 1})
    run_study(spec, tmp_path / "w")
    found = outcome(tmp_path / "w")
    assert found["digits/random/0"][0] == found["digits/margin/0"][0]
    assert found["digits/random/0"][0] != found["digits/random/1"][0]
    results = read_results(tmp_path / "w")
    assert results.experiments[0].redrawn
    first = {(c.strategy, c.seed): c.scores["nll"][0] for c in results.curves}
    assert first["random", 0] == first["margin", 0]  # one seed, one split, one seed set
    assert first["random", 0] != first["random", 1]


def test_multilabel_and_noise_and_clusters_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)).astype(np.float32)
    y = (X[:, :4] + 0.3 * rng.normal(size=(300, 4)) > 0.3).astype(int)
    np.savez(tmp_path / "d.npz", X=X, y=y)
    results = labeltrain.run(
        dataset=str(tmp_path / "d.npz"),
        strategies=["random", "margin", "entropy", "confidence"],
        seed_set={"method": "clusters", "size": 12},
        oracle={"noise": 0.05},
        batch=10,
        rounds=3,
        seeds=2,
        metric="map",
    )
    assert results.curves[0].labels.tolist() == [12, 22, 32, 42]
    assert all(c.scores["map"][-1] > 0.7 for c in results.curves)


def test_mlp_runs_and_resumes_exactly(tmp_path: Path) -> None:
    values = {**SMALL, "learner": "mlp", "learner_options": {"steps": 30}, "seeds": 1, "rounds": 2}
    run_study(parse_spec(values), tmp_path / "a")
    run_study(parse_spec(values), tmp_path / "b", workers=2)
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")


def test_an_empty_workspace_has_no_report(tmp_path: Path) -> None:
    Workspace.create(
        tmp_path / "w", "study", {"spec": parse_spec(SMALL).as_json(), "key": "", "versions": {}}
    ).close()
    with pytest.raises(BadInput, match="no finished round"):
        read_results(tmp_path / "w")


def test_orphans_end_with_their_parent(tmp_path: Path) -> None:
    process = run_in_process(tmp_path / "w", workers=2)
    deadline = time.monotonic() + 60
    while not (tmp_path / "w" / "head.json").exists():
        time.sleep(0.05)
        assert time.monotonic() < deadline
    time.sleep(1.5)
    children = _children(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") and not _zombie(pid) for pid in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def test_a_killed_worker_ends_the_study_at_once_and_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    process = run_in_process(folder, workers=2, rounds=50)
    deadline = time.monotonic() + 60
    begun: set[str] = set()
    while len(begun) < 2:  # both workers are at it
        time.sleep(0.05)
        assert time.monotonic() < deadline
        if (folder / "head.json").exists():
            with Workspace.open(folder, "study", read_only=True) as workspace:
                begun = {event.run for event in workspace.events() if event.kind == "scored"}
    os.kill(next(pid for pid in _children(process.pid) if _works(pid)), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"a worker process was killed" in said
    # The other one was not waited for.
    assert not any(curve.complete for curve in read_results(folder).curves)
    again = run_in_process(folder, workers=2, rounds=50)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert read_results(folder).complete


def _works(pid: int) -> bool:
    import psutil

    return any("spawn_main" in part for part in psutil.Process(pid).cmdline())


def _children(pid: int) -> list[int]:
    import psutil

    return [p.pid for p in psutil.Process(pid).children(recursive=True)]


def _zombie(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_workspace_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "ledger.sqlite").touch()
    (tmp_path / "tables").mkdir()
    from labeltrain.store import Ledger

    Ledger(tmp_path / "tables" / "ledger.sqlite", create=True).close()
    (tmp_path / "mode").mkdir()
    database = sqlite3.connect(tmp_path / "mode" / "ledger.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    spec = parse_spec({**SMALL, "rounds": 1, "seeds": 1})
    for name in ("empty", "tables", "mode"):
        assert run_study(spec, tmp_path / name)
        assert read_results(tmp_path / name).complete


def test_what_is_refused_leaves_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the pool holds"):
        run_study(parse_spec({**SMALL, "rounds": 999}), tmp_path / "w")
    assert not (tmp_path / "w").exists()
    run_study(parse_spec({**SMALL, "rounds": 1}), tmp_path / "w")


def test_files_of_the_user_are_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "w" / "arrays" / "precious.npz"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    run_study(parse_spec({**SMALL, "rounds": 1, "seeds": 1}), tmp_path / "w")
    assert repair(tmp_path / "w")["damaged"] is False
    assert mine.read_bytes() == b"mine"


def test_a_strategy_that_stops_early_can_be_reported(tmp_path: Path) -> None:
    from labeltrain.report import summarise
    from labeltrain.strategies import Picks, PoolView, Strategy, register, registry

    class Quitter(Strategy):
        name = "quitter"
        summary = "stops after the first round"

        def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
            return Picks(view.candidates[: count if view.round.number < 2 else 0])

    register(Quitter)
    try:
        results = labeltrain.run(**{**SMALL, "strategies": ["random", "quitter"]})
        assert {c.strategy: c.labels[-1] for c in results.curves} == {"random": 100, "quitter": 40}
        assert summarise(results)
    finally:
        del registry._registered["quitter"]


def test_workers_go_on_where_some_experiments_are_finished(tmp_path: Path) -> None:
    experiments = [{"name": "first", "seeds": 1}, {"name": "second", "batch": 10}]
    both = {**SMALL, "experiments": experiments}
    run_study(parse_spec(both), tmp_path / "whole")

    class Stop(Exception):
        pass

    class Impatient:
        def stage(self, name: str, total: float) -> None:
            self.name = name

        def advance_to(self, done: float, total: float | None = None) -> None:
            if self.name == "rounds" and done > 0.7 * (total or np.inf):
                raise Stop

    with pytest.raises(Stop):
        run_study(parse_spec(both), tmp_path / "w", progress=Impatient())
    finished = [c.experiment for c in read_results(tmp_path / "w").curves if c.complete]
    assert finished.count("first") == 2
    assert finished.count("second") < 4
    run_study(parse_spec(both), tmp_path / "w", workers=2)
    assert outcome(tmp_path / "w") == outcome(tmp_path / "whole")
