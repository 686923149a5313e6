"""The time to go: what is left takes what the like took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.cli.output import Bar
from labeltrain.store import Event
from labeltrain.studies.prepare import run_name
from labeltrain.studies.runner import tasks_of
from labeltrain.studies.spec import StudySpec, parse_spec
from labeltrain.studies.work import FIT, STEP, STEPS, Work

FINAL = {"learner": "finetune", "at": [20, 30]}
BOTH = {
    "dataset": "mine.csv", "strategies": ["random"], "batch": 10, "rounds": 2, "seeds": 2,
    "experiments": [
        {"name": "cheap", "learner": "linear"},
        {"name": "with a final one", "learner": "linear", "final": FINAL},
        {"name": "another final one", "learner": "mlp", "final": FINAL},
    ],
}  # fmt: skip
NETWORK = STEP * STEPS
FITS = FIT * (1.1 + 1.2 + 1.3)  # of one trajectory, guessed


def begun() -> tuple[StudySpec, Work]:
    spec = parse_spec(BOTH)
    return spec, Work(spec, tasks_of(spec))


def event(spec: StudySpec, number: int, seed: int, kind: str, took: float, **body: Any) -> Event:
    experiment = spec.experiments[number]
    run = run_name(experiment, experiment.strategies[0], seed)
    return Event(run, kind, {"seconds": {"train": took / 2, "evaluate": took / 2}, **body})


def test_before_anything_was_seen_networks_are_minutes_and_fits_are_not() -> None:
    _, work = begun()
    assert work.done == 0.0
    assert work.total == pytest.approx(6 * FITS + 8 * NETWORK)


def test_a_network_of_few_steps_is_not_minutes() -> None:
    short = {"learner": "finetune", "learner_options": {"steps": 5}}
    spec = parse_spec({**BOTH, "experiments": [{"final": short}, {**short, "name": "alone"}]})
    work = Work(spec, tasks_of(spec))
    assert work.total == pytest.approx(2 * FITS + (2 + 6) * 5 * STEP)


def test_one_training_tells_what_the_others_take() -> None:
    spec, work = begun()
    for number in range(3):
        work.saw(event(spec, 1, 0, "scored", 0.5, round=number, labels=10 * (number + 1)))
    work.saw(event(spec, 1, 0, "final", 10.0, budgets=[20], labels=20))
    assert work.done == 11.5
    # Seven trainings of 10 s, also in the other experiment, and three trajectories of 0.5 s a
    # round with the same learner; two with another learner are still guessed.
    assert work.total - work.done == pytest.approx(7 * 10.0 + 3 * 1.5 + 2 * FITS)


def test_when_all_was_seen_nothing_is_left() -> None:
    spec, work = begun()
    for number in range(3):
        for seed in range(2):
            for round_ in range(3):
                body = {"round": round_, "labels": 10 * (round_ + 1)}
                work.saw(event(spec, number, seed, "scored", 1.0, **body))
            if number:
                work.saw(event(spec, number, seed, "final", 5.0, budgets=[20, 30], labels=30))
    assert work.done == pytest.approx(18 + 20)
    assert work.total == work.done
    work.saw(Event("", "session", {"seconds": 3.0}))
    work.saw(Event("of another study", "scored", {"seconds": {"train": 1.0}, "labels": 10}))
    assert work.done == pytest.approx(18 + 20)


def test_the_bar_says_what_is_left_of_the_newest_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clock = iter(np.arange(0.0, 1000.0, 20.0))
    monkeypatch.setattr("labeltrain.cli.output.time.monotonic", lambda: float(next(clock)))
    bar = Bar()
    bar.stage("rounds", 1000.0)
    bar.advance_to(5.0, 1000.0)  # done before this session
    bar.advance_to(15.0, 55.0)  # 10 in 20 s, and 40 are left
    assert "rounds: 27 %, about 80 s to go" in capsys.readouterr().err
    bar.stage("rounds", 1000.0)
    bar.advance_to(0.0)
    bar.advance_to(15.0)  # too little to tell by
    assert capsys.readouterr().err == "rounds: 0 %\nrounds: 2 %\n"
