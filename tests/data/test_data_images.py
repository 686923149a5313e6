"""Folders of images, and reading one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labeltrain.data import load, read_image
from labeltrain.errors import BadInput


def picture(path: Path, mode: str = "RGB", colour: object = 100, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size), colour).save(path)  # type: ignore[arg-type]


def test_a_subfolder_per_class(tmp_path: Path) -> None:
    for name in ("cat/b.png", "cat/a.JPG", "dog/deep/a.png"):
        picture(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / ".hidden").mkdir()
    picture(tmp_path / ".hidden" / "x.png")
    data = load(tmp_path)
    assert data.ids == ("cat/a.JPG", "cat/b.png", "dog/deep/a.png")
    assert data.items[1] == str(tmp_path / "cat" / "b.png")
    assert data.classes == ("cat", "dog")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1]
    assert data.facts["left out"] == "1 files that are no images"


def test_tables_beside_images_change_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    assert load(tmp_path).ids == ("cat/a.png",)


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    data = load(tmp_path)
    assert (data.kind, data.labels, data.ids) == ("none", None, ("a.png",))


def test_train_and_test_are_the_own_split(tmp_path: Path) -> None:
    for name in ("train/x/1.png", "train/y/2.png", "test/x/3.png"):
        picture(tmp_path / name)
    data = load(tmp_path)
    assert data.ids == ("train/x/1.png", "train/y/2.png", "test/x/3.png")
    assert data.classes == ("x", "y")
    assert data.test is not None
    assert data.test.tolist() == [2]


def test_images_beside_subfolders_are_ambiguous(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "x" / "b.png")
    with pytest.raises(BadInput, match=r"images beside subfolders \('a\.png'"):
        load(tmp_path)


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(BadInput, match="holds no images"):
        load(tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"2 image files cannot be read: .*bad.png.*empty.png"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_truncated_image_is_named_when_it_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(load(tmp_path)) == 1  # the header is sound
    with pytest.raises(BadInput, match=rf"image .*cut.{suffix} cannot be read"):
        read_image(path)


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    half = np.zeros((2, 2, 4), dtype=np.uint8)
    half[0, :, 3] = 255
    half[1, 0, 3] = 128
    Image.fromarray(half).save(tmp_path / "a.png")
    pixels = np.asarray(read_image(tmp_path / "a.png"))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[1, 0].tolist() == [127, 127, 127]
    assert pixels[1, 1].tolist() == [255, 255, 255]


def test_palette_with_transparency_and_grey(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    image.save(tmp_path / "p.png", transparency=0)
    assert np.asarray(read_image(tmp_path / "p.png")).min() == 255
    picture(tmp_path / "g.png", "L", 77)
    assert np.unique(np.asarray(read_image(tmp_path / "g.png"))).tolist() == [77]
    deep = np.full((3, 3), 0x8000, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "d.png")
    assert np.unique(np.asarray(read_image(tmp_path / "d.png"))).tolist() == [128]


def test_arrays_and_a_rotated_photo(tmp_path: Path) -> None:
    assert read_image(np.zeros((4, 6), dtype=np.uint8)).size == (6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "r.jpg", exif=exif)
    assert read_image(tmp_path / "r.jpg").size == (4, 6)


def test_an_image_of_pil(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "r.jpg", exif=exif)
    with Image.open(tmp_path / "r.jpg") as opened:
        assert read_image(opened).size == (4, 6)
        assert opened.load() is not None  # it is the caller's, and still open
    assert np.asarray(read_image(Image.new("LA", (2, 2), (0, 0)))).min() == 255


@pytest.mark.parametrize("item", [None, 3, b"x"])
def test_what_is_no_image_is_named(item: Any) -> None:
    with pytest.raises(BadInput, match=rf"given as {type(item).__name__}\n.*PIL image"):
        read_image(item)


def test_class_folders_are_ignored_if_wanted(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/a.png", "b.png"):
        picture(tmp_path / name)
    with pytest.raises(BadInput, match="ignore the classes with label_column ''"):
        load(tmp_path)
    data = load(tmp_path, label_column="")
    assert (data.kind, data.classes, data.labels) == ("none", (), None)
    assert data.ids == ("b.png", "cat/a.png", "dog/a.png")
    with pytest.raises(BadInput, match=r"has no columns\n.*or ignore the subfolders with label_"):
        load(tmp_path, label_column="kind")


def test_a_missing_image(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone.png cannot be read"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 257], [65535, 32768]], dtype=np.uint16), [[0, 1], [255, 128]]),
        (np.array([[0, 257], [65535, 32768]], dtype=np.int32), [[0, 1], [255, 128]]),
        (np.array([[0, 7], [200, 255]], dtype=np.int32), [[0, 7], [200, 255]]),
        (np.array([[0, 0.5], [1, 0.2]], dtype=np.float32), [[0, 128], [255, 51]]),
        (np.array([[0, 0.4], [255, 20]], dtype=np.float32), [[0, 0], [255, 20]]),
    ],
)
def test_deep_grey_is_rescaled(
    tmp_path: Path, pixels: np.ndarray, expected: list[list[int]]
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    assert np.asarray(read_image(tmp_path / "a.tif"))[..., 0].tolist() == expected


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.array([[-1, 5]], dtype=np.int32), "from -1 to 5"),
        (np.array([[0, 70000]], dtype=np.int32), "from 0 to 70000"),
        (np.array([[0, 300]], dtype=np.float32), "from 0 to 300.*\n.*0 to 1 or 0 to 255"),
        (np.array([[0, np.nan]], dtype=np.float32), "from nan to nan"),
    ],
)
def test_grey_of_no_known_range_is_refused(
    tmp_path: Path, pixels: np.ndarray, message: str
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(BadInput, match=rf"a\.tif holds grey values {message}"):
        read_image(tmp_path / "a.tif")


def test_print_colours_are_read(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", "CMYK", (0, 0, 0, 0))
    assert np.asarray(read_image(tmp_path / "a.jpg")).min() >= 250


def test_linked_and_empty_folders(tmp_path: Path) -> None:
    top = tmp_path / "top"
    picture(top / "dog" / "a.png")
    picture(top / ".store" / "eel" / "b.png")
    picture(tmp_path / "elsewhere" / "c.png")
    (top / "cat").symlink_to(tmp_path / "elsewhere")
    (top / "eel").symlink_to(top / ".store" / "eel")
    (top / "another").symlink_to(top / "dog")
    (top / "dog" / "circle").symlink_to(top)
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    (top / "none" / "deeper").mkdir(parents=True)
    data = load(top)
    assert data.ids == ("cat/c.png", "dog/a.png", "eel/b.png")
    assert data.classes == ("cat", "dog", "eel")
    assert data.facts["left out"] == (
        "folders without images: 'none'; links to folders that are read already: "
        "'another', 'cat/self', 'cat/up', 'dog/circle'"
    )


@pytest.mark.parametrize("name", [b"a\xff.png", b"cl\xff/a.png"])
def test_names_that_are_not_utf8_are_refused(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    try:
        picture(path)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(BadInput, match=r"cannot be written as UTF-8.*\n.*rename") as caught:
        load(tmp_path)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    "pixels",
    [
        np.ones((4, 4), np.float32),
        np.ones((4, 4, 3)),
        np.ones((4, 4), np.uint16),
        np.ones(5, np.uint8),
        np.ones((3, 8, 8), np.uint8),
        np.ones((0, 4), np.uint8),
    ],
)
def test_pixels_of_another_type_or_shape_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"uint8 from 0 to 255, of shape \(H, W\)"):
        read_image(pixels)


def test_one_channel_is_grey() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert np.array_equal(np.asarray(read_image(grey))[..., 1], grey[..., 0])
