"""Several encoders side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labeltrain.data import Modality
from labeltrain.encoders.base import Encoder
from labeltrain.errors import BadInput


class JoinedEncoder(Encoder):
    """The vectors of several encoders, each brought to length 1, one after the other.

    What one of them misses another may have seen: MiniLM knows the language and cuts long texts,
    latent semantic analysis (``lsa``) counts all of the words.

    Parameters
    ----------
    parts : sequence of Encoder
        At least two, of one kind of items.

    Raises
    ------
    BadInput
        Fewer, the same encoder twice, or encoders that read different items.

    Examples
    --------
    >>> from labeltrain.encoders import make
    >>> make("minilm+lsa", max_length=64, dimensions=100).name
    'minilm+lsa'
    """

    def __init__(self, parts: Sequence[Encoder]) -> None:
        self.parts = tuple(parts)
        self.name = "+".join(part.name for part in parts)
        names = [part.name for part in parts]
        if len(names) < 2 or len(set(names)) < len(names):
            raise BadInput(f"{self.name!r} joins no two encoders", "such as minilm+lsa")
        self.modalities: frozenset[Modality] = frozenset.intersection(
            *(part.modalities for part in parts)
        )
        if not self.modalities:
            reads = ", ".join(f"{p.name}: {' or '.join(sorted(p.modalities))}" for p in parts)
            raise BadInput(
                f"the encoders of {self.name!r} read different items ({reads})",
                "join encoders of one kind of items, such as minilm+lsa",
            )
        self.whole = any(part.whole for part in parts)
        self.learns = all(part.learns for part in parts if part.whole) and self.whole

    def fingerprint(self) -> dict[str, str | int | float]:
        own = {
            f"{number}/{key}": value
            for number, part in enumerate(self.parts)
            for key, value in part.fingerprint().items()
        }
        return {"encoder": "joined", "version": 1, **own}

    @property
    def dimension(self) -> int | None:
        each = [part.dimension for part in self.parts]
        known = [d for d in each if d is not None]
        return sum(known) if len(known) == len(each) else None

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        """Return the vectors of all parts, float32 (n, d)."""
        return self.joined([part.encode(items) for part in self.parts])

    def joined(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vectors that the parts gave, (n, d_k) each, as one array (n, sum of d_k)."""
        rows = [part.astype(np.float32) for part in vectors]
        for part in rows:
            lengths = np.linalg.norm(part, axis=1, keepdims=True)
            part /= np.where(lengths > 0.0, lengths, 1.0)
        return np.hstack(rows)

    def fitted(self, items: Sequence[Any]) -> JoinedEncoder:
        return JoinedEncoder([part.fitted(items) for part in self.parts])

    def state(self) -> dict[str, np.ndarray]:
        return {
            f"{number}/{key}": array
            for number, part in enumerate(self.parts)
            for key, array in part.state().items()
        }

    def restored(self, state: Mapping[str, np.ndarray]) -> JoinedEncoder:
        parts = []
        for number, part in enumerate(self.parts):
            start = f"{number}/"
            own = {key.removeprefix(start): a for key, a in state.items() if key.startswith(start)}
            parts.append(part.restored(own))
        return JoinedEncoder(parts)
