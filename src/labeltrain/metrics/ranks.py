"""Mean ranks: who comes first, second and so on, over the seeds that all have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def mean_ranks(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean rank of every method, 1 for the highest value; equal values share a rank.

    Parameters
    ----------
    values : mapping of str to ndarray of float, shape (S,)
        One number per seed, in the same order for all; NaN where a seed is missing.

    Returns
    -------
    dict of str to float
        Over the seeds that all methods have; NaN when there is none. Methods without any seed are
        left out, and do not count for the others.

    Examples
    --------
    >>> import numpy as np
    >>> mean_ranks({"a": np.array([3.0, 2.0]), "b": np.array([1.0, 2.0])})
    {'a': 1.25, 'b': 1.75}
    """
    from scipy.stats import rankdata

    known = {name: row for name, row in values.items() if np.isfinite(row).any()}
    if not known:
        return {}
    table = np.array(list(known.values()), dtype=np.float64)
    table = table[:, np.isfinite(table).all(axis=0)]
    ranks = rankdata(-table, axis=0)
    means = ranks.mean(axis=1) if table.shape[1] else np.full(len(table), np.nan)
    return dict(zip(known, means.tolist(), strict=True))
