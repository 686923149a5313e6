"""Latent semantic analysis: vectors of texts from the texts alone, without a pretrained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from labeltrain.data import Modality
from labeltrain.encoders.base import Encoder, refuse_no_texts
from labeltrain.errors import BadInput
from labeltrain.kernels.threads import limited_threads


class LSAEncoder(Encoder):
    """The leading singular vectors of TF-IDF, rows of length 1: the from-scratch encoder of texts.

    The texts it is fitted to set the vocabulary and the vectors: no labels are used. Studies fit it
    to the pool of each split, projects to all but the audit items. It is what pretraining is
    measured against, and beside a pretrained encoder (``minilm+lsa``) it adds the words of all of a
    text, which the other cuts.

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
    whole = True
    learns = True

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
        return self.fitted(items).encode(items) if len(items) else np.zeros((0, 0), np.float32)

    def fitted(self, items: Sequence[Any]) -> FittedLSA:
        """Return the encoder that has the vocabulary and the directions of `items`.

        Raises
        ------
        BadInput
            No texts, or no word that two of them share.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        refuse_no_texts(self.name, items)
        if not len(items):
            raise BadInput("there are no texts to learn from", "give at least two")
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
        with limited_threads(1), np.errstate(invalid="ignore", divide="ignore"):
            # One thread: the last bits depend on it. Texts may be equal: variances are then 0 / 0.
            directions = TruncatedSVD(rank, random_state=0).fit(rows).components_
        words = "\n".join(vectoriser.get_feature_names_out())  # no token has a line break
        return FittedLSA(
            {
                "words": np.frombuffer(words.encode("utf-8"), dtype=np.uint8),
                "idf": vectoriser.idf_.astype(np.float64),
                "directions": directions.astype(np.float32),
            }
        )

    def restored(self, state: Mapping[str, np.ndarray]) -> FittedLSA:
        return FittedLSA(state)


class FittedLSA(Encoder):
    """Latent semantic analysis with a vocabulary and directions that stay.

    Parameters
    ----------
    state : mapping of str to ndarray
        ``words``, uint8: V words, in UTF-8 with line breaks between them; ``idf``, float64 (V,);
        ``directions``, float32 (d, V).

    Raises
    ------
    BadInput
        Arrays that do not fit together.
    """

    name = "lsa"
    modalities: frozenset[Modality] = frozenset({"text"})
    cached = False

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            words = state["words"].tobytes().decode("utf-8").split("\n")
            if state["directions"].shape[1:] != (len(words),):
                raise ValueError(f"{state['directions'].shape} directions of {len(words)} words")
            self._vectoriser = TfidfVectorizer(sublinear_tf=True, vocabulary=words)
            self._vectoriser.idf_ = state["idf"]
        except (LookupError, ValueError) as error:
            raise BadInput(
                f"what the encoder 'lsa' learned is damaged: {error}", "encode the items again"
            ) from error
        self._state = dict(state)

    def fingerprint(self) -> dict[str, str | int | float]:
        total = sha256()
        for name in sorted(self._state):
            total.update(np.ascontiguousarray(self._state[name]).tobytes())
        return {"encoder": "lsa", "version": 1, "state": total.hexdigest()}

    @property
    def dimension(self) -> int:
        return int(self._state["directions"].shape[0])

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        from sklearn.preprocessing import normalize

        refuse_no_texts(self.name, items)
        if not len(items):
            return np.zeros((0, self.dimension), dtype=np.float32)
        vectors = self._vectoriser.transform(items) @ self._state["directions"].T.astype(np.float64)
        return np.asarray(normalize(vectors), dtype=np.float32)

    def state(self) -> dict[str, np.ndarray]:
        return dict(self._state)
