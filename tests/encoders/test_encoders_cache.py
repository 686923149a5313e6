"""The feature cache: nothing twice, damage named, kills and crowds survived."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain.assets import cache_dir
from labeltrain.data import Dataset, Modality
from labeltrain.encoders import Encoder, features, make
from labeltrain.encoders.cache import CHUNK
from labeltrain.errors import BadInput, BrokenContract, StoreUnwritable

N = 3 * CHUNK - 100


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))


class Lengths(Encoder):
    """Counts letters, and how often it is asked."""

    name = "lengths"
    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.encoded = 0

    def fingerprint(self) -> dict[str, str | int | float]:
        return {"encoder": "lengths", "version": self.version}

    @property
    def dimension(self) -> int | None:
        return 2

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        self.encoded += len(items)
        return np.array([[len(item), self.version] for item in items], dtype=np.float32)


def texts(n: int = N, prefix: str = "x") -> Dataset:
    items = [prefix * (i % 7 + 1) + str(i) for i in range(n)]
    return Dataset(name="made", modality="text", items=items, ids=tuple(f"i{i}" for i in range(n)))


def chunks(suffix: str = "npy") -> list[Path]:
    return sorted((cache_dir() / "features").rglob(f"*.{suffix}"))


def test_a_second_run_encodes_nothing() -> None:
    encoder = Lengths()
    first = features(texts(), encoder)
    assert encoder.encoded == N
    assert not first.from_cache
    second = features(texts(), encoder)
    third = features(texts(), Lengths())
    assert encoder.encoded == N
    assert second.from_cache
    assert third.from_cache
    assert first.key == second.key == third.key
    assert first.array.dtype == np.float32
    for one in (first, second, third):
        assert np.array_equal(one.array, Lengths().encode(texts().items))
    assert len(chunks()) == len(chunks("sha256")) == 3


def test_content_and_encoder_decide_what_is_encoded_again() -> None:
    encoder = Lengths()
    first = features(texts(), encoder)
    longer = features(texts(N + CHUNK), encoder)
    # The two full chunks are known; the last one has grown.
    assert encoder.encoded == N + (N + CHUNK - 2 * CHUNK)
    assert longer.key != first.key
    other = Lengths(version=2)
    assert features(texts(), other).array[0, 1] == 2
    assert other.encoded == N


def test_positions_in_any_order() -> None:
    positions = np.array([5, 3, 700])
    array = features(texts(), Lengths(), positions=positions).array
    assert np.array_equal(array, Lengths().encode(texts().items)[positions])
    with pytest.raises(BadInput, match="no items"):
        features(texts(), Lengths(), positions=np.array([], dtype=np.int64))


def test_progress_is_told() -> None:
    calls: list[tuple[int, int]] = []
    features(texts(), Lengths(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, N), (CHUNK, N), (2 * CHUNK, N), (N, N)]


def test_image_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    data = Dataset(name="made", modality="image", items=[str(path)], ids=("a",))
    encoder = Lengths()
    keys = [features(data, encoder).key]
    path.write_bytes(b"two")
    keys.append(features(data, encoder).key)
    assert encoder.encoded == 2
    assert keys[0] != keys[1]
    path.unlink()
    with pytest.raises(BadInput, match=r"the image .*a\.png of item 'a' cannot be read"):
        features(data, encoder)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "no checksum", "wrong checksum"])
def test_a_damaged_chunk_is_named_and_encoded_again(damage: str) -> None:
    encoder = Lengths()
    wanted = features(texts(), encoder).array
    path = chunks()[1]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-8])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "no checksum":
        path.with_suffix(".sha256").unlink()
    else:
        path.with_suffix(".sha256").write_text("0" * 64)
    with pytest.warns(UserWarning, match=rf"{path.name} is encoded again"):
        again = features(texts(), encoder)
    assert np.array_equal(again.array, wanted)
    assert not again.from_cache
    assert N < encoder.encoded <= N + CHUNK
    assert features(texts(), encoder).from_cache


class DiesInSecondChunk(Lengths):
    def encode(self, items: Sequence[Any]) -> np.ndarray:
        if self.encoded:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(items)


def test_a_killed_run_goes_on_where_it_was() -> None:
    process = multiprocessing.get_context("fork").Process(
        target=features, args=(texts(), DiesInSecondChunk())
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(chunks()) == 1
    encoder = Lengths()
    assert np.array_equal(features(texts(), encoder).array, Lengths().encode(texts().items))
    assert encoder.encoded == N - CHUNK


def _fill(queue: multiprocessing.Queue[Any]) -> None:
    queue.put(features(texts(), Lengths()).array)


def test_two_processes_fill_one_cache() -> None:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[Any] = context.Queue()
    workers = [context.Process(target=_fill, args=(queue,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    wanted = Lengths().encode(texts().items)
    for _ in workers:
        assert np.array_equal(queue.get(timeout=60), wanted)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert features(texts(), Lengths()).from_cache
    assert not list(cache_dir().rglob(".writing-*"))


def test_an_unwritable_cache_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreUnwritable, match="LABELTRAIN_CACHE"):
        features(texts(), Lengths())


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_cache_is_said(tmp_path: Path) -> None:
    cache_dir().mkdir()
    cache_dir().chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreUnwritable, match="LABELTRAIN_CACHE"):
        features(texts(), Lengths())


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnwritable, match="No space left on device"):
        features(texts(), Lengths())
    assert not chunks()
    assert not list(cache_dir().rglob(".writing-*"))


class Broken(Lengths):
    def __init__(self, result: np.ndarray) -> None:
        super().__init__()
        self.result = result

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        return self.result


def test_features_that_are_not_finite_are_named_and_not_kept() -> None:
    array = np.ones((4, 2), dtype=np.float32)
    array[2, 1] = np.nan
    with pytest.raises(BadInput, match="NaN or infinity for the items 'i2'"):
        features(texts(4), Broken(array))
    assert not chunks()


@pytest.mark.parametrize("array", [np.ones((3, 2), np.float32), np.ones((4, 2)), np.ones(4)])
def test_an_encoder_that_breaks_its_contract(array: np.ndarray) -> None:
    with pytest.raises(BrokenContract, match="'lengths' returned"):
        features(texts(4), Broken(array))


def test_a_wrong_modality_is_refused_before_any_work() -> None:
    with pytest.raises(BadInput, match=r"'raw' reads .* holds text items") as caught:
        features(texts(), make("raw"))
    assert "minilm" in caught.value.remedy
