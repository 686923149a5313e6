"""The cache folder, checksums, and writes that are never seen half done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from labeltrain.errors import StoreUnwritable
from labeltrain.store.files import replace_bytes


def cache_dir() -> Path:
    """Return the folder where assets and features are kept; it need not exist yet.

    ``LABELTRAIN_CACHE`` if set, else ``XDG_CACHE_HOME/labeltrain``, else ``~/.cache/labeltrain``.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> from labeltrain.assets import cache_dir
    >>> cache_dir().is_absolute()
    True
    """
    own = os.environ.get("LABELTRAIN_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    base = Path(shared).expanduser() if shared else Path.home() / ".cache"
    return (base / "labeltrain").absolute()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_listing(checksums: Iterable[tuple[str, str]]) -> str:
    """Return one checksum for a folder: the sha256 of its sorted ``name sha256`` lines."""
    lines = sorted(f"{name} {checksum}\n" for name, checksum in checksums)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that other processes, and a kill at any moment, see all of it or nothing.

    Parameters
    ----------
    path : pathlib.Path
        Missing folders are made.
    content : bytes

    Raises
    ------
    StoreUnwritable
        The disk is full, or the folder cannot be written.
    """
    try:
        replace_bytes(path, content)
    except StoreUnwritable as error:
        raise StoreUnwritable(
            error.problem.replace("cannot write", "cannot write the cache file"),
            "free some space or permissions, or set LABELTRAIN_CACHE to a writable folder",
        ) from error
