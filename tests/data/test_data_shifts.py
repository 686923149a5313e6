"""Merged, thinned and long-tailed classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data import Dataset, load, long_tailed, merged, split, thinned
from labeltrain.errors import BadInput


def made(labels: list[int] | np.ndarray, classes: tuple[str, ...] = ("a", "b", "c")) -> Dataset:
    values = np.array(labels)
    return Dataset(
        name="made",
        modality="features",
        items=np.zeros((len(values), 2), dtype=np.float32),  # type: ignore[arg-type]
        ids=tuple(str(i) for i in range(len(values))),
        kind="multilabel" if values.ndim == 2 else "multiclass",
        classes=classes,
        labels=values.astype(np.int8) if values.ndim == 2 else values.astype(np.int64),
    )


def counts(data: Dataset, left: np.ndarray) -> list[int]:
    assert data.labels is not None
    return np.bincount(data.labels[left], minlength=len(data.classes)).tolist()


# -- merged ------------------------------------------------------------------------------------


def test_one_class_against_the_rest() -> None:
    data = made([0, 1, 2, -1, 1])
    found = merged(data, ["b"])
    assert found.classes == ("b", "rest")
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0, 1, -1, 0]
    assert found.facts["kept classes"] == "b; 2 others are merged into 'rest'"
    assert data.classes == ("a", "b", "c")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 2, -1, 1]  # the given one is as it was


def test_kept_classes_have_the_order_in_which_they_are_named() -> None:
    found = merged(made([0, 1, 2, 3], ("a", "b", "c", "d")), ["d", "a"])
    assert found.classes == ("d", "a", "rest")
    assert found.labels is not None
    assert found.labels.tolist() == [1, 2, 2, 0]


def test_of_several_labels_some_are_kept() -> None:
    found = merged(made(np.array([[1, 0, 1], [0, 1, 0], [-1, -1, -1]])), ["c", "a"])
    assert (found.kind, found.classes) == ("multilabel", ("c", "a"))
    assert found.labels is not None
    assert found.labels.tolist() == [[1, 1], [0, 0], [-1, -1]]
    assert "1 others are left out" in found.facts["kept classes"]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (["d"], "unknown class in keep 'd'.*\n.*known: a, b, c"),
        (["a", "a"], "keep names 'a' twice"),
        ([], "no class is kept"),
        (["a", "b", "c"], "all 3 classes are kept"),
    ],
)
def test_impossible_merges(keep: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        merged(made([0, 1, 2]), keep)


def test_a_kept_class_must_not_be_called_rest() -> None:
    data = made([0, 1, 2], ("a", "rest", "c"))
    with pytest.raises(BadInput, match="a class that is kept is called 'rest'"):
        merged(data, ["rest"])
    found = merged(data, ["a"])
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1]


# -- thinned -----------------------------------------------------------------------------------


def test_a_ratio_is_of_the_largest_other_class() -> None:
    data = made([0] * 40 + [1] * 100 + [2] * 30)
    assert counts(data, thinned(data, ratio=0.1)) == [40, 100, 10]  # c is the smallest
    assert counts(data, thinned(data, ratio=0.1, minority=["b"])) == [40, 4, 30]
    assert counts(data, thinned(data, ratio=0.05, minority=["a", "c"])) == [5, 100, 5]
    assert counts(data, thinned(data, counts={"b": 7, "a": 1})) == [1, 7, 30]
    assert counts(data, thinned(data, np.arange(50), ratio=0.25, minority=["b"])) == [40, 10, 0]


def test_unlabelled_items_are_left_out_and_the_last_of_equal_classes_is_the_minority() -> None:
    data = made([0, 1, -1, 0, 1, 0, 1, 0, 1], ("a", "b"))
    left = thinned(data, ratio=0.5)
    assert counts(data, left) == [4, 2]
    assert 2 not in left


def test_only_what_is_thinned_is_touched() -> None:
    data = load("shuttle")
    pool, test = split(data, mode="redraw", seed=4)
    left = thinned(data, pool, ratio=0.001, seed=4)
    assert counts(data, left) == [31910, 32]
    assert data.labels is not None
    assert np.array_equal(left[data.labels[left] == 0], pool[data.labels[pool] == 0])
    assert len(np.intersect1d(left, test)) == 0


labelled = st.lists(st.integers(-1, 3), min_size=8, max_size=80)


@settings(deadline=None, max_examples=150)
@given(labelled, st.floats(0.01, 1.0), st.integers(0, 99))
def test_any_thinning_is_sound(labels: list[int], ratio: float, seed: int) -> None:
    names = ("a", "b", "c", "d")
    data = made(labels, names)
    have = counts(data, np.flatnonzero(np.array(labels) >= 0))
    wanted = round(ratio * max(have[:3]))
    if not 1 <= wanted <= have[3]:
        with pytest.raises(BadInput, match="items of 'd', and a ratio of"):
            thinned(data, ratio=ratio, minority=["d"], seed=seed)
        return
    left = thinned(data, ratio=ratio, minority=["d"], seed=seed)
    assert counts(data, left) == [*have[:3], wanted]
    assert (np.diff(left) > 0).all()
    assert np.array_equal(left, thinned(data, ratio=ratio, minority=["d"], seed=seed))
    # A smaller number leaves a part of what a larger one leaves.
    fewer = thinned(data, counts={"d": max(1, wanted - 2)}, seed=seed)
    assert set(fewer) <= set(left)
    # Neither the order of the positions nor that of the classes matters.
    among = np.random.default_rng(seed).permutation(len(labels))
    assert np.array_equal(left, thinned(data, among, ratio=ratio, minority=["d"], seed=seed))
    turned = made([c if c < 0 else 3 - c for c in labels], names[::-1])
    assert np.array_equal(left, thinned(turned, ratio=ratio, minority=["d"], seed=seed))


def test_seeds_and_parts_draw_differently() -> None:
    data = made([0] * 100 + [1] * 100, ("a", "b"))
    drawn = [
        thinned(data, ratio=0.2, seed=seed, part=part).tolist()
        for seed, part in [(0, "pool"), (1, "pool"), (0, "test")]
    ]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either a ratio or counts"),
        ({"ratio": 0.1, "counts": {"a": 1}}, "either a ratio or counts"),
        ({"ratio": 0.0}, "ratio is 0.0"),
        ({"ratio": 1.5}, "ratio is 1.5"),
        ({"ratio": 0.01}, "the pool has 5 items of 'c'.* 20 of the largest.* 0\n.*0.05 to 0.25"),
        ({"ratio": 0.5}, "the pool has 5 items of 'c'.* makes 10\n"),
        ({"ratio": 0.5, "minority": ["d"]}, "unknown class in minority 'd'"),
        ({"ratio": 0.5, "minority": ["a", "a"]}, "minority names 'a' twice"),
        ({"ratio": 0.5, "minority": ["a", "b", "c"]}, "3 of 3 classes are the minority"),
        ({"ratio": 0.5, "minority": []}, "0 of 3 classes are the minority"),
        ({"counts": {"c": 6}}, "the pool has 5 items of 'c', and counts asks for 6\n.*1 to 5"),
        ({"counts": {"c": 0}}, "counts asks for 0"),
        ({"counts": {"x": 1}}, "unknown class in counts 'x'"),
        ({"counts": {"c": 1}, "minority": ["c"]}, "minority goes with a ratio"),
    ],
)
def test_impossible_thinnings(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        thinned(made([0] * 20 + [1] * 10 + [2] * 5), **options)  # type: ignore[arg-type]


def test_items_with_several_labels_are_not_thinned() -> None:
    data = made(np.array([[1, 0, 1], [0, 1, 0]]))
    for shift in (lambda: thinned(data, ratio=0.1), lambda: long_tailed(data, factor=10)):
        with pytest.raises(BadInput, match="items have several labels"):
            shift()


# -- long tail ---------------------------------------------------------------------------------


def test_the_long_tail_of_equal_classes_is_that_of_cifar_10() -> None:
    data = made(np.repeat(np.arange(10), 5000), tuple("0123456789"))
    for factor, expected in [
        (100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (1, [5000] * 10),
    ]:
        assert counts(data, long_tailed(data, factor=factor)) == expected


def test_the_long_tail_of_unequal_classes_is_as_long_as_they_allow() -> None:
    # Largest first: b (100), a (40), c (9). With h items of b, a has h / 2 and c has h / 4.
    data = made([0] * 40 + [1] * 100 + [2] * 9)
    assert counts(data, long_tailed(data, factor=4)) == [18, 36, 9]
    # Here a is what limits it: h / 10 = 40 would need 400 of b.
    assert counts(data, long_tailed(data, factor=100)) == [10, 100, 1]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.floats(1.0, 40.0))
def test_any_long_tail_has_its_profile(sizes: list[int], factor: float) -> None:
    data = made(np.repeat(np.arange(len(sizes)), sizes), tuple("abcdef"[: len(sizes)]))
    order = np.argsort(-np.array(sizes), kind="stable")
    shares = factor ** (-np.arange(len(sizes)) / (len(sizes) - 1))
    head = (np.array(sizes)[order] / shares).min()
    if np.floor(head * shares[-1] + 1e-9) < 1:
        with pytest.raises(BadInput, match="leaves the pool no item"):
            long_tailed(data, factor=factor)
        return
    found = np.array(counts(data, long_tailed(data, factor=factor)))[order]
    assert (found <= np.array(sizes)[order]).all()
    assert (np.abs(found - head * shares) < 1 + 1e-6).all()
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize("factor", [0.5, float("nan"), float("inf")])
def test_impossible_factors(factor: float) -> None:
    with pytest.raises(BadInput, match="a long tail of factor"):
        long_tailed(made([0, 0, 1]), factor=factor)


def test_a_tail_without_items_is_refused() -> None:
    with pytest.raises(BadInput, match=r"no item of 'c': the first class can have 50\n.* most 50"):
        long_tailed(made([0] * 50 + [1] * 30 + [2] * 20), factor=100)
