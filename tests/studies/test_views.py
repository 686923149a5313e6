"""Encoded views in a study: used, shared with worker processes, refused where they are idle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.studies import read_results, run_study
from labeltrain.studies.spec import parse_spec

WORDS = {"sport": "goal match team cup", "money": "share profit bank loan"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = ["text,label"]
    for number in range(60):
        label = ("sport", "money")[number % 2]
        rows.append(f"{' '.join(rng.choice(WORDS[label].split(), 6))} {number},{label}")
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(rows))
    return path


def spec(table: Path, **change: Any) -> Any:
    return parse_spec(
        {
            "dataset": str(table), "learner": "fixmatch", "learner_options": {"steps": 8},
            "views": {"count": 2}, "strategies": ["random", "margin"], "batch": 6, "rounds": 2,
            "seeds": 2, **change,
        }
    )  # fmt: skip


def scores(folder: Path) -> list[Any]:
    return [(c.strategy, c.scores["accuracy"].tolist()) for c in read_results(folder).curves]


def test_views_are_used_and_workers_see_the_same(table: Path, tmp_path: Path) -> None:
    one, two, without = (tmp_path / name for name in ("one", "two", "without"))
    assert run_study(spec(table), one)
    assert run_study(spec(table), two, workers=2)
    assert scores(one) == scores(two)
    run_study(spec(table, views={"count": 0}), without)
    models = [{path.name for path in folder.rglob("*.npz")} for folder in (one, two, without)]
    assert models[0] == models[1]  # named by their content
    assert not models[0] & models[2]


def test_views_that_nobody_uses_are_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'linear' use no views"):
        run_study(spec(table, learner="linear", learner_options={}), tmp_path / "a")
    with pytest.raises(BadInput, match="only texts and images"):
        run_study(spec(Path("digits")), tmp_path / "b")
    assert not (tmp_path / "a").exists()


def test_a_learner_of_one_label_an_item_refuses_several(tmp_path: Path) -> None:
    path = tmp_path / "several.jsonl"
    rows = [{"text": f"text {k}", "label": ["a", "b"] if k % 2 else ["a"]} for k in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)))
    change = {"learner": "propagation", "learner_options": {}, "views": {}}
    with pytest.raises(BadInput, match="'propagation' does not work on multilabel data"):
        run_study(spec(path, **change), tmp_path / "c")


@pytest.mark.parametrize(
    ("redrawn", "encode", "evaluate"), [(False, 1.2 + 8.0, 0.8), (True, 1.2 + 4.8, 0.8 + 3.2)]
)
def test_encoding_all_views_is_booked(redrawn: bool, encode: float, evaluate: float) -> None:
    """With splits redrawn, views are of all items, and those of test items nobody needs."""
    from labeltrain.studies.results import BOOKED, _book_encoding

    encoded = {
        "pool_size": 60, "test_size": 40, "seconds": 10.0, "seconds_views": 8.0,
        "redrawn": redrawn, "from_cache": False, "fresh": 1.0, "fresh_views": [1.0, 1.0],
    }  # fmt: skip
    seconds, examples = dict.fromkeys(BOOKED, 0.0), dict.fromkeys(BOOKED, 0.0)
    _book_encoding(seconds, examples, encoded, 2)
    assert (seconds["encode"], seconds["evaluate"]) == pytest.approx((encode, evaluate))
    assert examples["encode"] == 60 * (1 + 2 * 2)
