"""Specs: what is refused, and with which hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput, LabelTrainError
from labeltrain.studies.overrides import overridden
from labeltrain.studies.prepare import refuse_bad_names
from labeltrain.studies.spec import ExperimentSpec, StudySpec, load_spec, parse_spec


def test_defaults_are_filled_in() -> None:
    spec = parse_spec({"dataset": "digits", "strategies": "random,margin", "seeds": "3-5"})
    one = spec.experiments[0]
    assert one.seeds == (3, 4, 5)
    assert [s.name for s in one.strategies] == ["random", "margin"]
    assert one.seed_size == one.batch == 50
    assert parse_spec(spec.as_json()).key == spec.key


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [(3, (0, 1, 2)), ("3", (0, 1, 2)), ("7,9", (7, 9)), ([4, 2], (4, 2)), ("10-11", (10, 11))],
)
def test_seeds_are_a_number_a_list_or_a_range(seeds: Any, expected: tuple[int, ...]) -> None:
    assert parse_spec({"dataset": "digits", "seeds": seeds}).experiments[0].seeds == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roundss": 3}, "unknown key 'roundss'.*\n.*did you mean 'rounds'"),
        ({"learner": "mlp", "steps": 3}, "did you mean 'learner_options.steps'"),
        ({"final": {"learner": "mlp"}, "width": 3}, "'final.learner_options.width'"),
        ({"batch": 0}, "batch=0"),
        ({"batch": 2.5}, "batch=2.5"),
        ({"rounds": -1}, "rounds=-1"),
        ({"seeds": 0}, "at least one seed"),
        ({"seeds": [1, 1]}, "listed twice"),
        ({"seeds": [-1]}, "0 or more"),
        ({"seeds": "many"}, "not a number, a list or a range"),
        ({"strategies": []}, "at least 1 item"),
        ({"strategies": ["margin", "margin"]}, "listed twice"),
        ({"seed_set": {"methd": "random"}}, "did you mean 'method'"),
        ({"seed_set": {"size": -1}}, "seed_set.size=-1"),
        ({"split": "redrawn"}, "did you mean 'redraw'"),
        ({"test_fraction": 1.0}, "test_fraction"),
        ({"oracle": {"noise": 2}}, "oracle.noise=2"),
        ({"experiments": []}, "not a list"),
        ({"experiments": [{"datset": "x"}]}, "experiments.0.datset.*\n.*did you mean 'dataset'"),
        ({"experiments": [{}, {}]}, "two experiments"),
        ({"threads": 0}, "threads=0"),
        ({"threads": 1.0}, "threads=1.0.*not a whole number"),
        ({"batch": True}, "batch=True.*not a whole number"),
        ({"parallel": True}, "parallel=True"),
        ({"seeds": [True]}, "seeds.0=True"),
        ({"seeds": True}, "seeds=True"),
        ({"seed_set": {"size": 2.0}}, "seed_set.size=2.0"),
        ({"oracle": {"noise": True}}, "oracle.noise=True.*not a number"),
        ({"seeds": "5-2"}, "'5-2' runs backwards; write 2-5"),
        ({"baseline": "randon"}, "unknown baseline 'randon'.*\n.*did you mean 'random'"),
        ({"experiments": 5}, "not a list of mappings"),
        ({"name": "a/b"}, "experiment name 'a/b' contains '/'.*\n.*`name:`"),
        (
            {"strategies": [{"name": "margin", "label": "a/b"}]},
            "strategy name 'a/b' contains '/'.*\n.*`label:`",
        ),
        ({"strategies": [{"name": "m", "parameters": {"x": "a/b"}}]}, "contains '/'"),
        ({"dataset_options": {"text_colum": "t"}}, "'text_colum'.*\n.*did you mean 'text_column'"),
        ({"dataset_options": {"source": "t"}}, "no parameter 'source'"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_spec({"dataset": "digits", **change})


def test_no_dataset_is_refused() -> None:
    with pytest.raises(BadInput, match="no dataset"):
        parse_spec({"rounds": 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "digitss"}, "digits"),
        ({"strategies": ["margn"]}, "did you mean 'margin'"),
        ({"learner": "liner"}, "did you mean 'linear'"),
        ({"encoder": "minilmm"}, "did you mean 'minilm'"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"metric": "map"}, "not defined on multiclass"),
        ({"encoder": "minilm"}, "features"),
        ({"rounds": 100}, "the pool holds 1258.*\n.*at most 24 rounds"),
        ({"strategies": [{"name": "margin", "parameters": {"x": 1}}]}, "no parameter 'x'"),
        ({"learner_options": {"strenght": 1}}, "did you mean 'strength'"),
        ({"dataset_options": {"text_column": "t"}}, "text_column"),
    ],
)
def test_bad_names_are_refused_before_any_round(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from labeltrain.studies import run_study

    spec = parse_spec({"dataset": "digits", "rounds": 1, "seeds": 1, **change})
    with pytest.raises(LabelTrainError, match=message):
        run_study(spec, tmp_path / "w")


def test_experiments_share_what_stands_at_the_top_and_overrides_win(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "rounds: 5\nseed_set: {size: 20, method: clusters}\nexperiments:\n"
        "- {dataset: digits, rounds: 3}\n- {dataset: reuters-r8, seed_set: {size: 9}}\n"
    )
    spec = load_spec(path)
    assert [e.rounds for e in spec.experiments] == [3, 5]
    spec = load_spec(path, ["rounds=2", "seed_set.size=4"], {"batch": 7})
    assert [e.rounds for e in spec.experiments] == [2, 2]
    assert [e.seed_set.size for e in spec.experiments] == [4, 4]
    assert [e.seed_set.method for e in spec.experiments] == ["clusters", "random"]
    assert [e.batch for e in spec.experiments] == [7, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [("rounds", "not key=value"), ("=3", "not key=value"), ("rounds.a=3", "no keys inside")],
)
def test_bad_overrides_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        overridden({"rounds": 3}, [text], {})


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [1", "is not YAML"), ("- 1", "holds no mapping"), ("", "holds no mapping")],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content)
    with pytest.raises(BadInput, match=message):
        load_spec(path)
    with pytest.raises(BadInput, match="cannot read"):
        load_spec(tmp_path / "none.yaml")


def test_the_default_baseline_may_be_absent_and_another_may_be_named() -> None:
    spec = parse_spec({"dataset": "digits", "strategies": ["margin"]})
    assert parse_spec(spec.as_json()) == spec
    listed = [{"name": "margin", "label": "mine"}, "random"]
    spec = parse_spec({"dataset": "digits", "strategies": listed, "baseline": "mine"})
    assert spec.baseline == "mine"


def test_numpy_whole_numbers_are_taken() -> None:
    assert parse_spec({"dataset": "digits", "batch": np.int64(7)}).experiments[0].batch == 7


@pytest.mark.parametrize("sets", [["experiments=5", "rounds=2"], ["rounds=2"]])
def test_experiments_that_are_no_list_are_refused_by_overrides(sets: list[str]) -> None:
    values = {} if len(sets) == 2 else {"experiments": 5}
    with pytest.raises(BadInput, match="not a list of mappings"):
        overridden({"dataset": "digits", **values}, sets, {})


def test_numbers_on_the_command_line_are_numbers() -> None:
    values = overridden({"dataset": "digits"}, ["batch=20", "seeds=2"], {})
    assert (values["batch"], parse_spec(values).experiments[0].seeds) == (20, (0, 1))


def test_one_key_given_in_two_ways() -> None:
    assert overridden({}, ["rounds=4"], {"rounds": 4}) == {"rounds": 4}
    with pytest.raises(BadInput, match=r"--set seed_set.size=4.*seed_set.size with 5"):
        overridden({}, ["seed_set.size=4"], {"seed_set.size": 5})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rounds: 1\ndataset: digits\nrounds: 2\n", "line 3: the key 'rounds' stands twice"),
        ("experiments:\n- dataset: a\n  dataset: b\n", "line 3: the key 'dataset' stands twice"),
        ("seed_set: {size: 1, size: 1}\n", "line 1: the key 'size' stands twice"),
        ("title: 2020-13-45\n", "is not YAML: month"),
    ],
)
def test_repeated_keys_and_impossible_dates_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(BadInput, match=message):
        load_spec(tmp_path / "s.yaml")
    with pytest.raises(BadInput, match=r"--set .*: the key 'a' stands twice|line 1: the key 'a'"):
        overridden({}, ["dataset_options={a: 1, a: 2}"], {})


def test_merge_keys_still_work(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "experiments:\n- &one {dataset: digits, rounds: 3, name: a}\n- {<<: *one, name: b}\n"
    )
    assert [e.rounds for e in load_spec(tmp_path / "s.yaml").experiments] == [3, 3]


def test_the_seed_set_takes_any_strategy_that_needs_no_model() -> None:
    def study(method: str) -> StudySpec:
        one = {"dataset": "digits", "encoder": "raw", "seed_set": {"method": method}}
        return StudySpec(experiments=(ExperimentSpec(**one),))

    for method in ("random", "clusters", "typiclust", "k-center", "max-herding"):
        refuse_bad_names(study(method))
    with pytest.raises(BadInput, match=r"'margin' cannot choose the first.*\n.*clusters"):
        refuse_bad_names(study("margin"))
    with pytest.raises(BadInput, match="did you mean 'typiclust'"):
        refuse_bad_names(study("typicluster"))
