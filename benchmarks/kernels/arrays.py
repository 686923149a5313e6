"""The arrays that all sides of a comparison read: made once, in blocks, saved as `.npy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

BLOCK = 50_000
CENTRES = 100
SPREAD = 0.5  # of a blob, where the centres have 1 in each coordinate
GROUP = 1000  # items that the neighbours of an item are drawn from, in a synthetic graph


@dataclass(frozen=True)
class Data:
    """What a pool looks like.

    Attributes
    ----------
    kind : {"clustered", "isotropic", "graph"}
        100 Gaussian blobs with normal centres, or one normal distribution; or no points but
        neighbours and distances.
    n, d : int
        Items and features; in a graph, items and neighbours.
    classes : int
        Columns of probabilities, a softmax of random linear functions; 0 for none.
    seed : int
    """

    kind: str
    n: int
    d: int
    classes: int = 0
    seed: int = 0

    @property
    def stem(self) -> str:
        """Return a name that no other data share."""
        return f"{self.kind}-{self.n}x{self.d}-{self.classes}-{self.seed}"


def files(data: Data, folder: Path) -> dict[str, Path]:
    """Return the files of these data."""
    if data.kind == "graph":
        return {name: folder / f"{data.stem}-{name}.npy" for name in ("indices", "distances")}
    found = {"points": folder / f"{data.stem}-points.npy"}
    if data.classes:
        found["probabilities"] = folder / f"{data.stem}-probabilities.npy"
    return found


def make(data: Data, folder: Path) -> dict[str, Path]:
    """Write float32 arrays block by block, unless they are there, and return their files."""
    paths = files(data, folder)
    if all(path.exists() for path in paths.values()):
        return paths
    rng = np.random.default_rng(data.seed)
    if data.kind == "graph":
        _make_graph(data, paths, rng)
        return paths
    centres = rng.standard_normal((CENTRES, data.d), dtype=np.float32)
    weights = rng.standard_normal((data.d, max(data.classes, 1)), dtype=np.float32)
    weights *= 2.0 / np.sqrt(data.d)
    shapes = {"points": (data.n, data.d), "probabilities": (data.n, data.classes)}
    arrays = {
        name: np.lib.format.open_memmap(path, "w+", np.float32, shapes[name])
        for name, path in paths.items()
    }
    for start in range(0, data.n, BLOCK):
        rows = slice(start, min(start + BLOCK, data.n))
        block = rng.standard_normal((rows.stop - rows.start, data.d), dtype=np.float32)
        if data.kind == "clustered":
            block *= SPREAD
            block += centres[rng.integers(CENTRES, size=len(block))]
        arrays["points"][rows] = block
        if data.classes:
            logits = block @ weights
            logits -= logits.max(axis=1, keepdims=True)
            odds = np.exp(logits)
            arrays["probabilities"][rows] = odds / odds.sum(axis=1, keepdims=True)
    for array in arrays.values():
        array.flush()
    return paths


def _make_graph(data: Data, paths: dict[str, Path], rng: np.random.Generator) -> None:
    """Write neighbours, drawn from groups of items, and distances that ascend.

    Some items of a group are neighbours of many, as in real graphs, and the items of a group lie
    anywhere in memory. Types are those that `nearest_neighbours` returns.
    """
    shape = (data.n, data.d)
    indices = np.lib.format.open_memmap(paths["indices"], "w+", np.int32, shape)
    distances = np.lib.format.open_memmap(paths["distances"], "w+", np.float64, shape)
    names = rng.permutation(data.n).astype(np.int32)
    for start in range(0, data.n, GROUP):
        size = min(GROUP, data.n - start)
        places = (size * rng.random((size, data.d)) ** 1.5).astype(np.int64)
        places[places == np.arange(size)[:, None]] -= 1  # not itself; the last one, for the first
        indices[names[start : start + size]] = names[start + places % size]
        gaps = rng.uniform(0.5, 1.2, size=(size, data.d))
        distances[names[start : start + size]] = np.sort(gaps, axis=1)
    indices.flush()
    distances.flush()


def load(paths: dict[str, str], n: int, mapped: bool) -> dict[str, np.ndarray]:
    """Return the first `n` rows of each array, in memory or as memory maps."""
    if mapped:
        return {name: np.load(path, mmap_mode="r")[:n] for name, path in paths.items()}
    return {name: np.load(path) for name, path in paths.items()}
