"""The versions and the machine that a result depends on, kept with it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "labeltrain", "numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers",
    "kornia",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions and the machine that a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found["system"] = platform.system()
    found["processors"] = str(os.cpu_count())
    found["processor"] = _processor()
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
