"""What prompts look like to selection: the model's own states, or a sentence encoder's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labeltrain.encoders import Features
from labeltrain.errors import BadInput
from labeltrain.sft.prompts import Prompt
from labeltrain.sft.scored_pool import ScoredPool
from labeltrain.sft.scorer import POOLINGS

LEAST = 1e-6  # of the largest variance: directions with less are noise


@dataclass(frozen=True)
class Embedded:
    """Features of the prompts.

    Attributes
    ----------
    name : str
        Such as "weighted", "weighted whitened 256", "minilm".
    array : ndarray of float32, shape (n, d)
    seconds : float
        What this call took, beside the scoring.
    fresh : float
        Share of the prompts that no cache of the encoder held; 0 for states of the model.
    """

    name: str
    array: np.ndarray
    seconds: float
    fresh: float = 0.0


def embedded(
    source: str,
    prompts: Sequence[Prompt],
    pool: ScoredPool | None,
    *,
    whiten: int | None = None,
    like: Sequence[Prompt] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Return the embeddings of a pool.

    Parameters
    ----------
    source : str
        "last", "mean" or "weighted": states of the model that scored the prompts, after its final
        norm, of the last token, all tokens, or all with weights 1, 2, 3 ... (as RDS+ has them).
        Else the name of a text encoder (labeltrain list encoders).
    prompts : sequence of Prompt
    pool : ScoredPool or None
    whiten : int, optional
        Centre them, and keep so many principal directions, scaled to variance 1: states of
        language models mostly point the same way.
    like : sequence of Prompt, optional
        What an encoder that learns from texts (lsa) is fitted to, so that these are embedded as
        those were; `prompts` by default.

    Raises
    ------
    BadInput
        The model's states were not kept with that pooling.
    """
    started = time.perf_counter()
    fresh = 0.0
    if source in POOLINGS:
        if pool is None or source not in pool.embeddings:
            kept = ", ".join(pool.embeddings) if pool is not None else ""
            raise BadInput(
                f"no embeddings {source!r} were kept when the prompts were scored",
                f"--embeddings one of: {kept}" if kept else f"score again with --pooling {source}",
            )
        array = pool.embeddings[source]
    else:
        found = _encoded(source, prompts, like, progress)
        array, fresh = found.array, found.fresh
    name = source
    if whiten is not None:
        array = whitened(array, whiten)
        name = f"{source} whitened {whiten}"
    return Embedded(name, array, time.perf_counter() - started, fresh)


def whitened(points: np.ndarray, dimensions: int) -> np.ndarray:
    """Return the leading principal components, each of variance 1, float32.

    Directions with less than a millionth of the largest variance are left out. The sign of each is
    such that its largest loading is positive.
    """
    if dimensions < 1:
        raise BadInput(f"whiten={dimensions}", "give 1 or more dimensions")
    centred = np.asarray(points, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    covariance = centred.T @ centred / max(len(centred) - 1, 1)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:dimensions], vectors[:, ::-1][:, :dimensions]
    keep = values > LEAST * max(float(values[0]), 1e-300)
    values, vectors = values[keep], vectors[:, keep]
    if not len(values):
        return np.zeros((len(points), 1), dtype=np.float32)
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return ((centred @ vectors) / np.sqrt(values)).astype(np.float32)


def _encoded(
    name: str,
    prompts: Sequence[Prompt],
    like: Sequence[Prompt] | None,
    progress: Callable[[int, int], None] | None,
) -> Features:
    from labeltrain.data.dataset import Dataset
    from labeltrain.encoders import features, make

    texts = [prompt.text for prompt in prompts]
    dataset = Dataset("prompts", "text", texts, tuple(prompt.id for prompt in prompts))
    encoder = make(name)
    if like is not None:
        encoder = encoder.fitted([prompt.text for prompt in like])
    return features(dataset, encoder, progress=progress)
