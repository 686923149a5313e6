"""The encoders that ship, with their real weights (fetched once into the user's cache)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from labeltrain.assets import ASSETS, fetch, sha256_of
from labeltrain.data import load, read_image
from labeltrain.encoders import Encoder, features, make
from labeltrain.encoders.efficientnet import load_weights
from labeltrain.errors import BadInput

# As the authors of the model publish them for these two sentences.
SENTENCES = ["This is an example sentence", "Each sentence is converted"]
GOLDEN_TEXT = [
    [0.06766, 0.06350, 0.04871, 0.07930, 0.03745, 0.00265],
    [0.08644, 0.10276, 0.00539, 0.00204, -0.00996, 0.02539],
]
# Found with the reference implementation of the published weights too.
GOLDEN_AT = [66, 113, 1199, 653, 1126, 403, 782, 140]
GOLDEN_IMAGE = [5.3549, 5.1647, 5.082, 4.9363, 4.8877, 4.8184, 4.7728, 4.7126]
GOLDEN_MEAN = 0.256252


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return make("minilm")


@pytest.fixture(scope="module")
def lite() -> Encoder:
    return make("efficientnet-lite0")


def synthetic(side: int = 128) -> np.ndarray:
    """A picture of waves: the same bytes on every machine."""
    y, x = np.mgrid[0:side, 0:side]
    waves = [(x * 3 + y) % 256, (x * y // 16) % 256, ((x - y) ** 2 // 64) % 256]
    return np.stack(waves, axis=-1).astype(np.uint8)


def test_minilm_knows_meaning(minilm: Encoder) -> None:
    texts = [
        "A man is eating food.",
        "Somebody is having a meal.",
        "The stock market fell sharply on Monday.",
    ]
    array = minilm.encode(texts)
    assert (array.shape, array.dtype, minilm.dimension) == ((3, 384), np.float32, 384)
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-5)
    similar = array @ array.T
    assert similar[0, 1] > 0.5
    assert similar[0, 2] < 0.2


def test_minilm_golden_values(minilm: Encoder) -> None:
    array = minilm.encode([*SENTENCES, "word " * 1000])
    np.testing.assert_allclose(array[:2, :6], GOLDEN_TEXT, atol=1e-4)
    assert minilm.fingerprint()["max_length"] == 128
    assert make("minilm", max_length=999).fingerprint()["max_length"] == 256


def test_minilm_rows_do_not_depend_on_their_neighbours(minilm: Encoder) -> None:
    texts = list(load("reuters-r8").items[:24])
    together = minilm.encode(texts)
    np.testing.assert_allclose(together[::-1], minilm.encode(texts[::-1]), atol=1e-5)
    np.testing.assert_allclose(together[5], minilm.encode(texts[5:6])[0], atol=1e-5)


def test_lite_golden_values(lite: Encoder) -> None:
    array = lite.encode(synthetic()[None])  # type: ignore[arg-type]
    assert (array.shape, array.dtype, lite.dimension) == ((1, 1280), np.float32, 1280)
    np.testing.assert_allclose(array[0, GOLDEN_AT], GOLDEN_IMAGE, atol=1e-3)
    assert array.mean() == pytest.approx(GOLDEN_MEAN, abs=1e-4)


def test_lite_size_is_in_the_fingerprint(lite: Encoder) -> None:
    other = make("efficientnet-lite0", size=224)
    assert other.fingerprint() != lite.fingerprint()
    assert other.encode(synthetic()[None]).shape == (1, 1280)  # type: ignore[arg-type]


def test_lite_reads_grey_arrays_files_and_transparency(lite: Encoder, tmp_path: Path) -> None:
    mnist = load("mnist-5k")
    grey = np.asarray(mnist.items[:2])
    array = lite.encode(grey)  # type: ignore[arg-type]
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_allclose(array, lite.encode(rgb), atol=1e-5)  # type: ignore[arg-type]
    emoji = load("emoji")
    direct = lite.encode(emoji.items[:3])
    for item, row in zip(emoji.items[:3], direct, strict=True):
        read_image(item).save(tmp_path / "white.png")
        np.testing.assert_allclose(lite.encode([tmp_path / "white.png"])[0], row, atol=1e-4)


def test_lite_rows_do_not_depend_on_their_neighbours(lite: Encoder) -> None:
    images = np.asarray(load("mnist-5k").items[:40])
    together = lite.encode(images)  # type: ignore[arg-type]
    np.testing.assert_allclose(together[39], lite.encode(images[39:])[0], atol=1e-4)  # type: ignore[arg-type]


def test_the_pickle_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fetch("efficientnet-lite0") / "weights.pth"
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path))
    folder = ASSETS["efficientnet-lite0"].directory
    folder.mkdir(parents=True)
    shutil.copy(source, folder)
    first = load_weights()
    converted = folder / "weights.safetensors"
    checksum = sha256_of(converted)
    (folder / "weights.pth").unlink()
    monkeypatch.setattr("torch.load", lambda *_a, **_k: pytest.fail("the pickle is read again"))
    assert set(load_weights()) == set(first)
    monkeypatch.undo()

    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path))
    shutil.copy(source, folder)
    converted.write_bytes(converted.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"weights\.safetensors does not match"):
        load_weights()
    assert sha256_of(converted) == checksum


def test_a_small_real_run_is_cached(
    lite: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load("mnist-5k")
    lite.encode(data.items[:1])
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path))
    first = features(data, lite, positions=np.arange(20))
    second = features(data, lite, positions=np.arange(20))
    assert not first.from_cache
    assert second.from_cache
    assert np.array_equal(first.array, second.array)


def test_no_torchvision() -> None:
    """It breaks other libraries beside this build of torch, so nothing may bring it in."""
    import importlib.util

    assert importlib.util.find_spec("torchvision") is None


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("minilm", "hello", "was given str, not a list of texts"),
        ("minilm", ["hello", None], "item 1 is NoneType, not a text"),
        ("efficientnet-lite0", Path("a.png"), "not a list of images"),
    ],
)
def test_what_is_no_list_of_items_is_refused(name: str, given: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make(name).encode(given)  # type: ignore[arg-type]
