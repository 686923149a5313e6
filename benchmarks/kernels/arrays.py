"""The arrays that all sides of a comparison read: made once, in blocks, saved as `.npy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

BLOCK = 50_000
CENTRES = 100
SPREAD = 0.5  # of a blob, where the centres have 1 in each coordinate


@dataclass(frozen=True)
class Data:
    """What a pool looks like.

    Attributes
    ----------
    kind : {"clustered", "isotropic"}
        100 Gaussian blobs with normal centres, or one normal distribution.
    n, d : int
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


def load(paths: dict[str, str], n: int, mapped: bool) -> dict[str, np.ndarray]:
    """Return the first `n` rows of each array, in memory or as memory maps."""
    if mapped:
        return {name: np.load(path, mmap_mode="r")[:n] for name, path in paths.items()}
    return {name: np.load(path) for name, path in paths.items()}
