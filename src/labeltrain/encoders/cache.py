"""Features of a data set, encoded once and kept in content-addressed chunks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from labeltrain.assets import cache_dir, read_array, warn_of, write_array
from labeltrain.data import Dataset, take
from labeltrain.data.checks import some
from labeltrain.encoders.base import Encoder, check_modality
from labeltrain.encoders.joined import JoinedEncoder
from labeltrain.encoders.registry import fitting
from labeltrain.errors import BadInput, BrokenContract

CHUNK = 512
AGAIN = "encoded again"


@dataclass(frozen=True)
class Features:
    """Features and what they cost.

    Attributes
    ----------
    array : ndarray of float32, shape (n, d)
    seconds : float
        Spent by this call.
    from_cache : bool
        Nothing had to be encoded.
    fresh : float
        Share of what can be cached that had to be encoded: 1 when the cache was empty.
    always : float
        Seconds, of `seconds`, spent on what is never cached.
    key : str
        Names the encoder and the content of the items: same key, same features.
    """

    array: np.ndarray
    seconds: float
    from_cache: bool
    key: str
    fresh: float = 0.0
    always: float = 0.0


def features(
    dataset: Dataset,
    encoder: Encoder,
    *,
    positions: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Encode a data set's items, reading from the cache what has been encoded before.

    Chunks of 512 items are named by the encoder's fingerprint and the content of their items, and
    each is written as soon as it is encoded: a run that is killed goes on where it was, and
    several processes may fill the cache at once. Encoders of whole data sets are not cached, but
    for those parts of a joined one that encode items one by one.

    Parameters
    ----------
    dataset : Dataset
    encoder : Encoder
    positions : ndarray of int64, optional
        Return only these items, in this order. The features of an item are the same as without:
        an encoder of whole data sets still sees all items.
    progress : callable, optional
        Called with the number of items done and their total.

    Returns
    -------
    Features

    Raises
    ------
    BadInput
        The encoder cannot read such items, an item cannot be read, or features are not finite.
    StoreUnwritable
        The cache cannot be written.

    Examples
    --------
    >>> from labeltrain.data import load
    >>> from labeltrain.encoders import features, make
    >>> features(load("digits"), make("raw")).array.shape
    (1797, 64)
    """
    started = time.perf_counter()
    check_modality(encoder, dataset, fitting(dataset.modality))
    chosen = np.arange(len(dataset)) if positions is None else np.asarray(positions)
    ids = [dataset.ids[i] for i in chosen.tolist()]
    if not ids:
        raise BadInput("there are no items to encode", "give at least one position")
    if isinstance(encoder, JoinedEncoder):
        return _side_by_side(dataset, encoder, positions, progress)
    identity = json.dumps(encoder.fingerprint(), sort_keys=True)
    if encoder.whole:
        array = _checked(encoder, dataset.items, list(dataset.ids))[chosen]
        if progress:
            progress(len(ids), len(ids))
        seconds = time.perf_counter() - started
        return Features(array, seconds, False, _key(identity, [array.tobytes()]), 1.0, seconds)
    parts, keys, encoded = [], [], 0
    if progress:
        progress(0, len(ids))
    for start in range(0, len(ids), CHUNK):
        items = take(dataset.items, chosen[start : start + CHUNK])
        key = _key(identity, _contents(dataset, items, ids[start : start + CHUNK]))
        path = cache_dir() / "features" / key[:2] / f"{key}.npy"
        part = _read(path, len(items)) if encoder.cached else None
        if part is None:
            part = _checked(encoder, items, ids[start : start + CHUNK])
            if encoder.cached:
                write_array(path, part)
            encoded += len(items)
        parts.append(part)
        keys.append(key)
        if progress:
            progress(start + len(items), len(ids))
    array = np.concatenate(parts)
    whole_key = sha256("".join(keys).encode()).hexdigest()
    seconds, fresh = time.perf_counter() - started, encoded / len(ids)
    always = 0.0 if encoder.cached else seconds
    return Features(array, seconds, encoded == 0, whole_key, fresh, always)


def identity(dataset: Dataset, encoder: Encoder) -> str:
    """Return a name of the encoder and the content of all items, without encoding them."""
    told = json.dumps(encoder.fingerprint(), sort_keys=True)
    return _key(told, _contents(dataset, dataset.items, list(dataset.ids)))


def _side_by_side(
    dataset: Dataset,
    encoder: JoinedEncoder,
    positions: np.ndarray | None,
    progress: Callable[[int, int], None] | None,
) -> Features:
    """Return joined features, each part through its own cache."""
    made = [
        features(dataset, part, positions=positions, progress=None if part.whole else progress)
        for part in encoder.parts
    ]
    kept = [m.fresh for m, part in zip(made, encoder.parts, strict=True) if _kept(part)]
    return Features(
        encoder.joined([part.array for part in made]),
        sum(part.seconds for part in made),
        all(part.from_cache for part in made),
        _key("joined", [part.key.encode() for part in made]),
        float(np.mean(kept)) if kept else 1.0,
        sum(part.always for part in made),
    )


def _kept(encoder: Encoder) -> bool:
    """Tell whether features of this encoder are cached."""
    return encoder.cached and not encoder.whole


def _key(identity: str, contents: Sequence[bytes]) -> str:
    """Return the sha256 of an encoder's identity and the content of items."""
    total = sha256(identity.encode())
    for content in contents:
        total.update(sha256(content).digest())
    return total.hexdigest()


def _contents(dataset: Dataset, items: Sequence[Any], ids: list[str]) -> list[bytes]:
    """Return what identifies each item: its text, the bytes of its file, or its array."""
    if isinstance(items, np.ndarray) or (len(items) and isinstance(items[0], np.ndarray)):
        return [f"{item.dtype.str}{item.shape}".encode() + item.tobytes() for item in items]
    if dataset.modality == "text":
        return [item.encode("utf-8", "surrogatepass") for item in items]
    contents = []
    for item, name in zip(items, ids, strict=True):
        try:
            contents.append(Path(item).read_bytes())
        except OSError as error:
            raise BadInput(
                f"the image {item} of item {name!r} cannot be read: {error.strerror}",
                "put the file back, or load the data set again",
            ) from error
    return contents


def _checked(encoder: Encoder, items: Sequence[Any], ids: list[str]) -> np.ndarray:
    array = encoder.encode(items)
    if array.dtype != np.float32 or array.ndim != 2 or len(array) != len(ids):
        raise BrokenContract(
            f"the encoder {encoder.name!r} returned {array.dtype} {array.shape} for {len(ids)} "
            "items",
            f"it must return float32 ({len(ids)}, d)",
        )
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist()
    if wrong:
        raise BadInput(
            f"the encoder {encoder.name!r} gives NaN or infinity for the items "
            f"{some(ids[i] for i in wrong)}",
            "check these items, or use another encoder",
        )
    return array


def _read(path: Path, n: int) -> np.ndarray | None:
    """Return a cached chunk, None if there is none; a damaged one is named in a warning."""
    array = read_array(path, AGAIN)
    if array is not None and (array.dtype != np.float32 or array.ndim != 2 or len(array) != n):
        warn_of(path, f"it holds {array.dtype} {array.shape}", AGAIN)
        return None
    return array
