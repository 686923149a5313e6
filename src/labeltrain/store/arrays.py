"""Named arrays in one file, addressed by content, loaded without pickle."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.errors import StoreDamaged, StoreMissing
from labeltrain.store.files import replace_bytes

FACTS = "__facts__"


def to_bytes(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> bytes:
    """Return an uncompressed `.npz` of the arrays and, as JSON bytes, the facts."""
    text = json.dumps(dict(facts), sort_keys=True).encode()
    buffer = io.BytesIO()
    held = {**arrays, FACTS: np.frombuffer(text, dtype=np.uint8)}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(held):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asarray(held[name]), allow_pickle=False)
            # A fixed date: equal arrays make equal bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
    return buffer.getvalue()


def from_bytes(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and facts of :func:`to_bytes`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    facts = json.loads(arrays.pop(FACTS).tobytes().decode())
    return arrays, facts


def save(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> str:
    """Write arrays under the name of their content and return that name."""
    data = to_bytes(arrays, facts)
    name = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}.npz"
    if not path.exists():
        replace_bytes(path, data)
    return name


def ours(folder: Path) -> list[Path]:
    """Return the files that :func:`save` wrote, by their names; others are somebody else's."""
    return sorted(p for p in folder.glob("*.npz") if re.fullmatch(r"[0-9a-f]{64}", p.stem))


def load(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`save` wrote.

    Raises
    ------
    StoreMissing
        When there is no such file.
    StoreDamaged
        When its content is not what its name says.
    """
    path = folder / f"{name}.npz"
    remedy = f"run: labeltrain repair {folder.parent}"
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreMissing(f"{path} is missing", remedy) from error
    except OSError as error:
        raise StoreDamaged(f"cannot read {path}: {error.strerror}", remedy) from error
    if hashlib.sha256(data).hexdigest() != name:
        raise StoreDamaged(f"{path} is damaged: its content does not match its name", remedy)
    return from_bytes(data)
