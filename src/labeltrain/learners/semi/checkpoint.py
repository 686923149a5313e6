"""The state of a training in a file: a killed one goes on, to the same result."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from labeltrain.store.arrays import from_bytes, to_bytes
from labeltrain.store.files import replace_bytes

SECONDS = 30.0  # between two writes: a kill costs so much work at most, and a tenth of the training


class Checkpoint:
    """A file with the state of one training.

    Arrays and JSON only, nothing is unpickled, with a checksum. A file that is torn, or of another
    training, is passed over with a warning and the training begins again: its result is the same.

    Parameters
    ----------
    path : pathlib.Path
    about : str
        Names the training: the same for calls with the same arguments, and for no others.
    seconds : float
        Between two writes.
    """

    def __init__(self, path: Path, about: str, *, seconds: float = SECONDS) -> None:
        self.path = path
        self.about = about
        self._seconds = seconds
        self._written = time.monotonic()
        self._kept: tuple[dict[str, np.ndarray], dict[str, Any], Mapping[str, Any]] | None = None

    def keep(self, held: Mapping[str, Any], rng: np.random.Generator, facts: Any) -> None:
        """Take a state; write it unless another was written a moment ago."""
        import torch

        arrays: dict[str, np.ndarray] = {"torch": torch.get_rng_state().numpy().copy()}
        if torch.cuda.is_available():
            arrays["cuda"] = torch.cuda.get_rng_state().numpy().copy()
        about = {"about": self.about, "numpy": rng.bit_generator.state, "facts": facts}
        self._kept = (arrays, about, held)
        if time.monotonic() - self._written >= self._seconds:
            self.write()

    def write(self) -> None:
        """Write the state taken last, as when the training is interrupted."""
        if self._kept is None:
            return
        arrays, about, held = self._kept
        whole = dict(arrays)
        kept = {**about, "held": _flat(_plain(held), "held", whole)}
        data = to_bytes(whole, kept)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(self.path, hashlib.sha256(data).digest() + data)
        self._kept, self._written = None, time.monotonic()

    def load(
        self, like: Mapping[str, Any], rng: np.random.Generator, device: Any
    ) -> tuple[dict[str, Any], Any] | None:
        """Return the state and the facts kept last, and set the generators; None without them."""
        import torch

        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            if hashlib.sha256(data[32:]).digest() != data[:32]:
                raise ValueError("the checksum does not match")
            arrays, kept = from_bytes(data[32:])
            about, facts, numbers = kept["about"], kept["facts"], kept["numpy"]
            held = _filled(kept["held"], arrays, device) if about == self.about else None
        except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile) as error:
            warnings.warn(
                f"{self.path} is damaged ({error}): the training begins again", stacklevel=3
            )
            return None
        if held is None:
            warnings.warn(
                f"{self.path} is of another training: this one begins anew, and replaces it",
                stacklevel=3,
            )
            return None
        rng.bit_generator.state = numbers
        torch.set_rng_state(torch.from_numpy(arrays["torch"].copy()))
        if "cuda" in arrays and torch.cuda.is_available():
            torch.cuda.set_rng_state(torch.from_numpy(arrays["cuda"].copy()))
        return _like(held, like), facts

    def delete(self) -> None:
        """Remove the file: the training is done and its model is kept."""
        self.path.unlink(missing_ok=True)


def name_of(facts: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """Return a name for a training: a hash of what decides it."""
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True, default=str).encode())
    for array in arrays:
        digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _plain(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with the method's own as a mapping of its attributes."""
    plain = dict(held)
    if held["weighting"] is not None:
        plain["weighting"] = dict(vars(held["weighting"]))
    return plain


def _flat(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return a JSON value in which arrays stand by their names; put them into `arrays`."""
    import torch

    if isinstance(value, torch.Tensor):
        arrays[name] = value.detach().cpu().numpy()
        # The layout decides the last bits of sums over the tensor.
        return {"tensor": name, "stride": list(value.stride())}
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        rows = [[key, _flat(part, f"{name}.{key}", arrays)] for key, part in value.items()]
        return {"mapping": rows}
    if isinstance(value, list | tuple):
        rows = [_flat(part, f"{name}.{number}", arrays) for number, part in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": rows}
    return {"value": value}


def _filled(value: Any, arrays: Mapping[str, np.ndarray], device: Any) -> Any:
    """Undo :func:`_flat`."""
    import torch

    if "tensor" in value:
        found = torch.from_numpy(arrays[value["tensor"]].copy())
        made = torch.empty_strided(found.shape, value["stride"], dtype=found.dtype, device=device)
        return made.copy_(found)
    if "array" in value:
        return arrays[value["array"]]
    if "mapping" in value:
        return {key: _filled(part, arrays, device) for key, part in value["mapping"]}
    if "list" in value:
        return [_filled(part, arrays, device) for part in value["list"]]
    if "tuple" in value:
        return tuple(_filled(part, arrays, device) for part in value["tuple"])
    return value["value"]


def _like(held: dict[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with the method's attributes put back into a copy of the method."""
    import copy

    if like["weighting"] is not None:
        method = copy.deepcopy(like["weighting"])
        vars(method).update(held["weighting"])
        held["weighting"] = method
    return held
