"""One thread per process: two that fight for a core are many times slower."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Limit the threads of libraries that were loaded before the variables were set."""
    from labeltrain.kernels.threads import limited_threads

    with limited_threads(1):
        yield
