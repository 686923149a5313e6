"""Named random streams: every random draw is fixed by (seed, names), never by call order."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator that belongs to `seed` and this list of names.

    Parameters
    ----------
    seed : int
        The run's seed.
    *names : str or int
        What the draws are for, such as ``("margin", 3, "select")``.

    Returns
    -------
    numpy.random.Generator
        Same arguments, same stream, on every machine and in any process.

    Examples
    --------
    >>> from labeltrain.rng import stream
    >>> int(stream(0, "select", 3).integers(100)) == int(stream(0, "select", 3).integers(100))
    True
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(n).__name__[0]}{n}" for n in names)])
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))
