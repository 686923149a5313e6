"""Every spec in studies/ is sound, and a small study of its shape runs to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from labeltrain import encoders
from labeltrain.cli.run import kind_in
from labeltrain.data import load, take
from labeltrain.learners.registry import get, make
from labeltrain.studies import read_results, run_study
from labeltrain.studies.prepare import refuse_bad_names
from labeltrain.studies.spec import load_spec, parse_spec

# Others have tests of their own: tests/sft/test_sft_study.py, tests/multitask/test_study.py.
SPECS = sorted(
    path for path in (Path(__file__).parents[2] / "studies").glob("*.yaml") if not kind_in(path)
)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_spec_is_sound(path: Path) -> None:
    spec = load_spec(path)
    refuse_bad_names(spec)
    assert len({e.title for e in spec.experiments}) == len(spec.experiments)
    for experiment in spec.experiments:
        held = [experiment, *([experiment.final] if experiment.final else [])]
        made = [make(one.learner, one.learner_options) for one in held]
        minutes = any(learner.reads == "items" and learner.name != "tfidf" for learner in made)
        assert len(experiment.seeds) >= (5 if minutes else 10)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_encoders_read_the_data(path: Path) -> None:
    seen = []
    for e in load_spec(path).experiments:
        wanted = (e.dataset, e.dataset_options, e.encoder, e.encoder_options)
        if wanted in seen:
            continue
        seen.append(wanted)
        dataset = load(e.dataset, **e.dataset_options)
        name = encoders.default_for(dataset.modality) if e.encoder == "auto" else e.encoder
        items = take(dataset.items, np.arange(8))
        assert len(encoders.make(name, **e.encoder_options).encode(items)) == 8


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_small_one_of_its_shape_runs(path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["seeds"] = 1
    values.pop("encoder", None)  # all are read by the usual one
    for target in (values, *values.get("experiments", ())):
        if "dataset" in target:
            target.setdefault("name", target["dataset"])
            images = target["dataset"] in IMAGES
            several = target["dataset"] in SEVERAL or values.get("metric") == "map"
            target |= {"dataset": "yeast" if several else "digits", "batch": 6, "rounds": 1}
            target.pop("encoder", None)
            target.pop("test_fraction", None)
            target.pop("encoder_options", None)
            if any(get(name).reads == "items" for name in used(values, target)) or network(target):
                path = few_images(tmp_path) if images else few_texts(tmp_path)
                size = {"size": 32} if images else {"max_length": 16}
                target |= {"dataset": str(path), "encoder_options": size}
        target |= {key: few for key, few in (("batch", 6), ("rounds", 1)) if key in target}
        shrink(target)
        if "imbalance" in target:
            target["imbalance"] = {"keep": ["3"], "ratio": 0.05}
        if "seed_set" in target:
            begun = target["seed_set"]
            begun.pop("query", None)  # digits are no texts
            if "examples" in begun:
                begun["examples"] = {"3": 1}
            target["seed_set"] = {**target["seed_set"], "size": min(6, target["seed_set"]["size"])}
        if "seeds" in target:
            target["seeds"] = 1
    if "experiments" in values:  # many are alike
        alike = {tuple(used(values, e)): e for e in values["experiments"]}
        values["experiments"] = list(alike.values())
    run_study(parse_spec(values), tmp_path / "w")
    results = read_results(tmp_path / "w")
    assert results.complete
    wanted = {s.title for e in parse_spec(values).experiments for s in e.strategies}
    assert {c.strategy for c in results.curves} == wanted


SEVERAL = ("yeast", "attack-tactics")  # labels an item
IMAGES = ("mnist-5k", "emoji")


def used(values: dict[str, Any], target: dict[str, Any]) -> list[str]:
    """Return the learners of an experiment."""
    learner = target.get("learner", values.get("learner", "linear"))
    final = target.get("final", values.get("final"))
    return [learner, *([final["learner"]] if final else [])]


def shrink(target: dict[str, Any]) -> None:
    """Let the trainings of networks take two steps, on short texts."""
    parts = [target, target.get("final") or {}]
    for part in parts:
        if (kind := network(part)) is not None:
            options = {k: v for k, v in part["learner_options"].items() if k in ("alpha", "stop")}
            small = {k: v for k, v in SMALL[kind].items() if k != "steps"}
            part["learner_options"] = {
                **options, "network": kind, "network_options": small, "first_epochs": 1
            }  # fmt: skip
        elif get(part.get("learner", "linear")).reads == "items":
            kept = {k: v for k, v in part.get("learner_options", {}).items() if k in SHAPE}
            part["learner_options"] = {**kept, **SMALL.get(part["learner"], {})}
        if "at" in part:
            part["at"] = [6, 12]


def network(target: dict[str, Any]) -> str | None:
    """Return the network of a continual learner that reads items; None for any other learner."""
    kind = target.get("learner_options", {}).get("network")
    return kind if kind in SMALL else None


SHAPE = ("adapt", "head", "method", "stop")
SMALL = {
    "finetune": {"steps": 2, "max_length": 16, "size": 32, "layers": 1},
    "transformer": {"steps": 2},
    "cnn": {"steps": 2, "size": 8},
}


def few_images(folder: Path) -> Path:
    """Write forty images of two kinds, each kind in a folder."""
    rng = np.random.default_rng(0)
    for kind, channel in (("warm", 0), ("cold", 2)):
        (folder / "images" / kind).mkdir(parents=True, exist_ok=True)
        for number in range(20):
            pixels = rng.integers(0, 80, (8, 8, 3), dtype=np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(folder / "images" / kind / f"{number}.png")
    return folder / "images"


def few_texts(folder: Path) -> Path:
    """Write forty texts of two kinds."""
    path = folder / "texts.csv"
    rows = [
        f"{'a red rose' if i % 2 else 'the blue sea'} {i} of many,{'warm' if i % 2 else 'cold'}"
        for i in range(40)
    ]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path
