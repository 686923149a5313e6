"""Studies with rare classes and wrong answers, from YAML and from the command line's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_tools import SMALL, outcome

import labeltrain
from labeltrain.data import load, split, thinned
from labeltrain.errors import BadInput, MissingNeed
from labeltrain.store import Workspace
from labeltrain.studies import read_results, run_study
from labeltrain.studies.executors import run_inline
from labeltrain.studies.prepare import prepare
from labeltrain.studies.spec import load_spec, parse_spec

YAML = """
dataset: digits
strategies: [random, margin]
batch: 10
rounds: 3
seeds: 2
split: redraw
metric: balanced_accuracy
imbalance:
  keep: [8, 3]
  ratio: 0.05
oracle:
  flips: {rest: {8: 0.02}, 3: 0.1}
"""


def spec_of(tmp_path: Path, *overrides: str, text: str = YAML) -> Any:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return load_spec(path, overrides)


def test_a_study_from_yaml(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    assert parse_spec(spec.as_json()).key == spec.key
    run_study(spec, tmp_path / "w")
    results = read_results(tmp_path / "w")
    one = results.experiments[0]
    assert one.classes == ("8", "3", "rest")
    # The pool has 70 % of each class; of each rare one 5 in 100 of the rest are left.
    assert one.test_counts.tolist() == [52, 55, 432]
    assert one.pool_size == 1008 + 2 * 50
    assert one.facts["pool"] == "1008 rest, 50 8, 50 3"
    assert one.facts["kept classes"] == "8, 3; 8 others are merged into 'rest'"
    assert all(np.isfinite(c.scores["balanced_accuracy"]).all() for c in results.curves)
    found = outcome(tmp_path / "w")
    assert found["digits/random/0"][0] != found["digits/random/1"][0]
    run_study(spec, tmp_path / "again")
    assert outcome(tmp_path / "again") == found
    with Workspace.open(tmp_path / "w", "study", read_only=True) as workspace:
        (experiment,) = spec.experiments
        material = prepare(experiment)[0]
        clean = material.labels[material.split(0)[0]]
        answers = experiment.oracle.oracle(clean, one.classes, "multiclass", 0).ask(
            np.arange(one.pool_size)
        )
        picks = [
            pick
            for event in workspace.events(run="digits/margin/0", kind="picked")
            for pick in event.body["picks"]
        ]
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (clean, answers), 1)
    assert table[1, 1] == 45  # of 50, a tenth is wrong
    assert table[2].tolist() == [20, 0, 988]
    assert len(picks) == 40
    assert all(pick["answer"] == answers[pick["position"]] for pick in picks)


def test_pools_are_thinned_for_each_seed_or_once() -> None:
    data = load("digits")
    values = {**SMALL, "rounds": 1, "imbalance": {"ratio": 0.1, "minority": [8]}}
    own = prepare(parse_spec(values).experiments[0])[0]
    pool, test = split(data)
    assert np.array_equal(own.split(0)[0], thinned(data, pool, ratio=0.1, minority=["8"]))
    assert np.array_equal(own.split(0)[0], own.split(1)[0])
    assert np.array_equal(own.split(0)[1], test)
    drawn = prepare(parse_spec({**values, "split": "redraw"}).experiments[0])[0]
    for seed in (0, 1):
        pool, test = split(data, mode="redraw", seed=seed)
        left = thinned(data, pool, ratio=0.1, minority=["8"], seed=seed)
        assert np.array_equal(drawn.split(seed)[0], left)
        assert np.array_equal(drawn.split(seed)[1], test)


@pytest.mark.parametrize(
    ("imbalance", "pool", "test"),
    [
        ({"counts": {"0": 5, 1: 4}}, [5, 4, 124], [53, 55, 53]),
        ({"ratio": 0.1, "test": "same"}, [125, 127, 124], [53, 55, 53]),
        # Classes by size: 3, 1, 5, 4, 6, 9, 7, 0, 2, 8; the second keeps 128 / 10 ** (1 / 9).
        ({"long_tail": 10}, [21, 99, 16], [53, 55, 53]),
        ({"long_tail": 10, "test": "same"}, [21, 99, 16], [9, 42, 7]),
    ],
)
def test_other_ways_to_be_rare(imbalance: Any, pool: list[int], test: list[int]) -> None:
    values = {**SMALL, "rounds": 1, "imbalance": imbalance}
    material = prepare(parse_spec(values).experiments[0])[0]
    rows = [np.bincount(material.labels[part], minlength=10) for part in material.split(0)]
    assert rows[0][:3].tolist() == pool
    assert rows[1][:3].tolist() == test
    if imbalance.get("ratio"):
        assert [int(r[8]) for r in rows] == [13, 6]  # the smallest class


def test_what_the_pool_is_belongs_to_the_study(tmp_path: Path) -> None:
    values = {**SMALL, "rounds": 1, "imbalance": {"keep": ["8"], "ratio": 0.05}}
    plain = parse_spec({**SMALL, "rounds": 1})
    assert "imbalance" not in plain.as_json()["experiments"][0]
    assert plain.as_json()["experiments"][0]["oracle"] == {"noise": 0.0}
    run_study(parse_spec(values), tmp_path / "w")
    assert run_study(parse_spec(values), tmp_path / "w") is False
    for change, message in [
        ({"imbalance": {"keep": ["8"], "ratio": 0.06}}, "imbalance.ratio was 0.05, now 0.06"),
        ({"imbalance": {"keep": ["3"], "ratio": 0.05}}, "imbalance.keep.0 was '8', now '3'"),
        ({"imbalance": None}, "imbalance was .*, now None"),
        ({"oracle": {"annotators": [0.1]}}, r"oracle.annotators was None, now \[0.1\]"),
    ]:
        with pytest.raises(BadInput, match=message):
            run_study(parse_spec({**values, **change}), tmp_path / "w")


def test_two_imbalances_are_two_experiments(tmp_path: Path) -> None:
    spec = parse_spec(
        {
            **SMALL, "rounds": 1, "seeds": 1, "strategies": ["random"],
            "experiments": [
                {"name": "whole"},
                {"name": "rare", "imbalance": {"counts": {"8": 2}}},
                {"name": "one", "imbalance": {"keep": "8", "ratio": 0.02}},
            ],
        }
    )  # fmt: skip
    run_study(spec, tmp_path / "w")
    sizes = {e.name: e.pool_size for e in read_results(tmp_path / "w").experiments}
    assert sizes == {"whole": 1258, "rare": 1258 - 120, "one": 1136 + 23}


def test_annotators_go_on_after_an_interruption(tmp_path: Path) -> None:
    values = {**SMALL, "seeds": 1, "oracle": {"annotators": "0.2,0.4"}}
    run_study(parse_spec(values), tmp_path / "whole")

    class Stopped(Exception):
        pass

    def after(rounds: int) -> Any:
        left = iter(range(rounds))

        def tick() -> None:
            if next(left, None) is None:
                raise Stopped

        return tick

    folder = tmp_path / "parts"
    spec = parse_spec(values)
    with pytest.MonkeyPatch.context() as patch:
        from labeltrain.studies import runner

        def stopping(
            tasks: Any, materials: Any, workspace: Any, conditions: Any, tick: Any
        ) -> None:
            run_inline(tasks, materials, workspace, conditions, after(3))

        patch.setattr(runner, "run_inline", stopping)
        with pytest.raises(Stopped):
            run_study(spec, folder)
    assert run_study(spec, folder)
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_labels_of_which_some_are_kept(tmp_path: Path) -> None:
    results = labeltrain.run(
        dataset="yeast",
        imbalance={"keep": ["Class12", "Class2"]},
        oracle={"flips": {"Class2": 0.1}},
        strategies=["random", "entropy"],
        metric="map",
        batch=20,
        rounds=1,
        seeds=1,
    )
    assert results.experiments[0].classes == ("Class12", "Class2")
    assert results.curves[0].recall.shape == (2, 2)


def test_several_labels_end_to_end() -> None:
    """Strategies that take such data only are not refused before the data are read."""
    results = labeltrain.run(
        dataset="yeast",
        strategies=["random", "emal", "galaxy", "direct", "tailor", "most-likely-positive"],
        learner_options={"logit_adjustment": 0.6},
        metric="map",
        parallel=4,
        batch=12,
        rounds=2,
        seeds=1,
    )
    assert len(results.curves) == 6
    for curve in results.curves:
        assert curve.labels.tolist() == [12, 24, 36]
        assert {"map", "macro_f1"} <= set(curve.scores)
        assert curve.found is not None
        assert curve.found[-1].sum() > 36  # more than one label an item
    waits = {c.strategy: c.groups[-1] for c in results.curves if c.groups is not None}
    assert (waits["emal"], waits["direct"]) == (3, 1 + 2 * 3)


def test_a_rare_class_that_is_none_is_refused_before_the_start() -> None:
    strategies = ["random", {"name": "direct", "parameters": {"rare": "4th"}}]
    with pytest.raises(BadInput, match="rare has '4th', which is none of the 10 classes"):
        labeltrain.run(dataset="digits", strategies=strategies, rounds=1, seeds=1)


def test_parameters_of_a_strategy_are_not_dropped_in_silence() -> None:
    from labeltrain.studies.overrides import overridden

    for options in ({}, {"strategies": "random,direct"}):
        with pytest.raises(BadInput, match="strategies are a list"):
            overridden({}, ["strategies.direct.rare=spam"], options)


def test_strategies_for_one_class_an_item_are_refused_by_name() -> None:
    with pytest.raises(MissingNeed, match="'cbal' does not work on multilabel data"):
        labeltrain.run(dataset="yeast", strategies=["random", "cbal"], rounds=1, seeds=1)


def test_an_encoder_that_learns_reads_the_thinned_pool_only() -> None:
    values = {
        "dataset": "reuters-r8", "encoder": "lsa", "split": "redraw", "seeds": 1, "rounds": 1,
        "imbalance": {"keep": ["ship"], "ratio": 0.01},
    }  # fmt: skip
    material = prepare(parse_spec(values).experiments[0])[0]
    pool, test = material.split(0)
    assert np.bincount(material.labels[pool]).tolist() == [54, 5382]
    assert len(pool) + len(test) < len(material.labels)
    whole = prepare(parse_spec({**values, "imbalance": {"keep": ["ship"]}}).experiments[0])[0]
    assert not np.array_equal(material.features[test], whole.features[test])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imbalance": {}}, "nothing is made rare"),
        ({"imbalance": {"test": "same"}}, "nothing is made rare"),
        ({"imbalance": {"ratio": 0}}, "imbalance.ratio=0"),
        ({"imbalance": {"ratio": True}}, "imbalance.ratio=True.*not a number"),
        ({"imbalance": {"long_tail": 0.5}}, "imbalance.long_tail=0.5"),
        ({"imbalance": {"ratio": 0.1, "long_tail": 10}}, "ratio and long_tail exclude each other"),
        ({"imbalance": {"ratio": 0.1, "counts": {"1": 2}}}, "ratio and counts exclude"),
        ({"imbalance": {"long_tail": 9, "minority": "8"}}, "minority says which classes a ratio"),
        ({"imbalance": {"keep": "8", "test": "same"}}, "test: same needs a ratio"),
        ({"imbalance": {"ratio": 0.1, "test": "natura"}}, "did you mean 'natural'"),
        ({"imbalance": {"ration": 0.1}}, "did you mean 'ratio'"),
        ({"imbalance": {"keep": [True]}}, "not the name of a class; write it in quotes"),
        ({"imbalance": {"counts": {"1": 2.5}}}, "imbalance.counts.1=2.5"),
        ({"oracle": {"noise": 0.1, "annotators": [0.1]}}, "noise and annotators exclude"),
        ({"oracle": {"noise": 0.1, "flips": {"1": 0.1}}}, "noise and flips exclude"),
        ({"oracle": {"annotators": []}}, "nothing is given; leave it out"),
        ({"oracle": {"annotators": [0.1, 2]}}, "oracle.annotators.1=2"),
        ({"oracle": {"annotators": "a"}}, "oracle.annotators.0='a'"),
        ({"oracle": {"flips": {}}}, "nothing is given; leave it out"),
        ({"oracle": {"flips": {"1": 2}}}, "2, for '1', is not a share"),
        ({"oracle": {"flips": {"1": {"2": True}}}}, "True, for '1', is not a share"),
        ({"oracle": {"flips": {True: 0.1}}}, "not the name of a class"),
        ({"oracle": {"flip": {"1": 0.1}}}, "did you mean 'flips'"),
    ],
)
def test_impossible_keys(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_spec({"dataset": "digits", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imbalance": {"keep": "88"}}, "unknown class in keep '88'.*\n.*did you mean '8'"),
        ({"imbalance": {"keep": "8", "ratio": 0.5}}, "122 items of '8'.* makes 568\n.*0.1074"),
        ({"imbalance": {"counts": {"8": 500}}}, "122 items of '8', and counts asks for 500"),
        ({"imbalance": {"long_tail": 500}}, "factor 500 leaves the pool no item of '8'"),
        ({"imbalance": {"ratio": 0.05, "test": "same", "minority": "9"}}, ""),
        ({"imbalance": {"ratio": 0.005, "test": "same"}}, "the test has 52 items of '8'"),
        ({"dataset": "yeast", "imbalance": {"ratio": 0.1}}, "items have several labels"),
        ({"oracle": {"flips": {"88": 0.1}}}, "unknown class in flips '88'"),
        ({"oracle": {"flips": {"8": {"8": 0.1}}}}, "flips mistakes '8' for itself"),
        (
            {"dataset": "yeast", "oracle": {"flips": {"Class1": {"Class2": 0.1}}}},
            "flips mistakes 'Class1' for 'Class2', and items have several labels",
        ),
        ({"imbalance": {"counts": {"8": 2}}, "rounds": 60}, "the pool holds 1138 items"),
    ],
)
def test_what_the_data_cannot_give_is_refused_before_the_start(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    spec = parse_spec({**SMALL, "rounds": 0, "seeds": 1, **change})
    if not message:
        assert run_study(spec, tmp_path / "w")
        return
    with pytest.raises(BadInput, match=message):
        run_study(spec, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_a_class_that_was_never_found_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from labeltrain.cli.report import print_summary

    options: dict[str, Any] = {
        "dataset": "digits", "imbalance": {"keep": ["3"], "ratio": 0.002},
        "strategies": ["random", "direct"], "batch": 3, "rounds": 1, "seeds": 1,
    }  # fmt: skip
    print_summary(labeltrain.run(**options))
    assert "No strategy ever labelled an item of 3: a seed set can begin" in capsys.readouterr().out
    print_summary(labeltrain.run(**options, seed_set={"size": 3, "examples": {"3": 1}}))
    assert "No strategy ever" not in capsys.readouterr().out
