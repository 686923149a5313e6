"""Groups of a pool, such as the task of each prompt, as numbers."""

from __future__ import annotations

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.strategies.view import PoolView


def group_codes(view: PoolView) -> tuple[np.ndarray, list[str]]:
    """Return the number of each item's group, and the groups' names, sorted.

    Returns
    -------
    codes : ndarray of int64, shape (n,)
    names : list of str

    Raises
    ------
    BadInput
        Not one group per item.
    """
    groups = np.asarray(view.groups)
    if groups.shape != (view.n,):
        raise BadInput(f"groups has shape {groups.shape}", f"give one per item: ({view.n},)")
    try:
        names, codes = np.unique(groups, return_inverse=True)
    except TypeError:  # names and None, or numbers and names
        names, codes = np.unique([str(group) for group in groups], return_inverse=True)
    return codes.reshape(-1).astype(np.int64), [str(name) for name in names.tolist()]


def held_by_group(view: PoolView, codes: np.ndarray, groups: int) -> np.ndarray:
    """Return how many items of each group are labelled or pending, int64 (groups,)."""
    known = np.union1d(view.labelled, view.pending)
    return np.bincount(codes[known], minlength=groups)
