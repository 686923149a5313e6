"""Writing files so that a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from labeltrain.errors import StoreUnwritable


def replace_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` in one step.

    Parameters
    ----------
    path : Path
    data : bytes
    durable : bool
        Also survive a loss of power (flush file and directory).

    Raises
    ------
    StoreUnwritable
        Full disk, read-only directory, no permission.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile: its files are private, and these are the user's to share.
        temporary = path.parent / f".part-{secrets.token_hex(8)}"
        with temporary.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        if durable:
            flush_directory(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def flush_directory(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_FULL = "free some disk space, and run the same command again"
_REMEDIES = {
    errno.EFBIG: _FULL,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is a file",
}


def unwritable(path: Path, error: OSError) -> StoreUnwritable:
    """Build the error for a file that cannot be written."""
    return StoreUnwritable(
        f"cannot write {path}: {error.strerror or error}",
        _REMEDIES.get(error.errno or 0, "make its directory writable"),
    )
