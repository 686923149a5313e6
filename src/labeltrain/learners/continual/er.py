"""Experience replay."""

from __future__ import annotations

from typing import ClassVar

from labeltrain.learners.continual.variant import Variant


class ER(Variant):
    """Replays old items drawn uniformly; all of a step count alike.

    References
    ----------
    Das, Bhatt, Bhalerao, Gao, Yang, Bilmes: Accelerating Batch Active Learning Using Continual
    Learning Techniques, TMLR 2023.
    """

    name: ClassVar[str] = "cal-er"
    summary: ClassVar[str] = "continual: learns the new items, replays old ones drawn uniformly"
