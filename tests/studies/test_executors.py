"""Which worker does which task: all are done, and the like by the same worker."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeltrain.strategies import registry
from labeltrain.studies.executors import Task, next_task, warm_up
from labeltrain.studies.runner import tasks_of
from labeltrain.studies.spec import StudySpec, parse_spec


def study(datasets: int, encoders: int, seeds: int) -> tuple[StudySpec, list[Any]]:
    experiments = [
        {"name": f"{d} {e} {learner}", "dataset": f"d{d}.csv", "encoder": f"hf:{e}",
         "learner": learner, "seeds": seeds}
        for d in range(datasets) for e in range(encoders) for learner in ("linear", "propagation")
    ]  # fmt: skip
    spec = parse_spec({"strategies": ["random", "margin"], "experiments": experiments})
    return spec, [SimpleNamespace(spec=experiment) for experiment in spec.experiments]


def dealt(spec: StudySpec, materials: list[Any], turns: list[int]) -> dict[int, list[Task]]:
    """Give tasks to workers in these turns until none is left."""
    left, last = tasks_of(spec), [None] * (max(turns) + 1)
    done: dict[int, list[Task]] = {worker: [] for worker in range(len(last))}
    turn = 0
    while left:
        worker = turns[turn % len(turns)]
        done[worker].append(next_task(left, last, worker, materials))
        turn += 1
    return done


@given(
    st.integers(1, 2), st.integers(1, 2), st.integers(1, 4), st.lists(st.integers(0, 2), min_size=1)
)
def test_every_task_is_done_once(
    datasets: int, encoders: int, seeds: int, turns: list[int]
) -> None:
    spec, materials = study(datasets, encoders, seeds)
    done = dealt(spec, materials, turns)
    names = [(t.experiment, t.strategy.name, t.seed) for tasks in done.values() for t in tasks]
    assert sorted(names) == sorted((t.experiment, t.strategy.name, t.seed) for t in tasks_of(spec))
    assert len(set(names)) == len(names) == datasets * encoders * 2 * 2 * seeds


def test_the_like_is_done_by_the_same_worker() -> None:
    spec, materials = study(datasets=2, encoders=2, seeds=4)
    done = dealt(spec, materials, [0, 1, 1])  # one is twice as fast
    owners: dict[tuple[str, int], set[int]] = {}
    changes = 0
    for worker, tasks in done.items():
        before = None
        for task in tasks:
            one = materials[task.experiment].spec
            owners.setdefault((one.dataset, task.seed), set()).add(worker)
            changes += before != (one.dataset, one.encoder, task.seed)
            before = (one.dataset, one.encoder, task.seed)
    assert sum(len(workers) > 1 for workers in owners.values()) <= 1  # the last is shared out
    assert changes <= 2 * 2 * 4 + 1  # each encoder of each split once


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0]])
def test_what_is_most_like_the_last_task_comes_next(order: list[int]) -> None:
    spec, materials = study(datasets=2, encoders=1, seeds=2)
    margin = spec.experiments[0].strategies[1]
    # The same experiment; the same encoder of the split; nothing in common, twice.
    like = [Task(0, margin, 0), Task(1, margin, 0), Task(2, margin, 0), Task(0, margin, 1)]
    last = [None, Task(0, spec.experiments[0].strategies[0], 0)]
    left = [like[k] for k in order]
    found = [next_task(left, last, 1, materials) for _ in range(2)]
    assert found == like[:2]


def test_what_another_worker_is_at_is_left_to_it() -> None:
    spec, materials = study(datasets=2, encoders=1, seeds=2)
    random, margin = spec.experiments[0].strategies
    left = [Task(0, margin, 0), Task(1, margin, 0), Task(2, margin, 0)]
    assert next_task(left, [Task(0, random, 0), None], 1, materials) == Task(2, margin, 0)
    assert next_task(left, [Task(0, random, 0), Task(3, random, 1)], 1, materials).experiment == 1


def test_seeds_come_in_order_so_that_what_is_done_is_paired() -> None:
    spec, materials = study(datasets=1, encoders=2, seeds=3)
    done = dealt(spec, materials, [0])[0]
    assert [task.seed for task in done] == sorted(task.seed for task in done)


def test_what_learners_import_is_there_before_the_clock_runs() -> None:
    """In a new process: neither the loop's nor the final learner's modules are booked to a fit."""
    script = """
import sys
from labeltrain.studies.executors import import_modules
from labeltrain.studies.spec import parse_spec

spec = parse_spec({"dataset": "digits", "learner": "linear", "final": "mlp"}).experiments[0]
assert "torch" not in sys.modules and "sklearn.linear_model" not in sys.modules
import_modules(spec)
assert "torch" in sys.modules and "sklearn.linear_model" in sys.modules
before = set(sys.modules)
import numpy as np
from labeltrain.learners import Training, make

training = Training(np.eye(4, dtype=np.float32), np.array([0, 1]), np.array([0, 1]), 2)
for name in ("linear", "mlp"):
    make(name).fit(training, np.random.default_rng(0))
assert len(set(sys.modules) - before) < 40, set(sys.modules) - before
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "name", ["badge", "margin", "k-center", "typiclust", "galaxy", "facility-location"]
)
def test_strategies_load_their_code_before_the_clock_runs(name: str) -> None:
    """In a new process: the first choice imports nothing that takes long any more."""
    script = f"""
import sys
from labeltrain.studies.executors import warm_up

warm_up({name!r})
before = set(sys.modules)
import numpy as np
import labeltrain

rng = np.random.default_rng(1)
options = dict(ask=lambda some: some % 3) if {name!r} == "galaxy" else {{}}
labeltrain.select(
    {name!r}, budget=10, embeddings=rng.normal(size=(300, 16)).astype(np.float32),
    probabilities=rng.dirichlet(np.ones(3), size=300), labelled=np.arange(20),
    labels=np.arange(20) % 3, **options,
)
late = {{module.split(".")[0] for module in set(sys.modules) - before}}
assert not late & {{"numba", "sklearn", "scipy", "torch"}}, late
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_strategy_of_the_users_own_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(registry.get("margin")):  # type: ignore[misc]
        name = "only-mine"

        def select(self, *given: object, **more: object) -> object:
            raise AssertionError("called")

    monkeypatch.setitem(registry._registered, "only-mine", Mine)
    warm_up("only-mine")
