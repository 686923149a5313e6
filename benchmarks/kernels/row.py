"""What a row of the comparison is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.kernels.arrays import Data

GB = 1e9
OURS = "labeltrain"


@dataclass(frozen=True)
class Target:
    """One aim of a row.

    Attributes
    ----------
    measure : str
        ``faster`` (seconds of `against` over ours, at least), ``smaller`` (memory of `against` over
        ours, at least), ``seconds``, ``memory`` (above the arrays), ``resident`` (all of the
        process, mapped pages too), ``slope`` (of log seconds over log n) or the name of a check
        (see `checks`), all at most.
    bound : float
    against : str
        A side, where two are compared.
    """

    measure: str
    bound: float
    against: str = ""


@dataclass(frozen=True)
class Row:
    """One piece of work, and who does it.

    Attributes
    ----------
    name : str
    title : str
    strategy : str
    data : Data
        The file; the row uses its first `n` rows.
    n, k, labelled : int
        Pool, picks, and items that are labelled already (the first ones).
    sides : tuple of str
    targets : tuple of Target
    check : str
        How picks are compared; empty for not at all.
    mapped : bool
        Read from a memory map.
    repeats : int
        Where a run takes less than half a minute.
    more_seeds : int
        Further runs of each side, for checks on the law.
    parameters : dict
        Of the strategy.
    """

    name: str
    title: str
    strategy: str
    data: Data
    n: int
    k: int
    labelled: int
    sides: tuple[str, ...] = (OURS,)
    targets: tuple[Target, ...] = field(default=())
    check: str = ""
    mapped: bool = False
    repeats: int = 3
    more_seeds: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)

    def scaled(self, scale: float) -> Row:
        """Return the row on a smaller pool, with fewer picks."""
        if scale == 1.0:
            return self
        n, k = max(200, int(self.n * scale)), max(5, int(self.k * scale))
        data = replace(self.data, n=max(200, int(self.data.n * scale)))
        labelled = min(self.labelled, n // 10)
        return replace(
            self, data=data, n=n, k=k, labelled=labelled, more_seeds=self.more_seeds // 3
        )
