"""Studies of many targets: resumed after any stop, the same with workers, summed up rightly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from test_corruptions import pictures
from typer.testing import CliRunner

from labeltrain.cli.app import app
from labeltrain.cli.run import kind_in
from labeltrain.errors import BadInput
from labeltrain.multitask.method_run import finished
from labeltrain.multitask.simulation import Simulation
from labeltrain.multitask.study import (
    StudyResults,
    cells,
    make_study_spec,
    read_study,
    run_study,
    running,
    summarise_study,
    workers,
    write_study_page,
)
from labeltrain.multitask.study.cells import Cell, remembered, run_cell
from labeltrain.multitask.study.material import of_seed, prepared, simulated
from labeltrain.multitask.study.summary import log_of_bounds
from labeltrain.multitask.study.words import study_sentences

DIGITS: dict[str, Any] = {
    "kind": "multitask", "title": "Digits", "sources": "digits", "targets": ["3", "digits:5"],
    "methods": ["l2", "uniform", "target-only"], "budgets": [180, 360], "seeds": "0-1",
    "dimension": 2, "ridge": 1.0, "components": 8, "epochs": 2,
}  # fmt: skip


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of three classes as a file: strokes of three lengths."""
    found = pictures(120)
    labels = np.arange(120) % 3
    for image, label in zip(found, labels, strict=True):
        image[20:, : 8 * label] = 120
    path = tmp_path / "strokes.npz"
    np.savez(path, X=found, y=np.array(list("abc"))[labels])
    return path


def conditions_of(path: Path) -> dict[str, Any]:
    about = {"dataset": str(path), "names": ["identity", "invert", "contrast"], "test": 30}
    return {
        **{k: v for k, v in DIGITS.items() if k not in ("sources", "targets")},
        "conditions": about, "encoder": "raw", "target_labels": 12, "budgets": 120,
        "methods": ["l1", {"name": "l2", "options": {"mixing": 0.2}}, "uniform", "target-only"],
    }  # fmt: skip


def essence(results: StudyResults) -> list[Any]:
    """Return all of a study but the seconds."""
    return [
        (c.target, c.seed, c.dimension, c.ridge, c.sources,
         [(r.title, r.budget, r.warnings, json.dumps(r.epochs), r.counts.tolist(),
           np.nan_to_num(r.relevance, nan=-9.0).tolist()) for r in c.runs])
        for c in results.cells
    ]  # fmt: skip


def test_a_study_that_was_stopped_ends_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_study_spec(DIGITS)
    assert run_study(spec, tmp_path / "whole") == 4
    assert run_study(spec, tmp_path / "whole") == 0
    whole = read_study(tmp_path / "whole")
    assert whole.complete
    real, done = workers.run_cell, 0

    def stopping(*given: Any) -> Any:
        nonlocal done
        done += 1
        if done % 2 == 0:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(workers, "run_cell", stopping)
    stops = 0
    while True:
        try:
            run_study(spec, tmp_path / "parts")
            break
        except KeyboardInterrupt:
            stops += 1
            partial = read_study(tmp_path / "parts")
            assert not partial.complete
            page = write_study_page(partial, tmp_path / "parts").html.read_text()
            assert partial.versions["numpy"] == np.__version__
            assert f"<dt>numpy</dt><dd>{np.__version__}</dd>" in page
            assert "Partial result" in page
    assert stops == 3
    assert essence(read_study(tmp_path / "parts")) == essence(whole)


