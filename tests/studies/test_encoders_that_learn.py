"""Encoders that learn do so from the pool of each split, never from test or audit items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labeltrain
from labeltrain.encoders import make
from labeltrain.errors import BadInput
from labeltrain.studies.prepare import Material, prepare
from labeltrain.studies.spec import parse_spec

WORDS = [[f"{name}{k}" for k in range(10)] for name in ("sea", "rose")]


def texts(n: int = 60) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS[i % 2], 8)) for i in range(n)]


def table(path: Path, given: list[str], split: str = "") -> str:
    rows = [f"{text},{'rose' if i % 2 else 'sea'}" for i, text in enumerate(given)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def material(source: str, **more: Any) -> Material:
    spec = parse_spec(
        {"dataset": source, "encoder": "lsa", "seeds": 3, "batch": 2, "rounds": 2, **more}
    )
    return prepare(spec.experiments[0])[0]


@pytest.mark.parametrize("split", ["own", "redraw"])
def test_test_texts_do_not_matter(tmp_path: Path, split: str) -> None:
    given = texts()
    first = material(table(tmp_path / "t.csv", given), split=split)
    for seed in (0, 2):
        pool, test = first.split(seed)
        changed = list(given)
        for row in test:
            changed[row] = "sea1 rose1 sea1 rose1 unheard unheard"
        (tmp_path / f"{seed}").mkdir()
        second = material(table(tmp_path / f"{seed}" / "t.csv", changed), split=split)
        np.testing.assert_array_equal(second.split(seed)[0], pool)
        np.testing.assert_array_equal(first.features_of(seed)[pool], second.features_of(seed)[pool])
        fitted = make("lsa").fitted([given[row] for row in pool])
        np.testing.assert_array_equal(first.features_of(seed), fitted.encode(given))


def test_experiments_with_labels_of_their_own_do_not_share_features(tmp_path: Path) -> None:
    given = texts()
    path = tmp_path / "t.csv"
    rows = [
        f"{text},{i % 2},{'' if i in (50, 55) else i % 3},{'test' if i >= 40 else 'train'}"
        for i, text in enumerate(given)
    ]
    path.write_text("text,one,two,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for label in ("one", "two", "one"):
        options = {"text_column": "text", "label_column": label, "split_column": "split"}
        made = material(str(path), split="own", dataset_options=options)
        assert len(made.features) == len(made.labels) == (60 if label == "one" else 58)


def test_two_experiments_with_other_splits_do_not_share_features(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", texts())
    few = material(source, split="redraw", test_fraction=0.6)
    many = material(source, split="redraw", test_fraction=0.2)
    for one in (few, many, few):
        fitted = make("lsa").fitted([texts()[row] for row in one.split(1)[0]])
        np.testing.assert_array_equal(one.features_of(1), fitted.encode(texts()))


def test_it_does_not_depend_on_workers_and_resumes(tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "dataset": table(tmp_path / "t.csv", texts()), "encoder": "lsa", "split": "redraw",
        "strategies": "random,margin", "batch": 5, "seeds": 2,
    }  # fmt: skip
    one = labeltrain.run(**spec, rounds=3, workspace=tmp_path / "one")
    two = labeltrain.run(**spec, rounds=3, workspace=tmp_path / "two", workers=2)
    for a, b in zip(one.curves, two.curves, strict=True):
        np.testing.assert_array_equal(a.scores["nll"], b.scores["nll"])
    assert labeltrain.run(**spec, rounds=3, workspace=tmp_path / "one").complete


def test_views_of_redrawn_splits_are_refused_and_of_own_ones_made(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", texts())
    views = {"views": {"count": 1}, "learner": "fixmatch", "learner_options": {"steps": 2}}
    with pytest.raises(BadInput, match="'lsa' learns from the pool"):
        material(source, split="redraw", **views)
    made = material(source, split="own", **views)
    pool, test = made.split(0)
    lengths = np.linalg.norm(made.views["strong"][0], axis=1)
    assert lengths[pool].min() > 0.0
    assert lengths[test].max() == 0.0  # nothing is learned from them
    assert made.views["strong"].shape[2] == made.features.shape[1]


def test_audit_texts_do_not_matter_in_a_project(tmp_path: Path) -> None:
    given = texts()
    options: dict[str, Any] = {"encoder": "lsa", "label_column": "", "classes": ["sea", "rose"]}
    with labeltrain.Project.new(tmp_path / "p", table(tmp_path / "t.csv", given), **options) as one:
        audit = one.state.audit_order
        features, ids = one.features().copy(), one.items.ids
    assert audit
    changed = ["sea1 rose1 unheard unheard" if i in set(audit) else t for i, t in enumerate(given)]
    (tmp_path / "other").mkdir()
    other = table(tmp_path / "other" / "t.csv", changed)
    with labeltrain.Project.new(tmp_path / "q", other, **options) as two:
        assert two.state.audit_order == audit
        assert two.items.ids == ids
        rest = np.setdiff1d(np.arange(len(given)), audit)
        np.testing.assert_array_equal(two.features()[rest], features[rest])


def test_workers_take_an_encoder_that_was_used_to_encode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty cache the model is loaded before the workers begin."""
    from labeltrain.assets import cache_dir

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "assets").symlink_to(cache_dir() / "assets")
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    results = labeltrain.run(
        dataset=table(tmp_path / "t.csv", texts()), encoder="minilm+lsa", split="redraw", seeds=2,
        encoder_options={"max_length": 8}, strategies="random", batch=4, rounds=1, workers=2,
    )  # fmt: skip
    assert results.complete
