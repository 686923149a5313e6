"""Data sets: reading them, splitting them, and the catalogue of those that ship."""

from __future__ import annotations

from labeltrain.data.catalogue import describe, load, names
from labeltrain.data.checks import require_trainable
from labeltrain.data.dataset import Dataset, Kind, Modality, take
from labeltrain.data.images import read_image, square
from labeltrain.data.shifts import long_tailed, merged, thinned
from labeltrain.data.split import split
from labeltrain.data.table import Table

__all__ = [
    "Dataset",
    "Kind",
    "Modality",
    "Table",
    "describe",
    "load",
    "long_tailed",
    "merged",
    "names",
    "read_image",
    "require_trainable",
    "split",
    "square",
    "take",
    "thinned",
]
