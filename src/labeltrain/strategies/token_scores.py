"""How uncertain a language model is of its own answer to each prompt, from stored token scores.

Of the answer of T tokens that the model generates greedily, p_t(1) and p_t(2) are the largest two
probabilities of step t. The stored arrays, each (n,), are

- ``mean_entropy``, ``max_entropy``: mean and maximum over t of the entropy of step t, in nats;
- ``nll``, ``nll_mean``: -sum_t ln p_t(1), and that divided by T;
- ``mean_margin``, ``min_margin``: mean and minimum over t of p_t(1) - p_t(2);
- ``tokens``: T.
"""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput, MissingNeed
from labeltrain.strategies.view import PoolView

# Name of an uncertainty: the array it reads, its sign, and what a person is told.
UNCERTAINTIES = {
    "mean-entropy": ("mean_entropy", 1.0, "mean entropy of the answer's tokens: {:.3g}"),
    "least-confidence": ("nll", 1.0, "log-probability of the answer: -{:.3g}"),
    "least-confidence-norm": ("nll_mean", 1.0, "log-probability of the answer's tokens: -{:.3g}"),
    "mean-margin": ("mean_margin", -1.0, "mean margin of the answer's tokens: {:.3g}"),
    "min-margin": ("min_margin", -1.0, "smallest margin of a token of the answer: {:.3g}"),
    "max-entropy": ("max_entropy", 1.0, "largest entropy of a token of the answer: {:.3g}"),
}
SOME = 5  # how many bad rows an error names


def known_score(score: str) -> str:
    """Return the name of an uncertainty as it is.

    Raises
    ------
    ValueError
        Another name.
    """
    if score not in UNCERTAINTIES:
        raise ValueError(f"score is {score!r}, expected one of {', '.join(UNCERTAINTIES)}")
    return score


def token_score(view: PoolView, name: str, reader: str = "the strategy") -> np.ndarray:
    """Return one of the view's named arrays, checked, float64 (n,).

    Parameters
    ----------
    view : PoolView
    name : str
        Of the array, such as ``min_margin``.
    reader : str
        Who reads it, for the error.

    Raises
    ------
    MissingNeed
        The view has scores, but none of this name.
    BadInput
        Another shape, no numbers, NaN or infinite entries (the error names the rows).
    """
    scores = view.scores
    if name not in scores:
        raise MissingNeed(
            f"scores has no {name!r}, which {reader} reads; it has {', '.join(scores) or 'none'}",
            f"give scores={{{name!r}: one number per item}}",
        )
    values = np.asarray(scores[name])
    if values.shape != (view.n,):
        raise BadInput(f"scores[{name!r}] has shape {values.shape}", f"give shape ({view.n},)")
    if values.dtype.kind not in "fiub":
        raise BadInput(f"scores[{name!r}] has dtype {values.dtype}", "give numbers")
    values = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise BadInput(
            f"scores[{name!r}] is NaN or infinite in row(s) {bad[:SOME].tolist()} "
            f"({len(bad)} in all)",
            "score these items, or remove them",
        )
    return values


def uncertainty_of(view: PoolView, score: str) -> np.ndarray:
    """Return the uncertainty of each item of the pool, larger where the model is less certain.

    Parameters
    ----------
    view : PoolView
        With ``scores``.
    score : str
        A name of `UNCERTAINTIES`; of margins the negative is returned.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    MissingNeed
        The array of that score is missing.
    BadInput
        It has NaN, or another shape.

    Examples
    --------
    >>> from labeltrain.strategies.token_scores import uncertainty_of
    >>> from labeltrain.strategies.view import PoolView
    >>> import numpy as np
    >>> view = PoolView(2, 0, sources={"scores": {"min_margin": np.array([0.5, 0.25])}})
    >>> uncertainty_of(view, "min-margin").tolist()
    [-0.5, -0.25]
    """
    name, sign, _ = UNCERTAINTIES[known_score(score)]
    values = token_score(view, name, f"score={score!r}")
    return values if sign > 0.0 else -values


def uncertainty_ranks(view: PoolView, score: str) -> np.ndarray:
    """Return the rank of each item's uncertainty in the pool, from 0 to 1; equal ones share a rank.

    Parameters
    ----------
    view : PoolView
    score : str
        See :func:`uncertainty_of`.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    from scipy.stats import rankdata

    ranks: np.ndarray = rankdata(uncertainty_of(view, score))
    return (ranks - 1.0) / max(view.n - 1, 1)


def reasons(score: str, uncertainties: np.ndarray) -> tuple[str, ...]:
    """Return one sentence for each of these uncertainties, with the value as it was stored."""
    _, sign, words = UNCERTAINTIES[score]
    return tuple(words.format(sign * value) for value in uncertainties)
