"""From what a user names to tasks: data sets, labels, values of a column, folders."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.errors import BadInput
from labeltrain.multitask.features import encode, reduced
from labeltrain.multitask.reading import Reading, read_tasks
from labeltrain.multitask.tasks import TaskSet, named


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    """Four shops, three classes, a number to predict, two features."""
    path = tmp_path / "shops.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["shop", "price", "colour", "a", "b"])
        for i in range(80):
            shop = ["Rome", "Oslo", "Bonn", ""][i % 4]
            price = "" if i == 5 else f"{rng.normal():.3f}"
            writer.writerow([shop, price, ["red", "blue", "green"][i % 3], i, rng.normal()])
    return path


def names(tasks: TaskSet) -> list[str]:
    return [task.name for task in tasks.sources]


def test_labels_and_classes_of_a_data_set() -> None:
    yeast = read_tasks("Class3", ["yeast"])
    assert names(yeast) == [f"yeast:Class{i}" for i in range(1, 15) if i != 3]
    assert yeast.target.name == "yeast:Class3"
    assert yeast.target.kind == "binary"
    assert yeast.shared
    labels = yeast.data_sets[0].dataset.labels
    assert labels is not None
    some = np.array([4, 0, 9])
    np.testing.assert_array_equal(yeast.answers(yeast.target, some), labels[some, 2])
    digits = read_tasks("digits:3", ["digits"])
    assert names(digits) == [f"digits:{i}" for i in range(10) if i != 3]
    own = digits.data_sets[0].dataset.labels
    assert own is not None
    np.testing.assert_array_equal(digits.answers(digits.target, some), own[some] == 3)


def test_one_task_of_a_data_set_and_a_target_elsewhere() -> None:
    tasks = read_tasks("digits:3", ["digits:1", "digits:2", "digits:1"])
    assert names(tasks) == ["digits:1", "digits:2"]
    assert tasks.target.name == "digits:3"
    assert len(tasks.data_sets) == 1


def test_values_of_a_column(shops: Path) -> None:
    reading = Reading(label_column="colour", task_column="shop", columns=("a", "b"))
    tasks = read_tasks("Oslo/red", [str(shops)], reading)
    assert len(names(tasks)) == 8
    assert "shops:Rome/blue" in names(tasks)
    assert (tasks.target.row, tasks.target.column) == ("Oslo", "red")
    assert len(tasks.target.items) == 20
    assert tasks.shared  # Oslo's other classes are asked of the same items
    numbers = read_tasks("Oslo", [str(shops)], Reading(value_column="price", task_column="shop",
                                                       columns=("a", "b")))  # fmt: skip
    assert names(numbers) == ["shops:Bonn", "shops:Rome"]
    assert numbers.target.kind == "number"
    assert len(numbers.target.items) == 19  # one price is not known
    assert not numbers.shared
    held = numbers.data_sets[0].numbers
    assert held is not None
    np.testing.assert_array_equal(
        numbers.answers(numbers.target, numbers.target.items[:3]), held[numbers.target.items[:3]]
    )


def test_the_task_and_the_number_are_no_features(shops: Path) -> None:
    tasks = read_tasks("Oslo", [str(shops)], Reading(value_column="price", task_column="shop",
                                                     label_column=None))  # fmt: skip
    encoded = encode(tasks)
    assert encoded.rows.shape == (80, 5)  # a, b, three colours


def test_a_folder_of_files_and_a_target_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "parts").mkdir()
    for name in ("fog", "rain"):
        np.savez(tmp_path / "parts" / f"{name}.npz", X=rng.normal(size=(30, 3)),
                 y=np.arange(30) % 3)  # fmt: skip
    np.savez(tmp_path / "snow.npz", X=rng.normal(size=(20, 3)), y=np.arange(20) % 2)
    tasks = read_tasks(str(tmp_path / "snow.npz"), [str(tmp_path / "parts")])
    assert names(tasks) == ["fog:0", "fog:1", "fog:2", "rain:0", "rain:1", "rain:2"]
    assert tasks.target.name == "snow"
    assert not tasks.shared
    assert [t.row for t in tasks.sources] == ["fog"] * 3 + ["rain"] * 3
    encoded = encode(tasks)
    assert encoded.starts == (0, 30, 60)
    assert encoded.rows.shape == (80, 3)
    chosen = read_tasks("rain:1", [str(tmp_path / "parts")])
    assert chosen.target.name == "rain:1"
    assert len(chosen.sources) == 5


def test_folders_of_images(tmp_path: Path) -> None:
    from PIL import Image

    for weather in ("fog", "rain"):
        for digit in "012":
            folder = tmp_path / weather / digit
            folder.mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (8, 8), (int(digit) * 90, i, 0)).save(folder / f"{i}.png")
    tasks = read_tasks("fog:1", [str(tmp_path)])
    assert names(tasks) == ["fog:0", "fog:2", "rain:0", "rain:1", "rain:2"]
    one = read_tasks("0", [str(tmp_path / "fog")])
    assert names(one) == ["fog:1", "fog:2"]


def test_a_class_of_two_is_the_whole_question(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.eye(6), y=np.array(["no", "yes"] * 3))
    np.savez(tmp_path / "b.npz", X=np.eye(6), y=np.array(["no", "yes"] * 3))
    files = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    tasks = read_tasks("b", files)
    assert names(tasks) == ["a"]
    np.testing.assert_array_equal(tasks.answers(tasks.target, np.arange(2)), [0, 1])
    # The other class asks the same: that source would give every answer away.
    turned = read_tasks(f"{files[1]}:no", files)
    assert names(turned) == ["a"]
    assert turned.left_out == ("b: it asks what the target asks",)
    np.testing.assert_array_equal(turned.answers(turned.target, np.arange(2)), [1, 0])


def test_names_that_end_alike(tmp_path: Path) -> None:
    tasks = read_tasks("digits:3", ["digits"]).sources
    assert named(tasks, "4") is tasks[3]
    assert named(tasks, "eleven") is None
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", X=np.eye(9), y=np.arange(9) % 3)
    with pytest.raises(BadInput, match="'a:1' or 'b:1'"):
        read_tasks("1", [str(tmp_path)])


def test_fewer_features() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(50, 8)) * np.arange(1, 9) + 3).astype(np.float32)
    fitted = np.arange(40)
    few = reduced(rows, fitted, 3)
    assert few.shape == (50, 3)
    np.testing.assert_allclose(few[fitted].mean(axis=0), 0, atol=1e-9)
    assert float((few[fitted] ** 2).mean()) == pytest.approx(1.0)
    whole = reduced(rows, fitted, 8)
    _, _, right = np.linalg.svd(whole[fitted], full_matrices=False)
    along = whole @ right[:3].T
    np.testing.assert_allclose(np.abs(few / few[0]), np.abs(along / along[0]), rtol=1e-6)
    moved = rows.copy()
    moved[45:] += 100  # rows that are held out decide nothing
    np.testing.assert_allclose(reduced(moved, fitted, 3)[fitted], few[fitted])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda p: read_tasks("digits:3", []), "no source tasks"),
        (lambda p: read_tasks("digits:33", ["digits"]), "did you mean 'digits:3'"),
        (lambda p: read_tasks("nothing", ["digits"]), "no data set and no file called"),
        (lambda p: read_tasks("digits:3", ["digits:3"]), "no source task beside"),
        (lambda p: read_tasks("digits", ["yeast"]), "has 10 tasks"),
        (lambda p: read_tasks("digits:3", ["digits:x"]), "has no task 'x'"),
        (lambda p: read_tasks("Oslo", [str(p)], Reading(task_column="shp")), "task_column"),
        (lambda p: read_tasks("Oslo", [str(p)], Reading(value_column="colour")), "numbers only"),
        (lambda p: read_tasks("Oslo", [str(p)], Reading(value_column="price", label_column="a")),
         "classes with label_column"),
        (lambda p: read_tasks("Oslo", [str(p)], Reading(task_column="shop", columns=("shop",))),
         "task_column and columns"),
        (lambda p: read_tasks("Oslo", [str(p)], Reading(task_column="shop")), "no item has a"),
        (lambda p: read_tasks("x", [str(p.parent)], Reading(value_column="price",
                                                            task_column="shop")), "no task"),
        (lambda p: read_tasks("digits:3", ["hf:some/set"], Reading(value_column="price")),
         "is no CSV"),
        (lambda p: encode(read_tasks("digits:3", ["yeast", "digits"])), "of shape"),
        (lambda p: encode(read_tasks("digits:3", ["mnist-5k", "digits"])), "image items"),
        (lambda p: reduced(np.eye(3, dtype=np.float32), np.arange(3), 0), "components"),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[Path], Any], match: str, shops: Path) -> None:
    with pytest.raises(BadInput, match=match):
        call(shops)
