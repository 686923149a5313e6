"""Which worker does which task: all are done, and the like by the same worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labeltrain.studies.executors import Task, next_task
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


def test_seeds_come_in_order_so_that_what_is_done_is_paired() -> None:
    spec, materials = study(datasets=1, encoders=2, seeds=3)
    done = dealt(spec, materials, [0])[0]
    assert [task.seed for task in done] == sorted(task.seed for task in done)
