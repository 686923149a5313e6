"""Seconds of a study by processor time: what else a machine does, and waiting, is left out."""

from __future__ import annotations

import time
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput
from labeltrain.kernels.clock import counted_by, seconds
from labeltrain.report import write
from labeltrain.strategies import Picks, PoolView, register, registry
from labeltrain.strategies.random import Random
from labeltrain.studies import StudySpec
from labeltrain.studies.spec import parse_spec

WAIT = 0.25


def test_the_clock_in_force() -> None:
    def passed(clock: str) -> float:
        with counted_by(clock):
            before = seconds()
            time.sleep(WAIT)
            return seconds() - before

    assert passed("wall") >= WAIT
    assert passed("processor") < WAIT / 2
    before = seconds()
    time.sleep(WAIT)
    assert seconds() - before >= WAIT  # as before


class Sleeper(Random):
    """Waits before it chooses."""

    name = "sleeper"

    def select(self, view: PoolView, count: int, rng: np.random.Generator) -> Picks:
        time.sleep(WAIT)
        return super().select(view, count, rng)


if __name__ != "__main__" and parent_process() is not None:
    register(Sleeper)  # in workers, which import this module


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("clock", ["wall", "processor"])
def test_seconds_of_a_study(workers: int, clock: str, tmp_path: Path) -> None:
    register(Sleeper)
    try:
        found = labeltrain.run(
            dataset="digits", encoder="raw", strategies=["sleeper"], baseline="sleeper", batch=20,
            rounds=2, seeds=2, clock=clock, workers=workers, workspace=tmp_path,
        )  # fmt: skip
    finally:
        del registry._registered["sleeper"]
    assert found.clock == clock
    told = write(found, tmp_path / "out").html.read_text(encoding="utf-8")
    assert ("Processor time" in told) == (clock == "processor")
    for curve in found.curves:
        waits = 2 * WAIT  # of two rounds; the seed set is drawn by chance
        assert (curve.seconds["select"].sum() >= waits) == (clock == "wall")
        assert curve.seconds["train"].min() > 0


def test_a_spec_without_a_clock_keeps_its_key() -> None:
    plain: dict[str, Any] = {"dataset": "digits"}
    assert parse_spec(plain).key == parse_spec({**plain, "clock": "wall"}).key
    assert parse_spec(plain).key != parse_spec({**plain, "clock": "processor"}).key
    assert isinstance(parse_spec({**plain, "clock": "processor"}), StudySpec)
    with pytest.raises(BadInput, match="clock"):
        parse_spec({**plain, "clock": "sun"})
