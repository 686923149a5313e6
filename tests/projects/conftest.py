"""Small projects on three well separated groups of points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeltrain import Dataset
from labeltrain.projects import Project

CLASSES = ("ant", "bee", "cow")


def points(n: int = 120, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return features (n, 4) in three groups, and their labels."""
    rng = np.random.default_rng(seed)
    number = rng.integers(len(CLASSES), size=n)
    centres = rng.normal(scale=4.0, size=(len(CLASSES), 4))
    features = (centres[number] + rng.normal(size=(n, 4))).astype(np.float32)
    return features, [CLASSES[c] for c in number]


def dataset(n: int = 120, seed: int = 0) -> tuple[Dataset, dict[str, str]]:
    """Return items, and the label of each id."""
    features, labels = points(n, seed)
    ids = tuple(f"i{k:03d}" for k in range(n))
    items: Any = features
    return Dataset("points", "features", items, ids), dict(zip(ids, labels, strict=True))


Begin = Callable[..., tuple[Project, dict[str, str]]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin projects that are closed at the end of the test."""
    begun: list[Project] = []

    def new(n: int = 120, **options: Any) -> tuple[Project, dict[str, str]]:
        items, truth = dataset(n)
        options.setdefault("classes", CLASSES)
        folder = tmp_path / f"project-{len(begun)}"
        project = Project.new(folder, items, **options)
        begun.append(project)
        return project, truth

    yield new
    for project in begun:
        project.close()
