"""Arrays that took long to make, kept in the cache with a checksum beside each."""

from __future__ import annotations

import io
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np

from labeltrain.assets.files import write_atomically


def read_array(path: Path, like: str) -> np.ndarray | None:
    """Return a kept array; None if there is none, or a damaged one, which a warning names.

    Parameters
    ----------
    path : Path
        Its name ends with ``.npy``.
    like : str
        What happens to a damaged one, for the warning: "encoded again".

    Returns
    -------
    ndarray or None
    """
    try:
        content = path.read_bytes()
        expected = path.with_suffix(".sha256").read_bytes()
    except FileNotFoundError as error:
        if Path(str(error.filename)) != path:
            warn_of(path, "its checksum is missing", like)
        return None
    except NotADirectoryError:  # writing will say so
        return None
    except OSError as error:
        warn_of(path, str(error), like)
        return None
    if sha256(content).hexdigest().encode() != expected:
        warn_of(path, "it does not match its checksum", like)
        return None
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def write_array(path: Path, array: np.ndarray) -> None:
    """Keep an array; one whose writing was interrupted is as if there was none.

    Raises
    ------
    StoreUnwritable
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    content = buffer.getvalue()
    write_atomically(path, content)
    # The checksum comes last: an array without one was interrupted.
    write_atomically(path.with_suffix(".sha256"), sha256(content).hexdigest().encode())


def warn_of(path: Path, problem: str, like: str) -> None:
    """Say that a kept array is of no use."""
    warnings.warn(f"{path} is {like}: {problem}", stacklevel=5)
