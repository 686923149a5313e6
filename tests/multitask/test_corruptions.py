"""Images under conditions, and how they are dealt out to tasks."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeltrain.data import Dataset
from labeltrain.errors import BadInput, MissingExtra
from labeltrain.multitask import corruptions
from labeltrain.multitask.corruptions import CONDITIONS, IDENTITY, conditions, corrupted
from labeltrain.multitask.dealing import conditions_as_sources, dealt, held_out_images
from labeltrain.multitask.question_tasks import question_tasks
from labeltrain.multitask.reading import task_set


def pictures(count: int, seed: int = 0, colour: bool = False) -> np.ndarray:
    """Return bright strokes on black, as digits are."""
    rng = np.random.default_rng(seed)
    found = np.zeros((count, 28, 28), dtype=np.uint8)
    for image in found:
        row, column = rng.integers(6, 14, size=2)
        image[row : row + 12, column : column + 3] = rng.integers(150, 256)
        image[row : row + 3, column : column + 9] = rng.integers(150, 256)
    return np.repeat(found[..., None], 3, axis=3) if colour else found


def labelled(count: int = 60, classes: int = 3) -> Dataset:
    labels = np.arange(count) % classes
    ids = tuple(f"i{i}" for i in range(count))
    names = tuple("abcdefghij"[:classes])
    items: Any = pictures(count)
    return Dataset("made", "image", items, ids, "multiclass", names, labels)


def test_there_are_sixteen_and_one_leaves_images_alone() -> None:
    images = pictures(4)
    assert len(CONDITIONS) == 16
    same = corrupted(images, IDENTITY)
    assert same.tobytes() == images.tobytes()
    assert same is not images


@pytest.mark.parametrize("name", [n for n in CONDITIONS if n != IDENTITY])
def test_each_image_is_changed_alone(name: str) -> None:
    images, keys = pictures(5), list("abcde")
    whole = corrupted(images, name, seed=3, keys=keys)
    assert whole.dtype == np.uint8
    assert whole.shape == images.shape
    assert all((one != other).any() for one, other in zip(whole, images, strict=True))
    order = [3, 0, 4]
    part = corrupted(images[order], name, seed=3, keys=[keys[i] for i in order])
    np.testing.assert_array_equal(part, whole[order])
    wide = corrupted(pictures(2, colour=True), name, seed=3, keys=keys[:2])
    assert wide.shape == (2, 28, 28, 3)
    if name not in ("noise",):  # each channel has its own noise
        assert np.abs(wide[..., 0].astype(int) - wide[..., 2]).max() <= 1


@pytest.mark.parametrize("name", ["noise", "impulse", "motion-blur", "stripe", "elastic"])
def test_what_is_drawn_depends_on_seed_and_key(name: str) -> None:
    image = pictures(1)
    first = corrupted(image, name, seed=0, keys=["a"])
    assert (corrupted(image, name, seed=1, keys=["a"]) != first).any()
    assert (corrupted(image, name, seed=0, keys=["b"]) != first).any()


def test_some_conditions_by_hand() -> None:
    images = pictures(3)
    np.testing.assert_array_equal(corrupted(images, "invert"), 255 - images)
    bright = np.minimum(images / 255 + 0.5, 1.0) * 255
    assert np.abs(corrupted(images, "brightness") - bright).max() <= 0.5
    assert np.abs(corrupted(images, "contrast") - 0.3 * images).max() <= 0.5
    salted = corrupted(np.full((8, 28, 28), 100, dtype=np.uint8), "impulse")
    assert set(np.unique(salted)) == {0, 100, 255}
    assert np.mean(salted != 100) == pytest.approx(0.15, abs=0.02)
    noisy = corrupted(np.full((8, 28, 28), 128, dtype=np.uint8), "noise") / 255.0
    assert noisy.std() == pytest.approx(0.25, abs=0.02)
    striped = corrupted(images, "stripe")
    for one, before in zip(striped, images, strict=True):
        turned = (one != before).any(axis=0)
        assert turned.sum() == 4
        np.testing.assert_array_equal(one[:, turned], 255 - before[:, turned])
    thick = corrupted(images, "dilate")
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    around = [padded[:, i : i + 28, j : j + 28] for i in range(3) for j in range(3)]
    np.testing.assert_array_equal(thick, np.max(around, axis=0))


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("blur", 0.8, 1.2), ("motion-blur", 0.8, 1.2), ("rotate", 0.8, 1.2), ("shear", 0.8, 1.2),
     ("scale", 0.3, 0.45), ("elastic", 0.5, 1.6)],
)  # fmt: skip
def test_ink_is_kept(name: str, least: float, most: float) -> None:
    images = pictures(6)
    ink = corrupted(images, name).astype(float).sum() / images.astype(float).sum()
    assert least < ink < most


def test_data_sets_under_conditions() -> None:
    made, told = labelled(), []
    found = conditions(
        made,
        ["invert", "identity"],
        seed=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [one.name for one in found] == ["invert", "identity"]
    assert all(one.ids == made.ids and one.labels is made.labels for one in found)
    np.testing.assert_array_equal(np.asarray(found[1].items), np.asarray(made.items))
    assert told == [(60, 120)]


@pytest.mark.parametrize(
    ("names", "match"),
    [(["invrt"], "did you mean 'invert'"), (["blur", "blur"], "each once"), ([], "one or more")],
)
def test_conditions_that_cannot_be(names: list[str], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        conditions(labelled(), names)


def test_other_items_are_refused() -> None:
    with pytest.raises(BadInput, match="no images as one array"):
        conditions(Dataset("t", "text", ["a", "b"], ("0", "1")))
    with pytest.raises(BadInput, match="type float64"):
        corrupted(np.zeros((2, 8, 8)), "invert")
    with pytest.raises(BadInput, match="unknown condition"):
        corrupted(pictures(1), "fog")


def test_images_under_conditions_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path))
    made: list[str] = []
    real = corruptions.corrupted

    def counted(images: np.ndarray, name: str, **more: Any) -> np.ndarray:
        made.append(name)
        return real(images, name, **more)

    monkeypatch.setattr(corruptions, "corrupted", counted)
    one = labelled(6)
    first = conditions(one, ["noise", "blur"], seed=3)
    assert made == ["noise", "blur"]
    again = conditions(one, ["blur", "noise"], seed=3)
    assert len(made) == 2
    np.testing.assert_array_equal(first[0].items, again[1].items)
    np.testing.assert_array_equal(first[1].items, again[0].items)
    conditions(one, ["noise"], seed=4)
    conditions(replace(one, ids=tuple(f"x{i}" for i in one.ids)), ["noise"], seed=3)
    conditions(replace(one, items=255 - one.items), ["noise"], seed=3)  # type: ignore[operator]
    assert len(made) == 5
    for path in (tmp_path / "conditions").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.warns(UserWarning, match="is made again: it does not match its checksum"):
        (mended,) = conditions(one, ["blur"], seed=3)
    np.testing.assert_array_equal(mended.items, first[1].items)


def test_without_kornia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(MissingExtra, match=r"labeltrain\[corruptions\]"):
        corrupted(pictures(1), "blur")
    assert corrupted(pictures(1), IDENTITY).shape == (1, 28, 28)


# -- dealing ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 5))
def test_images_are_dealt_out(seed: int, test: int, classes: int) -> None:
    sets = [labelled(60, classes), labelled(60, classes)]
    object.__setattr__(sets[0], "name", "fog")
    object.__setattr__(sets[1], "name", "rain")
    held_out = held_out_images(sets[0], test, seed)
    assert len(set(held_out.tolist())) == test
    tasks = dealt(sets, held_out, seed)
    assert [t.name for t in tasks[:2]] == ["fog/a", "fog/b"]
    assert len(tasks) == 2 * classes
    for number in (0, 1):
        mine = [t for t in tasks if t.data_set == number]
        every = np.concatenate([t.items for t in mine])
        # Disjoint, all but what is held out, sizes alike.
        assert sorted([*every.tolist(), *held_out.tolist()]) == list(range(60))
        sizes = [len(t.items) for t in mine]
        assert max(sizes) - min(sizes) <= 1
        assert [t.class_index for t in mine] == list(range(classes))
    again = dealt(sets, held_out_images(sets[0], test, seed), seed)
    for one, other in zip(tasks, again, strict=True):
        np.testing.assert_array_equal(one.items, other.items)
    alone = dealt(sets[1:], held_out, seed)  # whatever other conditions there are
    np.testing.assert_array_equal(alone[0].items, tasks[classes].items)


def test_conditions_and_seeds_deal_differently() -> None:
    sets = [labelled(), labelled()]
    object.__setattr__(sets[1], "name", "other")
    held_out = held_out_images(sets[0], 10, 0)
    tasks = dealt(sets, held_out, 0)
    assert set(tasks[0].items.tolist()) != set(tasks[3].items.tolist())
    assert set(dealt(sets, held_out, 1)[0].items.tolist()) != set(tasks[0].items.tolist())
    sources = conditions_as_sources(sets, tasks)
    assert [len(s.tasks) for s in sources] == [3, 3]
    found = task_set(tasks[0], tasks, sources)
    assert [t.name for t in found.sources] == [t.name for t in tasks[1:]]
    apart = task_set(tasks[0], tasks, sources, apart=True)
    assert {t.row for t in apart.sources} == {"other"}
    with pytest.raises(BadInput, match="no source task"):
        task_set(tasks[0], tasks[:3], sources, apart=True)


def test_what_cannot_be_dealt() -> None:
    with pytest.raises(BadInput, match="from 1 to 57"):
        held_out_images(labelled(), 58, 0)
    several = Dataset("s", "features", np.zeros((4, 2)), tuple("abcd"), "multilabel", ("x",),
                      np.zeros((4, 1), dtype=np.int8))  # type: ignore[arg-type]  # fmt: skip
    with pytest.raises(BadInput, match="multilabel"):
        dealt([several], np.zeros(0, dtype=np.int64), 0)


# -- questions -------------------------------------------------------------------------------------


def test_questions_as_tasks() -> None:
    found = question_tasks({"commonsenseqa": 12, "piqa": 9})
    assert [s.name for s in found] == ["commonsenseqa", "piqa"]
    first = found[0].dataset
    assert first.classes == ("wrong", "right")
    assert first.labels is not None
    assert np.bincount(first.labels).tolist() == [6, 6]
    assert len(set(first.ids)) == 12
    # One choice is left of each: those of a question that is right are not listed beside it.
    assert all(len(str(item).split("\n")) == 2 for item in first.items)
    again = question_tasks({"commonsenseqa": 12})
    assert list(again[0].dataset.items) == list(first.items)
    with pytest.raises(BadInput, match="questions of nq-open, which has 0 with choices"):
        question_tasks({"nq-open": 10})