def test_a_killed_study_ends_alike_with_workers(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    values = {**conditions_of(images), "seeds": [0]}
    path.write_text(yaml.safe_dump(values))
    run_study(make_study_spec(values), tmp_path / "whole")
    command = [sys.executable, "-c", "from labeltrain.cli import main; main()", "run", str(path),
               "--workspace", str(tmp_path / "parts"), "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Arrays are written before the event that names them: with two, one cell is committed.
    while process.poll() is None and len(list(tmp_path.glob("parts/arrays/*.npz"))) < 2:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    partial = read_study(tmp_path / "parts")
    assert partial.cells
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert essence(read_study(tmp_path / "parts")) == essence(read_study(tmp_path / "whole"))


def test_another_study_or_other_data_is_refused(images: Path, tmp_path: Path) -> None:
    values = {**conditions_of(images), "targets": ["identity/a"], "seeds": 1}
    spec = make_study_spec(values)
    run_study(spec, tmp_path / "w")
    assert run_study(make_study_spec({**values, "title": "Other words"}), tmp_path / "w") == 0
    with pytest.raises(BadInput, match=r"dimension: 2, not 4"):
        run_study(make_study_spec({**values, "dimension": 4}), tmp_path / "w")
    more = make_study_spec({**values, "seeds": "1-2"})
    held = running._left
    try:
        running._left = lambda *given: []  # type: ignore[assignment]
        run_study(more, tmp_path / "half")
    finally:
        running._left = held
    with np.load(images) as kept:
        np.savez(images, X=kept["X"][:-1], y=kept["y"][:-1])
    with pytest.raises(BadInput, match="changed since the study began"):
        run_study(more, tmp_path / "half")


# -- what a cell knows -----------------------------------------------------------------------------


def test_nothing_of_the_test_images_is_drawn_or_reduced_by(images: Path) -> None:
    spec = make_study_spec(conditions_of(images))
    material = prepared(spec, lambda name: None)
    assert len(material.targets) == 9
    for seed in (0, 1):
        shared = of_seed(spec, material, seed)
        assert shared.held_out is not None
        held_out = set(shared.held_out.tolist())
        assert len(held_out) == 30
        for target in material.targets[::4]:
            found = simulated(spec, material, shared, target, seed)
            assert set(found.test.tolist()) == held_out  # all test images of the condition
            assert not held_out & set(found.labelled.tolist())
            own = next(t for t in shared.tasks if t.name == target)
            assert set(found.labelled.tolist()) <= set(own.items.tolist())
            assert len(found.tasks.sources) == 8
            for mine in found.items:
                assert not held_out & set(mine.tolist())
    # Other test images, the same features of all that is not tested on.
    rows = np.array(material.encoded.rows)
    tested = np.concatenate([shared.held_out + start for start in material.encoded.starts])
    rows[tested] = np.random.default_rng(0).random(size=(len(tested), rows.shape[1]))
    other = replace(material, encoded=replace(material.encoded, rows=rows))
    left = np.setdiff1d(np.arange(len(rows)), tested)
    again = of_seed(spec, other, 1)
    assert shared.rows is not None
    assert again.rows is not None
    np.testing.assert_array_equal(again.rows[left], shared.rows[left])


def test_a_cell_reads_only_what_it_drew(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_study_spec(conditions_of(images))
    material = prepared(spec, lambda name: None)
    shared = of_seed(spec, material, 0)
    asked: dict[str, set[int]] = {}
    whole = Simulation.source

    def watched(self: Simulation, answers: Any = None) -> Any:
        def told(task: Any, items: np.ndarray) -> np.ndarray:
            asked.setdefault(task.name, set()).update(items.tolist())
            return self.tasks.answers(task, items)

        return whole(self, answers or told)

    monkeypatch.setattr(Simulation, "source", watched)
    found = run_cell(spec, material, shared, Cell("invert/b", 0))
    counts = np.max([found.arrays[f"counts-{i}"][-1] for i in range(3)], axis=0)
    held_out = set(np.asarray(shared.held_out).tolist())
    for name, count in zip(found.body["sources"], counts, strict=True):
        assert len(asked.get(name, ())) == count
        assert not asked.get(name, set()) & held_out
    assert "invert/b" not in asked
    titles = [run["title"] for run in found.body["runs"]]
    assert titles == ["l1", "l2(mixing=0.2)", "uniform", "target-only"]
    samples = [run["epochs"][-1]["samples"] for run in found.body["runs"]]
    assert samples == [120, 120, 120, 0]


def test_what_is_learned_once_is_the_same() -> None:
    spec = make_study_spec({**DIGITS, "targets": ["3"], "seeds": 1})
    material = prepared(spec, lambda name: None)
    shared = of_seed(spec, material, 1)
    first = run_cell(spec, material, shared, Cell("digits:3", 1))
    learned = []
    held = cells.learner_of

    def counting(*given: Any, **named: Any) -> Any:
        learn = held(*given, **named)

        def told(samples: Any, rng: Any, previous: Any) -> Any:
            learned.append(int(samples.counts.sum()))
            return learn(samples, rng, previous)

        return told

    try:
        cells.learner_of = counting  # type: ignore[assignment]
        run_cell(spec, material, shared, Cell("digits:3", 1))
        once = len(learned)
        cells.remembered = lambda learner: learner  # type: ignore[assignment]
        other = run_cell(spec, material, shared, Cell("digits:3", 1))
    finally:
        cells.learner_of, cells.remembered = held, remembered
    assert once < len(learned) - once
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])
    scores = [[e["scores"] for e in run["epochs"]] for run in first.body["runs"]]
    assert scores == [[e["scores"] for e in run["epochs"]] for run in other.body["runs"]]


@pytest.mark.parametrize("representation", ["mlp", "cnn"])
def test_a_study_with_networks(images: Path, tmp_path: Path, representation: str) -> None:
    given = {
        **conditions_of(images), "ridge": None, "representation": representation, "seeds": [0],
        "network": {"width": 16, "steps": 40}, "targets": ["invert/b"], "epochs": 2,
        "methods": ["l1", "affinity", "uniform", "target-only"],
    }  # fmt: skip
    spec = make_study_spec(given)
    run_study(spec, tmp_path / "w")
    (cell,) = read_study(tmp_path / "w").cells
    # What is remembered within a cell is what each method learns alone.
    material = prepared(spec, lambda stage: None)
    shared = of_seed(spec, material, 0)
    simulation = simulated(spec, material, shared, "invert/b", 0)
    for method in spec.methods:
        run = spec.run(method, "invert/b", 120.0, 0)
        alone = finished(run, simulation, method.name, cell.dimension, 0.0)
        mine = cell.of(method.title, 120.0)
        assert mine is not None
        assert [e["scores"] for e in mine.epochs] == [e["scores"] for e in alone.body["epochs"]]
        np.testing.assert_array_equal(mine.counts, alone.arrays["counts"])
    with pytest.raises(BadInput, match="weight_decay"):
        make_study_spec({**given, "ridge": 1.0})
    with pytest.raises(BadInput, match="widht"):
        make_study_spec({**given, "network": {"widht": 8}})


def test_sources_of_other_rows_only(images: Path) -> None:
    spec = make_study_spec({**conditions_of(images), "apart": True, "seeds": 0})
    material = prepared(spec, lambda name: None)
    shared = of_seed(spec, material, 0)
    found = simulated(spec, material, shared, "contrast/a", 0)
    assert {task.row for task in found.tasks.sources} == {"identity", "invert"}


# -- the summary -----------------------------------------------------------------------------------


def test_numbers_by_hand(images: Path, tmp_path: Path) -> None:
    run_study(make_study_spec(conditions_of(images)), tmp_path / "w")
    results = read_study(tmp_path / "w")
    summary = summarise_study(results)
    found = summary.of("l2(mixing=0.2)", 120.0)
    assert found is not None
    assert found.difference is not None
    gains = []
    for target in results.data["targets"]:
        each = [c for c in results.cells if c.target == target]
        pairs = [(c.of("uniform", 120.0), c.of("l2(mixing=0.2)", 120.0)) for c in each]
        gains.append(np.mean([a.score("mse") - b.score("mse") for a, b in pairs if a and b]))
    np.testing.assert_allclose(found.gains, gains)
    assert found.middle == pytest.approx(np.median(gains))
    assert found.difference.wins == sum(g > 0 for g in gains)
    assert found.difference.difference == pytest.approx(-np.mean(gains))
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert found.difference.low <= found.difference.difference <= found.difference.high
    assert found.difference.p is None
    assert found.over_seeds is not None
    seeds = np.array(found.gain_seeds)
    np.testing.assert_allclose(seeds.mean(axis=1), gains)
    assert sum(found.over_seeds) / 2 == pytest.approx(-seeds.mean(axis=0).mean())
    assert found.seed_wins == tuple((seeds > 0).sum(axis=0))
    assert {c.factor for c in found.correlations} >= {"concentration", "transfer", "same column"}
    for correlation in found.correlations:
        assert -1 <= correlation.rank <= 1
    base = summary.of("uniform", 120.0)
    assert base is not None
    assert base.difference is None
    told = " ".join(study_sentences(summary))
    assert f"{found.difference.wins} of 9" in told
    whole = json.dumps(summary.as_json())
    assert json.loads(whole)["cells"] == 18


def test_equal_methods_are_told(tmp_path: Path) -> None:
    copy = [{"name": "random", "label": "copy", "options": {"top": 9}}, "uniform"]
    spec = make_study_spec({**DIGITS, "methods": copy, "budgets": 180, "seeds": 1})
    run_study(spec, tmp_path / "w")
    found = summarise_study(read_study(tmp_path / "w")).of("copy", 180.0)
    assert found is not None
    assert found.ties == 2
    told = " ".join(study_sentences(summarise_study(read_study(tmp_path / "w"))))
    assert "0 of 2 (2 equal)" in told


def test_bounds_by_hand() -> None:
    own, base, nu = np.array([6, 3]), np.array([4, 4]), np.array([1.0, 0.5])
    assert log_of_bounds(own, base, nu) == pytest.approx(np.log(0.3125 / 0.25))
    assert np.isnan(log_of_bounds(own, base, np.zeros(2)))
    assert np.isnan(log_of_bounds(np.array([0, 9]), base, nu))


# -- the command -----------------------------------------------------------------------------------


def test_run_and_report(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(yaml.safe_dump({**conditions_of(images), "seeds": [0]}))
    assert kind_in(path) == "multitask"
    runner = CliRunner()
    folder = str(tmp_path / "w")
    done = runner.invoke(app, ["run", str(path), "--workspace", folder, "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert "of 9" in done.output
    again = runner.invoke(app, ["run", str(path), "--workspace", folder])
    assert "is finished already" in again.output
    shown = runner.invoke(app, ["report", folder])
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "w" / "report.html").read_text(encoding="utf-8")
    for part in ("What goes with a gain", "By row of the target", "By column", "Over seeds"):
        assert part in page
    assert "http" not in page
    for name in ("budgets", "gains-1", "gains-2", "target-only", "transfer"):
        assert (tmp_path / "w" / f"{name}.png").stat().st_size > 4000
    numbers = runner.invoke(app, ["report", folder, "--json"])
    assert json.loads(numbers.output)["complete"] is True
    refused = runner.invoke(app, ["run", str(path), "--batch", "3"])
    assert refused.exit_code != 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sources": ()}, "one of conditions, questions and sources"),
        ({"questions": {"piqa": 9}}, "one of conditions, questions and sources"),
        ({"methods": ["l1"]}, "lack uniform"),
        ({"methods": ["l1", "uniform", "unifrom"]}, "no method 'unifrom'"),
        ({"methods": ["known-l1", "uniform"]}, "no method 'known-l1'"),
        ({"methods": ["l1", "l1", "uniform"]}, "the same name"),
        ({"methods": [{"name": "uniform", "options": {"epochs": 1}}]}, "compared with"),
        ({"methods": [{"name": "l1", "label": "uniform"}, "l2"]}, "choose another"),
        ({"methods": [{"name": "l1", "options": {"seeds": 1}}, "uniform"]}, "no option 'seeds'"),
        ({"methods": [{"name": "l1", "options": {"mixing": 2}}, "uniform"]}, "uniform=2"),
        ({"budgets": [20, 10]}, "rise"),
        ({"seeds": [1, 1]}, "different"),
        ({"epochs": True}, "whole number"),
        ({"bugdets": 3}, "did you mean 'budgets'"),
        ({"sources": (), "questions": {"trivia": 9}}, "no question set 'trivia'"),
        ({"conditions": {"dataset": "x", "names": ["fog"], "test": 3}}, "no condition 'fog'"),
        ({"representation": "cubic"}, "representation"),
        ({"representation": "mlp", "steps": 30}, "steps=30 with the representation mlp"),
    ],
)
def test_bad_specs(change: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        make_study_spec({**DIGITS, **change})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: {"targets": ["33"]}, "unknown target '33'"),
        (lambda: {"budgets": 10**6}, "all samples of all source tasks"),
        (lambda: {"target_labels": 5000}, "target_labels=5000"),
        (lambda: {"dimension": 99}, "dimension=99"),
    ],
)
def test_what_cannot_be_run_leaves_no_workspace(
    call: Callable[[], dict[str, Any]], match: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=match):
        run_study(make_study_spec({**DIGITS, **call()}), tmp_path / "w")
    assert not (tmp_path / "w").exists()


SPECS = [
    path for path in (Path(__file__).parents[2] / "studies").glob("*.yaml")
    if kind_in(path) == "multitask"
]  # fmt: skip


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_spec_is_sound(path: Path) -> None:
    spec = make_study_spec(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert len(spec.seeds) >= 2
    assert "target-only" in [method.title for method in spec.methods]
