"""Latent semantic analysis: vectors of texts from the texts alone, without a pretrained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from labeltrain.data import Modality
from labeltrain.encoders.base import Encoder, refuse_no_list
from labeltrain.errors import BadInput
from labeltrain.kernels.threads import limited_threads


class LSAEncoder(Encoder):
    """The leading singular vectors of TF-IDF, rows of length 1: the from-scratch encoder of texts.

    All given texts, test items too, set the vocabulary and the vectors: no labels are used, and
    texts cannot be added later. What pretraining is worth is measured against it.

    Parameters
    ----------
    dimensions : int
        Length of the vectors; fewer where there are fewer texts or words.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer, Harshman: Indexing by latent semantic analysis, Journal of
    the American Society for Information Science, 1990.

    Examples
    --------
    >>> from labeltrain.encoders import make
    >>> texts = ["a red rose", "the rose is red", "a blue sea", "the sea is blue"]
    >>> vectors = make("lsa", dimensions=2).encode(texts)
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    True
    """

    name = "lsa"
    modalities: frozenset[Modality] = frozenset({"text"})
    whole: ClassVar[bool] = True

    def __init__(self, *, dimensions: int = 256) -> None:
        whole = isinstance(dimensions, int) and not isinstance(dimensions, bool)
        if not whole or dimensions < 2:
            raise BadInput(f"dimensions is {dimensions!r}", "use a whole number of at least 2")
        self._dimensions = dimensions

    def fingerprint(self) -> dict[str, str | int | float]:
        return {"encoder": "lsa", "version": 1, "dimensions": self._dimensions}

    @property
    def dimension(self) -> int | None:
        return None

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize

        refuse_no_list(self.name, items, "texts")
        for place, item in enumerate(items):
            if not isinstance(item, str):
                raise BadInput(
                    f"item {place} is {type(item).__name__}, not a text",
                    "leave it out, or give an empty text",
                )
        vectoriser = TfidfVectorizer(sublinear_tf=True, min_df=min(2, len(items)))
        try:
            rows = vectoriser.fit_transform(items)
        except ValueError as error:
            raise BadInput(
                f"no word is in two of the texts ({error})", "use an encoder such as minilm"
            ) from error
        rank = min(self._dimensions, *(side - 1 for side in rows.shape))
        if rank < 1:
            raise BadInput("one word or one text has no direction", "give more texts")
        with limited_threads(1):  # the last bits depend on it
            vectors = TruncatedSVD(rank, random_state=0).fit_transform(rows)
        return np.asarray(normalize(vectors), dtype=np.float32)
