"""Pinned third-party files (data, weights): fetched once, checked by sha256, kept in a cache."""

from __future__ import annotations

from labeltrain.assets.asset import Asset, Folder
from labeltrain.assets.fetching import fetch, fetch_asset, install_archive
from labeltrain.assets.files import cache_dir, sha256_of, write_atomically
from labeltrain.assets.kept_arrays import read_array, warn_of, write_array
from labeltrain.assets.registry import ASSETS, describe, names

__all__ = [
    "ASSETS",
    "Asset",
    "Folder",
    "cache_dir",
    "describe",
    "fetch",
    "fetch_asset",
    "install_archive",
    "names",
    "read_array",
    "sha256_of",
    "warn_of",
    "write_array",
    "write_atomically",
]
