"""Splits, and whether labels can train anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data import Dataset, load, require_trainable, split
from labeltrain.errors import BadInput


def made(
    labels: list[int] | np.ndarray, classes: int = 5, test: list[int] | None = None
) -> Dataset:
    values = np.array(labels)
    return Dataset(
        name="made",
        modality="features",
        items=np.zeros((len(values), 2), dtype=np.float32),  # type: ignore[arg-type]
        ids=tuple(str(i) for i in range(len(values))),
        kind="multilabel" if values.ndim == 2 else "multiclass",
        classes=tuple("abcdefghij"[:classes]),
        labels=values.astype(np.int8) if values.ndim == 2 else values.astype(np.int64),
        test=None if test is None else np.array(test, dtype=np.int64),
    )


def test_own_split_without_unlabelled_items() -> None:
    pool, test = split(made([0, 1, -1, 1, 0, -1], test=[4, 5]), seed=7)
    assert pool.tolist() == [0, 1, 3]
    assert test.tolist() == [4]
    assert pool.dtype == test.dtype == np.int64


def test_without_an_own_split_the_draw_is_fixed() -> None:
    data = made([0, 1] * 50)
    first, second = split(data, seed=1), split(data, seed=2)
    assert np.array_equal(first[1], second[1])
    assert len(first[1]) == 30
    assert np.bincount(data.labels[first[1]]).tolist() == [15, 15]  # type: ignore[index]


def test_redraw_depends_on_the_seed_and_keeps_the_test_size() -> None:
    data = made([0, 1] * 50, test=list(range(20)))
    one, again, other = (split(data, mode="redraw", seed=s)[1] for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert len(one) == len(other) == 20


def test_rare_classes_stay_in_the_pool() -> None:
    data = made([0] * 90 + [1] * 9 + [2], classes=3)
    for seed in range(20):
        pool, test = split(data, mode="redraw", test_fraction=0.9, seed=seed)
        assert data.labels is not None
        assert set(data.labels[pool]) == {0, 1, 2}
        assert 2 not in data.labels[test]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(-1, 4), min_size=2, max_size=120),
    st.floats(0.05, 0.95),
    st.integers(0, 99),
    st.sampled_from(["own", "redraw"]),
)
def test_any_split_is_sound(labels: list[int], fraction: float, seed: int, mode: str) -> None:
    data = made(labels)
    assert data.labels is not None
    known = np.flatnonzero(data.labels >= 0)
    counts = np.bincount(data.labels[known], minlength=5)
    if len(known) < 2 or counts.max() < 2:
        with pytest.raises(BadInput):
            split(data, mode=mode, test_fraction=fraction, seed=seed)  # type: ignore[arg-type]
        return
    pool, test = split(data, mode=mode, test_fraction=fraction, seed=seed)  # type: ignore[arg-type]
    assert np.array_equal(np.union1d(pool, test), known)
    assert len(np.intersect1d(pool, test)) == 0
    assert (np.diff(pool) > 0).all()
    assert (np.diff(test) > 0).all()
    # Every class that is known keeps an item in the pool, and has its share of the test set.
    assert set(data.labels[pool]) == set(data.labels[known])
    wanted = min(max(round(fraction * len(known)), 1), len(known) - 1)
    assert len(test) == min(wanted, int(np.maximum(counts - 1, 0).sum()))
    if (counts * (1 - fraction) >= 2).all():
        drawn = np.bincount(data.labels[test], minlength=5)
        assert (np.abs(drawn - wanted * counts / counts.sum()) < 1 + 1e-9).all()


def test_multilabel_split() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (40, 3))
    labels[5] = -1
    pool, test = split(made(labels, classes=3), mode="redraw", seed=0)
    assert len(test) == 12
    assert 5 not in np.concatenate([pool, test])
    assert len(np.union1d(pool, test)) == 39


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (made([0, 1]), {"mode": "mine"}, "unknown split mode 'mine'"),
        (made([0, 1]), {"test_fraction": 1.0}, "test_fraction is 1.0"),
        (made([0, -1, -1]), {}, "1 labelled items cannot be split"),
        (made([0, 1, -1], test=[2]), {}, "0 of 2 labelled items are in its test split"),
        (made([0, 1, -1], test=[0, 1]), {}, "2 of 2 labelled items"),
        (made([0, 1, 2]), {}, "every class has only one item"),
    ],
)
def test_impossible_splits(data: Dataset, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        split(data, **options)  # type: ignore[arg-type]


def test_require_trainable() -> None:
    require_trainable(load("digits"))
    require_trainable(made(np.array([[1, 0], [0, 0]]), classes=2))
    with pytest.raises(BadInput, match="all labels are the same class, 'b'"):
        require_trainable(made([1, 1, -1]))
    with pytest.raises(BadInput, match="no item has a label"):
        require_trainable(made([-1, -1]))
    with pytest.raises(BadInput, match="either always or never present"):
        require_trainable(made(np.array([[1, 0], [1, 0]]), classes=2))
    with pytest.raises(BadInput, match="no item has a label"):
        require_trainable(Dataset(name="x", modality="text", items=["a"], ids=("0",)))
