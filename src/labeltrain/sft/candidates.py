"""What may be chosen, and what stands for the tasks of prompts that have none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeltrain.errors import BadInput
from labeltrain.rng import stream
from labeltrain.sft.embedding import Embedded
from labeltrain.sft.repeats import Repeats


def clusters_for_tasks(points: np.ndarray) -> np.ndarray:
    """Return about sqrt(n) clusters of prompts that have no tasks, int64 (n,).

    By k-means on vectors of length 1; the same for all seeds of a choice.
    """
    from labeltrain.kernels.clusters import k_means
    from labeltrain.strategies.features import unit_rows

    count = max(2, round(len(points) ** 0.5))
    assigned, _ = k_means(unit_rows(points), count, stream(0, "clusters for tasks"))
    return assigned


def to_cluster(embeddings: Embedded | None, method: str) -> np.ndarray:
    """Return the points that clusters are made of.

    Raises
    ------
    BadInput
        There are none.
    """
    if embeddings is None:
        raise BadInput(
            f"design {method!r} goes by task, and the prompts have none",
            "give each a field task (--task-field when scoring), or embeddings to cluster",
        )
    return embeddings.array


def candidates_of(
    n: int,
    known: list[int],
    waiting: list[int],
    skipped: Sequence[int],
    repeats: Repeats,
    how: str,
) -> tuple[np.ndarray, int]:
    """Return what may be picked, and how many repeats may not.

    Parameters
    ----------
    n : int
        Prompts of the pool.
    known, waiting : list of int
        Answered, and waiting for an answer.
    skipped : sequence of int
    repeats : Repeats
    how : {"leave-out", "keep"}
    """
    free = np.ones(n, dtype=bool)
    free[known] = False
    free[waiting] = False
    free[list(skipped)] = False
    before = int(free.sum())
    if how == "leave-out":
        taken = np.zeros(n, dtype=bool)
        taken[repeats.first[known]] = True
        taken[repeats.first[waiting]] = True
        free &= ~taken[repeats.first]  # one of the group is answered, or will be
        # Of each group the first that is left: one that nobody can answer stands for none.
        order = np.flatnonzero(free)
        _, first = np.unique(repeats.first[order], return_index=True)
        free[:] = False
        free[order[first]] = True
    return np.flatnonzero(free), before - int(free.sum())
