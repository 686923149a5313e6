"""Seed sets that begin with examples or with a query: rare classes need not wait for chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.errors import BadInput, LabelTrainError
from labeltrain.store import Workspace

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "encoder": "raw",
    "strategies": ["random", "galaxy"],
    "batch": 6,
    "rounds": 2,
    "seeds": [1, 2],
    "split": "redraw",
    "metric": "balanced_accuracy",
    "imbalance": {"keep": ["3"], "ratio": 0.02},
}


def picked(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    with Workspace.open(folder, "study", read_only=True) as workspace:
        for event in workspace.events():
            if event.kind == "picked":
                found.setdefault(event.run, []).append(event.body)
    return found


def test_examples_are_the_first_labels_of_every_strategy(tmp_path: Path) -> None:
    labeltrain.run(**SPEC, seed_set={"size": 8, "examples": {"3": 2}}, workspace=tmp_path / "w")
    runs = picked(tmp_path / "w")
    for seed in (1, 2):
        first = [runs[f"digits/{name}/{seed}"][:2] for name in ("random", "galaxy")]
        ids = [[pick["id"] for body in bodies for pick in body["picks"]] for bodies in first]
        assert ids[0] == ids[1]
        assert len(ids[0]) == 8
        given, drawn = first[0]
        assert (given["strategy"], drawn["strategy"]) == ("seed:given", "seed:random")
        assert [pick["answer"] for pick in given["picks"]] == [0, 0]  # "3" is the first class
    assert runs["digits/random/1"][0]["picks"] != runs["digits/random/2"][0]["picks"]


@pytest.mark.parametrize(
    ("seed_set", "match"),
    [
        ({"size": 8, "examples": {"4": 1}}, "class in seed_set.examples"),
        ({"size": 8, "examples": {"3": 500}}, "wants 500 of '3'"),
        ({"size": 1, "examples": {"3": 2}}, "larger seed_set.size"),
        ({"size": 8, "query": ["a three"]}, "is a text"),
        ({"size": 8, "method": "nearest"}, "needs a query"),
        ({"size": 8, "method": "clusters", "query": ["x"]}, "so does method=clusters"),
    ],
)
def test_what_cannot_be_is_refused(seed_set: dict[str, Any], match: str) -> None:
    with pytest.raises(LabelTrainError, match=match):
        labeltrain.run(**SPEC, seed_set=seed_set)


def test_a_query_finds_the_first_items_of_a_rare_class(tmp_path: Path) -> None:
    texts = [f"the striker scored a goal in minute {i}" for i in range(6)]
    texts += [f"the recipe needs {i} eggs, flour, butter and milk" for i in range(200)]
    labels = ["sport"] * 6 + ["food"] * 200
    order = np.random.default_rng(0).permutation(206)
    table = tmp_path / "mine.csv"
    rows = [f'"{texts[i]}",{labels[i]}' for i in order]
    table.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    labeltrain.run(
        dataset=str(table),
        encoder="minilm",
        encoder_options={"max_length": 16},
        strategies=["random"],
        batch=4,
        rounds=1,
        seeds=[0],
        seed_set={"size": 4, "query": ["football and other sports"]},
        workspace=tmp_path / "w",
    )
    (bodies,) = picked(tmp_path / "w").values()
    assert bodies[0]["strategy"] == "seed:nearest"
    sport = labels_of(bodies[0], "sport", table)
    assert sport >= 3  # 3 % of the pool


def labels_of(body: dict[str, Any], name: str, table: Path) -> int:
    dataset = labeltrain.load(table)
    return sum(dataset.classes[pick["answer"]] == name for pick in body["picks"])


def test_a_spec_without_examples_or_query_keeps_the_key_it_had() -> None:
    from labeltrain.studies.spec import StudySpec

    plain = {"dataset": "digits", "strategies": ["random"]}
    values = StudySpec.model_validate({"experiments": [plain]}).as_json()
    assert values["experiments"][0]["seed_set"] == {"size": None, "method": "random"}
    query = {**plain, "seed_set": {"query": ["x"]}}
    values = StudySpec.model_validate({"experiments": [query]}).as_json()
    assert values["experiments"][0]["seed_set"]["query"] == ["x"]


def test_targets_take_turns() -> None:
    E = np.array([[1, 0], [0.9, 0.1], [0.8, 0.3], [0, 1], [0.1, 0.9], [0.5, 0.5]])
    found = labeltrain.select("nearest", embeddings=E, targets=[[2, 0], [0, 3]], budget=6)
    assert found.positions.tolist() == [0, 3, 1, 4, 2, 5]
    assert found.scores[0] == pytest.approx(1.0)
    only = labeltrain.select("nearest", embeddings=E, targets=[[1, 0]], labelled=[0], budget=2)
    assert only.positions.tolist() == [1, 2]
    with pytest.raises(BadInput):
        labeltrain.select("nearest", embeddings=E, targets=[[1, 0, 0]], budget=1)
