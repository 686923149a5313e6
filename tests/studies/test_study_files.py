"""Every spec in studies/ is sound, and a small study of its shape runs to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from labeltrain.studies import read_results, run_study
from labeltrain.studies.prepare import refuse_bad_names
from labeltrain.studies.spec import load_spec, parse_spec

SPECS = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_spec_is_sound(path: Path) -> None:
    spec = load_spec(path)
    refuse_bad_names(spec)
    assert len({e.title for e in spec.experiments}) == len(spec.experiments)
    assert all(len(e.seeds) >= 10 for e in spec.experiments)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_small_one_of_its_shape_runs(path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["seeds"] = 1
    for target in (values, *values.get("experiments", ())):
        if "dataset" in target:
            target.setdefault("name", target["dataset"])
            target |= {"dataset": "digits", "batch": 6, "rounds": 1}
            target.pop("encoder", None)
        if "seed_set" in target:
            target["seed_set"] = {**target["seed_set"], "size": min(6, target["seed_set"]["size"])}
    if "experiments" in values:  # the first and the last of each kind of seed set would be alike
        values["experiments"] = [values["experiments"][0], values["experiments"][-1]]
    run_study(parse_spec(values), tmp_path / "w")
    results = read_results(tmp_path / "w")
    assert results.complete
    wanted = {s.title for e in parse_spec(values).experiments for s in e.strategies}
    assert {c.strategy for c in results.curves} == wanted
