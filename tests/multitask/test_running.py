"""Runs on known data: nothing is read that was not drawn, budgets hold, a killed run goes on."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.errors import BadInput, HiddenLabel
from labeltrain.multitask import running
from labeltrain.multitask.dimension import choose_dimension
from labeltrain.multitask.features import Encoded, encode
from labeltrain.multitask.method_run import chosen, finished
from labeltrain.multitask.methods import METHODS
from labeltrain.multitask.page import write_page
from labeltrain.multitask.reading import read_tasks
from labeltrain.multitask.results import RunResults, read_results
from labeltrain.multitask.running import run_in
from labeltrain.multitask.samples import Samples
from labeltrain.multitask.scores import target_scores
from labeltrain.multitask.simulation import Simulation, never, simulate
from labeltrain.multitask.spec import RunSpec, make_spec
from labeltrain.multitask.summary import summarise
from labeltrain.multitask.synthetic import generate
from labeltrain.multitask.tasks import Source, Task, TaskSet
from labeltrain.multitask.words import sentences

MADE: dict[str, Any] = {"features": 8, "dimension": 3, "tasks": 10, "noise": 0.1}
DIGITS: dict[str, Any] = {
    "target": "digits:3", "sources": ["digits"], "budget": 600, "epochs": 3, "dimension": 4,
    "ridge": 1.0, "components": 20,
}  # fmt: skip


def made_up(folder: Path, *, noise: float = 0.1, items: int = 300) -> Path:
    """Write made-up tasks as a file with a column of tasks and one of numbers."""
    tasks = generate(0, **{**MADE, "noise": noise})
    path = folder / "made.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "value", *(f"x{i}" for i in range(8))])
        for m in range(11):
            x, y = tasks.draw_target(items) if m == 10 else tasks.draw(m, items)
            for row, value in zip(x, y, strict=True):
                writer.writerow(["goal" if m == 10 else f"source{m}", value, *row])
    return path


class Watched(Source):
    """Answers only what a test allows, and notes what was asked."""

    asked: dict[str, list[int]]
    allowed: dict[str, set[int]]

    def answers(self, task: Task, items: np.ndarray) -> np.ndarray:
        self.asked.setdefault(task.name, []).extend(items.tolist())
        extra = set(items.tolist()) - self.allowed.get(task.name, set(items.tolist()))
        if extra:
            raise HiddenLabel(f"{task.name}: {sorted(extra)[:3]} were read")
        return super().answers(task, items)


def watched(tasks: TaskSet) -> tuple[TaskSet, Watched]:
    own = tasks.data_sets[0]
    spy = Watched(own.name, own.dataset, own.tasks, own.numbers)
    object.__setattr__(spy, "asked", {})
    object.__setattr__(spy, "allowed", {})
    return replace(tasks, data_sets=(spy, *tasks.data_sets[1:])), spy


def prepared(spec: RunSpec, tasks: TaskSet | None = None, seed: int = 0) -> Simulation:
    tasks = tasks or read_tasks(spec.target, spec.sources, spec.read)
    return simulate(tasks, encode(tasks), seed, target_labels=spec.target_labels,
                    test_share=spec.test_share, components=spec.components)  # fmt: skip


# -- what is known ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["l1", "l2", "uniform", "random", "optimal", "elastic-net"])
def test_no_label_is_read_that_was_not_drawn(method: str) -> None:
    spec = make_spec({**DIGITS, "method": method, "budget": 450, "dimension": None, "ridge": None})
    tasks, spy = watched(read_tasks("digits:3", ["digits"]))
    simulation = prepared(spec, tasks)
    target = {*simulation.labelled.tolist(), *simulation.test.tolist()}
    spy.allowed["digits:3"] = set(simulation.labelled.tolist())
    choice = chosen(spec, simulation)
    for name, items in spy.asked.items():
        if name != "digits:3":  # what the choice reads is what the first epoch draws
            assert len(set(items)) <= 17
    before = {name: set(items) for name, items in spy.asked.items()}
    spy.asked.clear()
    spy.allowed["digits:3"] = target
    found = finished(spec, simulation, method, choice["dimension"], choice["ridge"])
    drawn = np.split(found.arrays["drawn"], np.cumsum(found.arrays["drawn_counts"])[:-1])
    assert sum(len(d) for d in drawn) == 450
    for task, items in zip(tasks.sources, drawn, strict=True):
        assert len(set(items.tolist())) == len(items)  # each sample once
        assert set(spy.asked.get(task.name, [])) == set(items.tolist())
        assert not set(items.tolist()) & set(simulation.test.tolist())
        if method not in ("random",):
            assert before[task.name] <= set(items.tolist())


def test_checks_before_a_run_read_no_label(tmp_path: Path) -> None:
    spec = make_spec({**DIGITS, "budget": 10**6})
    tasks, spy = watched(read_tasks("digits:3", ["digits"]))
    with pytest.raises(BadInput, match="all samples of all source tasks"):
        running._refuse_impossible(spec, tasks, encode(tasks))
    assert not spy.asked
    with pytest.raises(HiddenLabel, match="2 labels of 'digits:3'"):
        never(tasks.target, np.arange(2))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.booleans())
def test_what_is_held_out(seed: int, labels: int, shared: bool) -> None:
    tasks, encoded = _small(seed, shared)
    found = simulate(tasks, encoded, seed, target_labels=labels, test_share=0.4)
    items = set(tasks.target.items.tolist())
    labelled, test = set(found.labelled.tolist()), set(found.test.tolist())
    assert len(labelled) == labels
    assert not labelled & test
    assert labelled | test <= items
    assert len(test) == (40 if shared else 100 - labels)
    for task, mine in zip(tasks.sources, found.items, strict=True):
        left = set(task.items.tolist()) - (test if shared else set())
        assert set(mine.tolist()) == left
    again = simulate(tasks, encoded, seed, target_labels=labels, test_share=0.4)
    np.testing.assert_array_equal(again.labelled, found.labelled)
    np.testing.assert_array_equal(again.rows, found.rows)
    one, other = found.source(), found.source()
    counts = np.minimum(7, one.available.astype(int))
    parts = [one.draw(0, 3), one.draw(0, int(counts[0]) - 3)]
    np.testing.assert_array_equal(
        np.concatenate([p[0] for p in parts]), other.draw(0, int(counts[0]))[0]
    )
    np.testing.assert_array_equal(one.drawn(0), other.drawn(0))
    with pytest.raises(BadInput, match="more samples of"):
        one.draw(0, 1000)


def _small(seed: int, shared: bool) -> tuple[TaskSet, Encoded]:
    from labeltrain.data import Dataset

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=(100, 3)).astype(np.int8)
    rows = rng.normal(size=(100, 4)).astype(np.float32)
    ids = tuple(map(str, range(100)))
    own = Dataset("own", "features", rows, ids, "multilabel", ("a", "b", "c"), labels)  # type: ignore[arg-type]
    every = np.arange(100)
    tasks = [Task(f"own:{c}", 0, every, "binary", "own", c, i) for i, c in enumerate("abc")]
    source = Source("own", own, tuple(tasks))
    other = Source("other", own, ())
    far = Task("other:a", 1, every, "binary", "other", "a", 0)
    target = tasks[2] if shared else far
    return (
        TaskSet((source, other), tuple(tasks[:2]), target),
        Encoded(np.concatenate([rows, rows]), (0, 100), "raw", 0.0, "key"),
    )


def test_a_split_of_the_data_sets_own_is_kept() -> None:
    tasks, encoded = _small(0, True)
    own = tasks.data_sets[0]
    held = replace(own, dataset=replace(own.dataset, test=np.arange(30)))
    found = simulate(replace(tasks, data_sets=(held, tasks.data_sets[1])), encoded, 0,
                     target_labels=10)  # fmt: skip
    np.testing.assert_array_equal(found.test, np.arange(30))
    assert all(items.min() >= 30 for items in found.items)


# -- the dimension ---------------------------------------------------------------------------------


def test_the_dimension_is_found_from_drawn_samples_alone() -> None:
    for size in (2, 4):
        tasks = generate(1, features=12, dimension=size, tasks=20, noise=0.1)
        samples = Samples.of([tasks.draw(m, 40) for m in range(20)])
        found = choose_dimension(samples)
        assert found.dimension == size
        assert found.loss < 0.1 * found.alone
        assert (found.dimension, found.ridge, found.loss) in found.tried
    few = choose_dimension(samples, dimensions=(3,), ridges=(0.5,))
    assert (few.dimension, few.ridge) == (3, 0.5)
    assert choose_dimension(samples, most=2).dimension <= 2
    with pytest.raises(BadInput, match="no task has two samples"):
        choose_dimension(Samples.of([tasks.draw(m, 1) for m in range(20)]))


def test_scores_by_hand() -> None:
    predicted, values = np.array([0.2, 0.6, 0.6, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    found = target_scores(predicted, values, "binary")
    assert found["mse"] == pytest.approx((0.04 + 0.36 + 0.16 + 0.01) / 4)
    assert found["explained"] == pytest.approx(1 - found["mse"] / 0.25)
    assert found["accuracy"] == 0.75
    assert found["auc"] == pytest.approx(3.5 / 4)
    assert set(target_scores(predicted, values, "number")) == {"mse", "explained"}
    assert np.isnan(target_scores(predicted, np.ones(4), "binary")["auc"])


# -- budgets and determinism -----------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name, m in METHODS.items() if not m.known])
def test_budgets_of_every_method(method: str) -> None:
    spec = make_spec({**DIGITS, "method": method})
    simulation = prepared(spec)
    found = finished(spec, simulation, method, 4, 1.0)
    counts, spent = found.arrays["counts"], [e["spent"] for e in found.body["epochs"]]
    if method == "all":
        assert counts[-1].tolist() == [len(items) for items in simulation.items]
    elif method == "target-only":
        assert spent == [0.0]
    else:
        assert spent == [200.0, 400.0, 600.0]
        assert (np.diff(counts, axis=0) >= 0).all()
    again = finished(spec, prepared(spec), method, 4, 1.0)
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    other = finished(spec, prepared(spec, seed=1), method, 4, 1.0)
    assert not np.array_equal(other.arrays["test"], found.arrays["test"])


def test_all_methods_begin_with_the_same_samples() -> None:
    spec = make_spec(DIGITS)
    simulation = prepared(spec)
    first = [finished(spec, simulation, m, 4, 1.0).arrays["predictions"][0]
             for m in ("l1", "l2", "uniform")]  # fmt: skip
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0], first[2])


def test_costs_are_by_the_name_of_a_task() -> None:
    spec = make_spec({**DIGITS, "costs": {"digits:1": 3.0}})
    found = finished(spec, prepared(spec), "l2", 4, 1.0)
    counts = found.arrays["counts"]
    prices = np.ones(9)
    prices[1] = 3.0
    assert found.body["epochs"][-1]["spent"] == float(prices @ counts[-1]) <= 600
    with pytest.raises(BadInput, match="did you mean 'digits:1'"):
        finished(make_spec({**DIGITS, "costs": {"digits:11": 3.0}}), prepared(spec), "l2", 4, 1.0)


# -- the workspace ---------------------------------------------------------------------------------


def essence(results: RunResults) -> list[Any]:
    """Return all of a run but the seconds."""
    return [
        (r.seed, r.method, r.dimension, r.ridge, r.warnings, json.dumps(r.epochs),
         r.counts.tolist(), r.predictions.tolist(), [d.tolist() for d in r.drawn])
        for r in results.runs
    ]  # fmt: skip


def test_a_run_that_was_stopped_ends_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec({**DIGITS, "seeds": 2, "dimension": None})
    assert run_in(spec, tmp_path / "whole")
    assert not run_in(spec, tmp_path / "whole")
    whole = read_results(tmp_path / "whole")
    assert whole.complete
    real, done = running.finished, 0

    def stopping(*given: Any) -> Any:
        nonlocal done
        done += 1
        if done % 2 == 0:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(running, "finished", stopping)
    stops = 0
    while True:
        try:
            run_in(spec, tmp_path / "parts")
            break
        except KeyboardInterrupt:
            stops += 1
            assert not read_results(tmp_path / "parts").complete
            write_page(read_results(tmp_path / "parts"), tmp_path / "parts")
            assert "Partial result" in (tmp_path / "parts" / "multitask.html").read_text()
    assert stops == 5
    assert essence(read_results(tmp_path / "parts")) == essence(whole)


@pytest.mark.parametrize("method", ["l1", "affinity"])
def test_a_run_with_a_network_that_was_stopped_ends_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    spec = make_spec({
        **DIGITS, "method": method, "beside": "uniform", "ridge": None, "representation": "mlp",
        "network": {"width": 16, "steps": 80},
    })  # fmt: skip
    run_in(spec, tmp_path / "whole")
    whole, real = read_results(tmp_path / "whole"), running.finished
    monkeypatch.setattr(running, "finished", lambda *given: _stop() if "uniform" in given
                        else real(*given))  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        run_in(spec, tmp_path / "parts")
    monkeypatch.setattr(running, "finished", real)
    run_in(spec, tmp_path / "parts")
    parts = read_results(tmp_path / "parts")
    assert essence(parts) == essence(whole)
    assert [run.dimension for run in parts.runs] == [4, 4]
    page = write_page(parts, tmp_path / "out").html.read_text(encoding="utf-8")
    assert f"<dt>numpy</dt><dd>{np.__version__}</dd>" in page
    assert "mlp" in page


def test_a_run_with_convolutions(tmp_path: Path) -> None:
    spec = make_spec({
        "target": "mnist-5k:3", "sources": ["mnist-5k"], "budget": 360, "epochs": 2,
        "encoder": "raw", "representation": "cnn", "network": {"width": 16, "steps": 60},
        "beside": "uniform",
    })  # fmt: skip
    run_in(spec, tmp_path / "w")
    results = read_results(tmp_path / "w")
    assert [run.dimension for run in results.runs] == [12, 12]  # a quarter of 50 labels
    assert all(run.epochs[-1]["scores"]["auc"] > 0.6 for run in results.runs)


def test_another_run_or_other_data_is_refused(tmp_path: Path) -> None:
    path = made_up(tmp_path, items=60)
    options: dict[str, Any] = {
        "target": "goal", "sources": [str(path)], "budget": 300, "epochs": 2, "target_labels": 20,
        "reading": {"task_column": "task", "value_column": "value"}, "beside": "uniform",
    }  # fmt: skip
    spec = make_spec({**options, "seeds": 2})
    run_in(spec, tmp_path / "w")
    with pytest.raises(BadInput, match=r"budget: 300\.0, not 200\.0"):
        run_in(make_spec({**options, "seeds": 2, "budget": 200}), tmp_path / "w")
    text = path.read_text()
    path.write_text(text.replace("goal", "goal ", 1))  # the same data
    assert not run_in(spec, tmp_path / "w")
    half = tmp_path / "half"
    whole = running.finished
    try:
        running.finished = _stop  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            run_in(spec, half)
    finally:
        running.finished = whole
    path.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    with pytest.raises(BadInput, match="changed since the run began"):
        run_in(spec, half)


def _stop(*given: Any) -> Any:
    raise KeyboardInterrupt


def test_made_up_tasks_from_a_file(tmp_path: Path) -> None:
    """Two sources make up the target: they are found, and drawn; noise is what is left."""
    path = made_up(tmp_path)
    spec = make_spec({
        "target": "goal", "sources": [str(path)], "budget": 900, "seeds": 10, "target_labels": 12,
        "reading": {"task_column": "task", "value_column": "value"},
    })  # fmt: skip
    run_in(spec, tmp_path / "w")
    summary = summarise(read_results(tmp_path / "w"))
    own, uniform, alone = (summary.of(m) for m in ("l1", "uniform", "target-only"))
    assert own is not None
    assert uniform is not None
    assert alone is not None
    assert set(summary.dimensions) == {3}
    assert sum(own.allocation[-1]) == 900
    names = [s["name"] for s in summary.results.data["sources"]]
    first = [names.index(f"made:source{m}") for m in (0, 1)]
    assert sum(own.allocation[-1][m] for m in first) > 0.5 * 900
    relevance = np.array(own.relevance)
    assert set(np.argsort(-np.abs(relevance))[:2]) == set(first)
    assert relevance[first[0]] > relevance[first[1]] > 0
    assert own.scores["mse"].value < 0.03  # the noise alone is 0.01
    assert own.scores["mse"].value < uniform.scores["mse"].value
    assert own.beyond_target is not None
    assert own.beyond_target.high is not None
    assert own.beyond_target.high < 0
    assert own.difference is not None
    pairs = [(a.score("mse"), b.score("mse")) for a, b in zip(
        summary.results.of("l1"), summary.results.of("uniform"), strict=True)]  # fmt: skip
    assert own.difference.difference == pytest.approx(np.mean([a - b for a, b in pairs]))
    assert own.difference.wins == sum(a < b for a, b in pairs)
    assert own.difference.low is not None
    assert own.difference.high is not None
    assert own.difference.low < own.difference.difference < own.difference.high
    assert own.missed < 0.05
    assert own.savings
    told = " ".join(sentences(summary))
    assert "l1 is better than target-only" in told
    assert "too noisy" not in told


def test_noisy_heads_are_said_and_mixed(tmp_path: Path) -> None:
    path = made_up(tmp_path, noise=2.0, items=60)
    spec = make_spec({
        "target": "goal", "sources": [str(path)], "budget": 300, "seeds": 2, "target_labels": 40,
        "reading": {"task_column": "task", "value_column": "value"}, "dimension": 3, "ridge": 0.01,
    })  # fmt: skip
    run_in(spec, tmp_path / "w")
    summary = summarise(read_results(tmp_path / "w"))
    own = summary.chosen
    assert own is not None
    assert own.noisy == 2
    assert max(own.mixed) > 0
    assert summary.warnings[0][1] == 2
    told = " ".join(sentences(summary))
    assert "heads are too noisy to tell which tasks matter, in 2 of 2 seeds" in told
    assert "the guard fell back to mixing" in told


def test_a_target_whose_labelled_samples_are_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(300) == 7, "rare", np.where(np.arange(300) % 2, "odd", "even"))
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(300, 5)), y=labels)
    for method in ("l1", "l2", "optimal"):
        spec = make_spec({
            "target": "a:rare", "sources": [str(tmp_path / "a.npz")], "budget": 60,
            "method": method, "target_labels": 10, "beside": "", "epochs": 2,
        })  # fmt: skip
        run_in(spec, tmp_path / method)
        results = read_results(tmp_path / method)
        assert results.runs[0].counts[-1].sum() == 60
        told = " ".join(sentences(summarise(results)))
        assert "all 10 labelled samples of the target have the same answer" in told
        write_page(results, tmp_path / method)


def test_a_run_of_which_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "finished", _stop)
    with pytest.raises(KeyboardInterrupt):
        run_in(make_spec(DIGITS), tmp_path / "w")
    results = read_results(tmp_path / "w")
    assert summarise(results).methods == ()
    assert "Nothing is done yet" in sentences(summarise(results))[0]
    assert "nothing yet" in write_page(results, tmp_path / "w").html.read_text()


def test_the_page_and_its_pictures(tmp_path: Path) -> None:
    run_in(make_spec(DIGITS), tmp_path / "w")
    files = write_page(read_results(tmp_path / "w"), tmp_path / "out")
    page = files.html.read_text(encoding="utf-8")
    assert [p.name for p in files.pngs] == ["score.png", "relevance.png", "allocation.png"]
    assert all(p.stat().st_size > 5000 for p in files.pngs)
    for part in ("Source tasks for digits:3", "Saving against uniform", "is missed", "Mixed"):
        assert part in page
    assert "http" not in page
    assert "one seed says nothing of another" in page
    whole = json.dumps(summarise(read_results(tmp_path / "w")).as_json())
    assert json.loads(whole)["methods"][0]["method"] == "l1"


def test_a_matrix_of_two_factors() -> None:
    from labeltrain.multitask.figures import factors

    grid = [{"row": r, "column": c} for r in ("fog", "rain") for c in ("10", "2", "x")]
    assert factors(grid) == (["fog", "rain"], ["2", "10", "x"])
    assert factors(grid[:3]) is None
    assert factors([{"row": "a", "column": ""}, {"row": "b", "column": ""}]) is None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"method": "l3"}, "unknown method 'l3'"),
        ({"method": "known-l1"}, "true heads"),
        ({"beside": "unifrom"}, "did you mean 'uniform'"),
        ({"bugdet": 3}, "did you mean 'budget'"),
        ({"budget": -1}, "budget"),
        ({"seeds": "3-1"}, "seeds"),
        ({"seeds": "one"}, "not a number"),
        ({"seeds": "1,1"}, "different"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "whole number"),
        ({"test_share": 1.0}, "test_share"),
        ({"target_labels": 1}, "target_labels"),
        ({"penalty": "best"}, "penalty"),
        ({"mixing": 1.5}, "uniform"),
        ({"sources": []}, "sources"),
        ({"ridge": 0}, "ridge"),
        ({"representation": "rnn"}, "representation"),
        ({"network": {"width": 8}}, "linear representation"),
        ({"representation": "mlp"}, "weight_decay"),  # beside the ridge penalty
        ({"representation": "mlp", "ridge": None, "network": {"widht": 8}}, "did you mean 'width'"),
        ({"representation": "cnn", "ridge": None, "network": {"width": 9}}, "multiple of 8"),
        ({"reading": {"task": "x"}}, "did you mean 'task_column'"),
    ],
)
def test_bad_options(change: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        make_spec({**DIGITS, **change})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: {"target_labels": 5000}, "from 2 to 898"),
        (lambda: {"budget": 20}, "first epoch has 7"),
        (lambda: {"dimension": 99}, "dimension=99"),
        (lambda: {"encoder": "minilm"}, "minilm"),
        (lambda: {"representation": "cnn", "ridge": None}, "reads pixels"),
        (lambda: {"costs": {"digits:33": 2.0}}, "digits:3"),
    ],
)
def test_what_cannot_be_run_leaves_no_workspace(
    call: Callable[[], dict[str, Any]], match: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=match):
        run_in(make_spec({**DIGITS, **call()}), tmp_path / "w")
    assert not (tmp_path / "w").exists()
